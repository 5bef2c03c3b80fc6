"""Fully connected networks between codes and the coordinates of frames in their principal components."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.nn.coordinates import Coordinates
from kinema.nn.dense import LEAK, block
from kinema.nn.heads import StateInput

WHITE = 0.5
"""How far the scales of the components are evened out: 0 not at all, 1 wholly. Small components tell garments apart."""


class Encoder(nn.Module):
    """The coordinates of a frame to a feature vector."""

    def __init__(self, coordinates: Coordinates, hidden: int, features: int) -> None:
        super().__init__()
        self.scale = [coordinates]  # in a list: the model has it already, and saves it once
        self.layers = nn.Sequential(*block(coordinates.count, hidden), *block(hidden, features))

    def forward(self, frames: Float[Tensor, "N n"]) -> Float[Tensor, "N h"]:
        return self.layers(frames[..., :-1] / self.scale[0].spread ** WHITE)


class Decoder(nn.Module):
    """Content and positions to the coordinates of each frame."""

    def __init__(self, coordinates: Coordinates, hidden: int, content: int, state: tuple[int, int]) -> None:
        super().__init__()
        self.scale = [coordinates]
        self.first = StateInput(content, *state, hidden)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(LEAK),
            *block(hidden, hidden),
            *block(hidden, hidden),
            nn.Linear(hidden, coordinates.count),
        )

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T n"]:
        known = self.layers(self.first(z, q).flatten(0, 1)) * self.scale[0].spread ** WHITE
        whole = torch.cat([known, torch.zeros_like(known[:, :1])], dim=1)
        return whole.unflatten(0, q.shape[:2])
