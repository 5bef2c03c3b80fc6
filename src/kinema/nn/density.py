"""Densities of codes, fitted after training to what the posteriors of the training clips hold: a mixture of Gaussians,
or parts, each drawn on its own.

Not the paper's, whose samples are of N(0, I). The posteriors of a trained model do not fill N(0, I), and a decoder has
never seen what lies between them. The tables print the row of N(0, I) beside that of a density.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.maths.factorial_mixture import FactorialMixture, fit_factorial
from kinema.maths.gaussian import Gaussian
from kinema.maths.mixture import MOST, Mixture, fit_mixture


class Density(nn.Module):
    """A mixture of Gaussians for each of G groups, such as actions; buffers, saved with the model."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, groups: int, components: int, n: int) -> None:
        """Raises ConfigError for more than 64 components: a density, not a store of codes."""
        super().__init__()
        if not 1 <= components <= MOST:
            raise ConfigError(f"model: {components} components of a density; 1 to {MOST} are possible")
        self.register_buffer("weights", torch.full((groups, components), 1 / components))
        self.register_buffer("means", torch.zeros(groups, components, n))
        self.register_buffer("factors", torch.eye(n).expand(groups, components, n, n).clone())

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "N n"], group: Int[Tensor, " N"], seed: int) -> None:
        """Fit every group's mixture to its points. Raises ConfigError for a group with fewer points than components."""
        for index in range(len(self.weights)):
            mine = x[group == index]
            components = self.weights.shape[1]
            if len(mine) < components:
                raise ConfigError(
                    f"model: a density of {components} components for {len(mine)} points; fewer are needed"
                )
            found = fit_mixture(mine, components, seed)
            self.weights[index], self.means[index], self.factors[index] = found.weights, found.means, found.factors

    def sample(self, group: Int[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, "B n"]:
        """One draw from the mixture of each group named."""
        drawn = torch.empty(len(group), self.means.shape[-1], device=self.means.device, dtype=self.means.dtype)
        for index in group.unique().tolist():
            rows = torch.nonzero(group == index)[:, 0]
            mixture = Mixture(self.weights[index], self.means[index], self.factors[index])
            drawn[rows] = mixture.sample(len(rows), generator)
        return drawn


class Parts(nn.Module):
    """A factorial mixture: a code is the sum of one vector from each of a few sets, and little noise; buffers, saved
    with the model.

    Where appearance is made of things that are chosen each on its own, such as hair and garments, codes are nearly such
    sums, and the sets are found without a label. A mixture of as many Gaussians can stand on as many codes only.
    """

    weights: Tensor
    centres: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, parts: int, values: int, n: int) -> None:
        """Raises ConfigError for more than 64 vectors: a density, not a store of codes."""
        super().__init__()
        if not (parts >= 1 and values >= 2 and parts * values <= MOST):
            raise ConfigError(f"model: {parts} parts of {values} values; 2 values or more, {MOST} vectors are possible")
        self.register_buffer("weights", torch.full((parts, values), 1 / values))
        self.register_buffer("centres", torch.zeros(parts, values, n))
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("factor", torch.eye(n))

    @torch.no_grad()
    def fit(self, posterior: Gaussian, seed: int) -> None:
        """Fit to the means of posteriors, known to within their variances. Raises ConfigError for too few of them."""
        parts, values = self.weights.shape
        if len(posterior.mean) < parts * values:
            raise ConfigError(
                f"model: {parts} parts of {values} values for {len(posterior.mean)} points; fewer are needed"
            )
        variance = posterior.logvar.exp().mean(0)
        found, _ = fit_factorial(posterior.mean, variance, parts, values, seed)
        for name in ("weights", "centres", "mean", "factor"):
            getattr(self, name).copy_(getattr(found, name))

    def sample(self, group: Int[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, "B n"]:
        """One draw for each entry of `group`, which says nothing else."""
        return FactorialMixture(self.weights, self.centres, self.mean, self.factor).sample(len(group), generator)
