"""The model families by name, each with the class of its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from kinema.models import base, motion_base
from kinema.models.halo import Halo, HaloConfig
from kinema.models.locomotion import Locomotion, LocomotionConfig
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig, domain_of
from kinema.models.rivals import analogies
from kinema.models.rivals.crbm import Crbm, CrbmConfig
from kinema.models.rivals.erd import Erd, ErdConfig
from kinema.models.rivals.lstm3lr import Lstm3lr, Lstm3lrConfig
from kinema.models.vae_lstm import VaeLstm, VaeLstmConfig


@dataclass(frozen=True)
class Family:
    """What training must know of a family: its settings, what it learns from, and how a model is made."""

    config: type
    build: Callable[[Any, Any], nn.Module]
    domain: type = base.Domain
    """What a model of the family must know of its data."""
    domain_of: Callable[[Any], Any] = base.domain_of
    """That, of a source."""
    kind: str = "pictures"
    """The kind of sources that it learns from."""


def of_motion(config: type, build: Callable[[Any, Any], nn.Module]) -> Family:
    """A family that learns from motion capture."""
    return Family(config, build, motion_base.MotionDomain, motion_base.domain_of, "motion")


def of_analogies(config: type, build: Callable[[Any, Any], nn.Module]) -> Family:
    """A family that learns from quadruples of pictures, drawn from a source of pairs."""
    return Family(config, build, analogies.AnalogyDomain, analogies.domain_of, "pairs")


FAMILIES: dict[str, Family] = {
    "halo": Family(HaloConfig, Halo),
    "renderer": Family(RendererConfig, Renderer, PairDomain, domain_of, "pairs"),
    "analogy-add": of_analogies(analogies.AddConfig, analogies.Add),
    "analogy-dis": of_analogies(analogies.DisentangledConfig, analogies.Disentangled),
    "locomotion": of_motion(LocomotionConfig, Locomotion),
    "vae-lstm": of_motion(VaeLstmConfig, VaeLstm),
    "erd": of_motion(ErdConfig, Erd),
    "lstm-3lr": of_motion(Lstm3lrConfig, Lstm3lr),
    "crbm": of_motion(CrbmConfig, Crbm),
}
