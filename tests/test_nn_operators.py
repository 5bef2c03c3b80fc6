"""What each kind of operator promises, at its initialisation and after parameters that no training would reach."""

import pytest
import torch
from scipy.linalg import expm

from kinema.errors import ConfigError
from kinema.maths.hamiltonian import symplectic_form
from kinema.nn.operators import OPERATORS

COUNT, D = 3, 6
J = symplectic_form(D, dtype=torch.float64)
TIMES = torch.tensor([-32.0, -31.5, -8.0, -1.0, -0.3, 0.0, 0.5, 1.0, 2.25, 16.0, 32.0], dtype=torch.float64)
FAR = torch.tensor([100_000.0, -100_000.0, 99_999.37], dtype=torch.float64)
BOUNDED = ("definite", "orthogonal")


def initial(kind, seed):
    torch.manual_seed(seed)
    return OPERATORS[kind](COUNT, D, period=8.0).double()


def times_fifty(kind, seed):
    operator = initial(kind, seed)
    with torch.no_grad():
        for p in operator.parameters():
            p.mul_(50)
    return operator


def random(kind, seed):
    operator = initial(kind, seed)
    with torch.no_grad():
        for p in operator.parameters():
            p.normal_().mul_(10)
    return operator


def each(kinds, makers=(initial, times_fifty, random)):
    every = [(kind, make, seed) for kind in kinds for make in makers for seed in range(3)]
    return pytest.mark.parametrize(
        "operator", [pytest.param((m, k, s), id=f"{k}-{m.__name__}-{s}") for k, m, s in every], indirect=True
    )


@pytest.fixture
def operator(request):
    make, kind, seed = request.param
    return make(kind, seed).requires_grad_(False)


def states(count=4, seed=0):
    return torch.randn(count, COUNT, 2 * D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def energies(operator, trajectory):
    return 0.5 * torch.einsum("btki,kij,btkj->btk", trajectory, operator.energy_matrix(), trajectory)


def assert_symplectic(e):
    size = torch.linalg.matrix_norm(e, ord=2).square().clamp(min=1)
    assert bool(((e.mT @ J @ e - J).abs().amax((-2, -1)) <= 1e-12 * size).all())


@each(BOUNDED)
def test_propagators_are_symplectic(operator):
    assert_symplectic(operator.propagator(TIMES))


@each(["symplectic"], [initial])
def test_propagators_of_any_symmetric_matrix_are_symplectic(operator):
    assert_symplectic(operator.propagator(TIMES))


@each(["symplectic"], [initial])
def test_symplectic_flow_is_reversible_for_a_while(operator):
    e, back = operator.propagator(TIMES), operator.propagator(-TIMES)
    size = torch.linalg.matrix_norm(e, ord=2) * torch.linalg.matrix_norm(back, ord=2)
    error = (back @ e - torch.eye(2 * D, dtype=torch.float64)).abs().amax((-2, -1))
    assert bool((error <= 1e-13 * size.clamp(min=1)).all())


@each(OPERATORS, [initial, random])
def test_energy_matrix_is_symmetric_and_its_generator_hamiltonian(operator):
    m = operator.energy_matrix()
    torch.testing.assert_close(m, m.mT, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close((J @ J @ m).mT, J @ J @ m, atol=1e-12, rtol=1e-12)


@each(BOUNDED)
def test_closed_form_is_the_matrix_exponential(operator):
    expected = torch.matrix_exp(TIMES[:, None, None, None] * (J @ operator.energy_matrix()))
    torch.testing.assert_close(operator.propagator(TIMES), expected, atol=1e-10, rtol=0)


@each(OPERATORS, [initial])
def test_propagator_is_scipys_exponential(operator):
    m, found = operator.energy_matrix(), operator.propagator(TIMES)
    for i, t in enumerate(TIMES.tolist()):
        for k in range(COUNT):
            expected = torch.from_numpy(expm((t * J @ m[k]).numpy()))
            size = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(found[i, k], expected, atol=1e-10 * size, rtol=0)


@each(["definite"])
def test_definite_whatever_the_parameters(operator):
    """M has positive eigenvalues only, and those of E are on the unit circle: nothing grows, nothing dies."""
    assert float(torch.linalg.eigvalsh(operator.energy_matrix()).min()) > 0
    radius = torch.linalg.eigvals(operator.propagator(TIMES)).abs()
    torch.testing.assert_close(radius, torch.ones_like(radius), atol=1e-10, rtol=0)


@each(["orthogonal"])
def test_orthogonal_whatever_the_parameters(operator):
    e, m = operator.propagator(torch.cat([TIMES, FAR])), operator.energy_matrix()
    torch.testing.assert_close(e.mT @ e, torch.eye(2 * D, dtype=torch.float64).expand_as(e), atol=1e-12, rtol=0)
    torch.testing.assert_close(m @ J, J @ m, atol=1e-11, rtol=0)


@each(BOUNDED)
def test_energy_is_kept_and_the_state_bounded_at_late_times(operator):
    """|s(t)| <= cond(S) |s(0)|, and cond(S) <= e^2 for the definite operator, 1 for the orthogonal one."""
    state = states()
    trajectory = operator.flow(state, FAR)
    now, then = energies(operator, trajectory), energies(operator, state[:, None])
    assert bool(((now - then).abs() <= 1e-9 * then.abs()).all())
    assert bool((trajectory.norm(dim=-1) <= 7.4 * state[:, None].norm(dim=-1)).all())
    assert_symplectic(operator.propagator(FAR))


@each(BOUNDED)
def test_there_and_back_again_from_late_times(operator):
    state = states()
    for t in (1.0, 37.25, 100_000.0):
        there = operator.flow(state, torch.tensor([t], dtype=torch.float64))[:, 0]
        back = operator.flow(there, torch.tensor([-t], dtype=torch.float64))[:, 0]
        torch.testing.assert_close(back, state, atol=1e-10, rtol=0)


@each(BOUNDED)
@pytest.mark.parametrize(("a", "b"), [(3.0, 4.5), (-17.25, 64.5), (1024.0, -2048.5), (8192.0, 4096.25)])
def test_flows_compose(operator, a, b):
    """The times are exact in double precision, and so is their sum."""
    state = states()
    one, other, both = (torch.tensor([t], dtype=torch.float64) for t in (a, b, a + b))
    twice = operator.flow(operator.flow(state, one)[:, 0], other)
    torch.testing.assert_close(twice, operator.flow(state, both), atol=1e-10, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_symplectic_operator_may_diverge(seed):
    """Why `definite` is the default: energy is kept all the same, its positive and negative parts growing together."""
    operator = initial("symplectic", seed).requires_grad_(False)
    assert float(torch.linalg.eigvalsh(operator.energy_matrix()).amin()) < 0
    trajectory = operator.flow(states(), torch.tensor([0.0, 100.0], dtype=torch.float64))
    assert float((trajectory[:, 1].norm(dim=-1) / trajectory[:, 0].norm(dim=-1)).max()) > 1e3


@pytest.mark.parametrize("kind", OPERATORS)
def test_gradients_of_the_flow(kind):
    torch.manual_seed(0)
    operator = OPERATORS[kind](2, 2, period=8.0).double()
    state = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[-1.5, 0.25], [2.0, 5.0]], dtype=torch.float64)
    # The parameters are checked where they are: gradcheck nudges them in place.
    assert torch.autograd.gradcheck(lambda state, *_: operator.flow(state, times), (state, *operator.parameters()))


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("period", [2.0, 4.5, 8.0, 30.0])
def test_the_first_guess_is_the_cycle(kind, period):
    """Every motion that starts repeats after `period` frames, and not after half of it."""
    torch.manual_seed(0)
    operator = OPERATORS[kind](COUNT, D, period).double().requires_grad_(False)
    e = operator.propagator(torch.tensor([period, period / 2], dtype=torch.float64))
    eye = torch.eye(2 * D, dtype=torch.float64)
    torch.testing.assert_close(e[0], eye.expand_as(e[0]), atol=1e-5, rtol=0)
    assert float((e[1] - eye).abs().max()) > 0.5


@each(BOUNDED)
@pytest.mark.parametrize("period", [2.0, 8.0, 11.7])
def test_snapped_operators_close_every_motion(operator, period):
    snapped, eye = operator.snapped(period), torch.eye(2 * D, dtype=torch.float64).expand(COUNT, -1, -1)
    times = torch.tensor([period, -period], dtype=torch.float64)
    torch.testing.assert_close(snapped.propagator(times), eye.expand(2, -1, -1, -1), atol=1e-12, rtol=0)
    state, t = states(), torch.tensor([-3.1, 0.0, 0.4, 5.0], dtype=torch.float64)
    torch.testing.assert_close(snapped.flow(state, t + period), snapped.flow(state, t), atol=1e-11, rtol=0)
    each_its_own = snapped.flow(state, t.expand(len(state), -1))
    torch.testing.assert_close(each_its_own, snapped.flow(state, t), atol=1e-12, rtol=0)
    assert_symplectic(snapped.propagator(TIMES))
    single = operator.float().snapped(period).propagator(times)
    torch.testing.assert_close(single, eye.float().expand(2, -1, -1, -1), atol=1e-5, rtol=0)


@each(["definite"])
def test_snapped_definite_operators_stay_definite(operator):
    m = operator.snapped(8.0).energy_matrix()
    assert float(torch.linalg.eigvalsh(m).min()) > 0
    turns = torch.linalg.eigvals(J @ m).imag.sort().values[:, D:] * 8.0 / (2 * torch.pi)
    torch.testing.assert_close(turns, turns.round().clamp(min=1), atol=1e-9, rtol=0)


@each(["orthogonal"])
def test_snapped_orthogonal_operators_keep_their_sense(operator):
    with torch.no_grad():
        operator.rate[:, ::2] *= -1
    snapped = operator.snapped(8.0)
    assert torch.equal(snapped.normal_form().frequencies.sign(), operator.normal_form().frequencies.sign())
    torch.testing.assert_close(snapped.energy_matrix() @ J, J @ snapped.energy_matrix(), atol=1e-11, rtol=0)


def test_snapped_operators_share_what_they_learn():
    operator = initial("definite", 0)
    snapped = operator.snapped(8.0)
    assert {id(p) for p in snapped.parameters()} == {id(p) for p in operator.parameters()}
    before = snapped.propagator(TIMES).detach()
    with torch.no_grad():
        operator.squeeze += 1
    assert not torch.allclose(snapped.propagator(TIMES), before)
    again = snapped.snapped(5.0)
    assert again.base is operator
    assert again.period == 5.0


@pytest.mark.parametrize("kind", BOUNDED)
def test_gradients_of_a_snapped_flow(kind):
    """The frame and the state are learned through it; whole turns have a gradient of zero."""
    torch.manual_seed(0)
    operator = OPERATORS[kind](2, 2, period=8.0).double().snapped(5.0)
    state = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([-1.5, 0.25, 2.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda state, *_: operator.flow(state, times), (state, *operator.parameters()))
    operator.flow(state, times).square().sum().backward()
    assert all(bool((p.grad != 0).any()) for name, p in operator.named_parameters() if name != "base.rate")


def test_what_cannot_be_snapped_says_what_can():
    with pytest.raises(ConfigError, match=r"symplectic.*definite or orthogonal"):
        initial("symplectic", 0).snapped(8.0)
    for period in (0.0, -8.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="positive"):
            initial("definite", 0).snapped(period)
