"""The procedural gait: what a body on the ground must do, and what walking and running are."""

import math
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from kinema.data.gait import ACTIONS, GaitClip, GaitConfig, gait_clips, make_gait, plan_gait
from kinema.data.gait_body import HEEL, SKELETON, SOLE, make_feet
from kinema.data.gait_path import SPEEDS, STYLES, make_steps
from kinema.data.roles import find_roles, mirror_pairs
from kinema.errors import ConfigError

CONFIG = GaitConfig(train=48, test=6, shortest=3.0, longest=5.0, changes=0.0)
ROLES = find_roles(SKELETON)
FEET, TOES = [ROLES.left_foot, ROLES.right_foot], [ROLES.left_toe, ROLES.right_toe]
HIPS, KNEES = [ROLES.left_hip, ROLES.right_hip], [ROLES.left_knee, ROLES.right_knee]
HANDS = [SKELETON.names.index("LeftHand"), SKELETON.names.index("RightHand")]


@lru_cache(maxsize=1)
def clips() -> list[GaitClip]:
    changing = replace(CONFIG, changes=1.0, train=12)
    return gait_clips(CONFIG, "train") + gait_clips(changing, "train")


def steady(action: str) -> list[GaitClip]:
    return [one for one in clips()[: CONFIG.train] if one.clip.labels["action"] == action]


def angles(one: GaitClip, joints: list[int]) -> Float[Tensor, "T 2 3"]:
    """Rotation vectors of two joints in degrees, by scipy."""
    wxyz = one.clip.rotations[:, joints]
    turned = Rotation.from_quat(wxyz[..., [1, 2, 3, 0]].reshape(-1, 4).numpy()).as_rotvec(degrees=True)
    return torch.from_numpy(turned).view(-1, 2, 3)


def ahead(one: GaitClip, index: int, joints: list[int]) -> Float[Tensor, "T 2"]:
    """How far two joints are in front of the pelvis, along the planned heading."""
    plan, _, _ = plan_gait(CONFIG, "train", index)
    heading = plan.heading[plan.frames.start : plan.frames.stop]
    forward = torch.stack([heading.sin(), torch.zeros_like(heading), heading.cos()], -1)
    return ((one.clip.joints()[:, joints] - one.clip.root[:, None]) * forward[:, None]).sum(-1)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten() - a.mean(), b.flatten() - b.mean()]))[0, 1])


def test_standing_toes_do_not_move() -> None:
    for one in clips():
        toes = one.clip.joints()[:, TOES]
        stays = (one.contacts[1:] * one.contacts[:-1]) > 0
        assert float((toes[1:] - toes[:-1]).norm(dim=-1)[stays].max()) < 1e-9, one.clip.name
        assert float((toes[..., 1][one.contacts > 0] - SOLE).abs().max()) < 1e-9
        moves = (one.contacts[1:] + one.contacts[:-1]) == 0
        assert float((toes[1:] - toes[:-1]).norm(dim=-1)[moves].median()) > 0.01


def test_heels_turn_on_the_spot_and_nothing_is_below_the_ground() -> None:
    for index in range(12):
        plan, random, _ = plan_gait(CONFIG, "train", index)
        feet = make_feet(plan.phase[plan.frames.start : plan.frames.stop], make_steps(random, plan))
        heel = feet.ankle + (feet.turned @ torch.tensor(HEEL, dtype=torch.float64)[:, None]).squeeze(-1)
        rolls = feet.touches & ~feet.stands
        stays = rolls[1:] & rolls[:-1]
        assert bool(stays.any())
        assert float((heel[1:] - heel[:-1]).norm(dim=-1)[stays].max()) < 1e-9
        assert float(heel[..., 1].min()) > -1e-9
        one = make_gait(CONFIG, "train", index).clip.joints()
        assert float((one[:, FEET] - feet.ankle).norm(dim=-1)[feet.touches].max()) < 1e-9
        assert float(one[:, TOES, 1].min()) > SOLE - 1e-3


def test_knees_are_hinges_that_bend_forward_only() -> None:
    for one in clips():
        knee = angles(one, KNEES)
        assert float(knee[..., 1:].abs().max()) < 1e-6, "a knee turns about one axis"
        assert float(knee[..., 0].min()) > 4
        assert float(knee[..., 0].max()) < 120
        # Told by positions: the knee is before the straight line from hip to ankle, as the foot points.
        at = one.clip.joints()
        toward = at[:, TOES] - at[:, FEET]
        bulge = at[:, KNEES] - (at[:, HIPS] + at[:, FEET]) / 2
        line = torch.nn.functional.normalize(at[:, FEET] - at[:, HIPS], dim=-1)
        square = toward - (toward * line).sum(-1, keepdim=True) * line
        assert float((bulge * square).sum(-1)[one.contacts > 0].min()) > 0


def test_joints_stay_within_human_ranges() -> None:
    for one in clips():
        hip, ankle, toe = (angles(one, joints) for joints in (HIPS, FEET, TOES))
        assert -75 < float(hip[..., 0].min()) < float(hip[..., 0].max()) < 35, one.clip.name
        assert float(hip[..., 1:].abs().max()) < 45, one.clip.name
        assert -40 < float(ankle[..., 0].min()) < float(ankle[..., 0].max()) < 70, one.clip.name
        assert -85 < float(toe[..., 0].min()) < float(toe[..., 0].max()) < 1, one.clip.name
        assert float(angles(one, [ROLES.head, ROLES.hips + 9]).norm(dim=-1).max()) < 45


def test_the_body_follows_its_plan() -> None:
    for index in range(24):
        plan, _, _ = plan_gait(CONFIG, "train", index)
        one = make_gait(CONFIG, "train", index)
        rows = slice(plan.frames.start, plan.frames.stop)
        off = (one.clip.root[:, [0, 2]] - plan.ground[rows]).norm(dim=-1)
        assert float(off.max()) < 0.06
        stride = round(CONFIG.fps / float((one.phase.diff() % 1).mean()) / CONFIG.fps)
        across = (one.clip.root[stride:] - one.clip.root[:-stride])[:, [0, 2]]
        planned = (plan.ground[rows][stride:] - plan.ground[rows][:-stride]) * 1.0
        assert float((across.norm(dim=-1) / planned.norm(dim=-1) - 1).abs().max()) < 0.05
        slow, fast = SPEEDS[one.clip.labels["action"]]
        mean = float(plan.speed[rows].mean())
        assert slow - 1e-6 <= mean <= fast + 1e-6
        assert mean == pytest.approx(float(plan.ground[rows].diff(dim=0).norm(dim=-1).mean()) * CONFIG.fps, rel=0.01)


def test_motion_is_smooth() -> None:
    for one in clips():
        at = one.clip.joints()
        force = (at[2:] - 2 * at[1:-1] + at[:-2]).norm(dim=-1) * CONFIG.fps**2
        assert float(force.max()) < 300, one.clip.name
        assert float(force[:, 0].max()) < 20, one.clip.name
        assert float(force.flatten(1).quantile(0.99)) < 130, one.clip.name


def test_walking_has_double_support_and_running_has_flight() -> None:
    for one in steady("walk"):
        standing = one.contacts.sum(-1)
        assert float(standing.min()) == 1, one.clip.name
        assert 0.02 < float((standing == 2).double().mean()) < 0.25
        assert 0.5 < float(one.contacts.mean()) < 0.62
    for one in steady("run"):
        standing = one.contacts.sum(-1)
        assert float(standing.max()) == 1, one.clip.name
        assert 0.15 < float((standing == 0).double().mean()) < 0.5


def test_cadence_is_human() -> None:
    """About 0.9 strides a second at 1.3 m/s, 1.4 when running; the faster, the longer the stride."""
    for action, least, most in (("walk", 0.55, 1.25), ("run", 1.2, 1.65)):
        rows = []
        for one in steady(action):
            rate = float((one.phase.diff() % 1).mean()) * CONFIG.fps
            speed = float((one.clip.root[1:] - one.clip.root[:-1])[:, [0, 2]].norm(dim=-1).mean()) * CONFIG.fps
            assert least < rate < most
            rows.append((speed, speed / rate))
        speed, stride = torch.tensor(rows).double().unbind(-1)
        assert correlation(speed, stride) > 0.9
    near = [one for one in steady("walk") if one.clip.labels["style"] == "normal"]
    rates = [float((one.phase.diff() % 1).mean()) * CONFIG.fps for one in near]
    assert 0.8 < sum(rates) / len(rates) < 1.0


def test_phase_says_when_toes_come_down() -> None:
    for one in clips():
        assert 0 <= float(one.phase.min()) <= float(one.phase.max()) < 1
        lands = ((one.contacts[1:, 0] - one.contacts[:-1, 0]) > 0).nonzero().squeeze(1) + 1
        assert float(one.phase[lands].max()) < 0.04
        right = ((one.contacts[1:, 1] - one.contacts[:-1, 1]) > 0).nonzero().squeeze(1) + 1
        assert float((one.phase[right] - 0.5).abs().max()) < 0.04
        assert bool(((one.phase.diff() % 1) < 0.05).all())


def test_each_arm_swings_against_its_leg_and_the_trunk_against_the_pelvis() -> None:
    for index in range(12):
        one = make_gait(CONFIG, "train", index)
        arms, legs = ahead(one, index, HANDS), ahead(one, index, FEET)
        assert correlation(arms[:, 0], legs[:, 0]) < -0.6
        assert correlation(arms[:, 1], legs[:, 1]) < -0.6
        assert correlation(arms[:, 0], legs[:, 1]) > 0.6
        hips, shoulders = ahead(one, index, HIPS), ahead(one, index, [ROLES.left_shoulder, ROLES.right_shoulder])
        assert correlation(hips[:, 0] - hips[:, 1], shoulders[:, 0] - shoulders[:, 1]) < -0.5


def test_the_pelvis_is_high_in_the_middle_of_stance_when_walking_and_low_when_running() -> None:
    for action, sign in (("walk", 1), ("run", -1)):
        found = []
        for one in steady(action):
            height = one.clip.root[:, 1]
            wave = torch.cos(4 * math.pi * (one.phase - float(one.contacts.mean()) / 2))
            found.append(sign * correlation(height, wave))
            assert 0.005 < float(height.max() - height.min()) < 0.12
        assert min(found) > 0.2
        assert sum(found) / len(found) > 0.75


def test_styles_differ() -> None:
    leans, heights = {}, {}
    for style in STYLES:
        chosen = [one.clip for one in steady("walk") if one.clip.labels["style"] == style]
        assert len(chosen) == len(steady("walk")) // len(STYLES)
        tops = [clip.joints()[:, ROLES.head] - clip.root for clip in chosen]
        leans[style] = float(torch.cat([top[:, [0, 2]].norm(dim=-1) for top in tops]).mean())
        heights[style] = float(torch.cat([top[:, 1] for top in tops]).mean())
    assert leans["proud"] < leans["normal"] < leans["tired"] - 0.05
    assert heights["tired"] < heights["normal"] - 0.01


def test_paths_turn_to_both_sides_and_cover_the_speeds() -> None:
    many = replace(CONFIG, train=120)
    plans = [plan_gait(many, "train", index)[0] for index in range(120)]
    turns = torch.stack([plan.heading[plan.frames.stop] - plan.heading[plan.frames.start] for plan in plans])
    assert float((turns > 0.5).double().mean()) > 0.15
    assert float((turns < -0.5).double().mean()) > 0.15
    assert float((turns.abs() < 0.3).double().mean()) > 0.1
    speeds = torch.cat([plan.speed[plan.frames.start : plan.frames.stop] for plan in plans])
    assert float(speeds.min()) < 0.75
    assert float(speeds.max()) > 3.4
    sideways = torch.cat([plan.speed * plan.turn for plan in plans])
    assert float(sideways.abs().max()) <= 3.0 + 1e-9


def test_some_clips_change_between_walking_and_running() -> None:
    for index, one in enumerate(clips()[CONFIG.train :]):
        plan, _, _ = plan_gait(replace(CONFIG, changes=1.0, train=12), "train", index)
        speed = plan.speed[plan.frames.start : plan.frames.stop]
        assert float(speed.min()) < 2.0 < float(speed.max())
        assert one.clip.labels["action"] in ACTIONS
        assert 0.0 <= float(one.contacts.sum(-1).min()) < float(one.contacts.sum(-1).max()) <= 2.0


def test_the_same_seed_gives_the_same_clip_and_no_two_are_alike() -> None:
    first, again = make_gait(CONFIG, "train", 3), make_gait(CONFIG, "train", 3)
    assert torch.equal(first.clip.rotations, again.clip.rotations)
    assert torch.equal(first.clip.root, again.clip.root)
    assert torch.equal(make_gait(replace(CONFIG, train=500), "train", 3).clip.root, first.clip.root)
    others = [
        make_gait(CONFIG, "test", 3),
        make_gait(CONFIG, "train", 9),
        make_gait(replace(CONFIG, seed=1), "train", 3),
    ]
    for other in others:
        frames = min(len(other.clip), len(first.clip))
        assert not torch.allclose(other.clip.rotations[:frames], first.clip.rotations[:frames], atol=1e-3)
    names = [one.clip.name for split in ("train", "test") for one in gait_clips(replace(CONFIG, train=6), split)]
    assert len(set(names)) == 12


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_the_rate_changes_samples_and_not_the_motion(fps: float) -> None:
    for index in range(8):
        at = {rate: make_gait(replace(CONFIG, fps=rate), "train", index).clip for rate in (60.0, fps)}
        common = min(fps, 60.0)
        sampled = [clip.joints()[:: round(rate / common)] for rate, clip in at.items()]
        frames = min(len(part) for part in sampled) - 1
        apart = (sampled[0][:frames] - sampled[1][:frames]).norm(dim=-1)
        # A knee that is nearly straight moves by much more than the pelvis.
        assert float(apart.max()) < 0.04
        assert float(apart[:, [ROLES.hips, *TOES]].max()) < 0.02


def test_the_skeleton_is_a_person() -> None:
    assert len(SKELETON) == 21
    assert SKELETON.parents == (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 10, 13, 14, 15, 10, 17, 18, 19)
    top = sum(float(SKELETON.offsets[SKELETON.names.index(name), 1]) for name in ("Spine", "Chest", "Neck", "Head"))
    standing = SOLE - float(SKELETON.offsets[1:5, 1].sum())
    assert 1.65 < standing + top + 0.18 < 1.8
    mirror = mirror_pairs(SKELETON, ROLES)
    reflected = SKELETON.offsets[mirror] * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(reflected, SKELETON.offsets)


def test_what_cannot_be_is_refused() -> None:
    for wrong, told in (
        ({"train": 0}, "at least 1 of each"),
        ({"shortest": 0.1}, "0.5 <= shortest"),
        ({"longest": 2.0}, "0.5 <= shortest"),
        ({"fps": 5.0}, "20 to 240"),
        ({"changes": 1.5}, "share between"),
        ({"seed": -1}, "0 or more"),
    ):
        with pytest.raises(ConfigError, match=told):
            GaitConfig(**wrong)
    with pytest.raises(ConfigError, match="there is no clip 6 of test"):
        make_gait(CONFIG, "test", 6)
    with pytest.raises(ConfigError, match="no split 'all'"):
        gait_clips(CONFIG, "all")


def test_legs_do_not_hit_each_other() -> None:
    for one in clips():
        at = one.clip.joints()
        for joints in (FEET, KNEES):
            assert float((at[:, joints[0]] - at[:, joints[1]]).norm(dim=-1).min()) > 0.06, one.clip.name
