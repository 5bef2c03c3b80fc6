"""Sheets of the Liberated Pixel Cup: 832 x 1344 pixels, 13 x 21 cells, one row for each animation and direction.

The layout is that of the Universal LPC Spritesheet (its ``_build/sheets.rb``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from kinema.clip import VideoClip
from kinema.errors import FileError
from kinema.files.images import read_still
from kinema.files.pixels import clip_of_rgba
from kinema.files.spec import Spec

CELL = 64
"""Width and height of a cell, in pixels."""
SIZE = (832, 1344)
"""Width and height of a sheet, in pixels."""
DIRECTIONS = ("up", "left", "down", "right")
"""The order of an animation's rows."""
ALIASES = {"back": "up", "front": "down"}


@dataclass(frozen=True)
class Animation:
    """Where an animation lies in a sheet."""

    row: int
    """The row of its first direction, from 0."""
    frames: int
    """How many columns of a row are filled, from the left."""
    directions: tuple[str, ...] = DIRECTIONS
    """Its directions, a row each."""


LAYOUT: Mapping[str, Animation] = {
    "spellcast": Animation(0, 7),
    "thrust": Animation(4, 8),
    "walk": Animation(8, 9),
    "slash": Animation(12, 6),
    "shoot": Animation(16, 13),
    "hurt": Animation(20, 6, ("down",)),
}
"""Column 0 of ``walk`` is the standing pose: the cycle is columns 1 to 8."""


def read_lpc(path: Path, animation: str, direction: str = "down") -> VideoClip:
    """All filled columns of one row. Raises FileError for a name that the layout does not hold."""
    return row_clip(read_still(path), path, animation, ALIASES.get(direction, direction))


def read_lpc_tag(source: Spec) -> list[VideoClip]:
    """The rows that a tag selects: ``walk/left`` one, ``walk`` its four, no tag all that anything is drawn in."""
    sheet = read_still(source.path)
    clips = [row_clip(sheet, source.path, name, way) for name, way in rows_of(source.tag or "")]
    drawn = [clip for clip in clips if source.tag or clip.alpha is None or bool(clip.alpha.any())]
    return [source.cut(clip) for clip in drawn]


def rows_of(tag: str) -> list[tuple[str, str]]:
    """The animations and directions that a tag names; the empty tag names all."""
    animation, _, direction = tag.partition("/")
    if direction or (animation and animation not in LAYOUT):
        return [(animation, ALIASES.get(direction, direction))]
    return [(name, way) for name in ([animation] if animation else LAYOUT) for way in LAYOUT[name].directions]


def row_clip(sheet: UInt8[np.ndarray, "H W 4"], path: Path, animation: str, direction: str) -> VideoClip:
    place = LAYOUT.get(animation)
    if sheet.shape[1::-1] != SIZE:
        raise FileError(f"{path}: {sheet.shape[1]} x {sheet.shape[0]} pixels; an LPC sheet has {SIZE[0]} x {SIZE[1]}")
    if place is None or direction not in place.directions:
        known = ", ".join(f"{name}/{'|'.join(spot.directions)}" for name, spot in LAYOUT.items())
        raise FileError(f"{path}: an LPC sheet has no #{f'{animation}/{direction}'.strip('/')}; it has {known}")
    top = (place.row + place.directions.index(direction)) * CELL
    row = sheet[top : top + CELL, : place.frames * CELL]
    labels = {"action": animation, "direction": direction, "tag": f"{animation}/{direction}"}
    return clip_of_rgba(np.stack(np.split(row, place.frames, axis=1)), path, labels=labels)
