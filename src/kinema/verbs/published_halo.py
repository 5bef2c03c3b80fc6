"""Tables and figures of HALO: sprites and faces in both directions, dynamics compared, balls, digits, real people."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from kinema.data.registry import build_source
from kinema.evaluation.halo_balls import balls_pictures, evaluate_balls
from kinema.evaluation.halo_digits import digits_pictures, evaluate_digits
from kinema.evaluation.halo_people import evaluate_people
from kinema.evaluation.halo_pictures import halo_pictures
from kinema.evaluation.halo_protocol import PAPER_JUDGE, evaluate_halo
from kinema.evaluation.halo_tables import (
    rows_ablation,
    rows_balls,
    rows_digits,
    rows_dynamics,
    rows_image_to_sequence,
    rows_people,
    rows_two_directions,
)
from kinema.evaluation.tables import Rows, Table
from kinema.evaluation.time_control import evaluate_time_control
from kinema.training.recipe import Recipe
from kinema.verbs.published import Measured, Published, Row
from kinema.verbs.published_judges import judge_of

PAPER = "Khan and Storkey: Hamiltonian Latent Operators for content and motion disentanglement (NeurIPS 2022)"
COUNT, BRIEF_COUNT, QUICK_COUNT = 2664, 720, 288
"""Test clips; those of the sprites are all 2664."""
JUDGE_STEPS, PAPER_JUDGE_STEPS, QUICK_JUDGE_STEPS = 400, 250, 250
CPU = torch.device("cpu")


@lru_cache(maxsize=4)
def sources(name: str, data: Any) -> tuple[Any, Any, Any]:
    """What models and judges train on, and what both are tried on.

    A judge must know more than the people that a model learns: where a source has other ones, it learns these.
    """
    train, test = (build_source(name, data, split) for split in ("train", "test"))
    return train, test, train if train.judging == "train" else build_source(name, data, train.judging)


def measure_dynamics(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_halo` in brief, on fewer test clips, by our judge alone."""
    return measure_halo(model, recipe, quick, folder, brief=True)


def measure_halo(model: Any, recipe: Recipe, quick: bool, folder: Path, brief: bool = False) -> dict[str, float]:
    """`evaluate_halo` on the test split, by a judge of ours that was found fit; without --quick by the paper's too."""
    train, test, judging = sources(recipe.source, recipe.data)
    data = recipe.as_dict()["data"]
    steps = QUICK_JUDGE_STEPS if quick else JUDGE_STEPS
    judge, results = judge_of("ours", data, judging, test, steps, folder, refuse=not quick)
    others = {}
    if not (quick or brief):
        others[PAPER_JUDGE], figures = judge_of("paper", data, judging, test, PAPER_JUDGE_STEPS, folder, refuse=False)
        results |= figures
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = QUICK_COUNT if quick else min(BRIEF_COUNT if brief else COUNT, len(test))
    results |= evaluate_halo(model.to(device), test, train, judge, others, count, 0, device, brief or quick)
    model.to(CPU)
    return results


def measure_balls(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_balls` on the test split, and other times as ``time/WHICH/MEASURE``."""
    del folder
    test, count = sources(recipe.source, recipe.data)[1], 64 if quick else 256
    timed = evaluate_time_control(model, test, count, 0, CPU)
    return evaluate_balls(model, test, count, 0, CPU) | {f"time/{name}": value for name, value in timed.items()}


def measure_digits(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_digits` on the test split."""
    del folder, quick
    return evaluate_digits(model, sources(recipe.source, recipe.data)[1], 0, CPU)


def measure_people(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_people` on both splits."""
    del folder, quick
    train, test, _ = sources(recipe.source, recipe.data)
    return evaluate_people(model, test, train, 0, CPU)


def pictures(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
    """Figures 4 to 6, and figures 1 to 4 of the supplement; rows of the same data share their picture of swaps."""
    del quick
    made: dict[str, bytes] = {}
    for number, data in enumerate(dict.fromkeys((row.recipe.source, row.recipe.data) for row in rows.values())):
        mine = {name: row.model for name, row in rows.items() if (row.recipe.source, row.recipe.data) == data}
        found = halo_pictures(mine, sources(*data)[1], 0)
        made |= {f"swaps-{number + 1}.png" if name == "swaps.png" else name: png for name, png in found.items()}
    return made


def pictures_balls(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
    """Figures 1 and 3, figure 3 of the supplement: the first row's."""
    del quick
    found = balls_pictures(next(iter(rows.values())).model, sources(*first_data(rows))[1], 0)
    return {f"{name}.png": png for name, png in found.items()}


def pictures_digits(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
    """Figure 5 of the supplement: the first row's."""
    del quick
    found = digits_pictures(next(iter(rows.values())).model, sources(*first_data(rows))[1], 0)
    return {f"{name}.png": png for name, png in found.items()}


def first_data(rows: Mapping[str, Measured]) -> tuple[str, Any]:
    recipe = next(iter(rows.values())).recipe
    return recipe.source, recipe.data


SAMPLE = "{prior motion/n:.0f} test clips"
BRIEF: Mapping[str, str] = {
    "data.size": "32",
    "model.components": "256",
    "model.features": "192",
    "model.std": "0.15",
    "model.content": "48",
    "training.steps": "1500",
    "training.batch": "48",
    "training.picture_every": "0",
}
"""A row with --quick."""
EQUAL: Mapping[str, str] = {
    "model.components": "512",
    "model.features": "256",
    "training.steps": "1500",
    "training.batch": "48",
    "training.picture_every": "0",
    "training.checkpoint_every": "1500",
}
"""Equal sizes and steps for every row of the ablation, about a minute each."""


def table(
    about: str,
    rows: tuple[Row, ...],
    compose: Callable[[Rows], list[Table]],
    measure: Any = measure_halo,
    show: Any = pictures,
    sample: str = SAMPLE,
    quick_data: str = "halo-demo",
) -> Published:
    """A table of HALO's."""
    return Published(f"{about}, after {PAPER}.", rows, compose, show, measure, quick_data, sample)


def dynamics(recipe: str, quick: bool = False, **operators: str) -> tuple[Row, ...]:
    """Rows that override only what moves the state."""
    settings = {name: {"model.operator": operator, **EQUAL} for name, operator in operators.items()}
    return tuple(
        Row(name.replace("_", " "), recipe, {**found, **OPEN}, quick={**BRIEF, **OPEN} if quick else None)
        for name, found in settings.items()
    )


LEARNED: Mapping[str, str] = {"model.closed": "false"}
"""Frequencies are learned."""
OPEN: Mapping[str, str] = {
    **LEARNED,
    "model.prior": "standard",
    "model.state_weight": "5",
    "model.state_components": "16",
    "training.random_start": "true",
}
"""What every row of a comparison of dynamics shares, so that nothing but these differs: learned frequencies, and clips
that begin anywhere, as those that are measured do: a rival's state is read at the first frame."""
OURS = Row("Kinema", "halo-sprites", quick=BRIEF)
NINE = Row("Kinema, 9 operators", "halo-sprites", {"data.directed": "true", "training.steps": "14000"})
UNCONDITIONAL = (
    Row("Kinema, unconditional", "halo-sprites-unconditional"),
    Row("Kinema, unconditional, all at once", "halo-sprites-all-at-once"),
)
PLAIN: Mapping[str, str] = {
    "model.prior": "standard",
    "model.closed": "false",
    "model.content_weight": "1",
    "model.state_weight": "1",
    "model.content_frames": "0",
    "model.alone": "0",
    "model.std": "0.1",
    "model.d": "6",
    "model.std_last": "0",
    "model.content_parts": "0",
    "model.state_components": "0",
    "training.steps": "5000",
}
"""The paper's objective, prior and sizes, in our networks and with our operator, in half of our steps."""
PAPERS = Row("paper's objective", "halo-sprites", PLAIN)
RIVALS = dynamics("halo-sprites", True, linear="linear", RNN="rnn")

HALO_TABLES: dict[str, Published] = {
    "halo-table1": table(
        "Sprites: table 1, one image to a sequence, and long rollouts",
        (
            OURS,
            PAPERS,
            Row("paper's objective, skew-H", "halo-sprites", {**PLAIN, "model.operator": "orthogonal"}),
        ),
        rows_image_to_sequence,
    ),
    "halo-table2": table(
        "Sprites: table 2 in both directions, with what leaks",
        (OURS, NINE, *UNCONDITIONAL, PAPERS, *(replace(row, whole=False) for row in RIVALS)),
        rows_two_directions,
    ),
    "halo-table2-faces": table(
        "Faces drawn by Kinema, a stand-in for licensed recordings: table 2 in both directions",
        (
            Row("faces", "halo-faces"),
            Row("faces, unconditional", "halo-faces-unconditional"),
        ),
        rows_two_directions,
    ),
    "halo-table3": table(
        "Sprites: table 3, what each dynamics can do",
        (*dynamics("halo-sprites", True, HALO="definite"), *RIVALS, *dynamics("halo-sprites", positional="positional")),
        rows_dynamics,
        measure_dynamics,
    ),
    "halo-ablation": table(
        "Sprites: the supplement's table 1, dynamics compared at equal steps",
        (
            *dynamics(
                "halo-sprites",
                True,
                HALO="definite",
                HALO_symplectic="symplectic",
                HALO_orthogonal="orthogonal",
            ),
            *RIVALS,
            *dynamics("halo-sprites", positional="positional"),
            *dynamics(
                "halo-sprites-all-at-once",
                HALO_unconditional="definite",
                linear_unconditional="linear",
                RNN_unconditional="rnn",
                positional_unconditional="positional",
            ),
        ),
        rows_ablation,
        measure_dynamics,
    ),
    "halo-energy": table(
        "Rotating balls: figures 1 and 3, figure 3 of the supplement",
        (
            Row("balls", "halo-balls", quick={"training.steps": "600"}),
            Row("balls, symplectic", "halo-balls", {"model.operator": "symplectic", **LEARNED}),
            Row("balls, orthogonal", "halo-balls", {"model.operator": "orthogonal", **LEARNED}),
        ),
        rows_balls,
        measure_balls,
        pictures_balls,
        "256 random states, 256 steps each",
        "halo-balls",
    ),
    "halo-rotmnist": table(
        "Rotating digits: the supplement's table 2, both protocols",
        (
            Row("missing angle", "halo-rotmnist-angle", quick={"data.root": "", "data.protocol": "angle"}),
            Row("held-out identity", "halo-rotmnist", quick={"data.root": ""}),
        ),
        rows_digits,
        measure_digits,
        pictures_digits,
        "the digit 3 turned to 16 angles",
        "halo-rotmnist",
    ),
    "halo-weizmann": table(
        "Real people before a wall, two of nine held out",
        (Row("people", "halo-weizmann"),),
        rows_people,
        measure_people,
        pictures,
        "16 frames at stride 2",
    ),
}
"""By name."""
