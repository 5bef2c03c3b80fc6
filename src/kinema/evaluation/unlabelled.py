"""A model that found its actions by itself, as a protocol sees it that speaks of the data's labels.

Its operators belong to what it found, not to what the data name. So every label that it is told is kept from it: it
sees the action in the clip, or in the one picture there is, and where a motion is drawn, it draws the action too.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.models.halo import Halo
from kinema.nn.found_actions import FoundActions


def without_labels(model: Any) -> Any:
    """The model as it is, or, where it found its actions by itself, one that is told no labels."""
    found = getattr(model, "found", None)
    return model if found is None else Unlabelled(model, found)


class Unlabelled:
    """A Halo whose callers give labels of the data, which it does not look at."""

    def __init__(self, model: Halo, found: FoundActions) -> None:
        self.model, self.found = model, found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def reconstruct(self, frames: Tensor, times: Tensor, action: Tensor | None = None) -> Float[Tensor, "B T C H W"]:
        return self.model.reconstruct(frames, times)

    def transfer(
        self, content: Tensor, motion: Tensor, times: Tensor, action: Tensor | None = None
    ) -> Float[Tensor, "B T C H W"]:
        return self.model.transfer(content, motion, times)

    def animate_images(self, images: Tensor, action: Tensor, times: Tensor) -> Float[Tensor, "B T C H W"]:
        return self.model.animate_images(images, self.model.recognise(images[:, None]).argmax(1), times)

    def codes(
        self, frames: Tensor, times: Tensor, action: Tensor | None = None
    ) -> tuple[Float[Tensor, "B z"], Float[Tensor, "B T n"]]:
        return self.model.codes(frames, times)

    def with_prior_motion(
        self, content: Tensor, action: Int[Tensor, " B"], times: Tensor, generator: torch.Generator
    ) -> Float[Tensor, "B T C H W"]:
        drawn = self.found.draw(len(action), generator).to(action.device)
        return self.model.with_prior_motion(content, drawn, times, generator)

    def with_sampled_content(
        self, motion: Tensor, times: Tensor, action: Tensor | None, generator: torch.Generator
    ) -> Float[Tensor, "B T C H W"]:
        return self.model.with_sampled_content(motion, times, None, generator)

    def at_times(
        self, frames: Tensor, times: Tensor, wanted: Tensor, action: Tensor | None = None
    ) -> Float[Tensor, "B U C H W"]:
        return self.model.at_times(frames, times, wanted)

    def snapped(self, period: float) -> "Unlabelled":
        return Unlabelled(self.model.snapped(period), self.found)

    def standard(self) -> "Unlabelled":
        return Unlabelled(self.model.standard(), self.found)
