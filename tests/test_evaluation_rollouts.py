import math

import pytest
import torch
from torch.testing import assert_close

from factored_doubles import CheatContent, CheatMotion, FactoredNoise, FactoredOracle
from kinema.data.balls import Balls, BallsConfig
from kinema.errors import ClipError, ConfigError
from kinema.evaluation import rollouts
from kinema.evaluation.metrics import PSNR_CAP, mse, psnr, ssim
from kinema.evaluation.rollouts import evaluate_rollouts, frame_scores, passes
from kinema.evaluation.windows import floats
from kinema.models.base import Domain
from toy import Toy

SOURCE = Toy("test")


class Slow(FactoredOracle):
    """Turns a little too slowly until it is snapped."""

    rate = 0.99

    def animate_images(self, images, action, times):
        return super().animate_images(images, action, self.rate * times)

    def snapped(self, period):
        right = Slow(self.source)
        right.rate = 8 / period
        return right


class Noisy(FactoredNoise):
    def animate_images(self, images, action, times):
        seed = int(1e3 * times.sum()) % 2**31
        return torch.rand(*times.shape, *images.shape[1:], generator=torch.Generator().manual_seed(seed))

    def snapped(self, period):
        return self


def rolled(double, **options):
    return evaluate_rollouts(double(SOURCE), SOURCE, 12, 0, **options)


@pytest.fixture(scope="module")
def oracle():
    return rolled(FactoredOracle)


def test_the_oracle_is_perfect_for_a_thousand_frames(oracle):
    assert all(passes(oracle).values())
    for name in ("rollout", "snapped rollout"):
        for length in (16, 64, 256, 1000):
            for end in ("", " last"):
                assert oracle[f"{name} {length}{end}/mse"] == oracle[f"{name} {length}{end}/mse_high"] == 0
                assert oracle[f"{name} {length}{end}/psnr"] == pytest.approx(PSNR_CAP)
                assert oracle[f"{name} {length}{end}/ssim"] == pytest.approx(1, abs=1e-6)
    assert oracle["rollout/n"] == 12
    assert all(isinstance(value, float) for value in oracle.values())


@pytest.mark.parametrize("double", [Noisy, CheatContent])
def test_noise_and_a_picture_that_stands_still_fail(double):
    results = rolled(double, lengths=(16, 1000))
    verdicts = passes(results)
    assert not any(verdicts[f"rollout 16/{name}"] for name in ("ssim", "psnr", "mse"))


def test_a_model_that_returns_its_motion_has_none_to_return():
    assert not all(passes(rolled(CheatMotion, lengths=(16, 1000))).values())  # one image holds no motion: it stands


def test_a_slow_clock_drifts_and_the_snapped_one_does_not():
    results = rolled(Slow, lengths=(16, 64, 1000))
    assert results["rollout 16/mse"] < 0.5 * results["rollout 64/mse"]
    assert results["rollout 64 last/mse"] > results["rollout 64/mse"]
    assert not passes(results)["rollout 1000/mse"]
    for length in (16, 64, 1000):
        assert results[f"snapped rollout {length}/mse"] == 0.0
    late = rolled(Slow, lengths=(16,), period=8.08)  # the given period, not the cycle's
    assert late["snapped rollout 16/mse"] > 0


def test_the_figures_are_those_of_the_definition():
    model, clips, length = Slow(SOURCE), torch.tensor([3, 40, 7]), 150
    scores = frame_scores(model, SOURCE, clips, length, torch.arange(0, length, 7))
    steps = torch.arange(length).expand(3, -1)
    truth = floats(SOURCE.frames(clips, steps))
    images = floats(SOURCE.frames(clips, torch.zeros(3, 1, dtype=torch.int64))[:, 0])
    shown = model.animate_images(images, SOURCE.labels["action"][clips], steps.double())
    assert_close(scores["mse"].mean(1), mse(shown, truth))
    assert_close(scores["psnr"].mean(1), psnr(shown, truth))
    assert_close(scores["ssim"][:, ::7].mean(1), ssim(shown[:, ::7], truth[:, ::7]))
    assert scores["ssim"].isnan().sum() == 3 * (length - 22)


def test_means_and_intervals_are_over_the_first_and_the_last_frames():
    results = rolled(Slow, lengths=(64,))
    chosen = torch.randperm(len(SOURCE), generator=torch.Generator().manual_seed(0))[:12]
    errors = frame_scores(Slow(SOURCE), SOURCE, chosen, 64, torch.arange(64))
    assert results["rollout 64/mse"] == pytest.approx(errors["mse"].mean().item())
    assert results["rollout 64 last/psnr"] == pytest.approx(errors["psnr"][:, 56:].mean().item())
    assert results["rollout 64 last/ssim"] == pytest.approx(errors["ssim"][:, 56:].mean().item())
    assert results["rollout 64/ssim"] == pytest.approx(errors["ssim"].mean().item())
    assert results["rollout 64/mse_low"] < results["rollout 64/mse"] < results["rollout 64/mse_high"]


def test_no_more_frames_are_asked_for_than_fit(monkeypatch):
    monkeypatch.setattr(rollouts, "HELD", 100)
    asked = []

    class Watched(FactoredOracle):
        def animate_images(self, images, action, times):
            asked.append(times.numel())
            return super().animate_images(images, action, times)

    results = evaluate_rollouts(Watched(SOURCE), SOURCE, 5, 0, lengths=(16, 200))
    assert max(asked) <= 100
    assert sum(asked) == 2 * 5 * 200
    assert results["rollout 200/mse"] == 0


def test_dynamics_without_frequencies_have_no_snapped_rows():
    class Rigid(FactoredOracle):
        def snapped(self, period):
            raise ConfigError("no frequencies")

    assert not any("snapped" in name for name in rolled(Rigid, lengths=(16,)))


class Balling:
    """Knows the balls' circles."""

    def __init__(self, source):
        self.source = source
        self.domain = Domain(source.actions, 3, source.size, source.length, source.fps)
        first = source.frames(torch.arange(len(source)), torch.zeros(len(source), 1, dtype=torch.int64))[:, 0]
        self.known = {image.numpy().tobytes(): clip for clip, image in enumerate(first)}

    def animate_images(self, images, action, times):
        clips = torch.tensor([self.known[(x * 255).round().to(torch.uint8).numpy().tobytes()] for x in images])
        return floats(self.source.truth(clips, clips, times))

    def losses(self, batch): ...
    def recognise(self, frames): ...
    def reconstruct(self, frames, times, action=None): ...
    def transfer(self, content, motion, times, action=None): ...


def test_a_source_that_is_no_cycle_but_knows_the_truth():
    source = Balls(BallsConfig(clips=20), "test")
    results = evaluate_rollouts(Balling(source), source, 4, 0, lengths=(16, 100))
    assert results["rollout 100/mse"] == 0
    assert not math.isnan(results["rollout 100 last/ssim"])


def test_clips_that_end_are_refused():
    from kinema.data.source import Source

    class Film(Source):
        name, periodic = "film", False

        def __getitem__(self, index): ...
        def frame_counts(self): ...
        def frames(self, clips, steps): ...

    with pytest.raises(ClipError, match="film"):
        evaluate_rollouts(FactoredOracle(SOURCE), Film(), 2, 0)
