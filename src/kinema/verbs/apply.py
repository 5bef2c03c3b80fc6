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
from kinema.models.tempo import Playback
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
    tempo: float = 1.0,
    reverse: bool = False,
    fps: float | None = None,
    loop: bool = False,
    period: float | None = None,
    block: int | None = None,
    resize: bool = False,
    palette: bool = False,
    scale: int = 1,
) -> tuple[VideoClip, VideoClip]:
    """Put the motion of clip B on the content of clip A, and back.

    OUT shows A moving as B does; OUT with `-back` before its suffix shows B moving as A does. A keeps its appearance
    and its viewing direction. The result is as long as the clip that gives the motion, at its times; the two clips may
    have any lengths. The motion is one state, read at the middle frame and unrolled by the operator of the action;
    clips longer than the model's training window are cut into stretches of that length, and the state is read anew in
    each. The options of time and `block` are the same for both ways.

    Args:
        run: A run directory, or builtin:sprites.
        a: The clip that gives the content: a file, FILE@I:J, or FILE#tag.
        b: The clip that gives the motion.
        out: Where to write: .gif, .png, .webp, .mp4, a sheet's .json, ...
        action: The action of B; read from B where it is not named.
        frames: Frames of the result; beyond the clip's end the motion goes on.
        reinfer: Frames of a stretch before the state is read anew; 0: once for the whole clip.
        tempo: How much faster than the clip; the whole motion is shown, in as many fewer frames.
        reverse: Play the motion backwards, from its end.
        fps: Frames a second of the result, in the same time; those between the clip's frames come from the flow.
        loop: Let the motion, read once, begin anew after exactly one period; that many frames by default.
        period: Of the loop, in frames of the clip; by default the cycle of the model's settings.
        block: Let this operator alone move, counted from 0; where operators belong to actions, it names the action.
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
    played = _playback(loaded, tempo, reverse, fps, loop, period)
    results = (
        clips.swap(loaded.model, first, second, action, frames, reinfer, resize, block, played),
        clips.swap(loaded.model, second, first, None, None, reinfer, resize, block, played),
    )
    for clip, content, path in zip(results, (first, second), (Path(out), _back(Path(out))), strict=True):
        _write(loaded, clip, content, path, palette, scale)
    return results


def animate(
    run: str,
    image: str,
    *,
    out: str,
    action: str | None = None,
    frames: int | None = None,
    tempo: float = 1.0,
    reverse: bool = False,
    fps: float | None = None,
    loop: bool = False,
    period: float | None = None,
    times: str | None = None,
    block: int | None = None,
    resize: bool = False,
    palette: bool = False,
    scale: int = 1,
) -> VideoClip:
    """Let one picture do an action.

    The picture is what happens at time 0; the operator of the action unrolls its state to any real times, so slower,
    faster, backwards and in between are all the same to it. Several actions at once move each in its own subspace.

    Args:
        run: A run directory, or builtin:sprites.
        image: A picture, or one frame of a clip: FILE@I.
        out: Where to write: .gif, .png, .webp, .mp4, a sheet's .json, ...
        action: What to do, such as walk, walk+slash, or walk*0.7+slash*0.3; `kinema info RUN` lists the actions.
        frames: Frames of the result; by default one loop, or as long as two training windows last.
        tempo: How much faster than in training.
        reverse: Play it backwards.
        fps: Frames a second, in the same time; those between the model's frames come from the flow.
        loop: Let the motion begin anew after exactly one period.
        period: Of the loop, in frames of the training clips; by default the cycle of the model's settings.
        times: The very times to show, in frames, such as 0,0.5,2.25; instead of all other options of time.
        block: Let this operator alone move, counted from 0; the others stay as in the picture.
        resize: Resize a picture that does not fit the model, instead of refusing it.
        palette: Use exactly the colours of the picture.
        scale: Repeat every pixel so many times, each way.
    """
    _at_least(1, frames=frames)
    loaded = load_run(run, family="halo")
    picture = read_clip(image)
    playback = _playback(loaded, tempo, reverse, fps, loop, period)
    if times is None:
        line = playback.of_picture(loaded.domain.fps, 2 * loaded.domain.length, frames)
        at, rate = line.at, line.fps
    else:
        _alone(times, frames=frames is not None, tempo=tempo != 1, reverse=reverse, fps=fps is not None, loop=loop)
        at, rate = _times(times), None
    model = loaded.model.snapped(playback.loop) if playback.loop is not None else loaded.model
    clip = clips.animate(model, picture, action, at, resize, block, rate)
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
    known = loaded.model.domain.actions
    actions = [action or known[i % len(known)] for i in range(n)]
    made = clips.sample(loaded.model, actions, frames or 2 * loaded.domain.length, seed)
    for number, clip in enumerate(made):
        path = Path(out) if n == 1 else _suffixed(Path(out), f"-{number}")
        write_clip(_credited(loaded, clip), path, scale=scale)
    return made


def _playback(
    loaded: Run, tempo: float, reverse: bool, fps: float | None, loop: bool, period: float | None
) -> Playback:
    """The options of time; a loop without a period has the cycle that the model was given."""
    if period is not None and not loop:
        raise ConfigError(f"--period {period:g}: says how long a loop lasts; add --loop")
    cycle = None if not loop else float(max(2, round(loaded.model.config.period))) if period is None else period
    return Playback(tempo, reverse, fps, cycle)


def _alone(times: str, **options: bool) -> None:
    """Raises ConfigError for options that say what --times says already."""
    given = [f"--{name}" for name, there in options.items() if there]
    if given:
        raise ConfigError(f"--times {times}: it says every time itself; leave out {', '.join(given)}")


def _times(text: str) -> torch.Tensor:
    try:
        values = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--times {text}: numbers with commas between are needed, such as 0,0.5,2.25") from error
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"--times {text}: finite numbers are needed")
    return torch.tensor(values, dtype=torch.float64)


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
