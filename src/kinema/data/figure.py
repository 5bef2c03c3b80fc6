"""A small articulated person in three dimensions: joint angles as periodic functions of time, and its three views.

Lengths are in units of 1/64 of a sprite's cell. In space the axes are forward, right and up, from the ground below the
pelvis; on the picture they are right and down, from the cell's upper left corner. Every action takes `PERIOD` frames.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

PERIOD = 8.0
"""Frames of one cycle of every action."""
CELL = 64.0
"""Side of the cell that a figure stands in, in figure units."""

THIGH, SHIN, TOE, ANKLE = 8.0, 8.0, 3.2, 2.0
UPPER_ARM, FOREARM = 7.0, 6.6
TORSO, NECK, SHOULDER, HIP = 10.0, 10.2, 6.6, 3.4
GROUND = 60.0
TILT = 0.22
"""The camera looks down: what is one unit nearer appears this much lower."""


@dataclass(frozen=True)
class Angles:
    """Joint angles in radians. Pairs are (left, right), last axis; 0 hangs straight down, positive swings forward."""

    hip: Float[Tensor, "N 2"]
    knee: Float[Tensor, "N 2"]
    """Bend of the knee; the shin swings back by it."""
    shoulder: Float[Tensor, "N 2"]
    elbow: Float[Tensor, "N 2"]
    """Bend of the elbow; the forearm swings on, forward, by it."""
    spread: Float[Tensor, "N 2"]
    """How far the upper arm is lifted sideways, away from the body."""
    turn: Float[Tensor, "N 2"]
    """How much further the forearm is lifted sideways."""
    lean: Float[Tensor, " N"]
    """Pitch of the trunk, positive forward."""
    twist: Float[Tensor, " N"]
    """Yaw of the shoulders, positive brings the right one forward."""


def pair(left: Tensor, right: Tensor | None = None) -> Tensor:
    """(N,) and (N,) to (N, 2); one alone serves both sides."""
    return torch.stack([left, left if right is None else right], dim=-1)


def rise(phase: Tensor) -> Tensor:
    """From 0 at phase 0 to 1 at half a turn, and back."""
    return (1 - torch.cos(phase)) / 2


def walk(phase: Tensor) -> Angles:
    """Legs swing in turn, each arm against its leg; the knee of the leg that comes forward is bent."""
    swing = torch.sin(phase)
    lift = torch.cos(phase)
    return Angles(
        hip=pair(0.58 * swing, -0.58 * swing),
        knee=pair(0.12 + 0.85 * rise(phase + 0.5 * math.pi), 0.12 + 0.85 * rise(phase - 0.5 * math.pi))
        * pair(0.5 + 0.5 * torch.sigmoid(6 * lift), 0.5 + 0.5 * torch.sigmoid(-6 * lift)),
        shoulder=pair(-0.6 * swing, 0.6 * swing),
        elbow=pair(0.3 - 0.2 * swing, 0.3 + 0.2 * swing),
        spread=pair(torch.full_like(phase, 0.2)),
        turn=pair(torch.full_like(phase, -0.1)),
        lean=0.05 + 0.02 * torch.cos(2 * phase),
        twist=0.18 * swing,
    )


def spellcast(phase: Tensor) -> Angles:
    """Both hands rise before the body, open to the sides and sink."""
    up, out = rise(phase), rise(phase - 0.9)
    return Angles(
        hip=pair(0.1 + 0.12 * up, -0.1 + 0.22 * up),
        knee=pair(0.1 + 0.3 * up),
        shoulder=pair(0.35 + 1.8 * up),
        elbow=pair(1.15 - 0.8 * up),
        spread=pair(0.15 + 0.5 * out),
        turn=pair(-0.75 + 0.95 * out),
        lean=0.12 - 0.24 * out,
        twist=torch.zeros_like(phase),
    )


def slash(phase: Tensor) -> Angles:
    """The right arm sweeps from behind the head down across the body, which turns and leans into it."""
    # The stroke is quicker than the return: the phase runs ahead of time on the way down.
    raised = torch.cos(phase - 0.5 * torch.sin(phase) - 0.4)
    across = torch.sin(phase - 0.4)
    level = torch.ones_like(phase)
    return Angles(
        hip=pair(0.42 - 0.14 * raised, -0.34 - 0.1 * raised),
        knee=pair(0.4 - 0.25 * raised, 0.2 + 0.1 * raised),
        shoulder=pair(0.25 + 0.35 * raised, 1.9 + 1.4 * raised),
        elbow=pair(0.9 * level, 0.55 + 0.45 * raised),
        spread=pair(0.35 * level, 0.15 + 0.25 * raised - 0.3 * across),
        turn=pair(-0.5 * level, -0.35 * across),
        lean=0.08 - 0.2 * raised,
        twist=0.05 - 0.55 * raised,
    )


ACTIONS: dict[str, Callable[[Tensor], Angles]] = {"walk": walk, "spellcast": spellcast, "slash": slash}


@dataclass(frozen=True)
class Skeleton:
    """Joints in space, in figure units; pairs are (left, right)."""

    pelvis: Float[Tensor, "N 3"]
    chest: Float[Tensor, "N 3"]
    head: Float[Tensor, "N 3"]
    hips: Float[Tensor, "N 2 3"]
    knees: Float[Tensor, "N 2 3"]
    ankles: Float[Tensor, "N 2 3"]
    toes: Float[Tensor, "N 2 3"]
    shoulders: Float[Tensor, "N 2 3"]
    elbows: Float[Tensor, "N 2 3"]
    hands: Float[Tensor, "N 2 3"]


def vector(forward: Tensor, right: Tensor, up: Tensor) -> Tensor:
    """Vectors (..., 3) of these parts."""
    return torch.stack(torch.broadcast_tensors(forward, right, up), dim=-1)


def swung(angle: Tensor, spread: Tensor, twist: Tensor) -> Tensor:
    """Unit vectors (N, 2, 3) of limbs that swing forward by `angle` and are lifted sideways by `spread`."""
    side = torch.tensor([-1.0, 1.0], dtype=angle.dtype, device=angle.device)
    forward, right = torch.sin(angle) * torch.cos(spread), side * torch.sin(spread)
    cos, sin = torch.cos(twist), torch.sin(twist)
    return vector(cos * forward - sin * right, sin * forward + cos * right, -torch.cos(angle) * torch.cos(spread))


def skeleton(action: str, times: Float[Tensor, " N"]) -> Skeleton:
    """Forward kinematics of `action` at `times` (frames, any real number). The lower foot stands on the ground."""
    a = ACTIONS[action](2 * math.pi * times / PERIOD)
    zero = torch.zeros_like(times)
    side = torch.tensor([-1.0, 1.0], dtype=times.dtype, device=times.device)
    straight, none = zero[:, None].expand(-1, 2), zero[:, None]
    thigh = THIGH * swung(a.hip, straight, none)
    shin = SHIN * swung(a.hip - a.knee, straight, none)
    height = ANKLE - (thigh + shin)[..., 2].min(dim=-1).values
    pelvis = vector(zero, zero, height)
    hips = pelvis[:, None] + vector(none, HIP * side, none)
    trunk = vector(torch.sin(a.lean), zero, torch.cos(a.lean))
    chest = pelvis + TORSO * trunk
    twist = -a.twist[:, None]
    shoulders = chest[:, None] + SHOULDER * vector(-torch.sin(twist) * side, torch.cos(twist) * side, none)
    upper = UPPER_ARM * swung(a.shoulder, a.spread, twist)
    fore = FOREARM * swung(a.shoulder + a.elbow, a.spread + a.turn, twist)
    knees = hips + thigh
    ankles = knees + shin
    foot = 0.35 * (a.hip - a.knee)
    toes = ankles + TOE * vector(torch.cos(foot), straight, torch.sin(foot))
    return Skeleton(
        pelvis=pelvis,
        chest=chest,
        head=chest + NECK * vector(0.5 * torch.sin(a.lean), zero, torch.ones_like(zero)),
        hips=hips,
        knees=knees,
        ankles=ankles,
        toes=toes,
        shoulders=shoulders,
        elbows=shoulders + upper,
        hands=shoulders + upper + fore,
    )


@dataclass(frozen=True)
class View:
    """Where the figure is seen from."""

    facing: int
    """Which way it looks on the picture: -1 left, 0 at us, 1 right."""

    @property
    def near(self) -> int:
        """The side that is nearer to us: 0 its left, 1 its right."""
        return 0 if self.facing < 0 else 1

    def project(self, points: Float[Tensor, "*N 3"]) -> tuple[Float[Tensor, "*N 2"], Float[Tensor, "*N"]]:
        """Places on the picture, in figure units, and how near they are to us."""
        forward, right, up = points.unbind(-1)
        across, near = (self.facing * forward, self.facing * right) if self.facing else (-right, forward)
        return torch.stack([0.5 * CELL + across, GROUND - up + TILT * near], dim=-1), near


DIRECTIONS = {"left": View(-1), "front": View(0), "right": View(1)}
