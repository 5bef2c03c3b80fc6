"""Which frames of which clips are looked at, and how functions are applied to them a few at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source

BATCH = 64
"""Clips that a model or a renderer is given at once."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one length, each beginning at some frame of some clip of `source`."""

    source: Source
    clips: Int[Tensor, " B"]
    """Which clip each window is of."""
    steps: Int[Tensor, "B T"]
    """The frames of that clip; beyond the end of a clip that is no cycle, its last frame."""

    def frames(self) -> UInt8[Tensor, "B T C H W"]:
        """The windows' frames, on the CPU."""
        return batched(self.source.frames, self.clips, self.steps)

    def times(self) -> Float[Tensor, "B T"]:
        """When the frames begin, counted from the clip's own start."""
        return self.source.times(self.clips, self.steps)

    def elapsed(self) -> Float[Tensor, "B T"]:
        """When the frames begin, counted from the window's start: what a model is told."""
        times = self.times()
        return times - times[:, :1]

    def labels(self, factor: str) -> Int[Tensor, " B"]:
        """The index of each clip's value of one factor."""
        return self.source.labels[factor].cpu()[self.clips]


def draw_windows(source: Source, clips: Int[Tensor, " B"], generator: torch.Generator) -> Windows:
    """A window of `source.length` frames of each clip, at a random frame of a cycle, else anywhere it fits."""
    counts = source.frame_counts().cpu()[clips]
    room = counts if source.periodic else (counts - source.span + 1).clamp(min=1)
    start = (torch.rand(len(clips), generator=generator, dtype=torch.float64) * room).long()
    return windows_at(source, clips, start[:, None] + source.stride * torch.arange(source.length))


def windows_at(source: Source, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> Windows:
    """Windows of given frames; beyond the end of a clip that is no cycle its last frame stands still."""
    if not source.periodic:
        steps = torch.minimum(steps, source.frame_counts().cpu()[clips, None] - 1)
    return Windows(source, clips, steps)


def cycle(source: Source) -> int | None:
    """After how many frames every clip of a periodic source shows the same again; None for other sources."""
    return math.lcm(*source.frame_counts().unique().tolist()) if source.periodic else None


def batched(function: Callable[..., Tensor], *tensors: Tensor | None, size: int = BATCH) -> Tensor:
    """`function` of the tensors' rows, `size` rows at a time; the results one after another on the CPU."""
    count = next(len(tensor) for tensor in tensors if tensor is not None)
    parts = [slice(start, start + size) for start in range(0, count, size)]
    return torch.cat([function(*(None if t is None else t[part] for t in tensors)).cpu() for part in parts])


def floats(frames: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Frames as models take them: float32 in [0, 1]."""
    return frames.float() / 255


def pixels(frames: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Frames as a file would hold them: rounded to 0-255."""
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)
