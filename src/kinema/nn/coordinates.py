"""Frames in the coordinates of their own principal components: a fixed change of basis, of no loss that is not counted.

Pictures of figures that stand in one place span few dimensions: a few hundred components of the training frames hold
them to 40 dB. In these coordinates a network needs no layer as wide as a picture, and training needs no pictures at
all: distances there are distances between pixels. What lies outside the components is kept as one more coordinate, its
length, which a decoder leaves at zero; so the squared error of a frame is exact.

Figures are drawn on black, and between black and the darkest pixel that was ever drawn there is nothing. What a sum of
components shows there is error, which the eye and SSIM see on black although it is small: it is taken for black.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

MOST, EACH = 4096, 4
"""Training frames that the components are computed from: so many for each component, and at most so many."""


class Coordinates(nn.Module):
    """mean + sum_i c_i component_i, components orthonormal; buffers, saved with the model.

    With `apart` every channel is a picture of its own, with the same mean and components: what moves moves alike in
    all of them, and colours that training has not seen are none the farther. A frame's coordinates are then those of
    its channels, one after the other.
    """

    mean: Tensor
    components: Tensor
    spread: Tensor
    least: Tensor
    """The brightest channel of the darkest pixel that is not black, in training; 0 where no pixel is black."""

    def __init__(self, shape: tuple[int, int, int], count: int, apart: bool = False) -> None:
        """`count` components of frames (C, H, W), or of channels (H, W)."""
        super().__init__()
        self.channels = shape[0] if apart else 1
        size = math.prod(shape) // self.channels
        self.shape, self.count = shape, count * self.channels
        # Before `fit`, some of the pixels.
        self.register_buffer("mean", torch.full((size,), 0.5))
        self.register_buffer("components", functional.one_hot(torch.linspace(0, size - 1, count).long(), size).float())
        self.register_buffer("spread", torch.ones(self.count))
        self.register_buffer("least", torch.tensor(0.0))

    @torch.no_grad()
    def fit(self, frames: Float[Tensor, "N C H W"]) -> None:
        """Take the principal components of these frames, those of greatest variance; fewer frames leave zeros."""
        x = frames.flatten(1).unflatten(1, (self.channels, -1)).flatten(0, 1)
        self.mean.copy_(x.mean(0))
        brightest = frames.amax(1)
        drawn = brightest[brightest > 0]
        self.least.copy_(drawn.min() if 0 < len(drawn) < brightest.numel() else torch.tensor(0.0))
        apart = (x - self.mean).double()
        few = len(apart) <= apart.shape[1]  # the smaller of the two matrices has the same eigenvalues
        values, vectors = torch.linalg.eigh(apart @ apart.mT if few else apart.mT @ apart)
        known = int((values > 1e-9 * values[-1]).sum().clamp(max=len(self.components)))
        values, vectors = values.flip(0)[:known], vectors.flip(1)[:, :known]
        self.components.zero_()
        self.spread.fill_(1.0)
        self.components[:known] = (apart.mT @ vectors / values.sqrt() if few else vectors).mT
        self.spread.view(self.channels, -1)[:, :known] = (values / len(x)).sqrt().float()

    def enter(self, frames: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B n"]:
        """The coordinates of frames, and last the length of what lies outside."""
        apart = frames.flatten(-3).unflatten(-1, (self.channels, -1)) - self.mean
        known = (apart @ self.components.mT).flatten(-2)
        outside = (apart.square().sum((-2, -1)) - known.square().sum(-1)).clamp(min=0).sqrt()
        return torch.cat([known, outside[..., None]], dim=-1)

    def leave(self, coordinates: Float[Tensor, "*B n"]) -> Float[Tensor, "*B C H W"]:
        """The frames at these coordinates, which the last one has no part in, cut to [0, 1]; what is nearer to black
        than to the darkest pixel drawn is black."""
        known = coordinates[..., :-1].unflatten(-1, (self.channels, -1))
        frames = (self.mean + known @ self.components).clamp(0, 1).flatten(-2).unflatten(-1, self.shape)
        return frames * (frames.amax(-3, keepdim=True) >= self.least / 2)

    def middle(self, known: Float[Tensor, "B T n"]) -> Float[Tensor, "B n"]:
        """The mean frame of each clip; the last coordinate, a length and no place, is 0."""
        mean = known.mean(1)
        return torch.cat([mean[:, :-1], torch.zeros_like(mean[:, -1:])], dim=1)


class Plain(nn.Module):
    """No change: the coordinates of a frame are its pixels."""

    def enter(self, frames: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
        return frames

    def leave(self, coordinates: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
        return coordinates

    def middle(self, known: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B C H W"]:
        return known.mean(1)
