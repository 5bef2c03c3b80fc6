"""A body of simple solids: a rounded bar for each bone, a ball for the head and for joints at which the body ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from kinema.files.bones import Bone

SIDES, CAP = 12, 4
"""Corners around a bar, and rings of each of its round ends."""
TAPER = 0.78
"""How thick the far end of a limb is, as a share of its near end."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed surface of triangles, each corner bound to one joint."""

    points: Float[np.ndarray, "V 3"]
    """In metres."""
    normals: Float[np.ndarray, "V 3"]
    """Unit vectors that point outward."""
    joints: Int[np.ndarray, " V"]
    faces: Int[np.ndarray, "F 3"]
    """The corners of each triangle, anticlockwise as seen from outside."""


def solid_of(bones: Sequence[Bone], places: Float[np.ndarray, "J 3"]) -> Solid:
    """The body of which each bone begins at its joint's place, with no joint turned."""
    parts = [bar(bone) for bone in bones]
    counts = [len(points) for points, _ in parts]
    first = np.cumsum([0, *counts[:-1]])
    joints = np.repeat([bone.joint for bone in bones], counts)
    points = np.concatenate([points for points, _ in parts]) + places[joints]
    normals = np.concatenate([normals for _, normals in parts])
    corners = np.concatenate([triangles(count // SIDES) + start for count, start in zip(counts, first, strict=True)])
    a, b, c = (points[corners[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    return Solid(points, normals, joints, corners[area > 1e-12])  # at the poles of a cap, two corners are one


def bar(bone: Bone) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3"]]:
    """Points and normals of the rings around a bone, from its joint, in that joint's frame."""
    begin, end = (0.5 * bone.length, 0.5 * bone.length) if bone.ball else (0.0, bone.length)
    near, far = bone.radius, bone.radius * (TAPER if bone.side and not bone.ball else 1.0)
    angle = np.linspace(0, np.pi / 2, CAP + 1)
    angle = np.concatenate([-angle[::-1], angle])
    sine, cosine = np.sin(angle), np.cos(angle)
    thick, start = np.repeat([near, far], CAP + 1), np.repeat([begin, end], CAP + 1)
    along, around = start + thick * sine, thick * cosine
    axes = frame_along(np.array(bone.tip))
    turn = np.arange(SIDES) * (2 * np.pi / SIDES)
    ring = np.cos(turn)[:, None] * axes[0] + np.sin(turn)[:, None] * axes[1]
    points = along[:, None, None] * axes[2] + around[:, None, None] * ring
    normals = sine[:, None, None] * axes[2] + cosine[:, None, None] * ring
    return points.reshape(-1, 3), normals.reshape(-1, 3)


def frame_along(tip: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Three unit vectors at right angles, right-handed, as rows; the last points to `tip`, or up where that is zero."""
    length = np.linalg.norm(tip)
    z = tip / length if length > 0 else np.array([0.0, 1.0, 0.0])
    x = np.cross(np.eye(3)[np.argmin(np.abs(z))], z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def triangles(rings: int) -> Int[np.ndarray, "F 3"]:
    """Two triangles for each pair of neighbours in each pair of neighbouring rings."""
    ring, corner = (grid.reshape(-1) for grid in np.meshgrid(np.arange(rings - 1), np.arange(SIDES), indexing="ij"))
    a, b = ring * SIDES + corner, ring * SIDES + (corner + 1) % SIDES
    return np.concatenate([np.stack([a, b, b + SIDES], 1), np.stack([a, b + SIDES, a + SIDES], 1)])
