"""Tables 1 and 2 of the VAE-LSTM (Habibie et al. 2017) with our rows beside the printed ones, and what they leave out.

Tables are made of the flat results of `evaluate_motion`, one mapping for each seed of each row, so that they can be put
together again from files.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from rich.table import Table as RichTable

from kinema.evaluation.motion_errors import ABOUT, FRAMES
from kinema.evaluation.motion_protocol import PREDICTED, TOLD, Setting
from kinema.evaluation.tables import Cell, Results, Rows, Table, cell

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


def _control(setting: Setting) -> str:
    kind = "predicted" if not setting.given else "given, smoothed" if setting.smooth else "given"
    return f"{kind}, labels" if setting.labels else kind
