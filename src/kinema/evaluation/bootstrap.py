"""How far chance moves a mean: over clips by resampling them, over a few seeds by Student's law."""

import math
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

CONFIDENCE = 0.95
"""The share of repetitions whose interval is to hold the true mean."""
RESAMPLES = 2000
"""Resamples of one interval; their own chance moves its ends by about 2 % of its width."""
STUDENT = (12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600)
"""The 97.5 % points of Student's law for 1, 2, ... degrees of freedom; `student_point` has the others."""


def interval_over_clips(
    values: Float[Tensor, "N *S"], seed: int, resamples: int = RESAMPLES
) -> tuple[Float[Tensor, "*S"], Float[Tensor, "*S"]]:
    """The 95 % interval of the mean over clips, from the percentiles of resampled clips (Efron 1979).

    All columns share the resamples, as frames of one clip belong together. A clip with NaN in a column is not scored
    there; a resample without any scored clip is left out, and a column without any gives NaN. Percentile intervals of
    few clips are too narrow: of 20 normal values about 92 % hold the mean.
    """
    known = ~values.isnan()
    flat = (
        values.masked_fill(~known, 0).double().flatten(1)
        if values.dim() > 1
        else values.nan_to_num(0).double()[:, None]
    )
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(values), (resamples, len(values)), generator=generator)
    weights = torch.zeros(resamples, len(values), dtype=torch.float64)
    weights.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.float64))
    means = (weights @ flat) / (weights @ known.reshape(flat.shape).double())
    tail = (1 - CONFIDENCE) / 2
    low, high = means.nanquantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return low.reshape(values.shape[1:]).to(values.dtype), high.reshape(values.shape[1:]).to(values.dtype)


def interval_over_seeds(values: Float[Tensor, " N"]) -> tuple[float, float]:
    """The 95 % interval of the mean of a few runs (Student 1908); NaN for one run, of which nothing is known."""
    count, mean = len(values), values.mean().item()
    if count < 2:
        return math.nan, math.nan
    half = student_point(count - 1) * values.std().item() / math.sqrt(count)
    return mean - half, mean + half


def student_point(freedom: int) -> float:
    """The 97.5 % point of Student's law, to 1e-3 or better (Abramowitz and Stegun 26.7.5 where the list ends)."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
