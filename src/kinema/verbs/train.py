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
from kinema.errors import ConfigError, RunError
from kinema.evaluation.families import EVALUATORS, Told
from kinema.evaluation.table import write_json
from kinema.models.base import Finished, Prepared, Refitted
from kinema.models.motion_base import Fitted
from kinema.models.registry import FAMILIES
from kinema.training import run as runs
from kinema.training.finetune import adopt
from kinema.training.metrics_log import read_metrics
from kinema.training.recipe import Recipe, build_recipe, only_data, override, read_recipe
from kinema.training.sampler import fold
from kinema.verbs.progress import ProgressBar


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
    family = FAMILIES[settings.family]
    domain = family.domain_of(source)
    if base is not None and (reason := base.domain.misfit(domain, actions=False)):
        raise RunError(f"{from_run}: {reason}")
    torch.manual_seed(fold(settings.training.seed, "weights"))
    model = runs.build_model(settings, domain)
    if base is None:
        prepare(model, source)
    else:
        adopt(model, base.model, model.domain.actions, base.model.domain.actions)
        prepare_again(model, source)
    runs.open_run(path, settings, domain, source.credits, resume)
    fit(model, source, settings, path, quiet)
    return path


def prepare(model: object, source: Any) -> None:
    """Let a model that must see the data before it is trained see it."""
    if isinstance(model, Fitted):
        model.fit(source)


def prepare_again(model: object, source: Any) -> None:
    """Let a model that has the weights of a run see the data that it is fine-tuned on."""
    if isinstance(model, Refitted):
        model.refit(source)


def fit(model: nn.Module, source: Any, recipe: Recipe, path: Path, quiet: bool) -> nn.Module:
    """Train with a progress bar and pictures, and write the weights, the card and the report."""
    # Fabric takes seconds to import, and only training needs it.
    from kinema.training.loop import Progress
    from kinema.training.loop import train as run_loop

    test = build_source(recipe.source, recipe.data, "test")

    def picture(progress: Progress, model: nn.Module) -> None:
        every = recipe.training.picture_every
        if every and progress.step % every == 0 and progress.step < progress.steps:
            _report(path, model, test, {}, recipe)

    shown = model.prepared(source) if isinstance(model, Prepared) else source
    with ProgressBar(recipe.training.steps, quiet) as bar:
        run_loop(model, shown, recipe.training, path, (bar.update, picture))
    if isinstance(model, Finished):
        model.finish(source, recipe.training.seed)
    runs.save_weights(path, model, recipe.training.half)
    runs.write_text(path / "card.md", card(recipe, FAMILIES[recipe.family].domain_of(source), source.credits))
    _report(path, model, test, {}, recipe)
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
    if reason := loaded.domain.misfit(FAMILIES[recipe.family].domain_of(test)):
        raise RunError(f"{run}: {reason}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    evaluator = EVALUATORS[FAMILIES[recipe.family].kind]
    results = evaluator.measure(loaded.model.to(device), test, train_source, seed, pairs, device)
    if json is not None:
        write_json(Path(json), results)
    if not run.startswith(runs.BUILTIN):
        _report(loaded.path, loaded.model, test, results, recipe)
        write_json(loaded.path / "results.json", results)
    if not quiet:
        Console().print(evaluator.table(results, recipe.source))
    return results


def card(recipe: Recipe, domain: Any, credits: tuple[str, ...]) -> str:
    """What a person must know of a run before using it."""
    settings = jsonlib.dumps(recipe.as_dict(), indent=2)
    return "\n".join(
        [
            f"# A {recipe.family} run",
            "",
            recipe.stands_for or "No published row.",
            "",
            *(f"- {name}: {text}" for name, text in domain.describe().items()),
            f"- Data: source `{recipe.source}`",
            "- Weights: `model.safetensors`",
            "",
            "## Credits",
            "",
            *(credits or ("The training data was made by Kinema itself.",)),
            "",
            "## Settings",
            "",
            "```json",
            settings,
            "```",
            "",
        ]
    )


def _like(base: runs.Run, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with the model of a run, and clips such as it was made for."""
    tree = dict(tree)
    tree["family"], tree["model"] = base.recipe.family, base.recipe.as_dict()["model"]
    data = dict(tree.get("data") or {})
    fields = {field.name for field in dataclasses.fields(config_class(data.get("source", "sprites")))}
    fixed = base.domain.data_settings()
    tree["data"] = {"length": fixed.pop("length"), **data, **fixed}
    tree["data"] = {key: value for key, value in tree["data"].items() if key in {*fields, *data}}
    return tree


def _report(path: Path, model: Any, test: Any, results: Mapping[str, float], recipe: Recipe) -> None:
    training = model.training
    device = next(model.parameters()).device
    told = Told(
        f"Kinema: {recipe.family} on {recipe.source}",
        recipe.source,
        read_metrics(path / "metrics.jsonl"),
        results,
        fold(recipe.training.seed, "report") % 2**31,
    )
    EVALUATORS[FAMILIES[recipe.family].kind].report(path / "report", model.eval(), test, told, device)
    model.train(training)
