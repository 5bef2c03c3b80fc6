"""Diagonal Gaussians: sampling, divergence, likelihood. Everything in nats."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """N(mean, diag(exp(logvar))) over the last axis."""

    mean: Float[Tensor, "*B n"]
    logvar: Float[Tensor, "*B n"]

    def sample(self) -> Float[Tensor, "*B n"]:
        """A reparametrised draw (Kingma & Welling 2014) from torch's global generator."""
        return self.mean + (0.5 * self.logvar).exp() * torch.randn_like(self.mean)

    def draw(self, generator: torch.Generator) -> Float[Tensor, "*B n"]:
        """A draw from `generator`, without a gradient of its own."""
        noise = torch.randn(self.mean.shape, generator=generator, device=generator.device).to(self.mean)
        return self.mean + (0.5 * self.logvar).exp() * noise

    def kl(self, prior: "Gaussian | None" = None) -> Float[Tensor, "*B"]:
        """KL[self || prior], the prior N(0, I) where none is given, in nats, summed over the last axis."""
        if prior is None:
            return 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar).sum(-1)
        ratio, apart = (self.logvar - prior.logvar).exp(), (self.mean - prior.mean).square() * (-prior.logvar).exp()
        return 0.5 * (ratio + apart - 1 - self.logvar + prior.logvar).sum(-1)

    def nll(self, x: Float[Tensor, "*B n"]) -> Float[Tensor, "*B"]:
        """-log of the density at `x`, summed over the last axis."""
        scaled = (x - self.mean).square() * (-self.logvar).exp()
        return 0.5 * (scaled + self.logvar + math.log(2 * math.pi)).sum(-1)


def negative_log_likelihood(squared_error: Float[Tensor, "*B"], count: int, std: float) -> Float[Tensor, "*B"]:
    """-log N(x | mean, std^2 I) of `count` values whose squared distance from the mean is `squared_error`."""
    return squared_error / (2 * std**2) + count * (math.log(std) + 0.5 * math.log(2 * math.pi))
