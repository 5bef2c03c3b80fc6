"""Tables 1 and 2 of the VAE-LSTM (Habibie et al. 2017) with our rows beside the printed ones, and what they leave out.

Tables are made of the flat results of `evaluate_motion`, one mapping for each seed of each row, so that they can be put
together again from files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from rich.table import Table as RichTable

from kinema.evaluation.bootstrap import interval_over_seeds
from kinema.evaluation.motion_errors import ABOUT, FRAMES
from kinema.evaluation.motion_protocol import PREDICTED, TOLD, Setting

PAPER_NOTE = "other data (Edinburgh), not comparable in absolute terms"
"""What stands beside every printed row."""
PAPER_TABLE1: Mapping[tuple[str, int, str], tuple[float, ...]] = {
    ("ERD", 60, "predicted"): (0.66, 2.10, 6.13, 13.53, 19.49),
    ("LSTM-3LR", 60, "predicted"): (0.55, 3.18, 9.47, 14.14, 17.98),
    ("cRBM, CD-1", 60, "predicted"): (1.41, 3.51, 7.96, 11.51, 15.77),
    ("cRBM, CD-15", 60, "predicted"): (1.41, 3.71, 8.28, 10.54, 15.79),
    ("VAE-LSTM", 4, "given"): (1.45, 1.75, 2.20, 3.25, 4.12),
    ("VAE-LSTM (prior sample)", 0, "given"): (1.97, 2.37, 2.91, 3.97, 4.91),
}
"""Motion error as printed, by model, initial frames and control; the paper does not say clearly in which unit."""
PAPER_TABLE2: Mapping[tuple[str, int, str], tuple[float, ...]] = {
    ("ERD", 4, "given"): (2.31, 2.62, 2.54, 2.99, 2.63),
    ("LSTM-3LR", 4, "given"): (2.11, 2.15, 2.36, 2.34, 2.17),
    ("cRBM, CD-1", 4, "given"): (2.76, 2.81, 3.13, 2.82, 3.01),
    ("cRBM, CD-15", 4, "given"): (2.64, 2.71, 3.08, 2.85, 3.21),
    ("VAE-LSTM", 4, "given"): (0.82, 0.85, 0.82, 0.83, 0.87),
    ("VAE-LSTM (prior sample)", 0, "given"): (1.23, 1.27, 1.24, 1.24, 1.29),
}
"""Pose error as printed."""
GIVEN_STARTS = (4, 0)

Results = Mapping[str, float]
Rows = Mapping[str, Sequence[Results]]
"""For each row of a table its results, one mapping for each seed."""


@dataclass(frozen=True)
class Cell:
    """A figure and, where it is known, the 95 % interval of its mean."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{_figure(self.low)}, {_figure(self.high)}]"
        return _figure(self.value) + interval

    def plain(self) -> dict[str, float]:
        """The figure for JSON, which knows no NaN."""
        known = {"value": self.value, "low": self.low, "high": self.high}
        return {name: value for name, value in known.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Table:
    """Named columns, and rows of texts, counts and cells."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | Cell | None, ...], ...]

    def texts(self) -> list[tuple[str, ...]]:
        return [tuple("" if entry is None else str(entry) for entry in row) for row in self.rows]

    def plain(self) -> dict[str, Any]:
        """The table for JSON: each row by the names of its columns."""
        rows = [
            {
                column: entry.plain() if isinstance(entry, Cell) else entry
                for column, entry in zip(self.columns, row, strict=True)
                if entry is not None
            }
            for row in self.rows
        ]
        return {"title": self.title, "note": self.note, "columns": list(self.columns), "rows": rows}

    def markdown(self) -> str:
        """The table for a document, with a heading."""
        words = [any(isinstance(row[number], str) for row in self.rows) for number in range(len(self.columns))]
        rule = ["---" if word else "---:" for word in words]
        lines = "".join(f"| {' | '.join(line)} |\n" for line in (self.columns, rule, *self.texts()))
        return f"## {self.title}\n\n{self.note}\n\n{lines}"

    def rich(self) -> RichTable:
        """The table for a terminal, which has no room for intervals."""
        made = RichTable(title=self.title, caption=self.note, title_justify="left", caption_justify="left")
        for number, column in enumerate(self.columns):
            made.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
        for row in self.rows:
            values = (entry.value if isinstance(entry, Cell) else entry for entry in row)
            made.add_row(*(_figure(x) if isinstance(x, float) else "" if x is None else str(x) for x in values))
        return made


def cell(results: Sequence[Results], name: str) -> Cell | None:
    """The mean over the seeds of one measure; None where it was not measured.

    The interval is over the seeds where there are several, else over the clips, as `evaluate_motion` gave it.
    """
    values = [found[name] for found in results if name in found]
    if not values:
        return None
    if len(values) == 1:
        low, high = (results[0].get(f"{name}_{end}", math.nan) for end in ("low", "high"))
        return Cell(values[0], low, high)
    column = torch.tensor(values, dtype=torch.float64)
    return Cell(column.mean().item(), *interval_over_seeds(column))


def rows_table1(rows: Rows) -> list[Table]:
    """Motion error: the root goes where each model's own control takes it."""
    settings = (PREDICTED[0], *(Setting(start) for start in GIVEN_STARTS))
    smooth = tuple(Setting(start, True, True) for start in GIVEN_STARTS)
    kind = "motion_predicted"
    note = "Joints in the world, the root going where the model's own control takes it; 95 % intervals in brackets."
    return [
        error_table("Motion error", note, rows, settings, kind, "dist", PAPER_TABLE1),
        error_table("Motion error, smoothed control", note, rows, smooth, kind, "dist"),
        *quality_tables(rows),
        *(error_table("Motion error", note, rows, settings, kind, unit) for unit in ("sq", "mse")),
        error_table("Motion error, best of K draws", note, rows, settings, kind, "best"),
    ]


def rows_table2(rows: Rows) -> list[Table]:
    """Pose error: the true control is given to all, and where the root is does not count."""
    settings = (*(Setting(start) for start in GIVEN_STARTS), *TOLD)
    smooth = tuple(Setting(start, True, True) for start in GIVEN_STARTS)
    note = "Joints in the root frame; the control is given to all models; 95 % intervals in brackets."
    return [
        error_table("Pose error", note, rows, settings, "pose", "dist", PAPER_TABLE2),
        error_table("Pose error, smoothed control", note, rows, smooth, "pose", "dist"),
        *quality_tables(rows),
        error_table("Spread of the draws", "Mean distance of K draws to their mean.", rows, settings, "", "spread"),
        error_table("Pose error, best of K draws", note, rows, settings, "pose", "best"),
        *(error_table("Pose error", note, rows, settings, "pose", unit) for unit in ("sq", "mse")),
    ]


UNITS: Mapping[str, str] = {
    **ABOUT,
    "cm": "mean joint distance, cm",
    "best": "mean joint distance, units",
    "spread": "units",
}


def error_table(
    title: str,
    note: str,
    rows: Rows,
    settings: Sequence[Setting],
    kind: str,
    unit: str,
    paper: Mapping[tuple[str, int, str], tuple[float, ...]] | None = None,
) -> Table:
    """One line for each model and each of the settings that it was measured in; the printed lines after them."""
    lines: list[tuple[str | int | Cell | None, ...]] = []
    for setting in settings:
        for name, results in rows.items():
            path = "/".join(part for part in (setting.name, kind, unit) if part)
            cells = [cell(results, f"{path}/{frame}") for frame in FRAMES]
            if any(found is not None for found in cells):
                lines.append((name, setting.start, _control(setting), *cells))
    for (name, start, control), values in (paper or {}).items():
        lines.append((f"paper: {name}", start, control, *map(Cell, values)))
    frames = (f"frame {frame}" for frame in FRAMES)
    note = f"{note} Rows of the paper: {PAPER_NOTE}." if paper else note
    return Table(f"{title} ({UNITS[unit]})", note, ("model", "start frames", "control", *frames), tuple(lines))


MEASURES: Mapping[str, str] = {
    "skate": "skate, cm/s",
    "zhang_skate": "Zhang skate, cm/s",
    "stance": "foot down, share",
    "contact_f1": "contact F1",
    "path_mean": "path, mean cm",
    "path_max": "path, greatest cm",
    "bone": "bones, mm",
    "acceleration_ratio": "acceleration / real",
    "jerk_ratio": "jerk / real",
}
"""The columns of the tables of quality."""


LEADS = (
    ("predicted", "model's own control takes it"),
    ("given", "asked control takes it"),
    ("swayed", "asked control takes it, swaying as the model does"),
    ("locked", "asked control takes it, swaying as the model does, standing feet held"),
)
"""Roots of `evaluate_motion`, and what takes the body where it is."""


def quality_tables(rows: Rows, start: int = 4) -> list[Table]:
    """Feet, path, bones and trembling, walk and run apart, each table with the row of the real data."""
    made = []
    for (root, leads), smooth in product(LEADS, (False, True)):
        setting = Setting(start, True, smooth)
        kind = "smoothed" if smooth else "recorded"
        title = f"Quality: {kind} control, {start} start frames, the root where the {leads}"
        lines: list[tuple[str | int | Cell | None, ...]] = []
        for gait in ("walk", "run"):
            real = next((results[:1] for results in rows.values() if results), ())
            for name, results, of in (("real data", real, "real"), *((n, r, root) for n, r in rows.items())):
                cells = [cell(results, f"{setting.name}/{of}/{measure}/{gait}") for measure in MEASURES]
                if any(found is not None for found in cells):
                    lines.append((name, gait, *cells))
        made.append(Table(title, "Means over clips.", ("model", "gait", *MEASURES.values()), tuple(lines)))
    return [table for table in made if len(table.rows) > 2]


SUMMARY: Mapping[str, str] = {
    **{f"pose/dist/{frame}": f"pose error at {frame}, units" for frame in FRAMES},
    **{f"motion_predicted/dist/{frame}": f"motion error at {frame}, units" for frame in FRAMES},
    "spread/210": "spread at 210, units",
    "pose/best_gain": "what the best of K saves",
    "predicted/skate/walk": "skate walking, cm/s",
    "predicted/skate/run": "skate running, cm/s",
    "predicted/stance/walk": "foot down walking, share",
    "predicted/stance/run": "foot down running, share",
    "predicted/path_mean/all": "distance from path, cm",
    "predicted/bone/all": "change of bones, mm",
    "predicted/acceleration_ratio/all": "acceleration / real",
}
"""The lines of a single run's table."""
SHOWN: Mapping[str, Setting] = {
    "4 frames": Setting(4),
    "no start": Setting(0),
    "4, smoothed": Setting(4, True, True),
    "60, own control": PREDICTED[0],
}
"""Its columns."""


def run_table(results: Results) -> Table:
    """A single run: what was measured, by what it was given, beside the same of the real data."""
    settings = {name: s for name, s in SHOWN.items() if any(key.startswith(f"{s.name}/") for key in results)}
    lines = []
    for measure, about in SUMMARY.items():
        of_truth = f"{Setting(4).name}/real/{measure.removeprefix('predicted/')}"
        cells = [cell([results], f"{setting.name}/{measure}") for setting in settings.values()]
        if any(found is not None for found in cells):
            lines.append((about, *cells, cell([results], of_truth) if measure.startswith("predicted/") else None))
    note = "1 unit is 5.644 cm. The root goes where the model's own control takes it."
    return Table("Held-out clips", note, ("measure", *settings, "real data"), tuple(lines))


def motion_table(results: Results) -> RichTable:
    """`run_table` for the terminal."""
    return run_table(results).rich()


ABLATION: Mapping[str, str] = {
    "start4-given-recorded/pose/dist/90": "pose at 90",
    "start4-given-recorded/pose/dist/210": "pose at 210",
    "start0-given-recorded/pose/dist/210": "pose at 210, no start",
    "start4-given-smoothed/pose/dist/210": "pose at 210, smoothed",
    "start4-given-recorded/motion_predicted/dist/210": "motion at 210",
    "start4-given-recorded/pose/best_gain": "best of K saves",
    "start4-given-recorded/spread/210": "spread at 210",
    "start4-given-recorded/predicted/skate/walk": "skate walk, cm/s",
    "start4-given-recorded/predicted/skate/run": "skate run, cm/s",
    "start4-given-smoothed/predicted/skate/walk": "skate walk, smoothed",
    "start4-given-recorded/predicted/stance/walk": "foot down, walk",
    "start4-given-recorded/predicted/stance/run": "foot down, run",
}
"""The columns of the table of variants."""


def rows_ablation(rows: Rows) -> list[Table]:
    """One line for each variant: errors in units, with four start frames where nothing else is said."""
    lines = tuple((name, *(cell(results, measure) for measure in ABLATION)) for name, results in rows.items())
    note = "Mean joint distances and spread in units; 4 start frames; the root where the model's own control takes it."
    return [Table("Variants", note, ("variant", *ABLATION.values()), lines)]


def document(title: str, about: str, tables: Sequence[Table]) -> str:
    """All tables as one Markdown text."""
    return f"# {title}\n\n{about}\n\n" + "\n".join(table.markdown() for table in tables)


def _control(setting: Setting) -> str:
    kind = "predicted" if not setting.given else "given, smoothed" if setting.smooth else "given"
    return f"{kind}, labels" if setting.labels else kind


def _figure(value: float) -> str:
    """Three figures or two decimals: what the intervals let one read."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) < 0.1 and value else f"{value:.2f}"
