import pytest
import torch
from torch.testing import assert_close

from evaluation_doubles import AllContent, AllMotion, Noise, Oracle
from kinema.evaluation.baselines import baselines
from kinema.evaluation.evaluate import evaluate
from kinema.evaluation.judge import NearestRendering
from kinema.evaluation.metrics import PSNR_CAP
from kinema.evaluation.swap import draw_pairs, evaluate_swaps
from toy import Toy

PAIRS = 120
TEST, TRAIN = Toy("test"), Toy("train")


def scores(double):
    return evaluate_swaps(double(TEST), TEST, TRAIN, PAIRS, 0, NearestRendering(TEST))


@pytest.fixture(scope="module")
def oracle():
    return scores(Oracle)


def passes(results):
    return results["swap/action_accuracy"] >= 0.80 and results["swap/kept"] >= 0.90


def test_the_oracle_is_perfect(oracle):
    assert passes(oracle)
    for name in ("swap", "swap_true_action"):
        assert oracle[f"{name}/action_accuracy"] == oracle[f"{name}/kept"] == 1.0
        assert oracle[f"{name}/psnr"] == pytest.approx(PSNR_CAP)
        assert oracle[f"{name}/ssim"] == pytest.approx(1.0)
        assert oracle[f"{name}/mse"] == 0.0
    assert oracle["swap/recogniser_accuracy"] == 1.0


def test_a_model_that_returns_its_content_fails():
    results = scores(AllContent)
    assert min(results["swap/kept_colour"], results["swap/kept_ground"]) >= 0.95
    assert results["swap/kept"] >= 0.9  # A is shown at another phase, which costs some shapes
    assert results["swap/action_accuracy"] == pytest.approx(1 / 3, abs=0.15)
    assert not passes(results)
    assert results["swap/psnr"] == pytest.approx(results["copy/psnr"])


def test_a_model_that_returns_its_motion_fails():
    results = scores(AllMotion)
    assert results["swap/action_accuracy"] == 1.0
    assert results["swap/kept_colour"] == pytest.approx(1 / 4, abs=0.12)
    assert results["swap/kept_direction"] == pytest.approx(1 / 2, abs=0.12)
    assert not passes(results)


def test_noise_is_near_chance():
    results = scores(Noise)
    assert results["swap/action_accuracy"] == pytest.approx(1 / 3, abs=0.15)
    assert results["swap/recogniser_accuracy"] == pytest.approx(1 / 3, abs=0.15)
    assert results["swap/psnr"] < 8
    assert not passes(results)


def test_baselines_do_what_they_say(oracle):
    for name in ("nearest_clip", "nearest_character"):
        assert oracle[f"{name}/action_accuracy"] == 1.0
        assert oracle[f"{name}/kept"] < 1.0  # the true character is held out
        assert oracle[f"{name}/mse"] < 0.8 * scores(AllMotion)["swap/mse"]  # a random character
    assert oracle["nearest_character/kept_direction"] == 1.0


def test_the_nearest_character_is_the_true_one_where_training_has_it():
    a, b = draw_pairs(TEST, 60, 1)
    truth = TEST.truth(a.clips, b.clips, b.times())
    shown = baselines(a, b, TEST)  # the test split in the place of the training split: every A is in it
    assert_close(shown["nearest_character"].frames(), truth)
    assert_close(shown["nearest_clip"].labels("action"), b.labels("action"))
    assert_close(shown["copy"].frames(), a.frames())


def test_the_nearest_clip_is_the_one_found_by_trying_all():
    a, b = draw_pairs(TEST, 12, 2)
    shown = baselines(a, b, TRAIN)["nearest_clip"]
    for row in range(12):
        those = torch.nonzero(TRAIN.labels["action"] == b.labels("action")[row])[:, 0]
        frames = TRAIN.frames(those, a.steps[row].expand(len(those), -1)).double()
        errors = (frames - a.frames()[row].double()).square().sum((1, 2, 3, 4))
        assert errors[those == shown.clips[row]].item() == errors.min()
    assert_close(shown.steps, b.steps)


def test_pairs_are_balanced_over_the_action_of_b_and_over_phases():
    a, b = draw_pairs(TEST, 300, 3)
    assert torch.bincount(b.labels("action")).tolist() == [100, 100, 100]
    for windows in (a, b):
        assert torch.bincount(windows.steps[:, 0], minlength=8).min() > 15
    again, _ = draw_pairs(TEST, 300, 3)
    other, _ = draw_pairs(TEST, 300, 4)
    assert torch.equal(again.clips, a.clips)
    assert not torch.equal(other.clips, a.clips)


def test_intervals_hold_the_mean():
    results = scores(AllMotion)
    assert results["swap/kept_low"] < results["swap/kept"] < results["swap/kept_high"]


def test_evaluate_measures_all_that_a_truth_source_allows(oracle):
    results = evaluate(Oracle(TEST), TEST, TRAIN, seed=0, pairs=PAIRS)
    assert results.items() >= oracle.items()
    assert results["n"] == PAIRS
    assert results["image_to_sequence_16/psnr"] == pytest.approx(PSNR_CAP)
    assert all(isinstance(value, float) for value in results.values())


def test_rgba_is_judged_by_its_colours():
    class Transparent(Toy):
        channels = 4

        def render(self, factors, times):
            rgb = super().render(factors, times)
            return torch.cat([rgb, rgb.amax(2, keepdim=True)], 2)

    test, train = Transparent("test"), Transparent("train")
    results = evaluate(Oracle(test), test, train, seed=0, pairs=30)
    assert results["swap/action_accuracy"] == results["swap/kept"] == 1.0
    assert results["swap/psnr"] == pytest.approx(PSNR_CAP)
