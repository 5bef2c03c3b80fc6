"""Run directories: config.yaml, model.safetensors, card.md, metrics.jsonl, report/, state/. Nothing in them is code."""

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kinema.errors import ConfigError, RunError
from kinema.files.guard import one_line, writing
from kinema.models.registry import FAMILIES
from kinema.training.checkpoint import tensor_bytes
from kinema.training.recipe import Recipe, build_recipe, parse_yaml, typed

BUILTIN = "builtin:"
CONFIG, WEIGHTS = "config.yaml", "model.safetensors"


@dataclass(frozen=True)
class Run:
    """A trained model with all that decided it."""

    path: Path
    recipe: Recipe
    domain: Any
    """What the family's models know of their data."""
    model: Any
    """The family's model, in eval mode."""
    credits: tuple[str, ...]
    """Authors of the training pictures; they travel with what the model makes."""


def builtin_runs() -> list[str]:
    """The runs that ship with the package."""
    folder = resources.files("kinema") / "builtin"
    return sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG).is_file()) if folder.is_dir() else []


def run_path(spec: str | Path) -> Path:
    """The directory of a run, or of ``builtin:NAME``; RunError where it holds none."""
    name = str(spec)
    if name.startswith(BUILTIN):
        known = builtin_runs()
        if name.removeprefix(BUILTIN) not in known:
            raise RunError(f"{name}: no such run ships with Kinema; known: {', '.join(BUILTIN + k for k in known)}")
        return Path(str(resources.files("kinema") / "builtin" / name.removeprefix(BUILTIN)))
    path = Path(spec)
    if not path.is_dir():
        raise RunError(f"{path}: no such run directory; give one that `kinema train` wrote, or builtin:sprites")
    if not (path / CONFIG).is_file():
        raise RunError(f"{path}: not a run directory, for it holds no {CONFIG}")
    return path


def open_run(path: Path, recipe: Recipe, domain: Any, credits: tuple[str, ...], resume: bool) -> None:
    """Make the directory of a new run, or check that it is the one to resume.

    Raises RunError where the directory holds anything else.
    """
    config = {**recipe.as_dict(), "domain": _domain_dict(domain), "credits": list(credits)}
    if path.exists() and (not path.is_dir() or any(not file.name.startswith(".") for file in path.iterdir())):
        if not (path / CONFIG).is_file():
            raise RunError(f"{path}: exists and is not a run; give --out a new or empty directory")
        if not resume:
            raise RunError(f"{path}: holds a run already; continue it with --resume or give another --out")
        if _read_tree(path) != config:
            raise RunError(f"{path}: holds another run (its {CONFIG} differs); give another --out")
        return
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def save_weights(path: Path, model: nn.Module, half: bool = False) -> None:
    """Write `model`.safetensors of a run, whole or not at all; `half` stores real numbers in 16 bits."""
    weights = model.state_dict()
    if half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    with writing(path / WEIGHTS) as (part,):
        part.write_bytes(tensor_bytes(weights))


def build_model(recipe: Recipe, domain: Any) -> Any:
    """The model of a recipe, with new weights drawn by torch's generator. Raises ConfigError where there is none."""
    try:
        return FAMILIES[recipe.family].build(recipe.model, domain)
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ConfigError(f"model: no {recipe.family} can be built of these settings: {_line(error)}") from error


def load_run(spec: str | Path, family: str | None = None, device: str | torch.device = "cpu") -> Run:
    """Load a run directory or ``builtin:NAME``.

    Raises RunError where it is damaged, unfinished, or not of `family`.
    """
    path = run_path(spec)
    recipe, domain, credits = read_config(path)
    if family is not None and recipe.family != family:
        raise RunError(f"{path}: a run of the family {recipe.family}; this verb needs one of {family}")
    if not (path / WEIGHTS).is_file():
        raise RunError(f"{path}: holds no {WEIGHTS} yet; finish it with `kinema train ... --resume`")
    try:
        model = build_model(recipe, domain)
        model.load_state_dict(read_weights(path / WEIGHTS))
    except ConfigError as error:
        raise RunError(f"{path / CONFIG}: damaged: {_line(error)}") from error
    except RuntimeError as error:
        raise RunError(f"{path / WEIGHTS}: the weights do not fit {CONFIG}: {_line(error)}") from error
    return Run(path, recipe, domain, model.to(device).eval(), credits)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; anything else, a pickle above all, is refused."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a whole safetensors file ({_line(error)}); pickles are never read") from error


def write_text(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    with writing(path) as (part,):
        part.write_text(text, encoding="utf-8")


def read_config(path: Path) -> tuple[Recipe, Any, tuple[str, ...]]:
    """What decided the run at `path`, what its model knows of the data, and the credits. RunError where damaged."""
    tree, file = _read_tree(path), path / CONFIG
    try:
        known, credits = tree.pop("domain"), tuple(str(line) for line in tree.pop("credits"))
        recipe = build_recipe(tree, str(file))
        return recipe, typed(FAMILIES[recipe.family].domain, known, str(file), "domain"), credits
    except KeyError as error:
        raise RunError(f"{file}: damaged: it has no {error.args[0]}") from error
    except (TypeError, ConfigError) as error:
        raise RunError(f"{file}: damaged: {_line(error)}") from error


def _read_tree(path: Path) -> dict[str, Any]:
    try:
        tree = parse_yaml((path / CONFIG).read_text(encoding="utf-8"), str(path / CONFIG))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise RunError(f"{path / CONFIG}: damaged: {_line(error)}") from error
    if not isinstance(tree, dict):
        raise RunError(f"{path / CONFIG}: damaged: it is no mapping of keys to values")
    return tree


def _domain_dict(domain: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return [plain(part) for part in value] if isinstance(value, tuple) else value

    return {key: plain(value) for key, value in asdict(domain).items()}


def _line(error: BaseException) -> str:
    return one_line(error)[:300]
