"""Paths as Hamiltonian flows: sums of sines found again, closed loops, energy, reversal, noise; scipy as the judge."""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from scipy.linalg import expm
from scipy.optimize import curve_fit

from kinema.errors import ClipError
from kinema.maths import hamiltonian, oscillation
from kinema.maths.oscillation import fit


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sines(times, frequencies, numbers=6, seed=0):
    """A constant and waves of given frequencies, with their own amplitudes and phases."""
    path = draw(numbers, seed=seed).expand(len(times), numbers)
    for k, w in enumerate(frequencies):
        a, b = draw(2, numbers, seed=seed + 10 + k)
        path = path + torch.cos(w * times)[:, None] * a + torch.sin(w * times)[:, None] * b
    return path


def rms(values):
    return float(values.square().mean().sqrt())


FAINT = 1e-12
"""Hardly any weight on bending, for paths without noise."""


@pytest.mark.parametrize("frequencies", [[0.7], [0.31, 1.13], [0.25, 0.6, math.sqrt(2)]])
def test_a_sum_of_sines_is_found_again_at_unseen_times(frequencies):
    times = torch.arange(40).double()
    flow = fit(sines(times, frequencies), times, stiffness=FAINT)
    between = torch.linspace(-20, 70, 333).double()
    assert rms(flow.at(between) - sines(between, frequencies)) < 1e-5, "before, between and after the samples"
    found = flow.form.frequencies[0].sort().values
    assert torch.allclose(found, torch.tensor(frequencies).double(), atol=1e-6)


def test_times_need_not_be_even_nor_begin_at_zero():
    times = torch.rand(30, generator=torch.Generator().manual_seed(3), dtype=torch.float64).mul(0.8).add(0.6).cumsum(0)
    times = 1000 + times
    flow = fit(sines(times - 1000, [0.4, 0.9]), times, stiffness=FAINT)
    between = torch.linspace(1000, float(times[-1]), 200).double()
    assert rms(flow.at(between) - sines(between - 1000, [0.4, 0.9])) < 1e-5
    slower = fit(sines(times - 1000, [0.4, 0.9]), 7.5 * times, stiffness=FAINT)
    assert torch.allclose(slower.at(7.5 * between), flow.at(between), atol=1e-8), "no unit of time is meant"


def test_frequencies_are_those_of_scipys_least_squares():
    times = torch.arange(25).double()
    noisy = sines(times, [0.83], 1, seed=4) + 0.2 * draw(25, 1, seed=5)
    found = fit(noisy, times, stiffness=FAINT).form.frequencies[0].numpy()

    def waves(t, c, *rest):
        parts = np.array(rest).reshape(3, -1).T
        return c + sum(a * np.cos(w * t) + b * np.sin(w * t) for a, b, w in parts)

    start = [0.0, *np.ones(2 * len(found)), *(found + 0.03)]
    solved, _ = curve_fit(waves, times.numpy(), noisy[:, 0].numpy(), start)
    assert np.abs(found - 0.83).min() < 0.02
    assert solved[-len(found) :] == pytest.approx(found, abs=1e-5)


def test_the_derivative_of_the_search_is_the_gradient():
    """Kaufman's derivative gives the exact gradient of the objective: beside finite differences."""
    times = torch.arange(12).double()
    problem = oscillation._Problem(draw(12, 3, seed=8), times, 1e-2)
    w = torch.tensor([0.4, 1.3], dtype=torch.float64)
    solved = problem.solve(w)
    gradient = 2 * problem.derivative(solved).mT @ solved.rest.flatten()
    for k, step in enumerate(1e-5 * torch.eye(2, dtype=torch.float64)):
        numeric = (problem.solve(w + step).objective - problem.solve(w - step).objective) / 2e-5
        assert float(gradient[k]) == pytest.approx(numeric, rel=1e-6)


# --- a Hamiltonian flow ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some():
    times = torch.arange(17).double()
    return fit(sines(times, [0.5, 1.7]) + 0.3 * draw(17, 6, seed=2), times)


def test_energy_is_conserved_and_that_of_the_modes(some):
    times = torch.linspace(-1e4, 1e4, 501).double()
    m = some.form.energy_matrix()
    energies = hamiltonian.energy(some.states(times)[:, None], m)
    actions = some.state.square().view(2, -1).sum(0) / 2
    expected = float((some.form.frequencies[0] * actions).sum())
    assert bool((some.form.frequencies > 0).all()), "the energy is positive definite"
    assert torch.allclose(energies, torch.full_like(energies, expected), rtol=1e-10)
    assert expected > 0.01


def test_the_flow_is_the_matrix_exponential(some):
    h = hamiltonian.generator(some.form.energy_matrix())[0]
    for t in (-3.7, 0.0, 2.25, 40.0):
        state = torch.from_numpy(expm((t - some.origin) * h.numpy())) @ some.state
        expected = some.middle + some.readout @ state
        assert torch.allclose(some.at(torch.tensor([t]))[0], expected, atol=1e-9)


def test_the_flow_backwards_undoes_it(some):
    there = some.states(torch.tensor([some.origin + 7.3]).double())
    back = some.form.flow(there[None], torch.tensor([-7.3]).double())[0, 0]
    assert torch.allclose(back[0], some.state, atol=1e-12)
    assert not torch.allclose(there[0], some.state, atol=0.1)


@pytest.mark.parametrize("period", [8.0, 11.5, 16.0])
def test_a_loop_closes_exactly_whatever_was_sampled(period):
    times = torch.arange(16).double()
    flow = fit(draw(16, 6).cumsum(0), times, period)
    now = torch.linspace(0, 16, 50).double()
    for turns in (1, 3, 1000):
        assert torch.allclose(flow.at(now + turns * period), flow.at(now), atol=1e-9)
    turns = flow.form.frequencies * period / (2 * math.pi)
    assert torch.allclose(turns, torch.arange(1, turns.shape[1] + 1).double())
    assert rms(flow.at(now) - flow.at(now + period / 2)) > 0.1


def test_a_loop_of_harmonics_is_the_fourier_series():
    """Over one whole even period, without a weight, the amplitudes are those of the discrete Fourier transform."""
    times = torch.arange(15).double()
    path = sines(times, [2 * math.pi * k / 15 for k in (1, 2, 3)])
    flow = fit(path, times, 15.0, stiffness=FAINT)
    spectrum = 2 * torch.fft.rfft(path, dim=0)[1:4].abs() / 15
    modes = flow.readout * torch.cat([flow.state[: len(flow.state) // 2]] * 2)
    found = modes.unflatten(1, (2, -1)).square().sum(1).sqrt()
    assert torch.allclose(found[:, :3], spectrum.mT, atol=1e-6)


def test_several_turns_are_averaged():
    times = torch.arange(48).double()
    truth = sines(times, [2 * math.pi / 8])
    flow = fit(truth + 0.3 * draw(48, 6, seed=7), times, 8.0)
    assert rms(flow.at(times) - truth) < 0.3 * math.sqrt(4 / 48)


# --- few samples, noise, and what is no oscillation ------------------------------------------------------------------


def unseen(path):
    """Errors between samples of which every second is known: the flow's, and a natural cubic spline's."""
    times = torch.arange(len(path)).double()
    seen, hidden = times[::2], times[1:-1:2]
    spline = CubicSpline(seen.numpy(), path[::2].numpy(), bc_type="natural")(hidden.numpy())
    return fit(path[::2], seen).at(hidden) - path[1:-1:2], torch.from_numpy(spline) - path[1:-1:2]


@pytest.mark.parametrize("count", [7, 9, 13, 25])
def test_few_samples_of_a_cycle_tell_it_better_than_a_spline(count):
    flow, spline = unseen(sines(torch.arange(count).double(), [2 * math.pi / count]))
    assert rms(flow) < 0.1 * rms(spline)


def test_noise_is_not_multiplied():
    errors = []
    for seed in range(20):
        times = torch.arange(25).double()
        truth = sines(times, [0.55], seed=seed)
        flow = fit(truth + 0.1 * draw(25, 6, seed=100 + seed), times)
        errors.append(
            rms(flow.at(torch.linspace(0, 24, 100).double()) - sines(torch.linspace(0, 24, 100), [0.55], 6, seed))
        )
    assert max(errors) < 0.1


@pytest.mark.parametrize("count", [3, 4, 5, 6, 9, 20])
def test_a_straight_way_stays_nearly_straight(count):
    times = torch.arange(count).double()
    path = times[:, None] * draw(6)
    between = torch.linspace(0, count - 1, 60).double()
    span = path[-1].abs().max()
    assert float((fit(path, times).at(between) - between[:, None] * draw(6)).abs().max()) < 0.04 * span
    beyond = fit(path, times).at(torch.linspace(-500, 500, 999).double())
    assert float(beyond.abs().max()) < 4 * span, "it turns back, and does not run away"


def test_what_does_not_move_stays():
    path = draw(6).expand(9, 6)
    for period in (None, 9.0):
        flow = fit(path, torch.arange(9).double(), period)
        assert torch.allclose(flow.at(torch.linspace(-50, 50, 77).double()), path[:1].expand(77, 6), atol=1e-12)


def test_three_samples_are_met():
    for seed in range(5):
        path, times = draw(3, 6, seed=seed), torch.tensor([0.0, 1.0, 2.5]).double()
        assert rms(fit(path, times).at(times) - path) < 1e-2


def test_many_samples_take_few_modes():
    times = torch.arange(120).double()
    flow = fit(draw(120, 12).cumsum(0), times)
    assert 1 <= len(flow.form.frequencies[0]) <= oscillation.MOST_MODES


@pytest.mark.parametrize(
    ("path", "times", "period", "says"),
    [
        (draw(2, 6), torch.arange(2), None, "2 samples; a flow is fitted to 3"),
        (draw(1025, 1), torch.arange(1025), None, "1025 samples"),
        (draw(4, 6) * torch.nan, torch.arange(4), None, "finite"),
        (draw(4, 6), torch.tensor([0.0, 1, 1, 2]), None, "later than"),
        (draw(4, 6), torch.tensor([0.0, 1, math.nan, 2]), None, "finite"),
        (draw(4, 6), torch.arange(4), 1.5, "period of 1.5; its samples can tell one from 2 to 12"),
        (draw(4, 6), torch.arange(4), 13.0, "from 2 to 12"),
        (draw(4, 6), torch.arange(4), math.nan, "period of nan"),
        (draw(4, 6), torch.arange(4), -3.0, "period of -3"),
    ],
)
def test_what_has_no_flow(path, times, period, says):
    with pytest.raises(ClipError, match=says) as error:
        fit(path, times.double(), period)
    assert "\n" not in str(error.value)


def test_two_flows_side_by_side_are_the_sum_of_what_is_read():
    times = torch.arange(20).double()
    first, second = fit(sines(times, [0.5], seed=1), times), fit(sines(times + 3, [0.9], numbers=2, seed=2), times + 3)
    onto = draw(6, 2, seed=3)
    at = torch.linspace(-5, 30, 71).double()
    both = first.plus(second, onto)
    torch.testing.assert_close(both.at(at), first.at(at) + second.at(at) @ onto.mT)
    assert both.form.frequencies.shape[1] == 2 * both.state.numel() // 4


def test_waves_are_what_they_are_called():
    w, middle = torch.tensor([0.4, 1.1]).double(), draw(3, seed=1)
    cos, sin = draw(2, 3, seed=2), draw(2, 3, seed=3)
    at = torch.linspace(-3, 9, 25).double()
    angle = (at - 1.5)[:, None] * w
    found = oscillation.of_waves(w, cos, sin, middle, 1.5).at(at)
    torch.testing.assert_close(found, middle + angle.cos() @ cos + angle.sin() @ sin)
