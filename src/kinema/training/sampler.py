"""What each step draws, as a function of (seed, step, rank) alone: nothing to save, nothing to skip when resuming."""

import hashlib
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor


def fold(seed: int, *parts: int | str) -> int:
    """A 63-bit seed from a seed and the parts that name a draw; the same on every machine and in every version."""
    digest = hashlib.blake2b(repr((seed, *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@lru_cache(maxsize=2)
def permutation(count: int, seed: int, epoch: int) -> Int[Tensor, " N"]:
    """The order of `count` clips in an epoch; not to be written to."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(fold(seed, "epoch", epoch)))


class StepSampler:
    """The clips and the window starts of every step.

    The epochs, each its own permutation of the `count` clips, are laid end to end; step s of all ranks together is the
    s-th run of ``batch * world`` of them, and rank r takes the r-th run of `batch` in it. So the clips of a step depend
    on the global batch, not on how many processes share it.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world

    def clips(self, step: int) -> Int[Tensor, " B"]:
        """The numbers of this rank's clips (batch,)."""
        first = (step * self.world + self.rank) * self.batch
        last = first + self.batch - 1
        epochs = range(first // self.count, last // self.count + 1)
        order = torch.cat([permutation(self.count, self.seed, epoch) for epoch in epochs])
        return order.narrow(0, first % self.count, self.batch).clone()

    def draw(self, step: int, high: Int[Tensor, " B"] | int) -> Int[Tensor, " B"]:
        """For each clip of the batch a number from 0 to `high` - 1, uniform, on the device of `high`."""
        generator = torch.Generator().manual_seed(fold(self.seed, "draw", step, self.rank))
        share = torch.rand(self.batch, generator=generator, dtype=torch.float64)
        if isinstance(high, Tensor):
            share = share.to(high.device, non_blocking=True)
        return (share * high).long()
