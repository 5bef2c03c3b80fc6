"""What training asks of any source, of pictures or of motion: windows, and batches of them."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor


@runtime_checkable
class Batch(Protocol):
    """What a model is trained on in one step."""

    def to(self, device: torch.device) -> "Batch": ...

    def inputs(self) -> tuple[Any, ...]:
        """The batch as a model's `forward` takes it: tensors and mappings of tensors."""
        ...


@runtime_checkable
class WindowSource(Protocol):
    """A source of windows, numbered from 0."""

    def __len__(self) -> int: ...

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """At how many frames each window may begin; fewer, where there is a choice, unless `anywhere`."""
        ...

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> Batch:
        """The windows `clips`, each begun `start` frames late."""
        ...

    def to(self, device: torch.device) -> "WindowSource":
        """The source with its frames on `device`, where it keeps any."""
        ...

    def nbytes(self) -> int:
        """Memory that `to` would need, in bytes."""
        ...
