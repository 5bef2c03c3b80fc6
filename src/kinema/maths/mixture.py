"""Mixtures of full Gaussians, fitted by expectation maximisation (Dempster, Laird and Rubin 1977)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.maths.kmeans import nearest, spread_centres

MOST = 64
"""Components that a density may have: more would be a store of the codes that it was fitted to."""
FLOOR = 1e-4
"""Added to every variance, so that a component of few points stays a density."""


@dataclass(frozen=True)
class Mixture:
    """sum_k weights_k N(mean_k, factor_k factor_k'), the factors lower triangular."""

    weights: Float[Tensor, " K"]
    means: Float[Tensor, "K n"]
    factors: Float[Tensor, "K n n"]

    def log_prob(self, x: Float[Tensor, "N n"]) -> Float[Tensor, " N"]:
        """The log density of each point, in nats."""
        return self.joint(x).logsumexp(1)

    def joint(self, x: Float[Tensor, "N n"]) -> Float[Tensor, "N K"]:
        """log(weight_k N(x | k)) of each point and component."""
        apart = (x[:, None] - self.means).permute(1, 2, 0)
        scaled = torch.linalg.solve_triangular(self.factors, apart, upper=False)
        logdet = self.factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        n = x.shape[1]
        return self.weights.log() - logdet - 0.5 * (scaled.square().sum(1).T + n * math.log(2 * math.pi))

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N n"]:
        """`count` draws, made by `generator` on its device and brought to that of the mixture."""
        chosen = torch.multinomial(self.weights.cpu().double(), count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator).to(self.means)
        chosen = chosen.to(self.means.device)
        return self.means[chosen] + (self.factors[chosen] @ noise[..., None])[..., 0]


def fit_mixture(x: Float[Tensor, "N n"], components: int, seed: int, rounds: int = 30) -> Mixture:
    """The mixture of `components` (64 at most) that expectation maximisation finds from centres spread by k-means++.

    Raises ValueError for more components than 64 or than points.
    """
    if not 1 <= components <= min(MOST, len(x)):
        raise ValueError(f"{components} components for {len(x)} points; 1 to {min(MOST, len(x))} are possible")
    x = x.double()
    centres = x[spread_centres(x, components, seed)]
    share = torch.nn.functional.one_hot(nearest(x, centres), components).to(x.dtype)
    mixture = _maximised(x, share)
    for _ in range(rounds if components > 1 else 0):
        mixture = _maximised(x, mixture.joint(x).softmax(1))
    return mixture


def _maximised(x: Float[Tensor, "N n"], share: Float[Tensor, "N K"]) -> Mixture:
    """The mixture that is most likely where each point belongs to each component by its share."""
    mass = share.sum(0).clamp(min=1e-6)
    means = share.T @ x / mass[:, None]
    factors = []
    for k, mean in enumerate(means):  # one at a time: all together would need N x K x n numbers
        apart = (x - mean) * share[:, k, None].sqrt()
        covariance = apart.T @ apart / mass[k] + FLOOR * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        factors.append(torch.linalg.cholesky(covariance))
    return Mixture(mass / mass.sum(), means, torch.stack(factors))
