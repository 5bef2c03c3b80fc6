"""Recipes: a YAML file, the defaults and the overrides of the command line, checked and made into typed settings."""

import dataclasses
import difflib
from argparse import ArgumentError
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from kinema.data.registry import SOURCES, config_class
from kinema.errors import ConfigError
from kinema.models.registry import FAMILIES
from kinema.training.config import TrainingConfig


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run."""

    family: str
    """Name of the model family: halo."""
    source: str
    """Name of the source of clips."""
    data: Any
    """The source's own settings."""
    model: Any
    """The family's own settings."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How long, how fast, how often."""
    stands_for: str = ""
    """The published row that the recipe stands for, or what it is good for."""

    def as_dict(self) -> dict[str, Any]:
        """The whole recipe as plain values, as `config.yaml` holds it."""
        data = {"source": self.source, **dataclasses.asdict(self.data)}
        return {
            "family": self.family,
            "stands_for": self.stands_for,
            "data": _plain(data),
            "model": _plain(dataclasses.asdict(self.model)),
            "training": _plain(dataclasses.asdict(self.training)),
        }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def recipe_names() -> list[str]:
    """The names of the shipped recipes."""
    folder = resources.files("kinema.recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(recipe: str) -> dict[str, Any]:
    """The tree of a shipped recipe or of a YAML file, unchecked."""
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"{recipe}: no such recipe file")
        text = path.read_text()
    else:
        if recipe not in recipe_names():
            raise ConfigError(f"{recipe}: no such recipe; {_nearest(recipe, recipe_names())}")
        text = (resources.files("kinema.recipes") / f"{recipe}.yaml").read_text()
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{recipe}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{recipe}: a recipe is a YAML mapping with the keys data, model and training")
    return tree


def override(tree: dict[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """The tree with each ``section.key`` replaced by the value of its option, read as YAML."""
    tree = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    for dotted, text in options.items():
        section, _, key = dotted.partition(".")
        tree.setdefault(section, {})
        if not isinstance(tree[section], dict):
            raise ConfigError(f"--{dotted}: {section} has no keys of its own")
        tree[section][key] = text if key in ("root", "identity") else yaml.safe_load(text)
    return tree


def build_recipe(tree: Mapping[str, Any], name: str) -> Recipe:
    """The typed recipe of a tree.

    Raises ConfigError for an unknown key, naming the nearest one, and for a value of the wrong kind.
    """
    _known_keys(tree, [f.name for f in dataclasses.fields(Recipe) if f.name != "source"], name, "")
    family, data = tree.get("family", "halo"), dict(tree.get("data") or {})
    source = data.pop("source", "sprites")
    for kind, value, known in (("family", family, FAMILIES), ("data.source", source, SOURCES)):
        if value not in known:
            raise ConfigError(f"{name}: {kind} {value!r} is unknown; {_nearest(str(value), list(known))}")
    return Recipe(
        family=family,
        source=source,
        data=_typed(config_class(source), data, name, "data"),
        model=_typed(FAMILIES[family].config, tree.get("model") or {}, name, "model"),
        training=_typed(TrainingConfig, tree.get("training") or {}, name, "training"),
        stands_for=str(tree.get("stands_for", "")),
    )


def _typed(cls: type, values: Mapping[str, Any], name: str, section: str) -> Any:
    """A dataclass from plain values, its types checked by jsonargparse."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name}: {section} must be a mapping of keys to values")
    _known_keys(values, [f.name for f in dataclasses.fields(cls)], name, section + ".")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "settings")
    try:
        return parser.instantiate(parser.parse_object({"settings": dict(values)})).settings
    except (ArgumentError, TypeError, ValueError) as error:
        message = " ".join(str(error).replace("settings.", "").split())
        raise ConfigError(f"{name}: {section}: {message}") from error


def _known_keys(values: Mapping[str, Any], known: list[str], name: str, prefix: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{name}: unknown key {prefix}{key}; {_nearest(str(key), known, prefix)}")


def _nearest(word: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(prefix + k for k in known)}"
