"""What a warp cannot know, painted on a character that was moved: a linear map whose gains the movement tells. Ours.

A limb that swings forward shows its other side, and bares what no frame has shown. Affine parts bring a limb to its
place; what it looks like there is learned. From one pose to another a picture of who wears what is nearly linear: a
sleeve becomes that sleeve elsewhere, whoever wears it. So features of the picture, each with a gain, are painted back
(a bilinear map of low rank: Tenenbaum and Freeman 2000; Memisevic and Hinton 2010), and the gains are read from how the
parts move beyond the movement that they share. Where they share all of it, nothing is painted.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths import affine
from kinema.nn.registration import centre, local
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

    def __init__(self, channels: int, parts: int, rank: int, size: tuple[int, int]) -> None:
        """`channels` of a code as large as `size`, `rank` of the map."""
        super().__init__()
        count = channels * size[0] * size[1]
        self.features, self.painted = nn.Linear(count, rank), nn.Linear(rank, count, bias=False)
        nn.init.zeros_(self.painted.weight)
        self.gains = nn.Sequential(
            nn.Linear(6 * parts, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, UNITS),
            nn.LeakyReLU(SLOPE),
            nn.Linear(UNITS, rank, bias=False),
        )

    def forward(
        self,
        character: Float[Tensor, "B C H W"],
        moved: Float[Tensor, "B C H W"],
        outline: Float[Tensor, "B 1 H W"],
        theta: Float[Tensor, "B K 2 3"],
    ) -> Float[Tensor, "B C H W"]:
        """`moved`, painted on. `character` and its `outline` are from before the movement."""
        first = whole_pixels(centre(outline.detach()), *outline.shape[-2:])
        theta = undoable(theta)
        back = affine.invert(theta.mean(1))
        second = (back[..., :2] @ first[..., None])[..., 0] + back[..., 2]
        about = local(theta, first, second)
        shared = affine.similarity(about.mean(1))
        # What the parts do before the movement that all share.
        own = affine.compose(about, affine.invert(shared)[:, None].expand_as(about))
        told = LOUD * (own - affine.identity(1, 1, device=theta.device)).flatten(1)
        gains = self.gains(told) - self.gains(torch.zeros_like(told[:1]))
        here = affine.warp(character, translation(first))
        painted = self.painted(gains * self.features(here.flatten(1))).view_as(moved)
        there = affine.compose(shared, translation(-second))
        return bounded(moved + affine.warp(painted, there), -1.0, 1.0)


def undoable(theta: Float[Tensor, "B K 2 3"]) -> Float[Tensor, "B K 2 3"]:
    """The matrices, and the identity for all parts, of which nothing is painted, where what they share has no inverse:
    a mirror, or everybody shrunk to a line."""
    mean = theta.mean(1)
    least = affine.parts(torch.stack([mean, affine.similarity(mean)]))[2].amin((0, 2))
    return torch.where((least > LEAST)[:, None, None, None], theta, affine.identity(1, 1, device=theta.device))


def whole_pixels(place: Float[Tensor, "B 2"], height: int, width: int) -> Float[Tensor, "B 2"]:
    """The nearest place that is a whole number of pixels from the canvas's middle, so that moving it there blurs
    nothing."""
    return affine.shift_to_canvas(affine.shift_to_pixels(place, height, width).round(), height, width)


def translation(shift: Float[Tensor, "B 2"]) -> Float[Tensor, "B 2 3"]:
    """The transformation that shows a place, so far from the canvas's middle, in the middle."""
    return affine.from_parts(shift.new_zeros(len(shift)), shift)
