"""Shapes drawn as whole pixels: signed distances into a map of palette numbers, without antialiasing.

A palette number is 0 where nothing is, else ``1 + SHADES * material + shade``, the shade being one of four.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.data.figure import CELL

OUTLINE, DARK, BASE, LIGHT = range(4)
SHADES = 4
LIGHT_FROM = (-0.45, -0.89)
"""Direction to the light on the picture: above, a little to the left."""


@dataclass(frozen=True)
class Capsule:
    """A limb: a line from `a` to `b` with round ends, of radius `r` at `a` and `s` at `b`."""

    a: Float[Tensor, "N 2"]
    b: Float[Tensor, "N 2"]
    r: float
    s: float
    material: int

    def field(self, grid: Float[Tensor, "H W 2"]) -> tuple[Tensor, Tensor]:
        """Signed distance to the edge, negative inside, and the offset from the middle, 1 at the edge."""
        a, axis = self.a[:, None, None], (self.b - self.a)[:, None, None]
        along = ((grid - a) * axis).sum(-1) / axis.square().sum(-1).clamp(min=1e-6)
        along = along.clamp(0, 1)
        offset = grid - a - along[..., None] * axis
        radius = self.r + (self.s - self.r) * along
        return offset.norm(dim=-1) - radius, offset / radius[..., None]


@dataclass(frozen=True)
class Ellipse:
    """An upright ellipse."""

    centre: Float[Tensor, "N 2"]
    radii: tuple[float, float]
    material: int

    def field(self, grid: Float[Tensor, "H W 2"]) -> tuple[Tensor, Tensor]:
        radii = torch.tensor(self.radii, dtype=grid.dtype, device=grid.device)
        offset = (grid - self.centre[:, None, None]) / radii
        near = offset.norm(dim=-1)
        return near * (near - 1) / (offset / radii).norm(dim=-1).clamp(min=1e-6), offset


@dataclass(frozen=True)
class Polygon:
    """A convex polygon, its corners in order, either way round."""

    corners: Float[Tensor, "N K 2"]
    material: int

    def field(self, grid: Float[Tensor, "H W 2"]) -> tuple[Tensor, Tensor]:
        edge = self.corners.roll(-1, dims=1) - self.corners
        following = edge.roll(-1, dims=1)
        area = (edge[..., 0] * following[..., 1] - edge[..., 1] * following[..., 0]).sum(1)
        normal = torch.stack([edge[..., 1], -edge[..., 0]], dim=-1) * area.sign()[:, None, None]
        normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        level = (normal * self.corners).sum(-1)
        distance = ((grid[:, :, None] * normal[:, None, None]).sum(-1) - level[:, None, None]).amax(-1)
        # Cloth that hangs is round across, not down: only the way across turns from the light.
        middle = self.corners[..., 0].mean(1)[:, None, None]
        reach = (self.corners[..., 0].amax(1)[:, None, None] - middle).clamp(min=1e-6)
        across = (grid[..., 0] - middle) / reach
        return distance, torch.stack([across, torch.zeros_like(across)], dim=-1)


Shape = Capsule | Ellipse | Polygon


@dataclass(frozen=True)
class Piece:
    """Shapes with one common outline, and what is painted on them: colours that keep the light and shade."""

    shapes: Sequence[Shape]
    paint: Sequence[Shape] = field(default_factory=tuple)
    """Changes the material where the shapes are."""
    shown: Tensor | None = None
    """In which of the N pictures it is there (N,); None for all."""


def pixels(size: int, device: torch.device | None = None) -> Float[Tensor, "H W 2"]:
    """The middle of every pixel of a cell of `size` pixels, in figure units."""
    line = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (CELL / size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)


def shade(distance: Tensor, offset: Tensor, material: int, pixel: float) -> Tensor:
    """Palette numbers of one shape, by how its surface is turned to the light and how near its edge is."""
    lit = offset[..., 0] * LIGHT_FROM[0] + offset[..., 1] * LIGHT_FROM[1]
    level = BASE + (lit > 0.5).byte() - (lit < -0.55).byte()
    # Small figures have their outline on the shaded side only: all round it would leave no colour in a thin limb.
    edge = distance > -min(pixel, 1.6)
    edge &= lit < (1.0 if pixel < 1.5 else -0.2)
    return torch.where(edge, OUTLINE, level).byte() + (1 + SHADES * material)


def draw(canvas: UInt8[Tensor, "N H W"], pieces: Sequence[Piece]) -> UInt8[Tensor, "N H W"]:
    """Draw the pieces one over another on `canvas`, in place."""
    size = canvas.shape[-1]
    grid, pixel = pixels(size, canvas.device), CELL / size
    for piece in pieces:
        fields = [shape.field(grid) for shape in piece.shapes]
        nearest = torch.stack([distance for distance, _ in fields]).amin(0)
        numbers = torch.zeros_like(canvas)
        for shape, (distance, offset) in zip(piece.shapes, fields, strict=True):
            numbers = torch.where(distance <= nearest, shade(nearest, offset, shape.material, pixel), numbers)
        inside = nearest < 0
        if piece.shown is not None:
            inside = inside & piece.shown[:, None, None]
        canvas[inside] = numbers[inside]
        for shape in piece.paint:
            marked = inside & (shape.field(grid)[0] < 0)
            canvas[marked] = (canvas[marked] - 1) % SHADES + (1 + SHADES * shape.material)
    return canvas
