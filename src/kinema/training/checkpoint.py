"""Checkpoints: what exact resume needs, in safetensors and JSON, and never half a file.

A checkpoint is a directory ``state/step-00000500`` that appears by one rename, after everything in it has reached the
disk; older ones are deleted only then. A process killed at any moment leaves the last whole checkpoint behind.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinema.errors import RunError

PREFIX = "step-"


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    """Write the state after `step` steps into `folder` and delete what it replaces."""
    folder.mkdir(parents=True, exist_ok=True)
    target, partial = folder / f"{PREFIX}{step:08d}", folder / f"partial-{step:08d}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    save_file(_contiguous(model.state_dict()), partial / "model.safetensors")
    tensors, values = _split(optimizer.state_dict())
    save_file(_contiguous(tensors), partial / "optimizer.safetensors")
    (partial / "state.json").write_text(json.dumps({"step": step, "optimizer": values}, sort_keys=True))
    for file in (*partial.iterdir(), partial):
        _to_disk(file)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    _to_disk(folder)
    for old in _checkpoints(folder)[:-1]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the newest whole checkpoint in `folder`; returns how many steps it had done, 0 where there is none."""
    found = _checkpoints(folder)
    if not found:
        return 0
    try:
        state = json.loads((found[-1] / "state.json").read_text())
        model.load_state_dict(load_file(found[-1] / "model.safetensors"))
        tensors = load_file(found[-1] / "optimizer.safetensors")
        optimizer.load_state_dict(_join(tensors, state["optimizer"]))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{found[-1]}: the checkpoint cannot be read ({reason}); delete it to begin anew") from error
    return int(state["step"])


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(PREFIX + "*"))


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _split(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and as plain values."""
    tensors = {
        f"{index}.{name}": value
        for index, entry in state["state"].items()
        for name, value in entry.items()
        if isinstance(value, Tensor)
    }
    groups = [{key: value for key, value in group.items() if _is_plain(value)} for group in state["param_groups"]]
    return tensors, {"groups": groups}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple)


def _join(tensors: dict[str, Tensor], values: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    return {"state": state, "param_groups": values["groups"]}


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
