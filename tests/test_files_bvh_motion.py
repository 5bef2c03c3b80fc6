"""BVH as motion: joints where an independent reader and thirty lines of numpy put them, and nothing lost in silence."""

import math
import random
from dataclasses import replace
from pathlib import Path

import bvhio
import numpy as np
import pytest
import torch

from kinema.errors import ClipError, ConfigError
from kinema.files.bvh import CHANNELS, Bvh, format_bvh, parse_bvh, read_bvh, write_bvh
from kinema.files.bvh_motion import (
    ROOT_CHANNELS,
    frame_time_of,
    from_motion,
    rate_of,
    read_motion,
    to_motion,
    write_motion,
)
from kinema.maths.rotation import IDENTITY, about_y
from kinema.motion import MotionClip, Skeleton
from real_data import real_data
from test_files_bvh import PLAIN, random_bvh

TURNS = ROOT_CHANNELS[3:]


def independent_joints(bvh: Bvh) -> np.ndarray:
    """World joints (T, J, 3) in the file's unit, by 4 x 4 matrices, a frame and a joint at a time."""
    frames = []
    for row in bvh.values:
        values, world = iter(row.tolist()), []
        for joint, parent in enumerate(bvh.parents):
            place, turn = bvh.offsets[joint].copy(), np.eye(3)
            for channel in bvh.channels[joint]:
                axis, value = "XYZ".index(channel[0]), next(values)
                if channel.endswith("position"):
                    place[axis] = value
                else:
                    i, j = [(1, 2), (2, 0), (0, 1)][axis]
                    c, s = math.cos(math.radians(value)), math.sin(math.radians(value))
                    step = np.eye(3)
                    step[i, i], step[i, j], step[j, i], step[j, j] = c, -s, s, c
                    turn = turn @ step
            local = np.eye(4)
            local[:3, :3], local[:3, 3] = turn, place
            world.append(local if parent < 0 else world[parent] @ local)
        frames.append([matrix[:3, 3] for matrix in world])
    return np.array(frames)


def bvhio_joints(path: Path, frames: int) -> np.ndarray:
    """World joints (T, J, 3) in the file's unit as bvhio reads them, in float32."""
    root = bvhio.readAsHierarchy(str(path))
    joints = [joint for joint, _, _ in root.layout()]
    places = []
    for frame in range(frames):
        root.loadPose(frame)
        places.append([list(joint.PositionWorld) for joint in joints])
    return np.array(places)


def rigid_bvh(seed: int, joints: int = 14) -> Bvh:
    """Fixed bones of 10 to 20 cm: any orders of 0 to 3 rotations, positions at the root or constant."""
    draw, numbers = random.Random(seed), np.random.default_rng(seed)
    parents, above = [-1], [0]
    for joint in range(1, joints):
        del above[draw.randint(1, len(above)) :]
        parents.append(above[-1])
        above.append(joint)
    offsets = numbers.normal(size=(joints, 3))
    offsets *= numbers.uniform(10, 20, (joints, 1)) / np.linalg.norm(offsets, axis=1, keepdims=True)
    channels, columns, frames = [], [], draw.randint(1, 8)
    for joint in range(joints):
        names = draw.sample(CHANNELS[3:], draw.choice([0, 1, 2, 3, 3, 3]))
        if joint == 0 or draw.random() < 0.3:  # all six
            names = draw.sample(CHANNELS, 6)
        channels.append(tuple(names))
        still = numbers.normal(size=3) * 15
        for name in names:
            turning = name.endswith("rotation") or joint == 0
            columns.append(
                numbers.uniform(-180, 180, frames) if turning else np.full(frames, still["XYZ".index(name[0])])
            )
    ends = tuple((j, tuple(numbers.normal(size=3).tolist())) for j in range(joints) if j not in parents)
    names = tuple(f"joint {j}" for j in range(joints))
    return Bvh(names, tuple(parents), offsets, ends, tuple(channels), 0.01, np.array(columns).T.copy())


def upright_bvh(**changes) -> Bvh:
    """A body of 160 cm that walks along Z, its root above the hips and still."""
    names = ("Base", "Hips", "Spine", "Head", "LeftLeg", "LeftFoot", "RightLeg", "RightFoot")
    offsets = np.array(
        [[0, 0, 0], [0, 90, 0], [0, 30, 0], [0, 40, 0], [10, 0, 0], [0, -88, 0], [-10, 0, 0], [0, -88, 0]], float
    )
    channels = (ROOT_CHANNELS, ROOT_CHANNELS, TURNS, TURNS, TURNS, TURNS, TURNS, TURNS)
    values = np.zeros((20, 12 + 18))
    values[:, 6:9] = np.stack([0 * np.arange(20), 90 + np.sin(np.arange(20)), 4.0 * np.arange(20)], 1)
    values[:, 9:] = np.random.default_rng(0).normal(size=(20, 21)) * 5
    bvh = Bvh(names, (-1, 0, 1, 2, 1, 4, 1, 6), offsets, (), channels, 0.0333333, values)
    return replace(bvh, **changes)


# Where joints are


@pytest.mark.parametrize("seed", range(20))
def test_joints_are_where_thirty_lines_of_numpy_put_them(seed):
    bvh = rigid_bvh(seed)
    clip = to_motion(bvh, "random", scale=0.01, up="Y")
    assert clip.skeleton.names == bvh.names
    np.testing.assert_allclose(clip.joints().numpy(), 0.01 * independent_joints(bvh), atol=1e-12)
    assert clip.notes == ()


@pytest.mark.parametrize("seed", range(12))
def test_bvhio_puts_joints_of_what_is_written_where_we_do(seed, tmp_path):
    clip = to_motion(rigid_bvh(seed), "random", scale=0.01, up="Y")
    write_motion(clip, tmp_path / "a.bvh")
    np.testing.assert_allclose(bvhio_joints(tmp_path / "a.bvh", len(clip)), 100 * clip.joints().numpy(), atol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_motion_to_file_to_motion(seed, tmp_path):
    clip = to_motion(rigid_bvh(seed), "random", scale=0.01, up="Y")
    write_motion(clip, tmp_path / "a.bvh")
    again = read_motion(tmp_path / "a.bvh", scale=0.01, up="Y")
    assert again.skeleton.same_as(clip.skeleton, 1e-10)
    assert set(again.skeleton.ends) == set(clip.skeleton.ends)
    for joint, end in clip.skeleton.ends.items():
        assert again.skeleton.ends[joint] == pytest.approx(end, abs=1e-10)
    assert again.fps == clip.fps == 100
    assert (again.joints() - clip.joints()).abs().max() < 1e-6


def test_real_files_by_numpy_and_bvhio(tmp_path):
    for path in sorted(real_data("bandai").glob("*.bvh"))[::290]:
        bvh = read_bvh(path)
        clip = read_motion(path)
        assert (clip.fps, clip.skeleton.names[0], len(clip.skeleton)) == (30.0, "Hips", 21)
        assert clip.name == str(path)
        parts = slice(0, 60)
        expected = independent_joints(replace(bvh, values=bvh.values[parts]))[:, 1:]
        np.testing.assert_allclose(100 * clip.joints()[parts].numpy(), expected, atol=1e-3)  # constants of 6 decimals
        write_motion(clip[parts], tmp_path / "a.bvh")
        np.testing.assert_allclose(bvhio_joints(tmp_path / "a.bvh", 60), expected, atol=1e-3)
        again = read_motion(tmp_path / "a.bvh")
        assert (again.joints() - clip.joints()[parts]).abs().max() < 1e-6
        assert again.fps == 30.0


def test_turned_by_a_right_angle_nothing_is_lost(tmp_path):
    """The middle angle of Z X Y at +-90 degrees, where the two others are one."""
    half = math.sqrt(0.5)
    turns = [[half, half, 0, 0], [half, -half, 0, 0], [0.5, 0.5, 0.5, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    rotations = torch.tensor(turns, dtype=torch.float64).unsqueeze(1).expand(-1, 3, -1).clone()
    offsets = torch.tensor([[0, 0, 0], [0, 0.5, 0.1], [0.3, 0.5, 0.1]], dtype=torch.float64)
    clip = MotionClip(Skeleton(("a", "b", "c"), (-1, 0, 1), offsets), torch.zeros(6, 3, dtype=torch.float64), rotations)
    write_motion(clip, tmp_path / "a.bvh")
    assert (read_motion(tmp_path / "a.bvh", scale=0.01, up="Y").joints() - clip.joints()).abs().max() < 1e-6


# What is written


def test_what_is_written_is_what_every_reader_takes(tmp_path):
    clip = to_motion(upright_bvh(), "walk")
    bvh = from_motion(clip)
    assert bvh.names[0] == "Hips"
    assert bvh.offsets[0].tolist() == [0, 0, 0]
    assert bvh.channels == (ROOT_CHANNELS, *[TURNS] * 6)
    assert {joint for joint, _ in bvh.ends} == {2, 4, 6}  # every joint without children
    assert bvh.frame_time == 0.0333333
    assert bvh.values[0, 1] == pytest.approx(90)
    text = format_bvh(bvh).decode()
    assert "ROOT Hips\n{\n\tOFFSET 0.0 0.0 0.0\n\tCHANNELS 6 Xposition Yposition Zposition Zrot" in text
    assert "e-" not in text


def test_joints_are_written_depth_first(tmp_path):
    parents = (-1, 0, 0, 1, 2, 1)
    offsets = torch.arange(18, dtype=torch.float64).reshape(6, 3) / 100
    offsets[0] = 0
    turns = torch.nn.functional.normalize(torch.randn(5, 6, 4, dtype=torch.float64), dim=-1)
    clip = MotionClip(Skeleton(tuple("abcdef"), parents, offsets), torch.randn(5, 3, dtype=torch.float64), turns)
    write_motion(clip, tmp_path / "a.bvh")
    again = read_motion(tmp_path / "a.bvh", scale=0.01, up="Y")
    assert again.skeleton.names == tuple("abdfce")
    order = ["abcdef".index(name) for name in again.skeleton.names]
    assert (again.joints() - clip.joints()[:, order]).abs().max() < 1e-6


def test_angles_do_not_jump():
    angle = torch.linspace(0, 4 * math.pi, 50, dtype=torch.float64)
    skeleton = Skeleton(("a",), (-1,), torch.zeros(1, 3, dtype=torch.float64))
    bvh = from_motion(MotionClip(skeleton, torch.zeros(50, 3, dtype=torch.float64), about_y(angle).unsqueeze(1)))
    np.testing.assert_allclose(bvh.values[:, 5], np.rad2deg(angle.numpy()), atol=1e-5)


@pytest.mark.parametrize(
    "fps", [1.0, 24.0, 25.0, 29.97, 30.0, 59.94, 60.0, 90.0, 120.0, 240.0, 1000.0, 12.345678, 1000 / 33]
)
def test_rates_come_back(fps):
    assert rate_of(frame_time_of(fps)) == pytest.approx(fps, rel=1e-12)


@pytest.mark.parametrize(
    ("time", "fps"),
    [
        *[(0.0333333, 30), (0.033333, 30), (0.0333, 30), (0.01666667, 60), (0.016667, 60), (0.016666, 60)],
        *[(0.00833333, 120), (0.0083333, 120), (0.0417, 24), (0.04, 25), (1 / 60, 60), (2.0, 0.5)],
    ],
)
def test_rates_are_whole_where_the_time_is_rounded(time, fps):
    assert rate_of(time) == fps


def test_other_rates_are_left_as_they_are():
    assert rate_of(0.0333667) == pytest.approx(29.97, abs=1e-3)  # of television, not 30
    assert rate_of(0.03) == pytest.approx(33.333, abs=1e-3)


# The root, and what moves beside it


def test_the_joint_that_carries_the_body_becomes_the_root():
    bvh = upright_bvh()
    clip = to_motion(bvh, "walk")
    assert clip.skeleton.names == bvh.names[1:]
    assert clip.skeleton.parents == (-1, 0, 1, 0, 3, 0, 5)
    assert clip.skeleton.offsets[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(clip.joints().numpy(), 0.01 * independent_joints(bvh)[:, 1:], atol=1e-12)
    assert "Hips carries the body: the motion of Base is in its own" in clip.notes
    ended = to_motion(replace(bvh, ends=((3, (0.0, 12.0, 0.0)),)), "walk")
    assert ended.skeleton.ends == {2: (0.0, 0.12, 0.0)}  # the head, one joint less above it


def test_a_root_that_moves_too_is_composed_into_it():
    values = upright_bvh().values.copy()
    values[:, :6] = np.random.default_rng(1).normal(size=(20, 6)) * 30
    bvh = upright_bvh(values=values)
    clip = to_motion(bvh, "walk", scale=0.01, up="Y")
    np.testing.assert_allclose(clip.joints().numpy(), 0.01 * independent_joints(bvh)[:, 1:], atol=1e-12)


def test_hips_that_stand_still_leave_the_root_as_it_is():
    values = upright_bvh().values.copy()
    values[:, :3], values[:, 6:9] = values[:, 6:9], [0.0, 1.0, 2.0]
    bvh = upright_bvh(values=values)
    clip = to_motion(bvh, "walk", scale=0.01, up="Y")
    assert clip.skeleton.names == bvh.names
    assert clip.skeleton.offsets[1].tolist() == pytest.approx([0, 0.01, 0.02])  # the constant, not the OFFSET
    np.testing.assert_allclose(clip.joints().numpy(), 0.01 * independent_joints(bvh), atol=1e-12)
    assert clip.notes == ()


def test_other_translations_are_left_out_and_told():
    channels = (ROOT_CHANNELS, *[TURNS] * 6, ROOT_CHANNELS)
    values = np.zeros((20, 6 + 18 + 6))
    values[:, 24] = np.linspace(3, 15, 20)  # the right foot, along X; its Y and Z are 0 as well
    bvh = upright_bvh(channels=channels, values=values)
    clip = to_motion(bvh, "walk", scale=0.01, up="Y")
    assert clip.notes == (
        "left out, because bones keep their lengths, is that joints move on their own: RightFoot by 0.120 m",
    )
    np.testing.assert_allclose(clip.skeleton.offsets[7].numpy(), [0.09, 0, 0], atol=1e-12)
    values[:, 24] = np.linspace(3, 3.09, 20)  # less than a millimetre
    assert to_motion(replace(bvh, values=values), "walk", scale=0.01, up="Y").notes == ()


def test_hips_beside_which_another_joint_hangs_do_not_become_the_root():
    bvh = upright_bvh()
    bvh = replace(
        bvh,
        names=(*bvh.names, "Prop"),
        parents=(*bvh.parents, 0),
        offsets=np.concatenate([bvh.offsets, [[1.0, 0, 0]]]),
        channels=(*bvh.channels, ()),
    )
    clip = to_motion(bvh, "walk", scale=0.01, up="Y")
    assert clip.skeleton.names[0] == "Base"
    assert any("Hips by 0.76" in note for note in clip.notes)


def test_a_rope_does_not_lose_its_upper_half():
    names, parents = tuple("abcd"), (-1, 0, 1, 2)
    values = np.zeros((5, 9))
    values[:, 6] = np.arange(5)
    bvh = Bvh(names, parents, np.ones((4, 3)), (), (CHANNELS[:3], (), CHANNELS[3:], CHANNELS[:3]), 0.01, values)
    clip = to_motion(bvh, "rope", scale=1.0, up="Y")
    assert clip.skeleton.names == names
    assert "d by 4.000 m" in clip.notes[0]


def test_end_sites_that_have_no_place_are_told():
    bvh = parse_bvh(PLAIN.encode(), "plain")
    ends = ((0, (1.0, 1.0, 1.0)), *bvh.ends, (1, (2.0, 2.0, 2.0)))
    clip = to_motion(replace(bvh, ends=ends), "plain", scale=0.01, up="Y")
    assert clip.skeleton.ends == {1: (0.0, -0.4, 0.0)}
    assert clip.notes == ("left out are 2 End Sites of joints that have children or another one",)


# Units and axes


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        *[(1.0, "metres"), (0.1, "decimetres"), (0.01, "centimetres"), (0.001, "millimetres")],
        *[(0.05644, "5.644 cm"), (0.0254, "inches")],
    ],
)
def test_units_are_told_from_the_height(unit, word):
    bvh = upright_bvh()
    values = bvh.values.copy()
    values[:, :3] *= 0.01 / unit
    values[:, 6:9] *= 0.01 / unit
    clip = to_motion(replace(bvh, offsets=bvh.offsets * 0.01 / unit, values=values), "walk")
    assert any(note.startswith("lengths are taken as") and word in note and " m high" in note for note in clip.notes)
    np.testing.assert_allclose(clip.joints().numpy(), to_motion(bvh, "walk", scale=0.01).joints().numpy(), atol=1e-9)


def test_a_given_scale_is_taken():
    clip = to_motion(upright_bvh(), "walk", scale=0.02)
    assert not any("lengths" in note for note in clip.notes)
    np.testing.assert_allclose(clip.joints().numpy(), 2 * to_motion(upright_bvh(), "walk").joints().numpy(), atol=1e-12)


def test_no_adult_and_no_body_are_told():
    assert any("no adult" in n for n in to_motion(upright_bvh(offsets=upright_bvh().offsets * 1e5), "giant").notes)
    point = Bvh(("a",), (-1,), np.zeros((1, 3)), (), (("Xposition",),), 0.1, np.zeros((1, 1)))
    assert any("for want of a body" in note for note in to_motion(point, "point").notes)


def z_up(bvh: Bvh) -> Bvh:
    """The same motion in a file whose Z is up: a root turned by 90 degrees about X is put above the first joint."""
    values = np.concatenate([np.tile([0.0, 0, 0, 0, 90, 0], (len(bvh), 1)), bvh.values], 1)
    return replace(
        bvh,
        names=("World", *bvh.names),
        parents=(-1, *[p + 1 for p in bvh.parents]),
        offsets=np.concatenate([np.zeros((1, 3)), bvh.offsets]),
        ends=tuple((joint + 1, end) for joint, end in bvh.ends),
        channels=(ROOT_CHANNELS, *bvh.channels),
        values=values,
    )


@pytest.mark.parametrize("names", [True, False])
def test_z_up_is_told_and_turned(names):
    bvh = upright_bvh() if names else upright_bvh(names=tuple("abcdefgh"))
    turned = z_up(bvh)
    assert independent_joints(turned)[0, 4, 2] > 100  # the head, along Z
    clip, straight = to_motion(turned, "walk"), to_motion(bvh, "walk")
    assert "Z is taken as up, and turned to where Y was" in clip.notes
    assert "Y is taken as up" in straight.notes
    np.testing.assert_allclose(clip.joints().numpy(), straight.joints().numpy(), atol=1e-12)


def test_a_given_axis_is_taken():
    clip = to_motion(upright_bvh(), "walk", up="Z")
    assert not any("up" in note for note in clip.notes)
    expected = 0.01 * independent_joints(upright_bvh())[:, 1:]
    scale = float(clip.root[0].norm() / np.linalg.norm(expected[0, 0]))
    np.testing.assert_allclose(clip.joints().numpy(), scale * expected[..., [0, 2, 1]] * [1, 1, -1], atol=1e-9)


def test_who_crawls_is_not_taken_for_z_up():
    """The body lies along Z, where it also goes, and stays near the ground of Y."""
    values = upright_bvh().values.copy()
    values[:, 6:9] = np.stack([np.zeros(20), np.full(20, 20.0), 20.0 * np.arange(20)], 1)
    values[:, 9:12] = [0, 90, 0]
    assert "Y is taken as up" in to_motion(upright_bvh(values=values), "crawl").notes


def test_real_files_tell_units_and_axes():
    for path in sorted(real_data("bandai").glob("*.bvh"))[::40]:
        notes = read_motion(path).notes
        assert notes[0] == "Y is taken as up"
        assert notes[1].startswith("lengths are taken as centimetres: the joints then stand 1.")
        assert notes[2:] == ("Hips carries the body: the motion of joint_Root is in its own",)


# Mistakes


def test_mistakes_are_told():
    with pytest.raises(ConfigError, match=r"walk: scale is 0.0; the metres of the file's unit"):
        to_motion(upright_bvh(), "walk", scale=0.0)
    with pytest.raises(ConfigError, match=r"walk: up is 'z'; write Y or Z"):
        to_motion(upright_bvh(), "walk", up="z")
    with pytest.raises(ClipError, match=r"walk: two joints are called 'Hips'"):
        to_motion(upright_bvh(names=("Base", "Hips", "Spine", "Head", "Hips", "e", "f", "g")), "walk")
    joints = ((),) * 9_000  # a small file that would become a large motion
    many = Bvh(
        tuple(f"j{i}" for i in range(9_001)),
        (-1, *[0] * 9_000),
        np.zeros((9_001, 3)),
        (),
        (CHANNELS, *joints),
        0.1,
        np.zeros((10_000, 6)),
    )
    with pytest.raises(ClipError, match=r"many: 10000 frames of 9001 joints are too many"):
        to_motion(many, "many")
    with pytest.raises(ClipError, match=r"walk: a joint is 1e\+300 units from its parent"):
        to_motion(upright_bvh(offsets=np.full((8, 3), 1e300)), "walk")


def test_any_file_becomes_a_motion_or_a_kinema_error():
    for seed in range(100):
        try:
            clip = to_motion(random_bvh(seed), "random")
        except ClipError:  # of numbers beyond any body
            continue
        assert clip.joints().isfinite().all()


def test_a_still_joint_keeps_the_identity():
    bvh = parse_bvh(PLAIN.encode(), "plain")
    still = replace(bvh, channels=(bvh.channels[0], ()), values=bvh.values[:, :6].copy())
    assert (to_motion(still, "x", scale=1.0, up="Y").rotations[:, 1] == torch.tensor(IDENTITY)).all()


def test_files_written_by_write_bvh_are_read_alike(tmp_path):
    bvh = upright_bvh()
    write_bvh(bvh, tmp_path / "a.bvh")
    assert torch.equal(read_motion(tmp_path / "a.bvh").joints(), to_motion(bvh, "a").joints())
