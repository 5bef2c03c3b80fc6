"""Rotating balls: where they are drawn, what a swap shows, how they are split."""

import math

import pytest
import torch

from kinema.data.balls import Balls, BallsConfig, locate
from kinema.errors import ConfigError

CONFIG = BallsConfig(clips=100)


@pytest.fixture(scope="module")
def everything() -> Balls:
    return Balls(CONFIG, "all")


def test_the_ball_is_seen_where_it_is_said_to_be(everything):
    clips, times = torch.arange(100), torch.linspace(-3.0, 40.0, 23, dtype=torch.float64).expand(100, 23)
    seen = locate(everything.truth(clips, clips, times))
    torch.testing.assert_close(seen, everything.position(clips, times), rtol=0, atol=0.1)


def test_the_ball_keeps_to_its_circle_and_turns_evenly(everything):
    steps = torch.arange(16).expand(100, 16)
    offset = locate(everything.frames(torch.arange(100), steps)) - (CONFIG.size - 1) / 2
    torch.testing.assert_close(offset.norm(dim=-1), everything.orbit[:, None].expand(100, 16), rtol=0, atol=0.1)
    angle = torch.atan2(offset[..., 1], offset[..., 0])
    turned = (angle.diff(dim=1) + math.pi) % (2 * math.pi) - math.pi
    torch.testing.assert_close(turned, torch.full_like(turned, 2 * math.pi / 16), rtol=0, atol=0.03)


def test_orbits_fill_their_range_and_the_disc_has_its_area(everything):
    low, high = CONFIG.orbits
    assert low <= everything.orbit.min() < low + 0.5
    assert high - 0.5 < everything.orbit.max() <= high
    frames = everything.frames(torch.arange(100), torch.zeros(100, 1, dtype=torch.long)).double() / 255
    area = frames.sum((-3, -2, -1))
    torch.testing.assert_close(area, torch.full_like(area, math.pi * CONFIG.radius**2), rtol=0.02, atol=0)


def test_half_the_balls_are_red_and_only_red(everything):
    red = everything.labels["colour"] == 0
    assert int(red.sum()) == 50
    colour = everything.frames(torch.arange(100), torch.zeros(100, 1, dtype=torch.long)).amax((1, 3, 4))
    assert colour[red].unique(dim=0).tolist() == [[255, 0, 0]]
    assert colour[~red].unique(dim=0).tolist() == [[0, 0, 255]]


def test_a_swap_has_the_colour_of_one_and_the_circle_of_the_other(everything):
    a, b = torch.tensor([0, 1, 2]), torch.tensor([7, 8, 9])
    times = torch.tensor([[0.0, 0.5, 2.25, -7.0]], dtype=torch.float64).expand(3, 4)
    swap = everything.truth(a, b, times)
    torch.testing.assert_close(locate(swap), everything.position(b, times), rtol=0, atol=0.1)
    own = everything.truth(a, a, times)
    assert torch.equal(swap.amax((1, 3, 4)), own.amax((1, 3, 4)))
    assert torch.equal(own[:, :1], everything.frames(a, torch.zeros(3, 1, dtype=torch.long)))


def test_render_is_the_middle_circle(everything):
    times = torch.tensor([[0.0, 4.0]], dtype=torch.float64)
    seen = locate(everything.render({"colour": torch.tensor([1]), "action": torch.tensor([0])}, times))
    expected = torch.tensor([[[15.5 + 8.5, 15.5], [15.5, 15.5 + 8.5]]], dtype=torch.float64)
    torch.testing.assert_close(seen, expected, rtol=0, atol=0.1)


def test_a_black_picture_is_located_in_the_middle():
    assert locate(torch.zeros(1, 1, 3, 9, 5)).tolist() == [[[2.0, 4.0]]]


def test_splits_part_the_clips_and_keep_them_as_they_are(everything):
    train, test = Balls(CONFIG, "train"), Balls(CONFIG, "test")
    assert sorted(train.identity.tolist() + test.identity.tolist()) == list(range(100))
    assert len(test) == 20
    steps = torch.arange(16).expand(20, 16)
    assert torch.equal(test.frames(torch.arange(20), steps), everything.frames(test.identity, steps))
    with pytest.raises(ConfigError, match="train, test, all"):
        Balls(CONFIG, "validation")


def test_items_and_windows_show_the_same(everything):
    clip = everything[3]
    window = everything.window(torch.tensor([3]), torch.tensor([0]))
    assert torch.equal((clip.frames * 255).round().byte(), window.frames[0])
    assert clip.labels == {"colour": "blue", "action": "rotate"}
    assert int(window.factors["colour"][0]) == 1


@pytest.mark.parametrize(
    "wrong", [{"orbits": (6.0, 13.0)}, {"radius": 0.0}, {"held_out": 1.0}, {"period": 0.0}, {"clips": 1}]
)
def test_settings_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ConfigError, match="balls"):
        BallsConfig(**wrong)
