import pytest
import torch

from evaluation_doubles import AllContent, Noise, Oracle
from kinema.clip import VideoClip
from kinema.data.source import Source
from kinema.evaluation.evaluate import evaluate
from kinema.evaluation.metrics import PSNR_CAP
from kinema.evaluation.reconstruction import evaluate_reconstruction
from toy import Toy

TEST = Toy("test")


class Recordings(Source):
    """The toy's clips without a truth and without a cycle, each as long as it is told."""

    name, split, content, channels, size, length, fps, periodic = "recordings", "test", (), 3, (16, 16), 8, 10.0, False

    def __init__(self, counts):
        self.toy, self.counts = Toy("test"), counts
        self.factors, self.identity = {"action": self.toy.factors["action"]}, self.toy.identity
        self.labels = {"action": self.toy.labels["action"]}

    def __getitem__(self, index):
        return VideoClip(
            self.frames(torch.tensor([index]), torch.arange(int(self.counts[index]))[None])[0].float() / 255
        )

    def frame_counts(self):
        return self.counts

    def frames(self, clips, steps):
        assert (steps < self.counts[clips, None]).all()
        return self.toy.frames(clips, steps)


def test_the_oracle_is_perfect():
    results = evaluate_reconstruction(Oracle(TEST), TEST, clips=1000, seed=0)
    assert results["reconstruction/n"] == len(TEST)  # each clip once
    assert results["reconstruction/recogniser_accuracy"] == 1.0
    for part in ("reconstruction", "image_to_sequence_8", "image_to_sequence_16"):
        assert results[f"{part}/psnr"] == pytest.approx(PSNR_CAP)
        assert results[f"{part}/ssim"] == pytest.approx(1.0)
        assert results[f"{part}/mse"] == 0.0


def test_a_picture_that_stands_still_is_no_sequence():
    results = evaluate_reconstruction(AllContent(TEST), TEST, clips=1000, seed=0)
    truth = TEST.frames(torch.arange(len(TEST)), torch.arange(8).expand(len(TEST), -1)).double() / 255
    still = (truth - truth[:, :1]).square().mean().item()
    assert results["image_to_sequence_8/mse"] == pytest.approx(still, rel=1e-4)
    assert results["image_to_sequence_16/mse"] == pytest.approx(still, rel=1e-4)  # the cycle twice


def test_noise_reconstructs_nothing():
    assert evaluate_reconstruction(Noise(TEST), TEST, clips=24, seed=0)["reconstruction/psnr"] < 8


def test_a_source_without_truth_gives_reconstruction_and_recognition_alone():
    counts = torch.full((len(TEST),), 12)
    results = evaluate(AllContent(TEST), Recordings(counts), Recordings(counts), seed=0, pairs=10)
    parts = {name.split("/")[0] for name in results}
    assert parts == {"n", "reconstruction", "image_to_sequence_8"}  # no clip has sixteen frames
    assert results["reconstruction/recogniser_accuracy"] == 1.0


def test_windows_stay_within_clips_that_do_not_repeat():
    counts = torch.randint(8, 20, (len(TEST),), generator=torch.Generator().manual_seed(0))
    results = evaluate(AllContent(TEST), Recordings(counts), Recordings(counts), seed=0, pairs=1000)
    assert results["reconstruction/mse"] == 0.0
