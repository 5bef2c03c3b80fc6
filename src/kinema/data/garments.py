"""The bodies, garments and hair of `kinema.data.sprites`: their shapes on a posed figure.

Lengths are figure units, places relative to a joint are (right, down).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kinema.data.figure import CELL, DIRECTIONS, View, skeleton
from kinema.data.raster import Capsule, Ellipse, Piece, Polygon, Shape

SKIN, TOP, TRIM, BOTTOM, BOOT, HAIR, EYE, WHITE = range(8)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Figure:
    """The joints on the picture; pairs are (left, right)."""

    view: View
    pelvis: Float[Tensor, "N 2"]
    chest: Float[Tensor, "N 2"]
    head: Float[Tensor, "N 2"]
    hips: Float[Tensor, "N 2 2"]
    knees: Float[Tensor, "N 2 2"]
    ankles: Float[Tensor, "N 2 2"]
    toes: Float[Tensor, "N 2 2"]
    shoulders: Float[Tensor, "N 2 2"]
    elbows: Float[Tensor, "N 2 2"]
    hands: Float[Tensor, "N 2 2"]
    before: Bool[Tensor, "N 2"]
    """Whether the arm is nearer to us than the trunk."""


def pose(action: str, direction: str, times: Float[Tensor, " N"], size: int) -> Figure:
    """The figure doing `action` at `times`, seen from `direction`. Its head moves by whole pixels, as in pixel art."""
    view, body = DIRECTIONS[direction], skeleton(action, times)
    names = ("pelvis", "chest", "head", "hips", "knees", "ankles", "toes", "shoulders", "elbows", "hands")
    places = {name: view.project(getattr(body, name)) for name in names}
    joints = {name: place for name, (place, _) in places.items()}
    step = CELL / size
    joints["head"] = (joints["head"] / step).round() * step
    arm = (places["elbows"][1] + 2 * places["hands"][1]) / 3
    return Figure(view=view, before=arm > places["chest"][1][:, None] - 0.5, **joints)


def at(place: Float[Tensor, "N 2"], right: float | int, down: float | int) -> Float[Tensor, "N 2"]:
    """So much to the right of and below a joint."""
    return place + torch.tensor([right, down], dtype=place.dtype, device=place.device)


@dataclass(frozen=True)
class Top:
    """A garment of the trunk and arms: its colours, and what it covers."""

    cloth: Colour
    trim: Colour
    upper: int
    """Material of the upper arms."""
    fore: int
    """Material of the forearms."""
    hem: float = 2.5
    """How far it hangs below the hips."""
    belt: bool = False
    stripe: bool = False
    """A stripe down the chest."""
    collar: bool = False
    plates: bool = False
    """Shoulder plates."""

    def arms(self, f: Figure, before: bool) -> list[Piece]:
        return [self.arm(f, side, before) for side in (1 - f.view.near, f.view.near)]

    def arm(self, f: Figure, side: int, before: bool) -> Piece:
        shoulder, elbow, hand = f.shoulders[:, side], f.elbows[:, side], f.hands[:, side]
        shapes: list[Shape] = [
            Capsule(shoulder, elbow, 3.1, 2.8, self.upper),
            Capsule(elbow, hand, 2.6, 2.3, self.fore),
            Ellipse(hand, (2.7, 2.7), SKIN),
        ]
        plates = [Ellipse(at(shoulder, 0, -0.5), (4.4, 3.8), TRIM)] if self.plates else []
        return Piece(shapes + plates, shown=f.before[:, side] == before)

    def trunk(self, f: Figure) -> list[Piece]:
        facing = f.view.facing
        wide = 4.7 if facing else 6.4
        narrow, flare = wide - 0.8, wide - 0.8 + 0.35 * self.hem
        corners = [(-narrow, -4.0), (narrow, -4.0), (flare, self.hem), (-flare, self.hem)]
        shapes: list[Shape] = [
            Capsule(at(f.chest, 0, 3.4), at(f.pelvis, 0, -4.0), wide, narrow, TOP),
            Polygon(torch.stack([at(f.pelvis, *corner) for corner in corners], dim=1), TOP),
        ]
        paint: list[Shape] = []
        if self.belt:
            paint.append(Capsule(at(f.pelvis, -9, -0.5), at(f.pelvis, 9, -0.5), 1.3, 1.3, TRIM))
        if self.stripe:
            shift = 3.0 * facing
            paint.append(Capsule(at(f.chest, shift, 0), at(f.pelvis, shift, 9), 1.5, 1.5, TRIM))
        if self.collar:
            paint.append(Ellipse(at(f.chest, 2.0 * facing, -0.5), (4.6, 3.4), SKIN))
        return [Piece(shapes, paint)]


@dataclass(frozen=True)
class Bottom:
    """A garment of the legs."""

    cloth: Colour
    boot: Colour
    thigh: int
    shin: int
    cuff: float
    """Where on the shin the boot begins, 0 at the knee, 1 at the ankle."""
    skirt: float = 0.0
    """Length of a skirt below the hips; 0 for none."""
    knees: bool = False
    """Knee plates, of the boots' material."""

    def legs(self, f: Figure) -> list[Piece]:
        far, near = self.leg(f, 1 - f.view.near), self.leg(f, f.view.near)
        seat = Piece([Ellipse(f.pelvis, (4.8 if f.view.facing else 6.2, 4.0), BOTTOM)])
        return [far, near, seat] if not self.skirt else [far, near, self.cone(f)]

    def leg(self, f: Figure, side: int) -> Piece:
        hip, knee, ankle, toe = f.hips[:, side], f.knees[:, side], f.ankles[:, side], f.toes[:, side]
        shapes: list[Shape] = [
            Capsule(hip, knee, 3.9, 3.4, self.thigh),
            Capsule(knee, ankle, 3.2, 2.6, self.shin),
            Capsule(ankle, toe, 2.5, 2.0, BOOT),
        ]
        paint: list[Shape] = [Capsule(knee + self.cuff * (ankle - knee), ankle, 3.4, 3.4, BOOT)]
        paint += [Ellipse(knee, (2.6, 2.4), BOOT)] if self.knees else []
        return Piece(shapes, paint)

    def cone(self, f: Figure) -> Piece:
        wide = 4.6 if f.view.facing else 5.8
        hem = f.pelvis[:, 1] + self.skirt
        left = torch.minimum(f.knees[..., 0].amin(1) - 4.0, f.ankles[..., 0].amin(1) - 2.5)
        right = torch.maximum(f.knees[..., 0].amax(1) + 4.0, f.ankles[..., 0].amax(1) + 2.5)
        corners = [
            at(f.pelvis, -wide, -3.0),
            at(f.pelvis, wide, -3.0),
            torch.stack([right, hem], dim=-1),
            torch.stack([left, hem], dim=-1),
        ]
        edge = Capsule(corners[3], corners[2], 1.4, 1.4, BOOT)
        return Piece([Polygon(torch.stack(corners, dim=1), BOTTOM)], [edge])


def cap(f: Figure) -> list[Shape]:
    """Hair over the top of the head, and the temples or the back of it."""
    facing = f.view.facing
    if facing:
        return [
            Ellipse(at(f.head, -1.4 * facing, -4.8), (8.9, 5.6), HAIR),
            Ellipse(at(f.head, -5.4 * facing, -0.8), (4.2, 5.8), HAIR),
        ]
    temples = [Ellipse(at(f.head, 8.0 * side, -1.5), (1.9, 4.2), HAIR) for side in (-1, 1)]
    return [Ellipse(at(f.head, 0, -5.0), (9.4, 5.6), HAIR), *temples]


def strand(f: Figure, *knots: tuple[float, float, float]) -> list[Shape]:
    """Hair along a line: each knot is (right, down) of the head's middle and a radius. Mirrored where it faces left."""
    mirror = -1 if f.view.facing < 0 else 1
    return [
        Capsule(at(f.head, mirror * x, y), at(f.head, mirror * u, v), r, s, HAIR)
        for (x, y, r), (u, v, s) in pairwise(knots)
    ]


Shapes = tuple[list[Shape], list[Shape]]
"""What is seen behind the trunk, and what before the head."""


def short(f: Figure) -> Shapes:
    """With a ragged fringe."""
    roots = (2.0, 5.6) if f.view.facing else (-5.0, -1.0, 4.0)
    fringe = [strand(f, (x, -4.0, 2.4), (x + 1.2, 0.2, 0.7)) for x in roots]
    return [], sum(fringe, cap(f))


def long(f: Figure) -> Shapes:
    if f.view.facing:
        return [], cap(f) + strand(f, (-5.2, -1.0, 4.6), (-7.4, 13.5, 3.4))
    locks = [strand(f, (8.3 * side, -2.5, 2.4), (8.2 * side, 11.0, 2.2)) for side in (-1, 1)]
    return strand(f, (0.0, 0.0, 9.6), (0.0, 10.0, 8.6)), sum(locks, cap(f))


def mohawk(f: Figure) -> Shapes:
    if f.view.facing:
        return [], strand(f, (5.5, -8.5, 2.6), (1.0, -11.0, 3.6), (-5.0, -10.0, 3.6), (-9.0, -4.0, 2.2))
    return [], strand(f, (0.0, -12.5, 2.6), (0.0, -5.5, 3.2))


def ponytail(f: Figure) -> Shapes:
    if f.view.facing:
        return [], cap(f) + strand(f, (-7.5, -7.0, 2.2), (-12.0, -4.5, 3.2), (-12.5, 4.0, 1.4))
    return strand(f, (5.0, -9.0, 2.2), (11.5, -6.5, 3.2), (12.5, 3.0, 1.4)), cap(f)


@dataclass(frozen=True)
class Hair:
    colour: Colour
    shapes: Callable[[Figure], Shapes]

    def behind(self, f: Figure) -> list[Piece]:
        back, _ = self.shapes(f)
        return [Piece(back)] if back else []

    def before(self, f: Figure) -> list[Piece]:
        return [Piece(self.shapes(f)[1])]


def eye(f: Figure, right: float | int, look: int) -> list[Shape]:
    """White and pupil, the pupil on the side `look`."""
    return [
        Capsule(at(f.head, right + x * look, 1.6), at(f.head, right + x * look, 3.2), r, r, material)
        for x, r, material in ((0.0, 0.9, WHITE), (1.5, 1.2, EYE))
    ]


def head(f: Figure) -> list[Piece]:
    """Neck, head, ears, nose and eyes."""
    facing = f.view.facing
    neck = Capsule(at(f.chest, 0, 1), at(f.head, 0, 5), 2.8, 2.8, SKIN)
    skull = Ellipse(f.head, (8.6, 9.0), SKIN)
    if facing:
        ear = Ellipse(at(f.head, -1.2 * facing, 1.8), (1.9, 2.4), SKIN)
        nose = Ellipse(at(f.head, 7.2 * facing, 3.4), (1.9, 1.7), SKIN)
        return [Piece([neck]), Piece([skull, nose], eye(f, 3.5 * facing, facing)), Piece([ear])]
    ears = [Ellipse(at(f.head, 8.4 * side, 1.5), (1.8, 2.2), SKIN) for side in (-1, 1)]
    return [Piece([neck]), Piece([skull, *ears], eye(f, -4.5, 1) + eye(f, 4.5, -1))]
