"""Sprites of 672 characters in 20 animations each, composed from a folder of LPC sheets: pairs with a known truth.

Sections 4.2 and 4.4 of Resnick et al., "Learning equivariant rendering from motion": every character casts a spell,
thrusts, walks, slashes and shoots, seen from four sides, in clips of 7, 8, 9, 6 and 13 frames; on black, or centred on
backgrounds of diamonds. The sheets stay in memory, not the 115 584 frames: these are pasted when they are asked for.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from kinema.data import diamonds
from kinema.data.characters_sheets import (
    COUNTS,
    FACTORS,
    SHEETS,
    members,
    read_character_credits,
    sheets_folder,
    worn_sheets,
)
from kinema.data.draws import integers
from kinema.data.lpc_layers import Layers, blend, halve, read_layers
from kinema.data.pairs import SceneSource
from kinema.errors import ConfigError
from kinema.files.lpc import CELL, DIRECTIONS, LAYOUT

ANIMATIONS = ("spellcast", "thrust", "walk", "slash", "shoot")
VIEWS = len(DIRECTIONS)
BLACK = (0, 0, 0)
SWAY_STREAM, LONGEST = 672, 16
"""The stream of the sway's draws, and more than any clip's frames."""


@dataclass(frozen=True)
class Frame:
    """How a picture of some size is made of a 64 x 64 cell."""

    margin: int = 0
    """Pixels cut off at each side of the cell."""
    shrink: int = 1
    """Pixels of the cell, along each side, that become one: their mean."""


FRAMES = {64: Frame(), 60: Frame(margin=2), 32: Frame(shrink=2)}
SHRINK: dict[int, Callable] = {1: lambda pixels: pixels, 2: halve}


@dataclass(frozen=True)
class CharactersConfig:
    """Where the sheets lie, and how characters are shown."""

    root: str = ""
    """Folder of the sheets, with their AUTHORS.txt; environment variables (``$NAME``) are looked up. Empty:
    ``$KINEMA_DATA/lpc``."""
    size: int = 64
    """Side of the square frame, in pixels: 64; 60 for the middle of the cell, as in the paper (it cuts up to 19 pixels
    off spears and bows); 32 for the mean of each 2 x 2."""
    backgrounds: int = 0
    """How many diamond backgrounds a split has, each split its own; 0: the bare black canvas."""
    sway: int = 0
    """Each frame is moved to the right by a whole number of pixels from ``-sway`` to ``sway``, uniform; the character
    is cut off where it leaves the frame, and the background stays. The paper's figure 15; 0: none."""
    seed: int = 0
    """Of the split, the backgrounds and the sway."""
    animations: tuple[str, ...] = ANIMATIONS
    """Some of them, in this order."""

    def __post_init__(self) -> None:
        if self.size not in FRAMES:
            raise ConfigError(f"data.size: {self.size} pixels; {', '.join(map(str, FRAMES))} are possible")
        if self.backgrounds < 0:
            raise ConfigError(f"data.backgrounds: {self.backgrounds}; 0 or more are possible")
        if not 0 <= self.sway < self.size // 2:
            raise ConfigError(f"data.sway: {self.sway} pixels; 0 to {self.size // 2 - 1} are possible")
        unknown = [name for name in self.animations if name not in ANIMATIONS]
        if unknown or not self.animations or len(set(self.animations)) < len(self.animations):
            wrong = f"{unknown[0]!r} is unknown" if unknown else "none is given, or one twice"
            raise ConfigError(f"data.animations: {wrong}; give some of {', '.join(ANIMATIONS)}")


@dataclass(frozen=True, eq=False)
class SoftLayers(Layers):
    """Layers that know which of their pixels are neither opaque nor clear, so that pasting need not look for them."""

    soft: Int[Tensor, "S F M"]
    """Their places ``y * W + x``, 0 where a frame has fewer than M."""

    @staticmethod
    def of(layers: Layers, margin: int) -> "SoftLayers":
        """These layers without a margin of so many pixels."""
        inside = slice(margin, CELL - margin)
        ink, keep = (part[..., inside, inside].contiguous() for part in (layers.ink, layers.keep))
        group, place = ((keep > 0) & (keep < 255)).flatten(0, 1).flatten(1).nonzero().unbind(1)
        counts = group.bincount(minlength=ink.shape[0] * ink.shape[1])
        soft = group.new_zeros(len(counts), int(counts.max()))
        soft[group, torch.arange(len(group)) - (counts.cumsum(0) - counts)[group]] = place
        return SoftLayers(ink, keep, layers.blended, soft.unflatten(0, ink.shape[:2]))

    def paste(self, picture: UInt8[Tensor, "P 3 H W"], rows: Int[Tensor, " P"]) -> UInt8[Tensor, "P 3 H W"]:
        """What `Layers.paste` does, also in the same bytes."""
        ink, keep = (part.flatten(0, 1).index_select(0, rows) for part in (self.ink, self.keep))
        # Place 0, which fills the lists up, may be opaque or clear: `blend` is right there too.
        places = self.soft.flatten(0, 1).index_select(0, rows)[:, None]
        pixels = picture.view(len(rows), 3, -1)
        parts = (part.flatten(2).gather(2, places.expand(-1, part.shape[1], -1)) for part in (pixels, ink, keep))
        blends = blend(*(part.int() for part in parts)).to(torch.uint8)
        picture.bitwise_and_(keep).bitwise_or_(ink)
        pixels.scatter_(2, places.expand_as(blends), blends)
        return picture

    def to(self, device: torch.device) -> "SoftLayers":
        return SoftLayers(*(part.to(device) for part in (self.ink, self.keep, self.blended, self.soft)))

    def nbytes(self) -> int:
        return super().nbytes() + self.soft.nbytes


class Characters(SceneSource):
    """The characters of one split: ``train`` (500), ``val`` (72), ``test`` (100) or ``all``; weapon twins together.

    Clip ``M i + 4 animation + view``, of M = 4 x animations, is the split's i-th character in the order of their
    numbers; `identity` holds the number. Views are seen from behind, from the left, the front and the right. Steps are
    taken modulo the clip's frames. Frames are pasted as Pillow does, layer by layer onto the canvas. Raises
    ConfigError for an unknown split, and for ``all`` with backgrounds, which each split has of its own; FileError where
    a sheet is missing or is none.

    With sway, a frame's place is a function of (seed, clip of the motion, step), so `render` shows any character at
    the place where that clip's own character is at that step.
    """

    name = "characters"
    fps = 10.0
    factors: Mapping[str, tuple[str, ...]] = {**FACTORS, "animation": ANIMATIONS, "view": DIRECTIONS}

    def __init__(self, config: CharactersConfig, split: str) -> None:
        numbers = members(split, config.seed)
        root = sheets_folder(config.root)
        self.config, self.split, self.size = config, split, (config.size, config.size)
        self.movements = config.animations
        self.motions = VIEWS * len(config.animations)
        frames = torch.tensor([LAYOUT[name].frames for name in config.animations]).repeat_interleave(VIEWS)
        self.identity = numbers.repeat_interleave(self.motions)
        motion = torch.arange(self.motions).repeat(len(numbers))
        self.counts, self.starts = frames[motion], (frames.cumsum(0) - frames)[motion]
        known = torch.tensor([ANIMATIONS.index(name) for name in config.animations])
        self.labels = dict(zip(FACTORS, torch.unravel_index(self.identity, COUNTS), strict=True))
        self.labels |= {"animation": known[motion // VIEWS], "view": motion % VIEWS}
        self.credits = read_character_credits(root / "AUTHORS.txt")
        self.frame = FRAMES[config.size]
        sheets = read_layers([root / sheet.path for sheet in SHEETS], cells(config.animations))
        self.layers, self.worn = SoftLayers.of(sheets, self.frame.margin), worn_sheets()
        self.backgrounds = max(1, config.backgrounds)
        self.bare = diamonds.BARE if config.backgrounds else BLACK
        self.canvases = self.all_canvases()

    def all_canvases(self) -> UInt8[Tensor, "N 3 H W"]:
        """The backgrounds before they are shrunk, and the bare canvas after them."""
        side = self.config.size * self.frame.shrink
        bare = torch.tensor(self.bare, dtype=torch.uint8)[None, :, None, None].expand(1, 3, side, side)
        if not self.config.backgrounds:
            return bare.contiguous()
        return torch.cat([diamonds.backgrounds(self.backgrounds, side, self.config.seed, self.split), bare])

    def frame_counts(self) -> Int[Tensor, " N"]:
        return self.counts

    def steady(self) -> "Characters":
        """The same characters, who do not sway."""
        other = copy.copy(self)
        other.config = replace(self.config, sway=0)
        return other

    def render(
        self,
        character: Int[Tensor, " B"],
        motion: Int[Tensor, " B"],
        steps: Int[Tensor, " B"],
        background: Int[Tensor, " B"],
    ) -> UInt8[Tensor, "B 3 H W"]:
        character, motion, steps = self.here(character, motion, steps)
        canvas = self.whole_canvas(background)
        if not self.config.sway:
            return self.shrunk(self.pasted(canvas, character, motion, steps))
        # The canvas moves under the character and back with it, so that every pixel is pasted on the one it will cover.
        shift = self.offsets(motion, steps) * self.frame.shrink
        moved = self.pasted(rolled(canvas, -shift), character, motion, steps)
        return self.shrunk(torch.where(covered(shift, canvas.shape[-1]), rolled(moved, shift), canvas))

    def pasted(
        self,
        picture: UInt8[Tensor, "B 3 H W"],
        character: Int[Tensor, " B"],
        motion: Int[Tensor, " B"],
        steps: Int[Tensor, " B"],
    ) -> UInt8[Tensor, "B 3 H W"]:
        """The pictures, overwritten, with the characters in their middle."""
        for row in self.rows(character, motion, steps).unbind(1):
            picture = self.layers.paste(picture, row)
        return picture

    def rows(
        self, character: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]
    ) -> Int[Tensor, "B L"]:
        """Which frames of the layers are pasted, the lowest first."""
        cell = self.starts[motion] + steps % self.counts[motion]
        return self.worn[self.identity[character]] * self.layers.ink.shape[1] + cell[:, None]

    def offsets(self, motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """How far to the right the frame's character is moved, in pixels of the frame."""
        sway = self.config.sway
        clip = (self.identity[motion] * len(ANIMATIONS) + self.labels["animation"][motion]) * VIEWS
        index = (clip + self.labels["view"][motion]) * LONGEST + steps % self.counts[motion]
        return integers(self.config.seed, SWAY_STREAM, index, 1, 2 * sway + 1)[..., 0] - sway

    def mask(
        self, character: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]
    ) -> Float[Tensor, "B 1 H W"]:
        character, motion, steps = self.here(character, motion, steps)
        keep = self.layers.keep.flatten(0, 1)
        clear = torch.stack([keep[row].float() / 255 for row in self.rows(character, motion, steps).unbind(1)]).prod(0)
        opacity = 1 - clear
        if self.config.sway:
            shift = self.offsets(motion, steps) * self.frame.shrink
            opacity = rolled(opacity, shift) * covered(shift, opacity.shape[-1])
        return functional.avg_pool2d(opacity, self.frame.shrink)

    def canvas(self, background: Int[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        return self.shrunk(self.whole_canvas(background))

    def whole_canvas(self, background: Int[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """The canvases before they are shrunk, to be pasted on; -1 is the last one, which is bare."""
        return self.canvases.index_select(0, self.here(background)[0] % len(self.canvases))

    def movement(self, clips: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Which of the animations each clip shows."""
        return clips % self.motions // VIEWS

    def another_character(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """A clip of the same animation and view of another character of the split, who is not the weapon twin."""
        who, motion = clips // self.motions, clips % self.motions
        pairs = len(self) // self.motions // 2
        chosen = chosen_of(draw, 2 * pairs - 2)
        other = (who // 2 + 1 + chosen // 2) % pairs * 2 + chosen % 2
        return other * self.motions + motion

    def another_motion(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """A clip of the same character in another animation, another view, or both."""
        who, motion = clips // self.motions, clips % self.motions
        return who * self.motions + (motion + 1 + chosen_of(draw, self.motions - 1)) % self.motions

    def shrunk(self, pixels: UInt8[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 h w"]:
        return SHRINK[self.frame.shrink](pixels)

    def here(self, *indices: Int[Tensor, " B"]) -> tuple[Tensor, ...]:
        return tuple(index.to(self.worn.device) for index in indices)

    def to(self, device: torch.device) -> "Characters":
        moved = copy.copy(self)
        for name in ("layers", "worn", "canvases", "identity", "counts", "starts"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.layers.nbytes() + self.canvases.nbytes


def cells(animations: tuple[str, ...]) -> Int[np.ndarray, "F 2"]:
    """The (row, column) of every frame in a sheet, by animation, view and step, the last fastest."""
    places = [
        (LAYOUT[name].row + view, column)
        for name in animations
        for view in range(VIEWS)
        for column in range(LAYOUT[name].frames)
    ]
    return np.array(places)


def chosen_of(draw: Float[Tensor, " B"], count: int) -> Int[Tensor, " B"]:
    """Numbers in [0, 1) as whole numbers below `count`."""
    return (draw.double() * count).long().clamp(max=count - 1)


def rolled(pictures: Tensor, shift: Int[Tensor, " B"]) -> Tensor:
    """Pictures (B, C, H, W) moved to the right, each by its own number of pixels, around the edges."""
    columns = torch.arange(pictures.shape[-1], device=shift.device) - shift[:, None]
    return pictures.gather(3, (columns % pictures.shape[-1])[:, None, None].expand_as(pictures))


def covered(shift: Int[Tensor, " B"], width: int) -> Bool[Tensor, "B 1 1 W"]:
    """The columns that something was moved into that had not left the picture."""
    columns = torch.arange(width, device=shift.device) - shift[:, None]
    return ((columns >= 0) & (columns < width))[:, None, None]
