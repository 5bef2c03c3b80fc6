"""Reads the gzip-packed IDX files of MNIST and its kin: unsigned bytes with their shape in front.

The file is two zero bytes, the kind of number (8: unsigned byte), the number of dimensions, each dimension as four
bytes, the greatest first, and the numbers, the last dimension fastest.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from kinema.errors import FileError

MAX_BYTES = 2**28
"""The most numbers that a file may hold: five times MNIST."""
MAX_RATIO = 1040
"""Deflate packs at most 1032 bytes into one."""
GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 8


def read_idx(path: Path, shape: tuple[int, ...] = ()) -> UInt8[Tensor, "N ..."]:
    """The array in the file, (N, *shape).

    Raises FileError where the file is missing, not gzip, damaged, cut short, too long, too large, or where its items
    have another shape.
    """
    if not path.is_file():
        raise FileError(f"{path}: there is no such file; an IDX file packed with gzip is needed")
    try:
        with path.open("rb") as file:
            if file.read(2) != GZIP:
                raise FileError(f"{path}: not packed with gzip; an IDX file ending in .gz is needed")
        with gzip.open(path) as file:
            sizes = _header(path, file.read(4 + 4 * (1 + len(shape))), shape)
            total = math.prod(sizes)
            if total > min(MAX_BYTES, MAX_RATIO * path.stat().st_size):
                room = f"{MAX_BYTES} bytes at most, and {MAX_RATIO} for each byte of the file"
                raise FileError(f"{path}: its header says {_times(sizes)} bytes; there may be {room}")
            data = file.read(total + 1)
    except EOFError as error:
        raise FileError(f"{path}: cut short; get the file again") from error
    except (zlib.error, OSError) as error:
        raise FileError(f"{path}: damaged or not readable ({error}); get the file again") from error
    if len(data) != total:
        found = f"only {len(data)}" if len(data) < total else "more"
        raise FileError(f"{path}: its header says {_times(sizes)} = {total} bytes, there are {found}")
    return torch.from_numpy(np.frombuffer(bytearray(data), np.uint8).reshape(sizes))


def _times(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _header(path: Path, head: bytes, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes that the file's first bytes give. Raises FileError where they are not those of (N, *shape)."""
    magic = bytes([0, 0, UNSIGNED_BYTE, 1 + len(shape)])
    if head[:4] != magic:
        raise FileError(f"{path}: begins with {head[:4].hex(' ') or 'nothing'}; {magic.hex(' ')} is needed for IDX")
    if len(head) < 4 + 4 * (1 + len(shape)):
        raise FileError(f"{path}: cut short within its header; get the file again")
    sizes = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, len(head), 4))
    if sizes[1:] != shape or not sizes[0]:
        raise FileError(f"{path}: its sizes are {_times(sizes)}; {' x '.join(['N', *map(str, shape)])} are needed")
    return sizes
