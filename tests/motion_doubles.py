"""Synthetic walkers whose toes stand exactly, and stand-ins for models: one that knows the truth, and cheats."""

import math

import torch

from kinema.evaluation.motion_clips import TestClips
from kinema.maths import trajectory
from kinema.models.motion_base import MotionDomain
from kinema.motion import Motion, MotionBatch

NAMES = ("hips", "l_hip", "l_knee", "l_foot", "l_toe", "r_hip", "r_knee", "r_foot", "r_toe", "chest", "head")
PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9)
TOES = (4, 8)
OFFSETS = tuple((0.1 * j, -0.1, 0.05) for j in range(11))
DOMAIN = MotionDomain(NAMES, PARENTS, OFFSETS, TOES, 60.0, 240, ("walk", "run", "walk-turn-left"), ("any",))
STANCE = 0.6
"""Share of the stride in which a foot stands."""
PERIOD = 1.0
"""Seconds of a stride."""


def walkers(speeds, turns, frames=240, fps=60.0, seed=0):
    """Bodies with constant speed (m/s) and turn (rad/s): shapes (B, T, ...), float64, frame 0 at the origin.

    Each toe stands exactly still for `STANCE` of a stride and is lifted by 10 cm between; the rest of the body floats.
    """
    generator = torch.Generator().manual_seed(seed)
    control = torch.stack([torch.zeros_like(speeds), speeds, turns], -1)[:, None].expand(-1, frames, 3)
    times = torch.arange(frames, dtype=torch.float64) / fps
    path, heading = trajectory.integrate(control, fps)
    body = torch.rand(len(speeds), 1, len(NAMES), 3, generator=generator, dtype=torch.float64) - 0.5
    body = body + 0.05 * torch.sin(2 * math.pi * times / PERIOD)[None, :, None, None]
    body[:, :, 0] = torch.tensor([0.0, 0.9, 0.0])
    joints = trajectory.to_world(body, path, heading)
    for side, toe in zip((1, -1), TOES, strict=True):
        phase = times / PERIOD + (0.5 if side < 0 else 0.0)
        stride, within = phase.floor(), phase % 1
        swing = ((within - STANCE) / (1 - STANCE)).clamp(0, 1)
        swing = swing * swing * (3 - 2 * swing)
        here, there = (_foothold(control, side, (stride + n + STANCE / 2 - 0.5 * (side < 0)) * PERIOD) for n in (0, 1))
        joints[:, :, toe] = torch.lerp(here, there, swing[None, :, None])
        joints[:, :, toe, 1] += 0.1 * torch.sin(math.pi * swing)
    return Motion(trajectory.to_root(joints, path, heading), control)


def _foothold(control, side, at):
    """Where a constant control has the place 10 cm beside the root at some times (T,) in seconds: (B, T, 3)."""
    speed, turn = control[:, :1, 1], control[:, :1, 2]
    theta = turn * at
    small = turn.abs() < 1e-9
    safe = turn.where(~small, 1.0)
    x = torch.where(small, torch.zeros_like(theta), speed / safe * (1 - theta.cos()))
    z = torch.where(small, speed * at, speed / safe * theta.sin())
    beside = torch.stack([theta.cos(), torch.zeros_like(theta), -theta.sin()], -1) * 0.1 * side
    return torch.stack([x, torch.full_like(x, 0.03), z], -1) + beside


def clips(count=6, frames=240, lengths=None, turning=0.0, seed=0):
    """Walkers, the last third of them runners by their label; `lengths` cuts clips and pads them."""
    speeds = torch.linspace(0.8, 1.6, count, dtype=torch.float64)
    turns = torch.linspace(-turning, turning, count, dtype=torch.float64)
    motion = walkers(speeds, turns, frames, seed=seed).map(torch.Tensor.float)
    lengths = torch.full((count,), frames) if lengths is None else torch.tensor(lengths)
    steps = torch.arange(frames)
    valid = steps < lengths[:, None]
    at = torch.minimum(steps, lengths[:, None] - 1)
    rows = torch.arange(count)[:, None]
    motion = Motion(motion.joints[rows, at], motion.control[rows, at] * valid[..., None])
    action = (torch.arange(count) >= count - count // 3).long()
    batch = MotionBatch(motion, valid, {"action": action, "style": torch.zeros_like(action)})
    return TestClips.of(batch, DOMAIN)


class Double:
    """A model that changes the truth. It is asked for whole draws of all clips, so it knows which clip is which."""

    domain = DOMAIN

    def __init__(self, truth):
        self.truth = truth
        self.calls = []

    def losses(self, batch):
        raise NotImplementedError

    def generate(self, frames, control, start, factors, generator):
        rows = len(start.joints if control is None else control)
        self.calls.append((rows, control, start, factors))
        motion = self.truth.motion
        draws = rows // len(motion.joints)
        joints = motion.joints[:, :frames].double().repeat(draws, 1, 1, 1)
        return self.change(Motion(joints, motion.control[:, :frames].double().repeat(draws, 1, 1)), control, generator)

    def change(self, motion, control, generator):
        """What the model makes, of the truth and the control that it was given."""
        raise NotImplementedError


class Oracle(Double):
    """Gives the truth."""

    def change(self, motion, control, generator):
        return motion


class Noise(Double):
    """The truth and normal noise of `sigma` metres on every coordinate, anew for every draw."""

    def __init__(self, truth, sigma):
        super().__init__(truth)
        self.sigma = sigma

    def change(self, motion, control, generator):
        noise = torch.randn(motion.joints.shape, generator=generator, dtype=torch.float64)
        return Motion(motion.joints + self.sigma * noise, motion.control)


class MeanPose(Double):
    """One pose for everything, and the given control."""

    def change(self, motion, control, generator):
        mean = motion.joints.mean((0, 1), keepdim=True).expand_as(motion.joints)
        return Motion(mean, motion.control if control is None else control.double())


class Frozen(Double):
    """Each clip's first pose, sliding along its path."""

    def change(self, motion, control, generator):
        return Motion(motion.joints[:, :1].expand_as(motion.joints), motion.control)


class Standing(Double):
    """The true poses, going nowhere."""

    def change(self, motion, control, generator):
        return Motion(motion.joints, torch.zeros_like(motion.control))


class Biased(Double):
    """The truth, but `bias` m/s too fast."""

    def __init__(self, truth, bias):
        super().__init__(truth)
        self.bias = torch.tensor([0.0, bias, 0.0], dtype=torch.float64)

    def change(self, motion, control, generator):
        return Motion(motion.joints, motion.control + self.bias)


class Peeking(Double):
    """Right where the clips are over, and 1 m away where they are not."""

    def change(self, motion, control, generator):
        wrong = self.truth.valid.repeat(len(motion.joints) // len(self.truth), 1)[..., None, None]
        return Motion(motion.joints + 1.0 * wrong, motion.control)


class Diverging(Double):
    """Frames from 100 on are not finite."""

    def change(self, motion, control, generator):
        joints = motion.joints.clone()
        joints[:, 100:] = math.nan
        return Motion(joints, motion.control)
