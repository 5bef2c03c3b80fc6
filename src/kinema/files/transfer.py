"""Clips in, clips out, and from any format into any other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from kinema.clip import VideoClip
from kinema.errors import FileError
from kinema.files.fit import enlarge
from kinema.files.formats import format_of
from kinema.files.guard import reading, writing
from kinema.files.palette import palette_of, project
from kinema.files.spec import Spec, parse_spec

Colour = tuple[float, float, float]
BLACK = (0.0, 0.0, 0.0)


def read_clip(spec: str | Path, fps: float | None = None) -> VideoClip:
    """The clip that `spec` names: ``FILE``, ``FILE@I`` (frame I, from 0), ``FILE@I:J``, ``sheet.json#tag``,
    ``lpc.png#walk/left``. A sheet without a tag is one clip of all its frames.

    `fps` replaces the clip's own rate (frames per second); formats without times have 10. Raises FileError for a file
    that is missing, damaged, too large or of an unknown kind, ClipError for a part that the clip does not have.
    """
    source = parse_spec(spec)
    clips = read_all(source, fps, every_tag=False)
    if len(clips) != 1:
        tags = ", ".join(clip.labels.get("tag", clip.name) for clip in clips) or "none that anything is drawn in"
        raise FileError(f"{source.path}: holds {len(clips)} clips; name one as {source.path}#TAG, TAG being {tags}")
    return clips[0]


def read_clips(spec: str | Path, fps: float | None = None) -> list[VideoClip]:
    """Every clip that `spec` names: all tags of a sheet, all rows of an LPC sheet; for other formats the one clip.

    `fps` and errors are those of `read_clip`.
    """
    return read_all(parse_spec(spec), fps, every_tag=True)


def read_all(source: Spec, fps: float | None, every_tag: bool) -> list[VideoClip]:
    path = source.path
    with reading(path):
        kind = format_of(path)
        if kind.read is None:
            raise FileError(f"{path}: this format is only written; give the picture or clip that it was made of")
        clips = (kind.tags if every_tag and kind.tags else kind.read)(source)
        note = credits_file(path)
        lines = tuple(note.read_text(encoding="utf-8").splitlines()) if note.is_file() else ()
    return [replace(clip, fps=fps or clip.fps, credits=lines) for clip in clips]


def write_clip(
    clip: VideoClip,
    path: str | Path,
    *,
    scale: int = 1,
    palette: UInt8[np.ndarray, "P 3"] | None = None,
    background: Colour = BLACK,
) -> None:
    """Writes a clip in the format of `path`'s suffix; without a suffix, a new folder of PNGs.

    `scale` repeats every pixel so many times, `palette` moves visible colours to the nearest of its (P, 3), and
    `background` (RGB in [0, 1]) shows through where the format holds no alpha. Authors and licences go to
    ``FILE.credits.txt``. Raises FileError where it cannot be written; then nothing is left behind.
    """
    write_clips([clip], path, scale=scale, palette=palette, background=background)


def write_clips(
    clips: Sequence[VideoClip],
    path: str | Path,
    *,
    scale: int = 1,
    palette: UInt8[np.ndarray, "P 3"] | None = None,
    background: Colour = BLACK,
) -> None:
    """Writes several clips into one sheet; options and errors are those of `write_clip`."""
    path = Path(path)
    kind = format_of(path)
    if kind.write is None:
        raise FileError(f"{path}: this format is only read; choose another suffix")
    if palette is not None:
        clips = [project(clip, palette) for clip in clips]
    if not kind.alpha:
        clips = [flatten(clip, background) for clip in clips]
    kind.write([enlarge(clip, scale) for clip in clips], path)
    write_credits(dict.fromkeys(line for clip in clips for line in clip.credits), path)


def flatten(clip: VideoClip, background: Colour) -> VideoClip:
    """The clip on one colour, without alpha."""
    return replace(clip, frames=clip.over(background), alpha=None)


def credits_file(path: Path) -> Path:
    """Where the authors and licences of a file stand, a line each."""
    return path.with_name(f"{path.name}.credits.txt")


def write_credits(lines: dict[str, None], path: Path) -> None:
    note = credits_file(path)
    if not lines:
        note.unlink(missing_ok=True)  # those of a clip that had this name before
        return
    with writing(note) as (part,):
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def convert(
    src: str | Path,
    dst: str | Path,
    fps: float | None = None,
    palette: bool = False,
    scale: int = 1,
    background: Colour | None = None,
) -> None:
    """Reads `src` (a spec as in `read_clip`) and writes it as `dst`; a sheet into a sheet keeps all its tags.

    `palette` makes the output hold no colour that `src` does not, even where a background shines through; `background`
    lays the clip on a colour even where the format could hold alpha. Errors are those of `read_clip` and `write_clip`.
    """
    clips = read_clips(src, fps) if format_of(Path(dst)).several else [read_clip(src, fps)]
    colours = np.unique(np.concatenate([palette_of(clip) for clip in clips]), axis=0) if palette else None
    if background is not None:
        clips = [flatten(clip, background) for clip in clips]
    write_clips(clips, dst, scale=scale, palette=colours, background=background or BLACK)
