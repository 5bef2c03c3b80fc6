from dataclasses import replace

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from kinema.maths.mixture import MOST, Mixture, fit_mixture


def known(count=3, n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(count, n, n, generator=generator, dtype=torch.float64).tril()
    factors.diagonal(dim1=-2, dim2=-1).abs_().add_(0.3)
    means = 8 * torch.randn(count, n, generator=generator, dtype=torch.float64)
    weights = torch.rand(count, generator=generator, dtype=torch.float64) + 0.3
    return Mixture(weights / weights.sum(), means, factors)


def reference(mixture):
    return MixtureSameFamily(
        Categorical(mixture.weights), MultivariateNormal(mixture.means, scale_tril=mixture.factors)
    )


def test_the_density_is_that_of_torch():
    mixture = known(4, 3)
    x = 5 * torch.randn(50, 3, dtype=torch.float64)
    assert_close(mixture.log_prob(x), reference(mixture).log_prob(x))


def test_samples_have_the_mean_and_the_covariance():
    mixture = known()
    x = mixture.sample(200_000, torch.Generator().manual_seed(1))
    assert_close(x.mean(0), reference(mixture).mean, atol=0.06, rtol=0)
    assert_close(x.var(0), reference(mixture).variance, atol=0, rtol=0.03)


def test_fitting_finds_what_the_points_came_from():
    apart = torch.tensor([[-12.0, 0.0], [0.0, 9.0], [12.0, -3.0]], dtype=torch.float64)
    mixture = replace(known(), means=apart)
    x = mixture.sample(20_000, torch.Generator().manual_seed(2))
    found = fit_mixture(x, 3, seed=0)
    order, expected = found.means[:, 0].argsort(), mixture.means[:, 0].argsort()
    assert_close(found.means[order], mixture.means[expected], atol=0.1, rtol=0)
    assert_close(found.weights[order], mixture.weights[expected], atol=0.02, rtol=0)
    covariances = [m.factors @ m.factors.mT for m in (found, mixture)]
    assert_close(covariances[0][order], covariances[1][expected], atol=0.15, rtol=0.1)


def test_every_round_raises_the_likelihood():
    x = known(5, 2, seed=3).sample(3000, torch.Generator().manual_seed(3))
    means = [fit_mixture(x, 4, seed=1, rounds=rounds).log_prob(x).mean().item() for rounds in (0, 1, 3, 10, 40)]
    assert means == sorted(means)


def test_one_component_is_the_gaussian_of_the_points():
    x = known(1, 4).sample(5000, torch.Generator().manual_seed(4))
    found = fit_mixture(x, 1, seed=0)
    assert_close(found.means[0], x.mean(0))
    covariance = torch.cov(x.T, correction=0)
    assert_close((found.factors @ found.factors.mT)[0], covariance, atol=2e-4, rtol=0)


def test_more_components_than_allowed_are_refused():
    with pytest.raises(ValueError, match="65 components"):
        fit_mixture(torch.randn(100, 2), MOST + 1, seed=0)
    with pytest.raises(ValueError, match="1 to 2"):
        fit_mixture(torch.randn(2, 2), 3, seed=0)


def test_equal_points_are_no_crash():
    found = fit_mixture(torch.ones(10, 2), 3, seed=0)
    assert_close(found.sample(5, torch.Generator().manual_seed(0)), torch.ones(5, 2).double(), atol=0.1, rtol=0)
