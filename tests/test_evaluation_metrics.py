import numpy as np
import pytest
import torch
from scipy.stats import entropy
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.testing import assert_close

from kinema.errors import ClipError
from kinema.evaluation.metrics import (
    PSNR_CAP,
    bootstrap_interval,
    inception_score,
    inter_entropy,
    intra_entropy,
    mse,
    psnr,
    ssim,
)


def clips(seed, noise, channels=3):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(2, 4, channels, 24, 20, generator=generator)
    shown = (truth + noise * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    return shown, truth


def test_psnr_is_the_mean_over_frames_of_scikit_image():
    shown, truth = clips(0, 0.1)
    expected = [
        np.mean([peak_signal_noise_ratio(y.numpy(), x.numpy(), data_range=1.0) for x, y in zip(a, b, strict=True)])
        for a, b in zip(shown, truth, strict=True)
    ]
    assert_close(psnr(shown, truth), torch.tensor(expected, dtype=torch.float32), rtol=1e-5, atol=0)


def test_ssim_equals_scikit_image():
    shown, truth = clips(1, 0.1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [
        np.mean(
            [structural_similarity(x.numpy(), y.numpy(), channel_axis=0, **options) for x, y in zip(a, b, strict=True)]
        )
        for a, b in zip(shown, truth, strict=True)
    ]
    assert_close(ssim(shown, truth), torch.tensor(expected, dtype=torch.float32), rtol=1e-4, atol=1e-5)


def test_identical_clips_score_perfectly():
    _, truth = clips(2, 0.0)
    assert_close(mse(truth, truth), torch.zeros(2))
    assert_close(psnr(truth, truth), torch.full((2,), PSNR_CAP))
    assert_close(ssim(truth, truth), torch.ones(2))


def test_a_known_error_gives_the_known_figures():
    black, grey = torch.zeros(1, 2, 3, 16, 16), torch.full((1, 2, 3, 16, 16), 0.1)
    assert mse(black, grey).item() == pytest.approx(0.01, rel=1e-5)
    assert psnr(black, grey).item() == pytest.approx(20.0, rel=1e-5)


def test_only_the_colours_of_rgba_are_compared():
    shown, truth = clips(3, 0.1, channels=4)
    for measure in (mse, psnr, ssim):
        assert_close(measure(shown, truth), measure(shown[:, :, :3], truth[:, :, :3]))


def test_entropies_equal_scipy():
    probabilities = torch.rand(50, 7, generator=torch.Generator().manual_seed(4)).double() ** 4
    probabilities /= probabilities.sum(1, keepdim=True)
    table = probabilities.numpy()
    assert intra_entropy(probabilities).item() == pytest.approx(entropy(table, axis=1).mean())
    assert inter_entropy(probabilities).item() == pytest.approx(entropy(table.mean(0)))
    divergence = np.mean([entropy(row, table.mean(0)) for row in table])
    assert inception_score(probabilities).item() == pytest.approx(np.exp(divergence))


def test_sure_and_balanced_opinions_give_the_highest_inception_score():
    sure = torch.eye(9).repeat(5, 1)
    assert intra_entropy(sure).item() == 0
    assert inception_score(sure).item() == pytest.approx(9, rel=1e-5)


def test_the_bootstrap_interval_is_that_of_the_normal_law():
    values = torch.randn(4000, generator=torch.Generator().manual_seed(5))
    low, high = bootstrap_interval(values, seed=0)
    half_width = 1.96 * values.std().item() / 4000**0.5
    assert low == pytest.approx(values.mean().item() - half_width, abs=0.15 * half_width)
    assert high == pytest.approx(values.mean().item() + half_width, abs=0.15 * half_width)
    assert bootstrap_interval(values, seed=0) == (low, high)


def test_frames_too_small_for_structural_similarity_are_refused():
    with pytest.raises(ClipError, match="10 x 16"):
        ssim(torch.zeros(1, 2, 3, 10, 16), torch.zeros(1, 2, 3, 10, 16))
