"""Windows of motion: the representation there and back, the mirror, the cuts, the padding."""

from dataclasses import replace

import pytest
import torch

from kinema.data.gait import GaitConfig, make_gait
from kinema.data.mirror import Mirror, joint_frames
from kinema.data.mocap import Mocap, MocapConfig, labels_of, read_folder
from kinema.data.motions import MotionSource, WindowConfig, starts
from kinema.data.representation import decode, encode, floor_height, resample
from kinema.data.roles import find_roles, mirror_pairs
from kinema.errors import ClipError, ConfigError, KinemaError
from kinema.files.bvh_motion import write_motion
from kinema.maths import rotation, trajectory
from kinema.maths.kinematics import positions_of_six
from real_data import real_data

GAIT = GaitConfig(train=6, test=2, seed=3)


@pytest.fixture(scope="module")
def clips():
    return [make_gait(GAIT, "train", index).clip for index in range(6)]


def test_the_representation_is_undone(clips):
    for clip in clips:
        encoded = encode(clip, find_roles(clip.skeleton))
        again = decode(encoded, clip.skeleton)
        assert float((again.joints() - clip.joints()).abs().max()) < 1e-10
        placed = trajectory.to_world(
            encoded.motion.joints,
            *trajectory.integrate(encoded.motion.control, encoded.fps, encoded.start, encoded.heading),
        )
        assert float((placed - clip.joints()).abs().max()) < 1e-10


@pytest.mark.slow
def test_the_representation_is_undone_on_every_recorded_clip():
    found = read_folder(real_data("bandai"))
    roles = find_roles(found[0].skeleton)
    worst = max(
        float((decode(encode(clip, roles), clip.skeleton).joints() - clip.joints()).abs().max()) for clip in found
    )
    assert worst < 1e-9 * 0.05644


def test_what_models_see_does_not_depend_on_where_the_body_is(clips):
    clip = clips[0]
    turn = torch.tensor(1.1).double()
    about = rotation.about_y(turn)
    moved = replace(
        clip,
        root=rotation.rotate(about, clip.root) + torch.tensor([3.0, 0.0, -2.0]).double(),
        rotations=torch.cat([rotation.multiply(about, clip.rotations[:, :1]), clip.rotations[:, 1:]], 1),
    )
    roles = find_roles(clip.skeleton)
    a, b = encode(clip, roles), encode(moved, roles)
    assert torch.allclose(a.motion.joints, b.motion.joints, atol=1e-9)
    assert torch.allclose(a.motion.control, b.motion.control, atol=1e-7)
    assert torch.allclose(b.heading - a.heading, turn, atol=1e-9)


def test_the_floor_is_not_moved_by_one_bad_frame(clips):
    roles = find_roles(clips[0].skeleton)
    joints = clips[0].joints()
    bad = joints.clone()
    bad[20, :, 1] -= 0.5
    assert float((floor_height(bad, roles) - floor_height(joints, roles)).abs()) < 0.005


def test_contacts_are_those_of_the_maker():
    roles, agree = None, []
    for index in range(6):
        made = make_gait(GAIT, "train", index)
        roles = roles or find_roles(made.clip.skeleton)
        found = encode(made.clip, roles).motion.contacts
        agree.append((found == made.contacts).double().mean())
    assert float(torch.stack(agree).mean()) > 0.9


def test_resampling_keeps_what_was_recorded(clips):
    clip = clips[1]
    double = resample(clip, 2 * clip.fps)
    assert len(double) == 2 * len(clip) - 1
    assert torch.allclose(double.joints()[::2], clip.joints(), atol=1e-9)
    again = resample(double, clip.fps)
    assert torch.allclose(again.joints(), clip.joints(), atol=1e-9)
    lengths = (double.joints()[:, 1] - double.joints()[:, 0]).norm(dim=-1)
    assert float(lengths.std()) < 1e-9, "bones do not shrink between frames"


def test_a_mirror_image_is_a_body_and_its_image_the_body_itself(clips):
    clip = clips[2]
    roles = find_roles(clip.skeleton)
    pairs = mirror_pairs(clip.skeleton, roles)
    motion = encode(clip, roles).motion
    assert motion.rotations is not None
    mirror = Mirror(clip.skeleton, pairs, motion.rotations.mean(0))
    image = mirror(motion)
    assert image.rotations is not None
    skeleton = clip.skeleton
    joints = positions_of_six(image.rotations, image.joints[:, 0], skeleton.offsets, skeleton.parents)
    assert torch.allclose(joints, image.joints, atol=1e-9), "rotations and positions are mirrored alike"
    assert torch.allclose(image.joints[:, roles.left_knee, 0], -motion.joints[:, roles.right_knee, 0])
    assert torch.allclose(image.joints[:, roles.head, 0], -motion.joints[:, roles.head, 0]), "the middle too"
    twice = mirror(image)
    assert twice.rotations is not None
    assert torch.allclose(twice.joints, motion.joints)
    assert torch.allclose(twice.rotations, motion.rotations)
    assert torch.equal(twice.control, motion.control)
    path, _ = trajectory.integrate(motion.control, 60.0)
    mirrored, _ = trajectory.integrate(image.control, 60.0)
    assert torch.allclose(mirrored, path * torch.tensor([-1.0, 1.0, 1.0]).double(), atol=1e-9)


def test_a_body_without_a_mirror_image_is_refused(clips):
    skeleton = clips[0].skeleton
    pairs = mirror_pairs(skeleton, find_roles(skeleton))
    offsets = skeleton.offsets.clone()
    offsets[next(j for j, p in enumerate(pairs) if p > j)] += 0.2
    typical = torch.eye(3).double().expand(len(skeleton), 3, 3)
    with pytest.raises(ClipError, match="mirror"):
        joint_frames(replace(skeleton, offsets=offsets), pairs, typical)


@pytest.mark.parametrize(
    ("frames", "pad", "wanted"),
    [
        (100, "centre", [-70]),
        (101, "centre", [-70]),
        (100, "first", [0]),
        (240, "centre", [0]),
        (300, "centre", [0, 60]),
        (500, "centre", [0, 120, 240, 260]),
    ],
)
def test_where_windows_begin(frames, pad, wanted):
    assert starts(frames, WindowConfig(pad=pad)) == wanted


def source_of(clips, **settings):
    config = WindowConfig(length=120, step=60, **settings)
    return MotionSource("toy", "train", clips, find_roles(clips[0].skeleton), config, {"action": ("run", "walk")})


def test_windows_are_the_clips_own_frames(clips):
    source = source_of(clips)
    items = torch.arange(len(source) // 2)
    batch = source.window(items, torch.zeros_like(items))
    for row in range(len(items)):
        clip = clips[int(source.clip_of[row])]
        motion = encode(clip, source.roles).motion
        first = int(source.start_of[row])
        assert torch.allclose(batch.motion.joints[row], motion.joints[first : first + 120].float(), atol=1e-6)
        assert source.factors["action"][int(batch.factors["action"][row])] == clip.labels["action"]


def test_padding_stands_still_and_says_so(clips):
    short = [clip[:50] for clip in clips]
    batch = source_of(short).window(torch.tensor([0]), torch.tensor([0]))
    assert batch.valid[0].tolist() == [False] * 35 + [True] * 50 + [False] * 35
    assert not bool(batch.motion.control[0, ~batch.valid[0]].any())
    assert torch.equal(batch.motion.joints[0, 0], batch.motion.joints[0, 35])
    assert torch.equal(batch.motion.joints[0, -1], batch.motion.joints[0, 84])


def test_images_follow_the_windows_and_turn_the_labels(clips):
    turning = [replace(clip, labels={"action": "walk-turn-left"}) for clip in clips]
    config = WindowConfig(length=120, step=60)
    factors = {"action": ("walk-turn-left", "walk-turn-right")}
    source = MotionSource("toy", "train", turning, find_roles(clips[0].skeleton), config, factors)
    half = len(source) // 2
    both = source.window(torch.tensor([1, half + 1]), torch.tensor([0, 0]))
    assert both.factors["action"].tolist() == [0, 1]
    assert torch.allclose(both.motion.control[1], both.motion.control[0] * torch.tensor([-1.0, 1.0, -1.0]))


def test_late_windows_stay_within_the_clip(clips):
    source = source_of(clips)
    rooms = source.rooms(anywhere=True)
    items = torch.arange(len(source))
    assert bool(source.window(items, rooms - 1).valid.all())
    assert source.rooms(anywhere=False).unique().tolist() == [1]


def test_bad_windows_are_refused(clips):
    for settings in ({"length": 1}, {"step": 0}, {"fps": 0.0}, {"pad": "middle"}):
        with pytest.raises(ConfigError, match=r"data\."):
            WindowConfig(**settings)
    with pytest.raises(ClipError, match="no clips"):
        MotionSource("toy", "test", [], find_roles(clips[0].skeleton), WindowConfig(), {})
    other = replace(clips[1], skeleton=replace(clips[1].skeleton, offsets=clips[1].skeleton.offsets * 1.1))
    with pytest.raises(ClipError, match="skeleton differs"):
        source_of([clips[0], other])


def test_a_folder_of_bvh(tmp_path, clips):
    for number, clip in enumerate(clips):
        folder = tmp_path / clip.labels["action"]
        folder.mkdir(exist_ok=True)
        write_motion(clip, folder / f"take {number}.bvh")
    config = MocapConfig(root=str(tmp_path), length=120, step=60, test_share=0.3)
    train, test = Mocap(config, "train"), Mocap(config, "test")
    assert (len(train.names), len(test.names)) == (4, 2)
    assert not {*train.names} & {*test.names}
    assert set(train.factors["action"]) == {"run", "walk"}
    opening = test.openings(240)
    assert opening.motion.joints.shape == (2, 240, 21, 3)


def test_names_and_folders_tell_what_is_done(tmp_path):
    name = tmp_path / "dataset-2_walk-turn-left_elderly_003.bvh"
    assert labels_of(name, tmp_path) == {"action": "walk-turn-left", "style": "elderly"}
    assert labels_of(tmp_path / "Jump" / "a.bvh", tmp_path) == {"action": "jump", "style": "any"}
    assert labels_of(tmp_path / "a.bvh", tmp_path) == {"action": "motion", "style": "any"}


def test_folders_that_cannot_be_used(tmp_path, monkeypatch):
    monkeypatch.delenv("KINEMA_DATA", raising=False)
    for root, words in (("", "KINEMA_DATA"), (str(tmp_path / "no"), "no such folder"), (str(tmp_path), "no BVH")):
        with pytest.raises(KinemaError, match=words):
            Mocap(MocapConfig(root=root), "train")


@pytest.mark.slow
def test_turns_are_measured_and_repeats_left_out():
    config = MocapConfig(root=str(real_data("bandai")))
    train, test = Mocap(config, "train"), Mocap(config, "test")
    assert len(test.names) >= 90
    names = (*train.names, *test.names)
    assert len(names) < 870, "the repeated clips are left out"
    for source in (train, test):
        for row, name in enumerate(source.names):
            if name in ("dataset-2_walk-turn-left_masculine_006.bvh", "dataset-2_walk-turn-left_masculine_007.bvh"):
                assert source.factors["action"][int(source.labels["action"][row])] == "walk-turn-right"
