"""The contract between models, training and evaluation. Data flows: infer -> flow -> decode; losses compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.clip import ClipBatch
from kinema.data.source import Source


@dataclass(frozen=True)
class Domain:
    """What a model must know of its data. It is saved with the model."""

    actions: tuple[str, ...]
    """Names of the actions, in index order."""
    channels: int
    """3: RGB over black. 4: premultiplied RGBA."""
    size: tuple[int, int]
    """Height and width of a frame, in pixels."""
    length: int
    """Frames of a training window."""
    fps: float
    """Frames per second of the training clips."""

    @property
    def frame(self) -> str:
        """What a frame is, in words."""
        height, width = self.size
        return f"{width} x {height} pixels of {self.channels} channels"

    def describe(self) -> dict[str, str]:
        """What a person must know of it, by name."""
        frames = f"{self.frame}, windows of {self.length} frames"
        return {"Actions": ", ".join(self.actions), "Frames": frames}

    def misfit(self, other: "Domain", actions: bool = True) -> str | None:
        """What of `other` a model made for this cannot take, in words; None where it fits."""
        same = (self.size, self.channels) == (other.size, other.channels)
        if same and (not actions or self.actions == other.actions):
            return None
        told = (f"{d.frame}, actions {', '.join(d.actions)}" if actions else d.frame for d in (self, other))
        return "made for {}; the clips have {}".format(*told)

    def data_settings(self) -> dict[str, Any]:
        """Settings of a source whose clips are to fit: ``length`` is only a suggestion."""
        return {"length": self.length, "size": self.size[0], "alpha": self.channels == 4}


def domain_of(source: Source) -> Domain:
    """What a model must know of a source."""
    return Domain(source.actions, source.channels, source.size, source.length, source.fps)


@dataclass(frozen=True)
class Losses:
    """The terms of an objective, each a mean over the batch, and the weighted sum that is minimised."""

    total: Tensor
    terms: Mapping[str, Tensor]
    """Name to value; nats per clip where the model is a likelihood."""


@runtime_checkable
class ClipModel(Protocol):
    """What evaluation asks of a model, and of the oracles and cheats that test the evaluation.

    Frames are float32 in [0, 1] with the channels of `domain` (RGB over black, or premultiplied RGBA); times are in
    frames, float64; actions are indices (B,), None where the model is to read the action from the clip itself.
    """

    domain: Domain

    def losses(self, batch: ClipBatch) -> Losses: ...

    def recognise(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the action seen in each clip."""
        ...

    def reconstruct(
        self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"], action: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T C H W"]:
        """The clip from its own posterior means, unrolled from one frame's state."""
        ...

    def transfer(
        self,
        content: Float[Tensor, "B A C H W"],
        motion: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        action: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B T C H W"]:
        """The content of one clip moving as the other does; `times` and `action` are those of `motion`."""
        ...

    def animate_images(
        self, images: Float[Tensor, "B C H W"], action: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T C H W"]:
        """Each image doing an action; the image itself is what happens at time 0."""
        ...


@runtime_checkable
class FactoredModel(ClipModel, Protocol):
    """A clip model whose content and motion can each be drawn, and be read off as codes."""

    def codes(
        self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"], action: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B z"], Float[Tensor, "B T n"]]:
        """The mean content of each clip, and the whole state along its trajectory."""
        ...

    def with_prior_motion(
        self,
        content: Float[Tensor, "B A C H W"],
        action: Int[Tensor, " B"],
        times: Float[Tensor, "B T"],
        generator: torch.Generator,
    ) -> Float[Tensor, "B T C H W"]:
        """The content of real clips, each doing an action whose state at time 0 is drawn."""
        ...

    def with_sampled_content(
        self,
        motion: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        action: Int[Tensor, " B"] | None,
        generator: torch.Generator,
    ) -> Float[Tensor, "B T C H W"]:
        """The motion of real clips, each of a content that is drawn."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A model that is trained on clips in another form."""

    def prepared(self, source: Any) -> Any:
        """The source in that form."""
        ...


@runtime_checkable
class Refitted(Protocol):
    """A model that takes something from the clips that it is fine-tuned on, before the first step."""

    def refit(self, source: Any) -> None:
        """Take it, once the weights are those of the run to start from."""
        ...


@runtime_checkable
class Finished(Protocol):
    """A model that takes something from the training clips once it is trained, such as the density of its codes."""

    def finish(self, source: Any, seed: int) -> None:
        """Take it; the same clips and seed give the same."""
        ...
