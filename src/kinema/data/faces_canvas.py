"""What faces are drawn on and of: a canvas that soft-edged shapes are laid over, and what a person looks like.

The picture is [-1, 1] to the right (x) and down (y), whatever its size; lengths are in these units. Muscles are the
action units of the Facial Action Coding System (Ekman and Friesen 1978), each from 0, at rest, to about 1.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 25, 26, 43)
"""The action units: inner brow raiser, outer brow raiser, brow lowerer, upper lid raiser, cheek raiser, lid tightener,
nose wrinkler, upper lip raiser, lip corner puller, lip corner depressor, chin raiser, lip stretcher, lip tightener,
lips part, jaw drop, eyes closing."""
STYLES = ("short", "bob", "long", "curly", "bun")
"""Ways to wear the hair."""


@dataclass(frozen=True, eq=False)
class Look:
    """What B people look like; numbers are lengths unless said otherwise."""

    skin: Float[Tensor, "B 3"]
    hair: Float[Tensor, "B 3"]
    iris: Float[Tensor, "B 3"]
    shirt: Float[Tensor, "B 3"]
    style: Int[Tensor, " B"]
    """Which of `STYLES`."""
    beard: Int[Tensor, " B"]
    """0: none, 1: moustache, 2: full beard."""
    head: Float[Tensor, "B 4"]
    """Half the width; from the middle up to the crown and down to the chin; how angular (2 is an ellipse)."""
    narrow: Float[Tensor, " B"]
    """By what share the head is narrower at the chin."""
    eyes: Float[Tensor, "B 3"]
    """From the middle to an eye, half its width, and how open it is at rest (a factor near 1)."""
    brow: Float[Tensor, "B 2"]
    """Thickness, and how far it arches."""
    nose: Float[Tensor, "B 2"]
    """Half the width, and how much longer than usual."""
    mouth: Float[Tensor, "B 2"]
    """Half the width, and the thickness of the lips."""
    skew: Float[Tensor, "B 2"]
    """By what share the right side of the picture moves more than the left: brows, mouth."""

    def pick(self, rows: Tensor | slice) -> "Look":
        """The people of these rows."""
        return Look(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class Face:
    """The canvas with its grid, and the muscles by number."""

    def __init__(self, look: Look, units: Float[Tensor, "B T A"], size: int) -> None:
        self.look, self.size, self.pixel = look, size, 2 / size
        line = (torch.arange(size, device=units.device) + 0.5) * self.pixel - 1
        self.x, self.y = line[None, :], line[:, None]
        self.side, self.far = line.sign()[None, :], line.abs()[None, :]
        self.units = {number: units[..., i, None, None] for i, number in enumerate(UNITS)}
        self.skin, self.hair = look.skin, look.hair
        self.canvas, self.rim = torch.empty(0), torch.empty(0)

    def __getitem__(self, number: int) -> Float[Tensor, "B T 1 1"]:
        return self.units[number]

    def of(self, name: str, column: int = 0) -> Float[Tensor, "B 1 1 1"]:
        """One number of the look."""
        value = getattr(self.look, name)
        return (value if value.ndim == 1 else value[:, column]).float().view(-1, 1, 1, 1)

    def soft(self, inside: Tensor, edge: float = 1.0) -> Tensor:
        """Cover of a place that lies so far inside a shape: the edge is `edge` pixels wide."""
        return (inside / (edge * self.pixel) + 0.5).clamp_(0, 1)

    def rows(self, top: float, bottom: float) -> tuple[slice, Tensor]:
        """The rows of the picture from `top` to `bottom`, and their y."""
        rows = slice(max(0, int((top + 1) / self.pixel)), min(self.size, int((bottom + 1) / self.pixel) + 2))
        return rows, self.y[rows]

    def paint(self, cover: Tensor, colour: Tensor | tuple[float, float, float], rows: slice = slice(None)) -> None:
        """Lay a colour (3,) or (B, 3) over the canvas as far as `cover` (B, T, H, W) says."""
        shade = torch.as_tensor(colour, dtype=cover.dtype, device=cover.device)
        shade = shade.view(-1, 1, 3, 1, 1) if shade.ndim > 1 else shade.view(3, 1, 1)
        part = self.canvas[:, :, :, rows]
        part.lerp_(shade, cover.clamp(0, 1).expand(part.shape[0], part.shape[1], -1, -1)[:, :, None])

    def line(self, y: Tensor, curve: Tensor, thick: Tensor | float, within: Tensor) -> Tensor:
        """Cover of a stroke along y = curve(x), fading where `within` is negative."""
        return self.soft(thick / 2 - (y - curve).abs()) * within.clamp(0, 1)


def ellipse(x: Tensor, y: Tensor, across: Tensor | float, down: Tensor | float) -> Tensor:
    """How far inside an upright ellipse about (0, 0) a place lies; near its edge a distance."""
    x = x + 1e-6  # the formula is 0 / 0 in the very middle
    near = ((x / across).square() + (y / down).square()).sqrt()
    return (1 - near) * (near * across * down / ((x / across * down).square() + (y / down * across).square()).sqrt())


def dark(colour: Tensor, by: float) -> Tensor:
    """A colour so much darker, and a little warmer."""
    return colour * torch.tensor([1 - by, 1 - 1.15 * by, 1 - 1.1 * by], device=colour.device)


def light(colour: Tensor) -> Tensor:
    """A colour a quarter of the way to white."""
    return colour + 0.25 * (1 - colour)
