"""Who says what a clip shows, and how far they can be trusted."""

import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import TruthSource
from kinema.evaluation.nearest import folded, squared_distances
from kinema.evaluation.windows import batched, draw_windows


@runtime_checkable
class Judge(Protocol):
    """Reads every factor of a source off a clip."""

    def read(self, frames: UInt8[Tensor, "B T C H W"], times: Float[Tensor, "B T"]) -> Mapping[str, Int[Tensor, " B"]]:
        """For each factor the index of its value in each clip; times count from the start of the motion's own clip."""
        ...


class NearestRendering:
    """The exact judge of generated clips: the factors of the true rendering that is nearest in squared error.

    Every combination of the source's factors is rendered at the times of the clips, so a clip is judged against all
    that it could have been. A true rendering is always read rightly, unless another combination looks just the same.
    """

    def __init__(self, source: TruthSource) -> None:
        self.source = source
        self.sizes = tuple(len(names) for names in source.factors.values())

    def read(self, frames: UInt8[Tensor, "B T C H W"], times: Float[Tensor, "B T"]) -> dict[str, Int[Tensor, " B"]]:
        """As `Judge.read`. Takes float32 memory of clips x combinations and 128 MiB."""
        times = folded(self.source, times)
        nearest = squared_distances(frames, times, math.prod(self.sizes), self._show).argmin(1)
        return self._factors(nearest)

    def _factors(self, combinations: Int[Tensor, " N"]) -> dict[str, Int[Tensor, " N"]]:
        return dict(zip(self.source.factors, torch.unravel_index(combinations, self.sizes), strict=True))

    def _show(self, combinations: Int[Tensor, " N"], times: Float[Tensor, "N U"]) -> UInt8[Tensor, "N U C H W"]:
        return self.source.render(self._factors(combinations), times)


def audit(
    judge: Judge, source: TruthSource, clips: int, seed: int, threshold: float = 0.9995
) -> dict[str, float | bool]:
    """How often a judge is right about each factor of clips it has not learned from: `source` is the held-out split.

    ``real/FACTOR`` is its accuracy on windows of `clips` random clips, ``swap/FACTOR`` on as many true swaps, where the
    content is one clip's and the rest another's. ``fit`` says whether all reach `threshold`; a judge that is not fit
    must not judge a model.
    """
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(len(source), (clips,), generator=generator) for _ in range(2))
    windows = draw_windows(source, b, generator)
    swapped = batched(source.truth, a, b, windows.times())
    of_real, of_swaps = judge.read(windows.frames(), windows.times()), judge.read(swapped, windows.times())
    accuracies = {}
    for factor, labels in source.labels.items():
        origin = a if factor in source.content else b
        accuracies[f"real/{factor}"] = (of_real[factor] == labels.cpu()[b]).double().mean().item()
        accuracies[f"swap/{factor}"] = (of_swaps[factor] == labels.cpu()[origin]).double().mean().item()
    return {**accuracies, "fit": min(accuracies.values()) >= threshold}
