"""What lies between frames, for those who have seen others move: dense Gaussians as the judge, strangers, walkers."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal

from kinema.files.transformation import Movement
from kinema.maths import affine
from kinema.models.movement_flow import flowing
from kinema.nn.movements import STATE, Movements, limbs_and_body

SIZE = (32, 32)
KINDS = 3


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def known(kind, person, frames=11, at=None):
    """Two parts: the body bobs, the limb jumps about it in a way that only who knows the kind can tell; everybody does
    it with an energy and a droop of their own."""
    steps = torch.arange(frames)
    turns = draw(frames, seed=100 + kind)
    energy, droop = 1 + 0.2 * draw(1, seed=person), 0.2 * draw(1, seed=1000 + person)
    angle = (energy * turns + droop) * (steps > 0)
    bob = 0.1 * torch.stack([torch.zeros(frames).double(), draw(frames, seed=200 + kind)], -1) * (steps > 0)[:, None]
    body = affine.from_parts(torch.zeros(frames).double(), bob)
    limb = affine.from_parts(angle, bob + 0.1 * torch.stack([angle, -angle], -1))
    theta = torch.stack([body, limb], 1)
    return theta if at is None else theta[at]


@pytest.fixture(scope="module")
def learned():
    movements = Movements(KINDS, 2)
    movements.fit([known(person % KINDS, person) for person in range(60)], seed=0)
    return movements


def unseen_error(theta, flow):
    at = torch.arange(1, len(theta) - 1, 2)
    return float((flow.at(at.double()).unflatten(1, theta.shape[1:]) - theta[at]).square().mean().sqrt())


def of_every_second(theta, movements=None, shift=None):
    seen = theta[::2] if shift is None else theta[::2] + shift[::2]
    return flowing(Movement(seen, SIZE, 2 * torch.arange(len(seen)).double()), known=movements).oscillation


@pytest.mark.parametrize("kind", range(KINDS))
def test_who_has_seen_others_knows_what_lies_between(learned, kind):
    for person in (500, 501):
        theta = known(kind, person)
        assert unseen_error(theta, of_every_second(theta, learned)) < 0.02
        assert unseen_error(theta, of_every_second(theta)) > 0.2, "the clip alone cannot tell"


def test_whoever_moves_so_may_go_anywhere_besides(learned):
    theta = known(1, 502)
    place = 0.5 * torch.sin(2 * math.pi * torch.arange(len(theta)).double() / 20)
    shift = torch.zeros_like(theta)
    shift[..., 0, 2] = (place - place[0])[:, None]
    told = of_every_second(theta, learned, shift)
    assert unseen_error(theta + shift, told) < 0.03
    assert unseen_error(theta + shift, of_every_second(theta, None, shift)) > 0.2


def test_of_strangers_nothing_is_known(learned):
    stranger = known(7, 503)
    seen = Movement(stranger[::2], SIZE, 2 * torch.arange(6).double())
    assert learned.flow(seen.theta, seen.at) is None
    times = torch.linspace(0, 10, 31).double()
    assert torch.equal(flowing(seen, known=learned).theta(times), flowing(seen).theta(times))
    assert learned.flow(stranger[:, :1], torch.arange(11).double()) is None, "of one part where two are known"
    assert Movements(KINDS, 2).flow(known(0, 1), torch.arange(11).double()) is None, "before anything was learned"
    still = affine.identity(6, 2).double()
    assert flowing(Movement(still, SIZE), known=learned).missed() < 0.1


def test_a_loop_is_closed_by_the_clip_alone(learned):
    movement = Movement(known(0, 504), SIZE)
    assert torch.equal(
        flowing(movement, 11.0, learned).oscillation.readout, flowing(movement, 11.0).oscillation.readout
    )


def test_the_posterior_is_that_of_dense_gaussians():
    """Of numbers at seen and unseen times together, as a mixture of Gaussians that knows nothing of states."""
    movements = Movements(2, 1)
    movements.period.fill_(12.0)
    movements.noise.fill_(0.3)
    movements.reach.fill_(1e9)
    width = len(movements.mean)
    movements.mean.copy_(0.1 * draw(width, seed=1))
    movements.basis.copy_(0.1 * draw(width, STATE, seed=2))
    movements.weights.copy_(torch.tensor([0.3, 0.7]))
    movements.means.copy_(0.1 * draw(2, STATE, seed=3))
    movements.factors.copy_(0.3 * (0.1 * draw(2, STATE, STATE, seed=4)).tril(-1) + 0.5 * torch.eye(STATE))
    movements.factors[1] *= 1.1
    times = torch.arange(5).double()
    w = 2 * math.pi / 12 * torch.arange(1, 33).double()
    told = torch.where(w <= math.pi + 1e-6, 1.0, 0.0).double()
    angle = times[:, None] * w
    design = torch.cat([torch.ones(5, 1).double(), angle.cos() * told, angle.sin() * told], 1)
    basis, mean = (part.double().unflatten(0, (65, 8)) for part in (movements.basis, movements.mean))
    onto = torch.einsum("tw,wns->tns", design, basis)
    middle = design @ mean
    rows = {}
    seen, unseen = [0, 2, 4], [1, 3]
    for name, at in (("seen", seen), ("unseen", unseen)):
        rows[name] = onto[at, :6].flatten(0, 1), middle[at, :6].flatten()
    path = rows["seen"][1] + 0.2 * draw(18, seed=5)
    expected, logs = [], []
    for k in range(2):
        covariance = movements.factors[k].double() @ movements.factors[k].double().T
        means = [m + h @ movements.means[k].double() for h, m in rows.values()]
        (h, _), (u, _) = rows.values()
        ours = h @ covariance @ h.T + 0.3**2 * torch.eye(18)
        logs.append(math.log([0.3, 0.7][k]) + multivariate_normal(means[0].numpy(), ours.numpy()).logpdf(path.numpy()))
        expected.append(means[1] + u @ covariance @ h.T @ torch.linalg.solve(ours, path - means[0]))
    share = torch.tensor(logs).softmax(0)
    assert 0.02 < share[0] < 0.98, "both count"
    state, _ = movements._posterior(path.unflatten(0, (3, 6)), times[seen])
    found = rows["unseen"][1] + rows["unseen"][0] @ state
    torch.testing.assert_close(found, share[0] * expected[0] + share[1] * expected[1], rtol=1e-5, atol=1e-6)


def test_the_place_of_the_first_part_is_the_bodys():
    theta = draw(4, 3, 2, 3)
    limbs, body = limbs_and_body(theta)
    expected = theta.clone()
    expected[..., 2] -= theta[:, :1, :, 2]
    torch.testing.assert_close(limbs, expected.flatten(1))
    torch.testing.assert_close(body, theta[:, 0, :, 2])


def test_few_clips_are_enough_and_what_is_learned_is_saved(learned):
    few = Movements(8, 2)
    few.fit([known(kind, person) for kind, person in ((0, 1), (0, 2), (1, 3))], seed=0)
    theta = known(0, 1)
    assert unseen_error(theta, of_every_second(theta, few)) < 0.05
    assert float(few.weights.sum()) == pytest.approx(1)
    assert float(few.period) == 22, "twice the longest"
    again = Movements(KINDS, 2)
    again.load_state_dict(learned.state_dict())
    theta, times = known(2, 505), torch.arange(11).double()
    assert torch.equal(again.flow(theta, times).at(times), learned.flow(theta, times).at(times))
