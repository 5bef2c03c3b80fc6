"""The paper's recurrent VAE: its cell by hand, its objective as an ELBO, algorithm 1, and what a latent sees."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from kinema.errors import ConfigError
from kinema.models.motion_base import MotionModel
from kinema.models.vae_lstm import ModifiedCell, VaeLstm, VaeLstmConfig
from motion_toy import toy_batch, toy_domain
from test_models_locomotion import Whole

SMALL = VaeLstmConfig(width=16)


def made(config=SMALL, length=60):
    torch.manual_seed(0)
    model = VaeLstm(config, toy_domain(length))
    model.fit(Whole(toy_batch(32, length)))
    return model


def test_the_cell_by_equations_7_to_9():
    torch.manual_seed(0)
    cell = ModifiedCell(5)
    state, h = torch.randn(2, 5), torch.randn(2, 5)
    (wi, wf, wc), (bi, bf, bc) = cell.of_state.weight.chunk(3), cell.of_state.bias.chunk(3)
    (vi, vf, vh), (di, df, dh) = cell.of_control.weight.chunk(3), cell.of_control.bias.chunk(3)
    i = torch.sigmoid(state @ wi.T + bi + h @ vi.T + di)
    f = torch.sigmoid(state @ wf.T + bf + h @ vf.T + df)
    wanted = functional.elu(f * (state @ wc.T + bc) + i * (h @ vh.T + dh))
    assert torch.allclose(cell.step(state, cell.of_control(h)), wanted, atol=1e-6)


def test_rolling_is_forcing_with_its_own_states():
    torch.manual_seed(0)
    cell = ModifiedCell(6)
    z, h = torch.randn(3, 10, 6), torch.randn(3, 10, 6)
    canvas = cell.rolled(z, h)
    before = torch.cat([z[:, :1], canvas[:, :-1]], 1)
    assert torch.allclose(cell.forced(before, h), canvas, atol=1e-6)


def test_the_objective_is_an_elbo_of_unit_variance():
    """Mean and mean, as in the released code, is half the squared error plus 1.03 times the KL, up to a factor."""
    model = made(replace(SMALL, dropout=0.0, l1=0.0))
    batch = toy_batch(8, padded=False)
    torch.manual_seed(3)
    losses = model.losses(batch)
    features = model.scale.encode(batch.motion)
    posterior = model.infer(features)
    torch.manual_seed(3)
    z = posterior.sample()
    shown = model.decode(model.cell.forced(z, model.encode_control(batch.motion.control)))
    normal = torch.distributions.Normal(posterior.mean, (posterior.logvar / 2).exp())
    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum((1, 2)).mean()
    sse = (shown - features).square().sum((1, 2)).mean()
    values, latents = features[0].numel(), z[0].numel()
    elbo = 0.5 * sse + values / (2 * latents) * kl
    assert torch.allclose(losses.total, elbo * 2 / values, rtol=1e-5)


def test_a_latent_sees_forty_frames_and_the_first_of_a_test_four():
    model = made(length=120).eval()
    motion = toy_batch(1, 120, padded=False).motion
    frames = model.scale.encode(motion).requires_grad_()
    (grad,) = torch.autograd.grad(model.infer(frames).mean[0, 0].sum(), frames)
    assert int(grad[0].abs().sum(-1).nonzero().max()) <= 39
    control = motion.control
    start, more = motion[:, :4], motion[:, :40]
    a, b = (model.generate(120, control, s, {}, torch.Generator().manual_seed(0)).joints for s in (start, more))
    assert not torch.allclose(a, b), "forty frames tell more than four"
    c = model.generate(120, control, start.map(torch.clone), {}, torch.Generator().manual_seed(0)).joints
    assert torch.equal(a, c)


@pytest.mark.parametrize("cell", ["modified", "lstm"])
@pytest.mark.parametrize("unroll", [False, True])
def test_it_learns_the_toy(cell, unroll):
    model = made(replace(SMALL, cell=cell, unroll=unroll, dropout=0.0))
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    first = last = 0.0
    for step in range(160):
        losses = model.losses(toy_batch(16, seed=step))
        adam.zero_grad()
        losses.total.backward()
        adam.step()
        last = losses.terms["reconstruction"].item()
        first = first or last
    assert last < 0.9 * first


def test_what_a_test_draws():
    control = toy_batch(1, 120, padded=False).motion.control.expand(6, -1, -1)
    spread = {}
    for latent in ("first", "each"):
        model = made(replace(SMALL, latent=latent), length=120).eval()
        joints = model.generate(120, control, None, {}, torch.Generator().manual_seed(0)).joints
        spread[latent] = float(joints.std(0)[100:].mean())
    assert spread["each"] > 3 * spread["first"], "one latent is forgotten, one at every step is not"


def test_settings_that_cannot_be():
    assert isinstance(made(), MotionModel)
    for settings in ({"cell": "gru"}, {"latent": "none"}):
        with pytest.raises(ConfigError, match="known"):
            VaeLstmConfig(**settings)
