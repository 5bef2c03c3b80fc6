import math
from itertools import product

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal
from torch.testing import assert_close

from kinema.maths.factorial_mixture import FactorialMixture, _noise, fit_factorial

SETS, VALUES, N = 3, 3, 4


def known(noise=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(SETS, VALUES, N, generator=generator, dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.3, 0.3, 0.4]], dtype=torch.float64)
    factor = noise * torch.eye(N, dtype=torch.float64)
    factor[1, 0] = noise
    return FactorialMixture(weights, centres, torch.arange(N, dtype=torch.float64), factor)


def written_out(mixture):
    """The same distribution as a mixture of K^G Gaussians, by torch."""
    choices = list(product(range(VALUES), repeat=SETS))
    means = [mixture.mean + sum(mixture.centres[g, k] for g, k in enumerate(choice)) for choice in choices]
    weights = [math.prod(float(mixture.weights[g, k]) for g, k in enumerate(choice)) for choice in choices]
    gaussians = MultivariateNormal(torch.stack(means), scale_tril=mixture.factor.expand(len(choices), -1, -1))
    return MixtureSameFamily(Categorical(torch.tensor(weights, dtype=torch.float64)), gaussians)


def test_samples_have_the_moments_of_the_mixture_written_out():
    x = known(noise=0.5).sample(200_000, torch.Generator().manual_seed(1))
    reference = written_out(known(noise=0.5))
    assert_close(x.mean(0), reference.mean, atol=0.02, rtol=0)
    assert_close(x.var(0), reference.variance, atol=0, rtol=0.02)


def test_what_the_points_came_from_is_found():
    x = known().sample(1500, torch.Generator().manual_seed(2))
    found, _ = fit_factorial(x, torch.zeros(N), SETS, VALUES, seed=0)
    fresh = known().sample(4000, torch.Generator().manual_seed(3))
    best, mine = written_out(known()).log_prob(fresh).mean(), written_out(found).log_prob(fresh).mean()
    assert best - mine < 0.1
    shuffled = fresh[:, torch.randperm(N, generator=torch.Generator().manual_seed(4))]
    assert written_out(found).log_prob(shuffled).mean() < best - 10


def test_the_bound_is_below_the_likelihood_and_close_to_it():
    x = known().sample(1500, torch.Generator().manual_seed(2))
    found, bound = fit_factorial(x, torch.zeros(N), SETS, VALUES, seed=0)
    exact = written_out(found).log_prob(x).mean().item()
    assert exact - 0.05 < bound <= exact + 1e-3


def test_the_bound_tells_the_number_of_sets():
    x = known().sample(1500, torch.Generator().manual_seed(2))
    variance = torch.full((N,), 0.05**2)
    bounds = {sets: fit_factorial(x, variance, sets, VALUES, seed=0)[1] for sets in (1, 2, 3, 4)}
    assert max(bounds, key=lambda sets: bounds[sets]) == SETS


def test_the_fit_grows_with_the_points():
    x = known().sample(900, torch.Generator().manual_seed(5))
    variance = torch.full((N,), 1e-3)
    (first, bound), (second, other) = (fit_factorial(y, v, 2, 3, 0) for y, v in ((x, variance), (4 * x, 16 * variance)))
    assert_close(4 * first.centres, second.centres, atol=1e-6, rtol=1e-6)
    assert bound - N * math.log(4) == pytest.approx(other, abs=1e-6)


def test_dimensions_that_do_not_vary_are_left_alone():
    x = known().sample(900, torch.Generator().manual_seed(6))
    wide = torch.cat([x, 1e-4 * torch.randn(len(x), 5, generator=torch.Generator().manual_seed(7))], 1)
    narrow, bound = fit_factorial(x, torch.zeros(N), SETS, VALUES, 0)
    found, other = fit_factorial(wide, torch.zeros(N + 5), SETS, VALUES, 0)
    assert_close(found.centres[..., :N], narrow.centres, atol=1e-9, rtol=0)
    assert found.centres[..., N:].abs().max() < 1e-3
    assert bound == pytest.approx(other)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="3 sets of 3 vectors for 8 points"):
        fit_factorial(torch.zeros(8, 2), torch.zeros(2), 3, 3, 0)


def test_the_noise_is_the_mean_over_all_choices():
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(5, N, generator=generator, dtype=torch.float64)
    q = torch.randn(5, SETS, VALUES, generator=generator, dtype=torch.float64).softmax(2)
    centres = known().centres
    expected = torch.zeros(N, N, dtype=torch.float64)
    for choice in product(range(VALUES), repeat=SETS):
        apart = x - sum(centres[g, k] for g, k in enumerate(choice))
        share = math.prod(q[:, g, k] for g, k in enumerate(choice))
        expected += (apart * share[:, None]).T @ apart / len(x)
    assert_close(_noise(q.flatten(1), centres.flatten(0, 1), x, SETS), expected)
