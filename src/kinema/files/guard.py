"""What stands between a stranger's file and the process: size limits, one-line errors, and files that appear whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from kinema.errors import FileError, KinemaError

MAX_PIXELS = 2**28
"""The most pixels (width x height x frames) that one clip may decode to: 1 GiB as 8-bit RGBA."""


def check_pixels(path: Path, width: int, height: int, frames: int = 1) -> None:
    """Refuses, from what the header says, a file that would decode to more than MAX_PIXELS. Raises FileError."""
    if width * height * frames <= MAX_PIXELS:
        return
    fit = MAX_PIXELS // max(1, width * height)
    way = f"ask for a part of it, e.g. {path}@0:{fit}" if fit and path.is_file() else "make it smaller"
    limit = f"the limit is {MAX_PIXELS} pixels in all"
    raise FileError(f"{path}: {frames} frames of {width} x {height} pixels are too many ({limit}); {way}")


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever goes wrong while `path` is read into a FileError that names it."""
    if not path.exists():
        raise FileError(f"{path}: there is no such file; check the path")
    try:
        yield
    except KinemaError:
        raise
    except PermissionError as error:
        raise FileError(f"{path}: may not be opened; make it readable") from error
    except Exception as error:  # decoders raise anything from IndexError to SyntaxError on damaged bytes
        raise FileError(f"{path}: damaged, cut short or not what its name says ({one_line(error)})") from error


@contextmanager
def writing(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Temporary siblings of `paths` that take their names at the end, or vanish if anything fails.

    Raises FileError where the disk is full, a folder is missing, or the format cannot hold the clip.
    """
    parts = tuple(path.with_name(f".{uuid4().hex[:8]}-{path.name}") for path in paths)
    try:
        yield parts
        for part, path in zip(parts, paths, strict=True):
            os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise FileError(f"{paths[0]}: cannot be written: {reason}") from error
    finally:
        for part in parts:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif part.exists():
                part.unlink()
