"""A parallel view, from a little above, of a ground that is tiled in metres, and the shadows on it."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TILE, LINE = 0.945, 0.8
"""How bright every second tile and the lines are, as a share of the background."""
CELLS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0)
"""Sides that a tile may have, in metres."""
MOST = 13
"""The most tiles that the picture is wide."""
ELEVATION = math.radians(16)
"""How high above the horizon the camera stands."""
MARGIN = 0.06
"""The share of the picture that is left free around what is seen."""


@dataclass(frozen=True)
class Stage:
    """What is seen, and from where. The camera looks at a point of the ground, (x, z), which may move."""

    size: tuple[int, int]
    """Height and width of the picture, in pixels."""
    azimuth: float
    """Where the camera stands, as an angle about Y from +Z towards +X, in radians."""
    floor: float = 0.0
    """The height of the ground, in metres."""
    middle: float = 0.0
    """The height that is in the middle of the picture, in metres."""
    scale: float = 1.0
    """Pixels per metre."""
    radius: float = 1.0
    """How far the ground reaches from the point looked at, in metres."""

    def axes(self) -> Float[Tensor, "3 3"]:
        """The world's directions of right, up and nearer in the picture, as rows."""
        a, e = self.azimuth, ELEVATION
        right = (math.cos(a), 0.0, -math.sin(a))
        up = (-math.sin(a) * math.sin(e), math.cos(e), -math.cos(a) * math.sin(e))
        near = (math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e))
        return torch.tensor([right, up, near], dtype=torch.float64)

    def pixels(self, points: Float[Tensor, "*P 3"], target: Float[Tensor, " 2"]) -> Float[Tensor, "*P 3"]:
        """Column, row and nearness of points, in pixels, where the camera looks at (x, z) = `target`."""
        centre = torch.tensor([float(target[0]), self.middle, float(target[1])], dtype=torch.float64)
        seen = (points - centre) @ self.axes().T * self.scale
        height, width = self.size
        return torch.stack([width / 2 + seen[..., 0], height / 2 - seen[..., 1], seen[..., 2]], -1)

    def floor_at(self, places: Float[Tensor, "*P 2"]) -> Float[Tensor, "*P 3"]:
        """The points of the ground at (x, z)."""
        return torch.stack([places[..., 0], torch.full_like(places[..., 0], self.floor), places[..., 1]], -1)

    def cell(self) -> float:
        """The side of a tile, in metres: the least of CELLS of which not too many are seen."""
        return next((cell for cell in CELLS if self.size[1] / self.scale / cell <= MOST), CELLS[-1])

    def ground(self, target: Float[Tensor, " 2"]) -> Float[np.ndarray, "H W"]:
        """How bright the ground is at each pixel, from 0 to 1: tiles and lines that fade out with the distance.

        Every pixel is the picture of one point of the ground, so that its distance to the next line is known in pixels
        and edges are smooth without drawing finer.
        """
        (height, width), cell = self.size, self.cell()
        across = (np.arange(width) + 0.5 - width / 2)[None] / self.scale
        up = (height / 2 - np.arange(height) - 0.5)[:, None] / self.scale
        away = (up + (self.middle - self.floor) * math.cos(ELEVATION)) / math.sin(ELEVATION)
        sin, cos = math.sin(self.azimuth), math.cos(self.azimuth)
        x = float(target[0]) + across * cos - away * sin
        z = float(target[1]) - across * sin - away * cos
        steps = [math.hypot(a, b / math.sin(ELEVATION)) / self.scale for a, b in ((cos, sin), (sin, cos))]
        gaps = [np.abs(v - np.rint(v / cell) * cell) / step for v, step in zip((x, z), steps, strict=True)]
        odd = (np.floor(x / cell) + np.floor(z / cell)) % 2 > 0
        shade = np.where(odd, TILE, 1.0)
        for gap in gaps:
            shade = shade + (LINE - shade) * np.clip(0.4 + 0.3 * max(1.0, height / 256) - gap, 0, 1)
        share = np.clip((self.radius - np.hypot(across, away)) / (0.45 * self.radius), 0, 1)
        return 1 + (shade - 1) * share * share * (3 - 2 * share)


def fitted(
    stage: Stage, points: Float[Tensor, "T N 3"], targets: Float[Tensor, "T 2"], thick: float
) -> tuple[Stage, Float[Tensor, "T 2"]]:
    """The stage and the targets moved and scaled so that all points, and `thick` metres around them, are in view."""
    away = points - replace(stage, floor=0.0).floor_at(targets)[:, None]
    seen = (away @ stage.axes().T)[..., :2].flatten(0, 1)
    low, high = seen.amin(0), seen.amax(0)
    across, up = ((low + high) / 2).tolist()
    half = (high - low) / 2 + thick
    height, width = stage.size
    scale = (1 - MARGIN) / 2 * min(width / float(half[0]), height / float(half[1]))
    aside = across * torch.tensor([math.cos(stage.azimuth), -math.sin(stage.azimuth)], dtype=targets.dtype)
    far = float((away[..., [0, 2]] - aside).norm(dim=-1).max())
    radius = max(0.62 * width / scale, 1.6 * far)
    middle = up / math.cos(ELEVATION)
    return replace(stage, middle=middle, scale=scale, radius=radius), targets + aside
