"""Clips in, clips out, and from any format into any other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError, FileError
from kinema.files.credits import read_credits, write_credits
from kinema.files.fit import enlarge
from kinema.files.formats import format_of
from kinema.files.guard import reading
from kinema.files.motion_formats import is_motion, read_motion_clip, readable, write_motion_clips
from kinema.files.palette import palette_of, project
from kinema.files.skeleton_picture import PAPER
from kinema.files.spec import Spec, parse_spec

Colour = tuple[float, float, float]
BLACK = (0.0, 0.0, 0.0)
DRAWN = 256
"""The side of the picture in which motion is drawn, in pixels."""


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
        lines = read_credits(path)
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
    write_credits((line for clip in clips for line in clip.credits), path)


def flatten(clip: VideoClip, background: Colour) -> VideoClip:
    """The clip on one colour, without alpha."""
    return replace(clip, frames=clip.over(background), alpha=None)


def convert(
    src: str | Path,
    dst: str | Path,
    fps: float | None = None,
    palette: bool = False,
    scale: int = 1,
    background: Colour | None = None,
) -> tuple[str, ...]:
    """Reads `src` (a spec as in `read_clip`) and writes it as `dst`; a sheet into a sheet keeps all its tags.

    `palette` makes the output hold no colour that `src` does not, even where a background shines through; `background`
    lays the clip on a colour even where the format could hold alpha. Errors are those of `read_clip` and `write_clip`.

    Motion (a spec as in `read_motion_clip`) is written as motion, or drawn where `dst` holds pictures: `fps` pictures
    a second, `scale` times as large as usual, on the `background`. Returns what reading motion changed or left out, a
    sentence each. Raises ConfigError for an option that what is written cannot have, FileError where motion is asked of
    pictures, and what `read_motion_clip` and `write_motion_clips` raise.
    """
    source = parse_spec(src)
    if is_motion(source.path):
        return convert_motion(source, Path(dst), fps, palette, scale, background)
    if is_motion(dst):
        raise FileError(f"{source.path}: {dst} holds motion, which pictures do not; give {' or '.join(readable())}")
    clips = read_clips(src, fps) if format_of(Path(dst)).several else [read_clip(src, fps)]
    colours = np.unique(np.concatenate([palette_of(clip) for clip in clips]), axis=0) if palette else None
    if background is not None:
        clips = [flatten(clip, background) for clip in clips]
    write_clips(clips, dst, scale=scale, palette=colours, background=background or BLACK)
    return ()


def convert_motion(
    source: Spec, dst: Path, fps: float | None, palette: bool, scale: int, background: Colour | None
) -> tuple[str, ...]:
    """The part of `convert` that is for motion."""
    clip = read_motion_clip(source)
    if palette:
        raise ConfigError(f"{source.path}: motion has no colours that --palette could keep; leave it out")
    if scale < 1:
        raise ClipError(f"{source.path}: a scale of {scale} is not possible; 1, 2, 3, ... are")
    if not is_motion(dst):
        size = DRAWN * scale, DRAWN * scale
        write_motion_clips([clip], dst, size=size, fps=fps, background=background or PAPER)
        return clip.notes
    if fps is not None:
        kept = f"motion keeps its {clip.fps:.6g} frames per second"
        raise ConfigError(f"{dst}: {kept}; --fps is for drawing it, as .gif for example")
    if scale != 1 or background is not None:
        raise ConfigError(f"{dst}: --scale and --background are for drawing motion, as .gif for example")
    write_motion_clips([clip], dst)
    return clip.notes
