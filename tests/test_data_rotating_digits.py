"""Rotating digits: how they are turned, and what each protocol holds out."""

import gzip
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from kinema.data.rotating_digits import RotatingDigits, RotatingDigitsConfig, written
from kinema.errors import ConfigError, FileError
from real_data import real_data

IDENTITY = RotatingDigitsConfig(sequences=60)
ANGLE = RotatingDigitsConfig(sequences=60, protocol="angle")
ALL = torch.arange(16)


def whole(source: RotatingDigits) -> torch.Tensor:
    """Every frame of every clip in one channel, (N, frames, 28, 28)."""
    count = int(source.frame_counts()[0])
    return source.frames(torch.arange(len(source)), torch.arange(count).expand(len(source), -1))[:, :, 0]


@pytest.fixture(scope="module")
def everything() -> RotatingDigits:
    return RotatingDigits(IDENTITY, "all")


def test_quarter_turns_are_exact(everything):
    shown = whole(everything)
    assert torch.equal(shown[:, 0], written(IDENTITY))
    for quarter in range(4):
        assert torch.equal(shown[:, 4 * quarter], torch.rot90(shown[:, 0], quarter, (1, 2)))  # anticlockwise


@pytest.mark.parametrize("time", [1.0, 3.0, 7.0, 2.37, -5.21])
def test_turns_are_those_of_scipy(everything, time):
    ink = written(IDENTITY)[:6].numpy().astype(float)
    expected = np.stack([ndimage.rotate(i, 360 * time / 16, reshape=False, order=1, mode="grid-constant") for i in ink])
    clips = torch.arange(6)
    shown = everything.truth(clips, clips.flip(0), torch.full((6, 1), time, dtype=torch.float64))[:, 0, 0]
    np.testing.assert_allclose(shown.numpy(), expected, atol=0.51)


def test_grey_is_in_three_channels_and_time_has_a_period(everything):
    clips = torch.tensor([3, 17])
    times = torch.tensor([[0.0, 2.5, 11.125], [4.0, 15.75, 9.5]], dtype=torch.float64)
    once, later = (everything.truth(clips, clips, times + 16 * turn) for turn in (0, -3))
    assert torch.equal(once, later)
    assert torch.equal(once, once[:, :, :1].expand(-1, -1, 3, -1, -1))
    steps = torch.tensor([[0, 15, 16, 33, -1]])
    wrapped = everything.frames(clips[:1], steps)
    assert torch.equal(wrapped, everything.frames(clips[:1], steps % 16))
    assert everything.times(clips[:1], steps).tolist() == [[0, 15, 16, 33, -1]]


def test_frames_are_the_truth_at_whole_times(everything):
    clips, steps = torch.tensor([5, 1]), torch.stack([ALL, ALL.flip(0)])
    assert torch.equal(everything.frames(clips, steps), everything.truth(clips, clips, steps.double()))
    factors = {"writer": clips, "action": torch.zeros_like(clips)}
    assert torch.equal(everything.frames(clips, steps), everything.render(factors, steps.double()))


def test_identities_are_parted_eighty_ten_ten(everything):
    parts = {split: RotatingDigits(IDENTITY, split) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 48, "val": 6, "test": 6}
    together = torch.cat([part.identity for part in parts.values()])
    assert sorted(together.tolist()) == list(range(60))
    for part in parts.values():
        assert torch.equal(whole(part), whole(everything)[part.identity])
    # Not by number alone: no picture of the test is one of the training's.
    seen = {frame.numpy().tobytes() for frame in whole(parts["train"])[:, 0]}
    assert not seen & {frame.numpy().tobytes() for frame in whole(parts["test"])[:, 0]}


def test_a_missing_angle_is_in_no_training_window():
    train, test = RotatingDigits(ANGLE, "train"), RotatingDigits(ANGLE, "test")
    assert torch.equal(train.identity, test.identity)
    assert (len(train), train.length, test.length) == (54, 11, 16)
    truth, gone = whole(test), test.missing(torch.arange(54))
    assert gone.shape == (54, 5)
    assert torch.equal(gone[:, 0], torch.full((54,), 3))
    assert all(len(set(row)) == 5 for row in gone.tolist())
    rooms = train.rooms(anywhere=True)
    assert rooms.tolist() == [11] * 54
    for start in range(11):
        batch = train.window(torch.arange(54), torch.full((54,), start))
        shown = batch.frames[:, :, None, 0].float()  # (54, 11, 1, 28, 28)
        distance = (shown - truth[:, None].float()).square().mean((-2, -1))  # to each of the 16 true frames
        least, number = distance.min(-1)
        assert least.max() == 0
        assert (number[..., None] != gone[:, None]).all()
        absent = distance.gather(2, gone[:, None].expand(-1, 11, -1))
        assert absent.min() > 50  # of 255 squared: a missing frame is unlike all that are shown
        # The times are true: relative to the first frame they are the angles, one turn later after the last.
        turned = (number - number[:, :1]) % 16
        assert torch.equal(batch.times % 16, turned.double())
        assert bool((batch.times.diff(dim=1) > 0).all())
        assert float(batch.times[:, -1].max()) < 16
    assert torch.equal(torch.cat([gone, test.seen(torch.arange(54))], 1).sort(1).values, ALL.expand(54, -1))


def test_dropped_frames_differ_between_writers_and_are_even():
    train = RotatingDigits(RotatingDigitsConfig(sequences=500, protocol="angle"), "train")
    gone = train.missing(torch.arange(450))[:, 1:].flatten()
    counts = torch.bincount(gone, minlength=16).double()
    assert counts[3] == 0
    expected = 450 * 4 / 15
    assert (counts[ALL != 3] - expected).abs().max() < 5 * math.sqrt(expected)


def test_angle_validation_shows_other_writers_whole():
    val, train = (RotatingDigits(ANGLE, split) for split in ("val", "train"))
    assert not set(val.identity.tolist()) & set(train.identity.tolist())
    assert val.frame_counts().tolist() == [16] * 6
    assert RotatingDigits(IDENTITY, "train").missing(torch.arange(4)).shape == (4, 0)


def test_the_seed_decides_and_items_show_what_windows_show():
    first, again = (RotatingDigits(ANGLE, "train") for _ in range(2))
    other = RotatingDigits(RotatingDigitsConfig(sequences=60, protocol="angle", seed=1), "train")
    assert torch.equal(whole(first), whole(again))
    assert not torch.equal(first.identity, other.identity)
    assert not torch.equal(first.gone, other.gone)
    clip, window = first[7], first.window(torch.tensor([7]), torch.tensor([0]))
    assert torch.equal((clip.frames * 255).round().byte(), window.frames[0])
    assert torch.equal(clip.at - clip.at[0], window.times[0])
    assert clip.at.tolist() == first.seen(torch.tensor([7]))[0].tolist()
    assert clip.labels == {"writer": f"{int(first.identity[7]):04d}", "action": "rotate"}
    moved = first.to(torch.device("cpu"))
    assert torch.equal(whole(moved), whole(first))
    assert first.nbytes() == 54 * 16 * 784 + 60 * 784


def test_length_zero_is_all_frames_and_others_run_on():
    source = RotatingDigits(RotatingDigitsConfig(sequences=20, length=20), "train")
    window = source.window(torch.tensor([0]), torch.tensor([2]))
    assert window.times[0].tolist() == list(range(20))
    assert torch.equal(window.frames[0, 16:], window.frames[0, :4])


def idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def test_files_are_read_and_only_the_digit_is_taken(tmp_path):
    classes = np.arange(240, dtype=np.uint8) % 10
    ink = np.zeros((240, 28, 28), np.uint8)
    ink[:, 10:18, 10] = np.arange(240)[:, None]  # says which picture it is
    idx(tmp_path / "train-images-idx3-ubyte.gz", ink)
    idx(tmp_path / "train-labels-idx1-ubyte.gz", classes)
    source = RotatingDigits(RotatingDigitsConfig(root=str(tmp_path), sequences=20, digit=3), "all")
    numbers = source.ink[:, 12, 10]
    assert (numbers % 10 == 3).all()
    assert len(numbers.unique()) == 20
    with pytest.raises(ConfigError, match=r"sequences is 40; there are 20 pictures of the digit 3"):
        RotatingDigits(RotatingDigitsConfig(root=str(tmp_path), sequences=40), "all")
    with pytest.raises(FileError, match="no such file"):
        RotatingDigits(RotatingDigitsConfig(root=str(tmp_path / "nowhere")), "train")
    with pytest.raises(FileError, match="environment variable"):
        RotatingDigits(RotatingDigitsConfig(root="$NO_SUCH_PLACE/mnist"), "train")


def test_real_mnist_gives_four_hundred_threes():
    source = RotatingDigits(RotatingDigitsConfig(root=str(real_data("mnist")), protocol="angle"), "train")
    assert (len(source), source.length) == (360, 11)
    ink = whole(source)[:, 0].float()
    assert 20 < float(ink.mean()) < 50  # MNIST's threes: 36 in the mean
    assert len(source.pixels[:, 0].flatten(1).unique(dim=0)) == 360


@pytest.mark.parametrize(
    "wrong",
    [{"digit": 10}, {"sequences": 9}, {"missing": 16}, {"dropped": 15}, {"protocol": "both"}, {"angles": 1}],
)
def test_settings_that_are_not_possible_are_refused(wrong):
    with pytest.raises(ConfigError, match="rotmnist"):
        RotatingDigitsConfig(**wrong)


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="train, val, test, all"):
        RotatingDigits(IDENTITY, "validation")
