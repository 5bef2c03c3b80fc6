"""A causal model of motion under live control: four frames of control in, four frames of motion out."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.locomotion import CONTEXT, Condition, Locomotion
from kinema.motion import Motion
from kinema.nn.motion import STRIDE


class Live:
    """Bodies that do what they are told as they are told; the same motion as `Locomotion.generate` makes of it all."""

    def __init__(
        self,
        model: Locomotion,
        count: int,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> None:
        """`count` bodies; `start` and `factors` as in `generate`. Raises ConfigError for a model that looks ahead."""
        if not model.config.causal:
            raise ConfigError("live control needs a model that does not look ahead; train it with --model.causal true")
        self.model, self.generator = model, generator
        self.history = torch.zeros(count, 0, 3, device=model.scale.control_std.device)
        self.features = torch.zeros(count, model.config.width, 0, device=self.history.device)
        self.canvas = torch.zeros(count, 0, model.config.hidden, device=self.history.device)
        self.static = model.static(self.history, start, factors)
        self.clip_latent: Tensor | None = None
        self.state: Tensor | None = None

    @torch.inference_mode()
    def step(self, control: Float[Tensor, "B 4 3"]) -> Motion:
        """The next four frames of the bodies that are asked for this control, (B, 4, ...)."""
        model, reach = self.model, (self.model.control_encoder.reach + 2) * STRIDE
        self.history = torch.cat([self.history, control], 1)[:, -reach:]
        h = model.control_encoder((self.history / model.scale.control_std).mT)[..., -1:]
        given = Condition(h, self.static)
        prior = model.prior(given)
        if self.clip_latent is None:
            self.clip_latent = prior.clip.draw(self.generator)
        new, self.state = model.roll(given, self.clip_latent, prior.steps.draw(self.generator), self.state)
        self.features = torch.cat([self.features, h], -1)[..., -CONTEXT - 1 :]
        self.canvas = torch.cat([self.canvas, new], 1)[:, -CONTEXT - 1 :]
        made = model.decode(self.canvas, self.features)[:, -STRIDE:]
        assert made.contacts is not None
        return Motion(made.joints, made.control, made.rotations, made.contacts.sigmoid())
