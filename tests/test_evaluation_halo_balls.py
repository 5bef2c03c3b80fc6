import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from kinema.data.balls import Balls, BallsConfig, locate
from kinema.errors import ConfigError
from kinema.evaluation.halo_balls import balls_pictures, evaluate_balls, is_ball, of_colour, passes, swap_pairs
from kinema.evaluation.windows import floats
from kinema.models.base import Domain
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig

TEST = Balls(BallsConfig(clips=60), "test")
MIDDLE = (TEST.config.size - 1) / 2
COUNT = 6


class Unasked:
    """What the contract has and these measures do not ask for."""

    def losses(self, batch):
        raise NotImplementedError

    recognise = reconstruct = animate_images = codes = with_sampled_content = losses


class Oracle(Unasked):
    """Reads colour, circle and phase off the pictures, and draws true orbits."""

    rate = 1.0

    def __init__(self, source):
        self.source = source
        self.domain = Domain(source.actions, source.channels, source.size, source.length, source.fps)

    def colour(self, frames):
        return (frames[:, 0, 2].sum((-2, -1)) > frames[:, 0, 0].sum((-2, -1))).long()

    def draw(self, colour, orbit, phase, times):
        return floats(self.source.draw(colour, orbit, phase, self.rate * times))

    def with_prior_motion(self, content, action, times, generator):
        orbit = 6 + 5 * torch.rand(len(content), generator=generator, dtype=torch.float64)
        phase = 2 * math.pi * torch.rand(len(content), generator=generator, dtype=torch.float64)
        return self.draw(self.colour(content), orbit, phase, times)

    def transfer(self, content, motion, times, action=None):
        x, y = (locate(motion)[:, 0] - MIDDLE).unbind(-1)
        return self.draw(self.colour(content), torch.hypot(x, y), torch.atan2(y, x), times)


class Noise(Oracle):
    def with_prior_motion(self, content, action, times, generator):
        return torch.rand(*times.shape, 3, 32, 32, generator=generator)

    def transfer(self, content, motion, times, action=None):
        return torch.rand(motion.shape, generator=torch.Generator().manual_seed(0))


class Still(Oracle):
    """A perfect ball that stays where it is: at a constant distance from the middle."""

    rate = 0.0


class Backwards(Oracle):
    rate = -1.0


class WrongColour(Oracle):
    def draw(self, colour, *rest):
        return super().draw(1 - colour, *rest)


class Purple(Oracle):
    def draw(self, colour, *rest):
        return (super().draw(colour, *rest) + super().draw(1 - colour, *rest)) / 2


class Vanished(Oracle):
    def draw(self, colour, *rest):
        return 0.0 * super().draw(colour, *rest)


class Smeared(Oracle):
    """Half the ball on either side of its place: the centre of mass and the light are right."""

    def draw(self, colour, *rest):
        ball = super().draw(colour, *rest)
        return (ball.roll(5, -2) + ball.roll(-5, -2)) / 2


class Motionless(Oracle):
    """The other clip itself: its place is right, its colour is not."""

    def transfer(self, content, motion, times, action=None):
        return motion


class Tiny(Oracle):
    """Turns on a circle so small that nothing could be far from it."""

    def with_prior_motion(self, content, action, times, generator):
        return self.draw(self.colour(content), torch.full((len(content),), 0.4).double(), times[:, 0], times)


class Elliptic(Oracle):
    """The orbit is an ellipse whose half axes differ by 4 pixels."""

    def with_prior_motion(self, content, action, times, generator):
        angle = times * math.pi / 8
        x, y = 10 * angle.cos(), 6 * angle.sin()
        still = torch.zeros_like(times.flatten())[:, None]
        colour = self.colour(content).repeat_interleave(times.shape[1])
        flat = torch.hypot(x, y).flatten(), torch.atan2(y, x).flatten()
        return floats(self.source.draw(colour, *flat, still)).view(*times.shape, 3, 32, 32)


def measured(double):
    return evaluate_balls(double(TEST), TEST, COUNT, 0)


@pytest.fixture(scope="module")
def oracle():
    return measured(Oracle)


def test_true_orbits_reach_every_bar(oracle):
    assert all(passes(oracle).values())
    for name in ("rollout/ball", "rollout/colour", "rollout/turns right", "swap/colour", "swap/ball"):
        assert oracle[name] == oracle[f"{name}_low"] == 1
    for name in ("rollout/from orbit greatest", "rollout/off time", "swap/position error greatest"):
        assert oracle[name] < 0.05  # pixels: rounding to 8 bits
    assert oracle["rollout/turns"] == pytest.approx(oracle["rollout/turns truth"], abs=1e-2)
    assert 6 < oracle["rollout/radius"] < 11
    assert oracle["swap/mse"] < 1e-4
    assert oracle["n"] == COUNT
    assert not any(name.startswith("energy") for name in oracle)


@pytest.mark.parametrize(
    ("double", "fails"),
    [
        (Noise, {"rollout/ball", "rollout/colour", "swap/position error", "swap/colour", "swap/ball"}),
        (Still, {"rollout/turns right", "swap/position error", "swap/position error greatest"}),
        (Backwards, {"rollout/turns right", "swap/position error", "swap/position error greatest"}),
        (WrongColour, {"rollout/colour", "swap/colour"}),
        (Purple, {"rollout/colour", "swap/colour"}),
        (Vanished, {"rollout/ball", "rollout/colour", "rollout/turns right", "swap/ball", "swap/colour"}),
        (Smeared, {"rollout/ball", "swap/ball"}),
        (Motionless, {"swap/colour"}),
        (Tiny, {"rollout/radius known"}),
        (Elliptic, {"rollout/from orbit", "rollout/from orbit greatest"}),
    ],
)
def test_noise_and_cheats_fail_where_they_should(double, fails):
    verdicts = passes(measured(double))
    assert fails <= {name for name, reached in verdicts.items() if not reached}


def test_distances_are_pixels():
    """An ellipse of half axes 10 and 6: its distance from the middle ranges over 4 pixels about a mean near 8."""
    results = measured(Elliptic)
    assert results["rollout/from orbit greatest"] == pytest.approx(2, abs=0.3)
    # mean |r - mean r| of r = sqrt(64 + 32 cos 2a ...), by quadrature
    angle = torch.linspace(0, 2 * math.pi, 17)[:-1]
    radius = torch.hypot(10 * angle.cos(), 6 * angle.sin())
    assert results["rollout/from orbit"] == pytest.approx(float((radius - radius.mean()).abs().mean()), abs=0.02)
    assert results["rollout/turns"] == pytest.approx(255 / 16, abs=0.05)


@pytest.mark.parametrize("rate", [0.97, 1.0, 1.03])
def test_turns_count(rate):
    model = Oracle(TEST)
    model.rate = rate
    results = evaluate_balls(model, TEST, 3, 1)
    assert results["rollout/turns"] == pytest.approx(rate * 255 / 16, abs=0.01)
    assert results["rollout/turns right"] == (rate == 1)
    assert (results["rollout/off time"] < 0.05) == (rate == 1)


def test_a_ball_is_known_by_its_light_and_its_shape():
    ball = TEST.frames(torch.tensor([0]), torch.arange(4)[None])
    assert is_ball(TEST, ball, locate(ball)).all()
    half = (ball.float() / 2).byte()
    assert not is_ball(TEST, half, locate(half)).any()
    square = torch.zeros_like(ball)
    square[..., 10:24, 14:18] = 255  # 56 bright pixels, as many as a ball has, in a bar
    assert not is_ball(TEST, square[:, :, :1].expand(-1, -1, 3, -1, -1) // 3, locate(square)).any()
    soft = torch.nn.functional.avg_pool2d(ball[0].float(), 3, 1, 1)[None].byte()
    assert is_ball(TEST, soft, locate(soft)).all()


def test_black_is_no_colour():
    black = torch.zeros(1, 2, 3, 32, 32, dtype=torch.uint8)
    assert not of_colour(black, torch.tensor([0])).any()


def test_swapped_pairs_differ_in_colour_and_one_colour_is_refused():
    a, b = swap_pairs(TEST, 30, torch.Generator().manual_seed(0))
    assert (a.labels("colour") != b.labels("colour")).all()
    lonely = Balls(BallsConfig(clips=60), "test")
    lonely.labels = {**lonely.labels, "colour": torch.zeros_like(lonely.labels["colour"])}
    with pytest.raises(ConfigError, match="one colour"):
        swap_pairs(lonely, 3, torch.Generator())


def halo(**settings):
    torch.manual_seed(0)
    domain = Domain(TEST.actions, TEST.channels, TEST.size, TEST.length, TEST.fps)
    return Halo(HaloConfig(d=1, content=4, period=16.0, width=8, features=16, **settings), domain).eval()


def test_the_energy_of_a_hamiltonian_is_kept_and_its_parts_move():
    results = evaluate_balls(halo(), TEST, 3, 0)
    assert results["energy/drift"] < 1e-5
    assert results["energy/potential moves"] > 0.05
    assert results["energy/kinetic moves"] > 0.05
    assert results["energy/drift"] <= results["energy/drift_high"]
    assert not all(passes(results).values())


def test_a_drift_of_energy_is_seen():
    class Leaking(Halo):
        def flow(self, state, times):
            return super().flow(state, times) * (1 + 1e-3 * times.float())[..., None, None]

    model = halo()
    model.__class__ = Leaking
    # E grows with the square of the state: (1 + .255)^2 - 1
    assert evaluate_balls(model, TEST, 3, 0)["energy/drift"] == pytest.approx(1.255**2 - 1, rel=1e-3)


def test_a_fitted_density_does_not_hide_the_prior():
    class Fitted(Oracle):
        starts = "a density"

        def standard(self):
            return Still(TEST)

    results = measured(Fitted)
    assert results["rollout/turns right"] == 1
    assert results["N(0, I), rollout/turns right"] == 0
    assert results["N(0, I), rollout/from orbit greatest"] < 0.05


def test_rivals_have_no_energy_and_are_measured_all_the_same():
    results = evaluate_balls(halo(operator="rnn"), TEST, 3, 0)
    assert not any(name.startswith("energy") for name in results)
    assert "rollout/from orbit" in results


def test_the_same_seed_gives_the_same(oracle):
    assert_close(measured(Oracle), oracle)


def test_pictures_are_png_files():
    names = set(balls_pictures(Oracle(TEST), TEST, 0, rows=2))
    assert names == {"rollouts", "swaps"}
    pictures = balls_pictures(halo(), TEST, 0, rows=2)
    assert set(pictures) == {"rollouts", "swaps", "energy", "phase"}
    for data in pictures.values():
        assert np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).std() > 5
