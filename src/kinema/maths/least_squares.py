"""Linear least squares over more rows than memory holds (ridge regression: Hoerl and Kennard 1970)."""

import torch
from jaxtyping import Float
from torch import Tensor


class LeastSquares:
    """min over W of the sum over rows of |a W - b|^2, from sums of products of the rows."""

    def __init__(self, inputs: int, outputs: int, like: Tensor) -> None:
        """Rows a of `inputs` numbers and b of `outputs`, of the type and on the device of `like`."""
        self.gram, self.cross = like.new_zeros(inputs, inputs), like.new_zeros(inputs, outputs)

    def add(self, a: Float[Tensor, "N i"], b: Float[Tensor, "N o"]) -> None:
        """Take in rows."""
        self.gram.addmm_(a.mT, a)
        self.cross.addmm_(a.mT, b)

    def solve(self, damping: float) -> Float[Tensor, "i o"]:
        """W, with `damping` times the mean square of an input added to the cost of every squared weight; zeros where no
        row was taken in, or none but zeros."""
        scale = self.gram.diagonal().mean()
        if not scale > 0:
            return torch.zeros_like(self.cross)
        priced = self.gram + damping * scale * torch.eye(len(self.gram), dtype=scale.dtype, device=scale.device)
        return torch.cholesky_solve(self.cross, torch.linalg.cholesky(priced))
