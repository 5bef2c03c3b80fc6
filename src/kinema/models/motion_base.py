"""The contract between models of motion, training and evaluation: control in, a moving body out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.data.motions import MotionSource, Moving
from kinema.models.base import Losses
from kinema.motion import Motion, MotionBatch, Skeleton


@dataclass(frozen=True)
class MotionDomain:
    """What a model must know of its data. It is saved with the model, as plain values."""

    names: tuple[str, ...]
    """The joints, the root first."""
    parents: tuple[int, ...]
    """The number of each joint's parent; -1 for the root."""
    offsets: tuple[tuple[float, float, float], ...]
    """Where each joint sits in its parent's frame, in metres."""
    toes: tuple[int, int]
    """The joints of the left and the right toe."""
    fps: float
    """Frames per second."""
    length: int
    """Frames of a training window."""
    actions: tuple[str, ...] = ()
    """Values of the factor ``action``, in index order."""
    styles: tuple[str, ...] = ()
    """Values of the factor ``style``, in index order."""
    legs: tuple[tuple[int, int, int, int], ...] = ()
    """Hip, knee, ankle and toe of the left and of the right leg."""

    @property
    def skeleton(self) -> Skeleton:
        return Skeleton(self.names, self.parents, torch.tensor(self.offsets, dtype=torch.float64))

    def describe(self) -> dict[str, str]:
        """What a person must know of it, by name."""
        return {
            "Skeleton": f"{len(self.names)} joints: {', '.join(self.names)}",
            "Frames": f"{self.fps:g} a second, windows of {self.length} frames",
            "Actions": ", ".join(self.actions) or "not labelled",
            "Styles": ", ".join(self.styles) or "not labelled",
        }

    def misfit(self, other: "MotionDomain", actions: bool = True) -> str | None:
        """What of `other` a model made for this cannot take, in words; None where it fits."""
        if not self.skeleton.same_as(other.skeleton):
            mine, theirs = (f"{len(names)} joints, {names[0]}, ..." for names in (self.names, other.names))
            return f"made for another skeleton ({mine}; the clips have {theirs})"
        if self.fps != other.fps:
            return f"made for {self.fps:g} frames a second; the clips have {other.fps:g}"
        if actions and (self.actions, self.styles) != (other.actions, other.styles):
            return f"made for the labels {', '.join(self.actions + self.styles)}; the clips have others"
        return None

    def data_settings(self) -> dict[str, Any]:
        """Settings of a source whose clips are to fit."""
        return {"length": self.length, "fps": self.fps}


def domain_of(source: MotionSource) -> MotionDomain:
    """What a model must know of a source."""
    skeleton, factors = source.skeleton, source.factors
    return MotionDomain(
        skeleton.names,
        skeleton.parents,
        tuple((x, y, z) for x, y, z in skeleton.offsets.tolist()),
        (source.roles.left_toe, source.roles.right_toe),
        source.fps,
        source.length,
        factors.get("action", ()),
        factors.get("style", ()),
        (
            (source.roles.left_hip, source.roles.left_knee, source.roles.left_foot, source.roles.left_toe),
            (source.roles.right_hip, source.roles.right_knee, source.roles.right_foot, source.roles.right_toe),
        ),
    )


@runtime_checkable
class Fitted(Protocol):
    """A model that must see the training data before it is trained."""

    def fit(self, source: Any) -> None:
        """Take what must be known of the training split, such as the scale of its channels."""
        ...


class MotionNetwork(nn.Module):
    """What the models of motion share: how training calls them. A subclass has `losses` and, as a rule, a `scale`."""

    def losses(self, batch: MotionBatch) -> Losses:
        raise NotImplementedError

    def fit(self, source: Moving) -> None:
        del source

    def forward(
        self,
        joints: Tensor,
        control: Tensor,
        rotations: Tensor | None,
        contacts: Tensor | None,
        valid: Tensor,
        factors: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        losses = self.losses(MotionBatch(Motion(joints, control, rotations, contacts), valid, factors))
        return {"loss": losses.total, **losses.terms}


@runtime_checkable
class MotionModel(Protocol):
    """What evaluation and `synthesize` ask of a model, and of the oracles and cheats that test the evaluation."""

    domain: MotionDomain

    def losses(self, batch: MotionBatch) -> Losses: ...

    def generate(
        self,
        frames: int,
        control: Float[Tensor, "B T 3"] | None,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Motion:
        """Windows of `frames` frames, one for each row of `control` or `start`, drawn with `generator`.

        `control`, where given, is known for all frames; where it is None the model continues `start` by itself, and
        only models that predict their control can. `start` holds the first frames as they truly were. The motion's
        own `control` is the one that the model puts out, whatever it was given. `factors` may hold ``action`` and
        ``style`` (B,) for models that take them; a model never looks at a factor that is not there.
        """
        ...
