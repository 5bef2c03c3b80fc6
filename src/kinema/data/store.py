"""The frames of many clips of any lengths in one tensor, from which batches of windows are gathered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.errors import ClipError


@dataclass(frozen=True, eq=False)
class FrameStore:
    """F frames of N clips, one clip after another; all tensors on one device."""

    pixels: UInt8[Tensor, "F C H W"]
    starts: Float[Tensor, " F"]
    """When each frame begins, in frames from its clip's beginning; float64."""
    offsets: Int[Tensor, " N"]
    """Where each clip begins among the F frames."""
    counts: Int[Tensor, " N"]
    """How many frames each clip has."""
    durations: Float[Tensor, " N"]
    """How long each clip lasts, in frames; float64."""

    @staticmethod
    def of(
        clips: Sequence[UInt8[Tensor, "_T C H W"]],
        starts: Sequence[Float[Tensor, " _T"]],
        durations: Sequence[float],
    ) -> "FrameStore":
        """The store of these clips, with the times of their frames and how long they last."""
        if not clips:
            raise ClipError("no clips; at least one is needed")
        counts = torch.tensor([len(clip) for clip in clips])
        lasts = torch.tensor(durations, dtype=torch.float64)
        return FrameStore(torch.cat(list(clips)), torch.cat(list(starts)), counts.cumsum(0) - counts, counts, lasts)

    @staticmethod
    def of_cycles(pixels: UInt8[Tensor, "F C H W"], period: int) -> "FrameStore":
        """The store of clips of `period` regular frames each; `pixels` is not copied."""
        frames = torch.arange(len(pixels))
        offsets = frames[::period]
        counts = torch.full_like(offsets, period)
        return FrameStore(pixels, (frames % period).double(), offsets, counts, counts.double())

    def rows(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"], loop: bool) -> Int[Tensor, "B T"]:
        """Which of the F frames are the steps of these clips.

        Where `loop`, steps are taken modulo the clip's length; otherwise the first and last frame hold.
        """
        clips, steps = clips.to(self.pixels.device), steps.to(self.pixels.device)
        counts = self.counts[clips, None]
        inside = steps % counts if loop else torch.minimum(steps.clamp(min=0), counts - 1)
        return self.offsets[clips, None] + inside

    def frames(
        self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"], loop: bool = False
    ) -> UInt8[Tensor, "B T C H W"]:
        return self.pixels[self.rows(clips, steps, loop)]

    def times(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"], loop: bool = False) -> Float[Tensor, "B T"]:
        """When those frames begin, in frames; each turn of a loop begins where the one before it ended."""
        times = self.starts[self.rows(clips, steps, loop)]
        if not loop:
            return times
        clips, steps = clips.to(times.device), steps.to(times.device)
        return times + steps.div(self.counts[clips, None], rounding_mode="floor") * self.durations[clips, None]

    def to(self, device: torch.device) -> "FrameStore":
        names = ("pixels", "starts", "offsets", "counts", "durations")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def nbytes(self) -> int:
        """Memory of the frames, in bytes."""
        return self.pixels.nbytes
