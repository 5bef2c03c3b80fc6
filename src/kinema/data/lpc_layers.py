"""Frames of sprite sheets, and their pasting one over another, for many pictures at once.

Pasting is exactly Pillow's ``picture.paste(layer, (0, 0), layer)`` on an opaque picture: an opaque pixel replaces what
is under it, a clear one leaves it, and between them ``(layer * a + under * (255 - a)) / 255`` is rounded to nearest.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import ne
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int, Int32, UInt8, UInt16
from torch import Tensor

from kinema.errors import FileError
from kinema.files.images import read_still
from kinema.files.lpc import CELL, SIZE


@dataclass(frozen=True, eq=False)
class Layers:
    """S sheets of F frames each; sheet 0 is clear throughout, to be worn where there is nothing to wear."""

    ink: UInt8[Tensor, "S F 3 H W"]
    """Straight RGB; 0 where the layer is clear."""
    keep: UInt8[Tensor, "S F 1 H W"]
    """How much of the picture under it stays: 255 - alpha."""
    blended: Bool[Tensor, " S"]
    """Whether any of a sheet's pixels is neither opaque nor clear."""

    def paste(self, picture: UInt8[Tensor, "P 3 H W"], rows: Int[Tensor, " P"]) -> UInt8[Tensor, "P 3 H W"]:
        """The pictures with frame ``rows % F`` of sheet ``rows // F`` over each; `picture` is overwritten."""
        ink = self.ink.flatten(0, 1).index_select(0, rows)
        keep = self.keep.flatten(0, 1).index_select(0, rows)
        mixed = self.blended[rows // self.ink.shape[1]].nonzero().squeeze(1)
        blends = blend(*(part[mixed].int() for part in (picture, ink, keep))).to(torch.uint8)
        return picture.bitwise_and_(keep).bitwise_or_(ink).index_copy_(0, mixed, blends)

    def compose(self, worn: Int[Tensor, "P L"], frames: Int[Tensor, " P"]) -> UInt8[Tensor, "P 3 H W"]:
        """P pictures on black: frame ``frames[p]`` of the sheets ``worn[p]``, each over those before it."""
        picture = self.ink.new_zeros(len(frames), *self.ink.shape[2:])
        for sheet in worn.unbind(1):
            picture = self.paste(picture, sheet * self.ink.shape[1] + frames)
        return picture

    def over(self, under: UInt8[np.ndarray, "F 3 H W"], sheet: int) -> UInt8[np.ndarray, "F 3 H W"]:
        """All frames of a sheet over these pictures, on the CPU."""
        ink, keep = self.ink[sheet].numpy(), self.keep[sheet].numpy()
        if self.blended[sheet]:
            return blend(*(part.astype(np.uint16) for part in (under, ink, keep))).astype(np.uint8)
        picture = under & keep
        return np.bitwise_or(picture, ink, out=picture)

    def characters(self, worn: Int[Tensor, "N L"]) -> Iterator[UInt8[np.ndarray, "F 3 H W"]]:
        """All frames of N characters, one after another, that wear the sheets ``worn[n]``; on the CPU.

        A character that shares its first sheets with the one before it is begun where they part: fast in sorted order.
        NumPy works in the thread that asks: the characters can be shared out among threads.
        """
        stages, before = [np.zeros(self.ink.shape[1:], np.uint8)], [-1] * worn.shape[1]
        for sheets in worn.tolist():
            shared = [*map(ne, sheets, before), True].index(True)
            del stages[shared + 1 :]
            for sheet in sheets[shared:]:
                stages.append(self.over(stages[-1], sheet))
            before = sheets
            yield stages[-1]

    def to(self, device: torch.device) -> "Layers":
        return Layers(self.ink.to(device), self.keep.to(device), self.blended.to(device))

    def nbytes(self) -> int:
        """Memory of the frames, in bytes."""
        return self.ink.nbytes + self.keep.nbytes


Wide = TypeVar("Wide", Int32[Tensor, "..."], UInt16[np.ndarray, "..."])
Bytes = TypeVar("Bytes", UInt8[Tensor, "..."], UInt8[np.ndarray, "..."])


def blend(under: Wide, ink: Wide, keep: Wide) -> Wide:
    """Pasting of pixels of any opacity; values 0-255, in a type that can hold their products."""
    total = ink * (255 - keep) + under * keep + 128
    return (total + (total >> 8)) >> 8  # total / 255, rounded: exact below 2 ** 16


def halve(pixels: Bytes) -> Bytes:
    """Half the height and width: the mean of each 2 x 2 pixels, rounded, halves up."""
    upper, lower = pixels[..., ::2, :], pixels[..., 1::2, :]
    a, b, c, d = upper[..., ::2], upper[..., 1::2], lower[..., ::2], lower[..., 1::2]
    rests = (a & 3) + (b & 3) + (c & 3) + (d & 3)
    return (a >> 2) + (b >> 2) + (c >> 2) + (d >> 2) + ((rests + 2) >> 2)  # never leaves the range of a byte


def cut(path: Path, cells: Int[np.ndarray, "F 2"]) -> UInt8[np.ndarray, "F 64 64 4"]:
    """The frames at these (row, column) of an LPC sheet. Raises FileError for a picture of another size."""
    sheet = read_still(path)
    if sheet.shape[1::-1] != SIZE:
        raise FileError(f"{path}: {sheet.shape[1]} x {sheet.shape[0]} pixels; an LPC sheet has {SIZE[0]} x {SIZE[1]}")
    grid = sheet.reshape(SIZE[1] // CELL, CELL, SIZE[0] // CELL, CELL, 4).swapaxes(1, 2)
    return grid[cells[:, 0], cells[:, 1]]


def read_layers(paths: Sequence[Path], cells: Int[np.ndarray, "F 2"]) -> Layers:
    """The frames at `cells` of the sheets `paths`, which get the numbers 1, 2, ..."""
    shape = (len(paths) + 1, len(cells))
    ink = np.zeros((*shape, 3, CELL, CELL), dtype=np.uint8)
    keep = np.full((*shape, 1, CELL, CELL), 255, dtype=np.uint8)

    def read(number: int) -> None:
        rgba = cut(paths[number - 1], cells).transpose(0, 3, 1, 2)
        ink[number] = np.where(rgba[:, 3:] > 0, rgba[:, :3], np.uint8(0))
        keep[number] = 255 - rgba[:, 3:]

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, range(1, len(paths) + 1)))
    blended = ((keep > 0) & (keep < 255)).any(axis=(1, 2, 3, 4))
    return Layers(torch.from_numpy(ink), torch.from_numpy(keep), torch.from_numpy(blended))
