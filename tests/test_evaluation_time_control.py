"""Time control is measured: what knows the truth, what knows nothing, and what ignores the times."""

import pytest
import torch

from evaluation_doubles import AllContent, Oracle
from kinema.data.balls import Balls, BallsConfig
from kinema.errors import ClipError
from kinema.evaluation.metrics import PSNR_CAP
from kinema.evaluation.time_control import ROUNDING, evaluate_time_control, times_of
from toy import Toy

TEST = Toy("test")
OTHERS = ("irregular", "half tempo", "reversal")


class Deaf(Oracle):
    """Gives the truth at regular times, whatever it is asked."""

    def animate_images(self, images, action, times):
        regular = torch.arange(times.shape[1], dtype=torch.float64).expand(times.shape)
        return super().animate_images(images, action, regular)


class Forwards(Oracle):
    """Knows no time before the image."""

    def animate_images(self, images, action, times):
        if float(times.min()) < 0:
            raise ClipError("no way back")
        return super().animate_images(images, action, times)


class Random(Oracle):
    def animate_images(self, images, action, times):
        return torch.rand(*times.shape, *images.shape[1:], generator=torch.Generator().manual_seed(len(times)))


class WholeTimes(Toy):
    """Drawn at whole times only, as real sprites are."""

    def truth(self, content, motion, times):
        if not torch.equal(times, times.round()):
            raise ClipError("whole times only")
        return super().truth(content, motion, times)


class KnowsBalls(Oracle):
    """The truth of balls, whose circle and phase are more than their factors."""

    def animate_images(self, images, action, times):
        clips, start = self.identify(images)
        return self.source.truth(clips, clips, start[:, None] + times).float() / 255


def measure(double, source=TEST, clips=24):
    return evaluate_time_control(double(source), source, clips, 0)


def test_the_oracle_is_perfect_and_its_ratios_are_one():
    results = measure(Oracle, clips=1000)
    assert results["n"] == len(TEST)
    for name in ("regular", *OTHERS):
        assert results[f"{name}/mse"] == 0.0
        assert results[f"{name}/psnr"] == pytest.approx(PSNR_CAP)
    assert [results[f"{name}/of regular"] for name in OTHERS] == [1.0, 1.0, 1.0]


def test_ignoring_the_times_is_found_out():
    results = measure(Deaf)
    assert results["regular/mse"] == 0.0
    for name in OTHERS:
        assert results[f"{name}/of regular"] > 100
        assert results[f"{name}/mse"] == pytest.approx(results[f"{name}/unmoved mse"])
        assert results[f"{name}/mse"] > 1000 * ROUNDING


def test_noise_is_equally_bad_at_all_times():
    """Its ratios are one, and its errors, which stand beside them, far above what ignoring the times costs."""
    results = measure(Random)
    for name in OTHERS:
        assert results[f"{name}/of regular"] == pytest.approx(1.0, abs=0.1)
        assert results[f"{name}/mse"] > 2 * results[f"{name}/unmoved mse"]


def test_a_still_picture_is_as_bad_as_it_is():
    results = measure(AllContent)
    assert results["reversal/of regular"] == pytest.approx(1.0, abs=0.05)  # two whole cycles, either way
    assert results["half tempo/mse"] < results["regular/mse"] * 1.2


def test_the_times_are_what_they_are_called():
    times = times_of(TEST, 5, torch.Generator().manual_seed(0))
    assert times["regular"][0].tolist() == list(range(16))
    assert torch.equal(times["half tempo"], times["regular"] / 2)
    assert torch.equal(times["reversal"], -times["regular"])
    irregular = times["irregular"]
    assert bool((irregular.diff() > 0).all())
    assert bool((irregular[:, 0] == 0).all())
    assert 8 < float(irregular.max()) <= 15
    assert not torch.equal(irregular[0], irregular[1])
    assert torch.equal(irregular, times_of(TEST, 5, torch.Generator().manual_seed(0))["irregular"])


def test_sources_of_whole_times_are_asked_for_no_others():
    source = WholeTimes("test")
    results = measure(Oracle, source)
    assert "half tempo/mse" not in results
    assert results["irregular/mse"] == results["reversal/mse"] == 0.0
    assert measure(Deaf, source)["irregular/of regular"] > 100


def test_what_a_model_refuses_is_left_out():
    results = measure(Forwards)
    assert {name.split("/")[0] for name in results} == {"n", "regular", "irregular", "half tempo"}


def test_balls_go_round_backwards():
    source = Balls(BallsConfig(clips=20), "test")
    results = measure(KnowsBalls, source)
    assert [results[f"{name}/mse"] for name in ("regular", *OTHERS)] == [0.0, 0.0, 0.0, 0.0]
    assert results["reversal/unmoved mse"] > 0.01
