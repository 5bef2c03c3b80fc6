"""The tables of HALO (Khan and Storkey 2022), ours beside what was printed, each direction in a table of its own."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinema.evaluation.disentanglement import PRIOR_MOTION, REAL_MOTION, SAMPLED_CONTENT
from kinema.evaluation.halo_protocol import PAPER_JUDGE, STANDARD
from kinema.evaluation.tables import Cell, Results, Rows, Table, cell

Line = tuple[Any, ...]
MEASURES = ("action", "H(y|x)", "H(y)", "IS")
PRINTED_SPRITES: Mapping[str, tuple[float, float, float, float]] = {
    "HALO, as printed": (1.000, 0.011, 2.009, 7.374),
    "DSVAE, as printed": (0.907, 0.072, 2.192, 8.331),
    "MoCoGAN, as printed": (0.928, 0.090, 2.192, 8.182),
    "S3VAE, as printed": (0.994, 0.041, 2.197, 8.636),
}
"""Table 2, left: the paper does not say in which direction the rivals' rows were measured."""
PRINTED_KEPT: Mapping[str, float] = {"skin": 0.925, "top": 0.948, "bottom": 0.968, "hair": 0.992}
"""Table 2, right: the motion of another sequence."""
PRINTED_FACES: Mapping[str, tuple[float, float, float, float]] = {
    "HALO on MUG, as printed": (0.929, 0.108, 1.778, 5.312),
    "HALO on MUG, unconditional, as printed": (0.750, 0.187, 1.762, 4.830),
}
PRINTED_LONG = {"H, as printed": (0.982, 36.76, 5e-4), "skew-H, as printed": (0.950, 33.88, 26e-4)}
"""Table 1: SSIM, PSNR, MSE of 16 frames of sprites from one image."""
PRINTED_ABLATION: Mapping[str, tuple[float, ...]] = {
    "HALO on MUG, as printed": (0.929, 0.108, 1.778, 5.312, 0.998),
    "linear on MUG, as printed": (0.548, 0.722, 1.553, 2.295, 0.996),
    "RNN on MUG, as printed": (0.580, 0.759, 1.743, 2.675, 1.000),
    "HALO on MUG, unconditional, as printed": (0.750, 0.187, 1.762, 4.830, 0.994),
    "linear on MUG, unconditional, as printed": (0.451, 0.962, 1.525, 1.756, 0.974),
    "RNN on MUG, unconditional, as printed": (0.550, 1.015, 1.658, 1.902, 0.998),
    "positional on MUG, as printed": (0.152, 0.978, 1.150, 1.188, 0.009),
}
"""The supplement's tables 1a and 1b."""
PRINTED_DIGITS = {
    "GPPVAE-dis": 0.0306,
    "GPPVAE-joint": 0.0280,
    "ODE2VAE": 0.0204,
    "ODE2VAE-KL": 0.0184,
    "HALO": 0.0208,
}
"""The supplement's table 2; the range of the pixels and, for HALO, the protocol are not said."""
ACCURATE = 0.9
"""What a tick of table 3 needs."""


def named(results: Results, start: str) -> list[str]:
    """The ends of the names that begin with `start`, without those of intervals."""
    names = [name.removeprefix(start) for name in results if name.startswith(start)]
    return [name for name in names if not name.endswith(("_low", "_high"))]


def _matching(results: Results, pattern: str) -> list[str]:
    """The first group of every name that the whole pattern fits."""
    found = (re.fullmatch(pattern, name) for name in results)
    return [match[1] for match in found if match]


def _fine(found: Cell | None) -> Cell | None:
    """The figure with four decimals, which tell entropies near their greatest apart."""
    return None if found is None else replace(found, decimals=4)


def factors(rows: Rows) -> list[str]:
    """The content factors that any row was asked for, in order."""
    found = [name for each in rows.values() for name in named(each[0], f"{REAL_MOTION}/kept ")]
    return list(dict.fromkeys(found))


def rows_two_directions(rows: Rows) -> list[Table]:
    """Table 2: both directions, the swap against the truth, leakage, probes, bars, judges."""
    made = [prior_table(rows), kept_table(rows), sampled_table(rows), swap_table(rows), card_table(rows)]
    return [*made, probe_table(rows), bar_table(rows), judge_table(rows), *rows_image_to_sequence(rows)]


def prior_table(rows: Rows) -> Table:
    """The motion of the prior on the content of real clips: the paper's direction."""
    lines: list[Line] = []
    for name, results in rows.items():
        conditional = bool(results[0].get("conditional", 1))
        for where, text in (("", ""), (STANDARD, ", drawn from N(0, I)"), (PAPER_JUDGE, ", the paper's judge")):
            if f"{where}{PRIOR_MOTION}/IS" in results[0]:
                cells = [_fine(cell(results, f"{where}{PRIOR_MOTION}/{m}")) for m in (*MEASURES, "replaced action")]
                lines.append((name + text, *(cells if conditional else [None, *cells[1:4], None])))
    faces = any("kept beard" in name for each in rows.values() for name in each[0])
    for name, printed in (PRINTED_FACES if faces else PRINTED_SPRITES).items():
        lines.append((name, *(_fine(Cell(value)) for value in printed), None))
    note = (
        "Accuracy over the actions fed in; entropies (nats) and score over action and direction together. "
        "`own action`: how often the content clip's own action is seen; chance is one in as many as there are."
    )
    heads = ("model", "accuracy", "H(y|x)", "H(y)", "IS", "own action")
    return Table("Motion of the prior, content of real clips", note, heads, tuple(lines))


def kept_table(rows: Rows) -> Table:
    """What of the content is kept when the motion is another one (table 2, right)."""
    known = factors(rows)
    lines: list[Line] = []
    for name, results in rows.items():
        for direction in (REAL_MOTION, PRIOR_MOTION):
            cells = [cell(results, f"{direction}/kept {factor}") for factor in known]
            lines.append((name, direction, *cells, cell(results, f"{direction}/identity")))
    printed = [Cell(PRINTED_KEPT[factor]) if factor in PRINTED_KEPT else None for factor in known]
    if any(value is not None for value in printed):
        lines.append(("HALO, as printed", REAL_MOTION, *printed, None))
    note = "How often the judge reads the content clip's own value; `all`: every attribute together."
    return Table("Content that is kept", note, ("model", "direction", *known, "all"), tuple(lines))


def sampled_table(rows: Rows) -> Table:
    """The motion of real clips on contents that are drawn: the other papers' direction."""
    known = factors(rows)
    lines: list[Line] = []
    for name, results in rows.items():
        for where, text in (("", ""), (STANDARD, ", drawn from N(0, I)")):
            if f"{where}{SAMPLED_CONTENT}/action" not in results[0]:
                continue
            lines.append(
                (name + text, "accuracy", cell(results, f"{where}{SAMPLED_CONTENT}/action"), *[None] * len(known))
            )
            for kind, called in (
                ("replaced", "same value"),
                ("chance", "chance"),
                ("H(y)", "H(y)"),
                ("H(y|x)", "H(y|x)"),
            ):
                cells = [cell(results, f"{where}{SAMPLED_CONTENT}/{kind} {factor}") for factor in known]
                lines.append((name + text, called, None, *cells))
    note = (
        "`same value`: how often the motion clip's own value is seen, which must be chance; H(y) and H(y|x), in nats, "
        "of the drawn contents: diverse and clear."
    )
    return Table("Motion of real clips, content drawn", note, ("model", "what", "action", *known), tuple(lines))


def swap_table(rows: Rows) -> Table:
    """The content of a clip with another's motion, against what a perfect swap would show."""
    names = ("action", "psnr", "ssim", "mse")
    lines: list[Line] = [(n, *(cell(found, f"{REAL_MOTION}/{m}") for m in names)) for n, found in rows.items()]
    first = next(iter(rows.values()))
    for baseline in ("nearest_clip", "nearest_character"):
        if f"{baseline}/psnr" in first[0]:
            cells = [cell(first, f"{baseline}/{measure}") for measure in ("action_accuracy", *names[1:])]
            lines.append((f"{baseline.replace('_', ' ')} of training (told the action)", *cells))
    note = "The action is read from the motion clip by the model. Pictures in [0, 1]; PSNR per frame, then the mean."
    return Table("Swaps against the true swap", note, ("model", "action", "PSNR, dB", "SSIM", "MSE"), tuple(lines))


def card_table(rows: Rows) -> Table:
    """What each direction had to lose, beside chance."""
    lines: list[Line] = []
    for name, results in rows.items():
        for direction in (PRIOR_MOTION, REAL_MOTION, SAMPLED_CONTENT):
            if direction == PRIOR_MOTION and not results[0].get("conditional", 1):
                continue
            for factor in named(results[0], f"{direction}/replaced "):
                cells = (cell(results, f"{direction}/{kind} {factor}") for kind in ("replaced", "chance"))
                lines.append((name, direction, factor, *cells))
    note = "How often a replaced factor is still that of the clip it was taken away from."
    return Table("What leaks", note, ("model", "direction", "replaced", "seen", "chance"), tuple(lines))


def probe_table(rows: Rows) -> Table:
    """What a probe reads from the codes."""
    lines: list[Line] = []
    for name, results in rows.items():
        for question in dict.fromkeys(q.rsplit("/", 1)[0] for q in named(results[0], "probe/")):
            cells = (cell(results, f"probe/{question}/{kind}") for kind in ("linear", "network", "chance"))
            lines.append((name, question, *cells))
    note = "Accuracy on identities (of `identity`: on clips) that the probe has not seen."
    return Table("Probes of the codes", note, ("model", "question", "linear", "network", "chance"), tuple(lines))


def bar_table(rows: Rows) -> Table:
    """Which bars are reached; those of a rival are not asked."""
    lines: list[Line] = []
    for name, results in rows.items():
        for bar in named(results[0], "bar "):
            lines.append((name, bar, cell(results, bar), "yes" if results[0][f"bar {bar}"] else "no"))
    note = "A model keeps content and motion apart where all are reached; a cheat can reach each alone."
    return Table("Bars", note, ("model", "measure", "value", "reached"), tuple(lines))


def judge_table(rows: Rows) -> Table:
    """How often the judges are right of held-out real clips and of true swaps."""
    first = next(iter(rows.values()))
    lines: list[Line] = []
    for kind in ("ours", "paper"):
        for factor in named(first[0], f"{kind} judge/real/"):
            cells = (cell(first, f"{kind} judge/{where}/{factor}") for where in ("real", "swap"))
            lines.append((kind, factor, *cells))
    note = "Accuracy on clips that no judge has learned from."
    return Table("Judges", note, ("judge", "factor", "real clips", "true swaps"), tuple(lines))


def rows_image_to_sequence(rows: Rows) -> list[Table]:
    """Table 1, and what stands beyond it: long rollouts, other times, reconstruction."""
    lines: list[Line] = []
    for name, results in rows.items():
        for kind in ("rollout", "snapped rollout"):
            lengths = sorted(int(n) for n in _matching(results[0], rf"{kind} (\d+)/mse"))
            for length in lengths:
                cells = (cell(results, f"{kind} {length}/{measure}") for measure in ("ssim", "psnr", "mse"))
                frequencies = "whole turns" if kind.startswith("snapped") else "as learned"
                lines.append((name, frequencies, length, *cells, cell(results, f"{kind} {length} last/mse")))
    lines += [(name, "", 16, *map(Cell, printed), None) for name, printed in PRINTED_LONG.items()]
    note = (
        "From frame 0 and the true action; [0, 1]; PSNR per frame, then the mean; `last`: the MSE of the last 8 frames."
    )
    heads = ("model", "frequencies", "frames", "SSIM", "PSNR, dB", "MSE", "last")
    return [Table("One image to a sequence", note, heads, tuple(lines)), time_table(rows), reconstruction_table(rows)]


def time_table(rows: Rows) -> Table:
    """Irregular times, half tempo and reversal, against the truth."""
    lines: list[Line] = []
    for name, results in rows.items():
        for kind in ("regular", "irregular", "half tempo", "reversal"):
            if f"time/{kind}/mse" in results[0]:
                cells = (cell(results, f"time/{kind}/{m}") for m in ("mse", "psnr", "of regular", "unmoved mse"))
                lines.append((name, kind, *cells))
    note = "From one image at a random frame; `ignoring`: the MSE of a perfect model that pays no heed to the times."
    return Table("Other times", note, ("model", "times", "MSE", "PSNR, dB", "of regular", "ignoring"), tuple(lines))


def reconstruction_table(rows: Rows) -> Table:
    """The clip from its own codes."""
    names = ("psnr", "ssim", "mse", "recogniser_accuracy")
    lines: list[Line] = [(n, *(cell(found, f"reconstruction/{m}") for m in names)) for n, found in rows.items()]
    heads = ("model", "PSNR, dB", "SSIM", "MSE", "action recognised")
    return Table("Reconstruction", "The action is left to the model.", heads, tuple(lines))


def rows_dynamics(rows: Rows) -> list[Table]:
    """Table 3: a tick is an accuracy of .9 or more, beside the figure."""
    lines: list[Line] = []
    for name, results in rows.items():
        line: list[Any] = [name]
        for measure in ("image to sequence/action", f"{REAL_MOTION}/action"):
            found = cell(results, measure)
            line += [None if found is None else "yes" if found.value >= ACCURATE else "no", found]
        lines.append(tuple(line))
    note = "A tick of the paper is an accuracy of .9 or more here; at equal steps."
    heads = ("dynamics", "image to sequence", "accuracy", "motion swap", "accuracy of swaps")
    return [Table("What each dynamics can do", note, heads, tuple(lines)), *rows_ablation(rows)]


def rows_ablation(rows: Rows) -> list[Table]:
    """The supplement's tables 1a and 1b."""
    lines: list[Line] = []
    for name, results in rows.items():
        found = [cell(results, f"{PRIOR_MOTION}/{measure}") for measure in (*MEASURES, "identity")]
        if not results[0].get("conditional", 1):
            found[0] = None
        others = ("image to sequence/action", f"{REAL_MOTION}/action", "rollout 16/psnr", "rollout 64/psnr")
        lines.append((name, *found, *(cell(results, measure) for measure in others)))
    lines += [(name, *map(Cell, printed), *[None] * 4) for name, printed in PRINTED_ABLATION.items()]
    note = (
        "Motion of the prior, content of real clips; then one image told any action, swaps, and rollouts of one image. "
        "An unconditional prior is fed no action, so its accuracy has no truth; the paper does not say what its own is."
    )
    heads = ("dynamics", "accuracy", "H(y|x)", "H(y)", "IS", "identity", "image, action", "swap, action")
    table = Table("Dynamics compared", note, (*heads, "16 frames, dB", "64 frames, dB"), tuple(lines))
    return [table, swap_table(rows), kept_table(rows), prior_table(rows), time_table(rows), judge_table(rows)]


def flat_table(title: str, note: str, rows: Rows) -> Table:
    """Every measure of the rows by its name, a column for each row."""
    names = dict.fromkeys(name for each in rows.values() for name in named(each[0], ""))
    lines = [(name, *(cell(results, name) for results in rows.values())) for name in names]
    return Table(title, note, ("measure", *rows), tuple(lines))


def rows_balls(rows: Rows) -> list[Table]:
    """Balls whose motion is drawn, and whose colours are swapped."""
    return [flat_table("Rotating balls", "Distances in pixels of a picture of 32; energy drift as a share.", rows)]


def rows_digits(rows: Rows) -> list[Table]:
    """The supplement's table 2, both protocols."""
    printed = tuple((f"{name}, as printed", Cell(value)) for name, value in PRINTED_DIGITS.items())
    about = "MSE; neither the range nor, for HALO, the protocol is said."
    return [
        flat_table("Rotating digits", "MSE a pixel on [0, 1] unless the name says otherwise.", rows),
        Table("As printed", about, ("model", "MSE"), printed),
    ]


def rows_people(rows: Rows) -> list[Table]:
    """Real people: what is seen of prior motions, and who."""
    return [flat_table("Real people", "Four actions, nine people; two people and their mirrors are held out.", rows)]
