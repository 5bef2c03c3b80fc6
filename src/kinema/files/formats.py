"""Which module reads and writes which file, by its name and, for PNG, by what is in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.clip import VideoClip
from kinema.errors import ClipError, FileError
from kinema.files.folder import read_folder, write_folder
from kinema.files.gif import read_gif, write_gif
from kinema.files.godot import write_godot
from kinema.files.images import write_jpeg
from kinema.files.lpc import SIZE as LPC_SIZE
from kinema.files.lpc import read_lpc_tag
from kinema.files.png import check_png, is_animated, png_size, read_apng, write_png
from kinema.files.sheet import read_sheet, write_sheet
from kinema.files.spec import Spec
from kinema.files.strip import read_picture, read_strip, write_strip
from kinema.files.video import read_video, write_video
from kinema.files.webp import read_webp, write_webp

Reader = Callable[[Spec], list[VideoClip]]
Writer = Callable[[Sequence[VideoClip], Path], None]


@dataclass(frozen=True)
class Format:
    """How files of one kind are read and written, and what they hold."""

    read: Reader | None = None
    """The clips that a spec names; None where the kind is only written."""
    write: Writer | None = None
    alpha: bool = True
    """Whether it holds opacity."""
    tags: Reader | None = None
    """Reads every tag as a clip of its own, for a kind that `read` takes as one clip; None for others."""
    several: bool = False
    """Whether several clips can be written into one file."""


def one(read: Callable[[Path], VideoClip]) -> Reader:
    """The reader of a kind that holds one clip and no tags."""
    return lambda source: [source.cut(read(source.untagged()))]


def alone(write: Callable[[VideoClip, Path], None]) -> Writer:
    """The writer of a kind that holds one clip."""

    def write_only(clips: Sequence[VideoClip], path: Path) -> None:
        if len(clips) != 1:
            raise ClipError(f"{path}: holds one clip, not {len(clips)}; a .json or .tres sheet holds several")
        write(clips[0], path)

    return write_only


def read_png(source: Spec) -> list[VideoClip]:
    """An animated PNG, an LPC sheet (by its size), a strip (by its shape), or one picture."""
    chunks = check_png(source.path)
    if is_animated(chunks):
        return [source.cut(read_apng(source.untagged(), chunks))]
    if png_size(chunks) == LPC_SIZE:
        return read_lpc_tag(source)
    return [source.cut(read_picture(source.untagged()))]


def read_sheet_tags(source: Spec) -> list[VideoClip]:
    return read_sheet(source, every_tag=True)


STILL = Format(one(read_picture), alone(write_jpeg), alpha=False)
PNG = Format(read_png, alone(write_png))
VIDEO = Format(read_video, alone(write_video), alpha=False)
FOLDER = Format(one(read_folder), alone(write_folder))
FORMATS = {
    ".gif": Format(one(read_gif), alone(write_gif)),
    ".png": PNG,
    ".apng": PNG,
    ".strip.png": Format(one(read_strip), alone(write_strip)),
    ".webp": Format(one(read_webp), alone(write_webp)),
    ".jpg": STILL,
    ".jpeg": STILL,
    ".json": Format(read_sheet, write_sheet, tags=read_sheet_tags, several=True),
    ".tres": Format(write=write_godot, several=True),
    ".mp4": VIDEO,
    ".m4v": VIDEO,
    ".mov": VIDEO,
    ".mkv": VIDEO,
    ".webm": Format(read_video, alone(write_video)),
}
"""By suffix. A folder, which has none, is FOLDER."""


def suffix_of(path: Path) -> str:
    """The suffix that decides: ``.strip.png`` before ``.png``; empty where there is none."""
    double = "".join(path.suffixes[-2:]).lower()
    return double if double in FORMATS else path.suffix.lower()


def format_of(path: Path) -> Format:
    """The format of a file that exists or is to be written. Raises FileError for an unknown suffix."""
    suffix = suffix_of(path)
    if path.is_dir() or not suffix:
        return FOLDER
    if suffix not in FORMATS:
        raise FileError(f"{path}: unknown suffix {suffix!r}; known are {', '.join(FORMATS)} and a folder of pictures")
    return FORMATS[suffix]


def is_clip(path: Path) -> bool:
    """Whether `path` is a file that can be read as a clip, judged by its name."""
    return path.is_file() and suffix_of(path) in FORMATS and FORMATS[suffix_of(path)].read is not None
