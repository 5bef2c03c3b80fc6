"""compose: a character, a movement and a background, each of another clip; and the movement as a thing to hold."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from kinema.clip import VideoClip
from kinema.data.diamonds import BARE
from kinema.errors import ClipError, ConfigError, FileError
from kinema.files import read_clip, read_clips
from kinema.files.formats import format_of, suffix_of
from kinema.files.guard import check_pixels
from kinema.files.palette import has_binary_alpha, palette_of, project
from kinema.files.spec import parse_spec
from kinema.files.transfer import read_all, write_clips
from kinema.files.transformation import Movement, check_name, movement_json, read_movement, write_movement
from kinema.models import scenes
from kinema.models.movement_flow import duration, flowing
from kinema.models.tempo import Playback
from kinema.nn.movements import Movements
from kinema.training.run import Run, load_run

NONE = "none"
"""The background of a result that is transparent."""
SLIGHT = 0.25
"""Pixels of the canvas's edge: movements that nowhere reach so far are none that one could see."""
FAR = 1.0
"""Pixels of the canvas's edge by which a flow may be off without a word."""


@dataclass(frozen=True)
class Edit:
    """What is made of a movement before it is applied, in this order."""

    invert: bool = False
    """Undo it instead."""
    clockwise: float = 0.0
    """Degrees."""
    factor: float = 1.0
    """Enlargement."""
    right: float = 0.0
    """Pixels."""
    down: float = 0.0
    """Pixels."""

    def of(self, movement: Movement, middle: torch.Tensor | None) -> Movement:
        """The movement edited; turned and scaled about where `middle`, in pixels from the canvas's, has gone to."""
        movement = movement.inverse() if self.invert else movement
        about = None
        if middle is not None:
            seen = movement.seen()
            about = seen[..., :2] @ middle + seen[..., 2]
        if self.clockwise:
            movement = movement.rotated(self.clockwise, about)
        if self.factor != 1:
            movement = movement.scaled(self.factor, about)
        return movement.moved(self.right, self.down) if self.right or self.down else movement


@dataclass(frozen=True)
class Pace:
    """How a movement is played, by the flow that is fitted to it."""

    playback: Playback
    """Tempo, direction, frame rate, and the loop's length where it was named."""
    loop: bool = False
    """Whether it begins anew after a loop, by default after its own duration."""
    frames: int | None = None
    """Frames of the result; None: as many as are usual."""

    def of(self, movement: Movement, known: Movements | None) -> tuple[Movement, str | None]:
        """The movement played so, and what is to be said of its flow; movements like it may be `known`. Raises
        ClipError where it has none."""
        period = (self.playback.loop or duration(movement)) if self.loop else None
        name = _name(movement)
        flow = flowing(replace(movement, name=name), period, known)
        played = flow.played(replace(self.playback, loop=period), self.frames)
        note = f"{name}: the flow is up to {flow.missed():.1f} pixels from the movement that was read"
        return replace(played, name=movement.name), note if flow.missed() > FAR else None


def compose(
    run: str,
    *,
    character: str,
    out: str,
    motion: str | None = None,
    transformation: str | None = None,
    background: str | None = None,
    invert: bool = False,
    rotate: float = 0.0,
    scale_by: float = 1.0,
    move: str | None = None,
    about_character: bool = False,
    tempo: float = 1.0,
    reverse: bool = False,
    fps: float | None = None,
    loop: bool = False,
    period: float | None = None,
    frames: int | None = None,
    save_transformation: str | None = None,
    show: bool = False,
    json: bool = False,
    resize: bool = False,
    palette: bool = False,
    scale: int = 1,
) -> list[VideoClip]:
    """Put a character on a background and let it move as another clip does.

    The movement is read from the first frame of the motion to each of its frames, so the character should stand there
    as in that first frame. The result has the frames, durations and tags of the motion. A movement is a matrix for each
    frame, which can be edited, printed, saved, and applied to another character. A sheet of several tags, written into
    a sheet, keeps its tags: all of them move from its first frame.

    With any of the options of time the movement is driven by a Hamiltonian flow that is fitted to its matrices, of
    three frames at least; the flow knows every time, but not every detail of the movement.

    Args:
        run: A run directory of the family renderer.
        character: Who is shown: FILE@I, or the first frame of FILE.
        out: Where to write: .gif, .png, .webp, .mp4, a sheet's .json, ...
        motion: The clip that gives the movement: FILE, FILE@I:J, FILE#tag; it begins at frame I.
        transformation: A movement that was saved as JSON, in place of a motion.
        background: What it is on: FILE@I, or none for real alpha. Without it, the character's own; none if that is
            transparent and the result can be.
        invert: Undo the movement instead: what went right goes left.
        rotate: Turn by so many degrees besides, clockwise.
        scale_by: Enlarge the character so many times besides.
        move: Move by DX,DY pixels besides, right and down; write --move=-5,3 where DX is negative.
        about_character: Turn and enlarge about the character's middle instead of the canvas's.
        tempo: How much faster than the motion; the whole of it is shown, in as many fewer frames.
        reverse: Play the movement backwards, from its end.
        fps: Frames a second of the result, in the same time; those between the motion's frames come from the flow.
        loop: Let the movement begin anew after exactly one period; that many frames by default.
        period: Of the loop, in frames of the motion; by default as long as the motion lasts.
        frames: Frames of the result; beyond the motion's end the flow goes on.
        save_transformation: A .json for the movement as it was applied.
        show: Print the movement: degrees, pixels and enlargement of every frame.
        json: Print the movement as its JSON.
        resize: Resize clips that do not fit the model, instead of refusing them.
        palette: Use exactly the colours of the character and of the background.
        scale: Repeat every pixel so many times, each way.
    """
    edit, pace = _edit(invert, rotate, scale_by, move), _pace(tempo, reverse, fps, loop, period, frames)
    if (motion is None) == (transformation is None):
        raise ConfigError("compose: give either --motion FILE@I:J or --transformation FILE.json")
    _check_out(out, background, save_transformation, scale)
    loaded = load_run(run, family="renderer")
    canvas = _canvas(loaded)
    who = _read(character)[:1]
    where = _background(background, who, out)
    if motion is not None:
        sources = _motions(motion, out)
        movements = _movements(loaded, sources, canvas, resize)
        notes = [*map(_stillness, sources, movements)]
        credits = sources[0].credits
    else:
        movements, notes, credits = [read_movement(str(transformation))], [], ()
    if len(movements) > 1 and (save_transformation or json):
        raise ConfigError(f"{motion}: {len(movements)} tags; a transformation is that of one, so name it as FILE#TAG")
    if pace is not None:
        movements, missed = zip(*(pace.of(each, loaded.model.movements) for each in movements), strict=True)
        notes = [*notes, *missed]
    middle = scenes.middle_of(loaded.model, who, canvas, resize) if about_character else None
    movements = [edit.of(movement, middle) for movement in movements]
    height, width = loaded.domain.size
    check_pixels(Path(transformation or out), width, height, sum(map(len, movements)))
    made = [scenes.compose(loaded.model, who, m, where, canvas=canvas, fit=resize) for m in movements]
    if palette:
        made = _in_palette(made, who, where)
    lines = dict.fromkeys((*(made[0].credits), *credits, *loaded.credits))
    made = [replace(clip, credits=tuple(lines)) for clip in made]
    write_clips(made, out, scale=scale)
    if save_transformation is not None:
        write_movement(movements[0].fitted(loaded.domain.size), save_transformation)
    if show:
        print("\n".join(line for movement in movements for line in told(movement)))
    if json:
        print(movement_json(movements[0]), end="")
    for note in filter(None, [*notes, _alpha_note(loaded, out, made[0])]):
        print(f"kinema: {note}", file=sys.stderr)
    return made


def told(movement: Movement) -> list[str]:
    """The seen movement, a line for each frame and part."""
    height, width = movement.size
    name = movement.labels.get("tag", movement.name)
    lines = [f"{name}: {len(movement)} frames on {width} x {height} pixels, about the middle of the canvas"]
    angle, shift, enlarged = movement.read()
    for frame in range(len(movement)):
        for part in range(movement.parts):
            where = f"frame {frame}" + (f" part {part}" if movement.parts > 1 else "")
            if bool(angle[frame, part].isnan()):
                lines.append(f"  {where}: no inverse")
                continue
            (right, down), (greatest, least) = shift[frame, part].tolist(), enlarged[frame, part].tolist()
            turn = f"{float(angle[frame, part]):+.1f} degrees"
            lines.append(f"  {where}: {turn}, {right:+.2f} right, {down:+.2f} down, scale {greatest:.3f} x {least:.3f}")
    return lines


def _edit(invert: bool, rotate: float, scale_by: float, move: str | None) -> Edit:
    """The edit that the options ask for. Raises ConfigError for numbers that are none."""
    if not math.isfinite(rotate):
        raise ConfigError(f"--rotate {rotate}: a number of degrees is needed")
    if not 0 < scale_by < math.inf:
        raise ConfigError(f"--scale-by {scale_by}: a positive number is needed")
    try:
        shift = [float(text) for text in move.split(",")] if move is not None else [0.0, 0.0]
    except ValueError:
        shift = []
    if len(shift) != 2 or not all(map(math.isfinite, shift)):
        raise ConfigError(f"--move {move}: two numbers of pixels with a comma between are needed, such as 5,0")
    return Edit(invert, rotate, scale_by, *shift)


def _pace(
    tempo: float, reverse: bool, fps: float | None, loop: bool, period: float | None, frames: int | None
) -> Pace | None:
    """What the options of time ask for; None where there is none of them. Raises ConfigError where they are wrong."""
    if period is not None and not loop:
        raise ConfigError(f"--period {period:g}: says how long a loop lasts; add --loop")
    if frames is not None and frames < 1:
        raise ConfigError(f"--frames {frames}: at least 1 is needed")
    pace = Pace(Playback(tempo, reverse, fps, period), loop, frames)
    return None if pace == Pace(Playback()) else pace


def _check_out(out: str, background: str | None, saved: str | None, scale: int) -> None:
    """Refuses, before anything is read, what could not be written. Raises ConfigError and FileError."""
    path, kind = Path(out), format_of(Path(out))
    if background == NONE and not kind.alpha:
        told = f"{suffix_of(path)} holds no alpha, which --background none asks for"
        raise FileError(f"{out}: {told}; choose .png, .webp, a sheet's .json or a folder")
    if saved is not None and Path(saved).resolve() == path.resolve():
        raise ConfigError(f"--save-transformation {saved}: the result itself is written there; choose another name")
    if saved is not None:
        check_name(Path(saved))
    if scale < 1:
        raise ConfigError(f"--scale {scale}: at least 1 is needed")


def _canvas(loaded: Run) -> scenes.Colour:
    """What clips with alpha are laid on: gray for models that learned on backgrounds, otherwise the black they saw."""
    backgrounds = getattr(loaded.recipe.data, "backgrounds", 0)
    red, green, blue = (value / 255 for value in BARE)
    return (red, green, blue) if backgrounds else scenes.BLACK


def _read(spec: str) -> VideoClip:
    """A clip, or a part of it. Raises ClipError, which says how many frames there are, for a part that is none."""
    try:
        return read_clip(spec)
    except (ClipError, FileError) as error:
        source = parse_spec(spec)
        if source.part == slice(None) or not source.path.exists():
            raise
        count = sum(map(len, read_all(replace(source, part=slice(None)), None, every_tag=False)))
        if range(count)[source.part]:
            raise
        raise ClipError(f"{spec}: there is no such frame; the frames are 0 to {count - 1}") from error


def _background(spec: str | None, who: VideoClip, out: str) -> VideoClip | None:
    """The clip whose background is shown; None for none."""
    if spec is None:
        return None if who.alpha is not None and format_of(Path(out)).alpha else who
    return None if spec == NONE else _read(spec)[:1]


def _motions(spec: str, out: str) -> list[VideoClip]:
    """The clips that give the movements: every tag of a sheet where the result is a sheet, otherwise the one clip."""
    source = parse_spec(spec)
    whole = source.tag is None and source.part == slice(None)
    clips = read_clips(spec) if whole and format_of(Path(out)).several else [_read(spec)]
    if sum(map(len, clips)) < 2:
        raise ClipError(f"{spec}: a single frame; a movement needs a clip of at least two, such as FILE@I:J")
    return clips


def _movements(loaded: Run, clips: list[VideoClip], canvas: scenes.Colour, resize: bool) -> list[Movement]:
    """The movement of each clip from the first frame of the first."""
    return [scenes.read_movement_of(loaded.model, c, clips[0][:1], canvas=canvas, fit=resize) for c in clips]


def _stillness(clip: VideoClip, movement: Movement) -> str | None:
    """What is said of a clip with no movement; None where there is one."""
    if len(clip) > 1 and scenes.is_still(clip):
        return f"{_name(clip)}: nothing moves in it; its frames are all alike"
    return f"{_name(clip)}: the model sees no movement in it" if len(clip) > 1 and _reach(movement) < SLIGHT else None


def _name(of: VideoClip | Movement) -> str:
    """What a clip or its movement is called: its file, and its tag where it has one."""
    return f"{of.name}#{of.labels['tag']}" if "tag" in of.labels else of.name


def _reach(movement: Movement) -> float:
    """How far, in pixels, any corner of the canvas comes from elsewhere."""
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)], dtype=torch.float64)
    away = movement.theta @ corners.T - corners.T[:2]
    height, width = movement.size
    return float((away * torch.tensor([[width / 2], [height / 2]])).norm(dim=-2).max())


def _in_palette(made: list[VideoClip], who: VideoClip, where: VideoClip | None) -> list[VideoClip]:
    """The clips in the colours of what they are made of, their alpha as sharp as the character's."""
    colours = np.unique(np.concatenate([palette_of(clip) for clip in (who, where) if clip is not None]), axis=0)
    return [project(clip, colours, binary_alpha=has_binary_alpha(who)) for clip in made]


def _alpha_note(loaded: Run, out: str, made: VideoClip) -> str | None:
    """How alpha was come by, and what the format makes of it; None where there is none."""
    if made.alpha is None:
        return None
    dark, light = scenes.plain_canvases(loaded.model)
    cut = "; a GIF holds it as all or nothing, cut at one half" if suffix_of(Path(out)) == ".gif" else ""
    return f"alpha is solved from renders on the grays {dark} and {light}{cut}"
