"""Procedural sprites: people in the geometry of the Liberated Pixel Cup, drawn by code at any time and any size.

An appearance is a skin, a top, a bottom and hair, four of each: 256 people. Each walks, casts and slashes, seen from
the left, the front and the right. What is stored is a map of palette numbers for every shape of clothes and hair,
action, direction and frame; colours are looked up when frames are asked for.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.directed import factors_of, labels_of
from kinema.data.figure import ACTIONS, DIRECTIONS, PERIOD
from kinema.data.garments import pose
from kinema.data.raster import draw
from kinema.data.source import TruthSource
from kinema.data.splits import split_identities
from kinema.data.wardrobe import LAYERS, SKINS, STYLES, palette
from kinema.errors import ConfigError

ATTRIBUTES = ("skin", "top", "bottom", "hair")
FACTORS: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKINS),
    **{name: tuple(values) for name, values in STYLES.items()},
    "action": tuple(ACTIONS),
    "direction": tuple(DIRECTIONS),
}
COUNTS = {name: len(values) for name, values in FACTORS.items()}
RATE = 10.0 / PERIOD
"""Cycles a second."""
SHAPES = math.prod(COUNTS[name] for name in STYLES)
APPEARANCES = COUNTS["skin"] * SHAPES
MOTIONS = COUNTS["action"] * COUNTS["direction"]


@dataclass(frozen=True)
class SpritesConfig:
    """How sprites are drawn and split."""

    size: int = 64
    """Side of the square cell, in pixels; at least 16."""
    length: int = 8
    """Frames of a training window."""
    cycle: int = 8
    """Frames of one cycle, which always lasts as long: the more there are, the less lies between two."""
    alpha: bool = False
    """Premultiplied RGBA instead of RGB over black."""
    held_out: float = 0.2
    """Share of the appearances that are kept for the test split."""
    seed: int = 423
    """Of the choice of those appearances."""
    directed: bool = False
    """An action for each action and direction, nine together, instead of directions that are kept in a swap."""

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ConfigError(f"sprites: size is {self.size} pixels; at least 16 are needed")
        for name, least in (("length", 1), ("cycle", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"sprites: {name} is {getattr(self, name)} frames; at least {least} is needed")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"sprites: held_out is {self.held_out}; a share between 0 and 1 is needed")


def layers(action: str, direction: str, times: Float[Tensor, " N"], size: int) -> list[UInt8[Tensor, "_S N H W"]]:
    """Each layer's palette numbers at `times`, from back to front, for every value of the attribute it depends on."""
    figure = pose(action, direction, times.float(), size)
    blank = torch.zeros(len(times), size, size, dtype=torch.uint8, device=times.device)

    def styles(attribute: str | None) -> list:
        return [None] if attribute is None else list(STYLES[attribute].values())

    return [
        torch.stack([draw(blank.clone(), pieces(style, figure)) for style in styles(attribute)])
        for attribute, pieces in LAYERS
    ]


def compose(
    drawn: list[UInt8[Tensor, "_S N H W"]], styles: Mapping[str, Int[Tensor, " P"]], moments: Int[Tensor, " P"]
) -> UInt8[Tensor, "P H W"]:
    """One picture of each P: the layers of its styles at its moment (an index into N), one over another."""
    size = drawn[0].shape[-2:]
    picture = torch.zeros(len(moments), *size, dtype=torch.uint8, device=moments.device)
    for (attribute, _), layer in zip(LAYERS, drawn, strict=True):
        style = torch.zeros_like(moments) if attribute is None else styles[attribute]
        top = layer[style, moments]
        picture = torch.where(top > 0, top, picture)
    return picture


def unravel(index: Int[Tensor, " N"], names: tuple[str, ...]) -> dict[str, Int[Tensor, " N"]]:
    """The factors `names` of running numbers in which the last name varies fastest."""
    values = torch.unravel_index(index, tuple(COUNTS[name] for name in names))
    return dict(zip(names, values, strict=True))


@lru_cache(maxsize=4)
def part_maps(size: int, cycle: int) -> UInt8[Tensor, "M H W"]:
    """The palette numbers of every whole frame; M counts shapes x actions x directions x steps, the last fastest."""
    shapes, moments = torch.arange(SHAPES).repeat_interleave(cycle), torch.arange(cycle).repeat(SHAPES)
    styles = unravel(shapes, tuple(STYLES))
    maps = torch.empty(SHAPES, MOTIONS, cycle, size, size, dtype=torch.uint8)
    for motion in range(MOTIONS):
        action, direction = (list(names)[i] for names, i in zip((ACTIONS, DIRECTIONS), divmod(motion, 3), strict=True))
        drawn = layers(action, direction, torch.arange(cycle).double() * (PERIOD / cycle), size)
        maps[:, motion] = compose(drawn, styles, moments).view(SHAPES, cycle, size, size)
    return maps.view(-1, size, size)


def colours() -> Int[Tensor, "A K"]:
    """Every appearance's RGBA by palette number, four bytes packed in an int32."""
    numbers = unravel(torch.arange(APPEARANCES), ATTRIBUTES)
    names = zip(*([FACTORS[name][i] for i in value] for name, value in numbers.items()), strict=True)
    rgb = torch.stack([palette(*appearance) for appearance in names])
    alpha = torch.full_like(rgb[..., :1], 255)
    alpha[:, 0] = 0
    return torch.cat([rgb, alpha], dim=-1).view(torch.int32).squeeze(-1)


def check_covered(appearances: Int[Tensor, " N"], share: float) -> None:
    """ConfigError unless these training appearances show every value of every attribute."""
    for name, value in unravel(appearances, ATTRIBUTES).items():
        if len(value.unique()) < COUNTS[name]:
            raise ConfigError(f"sprites: held_out is {share}, which leaves a {name} out of training; choose a smaller")


class Sprites(TruthSource):
    """Procedural sprites of one split: ``train``, ``test`` (held-out combinations of attributes) or ``all``.

    Clip ``9 i + 3 action + direction`` is the split's i-th appearance. Every clip is one cycle, of 8 frames
    unless `cycle` says otherwise. Raises ConfigError for an unknown split.
    """

    name = "sprites"
    periodic = True

    def __init__(self, config: SpritesConfig, split: str) -> None:
        train, test = split_identities(APPEARANCES, round(config.held_out * APPEARANCES), config.seed)
        check_covered(train, config.held_out)
        members = {"train": train, "test": test, "all": torch.arange(APPEARANCES)}
        if split not in members:
            raise ConfigError(f"sprites: no split {split!r}; there are {', '.join(members)}")
        self.config, self.split = config, split
        self.size = (config.size, config.size)
        self.length, self.fps = config.length, RATE * config.cycle
        self.channels = 4 if config.alpha else 3
        self.identity = members[split].repeat_interleave(MOTIONS)
        motion = torch.arange(MOTIONS).repeat(len(members[split]))
        self.factors, self.content = factors_of(FACTORS, ATTRIBUTES, config.directed)
        self.labels = unravel(self.identity, ATTRIBUTES) | labels_of(motion, len(DIRECTIONS), config.directed)
        self.motion = motion
        self.maps = part_maps(config.size, config.cycle)
        self.colours = colours()

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, self.config.cycle)

    def paint(self, appearance: Int[Tensor, " B"], maps: UInt8[Tensor, "B T H W"]) -> UInt8[Tensor, "B T 4 H W"]:
        """RGBA of palette numbers; the sprites are opaque or not there, so it is premultiplied and straight alike."""
        first = (appearance * self.colours.shape[1]).int()
        packed = self.colours.view(-1)[maps.int() + first[:, None, None, None]]
        return packed.view(torch.uint8).view(*maps.shape, 4).movedim(-1, 2)

    def still(
        self, appearance: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T 4 H W"]:
        """The stored frames `steps` of these appearances; `motion` is 3 action + direction."""
        cycle = self.config.cycle
        rows = (appearance % SHAPES * MOTIONS + motion)[:, None] * cycle + steps % cycle
        return self.paint(appearance, self.maps[rows])

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips, steps = clips.to(self.maps.device), steps.to(self.maps.device)
        return self.still(self.identity[clips], self.motion[clips], steps)[:, :, : self.channels].contiguous()

    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Sprites with these factors at `times`, in frames: any real numbers, with a period of one cycle."""
        device = self.maps.device
        factors = {name: factors[name].to(device) for name in self.factors}
        times = times.to(device).double() % self.config.cycle
        motion = factors["action"]
        if not self.config.directed:
            motion = motion * COUNTS["direction"] + factors["direction"]
        appearance = torch.zeros_like(motion)
        for name in ATTRIBUTES:
            appearance = appearance * COUNTS[name] + factors[name]
        if bool((times == times.round()).all()):
            return self.still(appearance, motion, times.long())[:, :, : self.channels].contiguous()
        maps = torch.empty(*times.shape, *self.size, dtype=torch.uint8, device=device)
        for number in motion.unique().tolist():
            rows = (motion == number).nonzero().squeeze(1)
            action, direction = divmod(number, COUNTS["direction"])
            moments, which = times[rows].unique(return_inverse=True)
            moments = moments * (PERIOD / self.config.cycle)
            drawn = layers(FACTORS["action"][action], FACTORS["direction"][direction], moments, self.size[0])
            styles = {name: factors[name][rows].repeat_interleave(times.shape[1]) for name in STYLES}
            maps[rows] = compose(drawn, styles, which.flatten()).view(len(rows), -1, *self.size)
        return self.paint(appearance, maps)[:, :, : self.channels].contiguous()

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        content, motion = content.to(self.maps.device), motion.to(self.maps.device)
        kept = {name: self.labels[name][content] for name in self.content}
        return self.render({**kept, "action": self.labels["action"][motion]}, times)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        numbers = {name: int(value[index]) for name, value in self.labels.items()}
        labels = {name: self.factors[name][value] for name, value in numbers.items()}
        way = () if self.config.directed else (labels["direction"],)
        who = "-".join(f"{name}{numbers[name]}" for name in ATTRIBUTES)
        motion = int(self.motion[index])
        steps = torch.arange(self.config.cycle, device=self.maps.device)
        rgba = self.still(self.identity[index, None], steps.new_tensor([motion]), steps[None])[0].cpu().float() / 255
        return VideoClip(
            frames=rgba[:, :3],
            alpha=rgba[:, 3:],
            fps=self.fps,
            labels=labels,
            name="/".join(("sprites", who, labels["action"], *way)),
        )

    def to(self, device: torch.device) -> "Sprites":
        moved = copy.copy(self)
        moved.maps, moved.colours = self.maps.to(device), self.colours.to(device)
        moved.identity, moved.motion = self.identity.to(device), self.motion.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.maps.nbytes + self.colours.nbytes
