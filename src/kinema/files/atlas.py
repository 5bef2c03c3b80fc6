"""Several clips in one picture: what a sprite sheet is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kinema.clip import VideoClip
from kinema.errors import ClipError, FileError
from kinema.files.pixels import rgba_of_clip
from kinema.files.png import note

COLUMNS = 16
"""The most cells in a row: 16 of 256 pixels still fit the 4096 that every graphics card takes."""
SHEET_NOTE = {b"Software": b"Kinema sheet"}
"""By this a picture that a sheet may replace is known."""


@dataclass(frozen=True)
class Atlas:
    """A picture and where in it each clip's frames are."""

    image: Image.Image
    cell: tuple[int, int]
    """Width and height of a frame, in pixels."""
    corners: tuple[tuple[tuple[int, int], ...], ...]
    """For each clip and frame the left and the top edge, in pixels."""


def pack_clips(clips: Sequence[VideoClip]) -> Atlas:
    """The clips below each other, each beginning on a new row. Raises ClipError where their sizes differ."""
    height, width = clips[0].size
    for clip in clips:
        if clip.size != (height, width):
            found, wanted = f"{clip.size[1]} x {clip.size[0]}", f"{width} x {height}"
            raise ClipError(f"{clip.name}: {found} pixels, but {clips[0].name} is {wanted}; one size is needed")
    columns = min(COLUMNS, max(len(clip) for clip in clips))
    rows = [-(-len(clip) // columns) for clip in clips]
    first = np.cumsum([0, *rows])
    sheet = np.zeros((int(first[-1]) * height, columns * width, 4), np.uint8)
    corners = []
    for clip, row in zip(clips, first, strict=False):
        corners.append(tuple((i % columns * width, (int(row) + i // columns) * height) for i in range(len(clip))))
        for (x, y), frame in zip(corners[-1], rgba_of_clip(clip), strict=True):
            sheet[y : y + height, x : x + width] = frame
    return Atlas(Image.fromarray(sheet), (width, height), tuple(corners))


def tag_of(clip: VideoClip) -> str:
    """The name of a clip in a sheet: its tag, else its action and direction, else its file's name."""
    action = [clip.labels[key] for key in ("action", "direction") if key in clip.labels]
    return clip.labels.get("tag") or "/".join(action) or Path(clip.name).stem


def tags_of(clips: Sequence[VideoClip]) -> list[str]:
    """The clips' names. Raises ClipError where two share one."""
    tags = [tag_of(clip) for clip in clips]
    for index, tag in enumerate(tags):
        if tag in tags[:index]:
            raise ClipError(f"{clips[index].name}: a second clip tagged {tag!r}; each clip needs its own tag")
    return tags


def image_beside(path: Path) -> Path:
    """The PNG that belongs to a sheet's description. Raises FileError where a picture that is not ours has its name."""
    image = path.with_suffix(".png")
    if image.exists() and note(image, b"Software") != SHEET_NOTE[b"Software"].decode():
        raise FileError(f"{path}: needs {image.name} beside it, which is a picture of yours; choose another name")
    return image
