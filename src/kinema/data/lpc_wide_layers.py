"""A whole folder of LPC sheets: which garment each one is, and the pixels of all of them in little memory.

A sheet is kept as one byte a pixel and a palette, cut to the part of the cell that its slot ever uses: 850 sheets of 63
frames take about 80 MB, where RGBA would take 0.9 GB. Colours stay exact, and pasting is that of `lpc_layers`.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, Int32, UInt8
from torch import Tensor

from kinema.data.lpc import EXPECTED
from kinema.data.lpc_characters import LICENCE
from kinema.data.lpc_layers import blend, cut
from kinema.errors import FileError
from kinema.files.guard import reading
from kinema.files.images import opened
from kinema.files.lpc import CELL, SIZE

SEXES = ("male", "female")
SLOTS = ("body", "feet", "legs", "torso", "hair")
"""What a character wears, one sheet each, in the order of pasting: trousers and skirts fall over boots."""
RULES: tuple[tuple[str, str | None], ...] = (
    ("body/*/*/*", None),
    ("body/*", "body"),
    ("hair/*/shadows-*", None),
    ("hair/*", "hair"),
    ("torso/back/*", None),
    ("torso/*/arms_*", None),
    ("torso/*/shoulders_*", None),
    ("torso/*/spikes_*", None),
    ("torso/*/overskirt*", None),
    ("torso/*", "torso"),
    ("legs/*", "legs"),
    ("feet/*", "feet"),
    ("formal_male*/pants.png", "legs"),
    ("formal_male*/shirt.png", "torso"),
)
"""The slot of a sheet by its place in the folder: the first pattern that fits decides. None: a part of another garment
(eyes, ears, capes, pieces of armour and dress), which is left out, as is what no pattern fits."""
MOST_BYTES = 600 * 2**20
"""The most memory that the sheets of a folder may take before they are cut."""
COLOURS = 256


@dataclass(frozen=True)
class WideSheet:
    """One sheet that can be worn."""

    path: str
    """Below the folder of sheets, with ``/``."""
    slot: str
    sex: str
    unit: str
    """What is held out together: a hair style in all its colours, a body or a garment in the cut of either sex."""


def sheets_root(root: str) -> Path:
    """The folder of sheets; empty: ``$KINEMA_DATA/lpc``. Raises FileError where it, or its AUTHORS.txt, is missing."""
    place = os.path.expandvars(root or "$KINEMA_DATA/lpc")
    if place.startswith("$"):
        raise FileError(f"{place}: the environment variable is not set; set it, or data.root. {EXPECTED}")
    for path in (Path(place), Path(place, "AUTHORS.txt")):
        if not path.exists():
            raise FileError(f"{path}: there is no such {'file' if path.suffix else 'folder'}; {EXPECTED}")
    return Path(place)


def find_sheets(root: Path) -> tuple[tuple[WideSheet, ...], Mapping[str, int]]:
    """The sheets that can be worn, by slot and path, and how many pictures were left out, by the reason.

    Only headers are read. Raises FileError where a picture is damaged, or where there is no body.
    """
    found, left_out = [], Counter()
    for file in sorted(root.rglob("*.png")):
        path = file.relative_to(root).as_posix()
        slot = next((slot for pattern, slot in RULES if fnmatch(path, pattern)), None)
        sex = re.search("female|male", path)
        with opened(file) as image:
            fits = image.size == SIZE
        if slot is None:
            left_out["no slot of ours"] += 1
        elif not fits:
            left_out[f"not {SIZE[0]} x {SIZE[1]} pixels"] += 1
        elif sex is None:
            left_out["no sex in its path"] += 1
        else:
            found.append(WideSheet(path, slot, sex[0], unit_of(path, slot)))
    found.sort(key=lambda sheet: (SLOTS.index(sheet.slot), sheet.path))
    if not any(sheet.slot == "body" for sheet in found):
        raise FileError(f"{root}: holds no body of {SIZE[0]} x {SIZE[1]} pixels; {EXPECTED}")
    return tuple(found), dict(left_out)


def unit_of(path: str, slot: str) -> str:
    """What is held out together with a sheet: hair by the folder of its style, all else by its path without the sex."""
    if slot == "hair":
        return Path(path).parent.name
    return re.sub("//+", "/", re.sub("_?(female|male|incomplete)", "", path.removesuffix(".png")))


def authors(path: Path) -> tuple[str, ...]:
    """Everybody whom AUTHORS.txt names, and the licence. Raises FileError where the file names nobody.

    The file does not say of every sheet who drew it, so nobody is left out.
    """
    with reading(path):
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        names = [a for a, b in pairwise(lines) if a and b and not b.strip("-")]
        if not names:
            raise ValueError("no author's name is underlined in it")
    return (*names, LICENCE)


@dataclass(frozen=True, eq=False)
class PaletteLayers:
    """The S sheets of one slot, F frames each; sheet 0 is clear throughout."""

    index: UInt8[Tensor, "S F h w"]
    """Which colour of the sheet's palette each pixel has; 0: clear."""
    palette: Int32[Tensor, "V S 256"]
    """Straight RGBA, its four bytes in one number; the first of V variants is the sheet's own."""
    blended: Bool[Tensor, " S"]
    """Whether any of a sheet's pixels is neither opaque nor clear."""
    top: int
    """Where the part of the cell begins that is kept, in pixels."""
    left: int

    def paste(
        self,
        picture: UInt8[Tensor, "P 3 H W"],
        sheet: Int[Tensor, " P"],
        frame: Int[Tensor, " P"],
        variant: Int[Tensor, " P"],
    ) -> None:
        """Frame ``frame[p]`` of sheet ``sheet[p]`` in its palette ``variant[p]`` over each picture, which is
        overwritten."""
        place = self.index.flatten(0, 1).index_select(0, sheet * self.index.shape[1] + frame).int()
        place += ((variant * len(self.index) + sheet) * COLOURS).int()[:, None, None]
        colours = self.palette.flatten().index_select(0, place.flatten())
        rgba = colours.view(torch.uint8).view(*place.shape, 4).permute(0, 3, 1, 2)
        ink, keep = rgba[:, :3], 255 - rgba[:, 3:]
        height, width = place.shape[1:]
        under = picture[..., self.top : self.top + height, self.left : self.left + width]
        mixed = self.blended[sheet].nonzero()[:, 0]
        blends = blend(*(part[mixed].int() for part in (under, ink, keep))).to(torch.uint8)
        under.bitwise_and_(keep).bitwise_or_(ink).index_copy_(0, mixed, blends)

    def to(self, device: torch.device) -> "PaletteLayers":
        index, palette, blended = (part.to(device) for part in (self.index, self.palette, self.blended))
        return PaletteLayers(index, palette, blended, self.top, self.left)

    def nbytes(self) -> int:
        return self.index.nbytes + self.palette.nbytes


def compose(
    slots: Sequence[PaletteLayers], worn: Int[Tensor, "P L"], frames: Int[Tensor, " P"], variant: Int[Tensor, " P"]
) -> UInt8[Tensor, "P 3 64 64"]:
    """P pictures on black: frame ``frames[p]`` of the sheets ``worn[p]``, one of each slot, each over those before, in
    their palettes ``variant[p]``."""
    picture = torch.zeros(len(frames), 3, CELL, CELL, dtype=torch.uint8, device=worn.device)
    for layers, sheet in zip(slots, worn.unbind(1), strict=True):
        layers.paste(picture, sheet, frames, variant)
    return picture


@dataclass(frozen=True, eq=False)
class Trimmed:
    """The frames of one sheet, cut to what is drawn in any of them."""

    index: UInt8[np.ndarray, "F h w"]
    colours: UInt8[np.ndarray, "K 4"]
    """The palette; the first is clear."""
    top: int
    left: int


def read_wide(root: Path, sheets: tuple[WideSheet, ...], cells: Int[np.ndarray, "F 2"]) -> tuple[PaletteLayers, ...]:
    """The frames at `cells` of these sheets, by slot, numbered 1, 2, ... in each.

    Those read last are kept, so that the splits of one folder share them. Raises FileError for a damaged sheet, one of
    more than 255 colours, or so many that they would not fit into `MOST_BYTES`.
    """
    need = len(sheets) * len(cells) * CELL**2
    if need > MOST_BYTES:
        told = f"{len(sheets)} sheets may need {need / 2**20:.0f} MB; {MOST_BYTES >> 20} MB are allowed"
        raise FileError(f"{root}: {told}. Take some of them away")
    stamps = tuple((root / sheet.path).stat().st_mtime_ns for sheet in sheets)
    return _read(root.resolve(), sheets, stamps, tuple(map(tuple, cells.tolist())))


@lru_cache(maxsize=1)
def _read(
    root: Path, sheets: tuple[WideSheet, ...], stamps: tuple[int, ...], cells: tuple[tuple[int, ...], ...]
) -> tuple[PaletteLayers, ...]:
    del stamps  # they make a folder that was changed another one
    with ThreadPoolExecutor() as pool:
        trimmed = list(pool.map(lambda sheet: trim(root / sheet.path, np.array(cells)), sheets))
    slots = []
    for slot in SLOTS:
        slots.append(
            pack([part for part, sheet in zip(trimmed, sheets, strict=True) if sheet.slot == slot], len(cells))
        )
    return tuple(slots)


def trim(path: Path, cells: Int[np.ndarray, "F 2"]) -> Trimmed:
    """The frames of one sheet as colours of a palette, in the smallest box that holds all ink."""
    rgba = cut(path, cells)
    inked = rgba[..., 3] > 0
    rows, columns = (np.flatnonzero(inked.any(axis)) for axis in ((0, 2), (0, 1)))
    if not len(rows):
        return Trimmed(np.zeros((len(cells), 1, 1), np.uint8), np.zeros((1, 4), np.uint8), 0, 0)
    colours, which = np.unique(rgba[inked].view(np.uint32)[:, 0], return_inverse=True)
    if len(colours) >= COLOURS:
        raise FileError(f"{path}: {len(colours)} colours; a sheet may have {COLOURS - 1}: reduce them")
    index = np.zeros(inked.shape, np.uint8)
    index[inked] = which + 1
    box = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    palette = np.concatenate([np.zeros((1, 4), np.uint8), colours[:, None].view(np.uint8)])
    return Trimmed(index[box].copy(), palette, int(rows[0]), int(columns[0]))


def pack(parts: Sequence[Trimmed], frames: int) -> PaletteLayers:
    """Sheets of one slot in a box that holds them all, after a clear one."""
    top, left = (min((getattr(part, side) for part in parts), default=0) for side in ("top", "left"))
    height = max((part.top + part.index.shape[1] for part in parts), default=1) - top
    width = max((part.left + part.index.shape[2] for part in parts), default=1) - left
    index = np.zeros((len(parts) + 1, frames, height, width), np.uint8)
    palette = np.zeros((len(parts) + 1, COLOURS, 4), np.uint8)
    for number, part in enumerate(parts, start=1):
        y, x = part.top - top, part.left - left
        index[number, :, y : y + part.index.shape[1], x : x + part.index.shape[2]] = part.index
        palette[number, : len(part.colours)] = part.colours
    blended = ((palette[..., 3] > 0) & (palette[..., 3] < 255)).any(1)
    numbers = torch.from_numpy(palette.view(np.int32)[None, ..., 0])
    return PaletteLayers(torch.from_numpy(index), numbers, torch.from_numpy(blended), top, left)
