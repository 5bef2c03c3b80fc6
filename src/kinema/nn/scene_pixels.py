"""Networks of the renderer that begin by showing what they are given: codes as large as the frame, colours first. Ours.

The first three channels of a code are the frame's own colours, to which a network adds what it has learned: nothing, at
the beginning. So background and decoder together show the frame itself from the first step on, and what is left to
learn is to leave out what moves. As codes have the frame's resolution, warping them moves single pixels. The networks
work on patches, as coarse as speed asks for.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.nn.scene import SLOPE, Padding

COLOURS = 3
LEAK = 0.01
"""Slope of what is bounded beyond its bounds, as a colour beyond black and white, so that it finds its way back."""


def bounded(values: Tensor, least: float, most: float) -> Tensor:
    """The values, of which little is left beyond the bounds."""
    inside = values.clamp(least, most)
    return inside + LEAK * (values - inside)


def silent(layer: nn.Conv2d, but: int = 0) -> nn.Conv2d:
    """The layer, giving zeros until it has learned otherwise, in all but its last `but` channels."""
    with torch.no_grad():
        for weight in (layer.weight, layer.bias):
            if weight is not None:
                weight[: len(weight) - but] = 0
    return layer


def conv(inside: int, outside: int, padding: Padding, spread: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size; its places may lie `spread` apart."""
    return nn.Conv2d(inside, outside, 3, padding=spread, dilation=spread, padding_mode=padding)


class Step(nn.Sequential):
    """Two convolutions beside a path that leaves everything as it is; at the beginning they add nothing."""

    def __init__(self, channels: int, padding: Padding, spread: int = 1) -> None:
        super().__init__(
            nn.LeakyReLU(SLOPE),
            conv(channels, channels, padding, spread),
            nn.LeakyReLU(SLOPE),
            silent(conv(channels, channels, padding)),
        )

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return input + super().forward(input)


def detour(
    h: Float[Tensor, "B C a b"], down: nn.Module, middle: nn.Module, up: nn.Module, fine: nn.Module
) -> Float[Tensor, "B C a b"]:
    """Features, and what half their resolution tells of them; rectified."""
    even = functional.pad(h, (0, h.shape[-1] % 2, 0, h.shape[-2] % 2))
    coarse = middle(down(functional.leaky_relu(even, SLOPE)))
    back = up(functional.leaky_relu(coarse, SLOPE))[..., : h.shape[-2], : h.shape[-1]]
    return functional.leaky_relu(fine(h + back), SLOPE)


class PixelEncoder(nn.Module):
    """Pictures, colours first and around zero, to maps of their own size, of which the first are colours too."""

    def __init__(self, inside: int, width: int, features: int, padding: Padding, patch: int, masks: int = 0) -> None:
        """`inside` channels of the input, `features` of the maps, `width` between, patches of `patch` x `patch`.

        `masks` more channels are not silent at the beginning: masks of parts that begin equal have equal gradients,
        and stay equal for ever.
        """
        super().__init__()
        self.patch, self.more = patch, features + masks - COLOURS
        self.first = conv(inside * patch**2, width, padding)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode=padding)
        self.middle = nn.Sequential(Step(2 * width, padding), Step(2 * width, padding, 2))
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.fine = Step(width, padding)
        self.last = silent(conv(width, (features + masks) * patch**2, padding), but=masks * patch**2)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B C H W"]:
        h = self.first(functional.pixel_unshuffle(x, self.patch))
        learned = self.last(detour(h, self.down, self.middle, self.up, self.fine))
        found = functional.pad(x[:, :COLOURS], (0, 0, 0, 0, 0, self.more)) + functional.pixel_shuffle(
            learned, self.patch
        )
        return torch.cat([bounded(found[:, :COLOURS], -0.5, 0.5), found[:, COLOURS:]], 1)


class PixelDecoder(nn.Module):
    """Maps to pictures, not cut to [0, 1]: their colours, and what a network adds to them."""

    def __init__(self, width: int, features: int, padding: Padding, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.learned = nn.Sequential(
            conv(features * patch**2, width, padding),
            Step(width, padding),
            nn.LeakyReLU(SLOPE),
            silent(conv(width, COLOURS * patch**2, padding)),
        )

    def forward(self, z: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3 H W"]:
        learned = functional.pixel_shuffle(self.learned(functional.pixel_unshuffle(z, self.patch)), self.patch)
        return z[:, :COLOURS] + learned + 0.5
