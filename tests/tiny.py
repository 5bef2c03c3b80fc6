"""The smallest run there is: 16 pixels, few channels; made in a moment where no training is asked for."""

from pathlib import Path

import torch

from kinema.data.registry import build_source
from kinema.training.recipe import Recipe, build_recipe, override, read_recipe
from kinema.training.run import build_model, open_run, save_weights
from kinema.verbs.train import domain_of

MODEL = {"model.width": "8", "model.features": "32", "model.content": "8", "model.d": "2"}
TRAINING = {"training.steps": "2", "training.batch": "2", "training.picture_every": "0", "training.log_every": "1"}
TINY = {"data.size": "16", **MODEL, **TRAINING}
"""Settings that make any recipe of drawn sprites tiny."""


def words(options: dict[str, str]) -> list[str]:
    """Settings as the command takes them."""
    return [word for key, value in options.items() for word in (f"--{key}", value)]


def tiny_recipe(**replaced: str) -> Recipe:
    """The demo's recipe made tiny; further settings by their names with __ for the dot."""
    options = {**TINY, **{key.replace("__", "."): value for key, value in replaced.items()}}
    return build_recipe(override(read_recipe("halo-demo"), options), "halo-demo")


def untrained_run(path: Path, **replaced: str) -> Path:
    """A whole run directory whose weights are those it was born with."""
    recipe = tiny_recipe(**replaced)
    domain = domain_of(build_source(recipe.source, recipe.data, "test"))
    open_run(path, recipe, domain, (), resume=False)
    torch.manual_seed(0)
    save_weights(path, build_model(recipe, domain))
    return path
