"""Networks of the equivariant renderer: pictures to feature maps and back, and two feature maps to an affine matrix.

The paper (Resnick et al. 2020, section 4.1) says what kind of networks they are, not of how many layers: encoders are
residual, the decoder is their transpose without the residual paths, the affine matrix begins at the identity. The
layers here are ours (docs/papers/renderer.md).
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Of the leaky rectifiers, below zero."""
Padding = Literal["zeros", "replicate", "reflect"]
"""What a convolution sees beyond the edges."""
POOLED = 4
"""Side of the grid to which the features of a transformation are averaged before the dense layers."""


def groups(channels: int) -> nn.GroupNorm:
    """Group normalisation with about 8 channels a group."""
    return nn.GroupNorm(max(1, channels // 8), channels)


class Norm(nn.Sequential):
    """Normalise, rectify."""

    def __init__(self, channels: int) -> None:
        super().__init__(groups(channels), nn.LeakyReLU(SLOPE))


class Residual(nn.Module):
    """Two convolutions beside a path that leaves everything as it is."""

    def __init__(self, channels: int, padding: Padding) -> None:
        super().__init__()
        self.path = nn.Sequential(
            Norm(channels),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding),
            Norm(channels),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.path(x)


class SceneEncoder(nn.Sequential):
    """Pictures to feature maps of a quarter of their height and width."""

    def __init__(self, inside: int, width: int, features: int, padding: Padding, masks: int = 0) -> None:
        """`inside` channels of the pictures, `width` of the first layer, `features` and `masks` of the maps."""
        super().__init__(
            nn.Conv2d(inside, width, 3, padding=1, padding_mode=padding),
            Residual(width, padding),
            nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode=padding),
            Residual(2 * width, padding),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1, padding_mode=padding),
            Residual(4 * width, padding),
            Residual(4 * width, padding),
            nn.Conv2d(4 * width, features + masks, 1),
        )


class SceneDecoder(nn.Sequential):
    """Feature maps to pictures in [0, 1]."""

    def __init__(self, width: int, features: int, padding: Padding) -> None:
        def block(channels: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding), Norm(channels)]

        super().__init__(
            nn.Conv2d(features, 4 * width, 1),
            *(layer for _ in range(4) for layer in block(4 * width)),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
            *(layer for _ in range(2) for layer in block(2 * width)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            *(layer for _ in range(2) for layer in block(width)),
            nn.Conv2d(width, 3, 3, padding=1, padding_mode=padding),
            nn.Sigmoid(),
        )


class AffineHead(nn.Module):
    """Two maps, in order, to K affine matrices: the identity until it has learned otherwise."""

    def __init__(
        self, channels: int, hidden: int, parts: int, side: int, freedom: Callable[[Tensor], Tensor] = lambda m: m
    ) -> None:
        """`channels` and `side` of each map, which is halved down to `POOLED` before the average; `freedom` takes the
        matrices to those that are allowed."""
        super().__init__()
        self.freedom = freedom
        layers: list[nn.Module] = [nn.Conv2d(2 * channels, hidden, 3, padding=1), Norm(hidden)]
        for _ in range(max(0, round(math.log2(side / POOLED)))):
            layers += [nn.Conv2d(hidden, hidden, 4, 2, 1), Norm(hidden)]
        self.maps, self.parts = nn.Sequential(*layers), parts
        self.dense = nn.Sequential(nn.Linear(hidden * POOLED**2, 2 * hidden), nn.LeakyReLU(SLOPE))
        self.last = nn.Linear(2 * hidden, 6 * parts)
        nn.init.zeros_(self.last.weight)
        with torch.no_grad():
            self.last.bias.copy_(torch.eye(2, 3).flatten().repeat(parts))

    def forward(self, first: Float[Tensor, "B C H W"], second: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K 2 3"]:
        h = functional.adaptive_avg_pool2d(self.maps(torch.cat([first, second], 1)), POOLED)
        return self.freedom(self.last(self.dense(h.flatten(1))).view(-1, self.parts, 2, 3))
