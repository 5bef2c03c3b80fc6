"""reproduce: every row of a published table, trained and measured, as Markdown, JSON and pictures."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from kinema.data.registry import build_source
from kinema.errors import ConfigError, RunError
from kinema.evaluation.table import write_whole
from kinema.evaluation.tables import Table, document
from kinema.models.motion_base import Fitted
from kinema.models.registry import FAMILIES
from kinema.training import run as runs
from kinema.training.recipe import Recipe, build_recipe, override, read_recipe
from kinema.verbs.published import CLIPS, Measured, Published, Row
from kinema.verbs.published_halo import HALO_TABLES
from kinema.verbs.published_motion import MOTION_TABLES
from kinema.verbs.published_renderer import RENDERER_TABLES
from kinema.verbs.train import train

PRINTED = 4
"""Tables that are shown in the terminal; the files hold all."""
NONE: Mapping[str, str] = {}
TABLES: dict[str, Published] = {**HALO_TABLES, **RENDERER_TABLES, **MOTION_TABLES}
"""The tables that can be reproduced."""


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
        table: The name of a table, such as motion-table2; an unknown name lists them all.
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
    if quick and all(row.quick is None for row in published.rows):
        known = ", ".join(name for name, other in TABLES.items() if any(row.quick is not None for row in other.rows))
        raise ConfigError(f"{table}: has no row with --quick; those that have one: {known}")
    console = Console(stderr=True, quiet=quiet)
    finished: dict[str, list[Measured]] = {}
    for row in published.rows:
        if (row.quick is None) if quick else not row.whole:
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
    _write(folder, name, published, tables, results, seeds)
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
    words = [row.recipe, *re.findall(r"[a-z0-9]+", row.name.lower()), *(["quick"] if quick else [])]
    name = "-".join(words)
    tree = override(tree, {"training.seed": str(seed)})
    recipe = build_recipe(tree, row.recipe)
    run = folder / f"{name}-seed{seed}"
    model = _fitted(row.rule, recipe) if row.rule else _trained(recipe, tree, run, quiet)
    asked = {"recipe": recipe.as_dict(), "quick": quick, "measure": published.measure.__name__}
    file = run.with_suffix(".json")
    known = _read(file)
    if known.get("asked") == json.loads(json.dumps(asked)):
        return Measured(recipe, model, known["results"])
    results = published.measure(model, recipe, quick, folder)
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


def _same_clips(results: Mapping[str, Mapping[str, float]]) -> None:
    """Raises RunError where two rows were measured on different clips."""
    (first, expected), *others = results.items()
    for name, found in others:
        if found.get(CLIPS) != expected.get(CLIPS):
            raise RunError(f"{name}: its recipe holds out other clips than that of {first}; give both the same data")


def _write(
    folder: Path, name: str, published: Published, tables: list[Table], results: Mapping[str, Any], seeds: int
) -> None:
    first = next(iter(results.values()))[0]
    over = f"{seeds} seeds (Student)" if seeds > 1 else "the test examples (bootstrap), one seed"
    how = f"{published.described(first)}; 95 % intervals over {over}."
    text = document(name, f"{published.about}\n\n{how}", tables)
    tree = {
        "table": name,
        "about": published.about,
        "how": how,
        "tables": [table.plain() for table in tables],
        "rows": results,
    }
    write_whole(folder / f"{name}.md", text.encode())
    write_whole(folder / f"{name}.json", (json.dumps(tree, indent=1) + "\n").encode())
