"""Factor analysis with equal noise everywhere: probabilistic principal components (Tipping and Bishop 1999).

    x = mean + W z + e,    z ~ N(0, I),    e ~ N(0, noise^2 I)

Where only some of the values of x are seen, their rows of W and of the mean give the posterior of z, which is Gaussian.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SPARE, ROUNDS = 64, 2
"""Directions beyond those wanted, and rounds of subspace iteration, of the decomposition (Halko et al. 2011)."""


def fit_factors(x: Float[Tensor, "N n"], count: int, noise: float, seed: int) -> Float[Tensor, "n f"]:
    """The most likely W of `count` factors, strongest first, for points x whose mean is zero; `noise` is given.

    Directions in which x varies no more than noise does, or that x has not, are zero (Tipping and Bishop, eq. 7).
    """
    most = min(count + SPARE, *x.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, values, vectors = torch.svd_lowrank(x, q=most, niter=ROUNDS)
    scale = (values.square() / len(x) - noise**2).clamp(min=0).sqrt()
    found = (vectors * scale)[:, :count]
    return torch.cat([found, found.new_zeros(x.shape[1], count - found.shape[1])], 1)


def refit_factors(w: Float[Tensor, "n f"], x: Float[Tensor, "N n"], share: float, noise: float) -> Float[Tensor, "n f"]:
    """The most likely W, of as many factors, where a `share` of all points are such as x and the others are as w says.

    Points of the latter have the covariance ww' + noise^2 I; none of them is needed. Strongest factors come first.
    """
    parts = torch.cat([(1 - share) ** 0.5 * w, (share / len(x)) ** 0.5 * x.mT], 1).double()
    values, vectors = torch.linalg.eigh(parts.mT @ parts)
    values, vectors = values.flip(0)[: w.shape[1]], vectors.flip(1)[:, : w.shape[1]]
    # Of the noise of all points only that of the others is beside the sum of squares whose eigenvalues these are.
    kept = (1 - share * noise**2 / values.clamp_min(torch.finfo(values.dtype).tiny)).clamp(min=0).sqrt()
    return (parts @ (vectors * kept)).to(w.dtype)


def posterior(
    gram: Float[Tensor, "*#B f f"], seen: Float[Tensor, "*#B f"], noise: float
) -> tuple[Float[Tensor, "*B f"], Float[Tensor, "*#B f"]]:
    """Mean of z given some values of x, and the log-variances of the independent Gaussian nearest to its posterior.

    `gram` is W'W of the rows of W that are seen and `seen` W'(x - mean) of these: both are sums over what is seen.
    """
    precision = gram + noise**2 * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    mean = torch.cholesky_solve(seen[..., None], torch.linalg.cholesky(precision))[..., 0]
    return mean, -(precision.diagonal(dim1=-2, dim2=-1) / noise**2).log()
