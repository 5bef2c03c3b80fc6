"""Moving digits on backgrounds of diamonds, as section 4.3 of the equivariant rendering paper describes them.

A clip is a motion and a character, each with a number of its own. A character is one or several digits. A motion is a
place for each digit and, for each following frame, a coin: the digit moves by dx and dy, or it turns about the middle
of its own picture. Only digits, poses and backgrounds are kept; frames are drawn when they are asked for.

Clips come in tables of 4 motions by 4 characters: each shares its motion with 3 others of other characters, and its
character with 3 others of other motions. A step that would take the ink of any of the table's 4 characters off the
canvas is drawn anew, so every mixture within a table lies on the canvas; other mixtures may be cut by its edges.
"""

import copy
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from kinema.data.diamonds import BARE, backgrounds, split_number
from kinema.data.draws import uniform
from kinema.data.glyphs import glyphs, labels
from kinema.data.idx import read_idx
from kinema.data.pairs import SceneSource
from kinema.errors import ConfigError, FileError
from kinema.maths.affine import compose, from_parts, invert, warp_to

SIDE = 28
"""Of a digit's picture, in 64ths of the canvas; and of the pictures in the files, in pixels."""
SHIFTS = (-10, -8, -6, -4, -2, 2, 4, 6, 8, 10)
"""Of a moving step, right and down, each drawn by itself, in 64ths of the canvas."""
TURNS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
"""Of a turning step, in units of 3 degrees, clockwise as one sees it."""
UNIT = math.radians(3)
CIRCLE = 120
"""Units of a whole turn."""
TABLE = 4
"""Motions, and characters, that are mixed with one another."""
CANDIDATES = 16
"""Steps that are drawn at once, of which the first that stays on the canvas is taken."""
EMBEDDED = {"train": (0, 6000), "val": (6000, 7000), "test": (7000, 8000)}
"""The numbers of the glyphs of each split."""
FILES = {"train": "train", "val": "train", "test": "t10k"}
"""Beginnings of the names of MNIST's files."""
VALIDATION = 6
"""One in so many digits of the training files, the last ones, are for validation: 10,000 of MNIST's 60,000."""
PLACE, STEP = range(100, 102)
"""Streams of random numbers, apart from those of the backgrounds; each split and frame has its own."""

COMPOSITING: Mapping[str, Callable[[Tensor], Tensor]] = {
    "alpha": lambda ink: ink,
    "threshold": lambda ink: (ink > 0.5).to(ink.dtype),
}
"""How far ink in [0, 1] blackens the background: by as much as there is, or wholly where that is more than half."""


INSIDE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "ink": lambda ink: ink > 0,
    "box": lambda ink: torch.ones_like(ink, dtype=torch.bool),
}
"""The pixels of a digit's picture that may not leave the canvas. They turn with the digit."""


@dataclass(frozen=True)
class MovingDigitsConfig:
    """Which digits move, how, and on what."""

    root: str = ""
    """Folder of MNIST's four IDX files (``train-images-idx3-ubyte.gz``, ...); environment variables (``$NAME``) are
    looked up, so ``$KINEMA_DATA/mnist`` is possible. Empty: glyphs that Kinema draws itself."""
    size: int = 64
    """Side of the square canvas, in pixels; at least 16. Digits, steps and diamonds grow with it."""
    digits: int = 1
    """Digits in a clip, each with a motion of its own."""
    frames: int = 5
    """Frames of a clip; at least 2."""
    backgrounds: int = 64
    """Backgrounds of each split."""
    videos: int = 65536
    """Clips of each split; a multiple of 16."""
    compositing: str = "alpha"
    """How ink blackens the background: ``alpha``, as far as it covers a pixel, or ``threshold``, wholly."""
    inside: str = "ink"
    """What may not leave the canvas: ``ink``, every drop of it, or ``box``, the corners of the digit's picture."""
    only: tuple[int, ...] = ()
    """The classes of digits to use, such as (5,); empty: all ten."""
    instance: int = -1
    """The one digit to use, counted from 0 among the split's digits of those classes; -1: all."""
    seed: int = 423
    """Of the characters, the motions and the backgrounds."""

    def __post_init__(self) -> None:
        least = {"size": 16, "digits": 1, "frames": 2, "backgrounds": 1, "videos": TABLE**2, "instance": -1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"digits: {name} is {getattr(self, name)}; it must be {low} at least")
        if self.videos % TABLE**2:
            raise ConfigError(f"digits: videos is {self.videos}; a multiple of {TABLE**2} is needed")
        for name, known in (("compositing", COMPOSITING), ("inside", INSIDE)):
            if getattr(self, name) not in known:
                raise ConfigError(f"digits: {name} is {getattr(self, name)!r}; known: {', '.join(known)}")
        if not set(self.only) <= set(range(10)):
            raise ConfigError(f"digits: only is {self.only}; classes are 0 to 9")


@lru_cache(maxsize=3)
def embedded(split: str) -> tuple[UInt8[Tensor, "D 28 28"], Int[Tensor, " D"]]:
    """Kinema's own glyphs of a split and the digits that they show."""
    numbers = torch.arange(*EMBEDDED[split])
    return glyphs(numbers), labels(numbers)


def from_files(root: str, split: str) -> tuple[UInt8[Tensor, "D 28 28"], Int[Tensor, " D"]]:
    """MNIST's pictures and classes of a split. Raises FileError where a file is missing or not what it should be."""
    folder = os.path.expandvars(root)
    if folder.startswith("$"):
        raise FileError(f"{root}: the environment variable is not set; set it, or data.root to a folder")
    ink = read_idx(Path(folder, f"{FILES[split]}-images-idx3-ubyte.gz"), (SIDE, SIDE))
    path = Path(folder, f"{FILES[split]}-labels-idx1-ubyte.gz")
    classes = read_idx(path).long()
    if len(classes) != len(ink) or classes.max() > 9:
        raise FileError(f"{path}: {len(classes)} labels for {len(ink)} pictures; one from 0 to 9 for each is needed")
    cut = len(ink) - len(ink) // VALIDATION
    part = {"train": slice(cut), "val": slice(cut, None), "test": slice(None)}[split]
    return ink[part], classes[part]


def read_digits(config: MovingDigitsConfig, split: str) -> UInt8[Tensor, "D S S"]:
    """The split's digits that the configuration lets through; on small canvases shrunk, so that no pixel is skipped."""
    ink, classes = from_files(config.root, split) if config.root else embedded(split)
    may = torch.isin(classes, torch.tensor(config.only or tuple(range(10)))) & (ink > 0).flatten(1).any(1)
    ink = ink[may]
    if config.instance >= len(ink) or not len(ink):
        raise ConfigError(f"digits: instance is {config.instance}; {split} has {len(ink)} such digits, counted from 0")
    ink = ink[config.instance : config.instance + 1] if config.instance >= 0 else ink
    side = min(SIDE, round(SIDE * config.size / 64))
    if side == SIDE:
        return ink
    shrunk = F.interpolate(ink[:, None].float(), (side, side), mode="bilinear", antialias=True)[:, 0]
    return shrunk.round().to(torch.uint8)


def extents(kept: Bool[Tensor, "D S S"], angles: Int[Tensor, " A"]) -> Float[Tensor, "D A 4"]:
    """How far the kept pixels reach left, up, right and down of the picture's middle, turned by these units; in 64ths.

    Between pixels ink fades out over the whole way to the next one, so a pixel reaches one pixel to every side.
    """
    side = kept.shape[-1]
    line = (torch.arange(side) - (side - 1) / 2) * (SIDE / side)
    far = torch.full_like(line, math.inf)
    # The first and the last pixel of every row: the others lie between them. Rows without any reach nowhere.
    x = torch.cat([torch.where(kept, line, far).amin(-1), torch.where(kept, line, -far).amax(-1)], dim=-1)
    some, y = x.isfinite(), line.repeat(2)
    x = x.where(some, 0.0)
    found = []
    for angle in (angles * UNIT).tolist():
        cos, sin = math.cos(angle), math.sin(angle)
        turned = torch.stack([cos * x - sin * y, sin * x + cos * y])
        ways = torch.cat([-turned, turned]).where(some, -math.inf).amax(-1)
        found.append(ways.T + (abs(cos) + abs(sin)) * SIDE / side)
    return torch.stack(found, dim=1)


def first_step(
    draw: Float[Tensor, "*M K 4"], place: Float[Tensor, "*M 2"], fits: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Int[Tensor, "*M"], Float[Tensor, "*M 2"]]:
    """Turn in units and shift in 64ths of the first of K drawn steps for which ``fits(turns, shifts)`` says yes.

    Where it does for none, the digit moves by the shortest shift towards the middle, which always stays on the canvas.
    """
    shifts, turns = torch.tensor(SHIFTS, dtype=torch.float64), torch.tensor(TURNS)
    turning = draw[..., 0] < 0.5
    shift = shifts[(draw[..., 1:3] * len(SHIFTS)).long()] * ~turning[..., None]
    turn = turns[(draw[..., 3] * len(TURNS)).long()] * turning
    back = torch.where(place > 0, -1.0, 1.0).double() * min(map(abs, SHIFTS))
    good = torch.cat([fits(turn, shift), torch.ones_like(turning[..., :1])], dim=-1)
    chosen = good.byte().argmax(-1, keepdim=True)  # the first of the greatest
    shift, turn = torch.cat([shift, back[..., None, :]], dim=-2), F.pad(turn, (0, 1))
    return turn.gather(-1, chosen)[..., 0], shift.gather(-2, chosen[..., None].expand(*chosen.shape, 2))[..., 0, :]


def poses(
    reach: Float[Tensor, "G N A 4"], config: MovingDigitsConfig, split: int, edge: float
) -> Float[Tensor, "M T N 3"]:
    """Every motion's poses: angle in radians, clockwise as one sees it, and the middle's x and y in 64ths.

    `reach` is how far the characters of each table extend, of which the middle one of A angles is 0; none reaches
    beyond `edge` 64ths from the canvas's middle.
    """
    half, wide = reach.shape[2] // 2, torch.tensor([-1, -1, 1, 1])
    index = torch.arange(len(reach) * TABLE * config.digits).view(-1, config.digits)
    table, digit = index // config.digits // TABLE, index % config.digits
    # Whole 64ths away from the edge, as a 28-pixel picture is put on 64 pixels.
    upright = reach[table, digit, half].double()
    low, high = (upright[..., :2] - edge).ceil(), (edge - upright[..., 2:]).floor()
    angle = torch.zeros_like(index)
    place = low + (uniform(config.seed, PLACE + 1000 * split, index, 2) * (high - low + 1)).floor()

    def fits(turn: Tensor, shift: Tensor) -> Tensor:
        units = (angle[..., None] + turn + CIRCLE // 2) % CIRCLE - CIRCLE // 2
        middle = (place[..., None, :] + shift).repeat(1, 1, 1, 2)
        return (wide * middle + reach[table[..., None], digit[..., None], units + half] <= edge + 1e-4).all(-1)

    path = [(angle, place)]
    for frame in range(1, config.frames):
        stream = STEP + 1000 * split + 10_000 * frame
        draw = uniform(config.seed, stream, index, 4 * CANDIDATES).unflatten(-1, (CANDIDATES, 4))
        turn, shift = first_step(draw, place, fits)
        angle, place = angle + turn, place + shift
        path.append((angle, place))
    return torch.stack([torch.cat([angle[..., None] * UNIT, place], dim=-1) for angle, place in path], dim=1)


class MovingDigits(SceneSource):
    """Clips of one split: ``train``, ``val`` or ``test``, which share no digit, no motion and no background.

    Clip n lies in table n // 16, in row n // 4 % 4 (its motion) and column n % 4 (its character). Characters take the
    digits in turn, each digit as often as any other. `movements` tells clips by what most of their steps are. Raises
    ConfigError for an unknown split or where no digit is left, FileError where a file of digits is not right.
    """

    name = "digits"
    fps = 5.0
    bare = BARE
    movements = ("translate", "both", "rotate")

    def __init__(self, config: MovingDigitsConfig, split: str) -> None:
        number = split_number(split)
        self.config, self.split, self.backgrounds = config, split, config.backgrounds
        self.size = (config.size, config.size)
        self.ink = read_digits(config, split)
        canvases = backgrounds(config.backgrounds, config.size, config.seed, split)
        bare = torch.tensor(BARE, dtype=torch.uint8).view(1, 3, 1, 1).expand_as(canvases[:1])
        self.canvases = torch.cat([canvases, bare])
        count = config.videos // TABLE
        order = uniform(config.seed, 1000 * number + 99, torch.arange(len(self.ink)), 1)[:, 0].argsort()
        self.worn = order[torch.arange(count * config.digits) % len(order)].view(count, config.digits)
        furthest = min(max(TURNS) * (config.frames - 1), CIRCLE // 2)
        reach = extents(INSIDE[config.inside](self.ink), torch.arange(-furthest, furthest + 1))
        table = self.worn.unflatten(0, (-1, TABLE))
        reach = torch.stack([reach[table[:, row]] for row in range(TABLE)]).amax(0)
        # The outermost pixels' middles are half a pixel from the edge; ink that is not yet seen there is one away.
        self.poses = poses(reach, config, number, 32 + 32 / config.size)

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full((self.config.videos,), self.config.frames, device=self.worn.device)

    def motion_of(self, clips: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The number of each clip's motion: its row in `poses`."""
        return clips.to(self.worn.device) // TABLE

    def character_of(self, clips: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The number of each clip's character: its row in `worn`, the digits of each character."""
        clips = clips.to(self.worn.device)
        return clips // TABLE**2 * TABLE + clips % TABLE

    def theta(self, motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]) -> Float[Tensor, "B N 2 3"]:
        """What maps the canvas to each digit's picture at step `steps` of the motion of clip `motion`, float64."""
        pose = self.poses[self.motion_of(motion), steps.to(self.worn.device)]
        return invert(from_parts(pose[..., 0], pose[..., 1:] / 32, SIDE / 64))

    def given(
        self, clips: Int[Tensor, " B"], first: Int[Tensor, " B"], second: Int[Tensor, " B"]
    ) -> Float[Tensor, "B 2 3"] | None:
        """The digit's transformation: warping the mask at `first` with it gives that at `second`; None for several."""
        if self.config.digits > 1:
            return None
        back = invert(self.theta(clips, first)[:, 0])
        return compose(back, self.theta(clips, second)[:, 0]).float()

    def render(
        self,
        character: Int[Tensor, " B"],
        motion: Int[Tensor, " B"],
        steps: Int[Tensor, " B"],
        background: Int[Tensor, " B"],
    ) -> UInt8[Tensor, "B 3 H W"]:
        clear = 1 - self.mask(character, motion, steps)
        return (self.canvas(background) * clear).round_().to(torch.uint8)

    def mask(
        self, character: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]
    ) -> Float[Tensor, "B 1 H W"]:
        """As all ink is black, digits that lie over each other leave the product of what each lets through."""
        theta = self.theta(motion, steps).float()
        ink = self.ink[self.worn[self.character_of(character)]].flatten(0, 1)[:, None].float() / 255
        drawn = warp_to(ink, theta.flatten(0, 1), *self.size)
        clear = 1 - COMPOSITING[self.config.compositing](drawn).unflatten(0, theta.shape[:2])
        return 1 - clear.prod(1)

    def canvas(self, background: Int[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        return self.canvases[background.to(self.worn.device)]  # -1 is the last, the bare one

    def movement(self, clips: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        turned = (self.poses[self.motion_of(clips), :, :, 0].diff(dim=1).abs() > 1e-6).flatten(1)
        return (2 * turned.sum(1) - turned.shape[1]).sign() + 1

    def another_character(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Another column of the clip's table. Raises ConfigError where the digits do not suffice for 4 characters."""
        if len(self.ink) < TABLE * self.config.digits:
            raise ConfigError(f"digits: {len(self.ink)} digits do not make {TABLE} characters; set instance to -1")
        other = (clips + 1 + (draw * (TABLE - 1)).long()) % TABLE
        return clips - clips % TABLE + other

    def another_motion(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Another row of the clip's table, with the same character."""
        row = clips // TABLE % TABLE
        other = (row + 1 + (draw * (TABLE - 1)).long()) % TABLE
        return clips + (other - row) * TABLE

    def to(self, device: torch.device) -> "MovingDigits":
        moved = copy.copy(self)
        for name in ("ink", "canvases", "worn", "poses"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def nbytes(self) -> int:
        return sum(value.nbytes for value in (self.ink, self.canvases, self.worn, self.poses))
