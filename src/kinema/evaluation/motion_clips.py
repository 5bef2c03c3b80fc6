"""The beginnings of all test clips, as every model of motion is measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kinema.errors import ClipError
from kinema.maths import trajectory
from kinema.models.motion_base import MotionDomain
from kinema.motion import Motion, MotionBatch

FRAMES = 240
"""Frames of a test clip that are used: four seconds at 60 Hz, as published."""
SMOOTHING = 0.5
"""Seconds: standard deviation of the Gaussian that takes the gait's phase out of a control."""
RUNNING = 2.0
"""Metres per second from which a clip is a run, where its label does not tell."""


@dataclass(frozen=True, eq=False)
class TestClips:
    """One window from the beginning of each test clip."""

    __test__ = False  # pytest takes classes that are called Test for its own

    motion: Motion
    """Shapes (B, T, ...), float32; a shorter clip is padded at its end with its last pose and control 0."""
    valid: Bool[Tensor, "B T"]
    """False in the padding. No measure looks there."""
    factors: Mapping[str, Int[Tensor, " B"]]
    """For each factor of the source (``action``, ``style``) the index of its value."""
    actions: tuple[str, ...]
    """Values of the factor ``action``, in index order; empty where it is not known."""
    fps: float
    """Frames per second."""
    parents: tuple[int, ...]
    """The number of each joint's parent; -1 for the root."""
    toes: tuple[int, int]
    """The joints of the left and the right toe."""
    legs: tuple[tuple[int, int, int, int], ...] = ()
    """Hip, knee, ankle and toe of both legs; empty where they are not known."""

    @classmethod
    def of(cls, batch: MotionBatch, domain: MotionDomain) -> "TestClips":
        """The openings of a source's clips (`MotionSource.openings`). Raises ClipError where there is no clip."""
        if len(batch.valid) == 0:
            raise ClipError("evaluation: there are no test clips; at least one is needed")
        factors = dict(batch.factors)
        return cls(
            batch.motion, batch.valid, factors, domain.actions, domain.fps, domain.parents, domain.toes, domain.legs
        )

    def __len__(self) -> int:
        return len(self.valid)

    def __getitem__(self, rows: Int[Tensor, " N"]) -> "TestClips":
        """Some of the clips."""
        factors = {name: value[rows] for name, value in self.factors.items()}
        return replace(self, motion=self.motion[rows], valid=self.valid[rows], factors=factors)

    def to(self, device: torch.device) -> "TestClips":
        """The clips on `device`."""
        factors = {name: value.to(device) for name, value in self.factors.items()}
        return replace(self, motion=self.motion.to(device), valid=self.valid.to(device), factors=factors)

    @property
    def running(self) -> Bool[Tensor, " B"]:
        """Which clips are runs: by the actions ``run`` and ``walk``, else by a mean speed above 2 m/s."""
        speed = self.motion.control[..., :2].norm(dim=-1)
        fast = (speed * self.valid).sum(1) > RUNNING * self.valid.sum(1)
        if not self.actions or "action" not in self.factors:
            return fast
        action = self.factors["action"]
        known = torch.tensor([name in ("walk", "run") for name in self.actions])
        runs = torch.tensor([name == "run" for name in self.actions])
        return torch.where(known[action], runs[action], fast)

    def gaits(self) -> dict[str, Bool[Tensor, " B"]]:
        """The groups that are reported apart: walk, run, and all."""
        running = self.running
        return {"walk": ~running, "run": running, "all": torch.ones_like(running)}


def smoothed(clips: TestClips, sigma: float = SMOOTHING) -> Float[Tensor, "B T 3"]:
    """The clips' control under a Gaussian of `sigma` seconds; padding has no weight in it and stays 0."""
    valid = clips.valid[..., None].double()
    within = trajectory.smooth(clips.motion.control.double() * valid, sigma * clips.fps)
    weight = trajectory.smooth(valid, sigma * clips.fps)
    return (within / weight.clamp(min=1e-12) * valid).to(clips.motion.control.dtype)
