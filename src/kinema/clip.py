"""The currency of Kinema: what files are read into, what models take and give, what files are written from.

Axis order everywhere: batch, time, channel, height, width (B, T, C, H, W). Colours are straight (not premultiplied)
RGB in [0, 1]; times are real numbers counted in frames of the clip's own rate, so that a regular clip has
``times = 0, 1, 2, ...`` and ``seconds = times / fps``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.errors import ClipError


@dataclass(frozen=True, eq=False)
class VideoClip:
    """An image sequence with its times.

    Raises ClipError where shapes disagree, values are not finite, or times do not increase.
    """

    frames: Float[Tensor, "T C H W"]
    """Straight RGB (C = 3) or gray (C = 1), values in [0, 1], float32."""
    alpha: Float[Tensor, "T 1 H W"] | None = None
    """Opacity in [0, 1]; None for a clip that is opaque throughout."""
    times: Float[Tensor, " T"] | None = None
    """When each frame begins, in frames (float64, strictly increasing); None means 0, 1, 2, ..."""
    end: float | None = None
    """When the last frame ends, in frames; None means one frame after it began."""
    fps: float = 10.0
    """Frames per second: a time in frames divided by it is a time in seconds."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is known of the clip: ``action``, ``direction``, ``tag``, attributes."""
    name: str = "clip"
    """What an error message calls the clip: its file, as a rule."""
    credits: tuple[str, ...] = ()
    """Authors and licences that must travel with every picture made of the clip."""

    def __post_init__(self) -> None:
        length = self.frames.shape[0]
        if length == 0 or min(self.frames.shape[-2:]) == 0:
            raise ClipError(f"{self.name}: the clip is empty; at least one frame of one pixel is needed")
        if self.frames.shape[1] not in (1, 3):
            raise ClipError(f"{self.name}: {self.frames.shape[1]} channels; 3 (RGB) or 1 (gray) are possible")
        if self.alpha is not None and self.alpha.shape != (length, 1, *self.frames.shape[-2:]):
            raise ClipError(
                f"{self.name}: alpha is {tuple(self.alpha.shape)}; the frames need {(length, 1, *self.size)}"
            )
        if not bool(torch.isfinite(self.frames).all()):
            raise ClipError(f"{self.name}: the frames hold NaN or infinite values; finite values in [0, 1] are needed")
        if self.times is None:
            object.__setattr__(self, "times", torch.arange(length, dtype=torch.float64))
        times = self.at
        if times.shape != (length,):
            raise ClipError(f"{self.name}: {times.numel()} times for {length} frames; one time a frame is needed")
        if length > 1 and not bool((times.diff() > 0).all()):
            raise ClipError(f"{self.name}: the times do not increase; each frame must begin after the one before it")
        if self.end is None:
            object.__setattr__(self, "end", float(times[-1]) + 1.0)
        if self.fps <= 0 or not self.duration > float(times[-1] - times[0]):
            raise ClipError(f"{self.name}: the last frame ends before it begins, or the rate is not positive")

    @property
    def at(self) -> Float[Tensor, " T"]:
        """The times (T,), in frames, float64."""
        assert self.times is not None  # set in __post_init__
        return self.times

    @property
    def durations(self) -> Float[Tensor, " T"]:
        """How long each frame is shown (T,), in frames."""
        assert self.end is not None  # set in __post_init__
        return torch.cat([self.at, torch.tensor([self.end], dtype=torch.float64)]).diff()

    @property
    def duration(self) -> float:
        """From the first frame's beginning to the last frame's end, in frames."""
        assert self.end is not None  # set in __post_init__
        return self.end - float(self.at[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.frames.shape[-2], self.frames.shape[-1]

    def __len__(self) -> int:
        return self.frames.shape[0]

    def __getitem__(self, frames: slice) -> "VideoClip":
        """A part of the clip, as Python slices; times keep their values."""
        index = range(len(self))[frames]
        if len(index) == 0 or index.step <= 0:
            raise ClipError(f"{self.name}: frames {frames.start}:{frames.stop} are none of its {len(self)} frames")
        rows = list(index)
        ends = (self.at + self.durations)[rows[-1]]
        return replace(
            self,
            frames=self.frames[rows],
            alpha=None if self.alpha is None else self.alpha[rows],
            times=self.at[rows],
            end=float(ends),
        )

    def rgb(self) -> Float[Tensor, "T 3 H W"]:
        """The colours as three channels, whatever the clip holds."""
        return self.frames.expand(-1, 3, -1, -1) if self.frames.shape[1] == 1 else self.frames

    def over(self, background: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Float[Tensor, "T 3 H W"]:
        """The clip composited onto one colour (black by default)."""
        if self.alpha is None:
            return self.rgb()
        colour = torch.tensor(background, dtype=self.frames.dtype).view(1, 3, 1, 1)
        return self.rgb() * self.alpha + colour * (1 - self.alpha)


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """What a model is trained on: B windows of T frames, cut from the clips of a source."""

    frames: UInt8[Tensor, "B T C H W"]
    """RGB over black (C = 3) or premultiplied RGBA (C = 4), 0-255, on the model's device."""
    times: Float[Tensor, "B T"]
    """When each frame begins, in frames; float64."""
    factors: Mapping[str, Tensor]
    """For each factor of the source the index of its value, (B,) int64; ``action`` is always one of them."""
    companion: "ClipBatch | None" = None
    """Windows of clips of the same content, which that is to be read from; None: it is read from these."""

    def to(self, device: torch.device) -> "ClipBatch":
        """The batch on `device`."""
        factors = {name: value.to(device, non_blocking=True) for name, value in self.factors.items()}
        frames, times = (value.to(device, non_blocking=True) for value in (self.frames, self.times))
        return ClipBatch(frames, times, factors, self.companion and self.companion.to(device))

    def inputs(self) -> tuple[Any, ...]:
        """The batch as a model's `forward` takes it, then its companion likewise."""
        return self.frames, self.times, dict(self.factors), *(self.companion.inputs() if self.companion else ())
