"""The model families by name, each with the class of its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from kinema.models.base import Domain
from kinema.models.halo import Halo, HaloConfig


@dataclass(frozen=True)
class Family:
    """What training must know of a family: its settings, and how a model is made of them."""

    config: type
    build: Callable[[Any, Domain], nn.Module]


FAMILIES: dict[str, Family] = {"halo": Family(HaloConfig, Halo)}
