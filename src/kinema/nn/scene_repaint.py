"""What a warp cannot know, painted on a character that was moved: a linear map whose gains the movement tells. Ours.

A limb that swings forward shows its other side, and bares what no frame has shown. Affine parts bring a limb to its
place; what it looks like there is learned. From one pose to another a picture of who wears what is nearly linear: a
sleeve becomes that sleeve elsewhere, whoever wears it. So features of the picture, each with a gain, are painted back
(a bilinear map of low rank: Tenenbaum and Freeman 2000; Memisevic and Hinton 2010), and the gains are read from how the
parts move beyond what the first of them, the body, does. Where all do the same, nothing is painted.

The map is one for all channels, as a warp is: a sleeve goes where it goes in any colour. It leads between coordinates,
not pixels: a channel of any character is nearly a sum of channels that training has seen, whose span has fewer
dimensions. An orthonormal basis of it leaves distances as they are; with even scales for all coordinates, as
components of unit variance have, the map takes twice the steps. Characters are compared from the place
where they meet the mean of all best, not from their own middles: these differ by a pixel or two with hair and arms, and
then so does what is learned (docs/papers/renderer.md).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths import affine
from kinema.nn.registration import centred, congealed, displacement, local, whole_middle
from kinema.nn.scene import SLOPE
from kinema.nn.scene_pixels import bounded

UNITS = 256
"""Of each of the layers between the matrices and the gains."""
LOUD = 3.0
"""What the matrices' entries beyond the identity, of which most are below .3, are multiplied by."""
LEAST = 1e-2
"""A movement that shrinks some direction to less is taken for one that cannot be undone."""


class Repaint(nn.Module):
    """A character as it stood and as its parts were moved, to the latter with what is painted on it."""

    components: Tensor
    """The characters that were met, as they are, channel by channel; once there are enough, an orthonormal basis of
    their channels' span."""
    met: Tensor
    """How many there are."""
    usual: Tensor
    """Their mean, once there are enough; where it meets a character best is the place from which that is seen."""

    def __init__(self, channels: int, parts: int, rank: int, components: int, size: tuple[int, int]) -> None:
        """`channels` of a code as large as `size`, `rank` of the map, `components`: characters that it knows a code by.

        No more of these are met than have channels for all places, for then they span everything.
        """
        super().__init__()
        places = size[0] * size[1]
        self.count = min(components, places // channels)
        count = channels * self.count
        self.register_buffer("components", torch.zeros(count, places))
        self.register_buffer("met", torch.tensor(0))
        self.register_buffer("usual", torch.zeros(channels, *size))
        self.features, self.painted = nn.Linear(count, rank, bias=False), nn.Linear(rank, count, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels, rank))
        nn.init.zeros_(self.painted.weight)
        self.gains = nn.Sequential(
            nn.Linear(6 * parts, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, rank, bias=False),
        )

    @torch.no_grad()
    def meet(self, character: Float[Tensor, "B C H W"], outline: Float[Tensor, "B 1 H W"]) -> bool:
        """Get to know characters, the first so many; whether enough are known. Until then nothing is painted."""
        met = int(self.met)
        more = centred(character, whole_middle(outline))[: self.count - met]
        self.components.view(self.count, -1)[met : met + len(more)] = more.flatten(1)
        self.met += len(more)
        if len(more) and met + len(more) == self.count:
            placed, usual = congealed(self.components.view(-1, *self.usual.shape))
            self.usual.copy_(usual)
            self.components.copy_(torch.linalg.qr(placed.flatten(0, 1).flatten(1).mT)[0].mT)
        return met + len(more) == self.count

    def forward(
        self, character: Float[Tensor, "B C H W"], moved: Float[Tensor, "B C H W"], theta: Float[Tensor, "B K 2 3"]
    ) -> Float[Tensor, "B C H W"]:
        """`moved`, painted on. `character` is from before the movement."""
        first = displacement(self.usual[None], character)
        theta = undoable(theta)
        back = affine.invert(theta[:, 0])
        second = (back[..., :2] @ first[..., None])[..., 0] + back[..., 2]
        about = local(theta, first, second)
        shared = affine.similarity(about[:, 0])
        # What the parts do before the movement that the first makes.
        own = affine.compose(about, affine.invert(shared)[:, None].expand_as(about))
        told = LOUD * (own - affine.identity(1, 1, device=theta.device)).flatten(1)
        gains = self.gains(told) - self.gains(torch.zeros_like(told[:1]))
        here = centred(character, first).flatten(2) @ self.components.mT
        known = self.met == self.count
        changed = self.painted(gains[:, None] * (self.features(here) + self.bias))
        painted = (known * changed @ self.components).view_as(moved)
        there = affine.compose(shared, affine.from_parts(second.new_zeros(len(second)), -second))
        return bounded(moved + affine.warp(painted, there), -1.0, 1.0)


def undoable(theta: Float[Tensor, "B K 2 3"]) -> Float[Tensor, "B K 2 3"]:
    """The matrices, and the identity for all parts, of which nothing is painted, where the first has no inverse: a
    mirror, or everybody shrunk to a line."""
    first = theta[:, 0]
    least = affine.parts(torch.stack([first, affine.similarity(first)]))[2].amin((0, 2))
    return torch.where((least > LEAST)[:, None, None, None], theta, affine.identity(1, 1, device=theta.device))
