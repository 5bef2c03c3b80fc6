"""reproduce: every row of a published table, trained and measured, as Markdown, JSON and pictures."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from kinema.data.registry import build_source
from kinema.errors import ConfigError, RunError
from kinema.evaluation.families import clips_of
from kinema.evaluation.motion_protocol import DRAWS, evaluate_motion
from kinema.evaluation.motion_report import table_pictures
from kinema.evaluation.motion_tables import Rows, Table, document, rows_ablation, rows_table1, rows_table2
from kinema.evaluation.table import write_whole
from kinema.models.motion_base import Fitted
from kinema.models.registry import FAMILIES
from kinema.models.rivals.simple import ConstantControl, MeanPose, SimpleConfig, ZeroVelocity
from kinema.training import run as runs
from kinema.training.recipe import Recipe, build_recipe, override, read_recipe
from kinema.verbs.train import train

PRINTED = 4
"""Tables that are shown in the terminal; the files hold all."""
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    """What the table calls it; its folder is called so as well, in small letters."""
    recipe: str
    """The shipped recipe that it is trained by."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings in which it differs from the recipe, by their dotted names."""
    rule: Callable[[Any], Any] | None = None
    """Makes, for a domain, a model that is fitted to the recipe's data but not trained; None: the recipe's, trained."""
    quick: Mapping[str, str] | None = None
    """Further settings with --quick; None: the row is left out there."""


@dataclass(frozen=True)
class Measured:
    """A finished row of one seed."""

    recipe: Recipe
    model: Any
    results: Mapping[str, float]


@dataclass(frozen=True)
class Published:
    """A table that a paper has, or that stands beside it: its rows, and how they are measured and shown."""

    about: str
    rows: tuple[Row, ...]
    compose: Callable[[Rows], list[Table]]
    """Makes the tables of all rows' results."""
    pictures: Callable[[Mapping[str, Measured], bool], Mapping[str, bytes]]
    """Makes PNG files by name of the first seed's models; told whether it is to be quick."""
    measure: Callable[[Any, Recipe, bool], dict[str, float]]
    """Measures a model on the test split of its recipe's data; told whether it is to be quick."""
    quick_data: str = "locomotion-gait"
    """The recipe whose data --quick puts in the place of every row's."""


def reproduce(
    table: str,
    *,
    seeds: int = 1,
    out: str = "reproduce",
    quick: bool = False,
    quiet: bool = False,
    options: Mapping[str, str] | None = None,
) -> dict[str, list[dict[str, float]]]:
    """Train and measure every row of a published table.

    Writes OUT/TABLE.md, OUT/TABLE.json and pictures; the runs are in OUT/rows. What is finished there is used again, so
    a stopped command goes on where it was, and tables share their rows. Intervals are 95 %: over the seeds where there
    are several, else over the test clips.

    Args:
        table: motion-table1, motion-table2 or motion-ablation.
        seeds: How many times each row is trained.
        out: The folder to write.
        quick: Few small rows on embedded data: minutes, to see that it works.
        quiet: Print nothing.
        options: Settings to replace in every row, such as data.root, by their dotted names.
    """
    if table not in TABLES:
        raise ConfigError(f"{table}: no such table; known: {', '.join(TABLES)}")
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least 1 is needed")
    published, folder = TABLES[table], Path(out)
    console = Console(stderr=True, quiet=quiet)
    finished: dict[str, list[Measured]] = {}
    for row in published.rows:
        if quick and row.quick is None:
            continue
        tree = row_tree(row, published, quick, options or {})
        for seed in range(1 if row.rule else seeds):
            console.print(f"{table}: {row.name}, seed {seed}")
            finished.setdefault(row.name, []).append(_finish(row, tree, seed, published, folder / "rows", quick, quiet))
    _same_clips({name: measured[0].results for name, measured in finished.items()})
    results = {name: [dict(one.results) for one in measured] for name, measured in finished.items()}
    tables = published.compose(results)
    name = f"{table}-quick" if quick else table
    for picture, content in published.pictures({n: each[0] for n, each in finished.items()}, quick).items():
        write_whole(folder / f"{name}-{picture}", content)
    _write(folder, name, published.about, tables, results, seeds)
    if not quiet:
        for part in tables[:PRINTED]:
            Console().print(part.rich())
        Console().print(f"All {len(tables)} tables: {folder / name}.md")
    return results


def row_tree(row: Row, published: Published, quick: bool, options: Mapping[str, str]) -> dict[str, Any]:
    """The recipe of a row as a tree; settings that the user gave come last."""
    tree = read_recipe(row.recipe)
    if quick:
        tree = {**tree, "data": read_recipe(published.quick_data)["data"]}
    tree = override(tree, {**row.options, **((row.quick or NONE) if quick else NONE)})
    return override(tree, {key: text for key, text in options.items() if _fits(row, key)})


def _fits(row: Row, key: str) -> bool:
    """Whether a setting for all rows is one of this row: what needs no training has no settings of its own."""
    return row.rule is None or key.startswith("data.")


def _finish(
    row: Row, tree: Mapping[str, Any], seed: int, published: Published, folder: Path, quick: bool, quiet: bool
) -> Measured:
    """The model and the results of a row, from its folder where they are there, else trained and measured."""
    words = re.findall(r"[a-z0-9]+", row.name.lower()) + (["quick"] if quick else [])
    name = "-".join(words)
    tree = override(tree, {"training.seed": str(seed)})
    recipe = build_recipe(tree, row.recipe)
    run = folder / f"{name}-seed{seed}"
    model = _fitted(row.rule, recipe) if row.rule else _trained(recipe, tree, run, quiet)
    asked = {"recipe": recipe.as_dict(), "quick": quick}
    file = run.with_suffix(".json")
    known = _read(file)
    if known.get("asked") == json.loads(json.dumps(asked)):
        return Measured(recipe, model, known["results"])
    results = published.measure(model, recipe, quick)
    write_whole(file, (json.dumps({"asked": asked, "results": results}, indent=1) + "\n").encode())
    return Measured(recipe, model, results)


def _trained(recipe: Recipe, tree: Mapping[str, Any], run: Path, quiet: bool) -> Any:
    """The model of a run directory, which is trained to its end first where it is not there or not finished."""
    if not (run / runs.WEIGHTS).is_file() or runs.read_config(run)[0] != recipe:
        file = run.with_suffix(".yaml")
        write_whole(file, yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True).encode())
        train(str(file), out=str(run), resume=True, quiet=quiet)
    return runs.load_run(run).model


def _fitted(rule: Callable[[Any], Any], recipe: Recipe) -> Any:
    """A model that needs the training clips but no training."""
    source = build_source(recipe.source, recipe.data, "train")
    model = rule(FAMILIES[recipe.family].domain_of(source))
    if isinstance(model, Fitted):
        model.fit(source)
    return model


def _read(file: Path) -> dict[str, Any]:
    """What an earlier command measured; nothing where there is no such file or it is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("results"), dict) else {}


CLIPS = "clips/sum"
"""A number that tells test clips apart: the sum of all their coordinates, in metres."""


def _same_clips(results: Mapping[str, Mapping[str, float]]) -> None:
    """Raises RunError where two rows were measured on different clips."""
    (first, expected), *others = results.items()
    for name, found in others:
        if found.get(CLIPS) != expected.get(CLIPS):
            raise RunError(f"{name}: its recipe holds out other clips than that of {first}; give both the same data")


def _write(
    folder: Path, name: str, about: str, tables: list[Table], results: Mapping[str, list[dict[str, float]]], seeds: int
) -> None:
    first = next(iter(results.values()))[0]
    over = f"{seeds} seeds (Student)" if seeds > 1 else "the test clips (bootstrap), one seed"
    how = f"{first.get('n/all', 0):.0f} test clips, K = {first.get('draws', 0):.0f} draws; 95 % intervals over {over}."
    text = document(name, f"{about}\n\n{how}", tables)
    tree = {"table": name, "about": about, "how": how, "tables": [t.plain() for t in tables], "rows": results}
    write_whole(folder / f"{name}.md", text.encode())
    write_whole(folder / f"{name}.json", (json.dumps(tree, indent=1) + "\n").encode())


# --- motion -----------------------------------------------------------------------------------------------------------

QUICK_DRAWS, QUICK_CLIPS = 4, 40


@lru_cache(maxsize=2)
def _motion_test(source: str, data: Any) -> Any:
    """The test split; reading motion capture takes a while, and all rows have the same."""
    return build_source(source, data, "test")


def motion_clips(model: Any, recipe: Recipe, quick: bool) -> Any:
    """The test clips of a recipe; the first of them with --quick."""
    clips = clips_of(model, _motion_test(recipe.source, recipe.data))
    return clips[torch.arange(min(len(clips), QUICK_CLIPS))] if quick else clips


def measure_motion(model: Any, recipe: Recipe, quick: bool) -> dict[str, float]:
    """`evaluate_motion` on the test clips of a recipe."""
    clips = motion_clips(model, recipe, quick)
    results = evaluate_motion(model, clips, draws=QUICK_DRAWS if quick else DRAWS)
    return results | {CLIPS: float((clips.motion.joints.double().sum((2, 3)) * clips.valid).sum())}


def motion_pictures(kind: str) -> Callable[[Mapping[str, Measured], bool], Mapping[str, bytes]]:
    """The pictures of a table of ``pose`` or ``motion_predicted`` errors."""

    def made(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
        first = next(iter(rows.values()))
        clips = motion_clips(first.model, first.recipe, quick)
        models = {name: row.model for name, row in rows.items()}
        return table_pictures(models, clips, kind, QUICK_DRAWS if quick else DRAWS, seed=0)

    return made


SMALL = {"training.steps": "300", "training.batch": "16", "model.units": "128"}
"""A recurrent rival with --quick."""
MOTION_ROWS = (
    Row("Kinema", "locomotion", quick={"training.steps": "300", "training.batch": "32"}),
    Row("VAE-LSTM", "locomotion-paper", quick={"training.steps": "300", "training.batch": "32"}),
    Row("ERD", "erd", quick=SMALL),
    Row("LSTM-3LR", "lstm-3lr"),
    Row("cRBM CD-1", "crbm-cd1"),
    Row("cRBM CD-15", "crbm-cd15"),
    Row("constant control", "locomotion", rule=partial(ConstantControl, SimpleConfig()), quick={}),
    Row("zero velocity", "locomotion", rule=partial(ZeroVelocity, SimpleConfig())),
    Row("mean pose", "locomotion", rule=partial(MeanPose, SimpleConfig()), quick={}),
)
MOTION_PAPER = (
    "Habibie, Holden, Schwarz, Yearsley and Komura: A Recurrent Variational Autoencoder for Human Motion Synthesis"
)
TABLES: dict[str, Published] = {
    "motion-table1": Published(
        f"Motion error on held-out clips, after table 1 of {MOTION_PAPER} (BMVC 2017).",
        MOTION_ROWS,
        rows_table1,
        motion_pictures("motion_predicted"),
        measure_motion,
    ),
    "motion-table2": Published(
        f"Pose error on held-out clips, after table 2 of {MOTION_PAPER} (BMVC 2017).",
        MOTION_ROWS,
        rows_table2,
        motion_pictures("pose"),
        measure_motion,
    ),
    "motion-ablation": Published(
        "What each part of the model is good for, on held-out clips.",
        (
            MOTION_ROWS[0],
            MOTION_ROWS[1],
            Row("paper, vanilla LSTM cell", "locomotion-paper", {"model.cell": "lstm"}),
            Row("paper, unrolled", "locomotion-paper", {"model.unroll": "true"}),
            Row("paper, z at every step", "locomotion-paper", {"model.latent": "each"}),
            Row("Kinema, causal", "locomotion", {"model.causal": "true"}),
            Row("Kinema, positions", "locomotion", {"model.pose": "positions"}),
            Row("Kinema, no labels", "locomotion", {"model.labels": "false"}),
            Row("Kinema, never smoothed", "locomotion", {"model.smooth": "0"}),
            MOTION_ROWS[-1],
        ),
        rows_ablation,
        motion_pictures("pose"),
        measure_motion,
    ),
}
"""The tables that can be reproduced."""
