"""The renderer's tables: errors on three scales, shares of baselines, what each code holds, T_Z against the truth."""

from collections.abc import Mapping
from typing import Any

from kinema.evaluation.tables import Rows, Table, cell

DIGITS = (5, 8)
"""Whose T_Z is analysed."""
SCALES: Mapping[str, str] = {"mse255": "mean over 0-255", "sse01": "sum per image, [0, 1]", "psnr": "PSNR, dB"}
"""What each scale of an error is called."""


def error_table(title: str, note: str, rows: Rows, measures: Mapping[str, str], scale: str) -> Table:
    """A line for each row and measure: mean with its interval, quartiles of the sum per image."""
    lines = []
    for name, results in rows.items():
        for measure, called in measures.items():
            found = cell(results, f"{measure}/{scale}")
            if found is not None:
                quartiles = [cell(results, f"{measure}/{q}") for q in ("q1", "median", "q3")]
                lines.append((name, called, found, *quartiles))
    heads = ("model", "what", SCALES[scale], "q1, [0, 1]", "median, [0, 1]", "q3, [0, 1]")
    return Table(f"{title} ({SCALES[scale]})", note, heads, tuple(lines))


def ratio_table(rows: Rows, ratios: Mapping[str, str]) -> Table:
    """Shares of the baselines of the same examples."""
    lines = [(name, *(cell(results, ratio) for ratio in ratios)) for name, results in rows.items()]
    note = "The mean error as a share of the mean of the baseline; below 1 is better than it."
    return Table("Errors as shares of the baselines", note, ("model", *ratios.values()), tuple(lines))


DIGIT_MEASURES: Mapping[str, str] = {
    "background": "Background",
    "transformation": "Transformation",
    "combined": "both",
    "reconstruction": "reconstruction",
    "video frames": "Video frames (baseline)",
    "no object": "No object (baseline)",
    "solo": "background alone",
}
DIGIT_RATIOS: Mapping[str, str] = {
    "background/of no object": "Background / No object",
    "transformation/of video frames": "Transformation / Video frames",
}
SPRITE_MEASURES: Mapping[str, str] = {
    "transformation": "analogy",
    "background only": "background-only",
    "background only, copy": "background-only, copying x_c",
    "character only": "character-only",
    "character only, copy": "character-only, copying x_c",
    "bare": "on a bare canvas (Ours-BG)",
    "background": "background changed",
    "solo, free pixels": "background alone, free pixels",
    "copy": "copying x_c (baseline)",
    "video frames": "Video frames (baseline)",
}
SPRITE_RATIOS: Mapping[str, str] = {
    "transformation/of copy": "analogy / copy",
    "background only/of background only, copy": "background-only / copy",
    "character only/of character only, copy": "character-only / copy",
}


def alpha_table(rows: Rows) -> Table:
    """How well each model separates: the background alone, and the character cut out."""
    lines = []
    for name, results in rows.items():
        measures = ("solo/psnr", "solo, free pixels/psnr", "alpha/iou", "alpha/error")
        lines.append((name, *(cell(results, measure) for measure in measures)))
    note = (
        "Frames shown without their character, in dB, everywhere and where none is; characters shown without their"
        " background: opacity solved from two gray canvases, what is more than half opaque against the truth, and the"
        " mean absolute difference."
    )
    heads = ("model", "background alone, dB", "free pixels, dB", "alpha, intersection over union", "alpha, error")
    return Table("What each code holds alone", note, heads, tuple(lines))


def flow_table(rows: Rows) -> Table:
    """Unseen frames, told by a Hamiltonian flow fitted to T_Z of every other frame."""
    ways = ("flow", "flow alone", "nearest", "line", "rest")
    lines = []
    for name, results in rows.items():
        shares = (cell(results, f"unseen T_Z, {way}/of per frame") for way in ways)
        lines.append((name, cell(results, "unseen T_Z, per frame/sse01"), *shares))
    note = (
        "T_Z of every second frame is read; a Hamiltonian flow tells it at the frames between, as do the nearest frame"
        " that was read and a straight line. Where a model has learned what movements there are, the flow goes by it,"
        " and `of the clip alone` is without. Errors as shares of that with the T_Z read from the unseen frame itself;"
        " `no movement` is the first frame again: where it is near 1, there is no movement to tell."
    )
    heads = (
        "model",
        "its own T_Z, sum per image",
        "flow",
        "flow of the clip alone",
        "nearest",
        "straight line",
        "no movement",
    )
    return Table("Frames between", note, heads, tuple(line for line in lines if line[1] is not None))


def rows_digits(rows: Rows) -> list[Table]:
    """Figure 3."""
    note = "Unseen digits on unseen backgrounds; 95 % intervals in brackets."
    tables = [error_table("Moving MNIST", note, rows, DIGIT_MEASURES, scale) for scale in ("mse255", "sse01", "psnr")]
    return [tables[0], ratio_table(rows, DIGIT_RATIOS), alpha_table(rows), *tables[1:]]


STILL = "standing still: "
"""What begins the names of results of characters that are not moved along x, of a model that learned from some that
are."""


def with_still(rows: Rows) -> Rows:
    """The rows, and after each that has such results a line of them."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, results in rows.items():
        found[name] = [dict(one) for one in results]
        still = [{k.removeprefix(STILL): v for k, v in one.items() if k.startswith(STILL)} for one in results]
        if all(still):
            found[f"{name}, standing still"] = still
    return found


def rows_sprites(rows: Rows) -> list[Table]:
    """Figures 6 to 9, 16 and 21."""
    rows = with_still(rows)
    note = "Unseen characters, on unseen backgrounds where there are any; 95 % intervals in brackets."
    tables = [error_table("Sprites", note, rows, SPRITE_MEASURES, scale) for scale in ("sse01", "mse255", "psnr")]
    return [
        tables[0],
        ratio_table(rows, SPRITE_RATIOS),
        alpha_table(rows),
        flow_table(rows),
        by_movement(rows),
        *tables[1:],
    ]


ANIMATIONS = ("spellcast", "thrust", "walk", "slash", "shoot")


def by_movement(rows: Rows) -> Table:
    """Analogies, animation by animation (figures 7, 9 and 21)."""
    lines = []
    for name, results in rows.items():
        for measure in ("transformation", "background only", "character only", "copy"):
            cells = [cell(results, f"{measure}/{animation}/sse01") for animation in ANIMATIONS]
            if any(found is not None for found in cells):
                lines.append((name, SPRITE_MEASURES[measure], *cells))
    note = "Sum of squares per image in [0, 1]."
    return Table("Sprites, animation by animation", note, ("model", "what", *ANIMATIONS), tuple(lines))


AFFINE: Mapping[str, str] = {
    "r2 inverse": "r2, inverse of T_X",
    "r2 forward": "r2, T_X as printed",
    "constant entries": "constant entries",
    "angle error, degrees": "angle error, degrees",
    "angle correlation": "angle correlation",
    "shift norm correlation": "shift norm correlation",
    "greatest singular value": "greatest singular value",
}
PAPER_R2 = {5: 0.992, 8: 0.993}


def rows_affine(rows: Rows) -> list[Table]:
    """Section 4.6, figures 11 to 14."""
    lines: list[tuple[Any, ...]] = []
    for name, results in rows.items():
        for digit in DIGITS:
            lines.append((name, digit, *(cell(results, f"{digit}/affine/{measure}") for measure in AFFINE)))
    for digit, r2 in PAPER_R2.items():
        lines.append(("paper", digit, None, r2, *[None] * (len(AFFINE) - 2)))
    note = "T_Z of pairs of one drawing of a digit on one background, against the true movement."
    return [Table("T_Z and T_X", note, ("model", "digit", *AFFINE.values()), tuple(lines)), *rows_digits(rows)]
