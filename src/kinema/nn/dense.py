"""Fully connected networks for small pictures of figures that stand in one place, sprites above all.

Such pictures are few templates in many mixtures, which a linear layer onto the pixels learns several times faster on a
CPU than convolutions that must first learn where things are.
"""

import math

from jaxtyping import Float
from torch import Tensor, nn

from kinema.nn.heads import StateInput

LEAK = 0.2


def block(features: int, out: int) -> list[nn.Module]:
    return [nn.Linear(features, out), nn.BatchNorm1d(out), nn.LeakyReLU(LEAK)]


class Encoder(nn.Module):
    """A frame to a feature vector."""

    def __init__(self, channels: int, size: tuple[int, int], hidden: int, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*block(channels * math.prod(size), hidden), *block(hidden, features))

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N h"]:
        return self.layers(frames.flatten(1))


class Decoder(nn.Module):
    """Content and positions to the pixels of each frame."""

    def __init__(self, channels: int, size: tuple[int, int], hidden: int, content: int, state: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.first = StateInput(content, *state, hidden)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(LEAK),
            *block(hidden, hidden),
            nn.Linear(hidden, math.prod(self.shape)),
            nn.Sigmoid(),
        )

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T C H W"]:
        batch, steps = q.shape[:2]
        return self.layers(self.first(z, q).flatten(0, 1)).view(batch, steps, *self.shape)
