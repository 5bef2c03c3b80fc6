"""Parts of one long tensor joined as they are made, where all of them twice would not fit into memory."""

from collections.abc import Iterable

import torch
from jaxtyping import Shaped
from torch import Tensor


def joined(parts: Iterable[Shaped[Tensor, "_ *n"]], rows: int) -> Shaped[Tensor, "N *n"]:
    """`torch.cat` of parts that have so many `rows` together, no more than two of which are kept at a time."""
    whole, start = torch.empty(0), 0
    for part in parts:
        if not start:
            whole = part.new_empty(rows, *part.shape[1:])
        whole[start : start + len(part)] = part
        start += len(part)
    return whole
