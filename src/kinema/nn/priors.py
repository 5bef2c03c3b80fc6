"""What a motion is like before anything is seen: the distribution of its state, from which samples are drawn too.

Both priors speak of the state of each operator, (K, 2d), positions first. An operator that does not move has no part.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths.gaussian import Gaussian

WIDEST = -3.2
"""Greatest log-variance of a learned prior, a deviation of .2. A wider one comes to hold two views that walk out of
step, one to each side of its mean: seen, and worth 13e-4 of mean squared error in the swaps of that action."""


class Prior(nn.Module):
    """p(s | action). Every parameter has the operator as its first axis."""

    def __init__(self, count: int, d: int) -> None:
        super().__init__()
        self.count, self.d = count, d

    @abstractmethod
    def divergence(
        self, posterior: Gaussian, back: Float[Tensor, "B K n n"], moving: Float[Tensor, "B K"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """KL[posterior || prior] by name, in nats, of states (B, K, 2d) at some time t of the clip.

        `back` is exp(-tH), which takes each state to the clip's beginning; `moving` is 1 for operators that move.
        """

    @abstractmethod
    def at_start(self) -> Gaussian:
        """The distribution of the state at a clip's beginning, (K, 2d)."""


class StandardPrior(Prior):
    """q, p ~ N(0, I) at any one time: the paper's (eq. 1)."""

    def divergence(self, posterior: Gaussian, back: Tensor, moving: Tensor) -> dict[str, Tensor]:
        del back
        names = ("kl_position", "kl_momentum")
        halves = zip(names, posterior.mean.chunk(2, -1), posterior.logvar.chunk(2, -1), strict=True)
        return {name: (Gaussian(mean, logvar).kl() * moving).sum(1) for name, mean, logvar in halves}

    def at_start(self) -> Gaussian:
        nothing = torch.zeros(self.count, 2 * self.d)
        return Gaussian(nothing, nothing)


class LearnedPrior(Prior):
    """N(m, diag v), one for each operator, at the beginning of a clip; its flow gives the prior of any later time.

    Not the paper's. Where clips begin alike, as sprites do, everything that a state could tell beside the action and
    the time costs nats: the view and the appearance are left to the content, and all views move in step. It is also
    where the posteriors are, so that a drawn motion is like a seen one.
    """

    def __init__(self, count: int, d: int) -> None:
        super().__init__(count, d)
        self.mean_per_action = nn.Parameter(0.7 * torch.randn(count, 2 * d))
        # Narrow from the first step on: a broad one would let every view keep a phase of its own.
        self.logvar_per_action = nn.Parameter(torch.full((count, 2 * d), -4.0))

    def divergence(self, posterior: Gaussian, back: Tensor, moving: Tensor) -> dict[str, Tensor]:
        prior = self.at_start()
        mean = (back @ posterior.mean[..., None])[..., 0]
        # The diagonal of exp(-tH) V exp(-tH)'. The flow keeps volumes, so log |V| is the same at both times.
        spread = (back.square() @ posterior.logvar.exp()[..., None])[..., 0]
        distance = (mean - prior.mean).square() + spread
        kl = 0.5 * (distance * (-prior.logvar).exp() - 1 + prior.logvar - posterior.logvar).sum(-1)
        return {"kl_state": (kl * moving).sum(1)}

    def at_start(self) -> Gaussian:
        return Gaussian(self.mean_per_action, self.logvar_per_action.clamp(-12, WIDEST))


PRIORS: dict[str, type[Prior]] = {"standard": StandardPrior, "learned": LearnedPrior}
