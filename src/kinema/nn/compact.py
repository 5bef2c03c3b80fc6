"""The compact networks, Kinema's default: small enough for two CPU cores, for frames of any size divisible by 8.

The decoder paints by numbers: soft masks over a few paints, where the paints' colours come from the content alone and
the masks from content and position. A sprite is some flat colours that move, so appearance is learned in a few hundred
steps; with enough paints any picture can be made.
"""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths.gaussian import Gaussian
from kinema.nn.heads import ConditionedLinear, GaussianHead, StateInput

LEAK = 0.2


def stages(size: tuple[int, int]) -> int:
    """How often a frame is halved: until its short side is about 4, as long as both sides stay whole."""
    deepest = max(1, int(math.log2(min(size) / 4)))
    return next(n for n in range(deepest, -1, -1) if size[0] % 2**n == 0 and size[1] % 2**n == 0)


class Encoder(nn.Module):
    """A frame to a feature vector: strided convolutions, the width doubling at each, then one linear layer."""

    def __init__(self, channels: int, size: tuple[int, int], width: int, features: int) -> None:
        super().__init__()
        n = stages(size)
        widths = [width * 2**i for i in range(n)]
        layers: list[nn.Module] = []
        for source, target in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(source, target, 4, 2, 1), nn.BatchNorm2d(target), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers)
        cells = widths[-1] * (size[0] >> n) * (size[1] >> n)
        self.linear = nn.Sequential(nn.Linear(cells, features), nn.LeakyReLU(LEAK))

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N h"]:
        return self.linear(self.convolutions(frames).flatten(1))


class Content(nn.Module):
    """q(z | frames): each frame's opinion, averaged, so that any frames of a clip, in any number, will do."""

    def __init__(self, features: int, content: int) -> None:
        super().__init__()
        self.frame = nn.Sequential(nn.Linear(features, features), nn.LeakyReLU(LEAK))
        self.head = GaussianHead(features, content)

    def forward(self, h: Float[Tensor, "B T h"]) -> Gaussian:
        return self.head(self.frame(h).mean(1))


class Position(nn.Module):
    """q(q_t | x_t, u): the position from one frame and the action."""

    def __init__(self, features: int, out: int, actions: int) -> None:
        super().__init__()
        self.first = ConditionedLinear(features, features, actions)
        self.head = GaussianHead(features, out)

    def forward(self, h: Float[Tensor, "B h"], action: Float[Tensor, "B K"] | None) -> Gaussian:
        return self.head(nn.functional.leaky_relu(self.first(h, action), LEAK))


class Momentum(nn.Module):
    """q(p_t | x_{t-w:t}, u): the momentum from the frame and the w - 1 before it, zero where the clip had not begun."""

    def __init__(self, features: int, out: int, actions: int, window: int) -> None:
        super().__init__()
        self.first = ConditionedLinear(window * features, features, actions)
        self.head = GaussianHead(features, out)

    def forward(self, h: Float[Tensor, "B w h"], action: Float[Tensor, "B K"] | None) -> Gaussian:
        return self.head(nn.functional.leaky_relu(self.first(h.flatten(1), action), LEAK))


class Decoder(nn.Module):
    """Content and positions to frames: masks, from a small grid upwards, filled with the content's paints."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        width: int,
        features: int,
        content: int,
        state: tuple[int, int],
        paints: int,
    ) -> None:
        super().__init__()
        n = stages(size)
        widths = [width * 2**i for i in reversed(range(n))]
        self.channels, self.paints = channels, paints
        self.grid = (widths[0], size[0] >> n, size[1] >> n)
        self.first = StateInput(content, *state, features)
        self.second = nn.Linear(features, math.prod(self.grid))
        layers: list[nn.Module] = []
        for source, target in pairwise(widths):
            layers += [nn.ConvTranspose2d(source, target, 4, 2, 1), nn.BatchNorm2d(target), nn.LeakyReLU(LEAK)]
        self.convolutions = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], paints, 4, 2, 1))
        self.colours = nn.Sequential(
            nn.Linear(content, features), nn.LeakyReLU(LEAK), nn.Linear(features, paints * channels), nn.Sigmoid()
        )

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T C H W"]:
        batch, steps = q.shape[:2]
        grid = self.second(nn.functional.leaky_relu(self.first(z, q), LEAK)).view(batch * steps, *self.grid)
        masks = self.convolutions(nn.functional.leaky_relu(grid, LEAK)).softmax(1)
        height, width = masks.shape[-2:]
        masks = masks.view(batch, steps, self.paints, height * width)
        paints = self.colours(z).view(batch, 1, self.channels, self.paints)
        return (paints @ masks).view(batch, steps, self.channels, height, width)
