"""train and evaluate: from a recipe to a run directory, and from a run to its table."""

import dataclasses
import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from kinema.data.registry import build_source, config_class
from kinema.data.source import Source
from kinema.errors import ConfigError, RunError
from kinema.evaluation.evaluate import evaluate as measure
from kinema.evaluation.report import write_report
from kinema.evaluation.table import NO_PAPER, PAPER, table, write_json
from kinema.models.base import Domain
from kinema.training import run as runs
from kinema.training.finetune import adopt
from kinema.training.metrics_log import read_metrics
from kinema.training.recipe import Recipe, build_recipe, only_data, override, read_recipe
from kinema.training.sampler import fold
from kinema.verbs.progress import ProgressBar

PAPERS: Mapping[str, Mapping[str, float]] = {"lpc": PAPER}
"""The published figures that are about a source's data."""


def train(
    recipe: str,
    *,
    out: str,
    from_run: str | None = None,
    resume: bool = False,
    quiet: bool = False,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Train a model as a recipe says, into a run directory.

    Any setting of the recipe can be replaced: --data.KEY VALUE, --model.KEY VALUE, --training.KEY VALUE. Stop it when
    you like and go on with --resume: the result is the same, to the last bit on a CPU with as many threads.

    Args:
        recipe: The name of a shipped recipe (see `kinema recipes`) or a YAML file.
        out: The run directory to write.
        from_run: A run to start from: its model is fine-tuned on the recipe's clips.
        resume: Go on with the run that OUT holds; where it holds none, begin it.
        quiet: Print nothing.
        options: Settings to replace, by their dotted names.
    """
    path, tree = Path(out), read_recipe(recipe)
    base = None if from_run is None else runs.load_run(from_run)
    tree = override(tree, options or {})
    settings = build_recipe(tree if base is None else override(_like(base, tree), options or {}), recipe)
    source = build_source(settings.source, settings.data, "train")
    domain = domain_of(source)
    if base is not None and (domain.size, domain.channels) != (base.domain.size, base.domain.channels):
        raise RunError(f"{from_run}: made for {_frames(base.domain)}; the clips have {_frames(domain)}")
    torch.manual_seed(fold(settings.training.seed, "weights"))
    model = runs.build_model(settings, domain)
    if base is not None:
        adopt(model, base.model, domain.actions, base.domain.actions)
    runs.open_run(path, settings, domain, source.credits, resume)
    fit(model, source, settings, path, quiet)
    return path


def fit(model: nn.Module, source: Source, recipe: Recipe, path: Path, quiet: bool) -> nn.Module:
    """Train with a progress bar and pictures, and write the weights, the card and the report."""
    # Fabric takes seconds to import, and only training needs it.
    from kinema.training.loop import Progress
    from kinema.training.loop import train as run_loop

    test = build_source(recipe.source, recipe.data, "test")
    paper = PAPERS.get(recipe.source, NO_PAPER)

    def picture(progress: Progress, model: nn.Module) -> None:
        every = recipe.training.picture_every
        if every and progress.step % every == 0 and progress.step < progress.steps:
            _report(path, model, test, {}, recipe, paper)

    with ProgressBar(recipe.training.steps, quiet) as bar:
        run_loop(model, source, recipe.training, path, (bar.update, picture))
    runs.save_weights(path, model, recipe.training.half)
    runs.write_text(path / "card.md", card(recipe, domain_of(source), source.credits))
    _report(path, model, test, {}, recipe, paper)
    return model


def evaluate(
    run: str,
    *,
    pairs: int = 288,
    seed: int = 0,
    json: str | None = None,
    quiet: bool = False,
    options: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Measure a run on the test split of its data: the family's table, beside the paper's row where there is one.

    Args:
        run: A run directory, or builtin:sprites.
        pairs: Pairs of test clips whose motions are swapped, and clips that are reconstructed.
        seed: Of the choice of pairs.
        json: A file to write the figures to.
        quiet: Print nothing.
        options: Settings of the data to replace, such as data.root, by their dotted names.
    """
    if pairs < 1:
        raise ConfigError(f"--pairs {pairs}: at least 1 is needed")
    loaded = runs.load_run(run)
    recipe = build_recipe(override(loaded.recipe.as_dict(), only_data(options or {})), run)
    train_source, test = (build_source(recipe.source, recipe.data, split) for split in ("train", "test"))
    found, made = domain_of(test), loaded.domain
    if (found.size, found.channels, found.actions) != (made.size, made.channels, made.actions):
        told = (f"{_frames(d)}, actions {', '.join(d.actions)}" for d in (made, found))
        raise RunError("{}: made for {}; the test clips have {}".format(run, *told))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results = measure(loaded.model.to(device), test, train_source, seed, pairs, device=device)
    paper = PAPERS.get(recipe.source, NO_PAPER)
    if json is not None:
        write_json(Path(json), results)
    if not run.startswith(runs.BUILTIN):
        _report(loaded.path, loaded.model, test, results, recipe, paper)
        write_json(loaded.path / "results.json", results)
    if not quiet:
        Console().print(table(results, paper))
    return results


def domain_of(source: Source) -> Domain:
    return Domain(source.actions, source.channels, source.size, source.length, source.fps)


def card(recipe: Recipe, domain: Domain, credits: tuple[str, ...]) -> str:
    """What a person must know of a run before using it."""
    height, width = domain.size
    settings = jsonlib.dumps(recipe.as_dict(), indent=2)
    return "\n".join(
        [
            f"# A {recipe.family} run",
            "",
            recipe.stands_for or "No published row.",
            "",
            f"- Actions: {', '.join(domain.actions)}",
            f"- Frames: {width} x {height} pixels, {domain.channels} channels, windows of {domain.length} frames",
            f"- Data: source `{recipe.source}`",
            "- Weights: `model.safetensors`",
            "",
            "## Credits",
            "",
            *(credits or ("The training pictures were drawn by Kinema itself.",)),
            "",
            "## Settings",
            "",
            "```json",
            settings,
            "```",
            "",
        ]
    )


def _frames(domain: Domain) -> str:
    height, width = domain.size
    return f"{width} x {height} pixels of {domain.channels} channels"


def _like(base: runs.Run, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with the model of a run, and clips of the size and channels that it was made for."""
    tree = dict(tree)
    tree["family"], tree["model"] = base.recipe.family, base.recipe.as_dict()["model"]
    data = dict(tree.get("data") or {})
    fields = {field.name for field in dataclasses.fields(config_class(data.get("source", "sprites")))}
    fixed = {"size": base.domain.size[0], "alpha": base.domain.channels == 4}
    tree["data"] = {"length": base.domain.length, **data, **fixed}
    tree["data"] = {key: value for key, value in tree["data"].items() if key in {*fields, *data}}
    return tree


def _report(
    path: Path, model: Any, test: Source, results: Mapping[str, float], recipe: Recipe, paper: Mapping[str, float]
) -> None:
    training = model.training
    device = next(model.parameters()).device
    seed = fold(recipe.training.seed, "report") % 2**31
    title = f"Kinema: {recipe.family} on {recipe.source}"
    write_report(
        path / "report", model.eval(), test, read_metrics(path / "metrics.jsonl"), results, seed, title, paper, device
    )
    model.train(training)
