"""Windows in the company of others that show the same content: who is seen, and from where, is then told by the data.

What is read from another clip of the same person cannot tell what this one does.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from kinema.clip import ClipBatch
from kinema.data.coordinates import CoordinateBatch, CoordinateSource
from kinema.data.relabelled import Relabelled
from kinema.data.source import Source


def same_content(source: Source | Relabelled) -> Int[Tensor, " N"]:
    """A number for each clip, the same where identity and all content factors are: what a swap keeps."""
    rows = [source.identity.cpu(), *(source.labels[name].cpu() for name in source.content)]
    return torch.stack(rows, 1).unique(dim=0, return_inverse=True)[1]


class Accompanied:
    """`source`, each window with that of a clip of the same `group` (N,), be it another one or its own.

    Which one is told by the number of the window's beginning, so there are as many more of these.
    """

    def __init__(self, source: Source | Relabelled | CoordinateSource, group: Int[Tensor, " N"]) -> None:
        self.source: Any = source
        sizes = group.bincount()
        self.order = group.argsort(stable=True)
        self.first, self.sizes = (sizes.cumsum(0) - sizes)[group], sizes[group]

    def __len__(self) -> int:
        return len(self.source)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        rooms = self.source.rooms(anywhere)
        return rooms * self.sizes.to(rooms.device)

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> ClipBatch | CoordinateBatch:
        """Windows, and in `companion` those of clips of the same content, begun as late as there is room."""
        sizes = self.sizes[clips]
        begun, other = start // sizes, self.order[self.first[clips] + start % sizes]
        late = begun % self.source.rooms(True).to(other.device)[other]
        return replace(self.source.window(clips, begun), companion=self.source.window(other, late))

    def to(self, device: torch.device) -> "Accompanied":
        moved = copy.copy(self)
        moved.source = self.source.to(device)
        for name in ("order", "first", "sizes"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def nbytes(self) -> int:
        return self.source.nbytes()
