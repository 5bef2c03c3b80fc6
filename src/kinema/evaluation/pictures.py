"""Pictures of clips and of what goes on inside a model, without a display and without global state.

Grids are arrays (H, W, 3) uint8; every source pixel becomes a square of whole pixels. Diagrams are matplotlib Figures.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

GAP = 2
"""Pixels between frames."""
PAPER = 255
"""Grey level of what is between and beside frames."""
INK = 40
"""Grey level of labels."""
FONT = ImageFont.load_default(13)

Grid = UInt8[np.ndarray, "_ _ 3"]


def magnification(size: tuple[int, int], wanted: int = 96) -> int:
    """The whole factor that makes a frame of this height and width about `wanted` pixels high or wide."""
    return max(1, round(wanted / max(size)))


def clip_grid(rows: Sequence[tuple[str, UInt8[Tensor, "_ C H W"]]], scale: int) -> Grid:
    """Clips below each other, their frames side by side, each row with its label on the left.

    RGBA is shown over black (its premultiplied colours); grey as grey. Shorter clips leave their row's end empty.
    """
    longest = max(len(frames) for _, frames in rows)
    cells = [[*_cells(frames, scale), *[None] * (longest - len(frames))] for _, frames in rows]
    return _with_labels(_tiled(cells), [label for label, _ in rows])


def moving_grid(columns: Sequence[tuple[str, UInt8[Tensor, "N T C H W"]]], scale: int) -> list[Grid]:
    """One picture per time: the columns' clips beside each other, N rows of them, each column with its label on top."""
    cells = [[_cells(clip, scale) for clip in clips] for _, clips in columns]
    times, count = len(cells[0][0]), len(cells[0])
    pictures = []
    for time in range(times):
        tiled = _tiled([[column[row][time] for column in cells] for row in range(count)])
        pictures.append(_with_heads(tiled, [label for label, _ in columns]))
    return pictures


def png(picture: Grid) -> bytes:
    """The picture as a PNG file."""
    return _saved([picture], {})


def animated_png(pictures: Sequence[Grid], fps: float) -> bytes:
    """The pictures as an animated PNG that repeats for ever; programs without animation show the first."""
    return _saved(pictures, {"save_all": True, "duration": 1000 / fps, "loop": 0})


def figure_png(figure: Figure) -> bytes:
    """The diagram as a PNG file, 120 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def loss_curves(records: Sequence[Mapping[str, float | int]]) -> Figure:
    """Every named term of the records against their ``step``, one small diagram each; records may lack terms."""
    names = list(dict.fromkeys(name for record in records for name in record if name != "step"))
    figure, axes = _diagrams(len(names))
    for axis, name in zip(axes, names, strict=True):
        known = [record for record in records if name in record]
        values = [record[name] for record in known]
        axis.plot([record["step"] for record in known], values, color="tab:blue", linewidth=1)
        if min(values) > 0 and max(values) > 20 * min(values):
            axis.set_yscale("log")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
    return figure


def phase_portrait(
    trajectories: Mapping[str, Float[Tensor, "T K D"]], operators: Sequence[str], pair: int = 0
) -> Figure:
    """Momentum against position, one diagram per operator and one line per named trajectory.

    D = 2d holds d positions, then d momenta; `pair` is which of the d is drawn, from 0. A dot marks the beginning.
    """
    figure, axes = _diagrams(len(operators))
    for column, (axis, name) in enumerate(zip(axes, operators, strict=True)):
        for label, states in trajectories.items():
            q, p = states[:, column, pair].tolist(), states[:, column, states.shape[2] // 2 + pair].tolist()
            (line,) = axis.plot(q, p, linewidth=1, marker=".", markersize=3, label=label)
            axis.plot(q[:1], p[:1], marker="o", color=line.get_color())
        axis.set_title(f"operator {name}", fontsize=9)
        axis.set_xlabel(f"$q_{pair + 1}$", fontsize=8)
        axis.set_ylabel(f"$p_{pair + 1}$", fontsize=8)
        axis.set_aspect("equal", adjustable="datalim")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def energy_over_time(
    times: Float[Tensor, " T"], parts: Mapping[str, Float[Tensor, "T K"]], operators: Sequence[str]
) -> Figure:
    """Each named part of the energy against time (frames), one diagram per operator."""
    figure, axes = _diagrams(len(operators))
    for column, (axis, name) in enumerate(zip(axes, operators, strict=True)):
        for part, values in parts.items():
            axis.plot(times.tolist(), values[:, column].tolist(), linewidth=1.2, label=part)
        axis.set_title(f"operator {name}", fontsize=9)
        axis.set_xlabel("time, frames", fontsize=8)
        axis.set_ylabel("energy", fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def _diagrams(count: int) -> tuple[Figure, list]:
    columns = min(4, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(2.9 * columns, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    for axis in axes[:count]:
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    return figure, axes[:count]


def _cells(frames: UInt8[Tensor, "T C H W"], scale: int) -> list[Grid]:
    """The frames as RGB pictures, `scale` times as large, with a margin that separates them from the next."""
    colours = frames[:, :3].expand(-1, 3, -1, -1).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return list(functional.pad(colours, (0, GAP, 0, GAP), value=PAPER).permute(0, 2, 3, 1).cpu().numpy())


def _tiled(cells: Sequence[Sequence[Grid | None]]) -> Grid:
    blank = np.full_like(cells[0][0], PAPER)
    return np.concatenate([np.concatenate([blank if c is None else c for c in row], 1) for row in cells], 0)


def _with_labels(grid: Grid, labels: Sequence[str]) -> Grid:
    """The grid with a label to the left of each of its equally high rows."""
    width = int(max(FONT.getlength(label) for label in labels)) + 10
    height = grid.shape[0] // len(labels)
    places = [(width - 6, round((row + 0.5) * height)) for row in range(len(labels))]
    return np.concatenate([_written(grid.shape[0], width, labels, places, "rm"), grid], 1)


def _with_heads(grid: Grid, labels: Sequence[str]) -> Grid:
    """The grid with a label above each of its equally wide columns."""
    width = grid.shape[1] // len(labels)
    places = [(round((column + 0.5) * width), 9) for column in range(len(labels))]
    return np.concatenate([_written(18, grid.shape[1], labels, places, "mm"), grid], 0)


def _written(height: int, width: int, labels: Sequence[str], places: Sequence[tuple[int, int]], anchor: str) -> Grid:
    image = Image.new("RGB", (width, height), (PAPER,) * 3)
    draw = ImageDraw.Draw(image)
    for label, place in zip(labels, places, strict=True):
        draw.text(place, label, fill=(INK,) * 3, font=FONT, anchor=anchor)
    return np.asarray(image)


def _saved(pictures: Sequence[Grid], options: dict[str, Any]) -> bytes:
    first, *others = [Image.fromarray(picture) for picture in pictures]
    buffer = io.BytesIO()
    first.save(buffer, format="PNG", append_images=others, **options)
    return buffer.getvalue()
