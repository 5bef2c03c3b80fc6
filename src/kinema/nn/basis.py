"""Fully connected networks between codes and the coordinates of frames in their principal components.

Layers are normalised by themselves, not by the batch, whose noise a regression to 36 dB and more can be seen to feel.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.nn.coordinates import Coordinates
from kinema.nn.dense import LEAK

WHITE = 0.5
"""How far the scales of the components are evened out: 0 not at all, 1 wholly. Small components tell garments apart."""
MOTION = 128
"""Units of the motion's own layer: it knows a state only, far less than a picture."""


def block(features: int, out: int) -> list[nn.Module]:
    return [nn.Linear(features, out), nn.LayerNorm(out), nn.LeakyReLU(LEAK)]


class Encoder(nn.Module):
    """The coordinates of a frame to a feature vector."""

    def __init__(self, coordinates: Coordinates, hidden: int, features: int) -> None:
        super().__init__()
        self.scale = [coordinates]  # in a list: the model has it already, and saves it once
        self.layers = nn.Sequential(*block(coordinates.count, hidden), *block(hidden, features))

    def forward(self, frames: Float[Tensor, "N n"]) -> Float[Tensor, "N h"]:
        return self.layers(frames[..., :-1] / self.scale[0].spread ** WHITE)


class Decoder(nn.Module):
    """Content and positions to the coordinates of each frame.

    The content gives every hidden unit a gain and an offset (Perez et al. 2018), once for a clip: a figure's clothes
    are many, its poses few, and a picture is nearly the product of the two.
    """

    def __init__(self, coordinates: Coordinates, hidden: int, content: int, state: tuple[int, int]) -> None:
        super().__init__()
        count, d = state
        self.scale = [coordinates]
        self.content = nn.Sequential(*block(content, hidden), nn.Linear(hidden, 2 * hidden))
        self.per_action = nn.Parameter(torch.randn(count, d, MOTION) / d**0.5)
        self.bias = nn.Parameter(torch.zeros(MOTION))
        self.motion = nn.Sequential(
            nn.LeakyReLU(LEAK), nn.Linear(MOTION, MOTION), nn.LeakyReLU(LEAK), nn.Linear(MOTION, hidden)
        )
        self.layers = nn.Sequential(
            nn.LayerNorm(hidden), nn.LeakyReLU(LEAK), *block(hidden, hidden), nn.Linear(hidden, coordinates.count)
        )

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T n"]:
        gain, offset = self.content(z)[:, None].chunk(2, dim=-1)
        motion = self.motion(torch.einsum("btkd,kdo->bto", q, self.per_action) + self.bias)
        hidden = motion * (1 + gain) + offset
        known = self.layers(hidden.flatten(0, 1)) * self.scale[0].spread ** WHITE
        whole = torch.cat([known, torch.zeros_like(known[:, :1])], dim=1)
        return whole.unflatten(0, q.shape[:2])
