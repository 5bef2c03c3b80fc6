"""Recipes: a YAML file, the defaults and the overrides of the command line, checked and made into typed settings."""

import dataclasses
import difflib
import re
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
from kinema.files.guard import one_line
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
        text = _text(path)
    else:
        if recipe not in recipe_names():
            raise ConfigError(f"{recipe}: no such recipe; {_nearest(recipe, recipe_names())}")
        text = (resources.files("kinema.recipes") / f"{recipe}.yaml").read_text()
    tree = parse_yaml(text, recipe)
    if not isinstance(tree, dict):
        raise ConfigError(f"{recipe}: a recipe is a YAML mapping with the keys data, model and training")
    return tree


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a text that can be read ({one_line(error)}); a YAML file is needed") from error


def parse_yaml(text: str, name: str) -> Any:
    """What a YAML text holds. Raises ConfigError where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {one_line(error)}") from error


def only_data(options: Mapping[str, str]) -> Mapping[str, str]:
    """`options`, where all are settings of the data. Raises ConfigError where a verb would ignore one."""
    for dotted in options:
        if not dotted.startswith("data."):
            raise ConfigError(f"--{dotted}: only settings of the data can be replaced here, such as --data.root")
    return options


def override(tree: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """The tree with each ``section.key`` replaced by the value of its option, read as YAML."""
    tree = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    for dotted, text in options.items():
        section, _, key = dotted.partition(".")
        tree.setdefault(section, {})
        if not isinstance(tree[section], dict):
            raise ConfigError(f"--{dotted}: {section} has no keys of its own")
        tree[section][key] = text if key in ("root", "identity") else parse_yaml(text, f"--{dotted} {text}")
    return tree


def build_recipe(tree: Mapping[str, Any], name: str) -> Recipe:
    """The typed recipe of a tree.

    Raises ConfigError for an unknown key, naming the nearest one, and for a value of the wrong kind.
    """
    _known_keys(tree, [f.name for f in dataclasses.fields(Recipe) if f.name != "source"], name, "")
    family, data = tree.get("family", "halo"), tree.get("data") or {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name}: data must be a mapping of keys to values")
    source = data.get("source", "sprites")
    for kind, value, known in (("family", family, FAMILIES), ("data.source", source, SOURCES)):
        if value not in known:
            raise ConfigError(f"{name}: {kind} {value!r} is unknown; {_nearest(str(value), list(known))}")
    if FAMILIES[family].kind != SOURCES[source].kind:
        fitting = [known for known, entry in SOURCES.items() if entry.kind == FAMILIES[family].kind]
        raise ConfigError(f"{name}: {family} does not learn from {source}; data.source is one of {', '.join(fitting)}")
    return Recipe(
        family=family,
        source=source,
        data=typed(config_class(source), {key: data[key] for key in data if key != "source"}, name, "data"),
        model=typed(FAMILIES[family].config, tree.get("model") or {}, name, "model"),
        training=typed(TrainingConfig, tree.get("training") or {}, name, "training"),
        stands_for=str(tree.get("stands_for", "")),
    )


def typed(cls: type, values: Any, name: str, section: str) -> Any:
    """A dataclass from plain values, its types checked by jsonargparse. Raises ConfigError as `build_recipe` does."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name}: {section} must be a mapping of keys to values")
    _known_keys(values, [f.name for f in dataclasses.fields(cls)], name, section + ".")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "settings")
    try:
        return parser.instantiate(parser.parse_object({"settings": dict(values)})).settings
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {wrong_value(error, section + '.')}") from error


KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
WRONG = re.compile(r'key "(?:settings\.)?(\w+)":.*?Expected a <class \'(\w+)\'>.*(?:Got|Given) value: (.*)', re.DOTALL)
"""Key, type and value in what jsonargparse says of a value of the wrong type."""


def wrong_value(error: Exception, prefix: str) -> str:
    """What jsonargparse says of a value of the wrong type, in plain words; `prefix` stands before the key."""
    found = WRONG.search(str(error))
    if found is None or found[2] not in KINDS:
        return one_line(error).replace("settings.", prefix)
    return f"{prefix}{found[1]} is {one_line(Exception(found[3]))}; {KINDS[found[2]]} is needed"


def _known_keys(values: Mapping[str, Any], known: list[str], name: str, prefix: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{name}: unknown key {prefix}{key}; {_nearest(str(key), known, prefix)}")


def _nearest(word: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(prefix + k for k in known)}"
