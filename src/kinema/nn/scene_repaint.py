"""What a warp cannot know, painted over a character that was moved: told by how its parts were moved. Ours.

A limb that swings forward shows its other side, and bares what no frame has shown. Affine parts bring a limb to its
place; what it looks like there is learned. The parts' matrices, about the character's own middles, so that it does not
matter where the character stands, are drawn as a small map, which is laid about the middle of the character as it was
moved. A network sees both, and adds nothing at the beginning.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.maths import affine
from kinema.nn.registration import local
from kinema.nn.scene import SLOPE, Padding
from kinema.nn.scene_pixels import Step, bounded, conv, silent

DRAWN, SIDE = 16, 16
"""Channels and side of the map; it is as large as the canvas."""
UNITS = 256
"""Of each of the layers between the matrices and the map."""
LOUD = 3.0
"""What the matrices' entries beyond the identity, of which most are below .3, are multiplied by."""


class Repaint(nn.Module):
    """A moved character's code, and what is painted on it."""

    def __init__(self, channels: int, parts: int, width: int, padding: Padding, patch: int) -> None:
        """`channels` of a code; `width` of the network on patches of `patch` x `patch`, twice as many where it is
        coarser."""
        super().__init__()
        self.patch = patch
        self.told = nn.Sequential(
            nn.Linear(6 * parts, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, DRAWN * SIDE**2),
            nn.Unflatten(1, (DRAWN, SIDE, SIDE)),
        )
        self.first = conv(channels * patch**2 + DRAWN, width, padding)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode=padding)
        self.middle = nn.Sequential(Step(2 * width, padding), Step(2 * width, padding, 2))
        self.up, self.fine = nn.ConvTranspose2d(2 * width, width, 4, 2, 1), Step(width, padding)
        self.last = silent(conv(width, channels * patch**2, padding))

    def forward(
        self,
        moved: Float[Tensor, "B C H W"],
        theta: Float[Tensor, "B K 2 3"],
        middles: tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2"]],
    ) -> Float[Tensor, "B C H W"]:
        """The code of a character whose middle went from the first to the second place, as its parts were moved."""
        h = functional.pixel_unshuffle(moved, self.patch)
        height, width = h.shape[-2:]
        h = self.first(torch.cat([h, self.drawn(theta, middles, height, width)], 1))
        even = functional.pad(h, (0, width % 2, 0, height % 2))
        coarse = self.middle(self.down(functional.leaky_relu(even, SLOPE)))
        h = h + self.up(functional.leaky_relu(coarse, SLOPE))[..., :height, :width]
        painted = functional.pixel_shuffle(self.last(functional.leaky_relu(self.fine(h), SLOPE)), self.patch)
        return bounded(moved + painted, -1.0, 1.0)

    def drawn(
        self,
        theta: Float[Tensor, "B K 2 3"],
        middles: tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2"]],
        height: int,
        width: int,
    ) -> Float[Tensor, "B D height width"]:
        """The map of the matrices, laid about the second middle."""
        beyond = local(theta, *middles) - affine.identity(1, 1, device=theta.device)
        there = affine.identity(len(theta), device=theta.device).clone()
        there[..., 2] = -middles[1]
        return affine.warp_to(self.told(LOUD * beyond.flatten(1)), there, height, width)
