"""Run directories: config.yaml, model.safetensors, card.md, metrics.jsonl, report/, state/. Nothing in them is code."""

import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinema.errors import ConfigError, RunError
from kinema.models.base import Domain
from kinema.models.registry import FAMILIES
from kinema.training.recipe import Recipe, build_recipe

BUILTIN = "builtin:"
CONFIG, WEIGHTS = "config.yaml", "model.safetensors"


@dataclass(frozen=True)
class Run:
    """A trained model with all that decided it."""

    path: Path
    recipe: Recipe
    domain: Domain
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


def open_run(path: Path, recipe: Recipe, domain: Domain, credits: tuple[str, ...], resume: bool) -> None:
    """Make the directory of a new run, or check that it is the one to resume.

    Raises RunError where the directory holds anything else.
    """
    config = {**recipe.as_dict(), "domain": _domain_dict(domain), "credits": list(credits)}
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if not (path / CONFIG).is_file():
            raise RunError(f"{path}: exists and is not a run; give --out a new or empty directory")
        if not resume:
            raise RunError(f"{path}: holds a run already; continue it with --resume or give another --out")
        if yaml.safe_load((path / CONFIG).read_text()) != config:
            raise RunError(f"{path}: holds another run (its {CONFIG} differs); give another --out")
        return
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def save_weights(path: Path, model: nn.Module) -> None:
    """Write `model`.safetensors of a run, whole or not at all."""
    partial = path / (WEIGHTS + ".partial")
    save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, partial)
    os.replace(partial, path / WEIGHTS)


def load_run(spec: str | Path, family: str | None = None, device: str | torch.device = "cpu") -> Run:
    """Load a run directory or ``builtin:NAME``.

    Raises RunError where it is damaged, unfinished, or not of `family`.
    """
    path = run_path(spec)
    recipe, domain, credits = _read_config(path)
    if family is not None and recipe.family != family:
        raise RunError(f"{path}: a run of the family {recipe.family}; this verb needs one of {family}")
    if not (path / WEIGHTS).is_file():
        raise RunError(f"{path}: holds no {WEIGHTS} yet; finish it with `kinema train ... --resume`")
    model = FAMILIES[recipe.family].build(recipe.model, domain)
    try:
        model.load_state_dict(read_weights(path / WEIGHTS))
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
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


def _read_config(path: Path) -> tuple[Recipe, Domain, tuple[str, ...]]:
    try:
        tree = yaml.safe_load((path / CONFIG).read_text())
        domain, credits = tree.pop("domain"), tuple(tree.pop("credits"))
        domain = Domain(**{k: tuple(v) if isinstance(v, list) else v for k, v in domain.items()})
        return build_recipe(tree, str(path / CONFIG)), domain, credits
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError, ConfigError) as error:
        raise RunError(f"{path / CONFIG}: damaged: {_line(error)}") from error


def _domain_dict(domain: Domain) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(domain).items()}


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
