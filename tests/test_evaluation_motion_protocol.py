"""The protocol with models whose scores are known: an oracle, noise of a known law, and cheats."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from scipy.ndimage import gaussian_filter1d
from torch.testing import assert_close

import motion_doubles as doubles
from kinema.errors import ClipError
from kinema.evaluation import motion_errors as errors
from kinema.evaluation import motion_protocol as protocol
from kinema.evaluation.motion_clips import TestClips, smoothed
from kinema.evaluation.motion_protocol import GIVEN, PREDICTED, TOLD, Setting, evaluate_motion
from kinema.models.rivals import Rival
from kinema.motion import Motion, MotionBatch

CLIPS = doubles.clips(turning=0.8)
STRAIGHT = doubles.clips()
SHORT = doubles.clips(6, lengths=[240, 200, 165, 100, 75, 40], turning=0.8)
HONEST = Setting(4)
KINDS = ("pose", "motion_predicted", "motion_given", "motion_swayed")


def evaluated(model, clips, draws=2, settings=(HONEST,)):
    results = evaluate_motion(model, clips, draws=draws, settings=settings)
    if len(settings) > 1:
        return results
    return {name.removeprefix(settings[0].name + "/"): value for name, value in results.items()}


def test_the_oracle_is_without_error_in_every_setting():
    results = evaluated(doubles.Oracle(CLIPS), CLIPS, settings=GIVEN + PREDICTED)
    for setting in GIVEN + PREDICTED:
        for kind in KINDS:
            if kind in KINDS[2:] and (setting.smooth or not setting.given):
                continue  # a smoothed control leads elsewhere; a predicted one is the only one there is
            for unit in ("mse", "sq", "dist", "cm", "best", "best_each"):
                for frame in errors.FRAMES:
                    assert results[f"{setting.name}/{kind}/{unit}/{frame}"] == pytest.approx(0, abs=1e-9)
        for measure in ("skate", "zhang_skate", "stance", "contact_f1", "bone"):
            for gait in ("walk", "run", "all"):
                for end in ("", "_low", "_high"):
                    own, real = (results[f"{setting.name}/{of}/{measure}/{gait}{end}"] for of in ("predicted", "real"))
                    assert own == pytest.approx(real, rel=1e-9)
        assert results[f"{setting.name}/predicted/jerk_ratio/all"] == pytest.approx(1)
        assert results[f"{setting.name}/real/contact_f1/all"] == 1
    assert not any(math.isnan(value) for value in results.values())
    assert results["n/walk"], results["n/run"] == (4, 2)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_noise_has_the_errors_of_its_law(sigma):
    draws = 10
    results = evaluated(doubles.Noise(CLIPS, sigma), CLIPS, draws)
    scale = sigma / errors.UNIT
    for kind in KINDS:
        for frame in errors.FRAMES:
            assert results[f"{kind}/mse/{frame}"] == pytest.approx(scale**2, rel=0.1)
            assert results[f"{kind}/sq/{frame}"] == pytest.approx(3 * scale**2, rel=0.1)
            dist = stats.maxwell.mean(scale=scale)
            assert results[f"{kind}/dist/{frame}"] == pytest.approx(dist, rel=0.06)
            assert results[f"{kind}/cm/{frame}"] == pytest.approx(5.644 * results[f"{kind}/dist/{frame}"])
            assert results[f"{kind}/best_each/{frame}"] < results[f"{kind}/dist/{frame}"]
        assert 0 < results[f"{kind}/best_gain"] < 0.1
    spread = stats.maxwell.mean(scale=scale) * math.sqrt(1 - 1 / draws)
    assert results["spread/120"] == pytest.approx(spread, rel=0.06)
    assert results["predicted/acceleration_ratio/all"] > 5


def test_a_constant_speed_too_high_by_b_is_b_t_away():
    bias, clips = 0.2, STRAIGHT
    for setting in (Setting(4), Setting(0), Setting(60), Setting(60, False)):
        results = evaluated(doubles.Biased(clips, bias), clips, settings=(setting,))
        for frame in errors.FRAMES:
            seconds = (frame - max(setting.start - 1, 0)) / 60
            assert results[f"motion_predicted/dist/{frame}"] == pytest.approx(bias * seconds / errors.UNIT, rel=1e-5)
            assert results[f"motion_predicted/sq/{frame}"] == pytest.approx(
                (bias * seconds / errors.UNIT) ** 2, rel=1e-5
            )
            assert results[f"pose/dist/{frame}"] == pytest.approx(0, abs=1e-9)
        last = (239 - max(setting.start - 1, 0)) / 60
        assert results["predicted/path_max/all"] == pytest.approx(100 * bias * last, rel=1e-5)
        if setting.given:
            assert results["motion_given/dist/210"] == pytest.approx(0, abs=1e-9)
            assert results["given/path_max/all"] == pytest.approx(0, abs=1e-9)


def test_the_pose_error_does_not_see_the_root():
    going, standing = (evaluated(model(CLIPS), CLIPS) for model in (doubles.Frozen, doubles.Standing))
    assert standing["pose/dist/210"] == pytest.approx(0, abs=1e-9)
    assert going["pose/dist/210"] > 0.1
    faster = evaluated(doubles.Biased(CLIPS, 3.0), CLIPS)
    assert all(faster[f"pose/dist/{frame}"] == standing[f"pose/dist/{frame}"] for frame in errors.FRAMES)


def test_a_root_that_stands_still_is_left_behind():
    results = evaluated(doubles.Standing(STRAIGHT), STRAIGHT)
    speed = STRAIGHT.motion.control[..., 1].mean().item()
    assert results["motion_predicted/dist/210"] == pytest.approx(speed * (210 - 3) / 60 / errors.UNIT, rel=1e-4)
    assert results["motion_given/dist/210"] == pytest.approx(0, abs=1e-9)
    assert results["predicted/path_mean/all"] > 100


def test_a_frozen_pose_slides_at_its_speed():
    results = evaluated(doubles.Frozen(STRAIGHT), STRAIGHT)
    speed = STRAIGHT.motion.control[:, 0, 1]
    assert results["predicted/skate/walk"] == pytest.approx(100 * speed[:4].mean().item(), rel=1e-4)
    assert results["predicted/zhang_skate/run"] == pytest.approx(100 * speed[4:].mean().item(), rel=1e-4)
    assert results["predicted/stance/all"] == 0
    assert results["predicted/bone/all"] < results["real/bone/all"]  # the doubles' toes are not on bones
    assert results["predicted/jerk_ratio/all"] == pytest.approx(0, abs=1e-3)


def test_the_mean_pose_is_worse_than_the_truth_with_noise():
    mean, noise = (evaluated(model, CLIPS) for model in (doubles.MeanPose(CLIPS), doubles.Noise(CLIPS, 0.01)))
    assert mean["pose/dist/120"] > 5 * noise["pose/dist/120"]
    assert mean["spread/120"] == pytest.approx(0, abs=1e-12)
    assert mean["pose/best_gain"] == pytest.approx(0, abs=1e-12)


def test_frames_beyond_the_end_are_worth_nothing():
    honest = evaluated(doubles.Noise(SHORT, 0.01), SHORT)
    cheat = evaluated(doubles.Peeking(SHORT), SHORT)
    away = math.sqrt(3) / errors.UNIT
    for frame, count in zip(errors.FRAMES, (5, 4, 3, 3, 1), strict=True):
        assert cheat[f"n/{frame}"] == count
        assert cheat[f"pose/dist/{frame}"] == pytest.approx(away, rel=1e-6)
        assert honest[f"pose/dist/{frame}"] < 0.5
    wild = SHORT.motion.joints.where(SHORT.valid[..., None, None], torch.randn(SHORT.motion.joints.shape))
    spoiled = replace(SHORT, motion=Motion(wild, SHORT.motion.control))
    again = evaluated(doubles.Noise(spoiled, 0.01), spoiled)
    assert again == honest


def test_a_setting_that_no_clip_reaches_has_no_result():
    clips = doubles.clips(3, lengths=[50, 50, 30])
    results = evaluated(doubles.Oracle(clips), clips, settings=(Setting(60),))
    assert not any(name.startswith(("pose", "predicted", "real", "spread")) for name in results)
    assert evaluated(doubles.Oracle(clips), clips)["predicted/stance/walk"] == 1


def test_equal_draws_have_no_spread_and_their_best_is_their_mean():
    model = doubles.MeanPose(CLIPS)
    results = evaluated(model, CLIPS, draws=10)
    assert sum(rows for rows, *_ in model.calls) == 2 * len(CLIPS)  # not ten times
    for frame in errors.FRAMES:
        assert results[f"spread/{frame}"] == pytest.approx(0, abs=1e-12)
        for best in ("best", "best_each"):
            assert results[f"pose/{best}/{frame}"] == pytest.approx(results[f"pose/dist/{frame}"], rel=1e-12)


def test_values_that_are_not_finite_are_errors_and_not_gaps():
    results = evaluated(doubles.Diverging(CLIPS), CLIPS)
    assert results["pose/dist/70"] == pytest.approx(0, abs=1e-9)
    assert results["pose/dist/120"] > 1e6
    assert results["motion_predicted/dist/210_low"] > 1e6
    assert not any(math.isnan(value) for value in results.values())


def test_a_model_gets_what_its_setting_says_and_no_more():
    sway = 0.3 * torch.sin(torch.arange(240) / 5)[:, None] * SHORT.valid[..., None]
    clips = replace(SHORT, motion=Motion(SHORT.motion.joints, SHORT.motion.control + sway))
    model = doubles.Oracle(clips)
    for setting in GIVEN + PREDICTED + TOLD:
        model.calls.clear()
        made = protocol.draw(model, clips, setting, draws=2, seed=0)
        ((rows, control, start, factors),) = model.calls
        assert rows == 12
        assert made.joints.shape == (1, 6, 240, 11, 3)  # the oracle draws nothing
        assert (control is None) == (not setting.given)
        assert (start is None) == (setting.start == 0)
        assert set(factors) == ({"action", "style"} if setting.labels else set())
        if setting.labels:
            assert_close(factors["action"], clips.factors["action"].repeat(2))
        if start is not None:
            assert_close(start.joints, clips.motion.joints[:, : setting.start].repeat(2, 1, 1, 1))
        if control is not None:
            known = max(setting.start - 1, 0)
            assert_close(control[:6, :known], clips.motion.control[:, :known])
            wanted = smoothed(clips) if setting.smooth else clips.motion.control
            assert_close(control[6:, known:], wanted[:, known:])
            assert (control[~clips.valid.repeat(2, 1)] == 0).all()


def test_draws_depend_on_the_seed_alone(monkeypatch):
    model = doubles.Noise(CLIPS, 0.01)
    first, again, other = (protocol.draw(model, CLIPS, HONEST, 5, seed).joints for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first[0] - first[3]).abs().amax() > 0.01
    model.calls.clear()
    monkeypatch.setattr(protocol, "ROWS", 13)
    assert protocol.draw(model, CLIPS, HONEST, 5, 0).joints.shape[0] == 5
    assert [rows for rows, *_ in model.calls] == [12, 12, 6]


def test_smoothing_takes_the_phase_but_not_the_speed():
    times = torch.arange(240) / 60
    sway = 0.3 * torch.sin(2 * math.pi * 2 * times)  # two steps a second
    control = STRAIGHT.motion.control.clone()
    control[..., 1] += sway
    smooth = smoothed(replace(STRAIGHT, motion=Motion(STRAIGHT.motion.joints, control)))
    inner = slice(60, 180)
    assert_close(smooth[:, inner], STRAIGHT.motion.control[:, inner], atol=5e-3, rtol=0)  # of 0.3
    expected = gaussian_filter1d(control.double().numpy(), 30, axis=1, mode="nearest", truncate=4)
    assert_close(smooth[:, :120].double(), torch.from_numpy(expected)[:, :120], atol=1e-5, rtol=0)


def test_smoothing_does_not_look_beyond_the_end():
    smooth = smoothed(SHORT)
    assert_close(smooth[:, :40], SHORT.motion.control[:, :40], atol=1e-6, rtol=0)  # constant while valid
    assert (smooth[~SHORT.valid] == 0).all()


def test_runs_are_told_by_label_and_turns_by_speed():
    motion = doubles.walkers(torch.tensor([1.0, 3.0, 1.5, 2.5]).double(), torch.zeros(4).double())
    action = torch.tensor([1, 0, 2, 2])  # a slow run, a fast walk, and two turns
    batch = MotionBatch(motion.map(torch.Tensor.float), torch.ones(4, 240, dtype=torch.bool), {"action": action})
    clips = TestClips.of(batch, doubles.DOMAIN)
    assert clips.running.tolist() == [True, False, False, True]
    assert clips[torch.tensor([2, 3])].running.tolist() == [False, True]
    unlabelled = TestClips.of(MotionBatch(batch.motion, batch.valid, {}), doubles.DOMAIN)
    assert unlabelled.running.tolist() == [False, True, False, True]
    with pytest.raises(ClipError, match="no test clips"):
        TestClips.of(MotionBatch(batch.motion[:0], batch.valid[:0], {}), doubles.DOMAIN)


def test_only_rivals_are_asked_to_predict_their_control():
    class Own(Rival):
        losses = doubles.Oracle.losses
        generate = doubles.Oracle.generate

    assert set(protocol.settings_for(Own(doubles.DOMAIN))) - set(GIVEN) == set(PREDICTED)
    assert protocol.settings_for(doubles.Oracle(CLIPS)) == GIVEN + TOLD


def test_a_model_of_another_shape_is_refused():
    class Wrong(doubles.Oracle):
        def change(self, motion, control, generator):
            return motion[:, :-1]

    with pytest.raises(ClipError, match="Wrong"):
        evaluate_motion(Wrong(CLIPS), CLIPS, draws=1)
