"""The networks of the paper's supplement: tables 3-5 (sprites and faces) and 6-8 (rotating digits).

The tables leave some sizes open and do not fit together everywhere. What was chosen:

- ``features`` is h, ``width`` the number of kernels: features 2048, width 256, window 3 are tables 3-5; features 256,
  width 32, window 4 are tables 6-8. The wider linear layers grow with h: 4096 is 2h in table 3 and 16h in table 6.
- Table 3 halves a frame three times, table 4 prints four layers that double it. Three of them are built, so that the
  decoder starts from the grid that the encoder ended with. Table 7 starts from a grid two cells smaller than a quarter
  of the frame, which its first, unpadded layer fills up.
- A transposed convolution of stride 2 has padding 2 and output padding 1: it doubles a side exactly.
- The decoder's first layer takes (z, q) where table 4 prints h, and table 7 the 20 positions alone.
- Table 4 ends in Tanh; frames in [0, 1] want the Sigmoid of table 7.
- v, the width of position and momentum in table 5, is not given: a quarter of h.
- The TCN is a convolution over the window's frames of which only the last output is wanted; a frame before the clip
  began has zero features. Its kernel is as long as the window.
- Where the tables print log sigma, the layer gives log sigma^2, as everywhere in Kinema.
- Tables 6-8 have no content network; theirs is the LSTM of table 5.
"""

from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.nn.heads import ConditionedLinear, GaussianHead, StateInput

LEAK = 0.2


def linear(source: int, target: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(source, target), nn.BatchNorm1d(target), activation)


def convolution(source: int, target: int, stride: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(source, target, 5, stride, 2), nn.BatchNorm2d(target), activation)


def transposed(source: int, target: int, stride: int, activation: nn.Module) -> nn.Sequential:
    layer = nn.ConvTranspose2d(source, target, 5, stride, 2, output_padding=stride - 1)
    return nn.Sequential(layer, nn.BatchNorm2d(target), activation)


def encoder(channels: int, size: tuple[int, int], width: int, features: int) -> nn.Sequential:
    """Table 3: frames (N, C, H, W) to feature vectors (N, h). ConfigError for sides that are no multiples of 8."""
    if size[0] % 8 or size[1] % 8:
        raise ConfigError(f"model.network: paper takes frames whose sides are multiples of 8, not {size[0]}x{size[1]}")
    act = nn.LeakyReLU(LEAK)
    return nn.Sequential(
        convolution(channels, width, 1, act),
        *(convolution(width, width, 2, act) for _ in range(3)),
        convolution(width, width, 1, act),
        nn.Flatten(),
        linear(width * (size[0] // 8) * (size[1] // 8), 2 * features, act),
        linear(2 * features, features, act),
        linear(features, features, act),
    )


def digit_encoder(channels: int, size: tuple[int, int], width: int, features: int) -> nn.Sequential:
    """Table 6. ConfigError for sides that are no multiples of 4, or shorter than 12."""
    if size[0] % 4 or size[1] % 4 or min(size) < 12:
        wanted = "frames whose sides are multiples of 4, from 12 on"
        raise ConfigError(f"model.network: paper-mnist takes {wanted}, not {size[0]}x{size[1]}")
    act = nn.ReLU()
    halved = [-(-side // 8) for side in size]
    return nn.Sequential(
        convolution(channels, width, 2, act),
        convolution(width, 2 * width, 2, act),
        convolution(2 * width, 4 * width, 2, act),
        nn.Flatten(),
        linear(4 * width * halved[0] * halved[1], 16 * features, act),
        linear(16 * features, features, act),
    )


class Content(nn.Module):
    """Table 5, q(z | x_1:T): what an LSTM holds after the last frame."""

    def __init__(self, features: int, content: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, content, batch_first=True)
        self.head = GaussianHead(content, content)

    def forward(self, h: Float[Tensor, "B T h"]) -> Gaussian:
        return self.head(self.lstm(h)[0][:, -1])


class Frame(nn.Module):
    """Tables 5 and 8, the two layers that position and momentum begin with: a frame's features and the action to v."""

    def __init__(self, features: int, hidden: int, v: int, actions: int) -> None:
        super().__init__()
        self.first = ConditionedLinear(features, hidden, actions)
        self.second = nn.Sequential(nn.BatchNorm1d(hidden), nn.LeakyReLU(LEAK), linear(hidden, v, nn.LeakyReLU(LEAK)))

    def forward(self, h: Float[Tensor, "N h"], action: Float[Tensor, "N K"] | None) -> Float[Tensor, "N v"]:
        return self.second(self.first(h, action))


class Position(nn.Module):
    """Tables 5 and 8, q(q_t | x_t, u)."""

    def __init__(self, features: int, hidden: int, v: int, out: int, actions: int) -> None:
        super().__init__()
        self.frame = Frame(features, hidden, v, actions)
        self.head = GaussianHead(v, out)

    def forward(self, h: Float[Tensor, "B h"], action: Float[Tensor, "B K"] | None) -> Gaussian:
        return self.head(self.frame(h, action))


class Momentum(nn.Module):
    """Tables 5 and 8, q(p_t | x_{t-w:t}, u)."""

    def __init__(self, features: int, hidden: int, v: int, out: int, actions: int, window: int) -> None:
        super().__init__()
        self.frame = Frame(features, hidden, v, actions)
        self.tcn = nn.Conv1d(v, v, window)
        self.head = GaussianHead(v, out)

    def forward(self, h: Float[Tensor, "B w h"], action: Float[Tensor, "B K"] | None) -> Gaussian:
        every = None if action is None else action.repeat_interleave(h.shape[1], dim=0)
        v = self.frame(h.flatten(0, 1), every).unflatten(0, h.shape[:2])
        return self.head(self.tcn(v.mT)[..., 0])


class Decoder(nn.Module):
    """Tables 4 and 7: a layer that is linear in content and positions, then `layers` on every frame by itself."""

    def __init__(self, first: StateInput, layers: nn.Module) -> None:
        super().__init__()
        self.first, self.layers = first, layers

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T C H W"]:
        return self.layers(self.first(z, q).flatten(0, 1)).unflatten(0, q.shape[:2])


def decoder(
    channels: int, size: tuple[int, int], width: int, features: int, content: int, state: tuple[int, int]
) -> Decoder:
    """Table 4."""
    act = nn.LeakyReLU(LEAK)
    hidden, grid = 2 * features, (width, size[0] // 8, size[1] // 8)
    layers = nn.Sequential(
        nn.BatchNorm1d(hidden),
        act,
        linear(hidden, grid[0] * grid[1] * grid[2], act),
        nn.Unflatten(1, grid),
        *(transposed(width, width, 2, act) for _ in range(3)),
        transposed(width, channels, 1, nn.Sigmoid()),
    )
    return Decoder(StateInput(content, *state, hidden), layers)


def digit_decoder(
    channels: int, size: tuple[int, int], width: int, features: int, content: int, state: tuple[int, int]
) -> Decoder:
    """Table 7."""
    act = nn.ReLU()
    hidden, grid = 16 * features, (4 * width, size[0] // 4 - 2, size[1] // 4 - 2)
    layers = nn.Sequential(
        nn.BatchNorm1d(hidden),
        act,
        linear(hidden, grid[0] * grid[1] * grid[2], act),
        nn.Unflatten(1, grid),
        nn.Sequential(nn.ConvTranspose2d(4 * width, 4 * width, 3), nn.BatchNorm2d(4 * width), act),
        transposed(4 * width, 2 * width, 2, act),
        transposed(2 * width, width, 2, act),
        transposed(width, channels, 1, nn.Sigmoid()),
    )
    return Decoder(StateInput(content, *state, hidden), layers)
