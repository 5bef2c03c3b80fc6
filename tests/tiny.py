"""The smallest run there is: 16 pixels, few channels; made in a moment where no training is asked for."""

from pathlib import Path

import torch

from kinema.data.registry import build_source
from kinema.models.base import domain_of
from kinema.training.recipe import Recipe, build_recipe, override, read_recipe
from kinema.training.run import build_model, open_run, save_weights

MODEL = {"model.features": "32", "model.content": "8", "model.d": "2", "model.closed": "false"}
TRAINING = {"training.steps": "2", "training.batch": "2", "training.picture_every": "0", "training.log_every": "1"}
TINY = {"data.size": "16", **MODEL, **TRAINING}
"""Settings that make any recipe of drawn sprites tiny."""

NONE: dict[str, str] = {}


def words(options: dict[str, str]) -> list[str]:
    """Settings as the command takes them."""
    return [word for key, value in options.items() for word in (f"--{key}", value)]


def tiny_recipe(options: dict[str, str] = NONE) -> Recipe:
    """The demo's recipe made tiny, with further settings."""
    return build_recipe(override(read_recipe("halo-demo"), {**TINY, **options}), "halo-demo")


def untrained_run(path: Path, options: dict[str, str] = NONE) -> Path:
    """A whole run directory whose weights are those it was born with."""
    recipe = tiny_recipe(options)
    domain = domain_of(build_source(recipe.source, recipe.data, "test"))
    open_run(path, recipe, domain, (), resume=False)
    torch.manual_seed(0)
    save_weights(path, build_model(recipe, domain))
    return path
