"""Moving digits: what moves, how far, that it stays on the canvas, and what a mixture shows."""

import dataclasses
import gzip
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from kinema.data.moving_digits import (
    CANDIDATES,
    EMBEDDED,
    MovingDigits,
    MovingDigitsConfig,
    extents,
    first_step,
    from_files,
)
from kinema.errors import ConfigError, FileError
from kinema.maths.affine import from_parts, invert, warp, warp_to
from real_data import real_data

CONFIG = MovingDigitsConfig(videos=640, backgrounds=8)


def digits(split: str = "test", **changes) -> MovingDigits:
    return MovingDigits(dataclasses.replace(CONFIG, **changes), split)


@pytest.fixture(scope="module")
def source() -> MovingDigits:
    return digits()


def every(source: MovingDigits) -> tuple[torch.Tensor, torch.Tensor]:
    """Every frame of every motion: clips and steps."""
    clips = torch.arange(0, len(source), 4).repeat_interleave(source.config.frames)
    return clips, torch.arange(source.config.frames).repeat(len(source) // 4)


def shown_on(source: MovingDigits, clips: torch.Tensor, steps: torch.Tensor, size: int, grown: float) -> torch.Tensor:
    """The digits' ink on a canvas of another size that is `grown` times as wide, about the same middle."""
    theta = source.theta(clips, steps)[:, 0].clone()
    theta[..., :2] *= grown
    ink = source.ink[source.worn[source.character_of(clips)][:, 0]][:, None].double()
    return warp_to(ink, theta, size, size)


@pytest.mark.parametrize(("size", "inside"), [(64, "ink"), (64, "box"), (32, "ink"), (96, "ink"), (40, "box")])
def test_no_ink_leaves_the_canvas(size, inside):
    source = digits(size=size, inside=inside)
    clips, steps = every(source)
    wide = shown_on(source, clips, steps, 2 * size, 2.0)
    half = size // 2
    assert wide[..., half:-half, half:-half].amax((1, 2, 3)).min() > 100
    wide[..., half:-half, half:-half] = 0
    assert wide.max() < 1e-9


def test_the_room_is_used_up_to_the_edges():
    source = digits(videos=6400)
    clips, steps = torch.arange(0, 6400, 4), torch.zeros(1600, dtype=torch.long)
    ink = source.mask(clips, clips, steps)[:, 0]
    for line in (ink[:, 0], ink[:, -1], ink[..., 0], ink[..., -1]):
        assert (line.amax(-1) > 0.05).double().mean() > 0.002


def test_a_mixture_of_a_table_stays_on_the_canvas(source):
    clips, steps = every(source)
    for draw in (0.0, 0.5, 0.99):
        other = source.another_character(clips, torch.full((len(clips),), draw))
        ink = source.ink[source.worn[source.character_of(other)][:, 0]][:, None].double()
        theta = source.theta(clips, steps)[:, 0].clone()
        theta[..., :2] *= 2
        wide = warp_to(ink, theta, 128, 128)
        wide[..., 32:-32, 32:-32] = 0
        assert wide.max() < 1e-9


def test_extents_are_those_of_the_turned_pixels():
    kept = torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(2)) > 0.995
    kept[0] = False
    kept[0, 3, 20] = True
    units = torch.tensor([-60, -7, 0, 13])
    found = extents(kept, units)
    for picture, ways in zip(kept, found, strict=True):
        y, x = (picture.nonzero().double() - 13.5).T
        for unit, way in zip(units.tolist(), ways, strict=True):
            a = math.radians(3 * unit)
            turned = (x + 1j * y) * np.exp(1j * a)
            reach = [-turned.real.min(), -turned.imag.min(), turned.real.max(), turned.imag.max()]
            expected = torch.tensor(reach) + abs(math.cos(a)) + abs(math.sin(a))
            torch.testing.assert_close(way.double(), expected.double(), rtol=0, atol=1e-4)


def test_steps_are_those_of_the_paper(source):
    pose = digits(videos=6400).poses[:, :, 0]
    step = pose.diff(dim=1).flatten(0, 1)
    turn, shift = torch.rad2deg(step[:, 0]), step[:, 1:]
    turning = turn.abs() > 1e-6
    assert torch.all(shift[turning] == 0)
    assert set(turn[turning].round(decimals=6).tolist()) == set(range(-15, 16, 3)) - {0}
    assert set(shift[~turning].flatten().tolist()) == set(range(-10, 11, 2)) - {0}
    # Moves leave the canvas more often than turns, and are then drawn anew.
    assert 0.4 < (~turning).double().mean() < 0.5
    near = pose[:, :-1, 1:].flatten(0, 1).abs().amax(-1) < 8  # from here no step can leave it
    assert abs(turning[near].double().mean() - 0.5) < 3 * 0.5 / math.sqrt(int(near.sum()))
    assert abs(pose[:, 0, 1:].mean()) < 1


def test_the_first_step_that_fits_is_taken_and_the_way_back_where_none_does():
    draw = torch.rand(50, 1, CANDIDATES, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    place = torch.tensor([[[20.0, -20.0]]], dtype=torch.float64).expand(50, 1, 2)
    turn, shift = first_step(draw, place, lambda t, s: torch.zeros_like(t, dtype=torch.bool))
    assert torch.all(turn == 0)
    assert shift.unique(dim=0).tolist() == [[[-2.0, 2.0]]]
    turn, shift = first_step(draw, place, lambda t, s: torch.ones_like(t, dtype=torch.bool))
    assert torch.equal(turn != 0, draw[..., 0, 0] < 0.5)
    assert torch.equal((shift != 0).all(-1), turn == 0)
    only = torch.zeros(50, 1, CANDIDATES, dtype=torch.bool)
    only[..., 11:] = True
    late = first_step(draw, place, lambda t, s: only)
    assert all(map(torch.equal, late, first_step(draw[..., 11:, :], place, lambda t, s: only[..., 11:])))


def test_the_way_back_is_rare_and_keeps_inside(monkeypatch):
    """With one candidate it is taken often; no ink leaves the canvas even so."""
    monkeypatch.setattr("kinema.data.moving_digits.CANDIDATES", 1)
    source = digits(inside="box", frames=8, videos=320)
    wide = shown_on(source, *every(source), 128, 2.0)
    wide[..., 32:-32, 32:-32] = 0
    assert wide.max() < 1e-9


def test_turning_is_about_the_digits_middle_and_clockwise(source):
    clips, steps = every(source)
    theta = source.theta(clips, steps)
    pose = source.poses[source.motion_of(clips), steps]
    middle = torch.cat([pose[..., 1:] / 32, torch.ones_like(pose[..., :1])], dim=-1)
    assert (theta @ middle[..., None]).abs().max() < 1e-12
    # A quarter clockwise takes what was above the middle to its right.
    right = torch.tensor([10 / 32, 0.0, 1.0], dtype=torch.float64)
    turned = invert(from_parts(torch.tensor(math.pi / 2, dtype=torch.float64), torch.zeros(2).double(), 28 / 64))
    torch.testing.assert_close(turned @ right, torch.tensor([0.0, -10 / 14], dtype=torch.float64))


def test_scipy_draws_the_same_digit(source):
    clips, steps = torch.tensor([5, 77, 402]), torch.tensor([4, 3, 2])
    seen = source.mask(clips, clips, steps)[:, 0]
    for n in range(3):
        angle, x, y = source.poses[clips[n] // 4, steps[n], 0].tolist()
        c, s = math.cos(angle), math.sin(angle)
        back = np.array([[c, -s], [s, c]])  # rows and columns
        offset = 13.5 - back @ np.array([31.5 + y, 31.5 + x])
        ink = source.ink[source.worn[source.character_of(clips[n : n + 1])[0], 0]].double().numpy() / 255
        expected = ndimage.affine_transform(ink, back, offset, (64, 64), order=1)
        np.testing.assert_allclose(seen[n].numpy(), expected, atol=1e-4)


def test_the_canvas_beside_the_ink_is_the_background_and_ink_is_black(source):
    clips, steps = every(source)
    background = clips % 9 - 1
    frames, canvas = source.render(clips, clips, steps, background), source.canvas(background)
    mask = source.mask(clips, clips, steps).expand_as(frames)
    assert torch.equal(frames[mask == 0], canvas[mask == 0])
    assert torch.all(frames[mask == 1] == 0)
    assert ((frames.double() - canvas * (1 - mask.double())).abs() <= 0.5 + 1e-3).all()
    bare = source.canvas(torch.tensor([-1]))
    assert torch.equal(bare, torch.tensor(source.bare, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64))


def test_threshold_blackens_wholly():
    hard, soft = digits(compositing="threshold"), digits()
    clips, steps = every(soft)
    assert torch.equal(hard.mask(clips, clips, steps), (soft.mask(clips, clips, steps) > 0.5).float())


def test_a_frame_is_the_same_whichever_batch_asks(source):
    clips, steps = every(source)
    background = clips % 8
    frames = source.frames(clips, steps, background)
    some = torch.tensor([700, 3, 3, 411])
    assert torch.equal(source.frames(clips[some], steps[some], background[some]), frames[some])
    assert torch.equal(source.frames(clips[7:8], steps[7:8], background[7:8])[0], frames[7])
    assert torch.equal(digits().frames(clips[some], steps[some], background[some]), frames[some])
    assert torch.equal(digits(videos=6400).poses[:160], source.poses)  # the 1000 digits come in the same order


def test_splits_share_no_digit_no_motion_and_no_background():
    parts = [digits(split) for split in ("train", "val", "test")]
    ink = torch.cat([part.ink for part in parts])
    assert len(ink) == EMBEDDED["test"][1]
    assert len(ink.flatten(1).unique(dim=0)) == len(ink)
    motions = torch.cat([part.poses for part in parts])
    assert len(motions.flatten(1).unique(dim=0)) == len(motions)
    first = [part.poses.diff(dim=1)[:, 0] for part in parts]
    assert all((a == b).all(-1).double().mean() < 0.2 for a, b in zip(first, [*first[1:], first[0]], strict=True))
    assert len(torch.cat([part.canvases[:-1] for part in parts]).flatten(1).unique(dim=0)) == 24
    with pytest.raises(ConfigError, match="no split 'all'"):
        digits("all")


def test_given_warps_the_first_mask_into_the_second(source):
    clips = torch.arange(0, 640, 7)
    first, second = clips % 5, (clips + 1 + clips % 4) % 5
    given = source.given(clips, first, second)
    masks = [source.mask(clips, clips, steps) for steps in (first, second)]
    apart = (masks[0] - masks[1]).square().mean()
    assert (warp(masks[0], given) - masks[1]).square().mean() < 0.04 * apart
    assert (warp(masks[1], given) - masks[0]).square().mean() > 0.5 * apart  # the other way is wrong
    back = source.given(clips, second, first)
    torch.testing.assert_close(back, invert(given), rtol=1e-4, atol=1e-5)
    moved = source.poses[clips // 4, second, 0] - source.poses[clips // 4, first, 0]
    still = (moved[:, 0] == 0) & (source.poses[clips // 4, first, 0, 0] == 0)
    torch.testing.assert_close(given[still][..., 2].double(), -moved[still][:, 1:] / 32, rtol=0, atol=1e-5)
    assert source.window(clips[:3], clips[:3]).given is not None
    assert digits(digits=2).window(clips[:3], clips[:3]).given is None


def test_a_window_is_two_frames_of_one_clip_on_one_background(source):
    clips = torch.full((160,), 33)
    pair = source.window(clips, torch.arange(160))
    steps = source.pair(clips, torch.arange(160))
    assert torch.equal(pair.first, source.frames(clips, steps[0], steps[2]))
    assert torch.equal(pair.second, source.frames(clips, steps[1], steps[2]))
    assert len(torch.stack(steps).unique(dim=1).T) == 160 == int(source.rooms(True)[33])


def test_tables_pair_every_clip_with_others(source):
    clips = torch.arange(640)
    for draw in torch.linspace(0, 0.999, 7):
        other = source.another_character(clips, draw.expand(640))
        assert torch.equal(source.motion_of(other), source.motion_of(clips))
        assert torch.all(source.worn[source.character_of(other)] != source.worn[source.character_of(clips)])
        other = source.another_motion(clips, draw.expand(640))
        assert torch.equal(source.character_of(other), source.character_of(clips))
        assert torch.all(source.motion_of(other) != source.motion_of(clips))
    reached = torch.stack([source.another_character(clips[:1], torch.tensor([d])) for d in (0.1, 0.5, 0.9)])
    assert sorted(reached.flatten().tolist()) == [1, 2, 3]
    assert len(torch.stack([source.motion_of(clips), source.character_of(clips)]).unique(dim=1).T) == 640
    assert torch.equal(source.motion_of(clips).bincount(), torch.full((160,), 4))
    assert torch.equal(source.character_of(clips).bincount(), torch.full((160,), 4))


def test_the_truth_of_a_swap_has_one_clips_digit_and_the_others_poses(source):
    clips, steps = every(source)
    other = source.another_character(clips, torch.full((len(clips),), 0.4))
    swap = source.render(other, clips, steps, clips % 8)
    assert torch.equal(swap, source.frames(other, steps, clips % 8))  # a clip of the table is just this mixture
    assert not torch.equal(swap, source.frames(clips, steps, clips % 8))


def test_movements_tell_what_most_steps_are(source):
    moved = (source.poses.diff(dim=1)[:, :, 0, 1:] != 0).all(-1).sum(1)
    expected = torch.where(moved > 2, 0, torch.where(moved < 2, 2, 1))
    assert torch.equal(source.movement(torch.arange(0, 640, 4)), expected)
    assert source.movements == ("translate", "both", "rotate")


def test_several_digits_move_by_themselves():
    source = digits(digits=3)
    step = source.poses.diff(dim=1)
    assert ((step[:, :, 0] != step[:, :, 1]).any(-1)).double().mean() > 0.95
    clips, steps = every(source)
    mask = source.mask(clips, clips, steps)
    lone = []
    for n in range(3):
        one = digits()
        one.worn, one.poses = source.worn[:, n : n + 1], source.poses[:, :, n : n + 1]
        lone.append(one.mask(clips, clips, steps))
        assert torch.all(mask >= lone[-1] - 1e-6)
    torch.testing.assert_close(1 - mask, (1 - lone[0]) * (1 - lone[1]) * (1 - lone[2]))


def test_one_digit_can_be_chosen_and_then_has_no_other():
    fives = digits(only=(5,))
    assert len(fives.ink) == 100
    one = digits(only=(5,), instance=3)
    assert torch.equal(one.ink[0], fives.ink[3])
    clips = torch.arange(8)
    assert torch.equal(one.render(clips, clips * 0, clips * 0, clips * 0)[0], one.render(*[clips * 0] * 4)[7])
    with pytest.raises(ConfigError, match="do not make 4 characters"):
        one.another_character(clips, torch.zeros(8))
    with pytest.raises(ConfigError, match="test has 100 such digits"):
        digits(only=(5,), instance=100)


def test_every_digit_is_used_as_often_as_any_other():
    used = digits(videos=16000).worn.flatten().bincount()
    assert used.min() == used.max() == 4
    assert len(digits(videos=16000).worn[:1000].unique()) == 1000


def test_small_and_large_canvases_show_the_same_scene():
    middle = digits()
    clips, steps = every(middle)
    for size in (32, 128):
        other = digits(size=size, inside="box")
        other.poses = middle.poses
        shown = other.mask(clips, clips, steps)
        level = torch.nn.functional.adaptive_avg_pool2d
        small = level(shown, 16) - level(middle.mask(clips, clips, steps), 16)
        assert small.abs().mean() < 0.004


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"videos": 100}, "a multiple of 16"),
        ({"frames": 1}, "frames is 1; it must be 2"),
        ({"compositing": "over"}, "known: alpha, threshold"),
        ({"inside": "hull"}, "known: ink, box"),
        ({"only": (3, 10)}, "classes are 0 to 9"),
        ({"size": 8}, "16 at least"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        MovingDigitsConfig(**wrong)


def test_a_folder_without_files_or_an_unset_variable_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"images-idx3-ubyte.gz: there is no such file"):
        digits(root=str(tmp_path))
    monkeypatch.delenv("KINEMA_NOWHERE", raising=False)
    with pytest.raises(FileError, match="KINEMA_NOWHERE/mnist: the environment variable is not set"):
        digits(root="$KINEMA_NOWHERE/mnist")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784))
    )
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4])))
    with pytest.raises(FileError, match="2 labels for 1 pictures"):
        digits(root=str(tmp_path))


def test_real_mnist_is_split_without_a_shared_digit(monkeypatch):
    folder = real_data("mnist")
    monkeypatch.setenv("KINEMA_DATA", str(folder.parent))
    parts = [from_files("$KINEMA_DATA/mnist", split) for split in ("train", "val", "test")]
    train, val, test = (len(ink) for ink, _ in parts)
    assert val == (train + val) // 6
    assert test > 1000
    every = torch.cat([ink for ink, _ in parts])
    assert len(every.flatten(1).unique(dim=0)) == len(every)
    assert all(set(classes.tolist()) == set(range(10)) for _, classes in parts)


@pytest.mark.parametrize(("compositing", "video", "nobody"), [("alpha", 754, 712), ("threshold", 1037, 889)])
def test_real_mnist_has_the_baselines_that_were_measured_before(compositing, video, nobody):
    """Mean squared differences of two frames, and of a frame and its background, 0-255, of an earlier generator.

    Both depend on how bright the 64 backgrounds are (5 % from one set to another), their ratio does not.
    """
    source = digits(root=str(real_data("mnist")), compositing=compositing, videos=6400, backgrounds=1000)
    generator = torch.Generator().manual_seed(0)
    apart, covered = [], []
    for _ in range(8):
        clips = torch.randint(len(source), (500,), generator=generator)
        start = torch.randint(20 * 1000, (500,), generator=generator)
        pair, canvas = source.window(clips, start), source.canvas(start % 1000).float()
        apart.append((pair.first.float() - pair.second.float()).square().mean())
        covered.append((pair.second.float() - canvas).square().mean())
    frames, empty = float(torch.stack(apart).mean()), float(torch.stack(covered).mean())
    assert abs(frames / video - 1) < 0.13
    assert abs(empty / nobody - 1) < 0.13
    assert abs((frames / empty) / (video / nobody) - 1) < 0.05


def test_the_source_moves_to_a_device_whole():
    moved = digits().to(torch.device("meta"))
    assert {getattr(moved, name).device.type for name in ("ink", "canvases", "worn", "poses")} == {"meta"}
    assert moved.nbytes() == digits().nbytes() > 4 * 10**5
