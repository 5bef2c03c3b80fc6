"""IDX files: whole ones are read, all others refused in one line."""

import gzip
import struct

import numpy as np
import pytest
import torch

from kinema.data.idx import read_idx
from kinema.errors import FileError
from real_data import real_data


def idx(array: np.ndarray, kind: int = 8, sizes: tuple[int, ...] | None = None) -> bytes:
    sizes = array.shape if sizes is None else sizes
    return bytes([0, 0, kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + array.tobytes()


PICTURES = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)


def test_pictures_and_labels_are_read(tmp_path):
    (tmp_path / "p.gz").write_bytes(gzip.compress(idx(PICTURES)))
    (tmp_path / "l.gz").write_bytes(gzip.compress(idx(PICTURES[:, 0, 0])))
    assert torch.equal(read_idx(tmp_path / "p.gz", (6, 7)), torch.from_numpy(PICTURES))
    assert torch.equal(read_idx(tmp_path / "l.gz"), torch.from_numpy(PICTURES[:, 0, 0]))


WHOLE = gzip.compress(idx(PICTURES))
BAD = {
    "not packed": (idx(PICTURES), "not packed with gzip"),
    "empty": (b"", "not packed with gzip"),
    "packed nothing": (gzip.compress(b""), "begins with nothing"),
    "other bytes": (gzip.compress(b"GIF89a and more than 16 bytes"), "00 00 08 03 is needed"),
    "floats": (gzip.compress(idx(PICTURES, kind=13)), "begins with 00 00 0d 03"),
    "labels": (gzip.compress(idx(PICTURES[0, 0])), "00 00 08 03 is needed"),
    "header cut": (gzip.compress(idx(PICTURES)[:10]), "cut short within its header"),
    "other sizes": (gzip.compress(idx(PICTURES.reshape(5, 7, 6))), "5 x 7 x 6; N x 6 x 7 are needed"),
    "none": (gzip.compress(idx(PICTURES[:0])), "0 x 6 x 7"),
    "too short": (gzip.compress(idx(PICTURES)[:-1]), "= 210 bytes, there are only 209"),
    "too long": (gzip.compress(idx(PICTURES) + b"x"), "there are more"),
    "packing cut": (WHOLE[:-12], "cut short"),
    "packing damaged": (WHOLE[:40] + bytes(20) + WHOLE[60:], "damaged"),
    "huge": (gzip.compress(idx(PICTURES, sizes=(2**32 - 1, 6, 7))), "its header says 4294967295 x 6 x 7"),
    "more than fits": (gzip.compress(idx(PICTURES, sizes=(2**20, 6, 7))), "for each byte of the file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / "bad.gz"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_idx(path, (6, 7))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none.gz: there is no such file"):
        read_idx(tmp_path / "none.gz")


def test_real_mnist():
    folder = real_data("mnist")
    ink = read_idx(folder / "t10k-images-idx3-ubyte.gz", (28, 28))
    classes = read_idx(folder / "t10k-labels-idx1-ubyte.gz")
    assert len(ink) == len(classes)
    assert set(classes.tolist()) == set(range(10))
    assert 25 < ink.float().mean() < 40
