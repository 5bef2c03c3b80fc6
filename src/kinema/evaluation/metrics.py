"""How near two clips are, how sure and how varied a judge's opinions are, and how far chance moves a mean.

Clips are (B, T, C, H, W) in [0, 1]. Four channels are premultiplied RGBA, whose first three are the picture over
black; only these are compared.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from kinema.errors import ClipError

PSNR_CAP = 100.0
"""What an identical frame scores, in dB; its true PSNR is infinite."""
C1, C2 = 0.01**2, 0.03**2
"""Constants of structural similarity for the range 1."""

Clips = Float[Tensor, "B T C H W"]


def mse(shown: Clips, truth: Clips) -> Float[Tensor, " B"]:
    """Mean squared error of each clip, over its frames, pixels and three colours, for values in [0, 1]."""
    return _frame_errors(shown, truth).mean(1)


def psnr(shown: Clips, truth: Clips) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio in dB, peak 1: computed per frame, then averaged over the frames of each clip.

    A frame without error counts as `PSNR_CAP`, so one such frame lifts a mean noticeably; `mse` is free of that.
    """
    return -10 * _frame_errors(shown, truth).clamp(min=10 ** (-PSNR_CAP / 10)).log10().mean(1)


def ssim(shown: Clips, truth: Clips) -> Float[Tensor, " B"]:
    """Structural similarity, per frame, averaged over the frames of each clip (Wang et al. 2004, eq. 13).

    Gaussian window of 11 x 11 pixels (sigma 1.5), K1 = .01, K2 = .03, range 1. As in that paper and in scikit-image,
    only windows that lie wholly inside the frame count. Raises ClipError for frames smaller than one window.
    """
    if min(shown.shape[-2:]) < 11:
        raise ClipError(f"frames of {shown.shape[-2]} x {shown.shape[-1]} pixels: structural similarity needs 11 x 11")
    x, y = shown[:, :, :3], truth[:, :, :3]
    down, across = _gaussian_windows(x.shape[-2]).to(x), _gaussian_windows(x.shape[-1]).to(x)

    def local_mean(values: Tensor) -> Tensor:
        return down @ values @ across.T

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance = local_mean(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return (light * (2 * covariance + C2) / (variance + C2)).mean((1, 2, 3, 4))


def intra_entropy(probabilities: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """H(y|x) in nats: the mean entropy of the judge's opinion of one clip; low where each clip is clear."""
    return torch.special.entr(probabilities).sum(1).mean()


def inter_entropy(probabilities: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """H(y) in nats: the entropy of the mean opinion; ln K where all K classes appear equally often."""
    return torch.special.entr(probabilities.mean(0)).sum()


def inception_score(probabilities: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """exp(H(y) - H(y|x)), between 1 and K (Barratt and Sharma 2018)."""
    return (inter_entropy(probabilities) - intra_entropy(probabilities)).exp()


def bootstrap_interval(values: Float[Tensor, " N"], seed: int, n: int = 1000) -> tuple[float, float]:
    """The 95 % interval of the mean of `values`, from the percentiles of `n` resamples (Efron 1979)."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(values), (n, len(values)), generator=generator)
    low, high = values.cpu()[chosen].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return low, high


def _frame_errors(shown: Clips, truth: Clips) -> Float[Tensor, "B T"]:
    return (shown[:, :, :3] - truth[:, :, :3]).square().mean((2, 3, 4))


def _gaussian_windows(size: int) -> Float[Tensor, "W size"]:
    """Each row weighs the pixels of one window along an axis; two matrix products are far faster than a convolution."""
    taps = torch.exp(-0.5 * (torch.arange(-5, 6) / 1.5) ** 2)
    return torch.stack([functional.pad(taps / taps.sum(), (k, size - 11 - k)) for k in range(size - 10)])
