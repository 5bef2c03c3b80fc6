"""Densities of codes, fitted after training to what the posteriors of the training clips hold.

Not the paper's, whose samples are of N(0, I). The posteriors of a trained model do not fill N(0, I), and a decoder has
never seen what lies between them. The tables print the row of N(0, I) beside that of a density.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.errors import ConfigError
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
