"""Stand-in handwritten digits, drawn by code: a pen follows curves through a few points that each hand moves a little.

Glyph number n shows the digit n modulo 10. All about it is a function of n: which of its digit's forms, how its points
wobble, slant, turn, proportions, size, and the width of the pen. As in MNIST, white ink lies within the middle 20 x 20
pixels of 28 x 28 (plus the pen).
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.draws import integers, uniform

SIDE = 28
"""Of the picture, in pixels."""
DOTS = 84
"""Places of the pen along a digit; neighbours are less than a pixel apart."""
SEED = 1
CHUNK = 32
"""Glyphs drawn at once, which bounds the memory."""

Stroke = tuple[int, ...]
Form = tuple[tuple[tuple[float, float], ...], tuple[Stroke, ...]]

# (x right, y down) in a box of 2 x 2, and the strokes as numbers of points. Where a stroke ends on a point at which
# another begins there is a corner.
FORMS: tuple[tuple[int, Form], ...] = (
    (0, (((0.1, -1), (-0.55, -0.6), (-0.65, 0.2), (-0.2, 0.95), (0.4, 0.75), (0.65, 0), (0.45, -0.75), (0, -1)),
         ((0, 1, 2, 3, 4, 5, 6, 7),))),
    (0, (((0.35, -0.85), (-0.35, -0.85), (-0.75, 0), (-0.4, 0.85), (0.35, 0.9), (0.75, 0.1), (0.5, -0.7), (0.1, -0.95)),
         ((0, 1, 2, 3, 4, 5, 6, 7),))),
    (1, (((0, -1), (0, -0.3), (0, 0.4), (0, 1)), ((0, 1, 2, 3),))),
    (1, (((-0.35, -0.6), (0.1, -1), (0.08, -0.2), (0.05, 0.4), (0, 1)), ((0, 1), (1, 2, 3, 4)))),
    (1, (((-0.35, -0.6), (0.05, -1), (0.05, 0), (0.05, 0.95), (-0.4, 0.95), (0.5, 0.95)), ((0, 1), (1, 2, 3), (4, 5)))),
    (2, (((-0.6, -0.6), (-0.2, -0.95), (0.35, -0.85), (0.5, -0.35), (0, 0.3), (-0.65, 0.9), (0, 0.9), (0.7, 0.85)),
         ((0, 1, 2, 3, 4, 5), (5, 6, 7)))),
    (2, (((-0.6, -0.55), (-0.1, -1), (0.45, -0.7), (0.3, -0.05), (-0.3, 0.65), (-0.65, 0.75), (-0.4, 0.5), (0.1, 0.8),
          (0.75, 0.9)), ((0, 1, 2, 3, 4, 5, 6, 7, 8),))),
    (3, (((-0.5, -0.75), (0, -1), (0.5, -0.65), (0.3, -0.2), (-0.1, -0.05), (0.4, 0.15), (0.55, 0.55), (0.05, 0.95),
          (-0.6, 0.75)), ((0, 1, 2, 3, 4), (4, 5, 6, 7, 8)))),
    (3, (((-0.55, -0.9), (0.5, -0.9), (-0.05, -0.15), (0.45, 0.1), (0.5, 0.6), (0, 0.95), (-0.6, 0.75)),
         ((0, 1), (1, 2), (2, 3, 4, 5, 6)))),
    (4, (((-0.35, -0.9), (-0.5, -0.3), (-0.5, 0.1), (0.05, 0.1), (0.7, 0), (0.45, -0.85), (0.35, 0.1), (0.25, 1)),
         ((0, 1, 2), (2, 3, 4), (5, 6, 7)))),
    (4, (((0.3, -1), (-0.2, -0.4), (-0.7, 0.25), (0, 0.3), (0.75, 0.25), (0.3, 0.2), (0.25, 1)),
         ((0, 1, 2), (2, 3, 4), (0, 5, 6)))),
    (5, (((0.6, -0.95), (-0.3, -0.9), (-0.4, -0.1), (0.15, -0.2), (0.55, 0.2), (0.35, 0.8), (-0.15, 0.95), (-0.6, 0.7)),
         ((0, 1), (1, 2), (2, 3, 4, 5, 6, 7)))),
    (5, (((0.65, -0.9), (0, -0.85), (-0.4, -0.6), (-0.4, -0.1), (0.15, -0.05), (0.4, 0.4), (0, 0.85), (-0.6, 0.85)),
         ((0, 1, 2, 3, 4, 5, 6, 7),))),
    (6, (((0.4, -0.95), (-0.2, -0.5), (-0.5, 0.2), (-0.3, 0.85), (0.25, 0.9), (0.5, 0.5), (0.15, 0.1), (-0.4, 0.4)),
         ((0, 1, 2, 3, 4, 5, 6, 7),))),
    (6, (((0.1, -1), (-0.3, -0.2), (-0.4, 0.5), (0, 0.95), (0.4, 0.65), (0.2, 0.25), (-0.35, 0.5)),
         ((0, 1, 2, 3, 4, 5, 6),))),
    (7, (((-0.6, -0.85), (0, -0.9), (0.6, -0.9), (0.25, -0.1), (0, 0.95)), ((0, 1, 2), (2, 3, 4)))),
    (7, (((-0.6, -0.6), (-0.45, -0.9), (0.6, -0.85), (0.25, 0), (0.05, 0.95), (-0.2, 0.1), (0.6, 0)),
         ((0, 1), (1, 2), (2, 3, 4), (5, 6)))),
    (8, (((0.45, -0.75), (-0.05, -1), (-0.4, -0.6), (0, -0.1), (0.4, 0.4), (0.05, 0.95), (-0.4, 0.6), (-0.05, 0.05),
          (0.4, -0.5), (0.4, -0.8)), ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9),))),
    (8, (((0, -1), (-0.45, -0.55), (0, -0.1), (0.45, -0.55), (0.05, -1), (0, -0.1), (-0.55, 0.45), (0, 0.95),
          (0.55, 0.45), (0.05, -0.1)), ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)))),
    (9, (((0.45, -0.6), (0, -0.95), (-0.45, -0.55), (-0.15, -0.1), (0.4, -0.4), (0.45, -0.6), (0.4, 0.2), (0.3, 1)),
         ((0, 1, 2, 3, 4, 5), (5, 6, 7)))),
    (9, (((0.5, -0.7), (-0.1, -0.9), (-0.5, -0.35), (0.05, -0.1), (0.5, -0.7), (0.4, 0.2), (0.1, 0.8), (-0.4, 0.9)),
         ((0, 1, 2, 3, 4), (4, 5, 6, 7)))),
)  # fmt: skip


def spline(knots: int, count: int) -> Float[Tensor, "count knots"]:
    """Weights of the knots at `count` even places of the Catmull-Rom curve through them; a line where there are two."""
    place = torch.linspace(0, knots - 1, count, dtype=torch.float64)
    first = place.long().clamp(max=knots - 2)
    t = (place - first)[:, None]
    powers = torch.cat([torch.ones_like(t), t, t**2, t**3], dim=1)
    rows = [[0, 1, 0, 0], [-0.5, 0, 0.5, 0], [1, -2.5, 2, -0.5], [-0.5, 1.5, -1.5, 0.5]]
    weight = powers @ torch.tensor(rows, dtype=torch.float64)
    # The ends have no neighbour beyond: reflected, 2 p0 - p1, so that the curve starts straight on.
    full = torch.zeros(count, knots + 2, dtype=torch.float64)
    full.scatter_add_(1, first[:, None] + torch.arange(4), weight)
    inner = full[:, 1:-1].clone()
    inner[:, 0] += 2 * full[:, 0]
    inner[:, 1] -= full[:, 0]
    inner[:, -1] += 2 * full[:, -1]
    inner[:, -2] -= full[:, -1]
    return inner


@lru_cache(maxsize=1)
def forms() -> tuple[Float[Tensor, "F K 2"], Float[Tensor, "F P K"], Int[Tensor, "10 V"]]:
    """Points of every form, the weights that make the pen's places of them, and the forms of each digit, repeated."""
    most = max(len(points) for _, (points, _) in FORMS)
    knots, weights = torch.zeros(len(FORMS), most, 2).double(), torch.zeros(len(FORMS), DOTS, most).double()
    for number, (_, (points, strokes)) in enumerate(FORMS):
        knots[number, : len(points)] = torch.tensor(points, dtype=torch.float64)
        length = torch.tensor([(knots[number, list(s)].diff(dim=0)).norm(dim=-1).sum().item() for s in strokes])
        ends = (length.cumsum(0) / length.sum() * DOTS).round().long().tolist()
        for stroke, start, end in zip(strokes, [0, *ends], ends, strict=False):
            weights[number, start:end, list(stroke)] = spline(len(stroke), end - start)
    kinds = [[number for number, (digit, _) in enumerate(FORMS) if digit == d] for d in range(10)]
    return knots, weights, torch.tensor([(of * 6)[:6] for of in kinds])


def labels(numbers: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """The digits that these glyphs show."""
    return numbers % 10


def glyphs(numbers: Int[Tensor, " N"]) -> UInt8[Tensor, "N 28 28"]:
    """The glyphs with these numbers, ink 255 on 0, anti-aliased."""
    return torch.cat([draw(part) for part in numbers.split(CHUNK)])


def draw(numbers: Int[Tensor, " N"]) -> UInt8[Tensor, "N 28 28"]:
    """`glyphs` at once: the pen is a disc that covers a pixel as far as its middle lies inside the edge."""
    dots, pen = pen_places(numbers)
    line = torch.arange(SIDE) - (SIDE - 1) / 2
    across, down = (line - dots[..., None]).square().unbind(2)
    # the square of the distance less that of the radius, least over the pen's places: 2 r times the way to the edge
    edge = ((down - pen.square()[..., None])[..., None] + across[..., None, :]).amin(1).flatten(1)
    cover = (0.5 - edge / (2 * pen.mean(-1, keepdim=True))).clamp(0, 1)
    return (255 * cover).round().to(torch.uint8).view(-1, SIDE, SIDE)


def pen_places(numbers: Int[Tensor, " N"]) -> tuple[Float[Tensor, "N P 2"], Float[Tensor, "N P"]]:
    """Where the pen is, from the middle of the picture, and its radius there, in pixels."""
    knots, weights, kinds = forms()
    form = kinds[labels(numbers), integers(SEED, 0, numbers, 1, kinds.shape[1])[:, 0]]
    jitter = uniform(SEED, 1, numbers, 2 * knots.shape[1] * 3).unflatten(1, (-1, 2, 3)).mean(-1) - 0.5
    drawn = weights[form] @ (knots[form] + 0.45 * jitter)
    slant, turn, narrow, size, pen, change, phase = uniform(SEED, 2, numbers, 7).T[:, :, None]
    x, y = drawn.unbind(-1)
    x = (0.75 + 0.4 * narrow) * x - (0.6 * slant - 0.15) * y
    turn = 0.3 * (turn - 0.5)
    drawn = torch.stack([turn.cos() * x - turn.sin() * y, turn.sin() * x + turn.cos() * y], dim=-1)
    low, high = drawn.amin(1, keepdim=True), drawn.amax(1, keepdim=True)
    extent = (high - low).amax(-1, keepdim=True)
    drawn = (drawn - (low + high) / 2) / extent * (15.5 + 2.5 * size)[..., None]
    along = torch.linspace(0, 1, DOTS)
    radius = (0.85 + 0.75 * pen) * (1 + 0.25 * change * torch.cos(6 * along + 6.3 * phase))
    return drawn.float(), radius.float()
