"""swap, animate, sample: a trained run put to use on files."""

import math
from dataclasses import replace
from pathlib import Path

import torch

from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError
from kinema.files import read_clip, write_clip
from kinema.files.formats import suffix_of
from kinema.files.palette import has_binary_alpha, palette_of, project
from kinema.models import clips
from kinema.training.run import Run, load_run


def swap(
    run: str,
    a: str,
    b: str,
    *,
    out: str,
    action: str | None = None,
    frames: int | None = None,
    reinfer: int | None = None,
    resize: bool = False,
    palette: bool = False,
    scale: int = 1,
) -> tuple[VideoClip, VideoClip]:
    """Put the motion of clip B on the content of clip A, and back.

    OUT shows A moving as B does; OUT with `-back` before its suffix shows B moving as A does. A keeps its appearance
    and its viewing direction. The result is as long as the clip that gives the motion, at its times; the two clips may
    have any lengths. The motion is one state, read at the middle frame and unrolled by the operator of the action;
    clips longer than the model's training window are cut into stretches of that length, and the state is read anew in
    each.

    Args:
        run: A run directory, or builtin:sprites.
        a: The clip that gives the content: a file, FILE@I:J, or FILE#tag.
        b: The clip that gives the motion.
        out: Where to write: .gif, .png, .webp, .mp4, a sheet's .json, ...
        action: The action of B; read from B where it is not named.
        frames: Frames of the result; beyond the clip's end the motion goes on.
        reinfer: Frames of a stretch before the state is read anew; 0: once for the whole clip.
        resize: Resize clips that do not fit the model, instead of refusing them.
        palette: Use exactly the colours of the clip that gives the content.
        scale: Repeat every pixel so many times, each way.
    """
    _at_least(1, frames=frames)
    _at_least(0, reinfer=reinfer)
    loaded = load_run(run, family="halo")
    first, second = read_clip(a), read_clip(b)
    for clip in (first, second):
        if len(clip) < 2:
            raise ClipError(f"{clip.name}: a single frame; swap needs two clips that move (see `kinema animate`)")
    results = (
        clips.swap(loaded.model, first, second, action, frames, reinfer, resize),
        clips.swap(loaded.model, second, first, None, None, reinfer, resize),
    )
    for clip, content, path in zip(results, (first, second), (Path(out), _back(Path(out))), strict=True):
        _write(loaded, clip, content, path, palette, scale)
    return results


def animate(
    run: str,
    image: str,
    *,
    action: str,
    out: str,
    frames: int | None = None,
    tempo: float = 1.0,
    reverse: bool = False,
    times: str | None = None,
    resize: bool = False,
    palette: bool = False,
    scale: int = 1,
) -> VideoClip:
    """Let one picture do an action.

    The picture is what happens at time 0; the operator of the action unrolls its state to any real times, so slower,
    faster, backwards and in between are all the same to it.

    Args:
        run: A run directory, or builtin:sprites.
        image: A picture, or one frame of a clip: FILE@I.
        action: What to do; `kinema info RUN` lists the actions.
        out: Where to write: .gif, .png, .webp, .mp4, a sheet's .json, ...
        frames: Frames of the result; two training windows by default.
        tempo: How much faster than in training.
        reverse: Play it backwards.
        times: The very times to show, in frames, such as 0,0.5,2.25.
        resize: Resize a picture that does not fit the model, instead of refusing it.
        palette: Use exactly the colours of the picture.
        scale: Repeat every pixel so many times, each way.
    """
    _at_least(1, frames=frames)
    loaded = load_run(run, family="halo")
    picture = read_clip(image)
    clip = clips.animate(loaded.model, picture, action, _times(loaded, frames, tempo, reverse, times), resize)
    _write(loaded, clip, picture, Path(out), palette, scale)
    return clip


def sample(
    run: str,
    *,
    out: str,
    n: int = 4,
    action: str | None = None,
    frames: int | None = None,
    seed: int = 0,
    scale: int = 1,
) -> list[VideoClip]:
    """Draw new clips from the model: content and motion both from their priors.

    Args:
        run: A run directory, or builtin:sprites.
        out: Where to write; several clips get -0, -1, ... before the suffix.
        n: How many.
        action: What they do; the known actions in turn by default.
        frames: Frames of each; two training windows by default.
        seed: Of the draws.
        scale: Repeat every pixel so many times, each way.
    """
    loaded = load_run(run, family="halo")
    _at_least(1, n=n, frames=frames)
    known = loaded.domain.actions
    actions = [action or known[i % len(known)] for i in range(n)]
    made = clips.sample(loaded.model, actions, frames or 2 * loaded.domain.length, seed)
    for number, clip in enumerate(made):
        path = Path(out) if n == 1 else _suffixed(Path(out), f"-{number}")
        write_clip(_credited(loaded, clip), path, scale=scale)
    return made


def _times(loaded: Run, frames: int | None, tempo: float, reverse: bool, times: str | None) -> torch.Tensor:
    if times is not None:
        try:
            values = [float(text) for text in times.split(",")]
        except ValueError as error:
            raise ConfigError(f"--times {times}: numbers with commas between are needed, such as 0,0.5,2.25") from error
        if not all(map(math.isfinite, values)):
            raise ConfigError(f"--times {times}: finite numbers are needed")
        return torch.tensor(values, dtype=torch.float64)
    if not 0 < tempo < math.inf:
        raise ConfigError(f"--tempo {tempo}: a positive number is needed; --reverse plays backwards")
    count = frames or 2 * loaded.domain.length
    return (-tempo if reverse else tempo) * torch.arange(count, dtype=torch.float64)


def _at_least(least: int, **options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < least:
            raise ConfigError(f"--{name} {value}: at least {least} is needed")


def _write(loaded: Run, clip: VideoClip, content: VideoClip, path: Path, palette: bool, scale: int) -> None:
    if palette:
        clip = project(clip, palette_of(content), binary_alpha=has_binary_alpha(content))
    write_clip(_credited(loaded, clip), path, scale=scale)


def _credited(loaded: Run, clip: VideoClip) -> VideoClip:
    return replace(clip, credits=tuple(dict.fromkeys((*clip.credits, *loaded.credits))))


def _back(path: Path) -> Path:
    return _suffixed(path, "-back")


def _suffixed(path: Path, text: str) -> Path:
    suffix = path.name[len(path.name) - len(suffix_of(path)) :]
    return path.with_name(f"{path.name.removesuffix(suffix)}{text}{suffix}")
