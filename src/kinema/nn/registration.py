"""Bringing one map over another: where a character is, how far two maps differ, and known movements to practise on.

All in the canvas units and the convention of `maths.affine`: a matrix maps a point of the output to one of the input.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from kinema.maths import affine

COARSER = (1, 2, 4, 8)
"""Sides of the squares whose means are compared, in places of a map."""
LEAST = 1e-6
ROUNDS = 3
"""Of bringing maps to meet their mean."""
SOME = 64
"""Maps of which the transforms are held at once."""
SEEN = 0.002
"""Share of the canvas that must be covered for a character to count as seen."""
NEAR = 0.3
"""Half of the movements that are practised are shifts by at most so much, in canvas units, right and down each."""
FAR = 0.6
"""The other half leads anywhere within so much of the canvas's middle, on each axis."""
STRETCH = 0.03
"""Standard deviation of what a practised movement has beyond a turn and a shift, in each entry of its 2 x 2 part."""


def centre(outline: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 2"]:
    """The middle (x, y) of an outline, in canvas units: the mean place, weighted; that of the canvas where it is 0."""
    weight = outline[:, 0].clamp_min(0)
    height, width = weight.shape[-2:]
    x, y = ((2 * torch.arange(n, device=weight.device, dtype=weight.dtype) + 1) / n - 1 for n in (width, height))
    total = weight.sum((1, 2)).clamp_min(LEAST)
    return torch.stack([weight.sum(1) @ x, weight.sum(2) @ y], 1) / total[:, None]


def whole_middle(outline: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 2"]:
    """The middle of an outline, which does not learn from it, to whole places from the canvas's middle, so that moving
    it there blurs nothing."""
    height, width = outline.shape[-2:]
    place = affine.shift_to_pixels(centre(outline.detach()), height, width).round()
    return affine.shift_to_canvas(place, height, width)


@torch.no_grad()
def displacement(first: Float[Tensor, "#B C H W"], second: Float[Tensor, "#B C H W"]) -> Float[Tensor, "B 2"]:
    """How far the first maps have to be moved to meet the second best, in canvas units, by whole places.

    The greatest sum of products at one shift for all channels, which is the least sum of squares where nothing leaves
    the canvas; all shifts at once by Fourier transforms of twice the sides. What does not change its pose, most of a
    body, settles it, whatever a limb does; a middle goes along with the limb.
    """
    height, width = first.shape[-2:]
    sides = (2 * height, 2 * width)
    one, two = (torch.fft.rfft2(maps.float(), s=sides) for maps in (first, second))
    best = torch.fft.irfft2((one.conj() * two).sum(1), s=sides).flatten(1).argmax(1)
    shift = torch.stack([best % sides[1], best // sides[1]], 1)
    size = torch.tensor([width, height], device=shift.device)
    return affine.shift_to_canvas(torch.where(shift >= size, shift - 2 * size, shift).float(), height, width)


def centred(maps: Float[Tensor, "B C H W"], place: Float[Tensor, "B 2"]) -> Float[Tensor, "B C H W"]:
    """Maps, that place brought to the canvas's middle."""
    return affine.warp(maps, affine.from_parts(place.new_zeros(len(place)), place))


def congealed(maps: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "C H W"]]:
    """Maps, each moved by whole places to where it meets the mean of all best, and that mean; a few rounds of it
    (congealing: Learned-Miller 2006)."""
    for _ in range(ROUNDS):
        mean = maps.mean(0, keepdim=True)
        maps = torch.cat([centred(some, displacement(mean, some)) for some in maps.split(SOME)])
    return maps, maps.mean(0)


def crop(
    maps: Float[Tensor, "B C H W"], middle: Float[Tensor, "B 2"], share: float, side: int
) -> Float[Tensor, "B C side side"]:
    """The square about a place that spans `share` of the canvas, as `side` x `side` places, each the mean of what lies
    there as nearly as whole squares of places can tell; zero beyond the edges."""
    inside = max(1, round(share * min(maps.shape[-2:]) / side))
    maps = functional.avg_pool2d(maps, inside) if inside > 1 else maps
    scale = (share * torch.eye(2, dtype=maps.dtype, device=maps.device)).expand(len(maps), 2, 2)
    return affine.warp_to(maps, torch.cat([scale, middle[..., None]], -1), side, side)


def about(
    local: Float[Tensor, "B K 2 3"], first: Float[Tensor, "B 2"], second: Float[Tensor, "B 2"]
) -> Float[Tensor, "B K 2 3"]:
    """A transformation between pictures cropped about `first` (input) and `second` (output), for the whole canvas."""
    linear = local[..., :2]
    shift = first[:, None] + local[..., 2] - (linear @ second[:, None, :, None])[..., 0]
    return torch.cat([linear, shift[..., None]], -1)


def local(
    theta: Float[Tensor, "B K 2 3"], first: Float[Tensor, "B 2"], second: Float[Tensor, "B 2"]
) -> Float[Tensor, "B K 2 3"]:
    """What `about` was given: the transformation between pictures cropped about `first` (input) and `second`."""
    return about(theta, -first, -second)


def pyramid_error(moved: Float[Tensor, "B C H W"], target: Float[Tensor, "B C H W"]) -> Float[Tensor, ""]:
    """Squared difference relative to the target's square, the mean over `COARSER` averages.

    Coarse averages tell which way to go where fine lines do not meet yet (as in coarse-to-fine registration).
    """
    errors = []
    for side in COARSER:
        a, b = (functional.avg_pool2d(maps, side) if side > 1 else maps for maps in (moved, target))
        errors.append((a - b).square().mean() / b.square().mean().clamp_min(LEAST))
    return torch.stack(errors).mean()


def practice(
    outline: Float[Tensor, "B 1 H W"], turn: float
) -> tuple[Float[Tensor, "B 2 3"], Float[Tensor, "B 2"], Bool[Tensor, " B"]]:
    """Random movements of what is seen: the matrices, where they lead to, and whether there is anything to move.

    Turns are products of two uniform draws, at most `turn` degrees, so small ones come more often.
    """
    count, device = len(outline), outline.device
    first = centre(outline)
    near = first + NEAR * (2 * torch.rand(count, 2, device=device) - 1)
    far = FAR * (2 * torch.rand(count, 2, device=device) - 1)
    second = torch.where(torch.rand(count, 1, device=device) < 0.5, near, far).clamp(-0.8, 0.8)
    angle = math.radians(turn) * (2 * torch.rand(count, device=device) - 1) * torch.rand(count, device=device)
    local = affine.from_parts(angle, torch.zeros(count, 2, device=device))
    stretch = STRETCH * torch.randn(count, 2, 2, device=device)
    local = torch.cat([local[..., :2] + stretch, local[..., 2:]], -1)
    seen = outline.mean((1, 2, 3)) > SEEN
    return about(local[:, None], first, second)[:, 0], second, seen


def landing_error(
    theta: Float[Tensor, "B K 2 3"], truth: Float[Tensor, "B 2 3"], at: Float[Tensor, "B 2"]
) -> Float[Tensor, " B"]:
    """How far a transformation goes astray near a place of the output, in squared canvas units, the mean over parts.

    The error of the place itself, and a tenth of the squared error of the 2 x 2 part: that of points about .3 away.
    """
    off = theta - truth[:, None]
    place = (off[..., :2] @ at[:, None, :, None])[..., 0] + off[..., 2]
    return (place.square().sum(-1) + 0.1 * off[..., :2].square().sum((-1, -2))).mean(1)
