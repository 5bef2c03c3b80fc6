"""The clips of a source with every frame already in other coordinates, so that training needs no pictures."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.data.joined import joined
from kinema.data.relabelled import Relabelled
from kinema.data.source import Source

CHUNK = 64
"""Clips that are changed at once."""


@dataclass(frozen=True, eq=False)
class CoordinateBatch:
    """As `ClipBatch`, its frames in other coordinates."""

    frames: Float[Tensor, "B T n"]
    times: Float[Tensor, "B T"]
    factors: Mapping[str, Tensor]
    companion: "CoordinateBatch | None" = None

    def to(self, device: torch.device) -> "CoordinateBatch":
        factors = {name: value.to(device, non_blocking=True) for name, value in self.factors.items()}
        frames, times = (value.to(device, non_blocking=True) for value in (self.frames, self.times))
        return CoordinateBatch(frames, times, factors, self.companion and self.companion.to(device))

    def inputs(self) -> tuple[Any, ...]:
        return self.frames, self.times, dict(self.factors), *(self.companion.inputs() if self.companion else ())


class CoordinateSource:
    """Windows of `source`, as training asks for them; `enter` brings uint8 frames (N, C, H, W) to coordinates."""

    def __init__(self, source: Source | Relabelled, enter: Callable[[Tensor], Tensor]) -> None:
        self.source = source
        counts = source.frame_counts().cpu()
        self.counts, self.offsets = counts, counts.cumsum(0) - counts
        steps = torch.arange(int(counts.max()))

        def known(clips: Int[Tensor, " B"]) -> Float[Tensor, "M n"]:
            inside = steps < counts[clips, None]
            shown = source.frames(clips, torch.minimum(steps, counts[clips, None] - 1))
            return enter(shown[inside.to(source.identity.device)])

        self.coordinates = joined(map(known, torch.arange(len(source)).split(CHUNK)), int(counts.sum()))
        self.labels = dict(source.labels)

    def __len__(self) -> int:
        return len(self.source)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        return self.source.rooms(anywhere).to(self.coordinates.device)

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> CoordinateBatch:
        """As `Source.window`."""
        steps = start[:, None] + self.source.stride * torch.arange(self.source.length, device=start.device)
        counts = self.counts[clips, None]
        inside = steps % counts if self.source.periodic else torch.minimum(steps, counts - 1)
        times = self.source.times(clips, steps).to(steps.device)
        labels = {name: value[clips] for name, value in self.labels.items()}
        return CoordinateBatch(self.coordinates[self.offsets[clips, None] + inside], times - times[:, :1], labels)

    def to(self, device: torch.device) -> "CoordinateSource":
        moved = copy.copy(self)
        for name in ("coordinates", "counts", "offsets"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.coordinates.nbytes
