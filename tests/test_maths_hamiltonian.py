"""Linear Hamiltonian mechanics against its own laws, torch.matrix_exp and scipy, in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from kinema.maths import hamiltonian

D = 3
J = hamiltonian.symplectic_form(D, dtype=torch.float64)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def normal_form(seed, count=2):
    """Operators of large parameters: frames far from orthonormal, frequencies up to a turn a frame."""
    u1 = hamiltonian.unitary(draw(count, D, D, seed=seed), draw(count, D, D, seed=seed + 10))
    u2 = hamiltonian.unitary(draw(count, D, D, seed=seed + 1), draw(count, D, D, seed=seed + 11))
    r, w = draw(count, D, seed=seed + 20).tanh(), 2 * math.pi * draw(count, D, seed=seed + 21).sigmoid()
    return hamiltonian.NormalForm.squeezed(u1, r, u2, w)


def symmetric(seed, count=2):
    m = draw(count, 2 * D, 2 * D, seed=seed)
    return m + m.mT


def test_symplectic_form_and_generator():
    assert torch.equal(J @ J, -torch.eye(2 * D, dtype=torch.float64))
    m = symmetric(0)
    h = hamiltonian.generator(m)
    assert torch.equal(h, J @ m)
    assert torch.equal((J @ h).mT, J @ h), "H = JM of a symmetric M is Hamiltonian: (JH)' = JH"
    assert float(torch.einsum("kii->k", h).abs().max()) < 1e-14, "its trace is zero, so that no volume is lost"


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0, 1e6])
def test_unitary_is_orthogonal_and_symplectic(scale):
    u = hamiltonian.unitary(scale * draw(4, D, D), scale * draw(4, D, D, seed=1))
    torch.testing.assert_close(u.mT @ u, torch.eye(2 * D, dtype=torch.float64).expand_as(u), atol=1e-13, rtol=0)
    torch.testing.assert_close(u.mT @ J @ u, J.expand_as(u), atol=1e-13, rtol=0)


def test_unitary_stays_well_conditioned():
    """In single precision too, where entries of 1e6 would leave nothing of the identity in I + X."""
    u = hamiltonian.unitary(1e6 * draw(4, D, D).float(), 1e6 * draw(4, D, D, seed=1).float())
    torch.testing.assert_close(u.mT @ u, torch.eye(2 * D).expand_as(u), atol=1e-5, rtol=0)
    assert float((u + torch.eye(2 * D)).abs().amax((1, 2)).min()) > 1e-2, "it has not run into its limit, -I"


def test_unitary_depends_on_the_skew_part_of_a_and_the_symmetric_part_of_b():
    x = 0.01 * draw(D, D)
    eye = torch.eye(2 * D, dtype=torch.float64)
    assert torch.equal(hamiltonian.unitary(x + x.mT, x - x.mT), eye)
    assert not torch.allclose(hamiltonian.unitary(x, 0 * x), eye)
    assert not torch.allclose(hamiltonian.unitary(0 * x, x), eye)


@pytest.mark.parametrize("seed", range(3))
def test_squeezed_frame_is_symplectic_with_its_inverse(seed):
    form = normal_form(seed)
    torch.testing.assert_close(form.frame.mT @ J @ form.frame, J.expand_as(form.frame), atol=1e-13, rtol=0)
    torch.testing.assert_close(form.inverse, torch.linalg.inv(form.frame), atol=1e-13, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_energy_matrix_has_the_frequencies_as_symplectic_eigenvalues(seed):
    """Williamson: the eigenvalues of JM are +-i w."""
    form = normal_form(seed)
    eigenvalues = torch.linalg.eigvals(J @ form.energy_matrix())
    assert float(eigenvalues.real.abs().max()) < 1e-12
    found = eigenvalues.imag.sort().values[:, D:]
    torch.testing.assert_close(found, form.frequencies.sort().values, atol=1e-11, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_propagator_is_the_exponential_of_its_own_energy(seed):
    form = normal_form(seed)
    times = torch.tensor([-32.0, -1.25, 0.0, 0.5, 7.0, 32.0], dtype=torch.float64)
    expected = torch.matrix_exp(times[:, None, None, None] * (J @ form.energy_matrix()))
    torch.testing.assert_close(form.propagator(times), expected, atol=1e-10, rtol=0)


def test_exponential_is_scipys():
    m, times = 0.1 * symmetric(3), torch.tensor([-4.0, 0.3, 9.0], dtype=torch.float64)
    found = hamiltonian.exponential(m, times)
    for i, t in enumerate(times.tolist()):
        for k in range(2):
            expected = torch.from_numpy(expm((t * J @ m[k]).numpy()))
            torch.testing.assert_close(found[i, k], expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("t", [1.0, 1000.0, 100_000.0])
def test_single_precision_keeps_the_phase_at_late_times(t):
    """The angle is reduced in double precision; a float32 product would be wrong by 0.01 radians at t = 100,000."""
    form = normal_form(0)
    single = hamiltonian.NormalForm(form.frame.float(), form.inverse.float(), form.frequencies.float())
    exact = hamiltonian.NormalForm(single.frame.double(), single.inverse.double(), single.frequencies.double())
    times = torch.tensor([t], dtype=torch.float64)
    torch.testing.assert_close(single.propagator(times).double(), exact.propagator(times), atol=1e-5, rtol=0)


def test_energy_is_half_the_quadratic_form_and_its_parts_add_up():
    m, state = symmetric(4), draw(5, 7, 2, 2 * D)
    by_hand = torch.stack([0.5 * state[..., k, :] @ m[k] * state[..., k, :] for k in range(2)], dim=-2).sum(-1)
    torch.testing.assert_close(hamiltonian.energy(state, m), by_hand)
    parts = hamiltonian.energy_terms(state, m)
    torch.testing.assert_close(sum(parts.values()), by_hand)
    still = torch.cat([state[..., :D], 0 * state[..., D:]], dim=-1)
    torch.testing.assert_close(parts["potential"], hamiltonian.energy(still, m), msg="potential is what q has alone")


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), a=st.integers(-4096, 4096), b=st.integers(-4096, 4096))
def test_flow_is_a_group(seed, a, b):
    """Times are multiples of 1/64, which double precision adds exactly."""
    form, state = normal_form(seed), draw(2, 2, 2 * D, seed=seed)
    a, b = a / 64, b / 64

    def flow(state, t):
        return hamiltonian.flow(form.propagator(torch.tensor([t], dtype=torch.float64)), state)[:, 0]

    torch.testing.assert_close(flow(flow(state, a), b), flow(state, a + b), atol=1e-10, rtol=0)
    torch.testing.assert_close(flow(flow(state, a), -a), state, atol=1e-10, rtol=0)


def test_shared_times_per_clip_times_and_steps_agree():
    form, state = normal_form(1), draw(4, 2, 2 * D)
    times = torch.arange(9, dtype=torch.float64)
    shared = hamiltonian.flow(form.propagator(times), state)
    own = hamiltonian.flow(form.propagator(times.expand(4, -1)), state)
    step, walked = torch.matrix_exp(J @ form.energy_matrix()), [state]
    for _ in times[1:]:
        walked.append(torch.einsum("kij,bkj->bki", step, walked[-1]))
    torch.testing.assert_close(shared, torch.stack(walked, dim=1), atol=1e-11, rtol=0)
    torch.testing.assert_close(own, shared, atol=1e-13, rtol=0)


def test_each_clip_flows_by_its_own_times():
    form, state = normal_form(2), draw(3, 2, 2 * D)
    times = draw(3, 5, seed=9).double() * 20
    together = hamiltonian.flow(form.propagator(times), state)
    for b in range(3):
        alone = hamiltonian.flow(form.propagator(times[b]), state[b : b + 1])
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-12, rtol=0)


def test_flow_solves_hamiltons_equations():
    """dq/dt = dE/dp and dp/dt = -dE/dq, the energy's gradient by autograd, the motion's by differences."""
    form, state = normal_form(5), draw(1, 2, 2 * D)
    dt = 2.0**-14
    around = torch.tensor([3.0 - dt, 3.0, 3.0 + dt], dtype=torch.float64)
    before, now, after = hamiltonian.flow(form.propagator(around), state).unbind(1)
    now = now.detach().requires_grad_()
    (slope,) = torch.autograd.grad(hamiltonian.energy(now, form.energy_matrix()).sum(), now)
    expected = torch.cat([slope[..., D:], -slope[..., :D]], dim=-1)
    torch.testing.assert_close((after - before) / (2 * dt), expected, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("period", [1.0, 2.5, 8.0, 30.0])
def test_snapped_frequencies_are_the_nearest_whole_turns_and_never_rest(period):
    form = normal_form(3, count=40)
    sign = torch.where(torch.arange(form.frequencies.numel()) % 2 > 0, -1.0, 1.0).view_as(form.frequencies)
    form = hamiltonian.NormalForm(form.frame, form.inverse, form.frequencies * sign)
    turns = (form.snapped(period).frequencies * period / (2 * math.pi)).flatten().tolist()
    for found, learned in zip(turns, (form.frequencies * period / (2 * math.pi)).flatten().tolist(), strict=True):
        choices = [math.copysign(n, learned) for n in range(1, 40)]
        assert found == pytest.approx(min(choices, key=lambda n, learned=learned: abs(n - learned)), abs=1e-12)


def test_a_frequency_of_zero_turns_once():
    form = normal_form(0)
    still = hamiltonian.NormalForm(form.frame, form.inverse, 0 * form.frequencies)
    torch.testing.assert_close(still.snapped(6.0).frequencies, torch.full_like(form.frequencies, math.pi / 3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("period", [1.0, 7.3, 8.0, 100.0])
def test_snapped_motion_closes_after_its_period(seed, period):
    """By the closed form, and by the exponential of its own energy matrix, which must belong to the new frequencies."""
    form = normal_form(seed).snapped(period)
    eye = torch.eye(2 * D, dtype=torch.float64).expand(2, -1, -1)
    times = torch.tensor([period, -period, 1000 * period], dtype=torch.float64)
    torch.testing.assert_close(form.propagator(times), eye.expand(3, -1, -1, -1), atol=1e-10, rtol=0)
    torch.testing.assert_close(form.propagator(times[:2]), eye.expand(2, -1, -1, -1), atol=1e-12, rtol=0)
    h = J @ form.energy_matrix()
    torch.testing.assert_close(torch.matrix_exp(period / 64 * h).matrix_power(64), eye, atol=1e-9, rtol=0)
    part = form.propagator(times[:1] / 3)[0]
    torch.testing.assert_close(part.mT @ J @ part, J.expand_as(part), atol=1e-12, rtol=0)
    torch.testing.assert_close(part.matrix_power(3), eye, atol=1e-11, rtol=0)


@pytest.mark.parametrize("periods", [1, 1000])
def test_snapped_motion_closes_in_single_precision(periods):
    """The angles stay in double precision: thousands of turns of a float32 frequency would miss by more than this."""
    form = normal_form(0)
    single = hamiltonian.NormalForm(form.frame.float(), form.inverse.float(), form.frequencies.float()).snapped(7.3)
    found = single.propagator(torch.tensor([7.3 * periods], dtype=torch.float64))[0]
    assert found.dtype == single.energy_matrix().dtype == torch.float32
    torch.testing.assert_close(found, torch.eye(2 * D).expand(2, -1, -1), atol=1e-5, rtol=0)
