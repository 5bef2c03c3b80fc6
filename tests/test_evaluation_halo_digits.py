import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from kinema.data.rotating_digits import RotatingDigits, RotatingDigitsConfig
from kinema.errors import ConfigError
from kinema.evaluation.halo_digits import baselines, digits_pictures, evaluate_digits, mean_pictures, passes
from kinema.evaluation.windows import floats
from kinema.models.base import Domain
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig

ANGLE = RotatingDigits(RotatingDigitsConfig(sequences=20, protocol="angle"), "test")
IDENTITY = RotatingDigits(RotatingDigitsConfig(sequences=60), "test")
BOTH = pytest.mark.parametrize("source", [ANGLE, IDENTITY], ids=["angle", "identity"])
ALL = torch.arange(16)


def whole(source):
    return source.frames(torch.arange(len(source)), ALL.expand(len(source), -1))


class Unasked:
    """What the contract has and these measures do not ask for."""

    def losses(self, batch):
        raise NotImplementedError

    recognise = reconstruct = transfer = animate_images = codes = with_sampled_content = losses


class Oracle(Unasked):
    """Knows every frame of every clip by its pixels, and shows the truth; what it was shown is kept."""

    def __init__(self, source):
        self.source = source
        self.domain = Domain(source.actions, source.channels, source.size, source.length, source.fps)
        self.known = {
            frame.numpy().tobytes(): (clip, number)
            for clip, frames in enumerate(whole(source))
            for number, frame in enumerate(frames)
        }
        self.shown = set()

    def find(self, frames):
        first = [self.known[(clip[0] * 255).round().byte().numpy().tobytes()] for clip in frames]
        self.shown |= {self.known[(f * 255).round().byte().numpy().tobytes()] for clip in frames for f in clip}
        return torch.tensor(first).unbind(1)

    def at_times(self, frames, times, wanted, action=None):
        clips, number = self.find(frames)
        assert action is not None
        return floats(self.source.truth(clips, clips, number[:, None] - times[:, :1] + wanted))

    def with_prior_motion(self, content, action, times, generator):
        clips, _ = self.find(content)
        return floats(self.source.truth(clips, clips, times + 16 * torch.rand(1, generator=generator)))


class Noise(Oracle):
    def at_times(self, frames, times, wanted, action=None):
        return torch.rand(*wanted.shape, *frames.shape[2:], generator=torch.Generator().manual_seed(0))


class Mean(Oracle):
    """The mean picture of training at each angle, whoever writes."""

    def at_times(self, frames, times, wanted, action=None):
        _, number = self.find(frames)
        when = (number[:, None] - times[:, :1] + wanted).long() % 16
        return floats(mean_pictures(self.source, whole(self.source)))[when]


class Copied(Oracle):
    """Repeats the first frame that it is shown."""

    def at_times(self, frames, times, wanted, action=None):
        return frames[:, :1].expand(-1, wanted.shape[1], -1, -1, -1)


class Untimed(Oracle):
    """Takes what it is shown for consecutive frames."""

    def at_times(self, frames, times, wanted, action=None):
        regular = torch.arange(times.shape[1], dtype=torch.float64).expand_as(times)
        late = torch.searchsorted(times.contiguous(), wanted.contiguous())
        return super().at_times(frames, regular, late.double(), action)


@BOTH
def test_the_oracle_errs_nowhere_and_is_shown_what_it_may_see(source):
    model = Oracle(source)
    results = evaluate_digits(model, source, 0)
    measured = {"missing", "dropped", "seen", "all 16", "first 1", "first 3"}
    errors = {name: value for name, value in results.items() if name.split("/")[-1] in measured}
    assert len(errors) == 3
    assert set(errors.values()) == {0}
    assert all(passes(results).values())
    assert len(passes(results)) == (1 if source is ANGLE else 3)
    assert results["n"] == len(source)
    if source is ANGLE:
        allowed = {(clip, int(number)) for clip, kept in enumerate(source.kept) for number in kept}
        assert model.shown == allowed


@BOTH
def test_noise_and_cheats_fail(source):
    for double in (Noise, Mean, Copied):
        verdicts = passes(evaluate_digits(double(source), source, 0))
        assert not any(verdicts.values()), double
    if source is ANGLE:
        assert not all(passes(evaluate_digits(Untimed(source), source, 0)).values())


@BOTH
def test_a_cheat_scores_what_its_baseline_does(source):
    name = "angle/missing" if source is ANGLE else "identity/all 16"
    results = evaluate_digits(Mean(source), source, 0)
    assert results[name] == pytest.approx(results[f"{name} mean picture"])
    assert results[name] > 0.01
    assert results[f"{name}_low"] <= results[name] <= results[f"{name}_high"]
    if source is IDENTITY:
        results = evaluate_digits(Copied(source), source, 0)
        assert results["identity/first 1"] == pytest.approx(results["identity/all 16 nearest frame"])


def test_errors_are_mean_squares_on_both_ranges():
    class Grey(Oracle):
        def at_times(self, frames, times, wanted, action=None):
            return torch.full((*wanted.shape, *frames.shape[2:]), 102 / 255)

    results = evaluate_digits(Grey(ANGLE), ANGLE, 0)
    truth = whole(ANGLE)[:, 3].numpy() / 255
    assert results["angle/missing"] == pytest.approx(((truth - 0.4) ** 2).mean(), rel=1e-5)
    wide = ((2 * truth - 1) - (2 * 0.4 - 1)) ** 2
    assert results["angle/missing [-1,1]"] == pytest.approx(wide.mean(), rel=1e-5)
    assert results["angle/missing [-1,1]_high"] == pytest.approx(4 * results["angle/missing_high"])


def test_the_nearest_angle_goes_round_the_circle():
    truth = torch.arange(16, dtype=torch.uint8).view(1, 16, 1, 1, 1).expand(1, 16, 3, 28, 28).contiguous()
    told, wanted = torch.tensor([[2, 8]]), torch.tensor([[0, 15, 4, 6, 13, 14]])
    shown = baselines(IDENTITY, truth, told, wanted)["nearest frame"]
    assert shown[0, :, 0, 0, 0].tolist() == [2, 2, 2, 8, 2, 2]  # 13 is 5 from either; the first is taken


def test_turning_the_upright_picture_is_the_truth():
    truth = whole(IDENTITY)
    every = ALL.expand(len(IDENTITY), -1)
    assert torch.equal(baselines(IDENTITY, truth, every[:, :1], every)["turned exactly"], truth)
    results = evaluate_digits(Oracle(IDENTITY), IDENTITY, 0)
    assert results["identity/all 16 turned exactly"] == 0


def test_the_mean_picture_knows_training_frames_alone():
    source = RotatingDigits(ANGLE.config, "train")
    mean = mean_pictures(ANGLE, whole(ANGLE))[:, 0].numpy()
    for angle in (0, 7):
        there = [clip for clip in range(len(source)) if angle in source.kept[clip]]
        expected = source.pixels[there, angle].double().mean(0).round()
        assert_close(torch.from_numpy(mean[angle]).double(), expected)
    assert_close(torch.from_numpy(mean[3]).double(), ANGLE.pixels[:, 3].double().mean(0).round())


def test_a_split_that_lacks_frames_is_refused():
    with pytest.raises(ConfigError, match="test split"):
        evaluate_digits(Oracle(ANGLE), RotatingDigits(ANGLE.config, "train"), 0)


@BOTH
def test_a_halo_can_be_measured_and_shown(source):
    torch.manual_seed(0)
    domain = Domain(source.actions, source.channels, source.size, source.length, source.fps)
    model = Halo(HaloConfig(d=2, content=4, period=16.0, network="dense", features=16), domain).eval()
    results = evaluate_digits(model, source, 0)
    assert not any(passes(results).values())
    assert all(np.isfinite(value) for value in results.values())
    pictures = digits_pictures(model, source, 0, rows=2)
    assert set(pictures) == {"digits"}
    image = np.asarray(Image.open(io.BytesIO(pictures["digits"])))
    assert image.shape[0] == 2 * 4 * (28 * 2 + 2)
