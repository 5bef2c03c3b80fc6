"""Gaussians against torch.distributions."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from kinema.maths.gaussian import Gaussian, negative_log_likelihood


@pytest.fixture
def gaussian():
    g = torch.Generator().manual_seed(0)
    return Gaussian(*(torch.randn(4, 3, 5, dtype=torch.float64, generator=g) for _ in range(2)))


def reference(gaussian):
    return Independent(Normal(gaussian.mean, (0.5 * gaussian.logvar).exp()), 1)


def test_kl_is_the_divergence_from_the_standard_normal(gaussian):
    prior = Independent(Normal(torch.zeros_like(gaussian.mean), torch.ones_like(gaussian.mean)), 1)
    torch.testing.assert_close(gaussian.kl(), kl_divergence(reference(gaussian), prior))


def test_kl_of_the_prior_is_zero_and_of_nothing_else():
    zero = torch.zeros(1, 4)
    assert float(Gaussian(zero, zero).kl()) == 0
    assert float(Gaussian(zero + 0.1, zero).kl()) > 0
    assert float(Gaussian(zero, zero - 0.1).kl()) > 0


@pytest.mark.parametrize("std", [0.05, 1.0, 3.0])
def test_negative_log_likelihood_is_the_normals(std):
    g = torch.Generator().manual_seed(1)
    x, mean = (torch.rand(6, 40, dtype=torch.float64, generator=g) for _ in range(2))
    expected = -Normal(mean, std).log_prob(x).sum(-1)
    torch.testing.assert_close(negative_log_likelihood((x - mean).square().sum(-1), 40, std), expected)


def test_samples_have_the_mean_and_the_variance():
    torch.manual_seed(0)
    count = 40_000
    mean, logvar = torch.tensor([-2.0, 0.0, 3.0]), torch.tensor([-4.0, 0.0, 2.0])
    draws = Gaussian(mean.expand(count, -1), logvar.expand(count, -1)).sample()
    std = (0.5 * logvar).exp()
    assert bool(((draws.mean(0) - mean).abs() < 5 * std / count**0.5).all())
    assert bool((draws.var(0).log() - logvar).abs().max() < 5 * (2 / count) ** 0.5)


def test_samples_are_reparametrised():
    """The gradient of a draw: 1 for the mean, half the deviation for the log-variance."""
    mean, logvar = torch.ones(1, 3, requires_grad=True), torch.full((1, 3), -1.0, requires_grad=True)
    draw = Gaussian(mean, logvar).sample()
    for_mean, for_logvar = torch.autograd.grad(draw.sum(), (mean, logvar))
    torch.testing.assert_close(for_mean, torch.ones(1, 3))
    torch.testing.assert_close(for_logvar, 0.5 * (draw - mean).detach())


def test_nll_is_the_normals(gaussian):
    x = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(gaussian.nll(x), -reference(gaussian).log_prob(x))
