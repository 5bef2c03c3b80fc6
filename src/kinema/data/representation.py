"""From the world to what models see, and back: Holden's root frame (SIGGRAPH 2016; Habibie et al. 2017).

The root frame stands on the ground below the root joint and turns with the body's heading, which is read from hips and
shoulders and smoothed. What carries it from frame to frame is the control. Nothing is lost: `decode` inverts `encode`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.data.roles import Roles
from kinema.maths import rotation, trajectory
from kinema.motion import Motion, MotionClip, Skeleton

HEADING_SIGMA = 20 / 60
"""Standard deviation of the Gaussian that smooths the heading, in seconds (MOCAP: 20 frames at 60 Hz)."""
FLOOR_SHARE = 0.05
"""The floor is this quantile over the clip of the lower toe's height."""
CONTACT_HEIGHT, CONTACT_SPEED = 0.025, 0.30
"""A foot stands where its toe is less than so high above its own floor (metres) and slower than so (m/s)."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A clip as models see it, and where it began in the world."""

    motion: Motion
    """Shapes (T, ...), float64, with rotations and contacts."""
    start: Float[Tensor, "3"]
    """x and z of the root joint at frame 0 in metres, and the height that was taken as the floor (y)."""
    heading: Float[Tensor, ""]
    """Heading at frame 0, in radians: 0 faces +Z, positive turns to the left."""
    fps: float
    """Frames per second."""


def encode(clip: MotionClip, roles: Roles) -> Encoded:
    """The clip in its root frame."""
    joints = clip.joints()
    ground = floor_height(joints, roles)
    path = clip.root * clip.root.new_tensor([1.0, 0.0, 1.0])
    facing = trajectory.heading(
        *(joints[:, j] for j in (roles.left_hip, roles.right_hip, roles.left_shoulder, roles.right_shoulder))
    )
    facing = trajectory.smooth_heading(facing, HEADING_SIGMA, clip.fps)
    local = clip.rotations.clone()
    local[:, 0] = rotation.multiply(rotation.about_y(-facing), local[:, 0])
    inside = trajectory.to_root(joints - joints.new_tensor([0.0, float(ground), 0.0]), path, facing)
    motion = Motion(
        inside,
        trajectory.differentiate(path, facing, clip.fps),
        rotation.to_six(rotation.to_matrix(local)),
        contacts(joints, roles, clip.fps),
    )
    return Encoded(motion, torch.stack([path[0, 0], ground, path[0, 2]]), facing[0], clip.fps)


def decode(encoded: Encoded, skeleton: Skeleton, name: str = "motion") -> MotionClip:
    """The clip in the world again, from its rotations, its root height and its control."""
    motion = encoded.motion
    assert motion.rotations is not None
    path, facing = trajectory.integrate(motion.control, encoded.fps, start=encoded.start, heading0=encoded.heading)
    height = motion.joints[:, 0, 1] + encoded.start[1]
    root = torch.stack([path[:, 0], height, path[:, 2]], -1)
    local = rotation.from_matrix(rotation.from_six(motion.rotations))
    local[:, 0] = rotation.multiply(rotation.about_y(facing), local[:, 0])
    return MotionClip(skeleton, root, local, encoded.fps, name=name)


def floor_height(joints: Float[Tensor, "T J 3"], roles: Roles) -> Float[Tensor, ""]:
    """Height of the floor that the clip walks on, in metres: a low quantile, so that one bad frame does not move it."""
    lowest = joints[:, [roles.left_toe, roles.right_toe], 1].amin(-1)
    return lowest.quantile(FLOOR_SHARE)


def contacts(joints: Float[Tensor, "T J 3"], roles: Roles, fps: float) -> Float[Tensor, "T 2"]:
    """Whether the left and the right toe stand: low above that toe's own floor, and slow.

    Each toe has its own floor, for some styles never put a heel down (MOCAP 6).
    """
    toes = joints[:, [roles.left_toe, roles.right_toe]]
    floor = toes[..., 1].quantile(FLOOR_SHARE, dim=0)
    low = toes[..., 1] < floor + CONTACT_HEIGHT
    return (low & (toe_speed(toes, fps) < CONTACT_SPEED)).to(joints.dtype)


def toe_speed(toes: Float[Tensor, "*B T F 3"], fps: float) -> Float[Tensor, "*B T F"]:
    """Speed of each toe in m/s, by central differences; one-sided at the ends."""
    if toes.shape[-3] < 2:
        return toes.new_zeros(toes.shape[:-1])
    (velocity,) = torch.gradient(toes, dim=-3)
    return velocity.norm(dim=-1) * fps


def resample(clip: MotionClip, fps: float) -> MotionClip:
    """The clip at another rate: rotations along the shorter arc, the root along straight lines."""
    if clip.fps == fps or len(clip) == 1:
        return clip if clip.fps == fps else _at_rate(clip, fps)
    count = int((len(clip) - 1) * fps / clip.fps + 1e-6) + 1
    at = torch.arange(count, dtype=torch.float64) * (clip.fps / fps)
    before = at.floor().long().clamp(max=len(clip) - 2)
    share = at - before
    turned = rotation.slerp(
        clip.rotations[before], clip.rotations[before + 1], share[:, None].expand(-1, len(clip.skeleton))
    )
    root = torch.lerp(clip.root[before], clip.root[before + 1], share[:, None])
    return _at_rate(clip, fps, root, turned)


def _at_rate(clip: MotionClip, fps: float, root: Tensor | None = None, rotations: Tensor | None = None) -> MotionClip:
    return MotionClip(
        clip.skeleton,
        clip.root if root is None else root,
        clip.rotations if rotations is None else rotations,
        fps,
        clip.labels,
        clip.name,
        clip.notes,
        clip.credits,
    )
