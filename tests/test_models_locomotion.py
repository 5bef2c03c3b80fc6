"""Our recurrent VAE: its divergences, its streaming, what it may and may not see, and that it learns the toy."""

from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.maths.sway import carried, sway
from kinema.maths.trajectory import integrate, to_world
from kinema.models.live import Live
from kinema.models.locomotion import Locomotion, LocomotionConfig
from kinema.models.motion_base import MotionModel
from kinema.motion import Motion
from kinema.nn.motion import STRIDE, Fold, TimeConv, Unfold
from motion_toy import toy_batch, toy_domain

SMALL = LocomotionConfig(width=32, hidden=48, clip_latent=4, step_latent=2, kl=0.3)


class Whole:
    """The toy as a source whose scale can be fitted."""

    def __init__(self, batch):
        self.batch = batch

    def motions(self):
        yield self.batch.motion.map(lambda x: x[self.batch.valid])


def made(config=SMALL, length=60, seed=0):
    torch.manual_seed(seed)
    model = Locomotion(config, toy_domain(length))
    model.fit(Whole(toy_batch(32, length)))
    return model


def train(model, steps=200, length=60, rate=3e-3):
    torch.manual_seed(1)
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        losses = model.losses(toy_batch(16, length, seed=step))
        adam.zero_grad()
        losses.total.backward()
        adam.step()
    return model.eval()


def test_the_divergence_of_two_gaussians():
    torch.manual_seed(0)
    q, p = (Gaussian(torch.randn(5, 3).double(), torch.randn(5, 3).double()) for _ in range(2))
    normals = [torch.distributions.Normal(g.mean, (g.logvar / 2).exp()) for g in (q, p)]
    assert torch.allclose(q.kl(p), torch.distributions.kl_divergence(*normals).sum(-1))
    assert torch.allclose(q.kl(Gaussian(torch.zeros(5, 3).double(), torch.zeros(5, 3).double())), q.kl())


@pytest.mark.parametrize("causal", [False, True])
def test_what_a_step_sees(causal):
    """The gradient tells: a fold then an unfold is local in time, and looks back alone where it is causal."""
    torch.manual_seed(0)
    layers = [Fold(2, 3, causal), TimeConv(3, 3, 3, causal=causal), Unfold(3, 1, causal)]
    frames = torch.randn(1, 2, 80, requires_grad=True)
    out = frames
    for layer in layers:
        out = layer(out)
    assert out.shape[-1] == 80
    (grad,) = torch.autograd.grad(out[0, 0, 40], frames)
    seen = grad[0].abs().sum(0).nonzero().flatten()
    assert int(seen.min()) >= 40 - 5 * STRIDE
    assert (int(seen.max()) < 40 + STRIDE) if causal else (40 + STRIDE <= int(seen.max()) <= 40 + 4 * STRIDE)


@pytest.mark.parametrize("pose", ["rotations", "positions"])
def test_it_learns_the_toy(pose):
    model = train(made(replace(SMALL, pose=pose)), steps=400)
    test = toy_batch(24, seed=999, padded=False)
    known = test.motion[:, :4]
    told = model.generate(60, test.motion.control, known, test.factors, torch.Generator().manual_seed(0))
    mean = model.scale.joint_mean
    error = float((told.joints - test.motion.joints).norm(dim=-1).mean())
    assert error < 0.8 * float((mean - test.motion.joints).norm(dim=-1).mean())
    if pose == "rotations":
        lengths = (told.joints[:, :, 2] - told.joints[:, :, 1]).norm(dim=-1)
        assert float(lengths.std()) < 1e-5, "bones keep their length"


def test_labels_start_frames_and_control_all_have_a_say():
    model = train(made(), steps=120)
    batch = toy_batch(4, padded=False)
    still = torch.Generator

    def walk(control=batch.motion.control, start=batch.motion[:, :4], factors=batch.factors):
        return model.generate(60, control, start, factors, still().manual_seed(0)).joints

    usual = walk()
    other = {name: 1 - value for name, value in batch.factors.items()}
    for changed in (walk(batch.motion.control * 0.5), walk(start=None), walk(factors=other)):
        assert float((changed - usual).abs().max()) > 1e-3
    assert torch.equal(usual, walk())


def test_only_the_first_four_frames_are_looked_at():
    model = made().eval()
    batch = toy_batch(4, padded=False)
    start = batch.motion[:, :20]
    later = start.map(torch.clone)
    later.joints[:, 4:] += 1.0
    later.control[:, 4:] += 1.0
    a, b = (model.generate(60, batch.motion.control, s, {}, torch.Generator().manual_seed(0)) for s in (start, later))
    assert torch.equal(a.joints, b.joints)


@pytest.mark.parametrize("causal", [False, True])
def test_pieces_are_the_whole(causal, monkeypatch):
    monkeypatch.setattr(Gaussian, "draw", lambda gaussian, generator: gaussian.mean)
    model = made(replace(SMALL, causal=causal)).eval()
    control = torch.randn(2, 203, 3)
    whole = model.generate(203, control, None, {}, torch.Generator())
    for block in (4, 40, 64):
        pieces = list(model.stream(control, None, {}, torch.Generator(), block))
        joints = torch.cat([piece.joints for piece in pieces], 1)[:, :203]
        assert len(pieces) == -(-204 // block)
        assert torch.allclose(joints, whole.joints, atol=1e-5)


def test_a_causal_model_does_not_look_ahead(monkeypatch):
    monkeypatch.setattr(Gaussian, "draw", lambda gaussian, generator: gaussian.mean)
    for causal in (True, False):
        model = made(replace(SMALL, causal=causal)).eval()
        control = torch.randn(1, 160, 3)
        later = control.clone()
        later[:, 80:] += 1.0
        a, b = (model.generate(160, c, None, {}, torch.Generator()).joints for c in (control, later))
        differs = (a - b).abs().amax((0, 2, 3)) > 1e-6
        assert bool(differs[80:].any())
        assert bool(differs[:80].any()) == (not causal)


def test_live_control_gives_what_the_whole_would(monkeypatch):
    monkeypatch.setattr(Gaussian, "draw", lambda gaussian, generator: gaussian.mean)
    model = made(replace(SMALL, causal=True)).eval()
    batch = toy_batch(2, 160, padded=False)
    control, start = batch.motion.control, batch.motion[:, :4]
    whole = model.generate(160, control, start, {}, torch.Generator())
    live = Live(model, 2, start, {}, torch.Generator())
    joints = torch.cat([live.step(control[:, at : at + STRIDE]).joints for at in range(0, 160, STRIDE)], 1)
    assert torch.allclose(joints, whole.joints, atol=1e-5)
    with pytest.raises(ConfigError, match="look ahead"):
        Live(made(), 1, None, {}, torch.Generator())


def test_draws_differ_and_go_on_differing():
    model = train(made(), steps=150)
    control = toy_batch(1, 240, padded=False).motion.control.expand(8, -1, -1)
    joints = model.generate(240, control, None, {}, torch.Generator().manual_seed(0)).joints
    spread = (joints - joints.mean(0)).norm(dim=-1).mean((0, 2))
    assert float(spread[-30:].mean()) > 0.002


def test_every_parameter_is_trained_and_padding_is_not():
    model = made()
    batch = toy_batch(8)
    losses = model.losses(batch)
    losses.total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []
    assert losses.terms.keys() >= {"position", "rotation", "velocity", "skate", "contact", "control", "kl clip"}
    moved = batch.motion.map(torch.clone)
    moved.joints[~batch.valid] += 5.0
    torch.manual_seed(0)
    a = model._errors(moved, batch.motion, batch.valid)
    assert a["position"].item() < 1e-3
    assert a["velocity"].item() < 1e-2


def test_carried_points_that_stand_have_no_velocity():
    """Points fixed in the world, seen from a moving root frame, are at rest."""
    torch.manual_seed(0)
    control = torch.randn(2, 50, 3).double()
    path, heading = integrate(control, 60.0)
    fixed = torch.randn(2, 1, 4, 3).double()
    sin, cos = heading.sin()[..., None], heading.cos()[..., None]
    x, y, z = (fixed - path[:, :, None]).unbind(-1)
    seen = torch.stack([cos * x - sin * z, y.expand_as(x), sin * x + cos * z], -1)
    assert torch.allclose(to_world(seen, path, heading), fixed.expand(-1, 50, -1, -1), atol=1e-9)
    assert float(carried(seen, control, 60.0).abs().max()) < 1e-9
    moving = seen + torch.tensor([0.0, 0.01, 0.0]).double() * torch.arange(50).view(1, 50, 1, 1)
    assert torch.allclose(carried(moving, control, 60.0)[..., 1], torch.tensor(0.6).double())


def test_sway_keeps_the_path_and_adds_what_is_fast():
    time = torch.arange(1200).double() / 60
    asked = torch.stack([0 * time, 1.3 + 0 * time, 0.4 * (0.5 * time).sin()], -1)
    path, heading = integrate(asked, 60.0)
    same, facing = sway(asked, asked, 60.0)
    assert torch.equal(same, path)
    assert torch.equal(facing, heading)
    slow = asked + torch.tensor([0.05, 0.1, 0.02]).double()
    place, _ = sway(asked, slow, 60.0)
    middle = slice(150, -150)
    assert float((place - path)[middle].norm(dim=-1).max()) < 0.03, "a constant error does not lead astray"
    fast = asked + torch.stack([0.3 * (12 * time).sin(), 0 * time, 0 * time], -1)
    swayed = (sway(asked, fast, 60.0)[0] - path)[middle].norm(dim=-1)
    assert 0.015 < float(swayed.max()) < 0.035, "0.3 m/s at 12 rad/s are 2.5 cm"


def test_settings_that_cannot_be():
    assert isinstance(made(), MotionModel)
    for settings, words in (({"pose": "mesh"}, "known: rotations, positions"), ({"hidden": 0}, "at least 1")):
        with pytest.raises(ConfigError, match=words):
            LocomotionConfig(**settings)
    with pytest.raises(ConfigError, match="multiple of 4"):
        Locomotion(SMALL, toy_domain(62))
    with pytest.raises(ConfigError, match="control signal"):
        made().generate(8, None, Motion(torch.zeros(1, 4, 9, 3), torch.zeros(1, 4, 3)), {}, torch.Generator())
