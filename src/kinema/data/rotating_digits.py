"""Rotating MNIST: one digit in the hands of many writers, each turned through a whole circle in 16 equal steps.

Two tasks go by this name, and both are here as `protocol`:

- ``identity``: 80 % of the writers train, 10 % validate and 10 % test, as in ODE2VAE's plain task and in HALO's code.
- ``angle``: 90 % train and are also the test. Every training clip lacks the frame `missing` and `dropped` more, drawn
  for each writer; what the clip then holds are 11 of 16 frames with their true times. It is the task of GPPVAE (Casale
  et al. 2018) as ODE2VAE (Yildiz et al. 2019) has it: 400 writers, of whom 360 train and test, 5 frames gone of each.

Pixels are 0-255, so [0, 1] where models see them, grey in three equal channels: a mean squared error per value is that
of the grey picture. Frame k shows the digit turned k steps anticlockwise from how it was written.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.draws import uniform
from kinema.data.glyphs import glyphs
from kinema.data.moving_digits import EMBEDDED, SIDE, from_files
from kinema.data.source import TruthSource
from kinema.errors import ConfigError
from kinema.maths.affine import from_parts, warp

CHANNELS = 3
CHUNK = 1024
"""Pictures turned at once, which bounds the memory."""
WRITERS, PARTS, GAPS = range(200, 203)
"""Streams of random numbers: which digits are taken, who tests, which frames are dropped."""


@dataclass(frozen=True)
class RotatingDigitsConfig:
    """Which digits turn, and what is held out."""

    root: str = ""
    """Folder of MNIST's IDX files, of which the training ones are read; environment variables (``$NAME``) are looked
    up, so ``$KINEMA_DATA/mnist`` is possible. Empty: glyphs that Kinema draws itself."""
    digit: int = 3
    """The digit, 0 to 9."""
    sequences: int = 400
    """How many pictures of it are taken, each a clip; at least 10."""
    angles: int = 16
    """Frames of a whole turn."""
    protocol: str = "identity"
    """What is held out: ``identity``, a tenth of the clips, or ``angle``, frames of the clips that train."""
    missing: int = 3
    """``angle``: the frame that every training clip lacks, counted from 0."""
    dropped: int = 4
    """``angle``: how many other frames each training clip lacks, drawn for it."""
    length: int = 0
    """Frames of a training window, which may run on into the next turn; 0: as many as the clip has."""
    seed: int = 423
    """Of the pictures, of the split and of the frames that are dropped."""

    def __post_init__(self) -> None:
        for name, least in {"digit": 0, "sequences": 10, "angles": 2, "missing": 0, "dropped": 0, "length": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"rotmnist: {name} is {getattr(self, name)}; it must be {least} at least")
        if self.digit > 9:
            raise ConfigError(f"rotmnist: digit is {self.digit}; digits are 0 to 9")
        if self.missing >= self.angles:
            raise ConfigError(f"rotmnist: missing is {self.missing}; frames are 0 to {self.angles - 1}")
        if self.dropped > self.angles - 2:
            most = self.angles - 2
            raise ConfigError(f"rotmnist: dropped is {self.dropped}; at most {most} leave a frame to train on")
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"rotmnist: protocol is {self.protocol!r}; known: {', '.join(PROTOCOLS)}")


@dataclass(frozen=True, eq=False)
class Part:
    """The clips of one split."""

    members: Int[Tensor, " N"]
    """Numbers of the writers, sorted."""
    lacks: bool
    """Whether the frames that are absent in training are absent."""


def by_identity(config: RotatingDigitsConfig, order: Int[Tensor, " S"]) -> dict[str, Part]:
    """Of the writers in this order the first tenth tests, the second validates, the others train; all frames."""
    tenth = config.sequences // 10
    test, val, train = (part.sort().values for part in order.split([tenth, tenth, config.sequences - 2 * tenth]))
    everything = order.sort().values
    return {name: Part(x, False) for name, x in (("train", train), ("val", val), ("test", test), ("all", everything))}


def by_angle(config: RotatingDigitsConfig, order: Int[Tensor, " S"]) -> dict[str, Part]:
    """The first nine tenths train, with frames gone, and test, whole; the others validate, whole."""
    cut = config.sequences * 9 // 10
    mine, val, everything = order[:cut].sort().values, order[cut:].sort().values, order.sort().values
    return {
        "train": Part(mine, True),
        "val": Part(val, False),
        "test": Part(mine, False),
        "all": Part(everything, False),
    }


PROTOCOLS: Mapping[str, Callable[[RotatingDigitsConfig, Tensor], dict[str, Part]]] = {
    "identity": by_identity,
    "angle": by_angle,
}
"""How the writers, in a drawn order, become splits."""
GONE: Mapping[str, Callable[[RotatingDigitsConfig], int]] = {
    "identity": lambda config: 0,
    "angle": lambda config: 1 + config.dropped,
}
"""How many frames training lacks of each clip."""


def written(config: RotatingDigitsConfig) -> UInt8[Tensor, "S 28 28"]:
    """The upright pictures of the digit, drawn by the seed among all of MNIST's training files or of the glyphs.

    Raises FileError where the files are not right, ConfigError where there are fewer pictures than `sequences`.
    """
    if config.root:
        ink, classes = from_files(config.root, "train")
        ink = ink[classes == config.digit]
        chosen = ink[_first(config, len(ink))]
    else:
        numbers = torch.arange(*EMBEDDED["train"])[config.digit :: 10]
        chosen = glyphs(numbers[_first(config, len(numbers))])
    return chosen


def _first(config: RotatingDigitsConfig, count: int) -> Int[Tensor, " S"]:
    if count < config.sequences:
        raise ConfigError(
            f"rotmnist: sequences is {config.sequences}; there are {count} pictures of the digit {config.digit}"
        )
    return uniform(config.seed, WRITERS, torch.arange(count), 1)[:, 0].argsort()[: config.sequences]


def turned(ink: UInt8[Tensor, "B 28 28"], turns: Float[Tensor, "B T"]) -> UInt8[Tensor, "B T 28 28"]:
    """The pictures turned anticlockwise about their middles, in whole turns; bilinear, black beyond the edges."""
    theta = from_parts(2 * math.pi * turns.double(), turns.new_zeros(*turns.shape, 2).double()).float().flatten(0, 1)
    which = torch.arange(len(ink), device=ink.device).repeat_interleave(turns.shape[1])
    parts = zip(which.split(CHUNK), theta.split(CHUNK), strict=True)
    shown = torch.empty(len(which), SIDE, SIDE, dtype=torch.uint8, device=ink.device)
    for number, (rows, part) in enumerate(parts):
        drawn = warp(ink[rows][:, None].float(), part)[:, 0]
        shown[number * CHUNK : number * CHUNK + len(rows)] = drawn.round_().to(torch.uint8)
    return shown.unflatten(0, turns.shape)


def absent(config: RotatingDigitsConfig, writers: Int[Tensor, " N"]) -> Int[Tensor, "N M"]:
    """The frames that training lacks: first `missing`, then the dropped ones in their order. Empty for ``identity``."""
    draw = uniform(config.seed, GAPS, writers, config.angles)
    draw[:, config.missing] = -1
    gone = draw.argsort(1)[:, : GONE[config.protocol](config)]
    return torch.cat([gone[:, :1], gone[:, 1:].sort(1).values], dim=1)


def present(config: RotatingDigitsConfig, gone: Int[Tensor, "N M"]) -> Int[Tensor, "N kept"]:
    """The frames that are left, in their order."""
    there = torch.ones(len(gone), config.angles, dtype=torch.bool).scatter_(1, gone, False)
    return there.nonzero()[:, 1].view(len(gone), -1)


class RotatingDigits(TruthSource):
    """Turning digits of one split: ``train``, ``val``, ``test`` or ``all``; each clip is a writer and one whole turn.

    ``angle``: test shows the writers of the training split (nobody is held out), whole. Step s of a clip is its s-th
    frame that is there, `times` says at which angle; a window that wraps around goes on with the next turn. So a
    training window holds frames that are there and nothing else. Raises ConfigError for an unknown split.
    """

    name = "rotmnist"
    content = ("writer",)
    channels = CHANNELS
    size = (SIDE, SIDE)
    fps = 10.0
    periodic = True

    def __init__(self, config: RotatingDigitsConfig, split: str) -> None:
        order = uniform(config.seed, PARTS, torch.arange(config.sequences), 1)[:, 0].argsort()
        parts = PROTOCOLS[config.protocol](config, order)
        if split not in parts:
            raise ConfigError(f"rotmnist: no split {split!r}; there are {', '.join(parts)}")
        self.config, self.split = config, split
        self.identity = parts[split].members
        self.factors = {"writer": tuple(f"{n:04d}" for n in range(config.sequences)), "action": ("rotate",)}
        self.labels = {"writer": self.identity, "action": torch.zeros_like(self.identity)}
        self.ink = written(config)
        turns = torch.arange(config.angles).double() / config.angles
        self.pixels = turned(self.ink[self.identity], turns.expand(len(self.identity), -1))
        self.gone = absent(config, self.identity)
        self.kept = present(config, self.gone)
        self.steps = self.kept if parts[split].lacks else torch.arange(config.angles).expand(len(self.identity), -1)
        self.length = config.length or self.steps.shape[1]

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, self.steps.shape[1])

    def missing(self, clips: Int[Tensor, " B"]) -> Int[Tensor, "B M"]:
        """The frames of whole clips that training lacks of these writers: first the one that all lack, by which GPPVAE
        is scored, then the others. M is 0 where nothing is missing."""
        return self.gone[clips.to(self.gone.device)]

    def seen(self, clips: Int[Tensor, " B"]) -> Int[Tensor, "B kept"]:
        """The frames of whole clips that training has of these writers: what a model may look at when it is tested."""
        return self.kept[clips.to(self.kept.device)]

    def _numbers(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> tuple[Tensor, Tensor, Tensor]:
        """Clips, whole turns and the frame's number within the turn."""
        clips, steps = clips.to(self.steps.device), steps.to(self.steps.device)
        count = self.steps.shape[1]
        within = self.steps[clips].gather(1, steps % count)
        return clips, steps.div(count, rounding_mode="floor"), within

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips, _, number = self._numbers(clips, steps)
        return coloured(self.pixels[clips[:, None], number])

    def times(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """When those frames begin: a frame's number is its time, and a turn takes `angles`."""
        _, turns, number = self._numbers(clips, steps)
        return (number + turns * self.config.angles).double()

    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Writers at any real times: turned by that many steps. Whole times show what `frames` does."""
        ink = self.ink[factors["writer"].to(self.ink.device)]
        return coloured(turned(ink, times.to(self.ink.device) / self.config.angles))

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Clip `content`'s writer at those times; every clip turns alike and begins upright."""
        del motion
        return self.render({"writer": self.identity[content.to(self.identity.device)]}, times)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        clip, steps = torch.tensor([index]), torch.arange(self.steps.shape[1])[None]
        writer = self.factors["writer"][int(self.identity[index])]
        return VideoClip(
            frames=self.frames(clip, steps)[0].cpu().float() / 255,
            times=self.times(clip, steps)[0].cpu(),
            end=float(self.config.angles),
            fps=self.fps,
            labels={"writer": writer, "action": "rotate"},
            name=f"rotmnist/{self.config.digit}/{writer}",
        )

    def to(self, device: torch.device) -> "RotatingDigits":
        moved = copy.copy(self)
        for name in ("identity", "ink", "pixels", "gone", "kept", "steps"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.ink.nbytes + self.pixels.nbytes


def coloured(grey: UInt8[Tensor, "B T H W"]) -> UInt8[Tensor, "B T 3 H W"]:
    """Grey pictures as three equal channels."""
    return grey[:, :, None].expand(-1, -1, CHANNELS, -1, -1).contiguous()
