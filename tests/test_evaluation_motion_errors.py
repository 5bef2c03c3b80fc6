"""Units, draws, spread and intervals of generated motion, each against another way to compute it."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from kinema.evaluation import motion_errors as errors
from kinema.evaluation.bootstrap import interval_over_clips, interval_over_seeds, student_point

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def test_a_joint_one_unit_off_has_the_known_errors():
    truth = normal(4, 21, 3)
    shown = truth.clone()
    shown[:, 5, 1] += errors.UNIT
    for unit, expected in {"mse": 1 / 63, "sq": 1 / 21, "dist": 1 / 21}.items():
        assert_close(errors.joint_errors(shown, truth)[unit], torch.full((4,), expected, dtype=torch.float64))


def test_errors_of_normal_noise_are_those_of_its_laws():
    truth, sigma = normal(2000, 21, 3), 0.03
    shown = truth + sigma * normal(2000, 21, 3)
    scale = sigma / errors.UNIT
    found = {unit: values.mean().item() for unit, values in errors.joint_errors(shown, truth).items()}
    assert found["mse"] == pytest.approx(scale**2, rel=0.01)
    assert found["sq"] == pytest.approx(3 * scale**2, rel=0.01)
    assert found["dist"] == pytest.approx(stats.maxwell.mean(scale=scale), rel=0.01)


def test_joints_stand_where_the_control_has_taken_the_root():
    joints, control, fps = normal(3, 50, 4, 3), normal(3, 50, 3), 60.0
    placed = errors.world(joints, control, fps)
    place, angle = np.zeros(3), 0.0
    for t in range(50):
        turned = Rotation.from_euler("y", angle).apply(joints[1, t].numpy()) + place
        np.testing.assert_allclose(placed[1, t].numpy(), turned, atol=1e-12)
        sideways, forward, turn = control[1, t].tolist()
        angle += turn / fps
        place = place + Rotation.from_euler("y", angle).apply([sideways / fps, 0, forward / fps])


@pytest.mark.parametrize("start", [0, 1, 4, 60])
def test_the_last_known_frame_is_where_it_truly_was(start):
    true, own = normal(2, 100, 3), normal(2, 100, 3)
    joints = normal(2, 100, 4, 3)
    placed = errors.world(joints, errors.spliced(true, own, start), 60.0)
    truth = errors.world(joints, true, 60.0)
    known = max(start, 1)
    assert_close(placed[:, :known], truth[:, :known])
    assert (placed[:, known] - truth[:, known]).abs().amax() > 1e-3


def test_the_best_draw_is_the_nearest_over_the_scored_frames_alone():
    values = torch.rand(10, 7, 30, generator=GENERATOR, dtype=torch.float64)
    scored = torch.arange(30) < torch.randint(1, 30, (7, 1), generator=GENERATOR)
    chosen = errors.best_draw(values.masked_fill(~scored, torch.nan), scored)
    for clip in range(7):
        means = [values[k, clip, scored[clip]].mean().item() for k in range(10)]
        assert chosen[clip] == np.argmin(means)
    assert_close(errors.of_draw(values, chosen)[3], values[chosen[3], 3])


def test_the_spread_of_normal_draws_is_that_of_their_law():
    draws, sigma = 8, 0.02
    spread = errors.spread(sigma * normal(draws, 5, 40, 21, 3))
    expected = stats.maxwell.mean(scale=sigma / errors.UNIT) * math.sqrt(1 - 1 / draws)
    assert spread.shape == (5, 40)
    assert spread.mean().item() == pytest.approx(expected, rel=0.02)
    assert_close(errors.spread(normal(1, 2, 3, 4, 3).expand(6, -1, -1, -1, -1)), torch.zeros(2, 3, dtype=torch.float64))


def test_nineteen_of_twenty_intervals_hold_the_mean():
    repeats, clips = 400, 60
    low, high = interval_over_clips(2.0 + normal(clips, repeats), seed=0)
    assert 0.92 < ((low < 2) & (high > 2)).double().mean().item() < 0.97


def test_the_interval_is_that_of_scipy_and_of_the_normal_law():
    values = normal(200).exp()
    low, high = interval_over_clips(values[:, None], seed=1, resamples=9999)
    reference = stats.bootstrap((values.numpy(),), np.mean, method="percentile", rng=0).confidence_interval
    width = reference.high - reference.low
    assert low.item() == pytest.approx(reference.low, abs=0.05 * width)
    assert high.item() == pytest.approx(reference.high, abs=0.05 * width)
    half = 1.96 * values.std().item() / math.sqrt(200)
    assert (high - low).item() == pytest.approx(2 * half, rel=0.1)


def test_clips_that_are_not_scored_do_not_count():
    values = normal(50, 3)
    padded = torch.full((80, 3), torch.nan, dtype=torch.float64)
    padded[::2][:25] = values[:25]
    padded[1::2][:25] = values[25:]
    low, high = interval_over_clips(padded, seed=0)
    alone_low, alone_high = interval_over_clips(values, seed=0)
    assert_close(low, alone_low, atol=0.06, rtol=0)
    assert_close(high, alone_high, atol=0.06, rtol=0)
    padded[:, 1] = torch.nan
    low, _ = interval_over_clips(padded, seed=0)
    assert low.isnan().tolist() == [False, True, False]
    padded[7] = 3.0
    again, _ = interval_over_clips(padded, seed=0)
    assert again[1].item() == pytest.approx(3.0)  # one scored clip, in whichever resamples hold it


def test_intervals_of_a_seed_are_the_same_each_time():
    values = normal(30, 4)
    assert torch.equal(*(interval_over_clips(values, seed=3)[0] for _ in range(2)))
    assert not torch.equal(interval_over_clips(values, seed=3)[0], interval_over_clips(values, seed=4)[0])


def test_intervals_over_seeds_are_students():
    for freedom in range(1, 200):
        assert student_point(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)
    values = normal(5)
    low, high = interval_over_seeds(values)
    expected = stats.t.interval(0.95, 4, values.mean().item(), stats.sem(values.numpy()))
    assert (low, high) == pytest.approx(expected, rel=1e-4)
    assert all(math.isnan(end) for end in interval_over_seeds(values[:1]))
