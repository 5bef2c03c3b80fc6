"""Layers that turn features into the parameters of a Gaussian, given the action where the model has one.

A parameter named ``per_action`` has the action as its first axis, so that a fine-tuned run can take those it knows.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths.gaussian import Gaussian


class ConditionedLinear(nn.Module):
    """A linear layer on features and a one-hot action: the action's column of weights is a bias of its own."""

    def __init__(self, features: int, out: int, actions: int) -> None:
        """`actions` = 0: not conditioned."""
        super().__init__()
        self.linear = nn.Linear(features, out)
        self.per_action = nn.Parameter(torch.randn(actions, out) / features**0.5)

    def forward(self, h: Float[Tensor, "N h"], action: Float[Tensor, "N K"] | None) -> Float[Tensor, "N out"]:
        return self.linear(h) if action is None else self.linear(h) + action @ self.per_action


class GaussianHead(nn.Module):
    """Mean and log-variance of a Gaussian, each a linear map of the features."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, out)
        self.logvar = nn.Linear(features, out)
        nn.init.zeros_(self.logvar.weight)
        nn.init.constant_(self.logvar.bias, -2.0)  # a narrow posterior first: the decoder needs a signal to learn from

    def forward(self, h: Float[Tensor, "*B h"]) -> Gaussian:
        return Gaussian(self.mean(h), self.logvar(h).clamp(-12, 4))


class StateInput(nn.Module):
    """The decoder's first layer: linear in the content z and in the positions q of every operator together."""

    def __init__(self, content: int, count: int, d: int, out: int) -> None:
        super().__init__()
        self.content = nn.Linear(content, out)
        self.per_action = nn.Parameter(torch.randn(count, d, out) / d**0.5)

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T out"]:
        return self.content(z)[:, None] + torch.einsum("btkd,kdo->bto", q, self.per_action)


class ActionHead(nn.Module):
    """Reads the action from the features of a clip's frames, in whatever order: each has the same vote."""

    def __init__(self, features: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.frame = nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(0.2))
        self.per_action = nn.Parameter(torch.zeros(actions, 2 * hidden + 1))

    def forward(self, h: Float[Tensor, "B T h"]) -> Float[Tensor, "B K"]:
        v = self.frame(h)
        seen = torch.cat([v.mean(1), v.amax(1), torch.ones_like(v[:, 0, :1])], dim=-1)
        return seen @ self.per_action.mT
