"""The conditional restricted Boltzmann machine of motion (Taylor, Hinton & Roweis, NIPS 2006).

Given the n frames before it, u = (v_(t-n), ..., v_(t-1)), a frame v and its binary hidden units h have the energy

    E(v, h | u) = 1/2 |v - a|^2 - h'(b + W v)        with a = a_0 + A u (visibles), b = b_0 + B u (hiddens),

every visible channel being whitened, with unit variance. So p(h_j = 1 | v, u) = sigmoid(b + W v)_j, v | h, u is normal
around a + W'h with variance 1, and summing over h gives the free energy

    F(v | u) = 1/2 |v - a|^2 - sum_j log(1 + exp(b + W v)_j).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import ConfigError
from kinema.models.base import Losses
from kinema.models.motion_base import MotionDomain
from kinema.models.rivals.autoregressive import Autoregressive
from kinema.motion import MotionBatch

LEAST_STD = 0.01
"""Channels that vary less than this, in normalised units, are not blown up to unit variance."""
FARTHEST = 10.0
"""Made frames are kept within so many standard deviations of the mean, so that a motion that diverges stays finite."""


@dataclass(frozen=True)
class CrbmConfig:
    """The size of the machine, and how it is trained and drawn from."""

    hidden: int = 200
    """Binary hidden units."""
    order: int = 12
    """n: frames of the past that a frame depends on. The authors' demonstration has 3 at 30 frames per second; 12 at
    60 see twice that time."""
    cd_steps: int = 1
    """k of contrastive divergence CD-k: steps of Gibbs sampling away from the data."""
    cases: int = 25
    """Frames drawn from each clip of a batch to be learned in a training step."""
    short_past: float = 0.1
    """Share of the cases, in training, that know fewer than n frames: the first one that is known stands in for those
    before it, as it does where a motion is begun from few frames."""
    past_noise: float = 0.0
    """Standard deviation of noise on the whitened past, in training; Taylor et al. (CVPR 2010) add 1."""
    decay: float = 2e-4
    """Weight decay of W, A and B, as the gradient of decay / 2 times their squares."""
    gibbs_steps: int = 30
    """Steps of Gibbs sampling that make a frame, begun at the frame before it."""

    def __post_init__(self) -> None:
        for name in ("hidden", "order", "cd_steps", "cases", "gibbs_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("short_past", "past_noise", "decay"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; 0 or more is needed")


class Given(NamedTuple):
    """What the past says of a frame."""

    visible: Float[Tensor, "*B F"]
    """a: the mean of the visibles where no hidden unit is on."""
    hidden: Float[Tensor, "*B H"]
    """b: the log-odds of the hidden units where the visibles are 0."""


class Crbm(Autoregressive):
    """The machine. Its frames are normalised channels, whitened: each with mean 0 and variance 1."""

    def __init__(self, config: CrbmConfig, domain: MotionDomain) -> None:
        super().__init__(domain)
        self.config = config
        features, past = self.scale.features, config.order * self.scale.features
        self.weight = nn.Parameter(0.01 * torch.randn(config.hidden, features))  # W
        self.past_visible = nn.Linear(past, features)  # A and a_0
        self.past_hidden = nn.Linear(past, config.hidden)  # B and b_0
        for layer in (self.past_visible, self.past_hidden):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    # --- the machine -----------------------------------------------------------------------------------------------

    def given(self, past: Float[Tensor, "*B n F"]) -> Given:
        """What the n frames before it, the oldest first, say of a frame."""
        flat = past.flatten(-2)
        return Given(self.past_visible(flat), self.past_hidden(flat))

    def free_energy(self, frame: Float[Tensor, "*B F"], given: Given) -> Float[Tensor, "*B"]:
        """F(v | u), up to a constant that does not depend on the frame, in nats."""
        on = functional.softplus(self._log_odds(frame, given))
        return 0.5 * (frame - given.visible).square().sum(-1) - on.sum(-1)

    def gibbs(
        self, frame: Float[Tensor, "*B F"], given: Given, steps: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "*B F"]:
        """`steps` times the hidden units drawn from the frame, and the frame's mean from them (not drawn, as Taylor's).

        Without a generator the hidden units are drawn from torch's global one.
        """
        for _ in range(steps):
            share = torch.sigmoid(self._log_odds(frame, given))
            frame = self._visible(torch.bernoulli(share, generator=generator), given)
        return frame

    def _log_odds(self, frame: Float[Tensor, "*B F"], given: Given) -> Float[Tensor, "*B H"]:
        return given.hidden + functional.linear(frame, self.weight)

    def _visible(self, hidden: Float[Tensor, "*B H"], given: Given) -> Float[Tensor, "*B F"]:
        return given.visible + hidden @ self.weight

    # --- learning --------------------------------------------------------------------------------------------------

    def losses(self, batch: MotionBatch) -> Losses:
        """F(data) - F(sample), the sample held fast: not a likelihood, but its gradient is that of CD-k.

        Its expectation is the data's outer products less the sample's, the hidden units at their probabilities, which
        is the textbook's update. ``mse`` is the error of the sample, in normalised units, and does not train.
        """
        c = self.config
        frames = self.whiten(self.scale.encode(batch.motion))
        frame, past = self._cases(frames, batch)
        if self.training and c.past_noise:
            past = past + c.past_noise * torch.randn_like(past)
        given = self.given(past)
        with torch.no_grad():
            sample = self.gibbs(frame, given, c.cd_steps)
        contrast = (self.free_energy(frame, given) - self.free_energy(sample, given)).mean()
        weights = (self.weight, self.past_visible.weight, self.past_hidden.weight)
        decay = torch.stack([w.square().sum() for w in weights]).sum() * (c.decay / 2)
        mse = ((sample - frame) * self._unit()).square().mean()
        return Losses(contrast + decay, {"contrast": contrast, "mse": mse, "decay": decay})

    def _cases(self, frames: Float[Tensor, "B T F"], batch: MotionBatch) -> tuple[Tensor, Tensor]:
        """Frames (N, F) drawn from the valid part of each clip, never its first, and their pasts (N, n, F)."""
        c, (count, length) = self.config, batch.valid.shape
        device = frames.device
        first = batch.valid.int().argmax(1, keepdim=True)
        room = (batch.valid.sum(1, keepdim=True) - 1).clamp(min=1)
        # Frames with a whole past where there are any.
        least = torch.minimum(room, torch.full_like(room, c.order))
        drawn = torch.rand(count, c.cases, device=device)
        at = first + least + (drawn * (room - least + 1)).long().clamp(max=room - least)
        known = at - first
        few = torch.rand(count, c.cases, device=device) < c.short_past
        fewer = 1 + (torch.rand(count, c.cases, device=device) * c.order).long()
        known = torch.where(few, torch.minimum(known, fewer), known)[..., None]
        back = torch.minimum(torch.arange(c.order, 0, -1, device=device), known)
        rows = torch.arange(count, device=device)[:, None]
        at = at.clamp(max=length - 1)
        past = frames[rows[..., None], (at[..., None] - back).clamp(min=0)]
        return frames[rows, at].flatten(0, 1), past.flatten(0, 1)

    # --- generation ------------------------------------------------------------------------------------------------

    def warm_up(
        self, past: Float[Tensor, "B S F"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, "B n F"]]:
        n = self.config.order
        missing = past[:, :1].expand(-1, max(0, n - past.shape[1]), -1)
        memory = self.whiten(torch.cat([missing, past[:, -n:]], 1))
        return self._next(memory, generator), memory

    def advance(
        self, frame: Float[Tensor, "B F"], memory: Float[Tensor, "B n F"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, "B n F"]]:
        memory = torch.cat([memory[:, 1:], self.whiten(frame)[:, None]], 1)
        return self._next(memory, generator), memory

    def _next(self, past: Float[Tensor, "B n F"], generator: torch.Generator) -> Float[Tensor, "B F"]:
        """The next frame: drawn from the last one, then once by means alone, which takes the noise away (Taylor)."""
        given = self.given(past)
        frame = self.gibbs(past[:, -1], given, self.config.gibbs_steps, generator)
        frame = self._visible(torch.sigmoid(self._log_odds(frame, given)), given)
        return frame.clamp(-FARTHEST, FARTHEST) * self._unit() + self.scale.feature_mean

    def whiten(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
        """Each normalised channel with mean 0 and variance 1 over the training clips."""
        return (features - self.scale.feature_mean) / self._unit()

    def _unit(self) -> Float[Tensor, " F"]:
        return self.scale.feature_std.clamp(min=LEAST_STD)
