"""Least squares from sums of products, against those of torch and against the normal equations written out."""

import torch
from torch.testing import assert_close

from kinema.maths.least_squares import LeastSquares


def rows(count=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(count, n, generator=generator, dtype=torch.float64) for n in (6, 3))
    return a, b


def taken(a, b, at_once=50):
    squares = LeastSquares(6, 3, a)
    for some in zip(a.split(at_once), b.split(at_once), strict=True):
        squares.add(*some)
    return squares


def test_without_damping_they_are_those_of_torch():
    a, b = rows()
    assert_close(taken(a, b).solve(0.0), torch.linalg.lstsq(a, b).solution)


def test_damping_is_a_row_for_each_weight():
    """Ridge regression is least squares with rows that say that every weight is zero."""
    a, b = rows()
    price = (0.3 * a.square().sum(0).mean()).sqrt()
    more = torch.cat([a, price * torch.eye(6, dtype=a.dtype)]), torch.cat([b, torch.zeros(6, 3, dtype=a.dtype)])
    assert_close(taken(a, b).solve(0.3), torch.linalg.lstsq(*more).solution)


def test_it_does_not_matter_how_many_rows_come_at_once():
    a, b = rows()
    assert_close(taken(a, b, 7).solve(0.1), taken(a, b).solve(0.1))


def test_no_rows_and_rows_of_zeros_change_nothing():
    a, b = rows()
    assert not taken(a[:0], b[:0]).solve(0.1).any()
    assert not taken(0 * a, b).solve(0.1).any()


def test_fewer_rows_than_weights_are_enough_with_damping():
    a, b = rows(4)
    found = taken(a, b).solve(1e-3)
    assert (a @ found - b).norm() < 0.05 * b.norm()
