"""A source whose clips bear other labels, and are drawn as before: a source may draw its clips from its own labels."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from kinema.clip import ClipBatch
from kinema.data.source import Source


class Relabelled:
    """`source` with `label` (N,) in the place of the factor `name`, in training windows and in `labels`."""

    def __init__(self, source: Source, name: str, label: Int[Tensor, " N"]) -> None:
        self.source, self.changed = source, name
        self.labels = {**source.labels, name: label}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def __len__(self) -> int:
        return len(self.source)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        return self.source.rooms(anywhere)

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> ClipBatch:
        """As `Source.window`."""
        batch = self.source.window(clips, start)
        label = self.labels[self.changed].to(clips.device)[clips]
        return ClipBatch(batch.frames, batch.times, {**batch.factors, self.changed: label})

    def to(self, device: torch.device) -> "Relabelled":
        return Relabelled(self.source.to(device), self.changed, self.labels[self.changed].to(device))

    def nbytes(self) -> int:
        return self.source.nbytes()
