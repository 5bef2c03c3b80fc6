"""Checkpoints: what exact resume needs, in safetensors and JSON, and never half a file.

A checkpoint is a directory ``state/step-00000500`` that appears by one rename, after everything in it has reached the
disk; all else in ``state`` is deleted only then. A process killed at any moment leaves the last whole one behind.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kinema.errors import RunError
from kinema.files.guard import one_line, writing

PREFIX = "step-"


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    """Write the state after `step` steps into `folder` and delete what it replaces.

    Raises FileError where the disk is full; then the checkpoint before it is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{PREFIX}{step:08d}"
    tensors, values = _split(optimizer.state_dict())
    with writing(target) as (partial,):
        partial.mkdir()
        (partial / "model.safetensors").write_bytes(tensor_bytes(model.state_dict()))
        (partial / "optimizer.safetensors").write_bytes(tensor_bytes(tensors))
        (partial / "state.json").write_text(json.dumps({"step": step, "optimizer": values}, sort_keys=True))
        for file in (*partial.iterdir(), partial):
            _to_disk(file)
    _to_disk(folder)
    for old in folder.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the newest whole checkpoint in `folder`; returns how many steps it had done, 0 where there is none.

    Raises RunError where it is damaged.
    """
    found = sorted(folder.glob(PREFIX + "*"))
    if not found:
        return 0
    try:
        state = json.loads((found[-1] / "state.json").read_text())
        model.load_state_dict(load_file(found[-1] / "model.safetensors"))
        tensors = load_file(found[-1] / "optimizer.safetensors")
        optimizer.load_state_dict(_join(tensors, state["optimizer"]))
        return int(state["step"])
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, SafetensorError) as error:
        reason = one_line(error)[:200]
        raise RunError(f"{found[-1]}: the checkpoint cannot be read ({reason}); delete it to begin anew") from error


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file; Python writes it, so that a full disk is an OSError as everywhere."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


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
