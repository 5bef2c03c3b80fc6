"""The flow on frames that it was not fitted to: an oracle on a truly periodic movement, noise, and cheats."""

import math

import pytest
import torch

from kinema.data.moving_digits import MovingDigits, MovingDigitsConfig
from kinema.data.pairs import PairSource
from kinema.errors import ConfigError
from kinema.evaluation.scene_flow import WAYS, by_flow, by_line, by_nearest, evaluate_flow, unseen
from kinema.files.transformation import Movement
from kinema.maths import affine
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig

CPU = torch.device("cpu")
GROUND, GRAIN, SIDE, CLIPS = 0.3, 0.02, 24, 12


def draw(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Spinner(PairSource):
    """A bar that turns and swings with a period of its own in each clip, before a plain wall, filmed with grain."""

    name, split, size, fps, backgrounds = "spinner", "test", (SIDE, SIDE), 10.0, 2

    def __init__(self, frames=13, period=(8.0, 14.0)):
        low, high = period
        steps = torch.arange(frames).double()
        self.turn = 2 * math.pi * steps / torch.linspace(low, high, CLIPS).double()[:, None]
        self.length = frames

    def frame_counts(self):
        return torch.full((CLIPS,), self.length)

    def pose(self, clips, steps):
        """From the canvas to the upright bar in the middle."""
        angle = self.turn[clips, steps] + clips
        return affine.from_parts(angle, 0.2 * torch.stack([angle.sin(), (angle + 1).cos()], -1))

    def given(self, clips, first, second):
        return affine.compose(affine.invert(self.pose(clips, first)), self.pose(clips, second)).float()

    def frames(self, clips, steps, background):
        shown = over(bar(self.pose(clips, steps)), wall(background))
        number = (int(clips[0]) * 100 + int(background[0])) * 100
        grain = torch.stack([draw(3, SIDE, SIDE, seed=number + int(t)) for t in steps])
        return ((shown + GRAIN * grain) * 255).round().clamp(0, 255).to(torch.uint8)


class Wanderer(Spinner):
    """The same, but every step is drawn: nobody can know the unseen ones."""

    def pose(self, clips, steps):
        far = torch.stack([draw(self.length, 2, seed=c).mul(0.25).cumsum(0) for c in range(CLIPS)]).clamp(-0.6, 0.6)
        return affine.from_parts(torch.zeros(len(steps)).double(), far[clips, steps])


def bar(theta):
    """A light bar with soft ends, seen through theta."""
    place = affine.grid(theta, SIDE, SIDE)
    inside = torch.tensor([0.18, 0.55]) - place.abs()
    return (inside * 8).sigmoid().prod(-1)[:, None]


def wall(background):
    return GROUND * torch.ones(len(background), 3, 1, 1).double() * (1 + background.double())[:, None, None, None]


def over(cover, ground):
    return 0.9 * cover + (1 - cover) * ground


class Oracle:
    """Knows the bar and the wall, and moves it exactly; `change` is what is wrong with the T_Z that it reads."""

    def __init__(self, source, change=lambda theta: theta):
        self.source, self.change = source, change

    def transformation(self, first, second, given):
        assert given is not None
        return self.change(given)[:, None]

    def encode_character(self, x):
        """The bar's place at frame 0 instead of features: found by trying every clip and background."""
        every = [(c, b) for c in range(CLIPS) for b in range(2)]
        c, b = (torch.tensor(part) for part in zip(*every, strict=True))
        poses = self.source.pose(c, torch.zeros_like(c))
        away = (over(bar(poses), wall(b)) - x).square().mean((1, 2, 3))
        return poses[away.argmin()][None]

    def encode_background(self, x):
        return (x.mean((1, 2, 3)) > 0.48).long()

    def move(self, character, theta):
        return affine.compose(character, theta[:, 0].double())

    def render(self, character, background):
        return over(bar(character), wall(background)).float()


def measured(source, change=lambda theta: theta, **kwargs):
    return evaluate_flow(Oracle(source, change), source, CLIPS, 0, CPU, **kwargs)


def ratio(results, way="flow"):
    return results[f"unseen T_Z, {way}/of per frame"]


@pytest.fixture(scope="module")
def exact():
    return measured(Spinner())


def test_an_oracle_of_a_periodic_movement_is_as_good_as_if_it_had_seen(exact):
    assert exact["unseen T_Z, per frame/sse01"] == pytest.approx(3 * SIDE**2 * GRAIN**2, rel=0.05), "the grain alone"
    assert ratio(exact) == pytest.approx(1, abs=0.02)
    assert exact["n/clips, unseen T_Z"] == CLIPS
    assert exact["unseen T_Z, flow/sse01_low"] < exact["unseen T_Z, flow/sse01"] < exact["unseen T_Z, flow/sse01_high"]


def test_a_model_that_has_learned_movements_goes_by_them_and_the_clip_alone_stands_beside(exact):
    """Clips whose every step is drawn: nobody can know the unseen ones but who has seen others do the same."""
    source = Wanderer()
    alone = measured(source)
    settings = RendererConfig(width=8, features=8, hidden=16, transformation="given", movements=CLIPS)
    model = Renderer(settings, PairDomain((SIDE, SIDE), 10.0))
    model.finish(source, 0)
    oracle = Oracle(source)
    oracle.movements = model.movements
    learned = evaluate_flow(oracle, source, CLIPS, 0, CPU)
    assert ratio(learned, "flow alone") == pytest.approx(ratio(alone), rel=1e-9)
    assert ratio(learned) < 0.5 * ratio(alone)
    oracle.movements = None
    assert evaluate_flow(oracle, source, CLIPS, 0, CPU) == alone


def test_baselines_that_know_as_much_are_far_worse(exact):
    assert ratio(exact, "line") > 2
    assert ratio(exact, "nearest") > 2 * ratio(exact, "line")
    assert ratio(exact, "rest") > ratio(exact, "nearest")


def test_noise_in_what_is_read_hurts_the_flow_no_more_than_reading():
    generator = torch.Generator().manual_seed(0)
    noisy = measured(Spinner(), lambda theta: theta + 0.03 * torch.randn(theta.shape, generator=generator))
    assert noisy["unseen T_Z, per frame/sse01"] > 1.3 * 3 * SIDE**2 * GRAIN**2
    assert ratio(noisy) < 1.15
    assert ratio(noisy, "line") > 1.5


def test_movements_that_nobody_can_know_are_not_known():
    results = measured(Wanderer())
    assert ratio(results) > 3
    assert ratio(results, "nearest") > 3


def test_cheats_score_badly():
    """Flows that stand still: at the first frame, at the mean of the seen ones."""
    cheats = {
        "first": lambda seen, times: seen.theta[:1].expand(len(times), -1, -1, -1),
        "mean": lambda seen, times: seen.theta.mean(0, keepdim=True).expand(len(times), -1, -1, -1),
    }
    results = measured(Spinner(), ways=cheats)
    assert ratio(results, "first") > 4
    assert ratio(results, "mean") > 4


def test_a_blind_model_is_told_by_the_way_at_rest():
    """Whose T_Z is always the identity has a ratio of 1, and so has not moving at all, which gives it away."""
    results = measured(Spinner(), lambda theta: affine.identity(len(theta)))
    assert ratio(results) == pytest.approx(1)
    assert ratio(results, "rest") == pytest.approx(1)
    assert results["unseen T_Z, per frame/sse01"] > 10 * 3 * SIDE**2 * GRAIN**2


def test_unseen_frames_are_not_seen():
    assert unseen(6).nonzero()[:, 0].tolist() == [1, 3]
    assert unseen(7).nonzero()[:, 0].tolist() == [1, 3, 5]
    asked = []

    def spy(seen, times):
        asked.append((seen.at.tolist(), times.tolist()))
        return by_flow(seen, times)

    def lie(theta):
        return torch.where((torch.arange(len(theta)) % 2 == 1)[:, None, None], theta * 0 + 7, theta)

    honest, lied = (measured(Spinner(9), change, ways={"flow": spy}) for change in (lambda theta: theta, lie))
    assert lied["unseen T_Z, flow/sse01"] == honest["unseen T_Z, flow/sse01"]
    assert lied["unseen T_Z, per frame/sse01"] > 2 * honest["unseen T_Z, per frame/sse01"]
    assert all(pair == ([0.0, 2.0, 4.0, 6.0, 8.0], [1.0, 3.0, 5.0, 7.0]) for pair in asked)


def test_baselines_between_and_beyond():
    theta = torch.arange(18).double().view(3, 1, 2, 3)
    seen, times = Movement(theta, (8, 8), torch.tensor([0.0, 2.0, 4.0]).double()), torch.tensor([1.0, 3.5]).double()
    assert torch.equal(by_nearest(seen, times), theta[[0, 2]])
    assert torch.allclose(by_line(seen, times), torch.stack([theta[:2].mean(0), theta[1] * 0.25 + theta[2] * 0.75]))
    assert torch.equal(WAYS["rest"](seen, times), affine.identity(2, 1, dtype=torch.float64))


def test_clips_that_are_too_short_are_refused_or_left_out():
    digits = MovingDigits(MovingDigitsConfig(size=32, backgrounds=2, videos=16), "test")
    with pytest.raises(ConfigError, match="digits: its clips have 5 frames at most; 6 are needed"):
        evaluate_flow(Oracle(Spinner()), digits, 4, 0, CPU)


def test_clips_are_drawn_by_the_seed():
    source = Spinner(7)
    few = [evaluate_flow(Oracle(source), source, 3, seed, CPU) for seed in (0, 0, 1)]
    assert few[0] == few[1]
    assert few[0] != few[2]
    assert few[0]["n/clips, unseen T_Z"] == 3
