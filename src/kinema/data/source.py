"""What every source of clips offers: the factors that made each clip, windows for training, and the truth.

A source is a torch Dataset whose items are `VideoClip`; models are trained on `window` (many clips at once, uint8) and
judged against `truth` (what a perfect swap would show), which only a source that can render has.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from kinema.clip import ClipBatch, VideoClip


class Source(Dataset):
    """Clips of one split, with their factors.

    Attributes are set by the subclass; `factors` maps a factor's name to the names of its values, in index order, and
    `labels` maps it to the index that each clip has (N,). ``action`` is always a factor. `content` names the factors
    that a swap keeps (appearance, direction), `identity` numbers who is seen (N,): splits never part an identity.
    """

    name: str
    split: str
    factors: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Int[Tensor, " N"]]
    content: tuple[str, ...]
    identity: Int[Tensor, " N"]
    channels: int
    """3: RGB over black. 4: premultiplied RGBA."""
    size: tuple[int, int]
    """Height and width, in pixels."""
    length: int
    """Frames of a training window."""
    stride: int = 1
    """Frames of the clip from one frame of a window to the next."""
    fps: float
    periodic: bool
    """Whether a clip is one whole cycle, so that a window may begin anywhere in it and wrap around."""
    credits: tuple[str, ...] = ()
    judging: str = "train"
    """The split that a judge learns from, which may hold other people than those that models learn from."""

    @property
    def actions(self) -> tuple[str, ...]:
        return self.factors["action"]

    def __len__(self) -> int:
        return self.identity.shape[0]

    @abstractmethod
    def __getitem__(self, index: int) -> VideoClip:
        """Clip number `index`, whole."""

    @abstractmethod
    def frame_counts(self) -> Int[Tensor, " N"]:
        """How many frames each clip has (N,)."""

    @abstractmethod
    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        """The frames `steps[b]` of clip `clips[b]`; a periodic source takes steps modulo the cycle."""

    def times(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """When those frames begin, in frames."""
        del clips
        return steps.double()

    @property
    def span(self) -> int:
        """Frames of the clip that a window reaches over."""
        return 1 + (self.length - 1) * self.stride

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """At how many frames a window of each clip may begin: `anywhere` in a cycle or at its first frame alone; in a
        film wherever there is room."""
        counts = self.frame_counts()
        if self.periodic:
            return counts if anywhere else torch.ones_like(counts)
        return (counts - self.span + 1).clamp(min=1)

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> ClipBatch:
        """Windows of `length` frames of the clips `clips`, beginning at frame `start[b]`."""
        steps = start[:, None] + self.stride * torch.arange(self.length, device=start.device)
        times = self.times(clips, steps)
        labels = {name: value.to(clips.device)[clips] for name, value in self.labels.items()}
        return ClipBatch(self.frames(clips, steps), times - times[:, :1], labels)

    def to(self, device: torch.device) -> "Source":
        """The source with its frames on `device`, where it keeps any; otherwise itself."""
        del device
        return self

    def nbytes(self) -> int:
        """Memory that `to` would need, in bytes."""
        return 0


class TruthSource(Source):
    """A source that can render any factors at any time, and so knows what a perfect swap shows."""

    @abstractmethod
    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Clip `content`'s appearance and direction doing what clip `motion` does, at times counted from its start.

        Sources of real drawings know whole times only and raise ClipError for others.
        """

    @abstractmethod
    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """The clip with these factors, every factor of the source given by the index of its value."""
