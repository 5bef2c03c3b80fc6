"""Fixed effects against the regression with a dummy for every person, and people of whom the truth is known."""

import pytest
import torch
from torch.testing import assert_close

from kinema.maths.effects import fixed_effects, within

PEOPLE, TREATMENTS, SIZE = 7, 4, 3


def panel(seed=0, count=60):
    """Who got what, unevenly, and the values of that, with noise."""
    generator = torch.Generator().manual_seed(seed)
    person = torch.randint(PEOPLE, (count,), generator=generator)
    treatment = (person + torch.randint(2, (count,), generator=generator)) % TREATMENTS
    values = torch.randn(count, SIZE, generator=generator, dtype=torch.float64)
    return values, person, treatment


def test_is_the_regression_with_a_dummy_for_every_person():
    values, person, treatment = panel()
    dummies = torch.cat([torch.eye(PEOPLE)[person], torch.eye(TREATMENTS)[treatment][:, 1:]], 1).double()
    expected = torch.linalg.lstsq(dummies, values).solution[PEOPLE:]
    found = fixed_effects(values, person, treatment, TREATMENTS)
    assert_close(found[1:] - found[:1], expected)
    assert_close(found.sum(0), torch.zeros(SIZE, dtype=torch.float64))


def test_what_people_are_is_none_of_it():
    """Means over treatments are far off here, for those who got the first are another kind of people."""
    _, person, treatment = panel()
    truth = torch.tensor([[1.0, 2.0, 0.0], [-1.0, 0.0, 3.0], [0.0, -1.0, -1.0], [0.0, -1.0, -2.0]]).double()
    values = truth[treatment] + 100.0 * person[:, None]
    assert_close(fixed_effects(values, person, treatment, TREATMENTS), truth)
    means = torch.stack([values[treatment == k].mean(0) for k in range(TREATMENTS)])
    assert (means - means.mean(0) - truth).abs().max() > 10


def test_who_got_one_treatment_alone_tells_nothing():
    person = torch.arange(4).repeat(3)
    values = torch.randn(12, SIZE, generator=torch.Generator().manual_seed(0))
    assert_close(fixed_effects(values, person, person, 4), torch.zeros(4, SIZE), atol=1e-6, rtol=0)
    # Two groups that nobody compares: each effect is from the mean of its own group.
    person, treatment = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3])
    found = fixed_effects(torch.tensor([[0.0], [2.0], [10.0], [20.0]]), person, treatment, 5)
    assert_close(found[:, 0], torch.tensor([-1.0, 1.0, -5.0, 5.0, 0.0]))


def test_within_takes_means_away():
    values, person, _ = panel()
    left = within(values, person)
    for number in range(PEOPLE):
        mine = person == number
        assert_close(left[mine], values[mine] - values[mine].mean(0))
    assert within(torch.tensor([[5.0]]), torch.tensor([3])).item() == pytest.approx(0)
