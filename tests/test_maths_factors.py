"""Factor analysis against its textbook solution, the full posterior, and data of which the truth is known."""

import pytest
import torch
from torch.testing import assert_close

from kinema.maths.factors import fit_factors, posterior, refit_factors

NOISE = 0.1


def made(count=4000, n=12, factors=3, noise=NOISE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(n, factors, generator=generator, dtype=torch.float64)
    z = torch.randn(count, factors, generator=generator, dtype=torch.float64)
    e = torch.randn(count, n, generator=generator, dtype=torch.float64)
    return w, z, z @ w.mT + noise * e


def test_covariance_of_the_fit_is_that_of_the_data():
    w, _, x = made(count=100_000)
    found = fit_factors(x, 3, NOISE, seed=0)
    assert_close(found @ found.mT, w @ w.mT, atol=0.05, rtol=0.02)


def test_fit_is_the_eigendecomposition_of_the_textbook():
    _, _, x = made()
    values, vectors = torch.linalg.eigh(x.mT @ x / len(x))
    expected = vectors[:, -3:].flip(1) * (values[-3:].flip(0) - NOISE**2).sqrt()
    found = fit_factors(x, 3, NOISE, seed=0)
    assert_close((found * expected).sum(0).abs(), expected.square().sum(0), rtol=1e-6, atol=0)


def test_no_fit_is_likelier():
    _, _, x = made(count=300)

    def likelihood(w):
        covariance = w @ w.mT + NOISE**2 * torch.eye(len(w), dtype=w.dtype)
        zero = torch.zeros(len(w), dtype=w.dtype)
        return torch.distributions.MultivariateNormal(zero, covariance).log_prob(x).sum()

    found = fit_factors(x, 2, NOISE, seed=0)
    best, generator = likelihood(found), torch.Generator().manual_seed(1)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(10):
            moved = found + size * torch.randn(found.shape, generator=generator, dtype=found.dtype)
            assert likelihood(moved) < best


def test_factors_that_the_data_do_not_have_are_zero():
    _, _, x = made(noise=0.0)
    found = fit_factors(x, 5, 1e-3, seed=0)
    assert found.shape == (12, 5)
    assert float(found[:, 3:].abs().max()) < 1e-6
    few = fit_factors(x[:2], 5, 1e-3, seed=0)
    assert float(few[:, 2:].abs().max()) == 0


def test_the_fit_depends_on_its_seed_alone():
    _, _, x = made()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit_factors(x, 3, NOISE, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(fit_factors(x, 3, NOISE, seed=0), first)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_refit_is_the_fit_of_a_mixture_of_old_and_new(share):
    """The eigendecomposition of the mixture's covariance, of which the old part is told by w alone."""
    w, _, _ = made()
    _, _, x = made(count=40, seed=1)
    old = w @ w.mT + NOISE**2 * torch.eye(len(w), dtype=w.dtype)
    values, vectors = torch.linalg.eigh((1 - share) * old + share * x.mT @ x / len(x))
    expected = vectors[:, -3:] * (values[-3:] - NOISE**2).sqrt()
    found = refit_factors(w, x, share, NOISE)
    assert found.shape == w.shape
    assert_close(found @ found.mT, expected @ expected.mT, rtol=1e-9, atol=1e-9)
    assert (found.square().sum(0).diff() < 0).all()


def test_refit_to_all_points_is_their_fit_and_to_none_leaves_all_as_it_was():
    w, _, x = made(count=200)
    alone, fit = refit_factors(w, x, 1.0, NOISE), fit_factors(x, 3, NOISE, seed=0)
    assert_close(alone @ alone.mT, fit @ fit.mT, rtol=1e-6, atol=1e-6)
    same = refit_factors(w, x, 0.0, NOISE)
    assert_close(same @ same.mT, w @ w.mT)
    assert bool(refit_factors(torch.zeros_like(w), torch.zeros_like(x), 0.5, NOISE).isfinite().all())


def test_posterior_is_that_of_the_joint_gaussian():
    """Conditioning the joint covariance of (z, x) by Schur's complement, of some values of x."""
    w, _, x = made(count=5)
    rows = [0, 3, 4, 10]
    seen = w[rows]
    mean, logvar = posterior(seen.mT @ seen, x[:, rows] @ seen, NOISE)
    covariance = seen @ seen.mT + NOISE**2 * torch.eye(len(rows), dtype=w.dtype)
    gain = seen.mT @ torch.linalg.inv(covariance)
    assert_close(mean, x[:, rows] @ gain.mT, atol=1e-9, rtol=1e-9)
    left = torch.eye(3, dtype=w.dtype) - gain @ seen
    # Of the independent Gaussians the nearest has the posterior's precisions, not its variances (Bishop 2006, 10.1.2).
    assert_close(logvar.exp(), 1 / torch.linalg.inv(left).diagonal(), atol=0, rtol=1e-9)


def test_what_is_seen_twice_counts_twice():
    w, z, x = made(count=1, noise=0.0)
    once, _ = posterior(w.mT @ w, x @ w, 2.0)
    often, _ = posterior(100 * w.mT @ w, 100 * x @ w, 2.0)
    assert (often - z).norm() < 0.02 * (once - z).norm()


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_posteriors_of_a_batch_are_those_of_its_rows(batch):
    w, _, _ = made()
    gram, seen = (w.mT @ w).expand(*batch, 3, 3), torch.randn(*batch, 3, dtype=w.dtype)
    mean, logvar = posterior(gram, seen, NOISE)
    for place, row in enumerate(seen.reshape(-1, 3)):
        one, spread = posterior(w.mT @ w, row, NOISE)
        assert_close(mean.reshape(-1, 3)[place], one)
        assert_close(logvar.reshape(-1, 3)[place], spread)
