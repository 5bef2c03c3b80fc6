"""A film strip: the frames of a clip side by side in one still picture, square unless told otherwise."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from kinema.clip import VideoClip
from kinema.errors import FileError
from kinema.files.guard import writing
from kinema.files.images import read_still
from kinema.files.pixels import clip_of_rgba, image_mode, rgba_of_clip
from kinema.files.png import cell_note, note, still


def read_strip(path: Path, cell: tuple[int, int] | None = None) -> VideoClip:
    """The frames of a strip, `cell` = (width, height) in pixels each.

    Without `cell`: what the PNG says of itself where we wrote it, otherwise squares as high as the picture. Raises
    FileError where the picture is no whole number of cells.
    """
    picture = read_still(path)
    height, width = picture.shape[:2]
    w, h = cell or noted_cell(path) or (height, height)
    if h != height or width % w:
        right = f"{h} pixels high and {max(1, round(width / w)) * w} wide, or another multiple of {w}"
        raise FileError(f"{path}: {width} x {height} pixels are no whole number of {w} x {h} cells; make it {right}")
    return clip_of_rgba(cells(picture, w), path)


def read_picture(path: Path) -> VideoClip:
    """A still picture: a strip where its width is a multiple of its height, twice it or more; otherwise one frame."""
    picture = read_still(path)
    height, width = picture.shape[:2]
    w, _ = noted_cell(path) or (height if width >= 2 * height and width % height == 0 else width, height)
    return clip_of_rgba(cells(picture, w), path)


def cells(picture: UInt8[np.ndarray, "H W 4"], width: int) -> UInt8[np.ndarray, "T H w 4"]:
    return np.stack(np.split(picture, picture.shape[1] // width, axis=1))


def noted_cell(path: Path) -> tuple[int, int] | None:
    """The cell that one of our own PNGs states: a wide picture of one frame is no strip."""
    text = note(path, b"Cell") if path.suffix.lower() == ".png" else None
    if text is None:
        return None
    width, height = (int(number) for number in text.split("x"))
    return width, height


def write_strip(clip: VideoClip, path: Path) -> None:
    """A strip as PNG. Durations are lost: a still picture holds none."""
    strip = np.concatenate(list(rgba_of_clip(clip)), axis=1)[..., : len(image_mode(clip))]
    height, width = clip.size
    with writing(path) as (part,):
        part.write_bytes(still(Image.fromarray(np.ascontiguousarray(strip)), cell_note(width, height)))
