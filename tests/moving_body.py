"""A body that moves smoothly at random: 22 joints, with and without end sites, metres, Y up."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from kinema.motion import MotionClip, Skeleton

JOINTS = {
    "Hips": (None, (0, 0, 0)), "Spine": ("Hips", (0, 0.12, 0)), "Chest": ("Spine", (0, 0.14, -0.01)),
    "Chest2": ("Chest", (0, 0.14, 0)), "Neck": ("Chest2", (0, 0.12, 0)), "Head": ("Neck", (0, 0.09, 0.01)),
    "LeftShoulder": ("Chest2", (0.06, 0.08, 0)), "LeftArm": ("LeftShoulder", (0.12, 0, 0)),
    "LeftForeArm": ("LeftArm", (0.27, 0, 0)), "LeftHand": ("LeftForeArm", (0.25, 0, 0)),
    "LeftUpLeg": ("Hips", (0.09, -0.05, 0)), "LeftLeg": ("LeftUpLeg", (0, -0.42, 0)),
    "LeftFoot": ("LeftLeg", (0, -0.41, 0)), "LeftToe": ("LeftFoot", (0, -0.07, 0.14)),
}  # fmt: skip
"""The trunk and the left half; the right half is its mirror image."""


def skeleton(scale: float = 1.0) -> Skeleton:
    joints = dict(JOINTS)
    for name, (parent, (x, y, z)) in JOINTS.items():
        if name.startswith("Left"):
            joints[name.replace("Left", "Right")] = (str(parent).replace("Left", "Right"), (-x, y, z))
    names = tuple(joints)
    parents = tuple(-1 if parent is None else names.index(parent) for parent, _ in joints.values())
    offsets = scale * torch.tensor([offset for _, offset in joints.values()], dtype=torch.float64)
    ends = {names.index("Head"): (0.0, 0.2 * scale, 0.0), names.index("LeftHand"): (0.08 * scale, 0.0, 0.0)}
    return Skeleton(names, parents, offsets, ends)


def moving_body(
    seed: int = 0, frames: int = 40, fps: float = 60.0, scale: float = 1.0, credits: tuple[str, ...] = ()
) -> MotionClip:
    """Rotations that swing about random axes, and a root that walks along a curve."""
    random, body = np.random.default_rng(seed), skeleton(scale)
    time = np.arange(frames) / fps
    swing = np.sin(2 * np.pi * random.uniform(0.3, 1, len(body)) * time[:, None] + random.uniform(0, 6, len(body)))
    axes = random.normal(size=(len(body), 3)) * 0.5
    turns = Rotation.from_rotvec((swing[..., None] * axes).reshape(-1, 3)).as_quat().reshape(frames, len(body), 4)
    root = np.stack([0.3 * np.sin(2 * time), 0.93 * scale + 0.03 * np.sin(9 * time), 1.3 * time], -1)
    wxyz = torch.from_numpy(np.roll(turns, 1, -1)) * (-1) ** torch.arange(frames)[:, None, None]  # the same rotations
    return MotionClip(body, torch.from_numpy(root), wxyz, fps, {"action": "walk"}, f"body {seed}", credits=credits)
