"""What a HALO draws: states, contents, fitted densities; and the dynamics that it is compared with."""

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.models.base import domain_of
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig
from kinema.nn.rivals import RIVALS
from test_models_halo import SMALL, D, T, irregular, model
from toy import Toy


@pytest.mark.parametrize("operator", RIVALS)
def test_rivals_read_their_state_at_the_first_frame_and_look_ahead(operator):
    halo = model(operator=operator, window=2)
    frames, times = clips(), irregular(3)
    action = torch.zeros(len(frames), dtype=torch.int64)
    whole = halo.phase(frames, times, action)
    assert halo.anchor(0, T) == 0
    later = frames.clone()
    later[:, 2:] = 0
    assert_close(halo.phase(later, times, action), whole)  # only frames 0 and 1 are looked at
    later[:, 1] = 0
    moved = (halo.phase(later, times, action) - whole).abs().max()
    assert moved > 1e-4 or operator == "positional"  # which reads its phase from the position alone


def clips(seed=0):
    return torch.rand(3, T, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def drawn(halo, action, count=4000, seed=0):
    return halo.draw_state(torch.full((count,), action), torch.Generator().manual_seed(seed))


def test_states_are_drawn_from_the_prior_of_their_action():
    halo = model(prior="learned")
    halo.prior.mean_per_action.data.normal_()
    s = drawn(halo, 1)
    assert not s[:, 0].any()
    prior = halo.prior.at_start()
    assert_close(s[:, 1].mean(0), prior.mean[1], atol=0.02, rtol=0)
    assert_close(s[:, 1].var(0), prior.logvar[1].exp(), atol=0.003, rtol=0.1)


def test_contents_are_standard_normal_without_a_density():
    z = model().draw_content(4000, torch.Generator().manual_seed(0))
    assert_close(z.mean(0), torch.zeros_like(z[0]), atol=0.1, rtol=0)
    assert_close(z.var(0), torch.ones_like(z[0]), atol=0.15, rtol=0)


def test_drawn_motion_and_content_are_decoded():
    halo, frames, times = model(), clips(), irregular(3)
    action = torch.tensor([0, 2, 1])
    shown = halo.with_prior_motion(frames, action, times, torch.Generator().manual_seed(3))
    state = halo.draw_state(action, torch.Generator().manual_seed(3))
    z, path = halo.codes(frames, times, action)
    assert_close(shown, halo.decode(z, halo.flow(state, times)))
    assert_close(path, halo.phase(frames, times, action).flatten(2))
    shown = halo.with_sampled_content(frames, times, action, torch.Generator().manual_seed(3))
    assert_close(shown, halo.decode(halo.draw_content(3, torch.Generator().manual_seed(3)), path.unflatten(2, (3, -1))))


@pytest.mark.parametrize("conditional", [True, False])
def test_densities_are_fitted_to_the_posteriors_of_the_clips(conditional):
    source = Toy()
    domain = domain_of(source)
    settings = {
        **SMALL,
        "conditional": conditional,
        "content_components": 4,
        "state_components": 2,
        "alone": 0.0,
        "period": 6.0,
    }
    torch.manual_seed(0)
    halo = Halo(HaloConfig(**settings), domain).eval()
    halo.finish(source, seed=0, draws=600)
    batch = source.window(torch.arange(len(source)), torch.zeros(len(source), dtype=torch.int64))
    frames, action = batch.frames.float() / 255, batch.factors["action"]
    h = halo.encode(frames)
    expected = halo.content(h)
    z = halo.draw_content(4000, torch.Generator().manual_seed(1))
    assert_close(z.mean(0), expected.mean.mean(0), atol=0.1, rtol=0)
    spread = expected.mean.var(0) + expected.logvar.exp().mean(0)
    assert_close(z.var(0), spread, atol=0.05, rtol=0.25)
    # States are those of the clip's beginning, whatever frame they were read at.
    states = halo.phase(frames, batch.times, action)[:, 0]
    for index in range(len(domain.actions) if conditional else 1):
        mine = states[action == index][:, index] if conditional else states.flatten(1)
        new = drawn(halo, index, 2000)
        new = new[:, index] if conditional else new.flatten(1)
        assert_close(new.mean(0), mine.mean(0), atol=0.15, rtol=0)
    assert halo.standard().contents is None
    again = Halo(HaloConfig(**settings), domain).eval()
    again.load_state_dict(halo.state_dict())
    assert_close(drawn(again, 0, 50), drawn(halo, 0, 50))


def test_a_rival_has_no_energy_and_no_frequencies():
    halo = model(operator="linear")
    with pytest.raises(ConfigError, match="no energy"):
        halo.energy(torch.zeros(1, 1, 3, 2 * D))
    with pytest.raises(ConfigError, match="frequencies"):
        halo.snapped(8.0)


def test_the_deviation_falls_evenly_in_its_logarithm():
    halo = model(std=0.4, std_last=0.1)
    seen = []
    for share in (0.0, 0.5, 1.0):
        halo.anneal(share)
        seen.append(halo.std)
    assert seen == pytest.approx([0.4, 0.2, 0.1])
    constant = model(std=0.4)
    constant.anneal(0.7)
    assert constant.std == pytest.approx(0.4)


@pytest.mark.parametrize(("closed", "period"), [(True, float(T)), (True, 2.0 * T), (False, float(T))])
def test_in_a_whole_cycle_the_last_frame_comes_before_the_first(closed, period):
    halo, frames = model(closed=closed, period=period, window=2), clips()
    frames = (frames[:1] * 255).to(torch.uint8).expand(64, -1, -1, -1, -1)
    h = halo._encode_some(frames, torch.zeros(64, dtype=torch.int64), frames)[:, 0]
    before = halo.encode(frames.float() / 255)[:, -1]
    known = h.abs().sum(1) > 0
    assert_close(h, before * known[:, None])
    assert (16 < int(known.sum()) < 48) if closed and period == T else not known.any()


def test_a_closed_motion_repeats_itself_for_ever():
    halo, frames = model(closed=True, period=6.0), clips()
    times = torch.tensor([[1.3, 1.3 + 6, 1.3 + 6000]], dtype=torch.float64).expand(3, -1)
    shown = halo.animate_images(frames[:, 0], torch.tensor([0, 1, 2]), times)
    assert_close(shown[:, 1], shown[:, 0], atol=1e-4, rtol=0)
    assert_close(shown[:, 2], shown[:, 0], atol=1e-3, rtol=0)


def test_a_learned_prior_stays_narrow():
    """However far its parameter goes, or views would keep phases of their own."""
    halo = model(prior="learned")
    halo.prior.logvar_per_action.data.fill_(3.0)
    assert halo.prior.at_start().logvar.max() == pytest.approx(-3.2)
    halo.prior.logvar_per_action.data.fill_(-5.0)
    assert halo.prior.at_start().logvar.max() == pytest.approx(-5.0)


def test_a_phase_is_known_at_any_wanted_times():
    halo, frames = model(), clips()
    times = torch.arange(T, dtype=torch.float64).expand(3, -1)
    action = torch.tensor([0, 2, 1])
    known = halo.phase(frames, times, action)
    later = halo.phase(frames, times, action, times + 1)
    assert_close(later[:, :-1], known[:, 1:], atol=1e-5, rtol=1e-5)
    assert (later - known).abs().max() > 1e-3, "the case moves"


@pytest.mark.parametrize("network", ["basis", "compact"])
def test_a_blended_clip_lies_between_two_of_the_same_action(network):
    source = Toy()
    torch.manual_seed(0)
    settings = {**SMALL, "network": network, "components": 24, "blend": 1.0}
    halo = Halo(HaloConfig(**settings), domain_of(source))
    halo.fit(source)
    clips = torch.randint(len(source), (64,), generator=torch.Generator().manual_seed(1))
    batch = halo.prepared(source).window(clips, torch.zeros_like(clips))
    known, action = halo.known(batch.frames), batch.factors["action"]
    offset, there = halo._blend(batch, batch)
    assert_close(there, offset, msg="the content is read from the clip itself")
    assert not offset[:, :, -1].any() or network == "compact", "the length of what lies outside is no place"
    mean = known.mean(1).flatten(1)
    if network == "basis":
        mean = mean[:, :-1]
        offset = offset[..., :-1]
    moved = offset.flatten(1)
    for index in range(len(clips)):
        ways = mean[action == action[index]] - mean[index]
        part = (ways @ moved[index]) / ways.square().sum(1).clamp(min=1e-9)
        left = (part[:, None] * ways - moved[index]).norm(dim=1)
        best = left.argmin()
        assert left[best] < 1e-3
        assert -1e-4 <= part[best] <= 1 + 1e-4
    assert (moved.norm(dim=1) > 1e-3).float().mean() > 0.8
    halo.losses(batch).total.backward()
    still = Halo(HaloConfig(**{**settings, "blend": 0.0}), domain_of(source))
    assert still._blend(batch, action) == (0.0, 0.0)


def test_a_blended_clip_is_also_what_is_to_be_shown(monkeypatch):
    halo = model(blend=0.5)
    batch = Toy().window(torch.arange(6), torch.zeros(6, dtype=torch.int64))
    known = halo.known(batch.frames)
    offset = torch.rand(6, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(halo, "_blend", lambda batch, elsewhere: (offset, offset))
    monkeypatch.setattr(halo.decoder, "forward", lambda z, q: torch.zeros_like(known))
    assert_close(halo.losses(batch).terms["mse"], (known + offset).square().mean())
