"""Networks over time for motion: frames, steps of four frames, frames again. Axes inside are (B, channels, time)."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import ConfigError
from kinema.maths.kinematics import positions_of_six
from kinema.motion import Motion, Skeleton

STRIDE = 4
"""Frames per step of the recurrence: 15 steps a second at 60 frames a second."""
LEAST_STD = 0.05
"""A channel that hardly moves is not blown up by more than the inverse of this (numbers of a rotation)."""


class TimeConv(nn.Conv1d):
    """A convolution over time that keeps the length, reading both ways or, if `causal`, the past alone."""

    def __init__(self, channels: int, out: int, kernel: int, dilation: int = 1, causal: bool = False) -> None:
        super().__init__(channels, out, kernel, dilation=dilation)
        reach = dilation * (kernel - 1)
        self.edges = (reach, 0) if causal else (reach - reach // 2, reach // 2)

    def forward(self, input: Float[Tensor, "B C N"]) -> Float[Tensor, "B O N"]:
        return super().forward(functional.pad(input, self.edges))


class Fold(nn.Conv1d):
    """Frames to steps: each step reads its own four frames and, unless `causal`, two on either side."""

    def __init__(self, channels: int, out: int, causal: bool = False) -> None:
        super().__init__(channels, out, 2 * STRIDE, STRIDE)
        self.edges = (STRIDE, 0) if causal else (STRIDE // 2, STRIDE // 2)

    def forward(self, input: Float[Tensor, "B C T"]) -> Float[Tensor, "B O N"]:
        return super().forward(functional.pad(input, self.edges))


class Unfold(nn.ConvTranspose1d):
    """Steps to frames, the frames of neighbouring steps overlapping; if `causal`, no step reaches back."""

    def __init__(self, channels: int, out: int, causal: bool = False) -> None:
        super().__init__(channels, out, 2 * STRIDE, STRIDE)
        self.cut = 0 if causal else STRIDE // 2

    def forward(self, input: Float[Tensor, "B C N"]) -> Float[Tensor, "B O T"]:  # pyright: ignore[reportIncompatibleMethodOverride] -- no output_size
        return super().forward(input)[..., self.cut : self.cut + STRIDE * input.shape[-1]]


class StepEncoder(nn.Module):
    """Frames to features of steps, each of which sees `reach` steps on either side, or before it if `causal`."""

    def __init__(self, channels: int, hidden: int, out: int, causal: bool = False) -> None:
        super().__init__()
        self.reach = 24 if causal else 12
        self.fold = Fold(channels, hidden, causal)
        self.near = TimeConv(hidden, out, 9, causal=causal)
        self.far = TimeConv(out, out, 9, dilation=2, causal=causal)

    def forward(self, frames: Float[Tensor, "B C T"]) -> Float[Tensor, "B O N"]:
        h = functional.elu(self.near(functional.elu(self.fold(frames))))
        return h + functional.elu(self.far(h))


class RotationPose(nn.Module):
    """A pose as local rotations and the height of the root: bones keep their length. 6J + 1 channels."""

    mean: Tensor
    std: Tensor
    offsets: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.parents, self.joints = skeleton.parents, len(skeleton)
        self.channels = 6 * self.joints + 1
        self.register_buffer("mean", torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(self.joints + 1)[: self.channels])
        self.register_buffer("std", torch.ones(self.channels))
        self.register_buffer("offsets", skeleton.offsets.float(), persistent=False)

    def fit(self, motion: Motion) -> None:
        """Take the scale of each channel from all frames of a split (N, ...). ConfigError without rotations."""
        if motion.rotations is None:
            raise ConfigError("model.pose: rotations: this data holds positions only; set model.pose to positions")
        rows = torch.cat([motion.rotations.flatten(-2), motion.joints[:, 0, 1:2]], -1)
        self.mean.copy_(rows.mean(0))
        self.std.copy_(rows.std(0).clamp_min(LEAST_STD))

    def forward(self, channels: Float[Tensor, "B C T"]) -> tuple[Float[Tensor, "B T J 3"], Float[Tensor, "B T J 6"]]:
        """Joints in the root frame, in metres, and the rotations as six numbers."""
        rows = channels * self.std[:, None] + self.mean[:, None]
        six = rows[:, :-1].unflatten(1, (self.joints, 6)).permute(0, 3, 1, 2)
        height = rows[:, -1]
        root = torch.stack([torch.zeros_like(height), height, torch.zeros_like(height)], 1).mT
        return positions_of_six(six, root, self.offsets, self.parents), six


class PositionPose(nn.Module):
    """A pose as positions of the joints, as in the paper, for data that holds no rotations. 3J channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.joints = len(skeleton)
        self.channels = 3 * self.joints
        self.register_buffer("mean", torch.zeros(self.channels))
        self.register_buffer("std", torch.ones(()))

    def fit(self, motion: Motion) -> None:
        """Take the mean of each channel and one scale for all from all frames of the training split (N, ...)."""
        rows = motion.joints.flatten(-2)
        self.mean.copy_(rows.mean(0))
        self.std.copy_((rows - rows.mean(0)).square().mean().sqrt())

    def forward(self, channels: Float[Tensor, "B C T"]) -> tuple[Float[Tensor, "B T J 3"], None]:
        """Joints in the root frame, in metres."""
        rows = channels * self.std + self.mean[:, None]
        return cast(Tensor, rows.unflatten(1, (self.joints, 3))).permute(0, 3, 1, 2), None


POSES = {"rotations": RotationPose, "positions": PositionPose}
"""What a model of motion can put out."""
