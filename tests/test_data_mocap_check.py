"""What is wrong with motion capture must be found, and nothing else."""

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from kinema.data.gait import GaitConfig, gait_clips
from kinema.data.mocap_check import (
    check_clips,
    check_motions,
    duplicates,
    jumps,
    labelled_turn,
    net_turn,
    wrong_label,
)
from kinema.errors import FileError
from kinema.files.bvh_motion import read_motion, write_motion
from kinema.maths.rotation import about_y, multiply, rotate
from kinema.motion import MotionClip, Skeleton
from real_data import real_data


@lru_cache(maxsize=1)
def clips() -> tuple[MotionClip, ...]:
    config = GaitConfig(train=12, test=1, shortest=2.0, longest=3.0)
    return tuple(replace(one.clip, name=f"{i:02d}.bvh") for i, one in enumerate(gait_clips(config, "train")))


def turned(clip: MotionClip, degrees: float) -> MotionClip:
    """The clip, and on top of its own motion an even turn to the left."""
    angle = torch.linspace(0, math.radians(degrees), len(clip), dtype=torch.float64)
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(about_y(angle), rotations[:, 0])
    return replace(clip, rotations=rotations)


def with_skeleton(clip: MotionClip, **changes: object) -> MotionClip:
    old = clip.skeleton
    parts = {"names": old.names, "parents": old.parents, "offsets": old.offsets} | changes
    return replace(clip, skeleton=Skeleton(**parts))


def test_good_clips_have_no_findings() -> None:
    assert check_clips(clips()) == []
    assert duplicates(clips()) == set()
    assert check_clips([]) == []
    assert duplicates([]) == set()


def test_copies_are_found_and_the_first_is_kept() -> None:
    first, second, third, *rest = clips()
    copy = replace(first, name="copy.bvh")
    part = replace(second[40:80], name="part.bvh")
    both = replace(
        third,
        root=torch.cat([third.root[:20], second.root[:30]]),
        rotations=torch.cat([third.rotations[:20], second.rotations[:30]]),
        name="both.bvh",
    )
    few = replace(
        rest[0],
        root=torch.cat([rest[0].root, first.root[:9]]),
        rotations=torch.cat([rest[0].rotations, first.rotations[:9]]),
        name="few.bvh",
    )
    short = replace(rest[1][5:8], name="short.bvh")
    many = [first, second, third, rest[1], copy, part, both, few, short]
    assert duplicates(many) == {"copy.bvh", "part.bvh", "both.bvh", "short.bvh"}
    found = [line for line in check_clips(many) if "frames are in" in line]
    assert sorted(found) == sorted(
        [
            f"copy.bvh: {len(first)} of its frames are in 00.bvh too; leave one of the two out",
            "part.bvh: 40 of its frames are in 01.bvh too; leave one of the two out",
            "both.bvh: 30 of its frames are in 01.bvh too; leave one of the two out",
            "both.bvh: 20 of its frames are in 02.bvh too; leave one of the two out",
            "short.bvh: 3 of its frames are in 04.bvh too; leave one of the two out",
        ]
    )


def test_a_copy_must_agree_in_every_number() -> None:
    first = clips()[0]
    for column in range(3):
        root = first.root.clone()
        root[:, column] += 1e-4
        assert duplicates([first, replace(first, root=root, name="moved")]) == set()
    for joint in range(len(first.skeleton)):
        rotations = first.rotations.clone()
        rotations[:, joint] = multiply(about_y(torch.tensor([1e-3]).double().expand(len(first))), rotations[:, joint])
        assert duplicates([first, replace(first, rotations=rotations, name="moved")]) == set()
    blurred = replace(first, root=first.root + 1e-12, name="copy")
    assert duplicates([first, blurred]) == {"copy"}


def test_frames_of_a_clip_that_stands_still_count_once() -> None:
    still = [replace(clip[:1], root=clip.root[:1].expand(50, 3), rotations=clip.rotations[:1].expand(50, -1, 4))
             for clip in clips()[:2]]  # fmt: skip
    assert duplicates(still) == set()
    assert check_clips(still) == []


def test_other_skeletons_are_named_with_the_first_joint_that_differs() -> None:
    usual = clips()[:5]
    names = clips()[0].skeleton.names
    longer = clips()[0].skeleton.offsets.clone()
    longer[3, 1] -= 0.02
    hung = (*clips()[0].skeleton.parents[:13], 11, *clips()[0].skeleton.parents[14:])
    renamed = ("Hips", "LThigh", *names[2:])
    fewer = clips()[9]
    fewer = replace(
        fewer,
        skeleton=Skeleton(names[:20], fewer.skeleton.parents[:20], fewer.skeleton.offsets[:20]),
        rotations=fewer.rotations[:, :20],
    )
    many = [
        with_skeleton(clips()[6], offsets=longer),
        *usual,
        with_skeleton(clips()[7], parents=hung),
        with_skeleton(clips()[8], names=renamed),
        fewer,
    ]
    assert check_clips(many) == [
        "06.bvh: another skeleton than 00.bvh: the offset of LeftFoot is (0.000, -0.440, 0.000) m, "
        "usually (0.000, -0.420, 0.000) m",
        "07.bvh: another skeleton than 00.bvh: LeftShoulder hangs on Neck, usually on Chest",
        "08.bvh: another skeleton than 00.bvh: joint LThigh where LeftUpLeg is usual",
        "09.bvh: another skeleton than 00.bvh: 20 joints, usually 21; the first that only one has is RightHand",
    ]
    crowd = [*clips()[:7], *(with_skeleton(clip, names=renamed) for clip in clips()[7:])]
    assert check_clips(crowd)[0].startswith("07.bvh, 08.bvh, 09.bvh and 2 more: another skeleton")


def test_other_rates_are_named() -> None:
    many = [*clips()[:4], replace(clips()[4], fps=59.94), replace(clips()[5], fps=60.0001)]
    assert check_clips(many) == ["04.bvh: 59.9 frames a second, usually 60"]


def test_jumps_of_the_root_and_of_joints_are_found() -> None:
    clip = clips()[0]
    root = clip.root.clone()
    root[30:] += torch.tensor([0.0, 0.5, 0.0]).double()
    root[60:] -= torch.tensor([0.0, 0.4, 0.0]).double()
    assert jumps(replace(clip, root=root)) == [
        "00.bvh: Hips jumps by 0.50 m from frame 29 to 30, and there are 1 more such jumps"
    ]
    rotations = clip.rotations.clone()
    rotations[50, 7] = multiply(rotations[50, 7], about_y(torch.tensor(math.radians(90)).double()))
    (found,) = jumps(replace(clip, rotations=rotations))
    assert clip.skeleton.names[7] in found
    assert "from frame 49 to 50, and there are 1 more" in found or "from frame 50 to 51, and there are 1 more" in found
    assert jumps(replace(clip, rotations=-clip.rotations)) == [], "q and -q are one rotation"
    flipped = clip.rotations * torch.where(torch.arange(len(clip)) % 2 == 0, 1.0, -1.0)[:, None, None]
    assert jumps(replace(clip, rotations=flipped)) == []


def test_a_jump_is_judged_by_seconds_not_by_frames() -> None:
    clip = clips()[0]
    moved = clip.root.clone()
    moved[:, 0] = torch.arange(len(clip)) * 0.3
    assert jumps(replace(clip, root=moved, fps=30.0)) == []
    assert len(jumps(replace(clip, root=moved, fps=60.0))) == 1


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("data/dataset-2_walk-turn-left_normal_001.bvh", "left"),
        ("walk_turn_right.bvh", "right"),
        ("WalkTurnLeft02.bvh", "left"),
        ("turning right/take 3.bvh", "right"),
        ("data/raise-up-left-hand_normal.bvh", None),
        ("walk_turn_left_then_right.bvh", None),
        ("turn/left.bvh", None),
        ("return_left.bvh", None),
        ("walk.bvh", None),
    ],
)
def test_names_that_tell_a_turn(name: str, side: str | None) -> None:
    assert labelled_turn(name) == side


@pytest.mark.parametrize("degrees", [-260.0, -90.0, 0.0, 45.0, 200.0])
def test_a_turn_is_measured(degrees: float) -> None:
    straight = min(clips(), key=lambda clip: abs(net_turn(clip)))
    own = net_turn(straight)
    assert net_turn(turned(straight, degrees)) == pytest.approx(own + degrees, abs=1e-6)
    # Wherever the body faces at first.
    around = turned(straight, degrees)
    by = about_y(torch.tensor(2.0).double())
    rotations = around.rotations.clone()
    rotations[:, 0] = multiply(by, rotations[:, 0])
    elsewhere = replace(around, rotations=rotations, root=rotate(by, around.root))
    assert net_turn(elsewhere) == pytest.approx(own + degrees, abs=1e-6)


def test_labels_that_the_body_contradicts_are_found() -> None:
    straight = min(clips(), key=lambda clip: abs(net_turn(clip)))
    left = replace(turned(straight, 90.0 - net_turn(straight)), name="a/walk-turn-left_01.bvh")
    assert wrong_label(left) == []
    assert wrong_label(replace(left, name="a/walk-turn-right_01.bvh")) == [
        "a/walk-turn-right_01.bvh: named a turn to the right, but the body turns left by 90 degrees"
    ]
    right = replace(turned(straight, -90.0 - net_turn(straight)), name="a/walk-turn-right_01.bvh")
    assert wrong_label(right) == []
    assert len(wrong_label(replace(right, name="a/turn_left.bvh"))) == 1
    slight = replace(turned(straight, 20.0 - net_turn(straight)), name="a/walk-turn-left_01.bvh")
    assert len(wrong_label(slight)) == 1
    unknown = with_skeleton(left, names=tuple(f"j{i * 5 % 23}" for i in range(21)), offsets=torch.zeros(21, 3).double())
    assert "was not checked: skeleton of 21 joints" in wrong_label(unknown)[0]


def test_a_folder_is_checked_and_damaged_files_are_findings(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for i, clip in enumerate(clips()[:3]):
        write_motion(clip, tmp_path / "deep" / f"walk_{i}.bvh")
    assert check_motions(tmp_path) == []
    (tmp_path / "again.BVH").write_bytes((tmp_path / "deep" / "walk_1.bvh").read_bytes())
    text = (tmp_path / "deep" / "walk_2.bvh").read_text()
    (tmp_path / "cut.bvh").write_text(text[: len(text) // 2])
    cut, copy = check_motions(tmp_path)
    assert cut.startswith(f"{tmp_path / 'cut.bvh'}: ")
    assert "\n" not in cut
    assert "walk_1.bvh: " in copy
    assert f"{tmp_path / 'again.BVH'} too" in copy
    assert check_motions(tmp_path / "deep" / "walk_0.bvh") == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"there is no \.bvh file"):
        check_motions(tmp_path / "empty")


def test_real_copies_and_labels_are_found() -> None:
    folder = real_data("bandai")
    some = ("*_normal_00[45]", "*_normal_02[7-9]", "*_normal_03?", "*_masculine_00[5-7]")
    paths = [path for part in some for path in sorted(folder.glob(f"*walk-turn-{part}.bvh"))]
    many = [replace(read_motion(path), name=path.stem.removeprefix("dataset-2_walk-")) for path in paths]
    copies = {f"turn-left_normal_03{i}" for i in (1, 2, 3, 4)} | {f"turn-right_normal_03{i}" for i in (2, 3, 4, 5)}
    assert duplicates(many) == copies & {clip.name for clip in many}
    found = check_clips(many)
    contradicted = {line.split(":")[0] for line in found if "named a turn" in line}
    assert contradicted == {
        "turn-left_masculine_006",
        "turn-right_masculine_006",
        "turn-right_normal_004",
        "turn-right_normal_032",
        "turn-right_normal_033",
    }
    assert all("frames are in" in line or "named a turn" in line for line in found)
