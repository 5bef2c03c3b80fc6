"""The tests' toy body: nine joints that walk; beat, stride and lean are functions of the control. It needs no data."""

import torch

from kinema.maths.kinematics import forward_kinematics
from kinema.maths.rotation import from_euler, to_matrix, to_six
from kinema.models.motion_base import MotionDomain
from kinema.motion import Motion, MotionBatch

FPS = 60.0
STEP = 0.7
"""Metres between one footfall and the next."""
SKELETON = {
    "hips": (-1, (0.0, 0.0, 0.0)),
    "left_hip": (0, (0.1, 0.0, 0.0)),
    "left_knee": (1, (0.0, -0.4, 0.0)),
    "left_toe": (2, (0.0, -0.4, 0.1)),
    "right_hip": (0, (-0.1, 0.0, 0.0)),
    "right_knee": (4, (0.0, -0.4, 0.0)),
    "right_toe": (5, (0.0, -0.4, 0.1)),
    "chest": (0, (0.0, 0.4, 0.0)),
    "head": (7, (0.0, 0.25, 0.05)),
}
"""Each joint's parent, and where it sits in the parent's frame, in metres."""
NAMES, PARENTS = tuple(SKELETON), tuple(parent for parent, _ in SKELETON.values())
OFFSETS = tuple(offset for _, offset in SKELETON.values())


def toy_domain(length: int = 60) -> MotionDomain:
    """The domain of the toy: two actions, two styles."""
    toes = (NAMES.index("left_toe"), NAMES.index("right_toe"))
    return MotionDomain(NAMES, PARENTS, OFFSETS, toes, FPS, length, ("walk", "run"), ("upright", "bent"))


def toy_batch(count: int = 8, length: int = 60, seed: int = 0, padded: bool = True) -> MotionBatch:
    """`count` windows of `length` frames; where `padded`, every fourth has a quarter of padding, half at each end.

    The forward speed sets how fast the legs beat and how far they swing, the turn how the body leans, the style how
    far it bends. As in recordings, the forward speed also ripples with the beat.
    """
    draw = torch.Generator().manual_seed(seed)
    time = torch.arange(length, dtype=torch.float64) / FPS

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, 1, generator=draw, dtype=torch.float64)

    def wave() -> torch.Tensor:
        return (uniform(1, 3) * time + uniform(0, 2 * torch.pi)).sin()

    factors = {name: torch.randint(2, (count,), generator=draw) for name in ("action", "style")}
    speed = (1.0 + 1.5 * factors["action"][:, None]) * uniform(0.9, 1.1) * (1 + 0.15 * wave())
    turn = uniform(-1, 1) * wave()
    phase = uniform(0, 2 * torch.pi) + torch.pi / STEP * speed.cumsum(1) / FPS
    control = torch.stack([0.1 * turn, speed + 0.1 * (2 * phase).sin(), turn], -1)
    motion = pose(speed, turn, phase, factors["style"][:, None])
    motion = Motion(motion.joints, control, motion.rotations, motion.contacts).map(torch.Tensor.float)
    steps = torch.arange(length).repeat(count, 1)
    valid = torch.ones_like(steps, dtype=torch.bool)
    if padded:
        pad = length // 8
        valid[::4] = (steps[::4] >= pad) & (steps[::4] < length - pad)
        steps[::4] = steps[::4].clamp(pad, length - pad - 1)
    motion = motion[torch.arange(count)[:, None], steps]
    motion.control[~valid] = 0.0
    return MotionBatch(motion, valid, factors)


def pose(speed: torch.Tensor, turn: torch.Tensor, phase: torch.Tensor, bent: torch.Tensor) -> Motion:
    """The body at a phase of its stride, (B, T, ...), with rotations and contacts; its control is left at zero."""
    swing, still = 0.4 * speed.sqrt(), torch.zeros_like(speed)
    pitch = {  # about the left axis: positive swings what hangs down backwards, and what stands up forwards
        "left_hip": -swing * phase.sin(),
        "right_hip": swing * phase.sin(),
        "left_knee": swing * (1 + phase.cos()) / 2,
        "right_knee": swing * (1 - phase.cos()) / 2,
        "chest": 0.1 * speed + 0.4 * bent + 0.05 * (2 * phase).cos(),
    }
    roll = {"chest": 0.2 * turn}
    angles = [torch.stack([part.get(name, still) for name in NAMES], -1) for part in (roll, pitch)]
    local = to_matrix(from_euler("ZXY", torch.stack([*angles, torch.zeros_like(angles[0])], -1)))
    root = torch.stack([still, 0.8 - 0.05 * swing + 0.02 * (2 * phase).cos(), still], -1)
    joints = forward_kinematics(local, root, torch.tensor(OFFSETS, dtype=torch.float64), PARENTS)[1]
    contacts = torch.stack([phase.cos() < 0, phase.cos() >= 0], -1).to(joints.dtype)
    return Motion(joints, torch.zeros(*speed.shape, 3, dtype=joints.dtype), to_six(local), contacts)
