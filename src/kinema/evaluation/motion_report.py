"""What a model of motion made, in pictures: of several models beside a table, or of one run on a page of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.evaluation import motion_errors as errors
from kinema.evaluation import motion_pictures, pictures
from kinema.evaluation.motion_clips import TestClips
from kinema.evaluation.motion_protocol import GIVEN, PREDICTED, Measured, Setting, asked_control, compare, draw
from kinema.evaluation.motion_tables import run_table
from kinema.evaluation.report import PAGE, STYLE, Section
from kinema.evaluation.table import write_whole
from kinema.evaluation.tables import Table
from kinema.maths import trajectory
from kinema.models.motion_base import MotionModel
from kinema.models.rivals import Rival
from kinema.motion import Motion

CLIPS, DRAWS = 24, 5
"""Test clips and draws of the pictures of a run."""
BODIES = 5
"""The most models whose bodies and steps are shown; every model has its curve."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a model made of the test clips in one setting."""

    made: Motion
    """K draws, shapes (K, B, T, ...)."""
    measured: Measured

    def body(self, clips: TestClips, clip: int) -> Float[Tensor, "T J 3"]:
        """The first draw of a clip in the world, its root going where its own control takes it."""
        recorded = clips.motion.control[clip].double()
        control = errors.spliced(recorded, self.made.control[0, clip], self.measured.setting.start)
        return errors.world(self.made.joints[0, clip], control, clips.fps)


def show(model: MotionModel, clips: TestClips, setting: Setting, draws: int, seed: int) -> Shown:
    """Draw and measure for pictures."""
    made = draw(model, clips, setting, draws, seed)
    return Shown(made, compare(made, clips, setting))


def published_setting(model: MotionModel, kind: str) -> Setting:
    """The setting of the paper's tables: rivals predict their control after 60 frames where the motion is compared."""
    return PREDICTED[0] if kind != "pose" and isinstance(model, Rival) else Setting(4)


def table_pictures(
    models: Mapping[str, MotionModel], clips: TestClips, kind: str, draws: int, seed: int
) -> dict[str, bytes]:
    """The pictures of a table by file name; `kind` is ``pose`` or ``motion_predicted``."""
    shown = {name: show(model, clips, published_setting(model, kind), draws, seed) for name, model in models.items()}
    return pictures_of(shown, clips, kind)


def pictures_of(shown: Mapping[str, Shown], clips: TestClips, kind: str = "pose") -> dict[str, bytes]:
    """Errors and spread over time, and bodies and steps of the clip that turns most, as PNG files by name."""
    what = "pose error, units" if kind == "pose" else "motion error, units"
    start = min((one.measured.setting.start for one in shown.values()), default=0)
    curves = {name: one.measured.errors[kind]["dist"].mean(0) for name, one in shown.items()}
    spreads = {name: one.measured.spread for name, one in shown.items() if one.measured.spread.nansum() > 0}
    clip = most_turning(clips)
    truth, heading = true_body(clips, clip)
    bodies = {name: one.body(clips, clip) for name, one in list(shown.items())[:BODIES]}
    last = int(clips.valid[clip].sum()) - 1
    frames = [min(frame, last) for frame in motion_pictures.STRIP]
    made = {
        "errors.png": motion_pictures.curves_over_time(curves, what, start, clips.fps),
        "bodies.png": motion_pictures.skeleton_strip(truth, heading, bodies, clips.parents, frames),
        "steps.png": motion_pictures.footprints(
            trajectory.integrate(asked(shown, clips)[clip].double(), clips.fps)[0],
            {
                name: motion_pictures.Walked(body, clips.valid[clip])
                for name, body in {"truth": truth, **bodies}.items()
            },
            clips.toes,
            clips.fps,
        ),
    }
    if spreads:
        made["spread.png"] = motion_pictures.curves_over_time(spreads, "spread of draws, units", start, clips.fps)
    return {name: pictures.figure_png(figure) for name, figure in made.items()}


def asked(shown: Mapping[str, Shown], clips: TestClips) -> Float[Tensor, "B T 3"]:
    """The control that the first of the models was given."""
    return asked_control(clips, next(iter(shown.values())).measured.setting)


def true_body(clips: TestClips, clip: int) -> tuple[Float[Tensor, "T J 3"], Float[Tensor, " T"]]:
    """A clip as it was recorded, in the world, and its heading."""
    control = clips.motion.control[clip].double()
    _, heading = trajectory.integrate(control, clips.fps)
    return errors.world(clips.motion.joints[clip].double(), control, clips.fps), heading


def most_turning(clips: TestClips) -> int:
    """Among the longest clips the one that turns most, for there a wrong direction shows."""
    lengths = clips.valid.sum(1)
    turned = clips.motion.control[..., 2].abs().sum(1)
    return int(turned.masked_fill(lengths < lengths.amax(), -1).argmax())


def write_motion_report(
    directory: Path,
    model: MotionModel,
    clips: TestClips,
    title: str,
    records: Sequence[Mapping[str, float | int]],
    results: Mapping[str, float],
    seed: int,
) -> Path:
    """Writes ``directory/index.html`` and its pictures, each whole or not at all, and returns the page's path.

    `records` are the lines of metrics.jsonl, `results` what `evaluate_motion` gave; either may be empty.
    """
    few = clips[torch.arange(len(clips), device=clips.valid.device)[:CLIPS]]
    settings = {"4 start frames": GIVEN[1], "no start": GIVEN[2], "4, smoothed control": GIVEN[4]}
    shown = {name: show(model, few, setting, DRAWS, seed) for name, setting in settings.items()}
    found = pictures_of(shown, few.to(torch.device("cpu")))
    if any(len(record) > 1 for record in records):
        found["losses.png"] = pictures.figure_png(pictures.loss_curves(records))
    sections = [
        Section(heading, text, name, found[name], "diagram") for name, (heading, text) in ABOUT.items() if name in found
    ]
    if results:
        sections.insert(0, Section("Summary", run_table(results).note, body=_html(run_table(results))))
    for section in sections:
        if section.picture:
            write_whole(directory / section.name, section.picture)
    page = directory / "index.html"
    content = "\n".join(section.html() for section in sections)
    write_whole(page, PAGE.format(title=escape(title), style=STYLE, content=content, footer="").encode())
    return page


ABOUT: Mapping[str, tuple[str, str]] = {
    "losses.png": ("Loss curves", "Every term that training logs, by step."),
    "errors.png": (
        "Pose error",
        "Mean distance of joints in the root frame over time, with 95 % intervals over clips.",
    ),
    "spread.png": ("Spread", "Mean distance of draws to their mean, over time."),
    "bodies.png": ("Bodies", "A test clip at three frames, seen from the same side; the true body is grey."),
    "steps.png": ("Steps", "The same clip from above: where feet stood, and the ways of toes near the floor."),
}
"""Heading and text of each picture, in the order of the page."""


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in line) + "</tr>" for line in table.texts())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
