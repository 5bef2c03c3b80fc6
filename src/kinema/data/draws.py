"""Random numbers that are a function of where they stand: the same for a clip whichever batch asks for it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""The increment and multipliers of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), as signed integers."""


def uniform(seed: int, stream: int, index: Int[Tensor, "*B"], count: int) -> Float[Tensor, "*B count"]:
    """`count` numbers in [0, 1) for every index, float64, on its device; `stream` tells uses of one seed apart."""
    use = _mix(
        _mix(torch.tensor(seed, device=index.device) * GOLDEN) + torch.tensor(stream + 1, device=index.device) * FIRST
    )
    state = _mix(use + index * GOLDEN)
    places = torch.arange(1, count + 1, device=index.device)
    return _right(_mix(state[..., None] + places * GOLDEN), 11).double() * 2.0**-53


def integers(seed: int, stream: int, index: Int[Tensor, "*B"], count: int, high: int) -> Int[Tensor, "*B count"]:
    """`count` whole numbers from 0 to `high` - 1 for every index."""
    return (uniform(seed, stream, index, count) * high).long()


def _mix(x: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
    """The finaliser of splitmix64; products wrap around, as 64 bits do."""
    x = (x ^ _right(x, 30)) * FIRST
    x = (x ^ _right(x, 27)) * SECOND
    return x ^ _right(x, 31)


def _right(x: Int[Tensor, "*B"], bits: int) -> Int[Tensor, "*B"]:
    """A shift that fills with zeros; torch's own repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
