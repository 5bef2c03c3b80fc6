"""How a motion is played: which times the flow is asked for, and when each of these frames is shown.

A flow knows every real time, so tempo, direction and frame rate are only a choice of times. Two clocks are told apart:
the motion's, in frames of the clip or the training data, and the file's, in frames of the result.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.clip import VideoClip
from kinema.errors import ConfigError

MAX_FRAMES = 2**20
"""The most frames that a result may have."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The times of a result's frames."""

    at: Float[Tensor, " T"]
    """The motion's time in each frame, in frames of the clip or the training data; float64."""
    shown: Float[Tensor, " T"]
    """When each frame begins, in frames of the result, from 0; float64."""
    end: float
    """When the last frame ends, in frames of the result."""
    fps: float
    """Frames of the result per second."""


@dataclass(frozen=True)
class Playback:
    """How a motion is to be played. Raises ConfigError for a number that is not positive."""

    tempo: float = 1.0
    """How much faster than the motion itself."""
    reverse: bool = False
    """Backwards."""
    fps: float | None = None
    """Frames per second of the result, each at its own time of the motion; None: the clip's or the training data's."""
    loop: float | None = None
    """After how many frames of the motion the result begins anew; None: it need not."""

    def __post_init__(self) -> None:
        given = {"--tempo": self.tempo, "--fps": self.fps, "--period": self.loop}
        for option, value in given.items():
            if value is not None and not 0 < value < math.inf:
                hint = "; --reverse plays backwards" if option == "--tempo" else ""
                raise ConfigError(f"{option} {value:g}: a positive number is needed{hint}")

    def of_picture(self, fps: float, usual: int, frames: int | None = None) -> Timeline:
        """From a picture at time 0, in data of `fps` frames a second, onwards, or backwards where that is asked for.

        It has `frames` frames; by default one loop, or as long as `usual` frames of the data last. Raises ConfigError
        where `frames` are not whole loops, or far too many.
        """
        rate = self.fps or fps
        step, usually = self._steps(fps / rate, usual * self.tempo)
        count = self._count(frames, usually)
        numbers = torch.arange(count, dtype=torch.float64)
        return Timeline((-step if self.reverse else step) * numbers, numbers, float(count), rate)

    def of_clip(self, motion: VideoClip, frames: int | None = None) -> Timeline:
        """Over a whole clip, from its beginning, or backwards from its end.

        It has `frames` frames; by default one loop, or as many as show the whole motion. Without `fps` and `loop` each
        frame lasts as long as that of the clip, divided by the tempo; else all last equally long. Beyond the clip, at
        either end, the motion goes on at one unit of time a frame. Raises ConfigError as `of_picture`.
        """
        if self.fps is None and self.loop is None:
            return self._frame_by_frame(motion, frames)
        rate = self.fps or motion.fps
        step, usually = self._steps(motion.fps / rate, motion.duration)
        count = self._count(frames, usually)
        numbers = torch.arange(count, dtype=torch.float64)
        at = motion.at[0] + step * (usually - 1 - numbers if self.reverse else numbers)
        return Timeline(at, numbers, float(count), rate)

    def _frame_by_frame(self, motion: VideoClip, frames: int | None) -> Timeline:
        """The clip's own frames, at its own times, where the tempo is 1; between them as the tempo says."""
        usually = max(1, _whole(len(motion) / self.tempo))
        numbers = torch.arange(self._count(frames, usually) + 1, dtype=torch.float64)
        edges = _edges(motion, self.tempo * (usually - numbers if self.reverse else numbers))
        shown = (edges - edges[0]).abs() / self.tempo
        return Timeline(edges[1:] if self.reverse else edges[:-1], shown[:-1], float(shown[-1]), motion.fps)

    def _steps(self, unit: float, span: float) -> tuple[float, int]:
        """The motion's time from frame to frame, and how many frames cover `span`, or make one loop.

        `unit` is that time at tempo 1. A loop has a whole number of frames: its tempo is the nearest that allows one.
        """
        step = self.tempo * unit
        if self.loop is None:
            return step, max(1, _whole(span / step))
        whole = _whole(self.loop / step)
        if whole < 2:
            raise ConfigError(
                f"--period {self.loop:g}: {whole} frames a loop at this tempo and rate, and two are needed; choose a "
                "longer --period, a slower --tempo, or more --fps"
            )
        return self.loop / whole, whole

    def _count(self, frames: int | None, usually: int) -> int:
        """`frames`, or as many as usual. Raises ConfigError where they do not close the loop, or are too many."""
        count = usually if frames is None else frames
        _whole(float(count))
        if self.loop is not None and count % usually:
            near = usually * max(1, round(count / usually))
            raise ConfigError(f"--frames {count}: a loop has {usually} frames here; whole loops close, such as {near}")
        return count


def _whole(frames: float) -> int:
    """The nearest whole number of frames. Raises ConfigError where a result may not have so many."""
    if not frames <= MAX_FRAMES:
        raise ConfigError(f"{frames:g} frames are too many; a result may have {MAX_FRAMES}")
    return round(frames)


def _edges(motion: VideoClip, number: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """When frame `number`, any real one, begins: between two frames in proportion, outside the clip a unit a frame."""
    last = len(motion)
    known = torch.cat([motion.at, motion.at[:1] + motion.duration])
    before = number.floor().clamp(0, last - 1).long()
    inside = known[before] + (number - before) * (known[before + 1] - known[before])
    outside = torch.where(number < 0, known[0] + number, known[last] + (number - last))
    return torch.where((number < 0) | (number >= last), outside, inside)
