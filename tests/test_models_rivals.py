"""The rivals against their papers: formulas against slow references, feedback frame by frame, and that they learn."""

import copy
from itertools import product

import pytest
import torch

from kinema.data.motions import MotionSource
from kinema.errors import ClipError, ConfigError
from kinema.models.motion_base import MotionModel
from kinema.models.rivals.autoregressive import random_windows
from kinema.models.rivals.crbm import Crbm, CrbmConfig
from kinema.models.rivals.erd import Erd, ErdConfig
from kinema.models.rivals.lstm3lr import Lstm3lr, Lstm3lrConfig
from kinema.models.rivals.simple import ConstantControl, MeanPose, SimpleConfig, ZeroVelocity
from kinema.motion import Motion, MotionBatch
from kinema.nn.motion_scale import MotionScale
from motion_toy import toy_batch, toy_domain

SMALL = {
    Erd: ErdConfig(units=48, encoder=48, decoder=48, narrow=32, window=40, noise_last=0.3, noise_steps=200),
    Lstm3lr: Lstm3lrConfig(units=48, window=40, noise_last=0.3, noise_steps=200),
    Crbm: CrbmConfig(hidden=32, order=8, gibbs_steps=5),
    ZeroVelocity: SimpleConfig(),
    ConstantControl: SimpleConfig(),
    MeanPose: SimpleConfig(),
}
RECURRENT, LEARNING = (Erd, Lstm3lr), (Erd, Lstm3lr, Crbm)
every = pytest.mark.parametrize("kind", SMALL)
learning = pytest.mark.parametrize("kind", LEARNING)
recurrent = pytest.mark.parametrize("kind", RECURRENT)
TRAIN = toy_batch(128, 80, seed=0)


def model(kind, **options):
    """A small model with the scale of the toy and the weights it was born with; they do little yet."""
    torch.manual_seed(0)
    made = kind(type(SMALL[kind])(**{**vars(SMALL[kind]), **options}), toy_domain())
    made.scale.fit([TRAIN.motion[TRAIN.valid]])
    return made


def strong(kind):
    """The same with larger weights, so that everything depends on everything that it may depend on."""
    made = model(kind)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(5 if kind is Crbm else 3)
    return made


def generate(made, motion, frames=40, start=20, control=True, seed=0):
    given = motion.control if control else None
    first = motion[:, :start] if start else None
    return made.generate(frames, given, first, {}, torch.Generator().manual_seed(seed))


def some(batch, rows):
    return MotionBatch(batch.motion[rows], batch.valid[rows], {n: v[rows] for n, v in batch.factors.items()})


# --- the scale ------------------------------------------------------------------------------------------------------


def test_scale_has_the_moments_of_the_frames_and_not_of_the_clips():
    draw = torch.Generator().manual_seed(0)
    clips = [Motion(torch.randn(t, 4, 3, generator=draw) + t, torch.randn(t, 3, generator=draw)) for t in (5, 50)]
    scale = MotionScale(4)
    scale.fit(iter(clips))
    joints = torch.cat([clip.joints for clip in clips]).double()
    control = torch.cat([clip.control for clip in clips]).double().numpy()
    centred = (joints - joints.mean(0)).numpy()
    torch.testing.assert_close(scale.joint_mean.double(), joints.mean(0), rtol=1e-6, atol=1e-6)
    assert float(scale.joint_std) == pytest.approx(centred.std(), rel=1e-6)
    wanted = [control[:, :2].std(), control[:, :2].std(), control[:, 2].std()]
    assert scale.control_std.tolist() == pytest.approx(wanted, rel=1e-6)
    encoded = torch.cat([scale.encode(clip) for clip in clips])
    torch.testing.assert_close(scale.feature_mean, encoded.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scale.feature_std, encoded.std(0, correction=0), rtol=1e-4, atol=1e-5)


def test_scale_keeps_zero_control_and_order_of_channels_and_goes_back():
    motion, scale = TRAIN.motion, MotionScale(9)
    scale.fit([motion])
    still = scale.encode(Motion(motion.joints, torch.zeros_like(motion.control)))
    assert still.shape[-1] == scale.features == 30
    assert not still[..., -3:].any()
    second_y = (motion.joints[..., 1, 1] - scale.joint_mean[1, 1]) / scale.joint_std
    torch.testing.assert_close(still[..., 4], second_y)
    back = scale.decode(scale.encode(motion))
    torch.testing.assert_close(back.joints, motion.joints, rtol=0, atol=1e-6)
    torch.testing.assert_close(back.control, motion.control, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [Crbm, MeanPose])
def test_scale_is_fitted_on_the_frames_of_the_source(kind):
    class Source(MotionSource):
        def __init__(self):
            self.motion, self.mirrored = TRAIN.motion[TRAIN.valid], None

    made = kind(SMALL[kind], toy_domain())
    made.fit(Source())
    assert torch.equal(made.scale.encode(TRAIN.motion), model(kind).scale.encode(TRAIN.motion))


def test_scale_is_the_identity_until_it_is_fitted_and_is_saved_with_the_weights():
    motion, scale = TRAIN.motion[:2], MotionScale(9)
    assert torch.equal(scale.encode(motion), torch.cat([motion.joints.flatten(-2), motion.control], -1))
    fitted = model(MeanPose).scale
    scale.load_state_dict(fitted.state_dict())
    assert torch.equal(scale.encode(motion), fitted.encode(motion))


def test_scale_leaves_alone_what_never_changes():
    scale = MotionScale(2)
    scale.fit([Motion(torch.ones(7, 2, 3), torch.zeros(7, 3))])
    assert scale.encode(Motion(torch.ones(1, 2, 3) + 0.5, torch.ones(1, 3))).tolist() == [[0.5] * 6 + [1.0] * 3]


def test_scale_refuses_nothing_and_nan_and_other_bodies():
    scale = MotionScale(2)
    with pytest.raises(ClipError, match="no frames"):
        scale.fit([])
    with pytest.raises(ClipError, match="NaN"):
        scale.fit([Motion(torch.full((3, 2, 3), torch.nan), torch.zeros(3, 3))])
    with pytest.raises(ClipError, match="9 joints; the model's skeleton has 2"):
        scale.encode(TRAIN.motion)


# --- all rivals -----------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("control", [True, False], ids=["given", "own"])
@pytest.mark.parametrize("start", [1, 4, 60])
def test_first_frames_come_back_as_they_were(kind, control, start):
    made, motion = model(kind), toy_batch(3, 64, seed=1).motion
    assert isinstance(made, MotionModel)
    out = generate(made, motion, 64, start, control)
    assert out.joints.shape == (3, 64, 9, 3)
    assert out.control.shape == (3, 64, 3)
    assert torch.equal(out.joints[:, :start], motion.joints[:, :start])
    assert torch.equal(out.control[:, :start], motion.control[:, :start])
    assert out.joints.isfinite().all()
    assert torch.equal(out.joints, generate(made, motion, 64, start, control).joints)


@every
def test_fewer_frames_than_the_first_ones_and_no_first_ones(kind):
    made, motion = model(kind), toy_batch(3, 64, seed=1).motion
    assert torch.equal(generate(made, motion, 5, 20).joints, motion.joints[:, :5])
    out = generate(made, motion, 20, 0)
    torch.testing.assert_close(out.joints[:, 0], made.scale.joint_mean.expand(3, -1, -1))
    none = made.generate(20, motion.control, motion[:, :0], {}, torch.Generator().manual_seed(0))
    assert torch.equal(none.joints, out.joints)
    assert torch.equal(none.control, out.control)


@every
def test_what_cannot_be_made_is_refused(kind):
    made, motion, draw = model(kind), toy_batch(3, 30).motion, torch.Generator()
    with pytest.raises(ClipError, match="neither"):
        made.generate(10, None, None, {}, draw)
    with pytest.raises(ClipError, match="30 frames; 31 are needed"):
        made.generate(31, motion.control, None, {}, draw)
    with pytest.raises(ClipError, match="2 rows; the first frames have 3"):
        made.generate(10, motion.control[:2], motion[:, :4], {}, draw)
    with pytest.raises(ClipError, match="at least 1"):
        made.generate(0, motion.control, None, {}, draw)


@every
def test_padding_is_not_learned_from(kind):
    made = model(kind, **({"window": 79} if kind in RECURRENT else {})).train()
    spoiled = copy.deepcopy(TRAIN)
    spoiled.motion.joints[~TRAIN.valid] = 9.0
    spoiled.motion.joints[:, 0] = TRAIN.motion.joints[:, 0]  # which the simple rules begin with, padding or not
    terms = []
    for batch in (TRAIN, spoiled):
        torch.manual_seed(1)
        terms.append(made(*batch.inputs()))
        terms[-1].pop("noise", None)
    assert {name: float(value.detach()) for name, value in terms[0].items()} == pytest.approx(
        {name: float(value.detach()) for name, value in terms[1].items()}, rel=1e-6
    )
    assert float(terms[0]["mse"].detach()) > 0.01


def test_simple_rules():
    motion = toy_batch(3, 30, seed=1).motion
    still, gliding, mean = (model(kind) for kind in (ZeroVelocity, ConstantControl, MeanPose))
    for made in (still, gliding):
        out = generate(made, motion, 30, 7)
        assert torch.equal(out.joints[:, 7:], motion.joints[:, 6:7].expand(-1, 23, -1, -1))
    assert not generate(still, motion, 30, 7).control[:, 7:].any()
    assert torch.equal(generate(gliding, motion, 30, 7).control[:, 7:], motion.control[:, 6:7].expand(-1, 23, -1))
    assert not generate(gliding, motion, 30, 0).control.any()
    assert not generate(still, motion, 30, 0).control.any()
    out = generate(mean, motion, 30, 7)
    assert torch.equal(out.joints[:, 7:], mean.scale.joint_mean.expand(3, 23, -1, -1))
    assert torch.equal(out.control, motion.control)
    assert not generate(mean, motion, 30, 7, control=False).control[:, 7:].any()


# --- those that learn -----------------------------------------------------------------------------------------------


@learning
def test_gradient_reaches_every_parameter(kind):
    made = model(kind).train()
    made(*TRAIN.inputs())["loss"].backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in made.parameters())


@learning
def test_frames_depend_on_the_first_ones_and_move(kind):
    made, motion = strong(kind), toy_batch(3, 40, seed=1).motion
    out = generate(made, motion).joints[:, 20:]
    other = generate(made, motion.map(lambda x: x.flip(0))).joints[:, 20:]
    assert (out - other).abs().amax() > 1e-3
    assert (out[:, 1:] - out[:, :-1]).abs().amax((0, 2, 3)).min() > 1e-7
    assert (out - made.scale.joint_mean).abs().amax((2, 3)).min() > 1e-4
    earlier = motion.map(torch.clone)
    earlier.joints[:, 14] += 0.1
    assert (out - generate(made, earlier).joints[:, 20:]).abs().amax() > 1e-6, "all first frames are read"


@learning
def test_given_control_is_what_is_fed_back(kind, monkeypatch):
    made, motion = model(kind), toy_batch(3, 40, seed=1).motion
    fed, advance = [], made.advance
    monkeypatch.setattr(made, "advance", lambda frame, *rest: (fed.append(frame), advance(frame, *rest))[1])
    given = generate(made, motion)
    assert len(fed) == 19
    wanted = made.scale.encode(motion)[:, 20:39]
    assert torch.equal(torch.stack(fed, 1)[..., -3:], wanted[..., -3:])
    put_out = made.scale.encode(given)[:, 20:39]
    torch.testing.assert_close(torch.stack(fed, 1)[..., :-3], put_out[..., :-3], rtol=0, atol=1e-5)
    assert (put_out[..., -3:] - wanted[..., -3:]).abs().amin() > 0, "the motion's own control is the predicted one"
    fed.clear()
    own = generate(made, motion, control=False)
    assert torch.equal(given.joints[:, :21], own.joints[:, :21])
    assert (given.joints[:, 21:] - own.joints[:, 21:]).abs().amax() > 1e-5
    torch.testing.assert_close(torch.stack(fed, 1), made.scale.encode(own)[:, 20:39], rtol=0, atol=1e-5)


@learning
def test_given_control_overrules_that_of_the_first_frames_but_is_not_put_out_there(kind):
    made, motion = model(kind), toy_batch(3, 40, seed=1).motion
    first = Motion(motion.joints, torch.zeros_like(motion.control))[:, :20]
    out = made.generate(40, motion.control, first, {}, torch.Generator().manual_seed(0))
    assert torch.equal(out.joints, generate(made, motion).joints)
    assert not out.control[:, :20].any()


@learning
def test_it_learns_to_walk(kind):
    made = model(kind).train()
    adam = torch.optim.Adam(made.parameters(), lr=3e-3)
    for step in range(350 if kind is Erd else 250):
        torch.manual_seed(step)
        adam.zero_grad()
        made(*some(TRAIN, torch.randint(128, (16,))).inputs())["loss"].backward()
        adam.step()
    motion = toy_batch(64, 80, seed=1, padded=False).motion

    def error(rival):
        distance = (generate(rival.eval(), motion, 80, 30).joints - motion.joints).norm(dim=-1)
        return float(distance[:, 32:50].mean())

    assert error(made) < 0.75 * min(error(model(MeanPose)), error(model(ZeroVelocity)))


# --- recurrent networks ---------------------------------------------------------------------------------------------


@recurrent
@pytest.mark.parametrize("residual", [False, True], ids=["absolute", "residual"])
def test_frame_by_frame_is_the_same_as_all_at_once(kind, residual):
    made, motion = model(kind, residual=residual).eval(), toy_batch(3, 30, seed=1).motion
    frames, draw = made.scale.encode(motion), torch.Generator()
    with torch.no_grad():
        whole = made.predict(frames)[0]
        predicted, memory = made.warm_up(frames[:, :4], draw)
        stepped = [predicted]
        for t in range(4, 30):
            predicted, memory = made.advance(frames[:, t], memory, draw)
            stepped.append(predicted)
    torch.testing.assert_close(torch.stack(stepped, 1), whole[:, 3:], rtol=0, atol=1e-5)
    before = frames.clone()
    before[:, 20:] = 0
    torch.testing.assert_close(made.predict(before)[0][:, :20], whole[:, :20], rtol=0, atol=1e-6)


@recurrent
def test_each_row_of_a_batch_is_made_alone(kind):
    made, motion = model(kind), toy_batch(3, 40, seed=1).motion
    torch.testing.assert_close(
        generate(made, motion).joints[1:2], generate(made, motion[1:2]).joints, rtol=0, atol=1e-6
    )


def test_residual_is_the_change_since_the_last_frame():
    made = model(Lstm3lr, residual=True)
    torch.nn.init.zeros_(made.out.weight)
    torch.nn.init.constant_(made.out.bias, 0.01)
    motion = toy_batch(3, 40, seed=1).motion
    moved = generate(made, motion, 40, 20).joints[:, [20, 39]] - motion.joints[:, [19, 19]]
    torch.testing.assert_close(
        moved, (torch.tensor([0.01, 0.2]) * made.scale.joint_std)[:, None, None].expand_as(moved)
    )


@recurrent
def test_noise_grows_with_the_step_and_survives_a_resume(kind):
    made = model(kind, noise_first=0.1, noise_last=0.7, noise_steps=6, window=5).train()
    seen = []
    for _ in range(8):
        seen.append(float(made(*TRAIN.inputs())["noise"]))
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.7])
    resumed = kind(made.config, toy_domain())
    assert float(resumed.noise()) == pytest.approx(0.1)
    resumed.load_state_dict(made.state_dict())
    assert int(resumed.steps) == 8
    made.eval()(*TRAIN.inputs())
    assert int(made.steps) == 8, "only training counts"


@recurrent
def test_noise_is_a_share_of_each_channel_and_only_on_the_inputs(kind, monkeypatch):
    made = model(kind, noise_first=0.5, noise_last=0.5, window=79).train()
    batch, read = toy_batch(64, 80, padded=False), []
    monkeypatch.setattr(made, "predict", lambda inputs: (read.append(inputs), (torch.zeros_like(inputs), None))[1])
    loss = made(*batch.inputs())["loss"]
    frames = made.scale.encode(batch.motion)
    noise = read[0] - frames[:, :-1]
    torch.testing.assert_close(noise.flatten(0, 1).std(0), 0.5 * made.scale.feature_std, rtol=0.06, atol=1e-6)
    torch.testing.assert_close(loss, frames[:, 1:].square().mean())
    read.clear()
    made.eval()(*batch.inputs())
    assert torch.equal(read[0], frames[:, :-1])


def test_windows_lie_in_the_valid_part_and_begin_anywhere_in_it():
    valid = torch.zeros(3, 20, dtype=torch.bool)
    valid[0, 3:15], valid[1, 8:11], valid[2] = True, True, True
    starts = [set(), set(), set()]
    for seed in range(200):
        torch.manual_seed(seed)
        at, seen = random_windows(valid, 5)
        assert (at[:, 1:] - at[:, :-1] == 1)[seen[:, 1:]].all()
        assert torch.equal(seen.sum(1), torch.tensor([5, 3, 5]))
        assert valid[torch.arange(3)[:, None], at][seen].all()
        for row, first in enumerate(at[:, 0].tolist()):
            starts[row].add(first)
    assert starts == [set(range(3, 11)), {8}, set(range(16))]
    assert random_windows(valid, 50)[0].shape == (3, 20)


def test_sizes_of_the_papers():
    body = toy_domain()
    count = {
        kind: sum(p.numel() for p in kind(config, body).parameters())
        for kind, config in ((Erd, ErdConfig()), (Lstm3lr, Lstm3lrConfig()))
    }

    def lstm(inputs, units):
        return 4 * units * (inputs + units + 2)

    encoder, decoder = 31 * 500 + 501 * 500, 1001 * 500 + 501 * 100 + 101 * 30
    assert count[Erd] == encoder + lstm(500, 1000) + lstm(1000, 1000) + decoder
    assert count[Lstm3lr] == lstm(30, 1000) + 2 * lstm(1000, 1000) + 1001 * 30


def test_settings_out_of_range_are_refused():
    for config, options in (
        (ErdConfig, {"units": 0}),
        (ErdConfig, {"narrow": 0}),
        (Lstm3lrConfig, {"layers": 0}),
        (Lstm3lrConfig, {"noise_first": 0.9}),
        (CrbmConfig, {"order": 0}),
        (CrbmConfig, {"decay": -1.0}),
    ):
        with pytest.raises(ConfigError, match=f"model.{next(iter(options))}"):
            config(**options)


# --- the conditional RBM --------------------------------------------------------------------------------------------


def machine(**options):
    """A machine of large random weights in float64, small enough to enumerate, and frames to ask it about."""
    made = model(Crbm, **{"hidden": 6, "order": 3, "decay": 0.0, **options}).double()
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(std=0.2, generator=torch.Generator().manual_seed(p.numel()))
    draw = torch.Generator().manual_seed(0)
    past, frame = (torch.randn(5, *shape, 30, generator=draw, dtype=torch.float64) for shape in ((3,), ()))
    return made, past, frame


def energy(made, v, h, past):
    """E(v, h | u) as Taylor has it, from the parameters alone."""
    u = past.flatten()
    a = made.past_visible.bias + made.past_visible.weight @ u
    b = made.past_hidden.bias + made.past_hidden.weight @ u
    return 0.5 * ((v - a) ** 2).sum() - h @ b - h @ made.weight @ v


@torch.no_grad()
def test_free_energy_is_the_sum_over_all_hidden_states():
    made, past, frame = machine()
    states = [torch.tensor(h, dtype=torch.float64) for h in product((0.0, 1.0), repeat=6)]
    for v, u in zip(frame, past, strict=True):
        energies = torch.stack([energy(made, v, h, u) for h in states])
        given = made.given(u)
        torch.testing.assert_close(made.free_energy(v, given), -torch.logsumexp(-energies, 0))
        chance = torch.softmax(-energies, 0) @ torch.stack(states)
        torch.testing.assert_close(torch.sigmoid(made._log_odds(v, given)), chance)


def test_frame_given_the_hidden_units_is_where_the_energy_is_least():
    made, past, _ = machine()
    h = torch.tensor([1.0, 0, 0, 1, 1, 0], dtype=torch.float64)
    v = made._visible(h, made.given(past[0])).detach().requires_grad_()
    (slope,) = torch.autograd.grad(energy(made, v, h, past[0]), v)
    torch.testing.assert_close(slope, torch.zeros_like(slope))


@torch.no_grad()
def test_gibbs_draws_the_hidden_units_with_their_chances():
    made, past, frame = machine()
    many, u = frame[:1].expand(40000, -1), made.given(past[0])
    mean = made.gibbs(many, u, 1, torch.Generator().manual_seed(0)).mean(0)
    expected = made._visible(torch.sigmoid(made._log_odds(frame[0], u)), u)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("cd_steps", [1, 15])
def test_gradient_is_the_update_of_contrastive_divergence(cd_steps):
    made, _, _ = machine(cd_steps=cd_steps)
    batch = some(TRAIN, torch.arange(6))
    torch.manual_seed(3)
    made.losses(batch).total.backward()
    torch.manual_seed(3)
    v0, past = made._cases(made.whiten(made.scale.encode(batch.motion)), batch)
    with torch.no_grad():
        u = past.flatten(1)
        a = u @ made.past_visible.weight.T + made.past_visible.bias
        b = u @ made.past_hidden.weight.T + made.past_hidden.bias
        vk = v0
        for _ in range(cd_steps):
            vk = a + torch.bernoulli(torch.sigmoid(b + vk @ made.weight.T)) @ made.weight
        h0, hk = torch.sigmoid(b + v0 @ made.weight.T), torch.sigmoid(b + vk @ made.weight.T)
        count = len(v0)
        wanted = {  # what is added to each parameter, times the learning rate: data less sample
            "weight": (h0.T @ v0 - hk.T @ vk) / count,
            "past_visible.weight": (v0 - vk).T @ u / count,
            "past_visible.bias": (v0 - vk).mean(0),
            "past_hidden.weight": (h0 - hk).T @ u / count,
            "past_hidden.bias": (h0 - hk).mean(0),
        }
    found = dict(made.named_parameters())
    assert found.keys() == wanted.keys()
    for name, update in wanted.items():
        gradient = found[name].grad
        assert gradient is not None
        torch.testing.assert_close(-gradient, update)


def test_decay_is_that_of_the_weights_alone():
    losses = [machine(decay=decay)[0] for decay in (0.0, 0.4)]
    gradients = []
    for made in losses:
        torch.manual_seed(0)
        made.losses(some(TRAIN, torch.arange(6))).total.backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, p in losses[0].named_parameters():
        pull = gradients[1][name] - gradients[0][name]
        torch.testing.assert_close(pull, torch.zeros_like(p) if name.endswith("bias") else 0.4 * p.detach())


@pytest.mark.parametrize("short_past", [0.0, 1.0])
def test_cases_are_frames_with_what_was_just_before_them(short_past):
    made = model(Crbm, order=4, cases=300, short_past=short_past)
    valid = torch.zeros(3, 20, dtype=torch.bool)
    valid[0, 3:15], valid[1, 8:11], valid[2] = True, True, True
    number = torch.arange(20.0).expand(3, 20)[..., None]
    frame, past = made._cases(
        number, MotionBatch(Motion(number[..., None].expand(-1, -1, 9, 3), torch.zeros(3, 20, 3)), valid, {})
    )
    frame, past = frame.view(3, 300), past.view(3, 300, 4)
    whole = ((frame[..., None] - past) == torch.arange(4.0, 0, -1)).all(-1)
    assert [set(row.int().tolist()) for row in frame] == [set(range(7, 15)), {10}, set(range(4, 20))]
    assert (past[..., -1] == frame - 1).all()
    for row, first in enumerate((3, 8, 0)):
        assert past[row].min() >= first
    steps = past[..., 1:] - past[..., :-1]
    known = 1 + steps.sum(-1)
    assert ((steps == 0) | (steps == 1)).all()
    assert (steps.diff(dim=-1) >= 0).all(), "the first known frame is repeated, and then they follow"
    assert (known[1] <= 2).all()
    if short_past == 0:
        assert whole[[0, 2]].all()
    else:
        assert set(known[0].int().tolist()) == {1, 2, 3, 4}


def test_few_first_frames_are_preceded_by_the_first():
    made, motion = model(Crbm, order=6), toy_batch(3, 40, seed=1).motion
    frames, draw = made.scale.encode(motion), torch.Generator()
    memory = made.warm_up(frames[:, :2], draw)[1]
    assert torch.equal(memory, made.whiten(frames[:, [0, 0, 0, 0, 0, 1]]))
    _, memory = made.advance(frames[:, 2], memory, draw)
    assert torch.equal(memory, made.whiten(frames[:, [0, 0, 0, 0, 1, 2]]))
    assert torch.equal(made.warm_up(frames[:, :20], draw)[1], made.whiten(frames[:, 14:20]))


def test_machine_without_weights_makes_the_mean_frame():
    made, motion = model(Crbm), toy_batch(3, 40, seed=1).motion
    for p in made.parameters():
        torch.nn.init.zeros_(p)
    out = generate(made, motion)
    frames = TRAIN.motion[TRAIN.valid]
    torch.testing.assert_close(out.joints[:, 20:], frames.joints.mean(0).expand(3, 20, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.control[:, 20:], frames.control.mean(0).expand(3, 20, -1), rtol=0, atol=1e-5)


def test_whitened_channels_have_unit_variance_but_for_those_that_hardly_move():
    made = model(Crbm)
    rows = made.whiten(made.scale.encode(TRAIN.motion[TRAIN.valid]))
    moving = made.scale.feature_std > 0.01
    assert 10 < int(moving.sum()) < 30
    torch.testing.assert_close(rows.std(0, correction=0)[moving], torch.ones(int(moving.sum())), rtol=1e-3, atol=0)
    assert (rows.std(0)[~moving] < 0.1).all()


def test_another_generator_draws_another_motion_that_stays_finite():
    made, motion = model(Crbm), toy_batch(3, 40, seed=1).motion
    assert (generate(made, motion).joints - generate(made, motion, seed=1).joints).abs().amax() > 1e-5
    torch.nn.init.constant_(made.past_visible.weight, 1.0)
    assert generate(made, motion).joints.isfinite().all()
