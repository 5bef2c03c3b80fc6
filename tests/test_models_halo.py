"""HALO against its paper: an independent, slow ELBO; who may see which frame; where states may go; that it learns."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from kinema.clip import ClipBatch
from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.maths.hamiltonian import symplectic_form
from kinema.models.base import Domain
from kinema.models.halo import Halo, HaloConfig
from kinema.nn.operators import OPERATORS
from kinema.nn.priors import PRIORS
from toy import Toy

ACTIONS = ("walk", "slash", "cast")
B, T, D = 4, 6, 2
SMALL = {"width": 4, "features": 12, "content": 5, "d": D, "paints": 4, "blocks": 2}
both = pytest.mark.parametrize("conditional", [True, False], ids=["conditional", "unconditional"])


def model(seed=0, **options):
    """A tiny model of large random weights, so that everything depends on everything that it may depend on."""
    torch.manual_seed(seed)
    halo = Halo(HaloConfig(**{**SMALL, **options}), Domain(ACTIONS, 3, (16, 16), T, 10.0)).eval()
    with torch.no_grad():
        for name, p in halo.named_parameters():
            if not name.startswith("operator"):
                p.normal_(std=0.3)
    return halo.requires_grad_(False)


def pixels(count=B, length=T, seed=0):
    return torch.randint(
        256, (count, length, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def clips(count=B, length=T, seed=0):
    return pixels(count, length, seed).float() / 255


def irregular(count=B, length=T):
    """Times that no two clips share."""
    gaps = 0.3 + torch.rand(count, length, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return gaps.cumsum(1)


def batch(count=B):
    return ClipBatch(pixels(count), irregular(count), {"action": torch.arange(count) % 3})


ACTION = torch.arange(B) % 3


# --- the objective --------------------------------------------------------------------------------------------------


def slow_elbo(halo, batch, at):
    """Supplement, eq. 8, one clip and one frame at a time, with torch.distributions and torch.matrix_exp."""
    c, prior = halo.config, Normal(0.0, 1.0)
    generator = symplectic_form(D).double() @ halo.operator.energy_matrix().double()
    terms = {"likelihood": [], "kl_content": [], "kl_position": [], "kl_momentum": []}
    for b in range(len(batch.frames)):
        x, k, t = batch.frames[b].float() / 255, int(batch.factors["action"][b]), int(at[b])
        features = [halo.encoder(frame[None]) for frame in x]
        before = [features[i] if i >= 0 else torch.zeros_like(features[0]) for i in range(t - c.window + 1, t + 1)]
        u = torch.eye(len(ACTIONS))[k][None] if c.conditional else None
        q = halo.position(features[t], u)
        p = halo.momentum(torch.stack(before, dim=1), u)
        z = halo.content(torch.stack(features, dim=1))
        for name, found in (("kl_content", z), ("kl_position", q), ("kl_momentum", p)):
            posterior = Normal(found.mean, (0.5 * found.logvar).exp())
            terms[name].append(kl_divergence(posterior, prior).sum())
        log_density = 0.0
        for i, frame in enumerate(x):
            shown = torch.zeros(1, 1, halo.count, D)
            for block in [k] if c.conditional else range(halo.count):
                mine = slice(0, D) if c.conditional else slice(block * D, (block + 1) * D)
                s = torch.cat([q.mean[0, mine], p.mean[0, mine]]).double()
                moved = torch.matrix_exp((batch.times[b, i] - batch.times[b, t]) * generator[block]) @ s
                shown[0, 0, block] = moved[:D].float()
            emission = Independent(Normal(halo.decoder(z.mean, shown)[0, 0], c.std), 3)
            log_density += emission.log_prob(frame)
        terms["likelihood"].append(-log_density)
    return {name: torch.stack(values).mean() for name, values in terms.items()}


@both
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("seed", range(2))
def test_losses_are_the_negative_elbo(monkeypatch, conditional, operator, seed):
    """The expectation over the posterior is taken at its mean; everything else is as in training."""
    monkeypatch.setattr(Gaussian, "sample", lambda self: self.mean)
    halo = model(seed, conditional=conditional, operator=operator, window=3)
    torch.manual_seed(seed)
    at = torch.randint(T, (B,))
    torch.manual_seed(seed)
    found = halo.losses(batch())
    expected = slow_elbo(halo, batch(), at)
    for name, value in expected.items():
        torch.testing.assert_close(found.terms[name], value, rtol=2e-5, atol=1e-4, msg=name)
    torch.testing.assert_close(found.total, sum(expected.values()) + found.terms["action"], rtol=2e-5, atol=1e-3)


def test_weights_of_the_terms():
    weights = {"content_weight": 3.0, "state_weight": 0.5, "action_weight": 7.0}
    losses = []
    for options in ({}, weights):
        halo = model(**options)
        torch.manual_seed(0)
        losses.append(halo.losses(batch()))
    t = losses[0].terms
    assert {name: float(v) for name, v in losses[1].terms.items()} == {name: float(v) for name, v in t.items()}
    states = t["kl_position"] + t["kl_momentum"]
    expected = t["likelihood"] + 3 * t["kl_content"] + 0.5 * states + 7 * t["action"]
    torch.testing.assert_close(losses[1].total, expected)


def test_mse_is_the_error_a_pixel():
    """The likelihood without its constant, in the scale of a pixel, for two deviations."""
    for std in (0.1, 0.7):
        halo = model(std=std)
        torch.manual_seed(0)
        terms = halo.losses(batch()).terms
        n = T * 3 * 16 * 16
        constant = -Normal(0.0, std).log_prob(torch.tensor(0.0)) * n
        torch.testing.assert_close(terms["mse"], (terms["likelihood"] - constant) * 2 * std**2 / n, rtol=1e-4, atol=0)


def test_likelihood_of_some_frames_is_unbiased(monkeypatch):
    """With t the same, two frames drawn of six give on average what all six give."""
    monkeypatch.setattr(Gaussian, "sample", lambda self: self.mean)
    whole, some = model(std=1.0), model(std=1.0, decoded_frames=2)
    data, differences, errors = batch(64), [], []
    for seed in range(30):
        mse = []
        for halo in (whole, some):
            torch.manual_seed(seed)
            mse.append(halo.losses(data).terms["mse"])
        differences.append(mse[1] - mse[0])
        errors.append(mse[0])
    difference = torch.stack(differences)
    standard_error = float(difference.std()) / len(differences) ** 0.5
    assert 0 < standard_error < 0.005 * float(torch.stack(errors).mean()), (
        "too few draws for this test to find anything"
    )
    assert abs(float(difference.mean())) < 4 * standard_error


def test_a_momentum_read_alone_sees_one_frame(monkeypatch):
    """With every clip read as if no frame came before t, the objective is that of clips cut to begin at t."""
    monkeypatch.setattr(Gaussian, "sample", lambda self: self.mean)
    found = []
    for options in ({"alone": 1.0}, {"alone": 0.0}):
        halo = model(**options)
        torch.manual_seed(0)
        found.append(halo.losses(batch()).terms)
    torch.manual_seed(0)
    at, frames = torch.randint(T, (B,)), batch().frames.float() / 255
    momentum = halo.infer(frames[torch.arange(B), at][:, None], torch.zeros(B, dtype=torch.long), ACTION).momentum
    torch.testing.assert_close(found[0]["kl_momentum"], momentum.kl().mean())
    assert differ(found[0]["kl_momentum"], found[1]["kl_momentum"])
    assert not differ(found[0]["kl_position"], found[1]["kl_position"])


def test_action_head_leaves_the_encoder_alone():
    halo = model().requires_grad_(True).train()
    halo.losses(batch()).terms["action"].backward()
    assert all(p.grad is None or not bool(p.grad.any()) for p in halo.encoder.parameters())
    assert any(bool(p.grad.any()) for p in halo.action_head.parameters())


# --- inference ------------------------------------------------------------------------------------------------------


@both
def test_the_state_never_sees_the_future(conditional):
    halo, frames, at = model(conditional=conditional, window=3), clips(), torch.tensor([0, 2, 3, 5])
    other = torch.where((torch.arange(T) > at[:, None])[..., None, None, None], clips(seed=1), frames)
    assert not torch.equal(other, frames)
    then, now = halo.infer(frames, at, ACTION), halo.infer(other, at, ACTION)
    for found, expected in ((now.position, then.position), (now.momentum, then.momentum)):
        torch.testing.assert_close(found.mean, expected.mean)
        torch.testing.assert_close(found.logvar, expected.logvar)


@pytest.mark.parametrize("frame", range(T))
def test_position_reads_one_frame_and_momentum_its_window(frame):
    """What changes when frame `frame` does, the state being taken at frame 3 with a window of 3."""
    halo, frames, at = model(window=3), clips(), torch.full((B,), 3)
    other = frames.clone()
    other[:, frame] = clips(seed=1)[:, frame]
    then, now = halo.infer(frames, at, ACTION), halo.infer(other, at, ACTION)
    assert differ(now.position.mean, then.position.mean) == (frame == 3)
    assert differ(now.momentum.mean, then.momentum.mean) == (frame in (1, 2, 3))
    assert differ(now.content.mean, then.content.mean), "the content is read from every frame"


def differ(a, b):
    return float((a - b).abs().max()) > 1e-5


def test_only_a_conditional_posterior_depends_on_the_action():
    frames, at = clips(), torch.full((B,), 3)
    for conditional in (True, False):
        halo = model(conditional=conditional)
        one, other = (halo.infer(frames, at, torch.full((B,), k)) for k in (0, 1))
        assert differ(one.position.mean, other.position.mean) == conditional
        assert differ(one.momentum.mean, other.momentum.mean) == conditional
        assert not differ(one.content.mean, other.content.mean)


# --- motion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["definite", "orthogonal"])
def test_actions_that_do_not_move_stay_at_zero_for_ever(operator):
    halo = model(operator=operator)
    state = halo.mean_state(halo.encode(clips()), 3, ACTION)
    times = torch.tensor([0.0, 1.0, -7.5, 100_000.0], dtype=torch.float64)
    moved = halo.flow(state, times)
    still = ~torch.nn.functional.one_hot(ACTION, 3).bool()
    assert not bool(moved.transpose(1, 2)[still].any())
    assert bool(moved.transpose(1, 2)[~still].all())


def posterior_state(halo, frames, at, action):
    """The state of a posterior's means: one subspace of d + d, the others empty; or each block's share of them."""
    posterior = halo.infer(frames, torch.full((len(frames),), at), action)
    q, p = posterior.position.mean, posterior.momentum.mean
    state = torch.zeros(len(frames), halo.count, 2 * D)
    for b in range(len(frames)):
        for block in [int(action[b])] if halo.config.conditional else range(halo.count):
            mine = slice(0, D) if halo.config.conditional else slice(block * D, (block + 1) * D)
            state[b, block] = torch.cat([q[b, mine], p[b, mine]])
    return state


@both
def test_states_of_conditional_and_unconditional_models(conditional):
    halo = model(conditional=conditional)
    expected = posterior_state(halo, clips(), 3, ACTION)
    torch.testing.assert_close(halo.mean_state(halo.encode(clips()), 3, ACTION), expected)
    torch.testing.assert_close(halo.phase(clips(), irregular(), ACTION)[:, 3], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_learned_prior_flows_with_the_state(seed):
    """KL of the state at time t, carried back to the clip's beginning with its whole covariance."""
    torch.manual_seed(seed)
    prior, operator = PRIORS["learned"](2, D).double(), OPERATORS["definite"](2, D, 8.0).double()
    mean, logvar, times = torch.randn(B, 2, 2 * D).double(), torch.randn(B, 2, 2 * D).double(), irregular(B, 1)
    back = operator.propagator(-times)[:, 0]
    covariance = back @ logvar.exp().diag_embed() @ back.mT
    carried = MultivariateNormal((back @ mean[..., None])[..., 0], 0.5 * (covariance + covariance.mT))
    start = prior.at_start()
    first = MultivariateNormal(start.mean.expand_as(mean), start.logvar.exp().diag_embed().expand_as(covariance))
    moving = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=torch.float64)
    found = prior.divergence(Gaussian(mean, logvar), back, moving)["kl_state"]
    torch.testing.assert_close(found, (kl_divergence(carried, first) * moving).sum(1))


def test_the_standard_prior_is_the_unit_normal():
    start = PRIORS["standard"](3, D).at_start()
    assert start.mean.shape == (3, 2 * D)
    assert not bool(start.mean.any())
    assert not bool(start.logvar.any())


@both
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_clip_is_one_trajectory_both_ways(conditional, operator):
    """From the state at any of its times the flow leads to those at all the others, before and after."""
    halo, times = model(conditional=conditional, operator=operator), irregular()
    states = halo.phase(clips(), times, ACTION)
    for i in range(T):
        again = halo.flow(states[:, i], times - times[:, i : i + 1])
        torch.testing.assert_close(again, states, atol=1e-4, rtol=1e-4)
    backwards = halo.flow(states[:, -1], times.flip(1) - times[:, -1:])
    torch.testing.assert_close(backwards, states.flip(1), atol=1e-4, rtol=1e-4)


@both
def test_energy_is_kept_along_a_clip(conditional):
    halo = model(conditional=conditional)
    energy = halo.energy(halo.phase(clips(), irregular(), ACTION))
    torch.testing.assert_close(energy["total"], energy["total"][:, :1].expand_as(energy["total"]), atol=1e-5, rtol=1e-4)
    parts = energy["potential"] + energy["kinetic"] + energy["nonseparable"]
    torch.testing.assert_close(parts, energy["total"], atol=1e-5, rtol=1e-4)
    assert differ(energy["kinetic"][:, 0], energy["kinetic"][:, 1]), "the parts are not constant: something moves"


def test_momenta_are_not_seen():
    halo = model()
    states = torch.randn(B, T, 3, 2 * D)
    other = torch.cat([states[..., :D], torch.randn(B, T, 3, D)], dim=-1)
    z = torch.randn(B, 5)
    assert torch.equal(halo.decode(z, states), halo.decode(z, other))


# --- what is done with it -------------------------------------------------------------------------------------------


@both
def test_a_clip_given_its_own_motion_is_its_reconstruction(conditional):
    halo, times = model(conditional=conditional), irregular()
    for action in (ACTION, None):
        own = halo.transfer(clips(), clips(), times, action)
        torch.testing.assert_close(own, halo.reconstruct(clips(), times, action))
    assert differ(own, halo.transfer(clips(seed=1), clips(), times, ACTION))


@both
def test_a_swap_takes_nothing_but_motion_from_the_second_clip(conditional):
    """Of B only the window that ends at its middle frame is read, and only by position and momentum."""
    halo, times, a, b = model(conditional=conditional), irregular(), clips(length=5, seed=1), clips()
    swapped = halo.transfer(a, b, times, ACTION)
    by_hand = halo.decode(halo.content(halo.encode(a)).mean, halo.phase(b, times, ACTION))
    torch.testing.assert_close(swapped, by_hand)
    other = clips(seed=2)
    other[:, 2:4] = b[:, 2:4]
    torch.testing.assert_close(halo.transfer(a, other, times, ACTION), swapped)
    other[:, 3] = clips(seed=2)[:, 3]
    assert differ(halo.transfer(a, other, times, ACTION), swapped)


def test_the_action_is_read_from_the_clip_that_moves():
    halo, times, b = model(), irregular(), clips()
    read = halo.recognise(b).argmax(1)
    torch.testing.assert_close(halo.transfer(clips(seed=1), b, times), halo.transfer(clips(seed=1), b, times, read))
    assert differ(halo.transfer(b, b, times, read), halo.transfer(b, b, times, (read + 1) % 3))


def test_recognition_does_not_depend_on_the_order_of_frames():
    halo, frames = model(), clips()
    torch.testing.assert_close(halo.recognise(frames.flip(1)), halo.recognise(frames), atol=1e-4, rtol=1e-4)


@both
def test_an_animated_image_begins_with_its_own_state(conditional):
    halo, images = model(conditional=conditional), clips()[:, 0]
    times = torch.tensor([[0.0, 1.5, -2.0]], dtype=torch.float64).expand(B, -1)
    shown = halo.animate_images(images, ACTION, times)
    state, z = posterior_state(halo, images[:, None], 0, ACTION), halo.content(halo.encode(images[:, None])).mean
    torch.testing.assert_close(shown[:, 0], halo.decode(z, state[:, None])[:, 0])
    assert differ(shown[:, 0], shown[:, 1])
    if conditional:
        assert differ(shown, halo.animate_images(images, (ACTION + 1) % 3, times))


@pytest.mark.parametrize("key", ["operator", "network", "prior"])
def test_unknown_choices_are_refused(key):
    with pytest.raises(ConfigError, match=rf"model\.{key}: no {key} is called 'nonsense'; known: "):
        model(**{key: "nonsense"})


# --- learning -------------------------------------------------------------------------------------------------------


@both
def test_it_learns_four_clips(conditional):
    """150 steps from scratch make the error of four clips a fifth of what it was."""
    source = Toy()
    chosen = torch.tensor([0, 9, 20, 41])
    torch.manual_seed(0)
    config = HaloConfig(conditional=conditional, width=4, features=32, content=8, d=2)
    halo = Halo(config, Domain(source.actions, 3, source.size, source.length, source.fps))
    optimizer = torch.optim.Adam(halo.parameters(), lr=3e-3)
    data = source.window(chosen, torch.zeros(4, dtype=torch.long))
    errors = []
    for _ in range(150):
        optimizer.zero_grad()
        losses = halo.losses(data)
        losses.total.backward()
        optimizer.step()
        errors.append(float(losses.terms["mse"].detach()))
    assert sum(errors[-5:]) < sum(errors[:5]) / 5
