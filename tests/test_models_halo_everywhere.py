"""States that are read at every frame of a clip and carried to one moment."""

import pytest
import torch
from torch.testing import assert_close

from kinema.clip import VideoClip
from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.models import clips as verbs
from kinema.models.halo import Halo
from test_models_halo import ACTION, D, T, both, clips, irregular, model


@both
def test_every_frame_is_read_and_carried_along_the_flow(conditional):
    halo, times, at = model(conditional=conditional, state_everywhere=True), irregular(), 2
    h = halo.encode(clips())
    carried = [
        halo.flow(halo.mean_state(h, t, ACTION), times[:, at : at + 1] - times[:, t : t + 1])[:, 0] for t in range(T)
    ]
    read = halo.state_read(h, times, at, ACTION)
    assert_close(read, torch.stack(carried).mean(0), atol=1e-5, rtol=1e-5)
    some = halo.state_read(h, times, at, ACTION, (1, 4))
    assert_close(some, torch.stack(carried[1:4]).mean(0), atol=1e-5, rtol=1e-5)
    assert (read - some).abs().max() > 0.01
    assert_close(halo.phase(clips(), times, ACTION)[:, halo.anchor(0, T)], halo.state_read(h, times, T // 2, ACTION))


def test_as_in_the_paper_one_frame_is_read():
    halo = model()
    h = halo.encode(clips())
    assert_close(halo.state_read(h, irregular(), 2, ACTION), halo.mean_state(h, 2, ACTION), atol=0, rtol=0)
    one = halo.encode(clips(length=1))
    everywhere = model(state_everywhere=True)
    assert_close(everywhere.state_read(one, irregular(length=1), 0, ACTION), everywhere.mean_state(one, 0, ACTION))


def test_what_frames_tell_wrongly_is_averaged_out(monkeypatch):
    """Readings with independent errors of variance 1, carried by rotations, have errors of variance 1 / T together."""
    halo, count, length = model(operator="orthogonal", state_everywhere=True), 2000, 8
    times = torch.arange(length, dtype=torch.float64).expand(count, -1)
    action = torch.arange(count) % 3
    torch.manual_seed(0)
    truth = torch.randn(count, halo.count, 2 * D) * halo.moving(action)[..., None]
    path = halo.flow(truth, times)
    noisy = path + torch.randn_like(path)

    def reads(self, recent, doing):
        return Gaussian(noisy.flatten(0, 1), torch.zeros_like(noisy).flatten(0, 1))

    monkeypatch.setattr(Halo, "state_gaussian", reads)
    off = halo.state_read(torch.zeros(count, length, 12), times, 0, action) - truth
    moving = halo.moving(action)[..., None].expand_as(off).bool()
    assert off[moving].square().mean().item() == pytest.approx(1 / length, rel=0.05)


@pytest.mark.parametrize("operator", ["rnn", "linear", "positional"])
def test_what_runs_forwards_only_cannot_be_read_everywhere(operator):
    with pytest.raises(ConfigError, match=f"model.state_everywhere: {operator} runs forwards only"):
        model(operator=operator, state_everywhere=True)


def test_a_swap_reads_each_stretch_at_its_own_frames():
    halo = model(state_everywhere=True)
    a, b = (VideoClip(x[0], fps=10.0) for x in (clips(seed=1), clips(seed=2)))
    h, times = halo.encode(b.frames[None]), torch.arange(T, dtype=torch.float64)[None]
    z = halo.content(halo.encode(a.frames[None])).mean
    states = []
    for first, after in ((0, 3), (3, 6)):
        at = halo.anchor(first, after)
        state = halo.state_read(h, times, at, ACTION[:1], (first, after))
        states.append(halo.flow(state, times[:, first:after] - times[:, at : at + 1]))
    expected = halo.decode(z, torch.cat(states, 1))[0].clamp(0, 1)
    assert_close(verbs.swap(halo, a, b, action="walk", reinfer=3).frames, expected, atol=1e-5, rtol=1e-5)
