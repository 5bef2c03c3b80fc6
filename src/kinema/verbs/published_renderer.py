"""Tables and figures of the equivariant renderer: Moving MNIST, sprites, T_Z, the number of backgrounds, ablations."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from kinema.data.registry import build_source
from kinema.evaluation import scene_pictures
from kinema.evaluation.scene_affine import evaluate_transformations, read_transformations
from kinema.evaluation.scene_alpha import CutsOut, evaluate_alpha
from kinema.evaluation.scene_errors import Separates, evaluate_scenes
from kinema.evaluation.scene_examples import Examples, draw_examples
from kinema.evaluation.scene_flow import Moves, evaluate_flow
from kinema.evaluation.scene_tables import DIGITS, STILL, rows_affine, rows_digits, rows_sprites
from kinema.evaluation.tables import Rows, Table
from kinema.training.recipe import Recipe
from kinema.verbs.published import CLIPS, Measured, Published, Row

COUNT, FEW, QUICK_COUNT = 10_000, 2_000, 1_000
"""Test examples: of the main tables, of those beside them, with --quick."""
PAIRS, QUICK_PAIRS = 40_000, 2_000
"""Pairs of one digit whose T_Z is read."""
FLOWS, QUICK_FLOWS = 400, 40
"""Clips whose unseen frames are told by a flow."""
PAPER = "Resnick, Raileanu, Kapoor, Peysakhovich, Cho and Bruna: Equivariant rendering, learned from frame pairs (2020)"
CPU = torch.device("cpu")


BACKGROUNDS: Mapping[str, int] = {"digits": 64, "characters": 100}
"""Test backgrounds of each source (sections 4.2 and 4.4), however many a row has in training."""


@lru_cache(maxsize=4)
def scenes(source: str, data: Any) -> Any:
    """The test split of a recipe's data, which rows that only train on other backgrounds share; a single background, or
    none, is what a recipe asks for."""
    backgrounds = BACKGROUNDS[source] if data.backgrounds > 1 else data.backgrounds
    return build_source(source, replace(data, backgrounds=backgrounds), "test")


@lru_cache(maxsize=4)
def examples(source: str, data: Any, count: int) -> Examples:
    """The test examples, the same for every row of the same data."""
    return draw_examples(scenes(source, data), count, 0)


def test_examples(recipe: Recipe, quick: bool) -> Examples:
    """Those of a recipe; what only changes training does not change them."""
    return examples(recipe.source, recipe.data, QUICK_COUNT if quick else COUNT)


def few_examples(recipe: Recipe, quick: bool) -> Examples:
    """Fewer, for tables beside the main ones."""
    return examples(recipe.source, recipe.data, QUICK_COUNT if quick else FEW)


def measure_scenes(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_scenes` on the test examples of a recipe."""
    del folder
    return measure_examples(model, test_examples(recipe, quick))


def measure_few(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """The same on fewer."""
    del folder
    return measure_examples(model, few_examples(recipe, quick))


def measure_examples(model: Any, found: Examples) -> dict[str, float]:
    """The manipulations and the opacity of examples, and which they were."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results = evaluate_scenes(model.to(device), found, device)
    separates = isinstance(model, CutsOut)
    results |= evaluate_alpha(model, found, device) if separates else {}
    model.to(CPU)
    known = (found.one, found.two, found.i, found.j, found.here, found.there)
    return results | {CLIPS: float(sum((k + 1) * part.sum() for k, part in enumerate(known)))}


def measure_sprites(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """The manipulations, and unseen frames told by a flow, where characters stand still.

    Where they are moved along x, which no flow can foresee, they stand still in some examples of their own.
    """
    results = measure_scenes(model, recipe, quick, folder)
    still = replace(recipe, data=replace(recipe.data, sway=0))
    count = QUICK_FLOWS if quick else FLOWS
    told = evaluate_flow(model, scenes(still.source, still.data), count, 0, CPU) if isinstance(model, Moves) else {}
    if not recipe.data.sway:
        return results | told
    found = measure_few(model, still, quick, folder) | told
    return results | {f"{STILL}{name}": value for name, value in found.items()}


def of_one_digit(recipe: Recipe, digit: int) -> Any:
    """A single drawing of a digit on a single background, from the test split."""
    return scenes(recipe.source, replace(recipe.data, only=(digit,), instance=0, backgrounds=1))


def measure_affine(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_transformations` of one digit each of `DIGITS`, under their names, and the manipulations."""
    results = measure_scenes(model, recipe, quick, folder)
    for digit in DIGITS:
        pairs = read_transformations(model, of_one_digit(recipe, digit), QUICK_PAIRS if quick else PAIRS, 0, CPU)
        results |= {f"{digit}/{name}": value for name, value in evaluate_transformations(pairs).items()}
    return results


def pictures(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
    """Manipulations of every row, and solo renders of those that have them."""
    made = {}
    for name, row in rows.items():
        few = next(test_examples(row.recipe, quick).chunks(scene_pictures.SHOWN))
        slug = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
        made[f"{slug}.png"] = scene_pictures.manipulations(row.model, few, CPU)
        if isinstance(row.model, Separates):
            made[f"{slug}-solo.png"] = scene_pictures.solo(row.model, few.frames["1i"], CPU)
    return made


def affine_pictures(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
    """Those, and the densities of shifts and angles."""
    count = QUICK_PAIRS if quick else PAIRS
    first = next(iter(rows.values()))
    found = {
        f"{name}, {digit}": read_transformations(row.model, of_one_digit(row.recipe, digit), count, 0, CPU)
        for name, row in rows.items()
        for digit in DIGITS
    }
    return {**pictures(rows, quick), "affine.png": scene_pictures.transformations(found, first.model.domain.size)}


SAMPLE = "{n/examples:.0f} test examples"


def table(
    about: str,
    rows: tuple[Row, ...],
    compose: Callable[[Rows], list[Table]],
    measure: Callable[[Any, Recipe, bool, Path], dict[str, float]] = measure_few,
) -> Published:
    """A table of manipulations."""
    return Published(f"{about}, after {PAPER}.", rows, compose, pictures, measure, "renderer-glyphs", SAMPLE)


SMALL: Mapping[str, str] = {
    "model.width": "12",
    "model.features": "6",
    "model.hidden": "48",
    "training.steps": "500",
    "training.batch": "16",
    "training.learning_rate": "0.002",
    "training.warmup": "50",
}
"""A row with --quick."""
SMALL_PIXELS: Mapping[str, str] = {**SMALL, "model.patch": "2", "model.width": "24"}
"""Of our networks, which work on smaller maps."""
PLAIN: Mapping[str, str] = {
    "model.networks": "residual",
    "model.features": "32",
    "model.filling": "0",
    "model.character": "frame",
    "model.compositing": "add",
    "model.transformation": "features",
    "model.looks": "1",
    "model.freedom": "affine",
    "model.cover": "0",
    "model.solo": "0",
    "model.itself": "0",
    "model.align": "0",
    "model.practice": "0",
    "model.settle": "0",
    "model.parts": "1",
    "model.repaint": "0",
    "model.backwards": "false",
    "model.apart": "false",
}
"""Takes what is ours out of a recipe."""
DIGIT_ROWS = (
    Row("Kinema", "renderer-digits", quick=SMALL_PIXELS),
    Row("paper's form", "renderer-digits-paper", quick=SMALL),
)
ABLATION_STEPS: Mapping[str, str] = {"training.steps": "8000"}
"""Equal steps for every row of the ablation: about two minutes on one NVIDIA GPU, by what a step costs there."""


OURS = "renderer-digits"


def ablated(name: str, recipe: str = "renderer-digits-paper", **options: str) -> Row:
    """A row that differs in one setting of the model."""
    settings = {f"model.{key}": value for key, value in options.items()}
    return Row(name, recipe, {**settings, **ABLATION_STEPS})


RENDERER_TABLES: dict[str, Published] = {
    "renderer-mnist": table("Moving MNIST: figures 2, 3 and 10", DIGIT_ROWS, rows_digits, measure_scenes),
    "renderer-sprites": table(
        "Sprites: figures 4 to 7, 9, 16 and 21",
        (
            Row("moved as a whole", "renderer-sprites"),
            Row("4 parts", "renderer-sprites-limbs"),
            Row("one part", "renderer-sprites-limbs", {"model.parts": "1"}),
            Row("paper's form, backgrounds", "renderer-sprites", PLAIN),
        ),
        rows_sprites,
        measure_sprites,
    ),
    "renderer-sprites-bare": table(
        "Sprites without backgrounds: figures 4, 6 and 7, with Reed's rivals, which are told the answers in training",
        (
            Row("paper's form, no backgrounds", "renderer-sprites-bare"),
            Row("4 parts, no backgrounds", "renderer-sprites-limbs", {"data.backgrounds": "0", "data.sway": "0"}),
            Row("Add", "rival-add"),
            Row("Dis", "rival-dis"),
            Row("Dis+Cls", "rival-dis-cls"),
        ),
        rows_sprites,
    ),
    "renderer-backgrounds": table(
        "Sprites: figure 8, the number of backgrounds in training",
        tuple(
            Row(f"B = {b}", "renderer-sprites-limbs", {"data.backgrounds": str(b)}) for b in (64, 128, 256, 784, 1000)
        ),
        rows_sprites,
    ),
    "renderer-analysis": Published(
        f"The learned transformation against the true one: section 4.6, figures 11 to 14 of {PAPER}.",
        DIGIT_ROWS,
        rows_affine,
        affine_pictures,
        measure_affine,
        "renderer-glyphs",
        SAMPLE,
    ),
    "renderer-ablation": table(
        "Moving MNIST: what each part of the objective is good for, at equal steps",
        (
            ablated("paper's form, as many steps"),
            ablated("T_Z given as T_X", transformation="given"),
            ablated("T_Z of frames", transformation="frames"),
            ablated("no equivariance loss", equivariance="0"),
            ablated("no invariance loss", invariance="0"),
            ablated("inverse loss", inverse="0.1"),
            ablated("background also alone", solo="2.0"),
            ablated("ours", OURS),
            ablated("ours, T_Z not practised", OURS, practice="0"),
            ablated("ours, T_Z of features", OURS, transformation="features", looks="1"),
            ablated("ours, one look, any affine matrix", OURS, looks="1", freedom="affine"),
            ablated("ours, no frame itself", OURS, itself="0"),
            ablated("ours, background not alone", OURS, solo="0"),
            ablated("ours, nothing settles first", OURS, settle="0"),
        ),
        rows_digits,
    ),
}
"""By name."""
