"""A movement driven by its flow: what happens between its frames, faster, slower, backwards and for ever."""

import math
from dataclasses import replace

import pytest
import torch

from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError
from kinema.files.transformation import Movement
from kinema.maths import affine
from kinema.models.movement_flow import Flow, duration, flowing
from kinema.models.tempo import Playback

SIZE = (32, 32)


def turning(times, parts=1, period=12.0):
    """A steady turn about a point that is not the middle, with a swing beside it; its own angle and pace a part."""
    angle = 2 * math.pi / period * times[:, None] + torch.arange(parts)
    about = torch.tensor([0.3, -0.2]).double()
    turn = affine.from_parts(angle, torch.zeros(*angle.shape, 2).double())
    shift = about - (turn[..., :2] @ about[:, None])[..., 0]
    return torch.cat([turn[..., :2], (shift + 0.1 * angle.sin()[..., None])[..., None]], -1)


def frames(count=12, parts=1, **about):
    return Movement(turning(torch.arange(count).double(), parts), SIZE, **about)


def walk(count=9, seed=0):
    steps = torch.randn(count, 1, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Movement(affine.identity(count, 1).double() + 0.1 * steps.cumsum(0), SIZE)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("period", [None, 12.0])
def test_a_turn_is_known_between_its_frames(parts, period):
    times = torch.linspace(0, 11, 67).double()
    theta = flowing(frames(parts=parts), period).theta(times)
    assert torch.allclose(theta, turning(times, parts), atol=1e-3)
    angle, _, scale = affine.parts(theta)
    assert torch.allclose(scale, torch.ones_like(scale), atol=1e-3), "it neither shrinks nor shears on its way"
    expected = affine.parts(turning(times, parts))[0]
    assert torch.allclose(torch.cos(angle - expected), torch.ones_like(angle), atol=1e-5), "beyond half a turn too"


def test_played_as_it_is_it_stays_what_it_is():
    movement = frames(fps=12.5, labels={"tag": "spin"}, name="b.gif")
    flow = flowing(movement)
    played = flow.played(Playback())
    assert torch.allclose(played.theta, movement.theta, atol=1e-3)
    assert torch.equal(played.at, movement.at)
    assert (played.until, played.fps, played.labels, played.size) == (12.0, 12.5, {"tag": "spin"}, SIZE)
    assert flow.missed() < 0.05


def test_faster_slower_backwards_and_at_another_rate():
    flow = flowing(frames(), 12.0)
    fast, slow = flow.played(Playback(tempo=2.0)), flow.played(Playback(tempo=0.25))
    assert (len(fast), len(slow)) == (6, 48)
    assert torch.allclose(fast.theta, turning(2.0 * torch.arange(6).double()), atol=1e-3)
    assert torch.allclose(slow.theta, turning(torch.arange(48).double() / 4), atol=1e-3)
    smooth = flow.played(Playback(fps=30.0))
    assert (len(smooth), smooth.fps) == (36, 30.0)
    assert torch.allclose(smooth.theta, turning(torch.arange(36).double() / 3), atol=1e-3)
    back = flow.played(Playback(reverse=True))
    assert torch.allclose(back.theta, flow.played(Playback()).theta.flip(0), atol=1e-12)


def test_a_movement_at_times_of_its_own():
    times = torch.tensor([5.0, 6, 8, 9, 12, 13, 14, 17]).double()
    movement = Movement(turning(times), SIZE, times, 18.5)
    flow = flowing(movement)
    assert duration(movement) == 13.5
    assert torch.allclose(flow.theta(torch.tensor([7.0, 10.5]).double()), turning(torch.tensor([7.0, 10.5])), atol=1e-2)
    played = flow.played(Playback())
    assert torch.equal(played.at, times - 5)
    assert played.until == 13.5
    assert torch.allclose(flow.played(Playback(reverse=True)).theta, played.theta.flip(0), atol=1e-12)


@pytest.mark.parametrize("period", [9.0, 7.5])
def test_a_loop_closes_exactly_even_where_the_movement_does_not(period):
    flow = flowing(walk(), period)
    three = flow.played(Playback(loop=period), 3 * round(period))
    one = three.theta[: round(period)]
    assert torch.allclose(three.theta, one.repeat(3, 1, 1, 1), atol=1e-12)
    assert len(flow.played(Playback(loop=period))) == round(period)
    assert not torch.allclose(one[1:], one[:-1], atol=0.02)


def test_without_a_loop_it_goes_on_beyond_the_clip():
    flow = flowing(frames())
    longer = flow.played(Playback(), 30)
    assert torch.allclose(longer.theta, turning(torch.arange(30).double()), atol=1e-2)


def test_singular_and_mirrored_matrices_have_a_flow_too():
    squash = torch.cos(2 * math.pi * torch.arange(12) / 12).double()
    theta = torch.zeros(12, 1, 2, 3).double()
    theta[:, 0, 0, 0], theta[:, 0, 1, 1] = squash, 1.0
    between = flowing(Movement(theta, SIZE), 12.0).theta(torch.tensor([2.5, 3.0]).double())
    assert between[:, 0, 0, 0].tolist() == pytest.approx([math.cos(2.5 * math.pi / 6), 0.0], abs=1e-3)


def test_what_a_flow_misses_is_told_in_pixels():
    flow = flowing(frames(), 12.0)
    away = flow.source.theta.clone()
    away[4, 0, 0, 2] += 0.5  # half a canvas unit to the right: 8 of 32 pixels
    assert Flow(replace(flow.source, theta=away), flow.oscillation).missed() == pytest.approx(8.0, abs=0.1)


def test_a_movement_too_short_and_a_period_that_is_none_are_one_line():
    for count, says in ((1, "of 1 frame;"), (2, "of 2 frames; a flow needs from 3")):
        with pytest.raises(ClipError, match=f"^b.gif: a movement {says}") as error:
            flowing(frames(count, name="b.gif"))
        assert "\n" not in str(error.value)
    for period, says in ((1.5, "period of 1.5; its samples"), (100.0, "from 2 to 44")):
        with pytest.raises(ClipError, match=f"^b.gif: .*{says}"):
            flowing(frames(name="b.gif"), period)
    with pytest.raises(ConfigError, match="whole loops close"):
        flowing(frames(), 6.0).played(Playback(loop=6.0), 8)


def test_the_clock_is_that_of_a_clip():
    times = torch.tensor([2.0, 3.0, 5.5]).double()
    clip = VideoClip(torch.zeros(3, 3, 8, 8), times=times, end=7.0, fps=5.0)
    movement = Movement(turning(times), SIZE, times, 7.0, 5.0)
    for playback in (Playback(tempo=0.4), Playback(fps=13.0), Playback(reverse=True), Playback(loop=4.0)):
        line, played = playback.of_clip(clip), flowing(movement).played(playback)
        assert torch.equal(played.at, line.shown)
        assert (played.until, played.fps) == (line.end, line.fps)
