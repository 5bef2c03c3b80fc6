"""A folder of numbered pictures, one a frame."""

import re
from pathlib import Path

import numpy as np

from kinema.clip import VideoClip
from kinema.errors import FileError
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.images import opened, read_still
from kinema.files.pixels import clip_of_rgba, images_of_clip

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def natural(path: Path) -> list[tuple[int, str]]:
    """A sorting key by which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]


def frame_files(path: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers; hidden files are not looked at."""
    found = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    return sorted(found, key=natural)


def read_folder(path: Path) -> VideoClip:
    """The pictures of a folder as a clip. Raises FileError where there are none or their sizes differ."""
    with reading(path):
        files = frame_files(path)
    if not files:
        raise FileError(f"{path}: holds no pictures; a folder of numbered {', '.join(SUFFIXES)} files is needed")
    with opened(files[0]) as image:
        check_pixels(path, *image.size, len(files))
    frames = [read_still(files[0])]
    height, width = frames[0].shape[:2]
    for file in files[1:]:
        frame = read_still(file)
        if frame.shape[:2] != (height, width):
            found = f"{frame.shape[1]} x {frame.shape[0]}"
            raise FileError(f"{file}: {found} pixels, but {files[0].name} is {width} x {height}; frames need one size")
        frames.append(frame)
    return clip_of_rgba(np.stack(frames), path)


def write_folder(clip: VideoClip, path: Path) -> None:
    """PNGs ``0000.png``, ``0001.png``, ... in a new folder. Durations are lost: pictures hold none."""
    if path.exists() and any(path.iterdir()):
        raise FileError(f"{path}: already holds files, which would mix with the frames; name a new folder")
    digits = max(4, len(str(len(clip) - 1)))
    with writing(path) as (part,):
        part.mkdir()
        for index, image in enumerate(images_of_clip(clip)):
            image.save(part / f"{index:0{digits}}.png")
