"""Pictures of generated motion: skeletons side by side, errors over time, and footprints seen from above.

Each function gives a matplotlib Figure; `pictures.figure_png` makes it a file. Lengths are metres, errors units.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor
from torch.nn import functional

from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.motion_errors import FRAMES
from kinema.evaluation.motion_quality import SKATE_HEIGHT, feet

LEFT, RIGHT, MIDDLE, GHOST, PATH = "#0072b2", "#d55e00", "#333333", "#c4c4c4", "#8a8a8a"
"""Colours of the sides of a body, of the truth behind it, and of a path; told apart by the colour-blind as well."""
VIEW = (40.0, 12.0)
"""From where bodies are looked at: degrees to the left of their front, and above the ground."""
ASIDE = 0.04
"""Metres from the middle of the body at which a limb begins."""
WIDEST = 9.5
"""Inches across which diagrams are put side by side."""
STRIP = (80, 100, 120)
"""The frames of the paper's figure 3."""


def skeleton_strip(
    truth: Float[Tensor, "T J 3"],
    heading: Float[Tensor, " T"],
    models: Mapping[str, Float[Tensor, "T J 3"]],
    parents: tuple[int, ...],
    frames: Sequence[int] = STRIP,
) -> Figure:
    """The body in the world at some frames (rows), the truth and each model (columns); after figure 3.

    Every body is seen with its own root in the middle from the same side of the true `heading`, so that a wrong pose
    or direction shows; the true body stands behind it in grey. A wrong place is said in words.
    """
    names = ["truth", *models]
    figure = Figure(figsize=(1.7 * len(names), 2.4 * len(frames)), layout="constrained")
    axes = figure.subplots(len(frames), len(names), squeeze=False)
    colours = side_colours(truth, heading, parents)
    own = truth[list(frames)]
    tall = float(own[..., 1].amax() - own[..., 1].amin())
    for row, frame in enumerate(frames):
        for column, name in enumerate(names):
            axis, body = axes[row][column], truth if name == "truth" else models[name]
            if name != "truth":
                _bones(axis, _seen(truth[frame], heading[frame]), parents, [GHOST] * len(parents), 2.2)
            _bones(axis, _seen(body[frame], heading[frame]), parents, colours, 1.8)
            axis.axhline(0, color=GHOST, linewidth=0.8, zorder=0)
            axis.set(xlim=(-0.45 * tall, 0.45 * tall), ylim=(-0.12 * tall, 1.12 * tall), aspect="equal")
            axis.set_axis_off()
            if name != "truth":
                away = float((body[frame, 0] - truth[frame, 0])[[0, 2]].norm())
                place = f"root {100 * away:.0f} cm off" if away < 1 else f"root {away:.1f} m off"
                axis.text(0.5, 0.0, place, transform=axis.transAxes, ha="center", fontsize=7, color=PATH)
            if row == 0:
                axis.set_title(name, fontsize=9)
            if column == 0:
                axis.text(-0.02, 0.5, f"frame {frame}", transform=axis.transAxes, rotation=90, va="center", fontsize=8)
    return figure


def curves_over_time(
    curves: Mapping[str, Float[Tensor, "B T"]], what: str, start: int = 0, fps: float = 60.0, seed: int = 0
) -> Figure:
    """The mean over clips of each model's error or spread at every frame, with its 95 % interval; after figure 4.

    NaN is not scored. The grey part is the frames that all models are given; dotted lines are those of the tables.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    top = 0.0
    for number, (name, values) in enumerate(curves.items()):
        low, high = interval_over_clips(values, seed, resamples=500)
        mean = values.nanmean(0)
        times = np.arange(values.shape[1])
        (line,) = axis.plot(times, mean.numpy(), color=f"C{number}", linewidth=1.5, label=name)
        axis.fill_between(times, low.numpy(), high.numpy(), color=line.get_color(), alpha=0.18, linewidth=0)
        top = max(top, float(mean.nan_to_num(0).amax()))
    length = max((values.shape[1] for values in curves.values()), default=1)
    for frame in FRAMES:
        if frame < length:
            axis.axvline(frame, color=GHOST, linewidth=0.8, linestyle=":", zorder=0)
    if start:
        axis.axvspan(0, start, color=GHOST, alpha=0.4, linewidth=0, zorder=0)
    axis.set(xlabel=f"frame, {fps:g} a second", ylabel=what, xlim=(0, length - 1), ylim=(0, 1.08 * top or 1))
    axis.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@dataclass(frozen=True, eq=False)
class Walked:
    """A body's way over the ground."""

    joints: Float[Tensor, "T J 3"]
    """World positions, in metres."""
    scored: Bool[Tensor, " T"]
    """The frames that are drawn, one stretch."""


def footprints(asked: Float[Tensor, "T 3"], walks: Mapping[str, Walked], toes: tuple[int, int], fps: float) -> Figure:
    """Where each foot stood along the asked path, seen from above, one diagram for each named body.

    A dot is where a foot stood, on average over a stance. A line is the way of a toe while it was near its floor, so
    feet that slide leave lines. +Z, where the path begins to lead, is up, and left is left.
    """
    ways = [walked.joints[walked.scored][:, [0, *toes]][..., [0, 2]].flatten(0, 1) for walked in walks.values()]
    near, far = (end(torch.cat(ways), 0).tolist() for end in (torch.amin, torch.amax))
    width, height = (max(b - a + 0.4, 1.0) for a, b in zip(near, far, strict=True))
    scale = min(5.0 / height, 2.6 / width)
    across = max(1, min(len(walks), int(WIDEST / (0.5 + scale * width))))
    rows = math.ceil(len(walks) / across)
    size = (0.3 + (0.5 + scale * width) * across, 0.5 + (0.5 + scale * height) * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).ravel().tolist()
    for unused in axes[len(walks) :]:
        unused.remove()
    for axis, (name, walked) in zip(axes, walks.items(), strict=False):
        axis.plot(*_above(asked[walked.scored]), color=GHOST, linewidth=5, solid_capstyle="round", zorder=0)
        axis.plot(*_above(walked.joints[walked.scored, 0]), color=MIDDLE, linewidth=0.8, zorder=1)
        for side, colour in enumerate((LEFT, RIGHT)):
            low, stances = ways_of_toe(walked, toes, side, fps)
            for way in low:
                axis.plot(*_above(way), color=colour, linewidth=2, alpha=0.5, solid_capstyle="round", zorder=2)
            for way in stances:
                axis.plot(*_above(way.mean(0, keepdim=True)), color=colour, marker="o", markersize=4, zorder=3)
        axis.set_title(name, fontsize=9)
        # +X is to the left of who goes along +Z, so it grows to the left here.
        axis.set(xlim=(far[0] + 0.2, near[0] - 0.2), ylim=(near[1] - 0.2, far[1] + 0.2), aspect="equal")
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
        axis.set_xlabel("m", fontsize=8)
    axes[0].set_ylabel("m", fontsize=8)
    handles = [
        Line2D([], [], color=GHOST, linewidth=5, label="asked path"),
        Line2D([], [], color=MIDDLE, linewidth=0.8, label="root"),
        Line2D([], [], color=LEFT, marker="o", markersize=4, linewidth=2, label="left foot"),
        Line2D([], [], color=RIGHT, marker="o", markersize=4, linewidth=2, label="right foot"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def ways_of_toe(
    walked: Walked, toes: tuple[int, int], side: int, fps: float
) -> tuple[list[Float[Tensor, "_ 3"]], list[Float[Tensor, "_ 3"]]]:
    """The ways of one toe while it is near its floor, and while its foot stands, each in the order of time."""
    places = walked.joints[:, list(toes)]
    steps = feet(places[None], walked.scored[None], fps)
    near = (steps.height < SKATE_HEIGHT) & steps.scored[..., None]
    return _stretches(places[:, side], near[0, :, side]), _stretches(places[:, side], steps.standing[0, :, side])


def _stretches(places: Float[Tensor, "T 3"], chosen: Bool[Tensor, " N"]) -> list[Float[Tensor, "_ 3"]]:
    change = functional.pad(chosen.long(), (1, 1)).diff()
    begins, ends = (torch.nonzero(change == sign)[:, 0].tolist() for sign in (1, -1))
    return [places[begin:end] for begin, end in zip(begins, ends, strict=True)]


def side_colours(truth: Float[Tensor, "T J 3"], heading: Float[Tensor, " T"], parents: tuple[int, ...]) -> list[str]:
    """For each joint the colour of its side: a limb is on the side on which its first joint is, on average."""
    away = (truth - truth[:, :1]).double()
    left = (away[..., 0] * heading.cos()[:, None] - away[..., 2] * heading.sin()[:, None]).mean(0).tolist()
    colours: list[str] = []
    for joint, parent in enumerate(parents):
        above = MIDDLE if parent < 0 else colours[parent]
        own = MIDDLE if abs(left[joint]) < ASIDE else LEFT if left[joint] > 0 else RIGHT
        colours.append(own if above == MIDDLE else above)
    return colours


def _seen(body: Float[Tensor, "J 3"], heading: Float[Tensor, ""]) -> Float[np.ndarray, "J 2"]:
    """The body on the picture: across and up, its root above the middle of the ground."""
    turn, tilt = torch.deg2rad(torch.tensor(VIEW, dtype=torch.float64))
    x, y, z = (body - body[0] * body.new_tensor([1.0, 0.0, 1.0])).double().unbind(-1)
    # The viewer stands before the body and to its left, so what is at the body's left is on the picture's right.
    angle = heading.double() + turn
    across = x * angle.cos() - z * angle.sin()
    near = x * angle.sin() + z * angle.cos()
    return torch.stack([across, y * tilt.cos() - near * tilt.sin()], -1).numpy()


def _bones(
    axis: Axes, places: Float[np.ndarray, "J 2"], parents: tuple[int, ...], colours: list[str], width: float
) -> None:
    lines = [places[[joint, parent]] for joint, parent in enumerate(parents) if parent >= 0]
    shown = [colours[joint] for joint, parent in enumerate(parents) if parent >= 0]
    axis.add_collection(LineCollection(lines, colors=shown, linewidths=width, capstyle="round"))


def _above(places: Float[Tensor, "N 3"]) -> tuple[np.ndarray, np.ndarray]:
    return places[:, 0].numpy(), places[:, 2].numpy()
