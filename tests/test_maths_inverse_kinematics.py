"""Rotations from positions and feet that are held: exact where an answer is known, in bounds where not."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinema.maths import rotation
from kinema.maths.foot_lock import Leg, LockStyle, lock_feet, lock_rotations, stances
from kinema.maths.inverse_kinematics import (
    UsualPose,
    find_hinges,
    fit_residual,
    positions_to_rotations,
    reach,
    swing,
    usual_pose,
    usual_pose_of,
)
from kinema.maths.kinematics import joint_positions

FPS = 60.0
NAMES = ["hips", "lhip", "lknee", "lfoot", "ltoe", "rhip", "rknee", "rfoot", "rtoe", "spine", "chest", "head"]
NAMES += ["lcollar", "larm", "lfore", "lhand", "rcollar", "rarm", "rfore", "rhand", "lthumb", "lfinger"]
PARENTS = [-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 10, 12, 13, 14, 10, 16, 17, 18, 15, 15]
LEG = [[0.1, -0.05, 0], [0, -0.42, 0], [0, -0.4, 0], [0, -0.05, 0.14]]
ARM = [[0.1, 0.1, 0], [0.1, 0, 0], [0.28, 0, 0], [0.25, 0, 0]]
MIRRORED = [[-x, y, z] for x, y, z in LEG + ARM]
SPINE = [[0, 0.15, 0], [0, 0.2, 0], [0, 0.25, 0.02]]
OFFSETS = torch.tensor(
    [[0, 0, 0], *LEG, *MIRRORED[:4], *SPINE, *ARM, *MIRRORED[4:], [0.05, 0, 0.04], [0.1, 0, 0]],
    dtype=torch.float64,
)
LEGS = [Leg(1, 2, 3, 4), Leg(5, 6, 7, 8)]


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_rotations(*shape, seed=0):
    q = Rotation.random(math.prod(shape), random_state=seed).as_quat()
    return torch.from_numpy(np.roll(q, 1, -1).copy()).view(*shape, 4)


def about(axis, angle):
    half = angle.unsqueeze(-1) / 2
    return torch.cat([half.cos(), half.sin() * torch.tensor(axis, dtype=torch.float64)], -1)


def apart(a, b):
    """Angles between two rotations, in degrees."""
    d = rotation.multiply(rotation.inverse(a), b)
    return torch.rad2deg(2 * torch.atan2(d[..., 1:].norm(dim=-1), d[..., 0].abs()))


def lengths(joints, parents=PARENTS):
    return (joints[..., 1:, :] - joints[..., parents[1:], :]).norm(dim=-1)


# Swings


def test_a_swing_takes_one_direction_to_the_other_by_the_angle_between_them():
    a, b = noise(200, 3), noise(200, 3, seed=1)
    q = swing(a, b)
    turned = torch.nn.functional.normalize(rotation.rotate(q, a), dim=-1)
    torch.testing.assert_close(turned, torch.nn.functional.normalize(b, dim=-1))
    between = torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))
    torch.testing.assert_close(torch.deg2rad(apart(q, torch.tensor(rotation.IDENTITY).double())), between)


@pytest.mark.parametrize("nearly", [0.0, 1e-15, 1e-10, 1e-6, 1e-3])
def test_swings_to_the_opposite_direction(nearly):
    a = noise(50, 3)
    b = -a + nearly * noise(50, 3, seed=1)
    q = swing(a, b)
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(50, dtype=torch.float64))
    turned = rotation.rotate(q, torch.nn.functional.normalize(a, dim=-1))
    torch.testing.assert_close(turned, torch.nn.functional.normalize(b, dim=-1), rtol=0, atol=1e-8)


def test_a_direction_of_no_length_is_not_swung():
    zero, some = torch.zeros(1, 3), torch.ones(1, 3)
    for pair in ((zero, some), (some, zero), (zero, zero)):
        assert swing(*pair).tolist() == [list(rotation.IDENTITY)]


# Rotations from positions


def test_hinges_are_knees_and_elbows_and_no_part_of_the_spine():
    found = find_hinges(OFFSETS, PARENTS)
    assert {(NAMES[a], NAMES[b]) for a, b in found.items()} == {
        ("lhip", "lknee"),
        ("rhip", "rknee"),
        ("larm", "lfore"),
        ("rarm", "rfore"),
    }


def test_a_spine_of_many_joints_is_no_limb():
    parents = [-1, 0, 1, 2, 3, 3, 3, 5, 7, 6, 9, 0, 0]  # hips, a spine of three, neck, arms of two bones, short legs
    offsets = [[0, 0, 0], *[[0, 0.15, 0]] * 3, [0, 0.2, 0], [0.2, 0, 0], [-0.2, 0, 0], [0.3, 0, 0], [0.25, 0, 0]]
    offsets = [*offsets, [-0.3, 0, 0], [-0.25, 0, 0], [0.1, 0, 0], [-0.1, 0, 0]]
    assert find_hinges(torch.tensor(offsets), parents) == {5: 7, 6: 9}


@pytest.mark.parametrize("seed", [0, 1])
def test_positions_of_random_poses_are_recovered_exactly(seed):
    q, root = random_rotations(100, len(PARENTS), seed=seed), noise(100, 3, seed=seed)
    offsets = OFFSETS if seed else noise(len(PARENTS), 3, seed=5)
    joints = joint_positions(q, root, offsets, PARENTS)
    solved = positions_to_rotations(joints, offsets, PARENTS)
    assert float(fit_residual(joints, solved, offsets, PARENTS).max()) < 1e-9
    torch.testing.assert_close(joint_positions(solved, root, offsets, PARENTS), joints, rtol=0, atol=1e-9)
    torch.testing.assert_close(solved.norm(dim=-1), torch.ones_like(solved[..., 0]))


def test_noisy_positions_leave_a_residual_like_the_noise():
    joints = joint_positions(random_rotations(200, len(PARENTS)), noise(200, 3), OFFSETS, PARENTS)
    for size in (0.001, 0.01):
        seen = joints + size * noise(*joints.shape, seed=2)
        residual = fit_residual(seen, positions_to_rotations(seen, OFFSETS, PARENTS), OFFSETS, PARENTS)
        assert 0.3 * size < float(residual[:, 1:].square().mean().sqrt()) < 2 * size
        assert float(residual[:, [4, 8, 15, 19]].mean()) < 2 * size, "errors do not add up along the limbs"


def test_leading_axes_do_not_matter_and_a_usual_pose_makes_parts_agree():
    joints = joint_positions(random_rotations(24, len(PARENTS)), noise(24, 3), OFFSETS, PARENTS)
    whole = positions_to_rotations(joints, OFFSETS, PARENTS)
    torch.testing.assert_close(
        positions_to_rotations(joints.view(2, 3, 4, -1, 3), OFFSETS, PARENTS).view(24, -1, 4), whole
    )
    usual = usual_pose(joints, OFFSETS, PARENTS)
    parts = [positions_to_rotations(part, OFFSETS, PARENTS, usual) for part in joints.split(7)]
    torch.testing.assert_close(torch.cat(parts), whole)
    single = positions_to_rotations(joints[3].float(), OFFSETS.float(), PARENTS)
    assert single.dtype == torch.float32


def walker(frames=240):
    """A body whose knees and elbows are hinges about x and y, and whose thighs and arms swing and twist."""
    t = torch.arange(frames, dtype=torch.float64) / FPS
    q = torch.zeros(frames, len(PARENTS), 4, dtype=torch.float64)
    q[..., 0] = 1
    q[:, 0] = rotation.multiply(rotation.about_y(0.5 * t), about([1.0, 0, 0], 0.1 * torch.sin(t)))
    for side, (hip, knee, arm, fore) in ((0, (1, 2, 13, 14)), (math.pi, (5, 6, 17, 18))):
        phase = 2 * math.pi * t + side
        q[:, hip] = rotation.multiply(about([1.0, 0, 0], 0.4 * phase.sin()), rotation.about_y(0.25 * phase.cos()))
        q[:, knee] = about([1.0, 0, 0], 0.9 + 0.4 * torch.sin(phase + 1))
        hang = about([0, 0, 1.0], torch.full_like(t, -1.2 if side == 0 else 1.2))
        q[:, arm] = rotation.multiply(about([1.0, 0, 0], -0.5 * phase.sin()), hang)
        q[:, fore] = about([0, 1.0, 0], (-0.7 - 0.2 * phase.cos()) * (1 if side == 0 else -1))
    return q, torch.stack([torch.sin(t), 0.85 + 0 * t, t], -1)


def test_knees_and_elbows_bend_as_hinges():
    """The plane of the bend fixes the twist of thigh and upper arm, which would else be wrong by up to 30 degrees."""
    q, root = walker()
    joints = joint_positions(q, root, OFFSETS, PARENTS)
    solved = positions_to_rotations(joints, OFFSETS, PARENTS)
    no_hinges = usual_pose(joints, OFFSETS, PARENTS)
    loose = positions_to_rotations(
        joints, OFFSETS, PARENTS, UsualPose(no_hinges.local, torch.zeros_like(no_hinges.hinges))
    )
    for upper, lower in find_hinges(OFFSETS, PARENTS).items():
        offset = rotation.multiply(rotation.inverse(q[:, upper]), solved[:, upper])
        assert float(apart(offset, offset[:1]).max()) < 0.1, "one twist for all frames, if any"
        axis = torch.nn.functional.normalize(solved[:, lower, 1:] * solved[:, lower, :1].sign(), dim=-1)
        assert float((axis - axis[0]).norm(dim=-1).max()) < 2e-3
        assert float(apart(loose[:, upper], solved[:, upper]).max()) > 5


def test_twists_of_known_rotations_come_back():
    q, root = walker()
    joints = joint_positions(q, root, OFFSETS, PARENTS)
    usual = usual_pose_of(q, OFFSETS, PARENTS)
    solved = positions_to_rotations(joints, OFFSETS, PARENTS, usual)
    inner = [j for j in range(len(PARENTS)) if j in PARENTS]
    assert float(apart(solved, q)[:, inner].max()) < 0.1
    assert float(fit_residual(joints, solved, OFFSETS, PARENTS).max()) < 1e-9


def test_turning_a_stretched_limb_over_its_straight_pose_does_not_flip_it():
    q, root = walker()
    q[:, 2] = about([1.0, 0, 0], torch.linspace(0.9, -0.35, 240, dtype=torch.float64))
    joints = joint_positions(q, root, OFFSETS, PARENTS)
    solved = positions_to_rotations(joints, OFFSETS, PARENTS)
    assert float(apart(solved[1:, 1], solved[:-1, 1]).max()) < 6
    assert float(apart(solved[:, 1], q[:, 1])[-60:].max()) < 40


def test_rest_poses_opposite_to_the_usual_pose_give_no_jumps():
    """Some programs draw all bones along x; a leg may then hang just opposite to its rest."""
    q, root = walker()
    joints = joint_positions(q, root, OFFSETS, PARENTS)
    odd = OFFSETS.clone()
    odd[[2, 3, 6, 7]] *= -1
    solved = positions_to_rotations(joints, odd, PARENTS)
    assert float(fit_residual(joints, solved, odd, PARENTS).max()) < 1e-9
    assert float(apart(solved[1:], solved[:-1]).max()) < 8


def test_a_pelvis_whose_hips_are_joints_of_no_length():
    parents = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8]
    offsets = torch.zeros(10, 3, dtype=torch.float64)
    offsets[2], offsets[5], offsets[8] = (
        torch.tensor(x).double() for x in ([0.1, -0.1, 0], [-0.1, -0.1, 0], [0, 0.2, 0])
    )
    offsets[[3, 6]] = torch.tensor([0, -0.4, 0.0]).double()
    offsets[9, 1] = 0.3
    facing = torch.linspace(0, 6, 50, dtype=torch.float64)
    q = torch.tensor(rotation.IDENTITY).double().repeat(50, 10, 1)
    q[:, 0] = rotation.about_y(facing)
    joints = joint_positions(q, noise(50, 3), offsets, parents)
    solved = positions_to_rotations(joints, offsets, parents)
    assert float(apart(solved[:, 0], q[:, 0]).max()) < 1e-6
    assert float(fit_residual(joints, solved, offsets, parents).max()) < 1e-9


def test_joints_at_one_place_and_bones_in_one_line():
    parents, offsets = [-1, 0, 0], torch.tensor([[0, 0, 0], [1, 0, 0], [-0.5, 0, 0]]).double()
    joints = joint_positions(random_rotations(20, 3), noise(20, 3), offsets, parents)
    assert float(fit_residual(joints, positions_to_rotations(joints, offsets, parents), offsets, parents).max()) < 1e-9
    collapsed = torch.zeros(4, len(PARENTS), 3, dtype=torch.float64)
    assert bool(positions_to_rotations(collapsed, OFFSETS, PARENTS).isfinite().all())


# Legs


def bent(count=300):
    hip = noise(count, 3)
    thigh, shin = (torch.nn.functional.normalize(noise(count, 3, seed=s), dim=-1) for s in (1, 2))
    return hip, hip + 0.42 * thigh, hip + 0.42 * thigh + 0.4 * shin


def test_reach_puts_ankles_on_targets_and_keeps_bones_and_plane():
    hip, knee, ankle = bent()
    far = torch.linspace(0.05, 0.8, 300, dtype=torch.float64).unsqueeze(-1)
    target = hip + far * torch.nn.functional.normalize(noise(300, 3, seed=3), dim=-1)
    new_knee, new_ankle = reach(hip, knee, ankle, target)
    torch.testing.assert_close(new_ankle, target)
    torch.testing.assert_close((new_knee - hip).norm(dim=-1), (knee - hip).norm(dim=-1))
    torch.testing.assert_close((new_ankle - new_knee).norm(dim=-1), (ankle - knee).norm(dim=-1))
    whole = swing(ankle - hip, new_ankle - hip)
    normal = rotation.rotate(whole, torch.linalg.cross(knee - hip, ankle - hip))
    new_normal = torch.linalg.cross(new_knee - hip, new_ankle - hip)
    cosine = torch.nn.functional.cosine_similarity(normal, new_normal, dim=-1)
    torch.testing.assert_close(cosine, torch.ones(300, dtype=torch.float64))


def test_reach_leaves_legs_at_their_targets_alone():
    hip, knee, ankle = bent()
    for ahead in (None, noise(300, 3, seed=4)):
        new_knee, new_ankle = reach(hip, knee, ankle, ankle, ahead)
        torch.testing.assert_close(new_knee, knee, rtol=0, atol=1e-9)
        torch.testing.assert_close(new_ankle, ankle, rtol=0, atol=1e-12)


def test_reach_stretches_smoothly_and_never_beyond_the_leg():
    hip = torch.zeros(2001, 3, dtype=torch.float64)
    knee, ankle = hip + torch.tensor([0, -0.4, 0.1]), hip + torch.tensor([0, -0.75, 0.0])
    full = float((knee - hip)[0].norm() + (ankle - knee)[0].norm())
    far = torch.linspace(0.6, 1.2, 2001, dtype=torch.float64)
    new_knee, new_ankle = reach(hip, knee, ankle, hip - far.unsqueeze(-1) * torch.tensor([0, 1.0, 0]))
    got = new_ankle.norm(dim=-1)
    assert float(got.max()) <= full
    assert float(got[-1]) > 0.999 * full
    assert bool((got.diff() >= -1e-12).all())
    torch.testing.assert_close(got[far < 0.98 * full], far[far < 0.98 * full])
    assert float(new_knee.diff(dim=0).norm(dim=-1).max() / far.diff()[0]) < 4, "the knee does not pop"


def test_straight_legs_bend_ahead():
    hip = torch.zeros(1, 3, dtype=torch.float64)
    knee, ankle = hip - torch.tensor([0, 0.4, 0]), hip - torch.tensor([0, 0.8, 0])
    target = hip - torch.tensor([0, 0.6, 0])
    new_knee, new_ankle = reach(hip, knee, ankle, target, torch.tensor([[0, 0, 1.0]]).double())
    assert float(new_knee[0, 2]) > 0.1
    torch.testing.assert_close(new_ankle, target)
    assert float((reach(hip, knee, ankle, target)[0] - hip).norm()) == pytest.approx(0.4)


def test_targets_at_and_near_the_hip():
    hip, knee, ankle = bent(20)
    for target in (hip, hip + 1e-9, hip + 0.001):
        new_knee, new_ankle = reach(hip, knee, ankle, target)
        assert bool(new_knee.isfinite().all())
        torch.testing.assert_close((new_ankle - new_knee).norm(dim=-1), (ankle - knee).norm(dim=-1))


# Feet


def skater(slip=0.25, frames=300, height=0.85):
    """A body that glides on at 1 m/s. Each foot stands for 0.6 s, in which it slips on at `slip` m/s, then swings."""
    t = torch.arange(frames, dtype=torch.float64) / FPS
    hips = torch.stack([0.03 * torch.sin(2 * math.pi * t), height + 0.01 * torch.cos(4 * math.pi * t), t], -1)
    joints = torch.zeros(frames, 9, 3, dtype=torch.float64)
    joints[:, 0] = hips
    phase = torch.stack([t % 1.0, (t + 0.5) % 1.0], -1)
    for side, (sign, leg) in enumerate(((1, LEGS[0]), (-1, LEGS[1]))):
        share = ((phase[:, side] - 0.6) / 0.4).clamp(0, 1)
        stride = share**3 * (10 - 15 * share + 6 * share**2) * (1 - slip * 0.6)
        z = t - phase[:, side] + 0.3 + slip * (phase[:, side].clamp(max=0.6) - 0.6) + stride
        ankle = torch.stack([torch.full_like(t, 0.1 * sign), 0.1 + 0.12 * (4 * share * (1 - share)) ** 2, z], -1)
        hip = hips + OFFSETS[leg.hip]
        knee = hip + 0.42 * torch.tensor([0, -math.cos(0.3), math.sin(0.3)], dtype=torch.float64)
        bent_ankle = knee - 0.4 * torch.tensor([0, math.cos(0.3), math.sin(0.3)], dtype=torch.float64)
        knee, ankle = reach(hip, knee, bent_ankle, ankle)
        for joint, place in ((leg.hip, hip), (leg.knee, knee), (leg.ankle, ankle), (leg.toe, ankle + OFFSETS[leg.toe])):
            joints[:, joint] = place
    return joints, (phase < 0.6).double()


FEET = [4, 8]
TREE = PARENTS[:9]


def standing_speed(joints, contacts):
    feet, down = joints[..., FEET, :], contacts > 0.5
    speed = feet.diff(dim=-3).norm(dim=-1) * FPS
    return speed[down[..., 1:, :] & down[..., :-1, :]]


def sharpest(joints):
    """The greatest acceleration of any joint, in m/s^2."""
    return float(joints.diff(n=2, dim=-3).norm(dim=-1).max()) * FPS**2


def test_a_skating_walk_stands():
    joints, contacts = skater()
    assert float(standing_speed(joints, contacts).mean()) > 0.2
    locked = lock_feet(joints, contacts, LEGS, FPS)
    assert float(standing_speed(locked, contacts).max()) < 0.01
    torch.testing.assert_close(lengths(locked, TREE), lengths(joints, TREE))
    assert bool((locked[:, [0, 1, 5]] == joints[:, [0, 1, 5]]).all())
    away = stances(contacts, FPS).double()
    near = torch.nn.functional.max_pool1d(away.T, 2 * 9 + 1, stride=1, padding=9).T > 0
    for side, leg in enumerate(LEGS):
        rows = [leg.knee, leg.ankle, leg.toe]
        assert int((~near[:, side]).sum()) > 10
        assert bool((locked[~near[:, side]][:, rows] == joints[~near[:, side]][:, rows]).all())
    # Nothing pops: a knee of a runner has 120 m/s^2; a foot let go at once makes one of 350.
    assert sharpest(locked) < 100
    assert sharpest(lock_feet(joints, contacts, LEGS, FPS, style=LockStyle(blend=0.0))) > 300


def test_a_foot_is_let_go_without_a_jerk():
    """At the end of a stance a toe that slipped at 0.25 m/s starts again from a stand, not at 0.25 m/s."""
    joints, contacts = skater()
    locked = lock_feet(joints, contacts, LEGS, FPS)
    ends = (contacts[:-1, 0] - contacts[1:, 0] > 0).nonzero().squeeze(-1)
    speed = locked[:, 4].diff(dim=0).norm(dim=-1) * FPS
    assert len(ends) >= 4
    assert float(speed[ends].max()) < 0.3, "with the toe's own speed it would be 0.45"


def test_a_held_toe_keeps_its_height():
    joints, contacts = skater()
    joints[:, FEET, 1] += 0.02 * torch.rand(
        len(joints), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    locked = lock_feet(joints, contacts, LEGS, FPS)
    assert float((locked[:, FEET, 1] - joints[:, FEET, 1]).abs().max()) < 1e-3
    assert float((locked[:, FEET] - joints[:, FEET]).norm(dim=-1).max()) > 0.03


def test_a_leg_that_is_too_short_points_its_foot():
    joints, contacts = skater(height=0.90)
    locked = lock_feet(joints, contacts, LEGS, FPS)
    foot, old = locked[:, 4] - locked[:, 3], joints[:, 4] - joints[:, 3]
    pointed = torch.rad2deg(torch.atan2(torch.linalg.cross(foot, old).norm(dim=-1), (foot * old).sum(-1)))
    assert float(pointed.max()) > 1, "the case is one in which the leg is too short"
    assert float(standing_speed(locked, contacts).max()) < 0.03
    torch.testing.assert_close(lengths(locked, TREE), lengths(joints, TREE))


def test_a_stance_is_held_at_its_mean_place():
    joints, contacts = skater()
    locked = lock_feet(joints, contacts, LEGS, FPS)
    for begin in (60, 120):
        rows = slice(begin, begin + 36)
        torch.testing.assert_close(locked[rows, 4].mean(0), joints[rows, 4].mean(0), rtol=0, atol=1e-6)


def test_heels_still_come_off_while_toes_stand():
    joints, contacts = skater()
    lift = torch.linspace(0, 0.06, 36, dtype=torch.float64)
    q = swing(
        joints[60:96, 4] - joints[60:96, 3],
        joints[60:96, 4] - joints[60:96, 3] - lift.unsqueeze(-1) * torch.tensor([0, 1.0, 0]),
    )
    joints[60:96, 3] = joints[60:96, 4] - rotation.rotate(q, joints[60:96, 4] - joints[60:96, 3])
    locked = lock_feet(joints, contacts, LEGS, FPS)
    assert float(standing_speed(locked[60:96], contacts[60:96]).max()) < 0.01
    assert float(locked[95, 3, 1] - locked[60, 3, 1]) > 0.04


def test_no_contact_and_true_contacts_change_nothing():
    joints, contacts = skater()
    assert bool((lock_feet(joints, torch.zeros_like(contacts), LEGS, FPS) == joints).all())
    still, contacts = skater(slip=0.0)
    torch.testing.assert_close(lock_feet(still, contacts, LEGS, FPS), still, rtol=0, atol=1e-6)


def test_no_foot_is_below_the_floor():
    joints, contacts = skater()
    sunk = joints - torch.tensor([0, 0.03, 0], dtype=torch.float64)
    for given in (contacts, torch.zeros_like(contacts)):
        locked = lock_feet(sunk, given, LEGS, FPS, floor=0.05)
        assert float(locked[:, FEET, 1].min()) > 0.05 - 1e-9
        torch.testing.assert_close(lengths(locked, TREE), lengths(joints, TREE))


def test_a_wrong_contact_does_not_tear_a_leg():
    joints, contacts = skater()
    locked = lock_feet(joints, torch.ones_like(contacts), LEGS, FPS)
    assert float((locked - joints).norm(dim=-1).max()) < 0.6
    torch.testing.assert_close(lengths(locked, TREE), lengths(joints, TREE))


def test_contacts_with_hysteresis_and_without_short_ones():
    contact = torch.tensor([0.4, 0.6, 0.4, 0.35, 0.6, 0.2, 0.9, 0.1, 0.4, 0.9, 0.9, 0.9, 0.9]).unsqueeze(-1)
    expected = [0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert stances(contact, 20.0).squeeze(-1).int().tolist() == expected
    assert stances(contact, 20.0, LockStyle(shortest=0.3)).any().item() is False
    for frames in (1, 2, 3):
        assert stances(torch.ones(frames, 2), FPS, LockStyle(shortest=0.0)).all().item() is (frames > 1)
    start = lock_feet(torch.ones(1, 9, 3), torch.ones(1, 2), LEGS, FPS)
    assert start.shape == (1, 9, 3)


def test_batches_are_their_single_motions_and_single_precision_will_do():
    joints, contacts = skater()
    both = torch.stack([joints, joints.flip(0)])
    given = torch.stack([contacts, contacts.flip(0)])
    locked = lock_feet(both, given, LEGS, FPS)
    torch.testing.assert_close(locked[1], lock_feet(both[1], given[1], LEGS, FPS))
    torch.testing.assert_close(locked[1].flip(0), locked[0], rtol=0, atol=1e-9)
    low = lock_feet(joints.float(), contacts.float(), LEGS, FPS)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low.double(), locked[0], rtol=0, atol=1e-3)


def test_joints_beyond_the_toe_go_with_it_and_a_toe_may_be_the_ankle():
    joints, contacts = skater()
    tips = joints[:, FEET] + torch.tensor([0, 0, 0.05], dtype=torch.float64)
    legs_ = [Leg(1, 2, 3, 4, (9,)), Leg(5, 6, 7, 8, (10,))]
    locked = lock_feet(torch.cat([joints, tips], 1), contacts, legs_, FPS)
    torch.testing.assert_close(locked[:, 9:] - locked[:, FEET], tips - joints[:, FEET])
    stumps = lock_feet(joints, contacts, [Leg(1, 2, 3, 3), Leg(5, 6, 7, 7)], FPS)
    speed = stumps[:, [3, 7]].diff(dim=0).norm(dim=-1)[(contacts[1:] > 0) & (contacts[:-1] > 0)]
    assert float(speed.max() * FPS) < 0.01


def test_locked_rotations_give_the_locked_feet():
    joints, contacts = skater()
    offsets = OFFSETS[:9]
    rotations = positions_to_rotations(joints, offsets, TREE)
    rotations[:, [4, 8]] = random_rotations(300, 2)
    rotations[10:20] *= -1
    posed = joint_positions(rotations, joints[:, 0], offsets, TREE)
    locked = lock_rotations(rotations, joints[:, 0], offsets, TREE, contacts, LEGS, FPS)
    solved = joint_positions(locked, joints[:, 0], offsets, TREE)
    torch.testing.assert_close(solved, lock_feet(posed, contacts, LEGS, FPS), rtol=0, atol=1e-9)
    assert float(standing_speed(solved, contacts).max()) < 0.01
    assert bool((locked[:, [0, 4, 8]] == rotations[:, [0, 4, 8]]).all())
    assert bool(((locked * rotations).sum(-1) > 0).all())
    assert float(apart(locked[1:], locked[:-1])[:, [1, 2, 3, 5, 6, 7]].max()) < 15
    foot = (posed - posed[:, [3]])[:, 4]
    torch.testing.assert_close((solved - solved[:, [3]])[:, 4], foot, rtol=0, atol=1e-6)


def test_locked_rotations_through_joints_between():
    """A twist joint in the thigh and one in the shin turn with their bones."""
    parents, legs_ = [-1, 0, 1, 2, 3, 4, 5], [Leg(1, 3, 5, 6)]
    offsets = torch.tensor([[0, 0, 0], [0.1, 0, 0], *[[0, -0.2, 0]] * 4, [0, -0.05, 0.14]]).double()
    q = torch.tensor(rotation.IDENTITY).double().repeat(40, 7, 1)
    q[:, 1], q[:, 3] = (
        about([1.0, 0, 0], torch.full((40,), -0.4).double()),
        about([1.0, 0, 0], torch.full((40,), 0.8).double()),
    )
    root = torch.stack([0 * torch.arange(40.0), torch.full((40,), 0.8), torch.arange(40.0) / 300], -1).double()
    locked = joint_positions(
        lock_rotations(q, root, offsets, parents, torch.ones(40, 1), legs_, FPS), root, offsets, parents
    )
    assert float(locked[:, 6].diff(dim=0).norm(dim=-1).max()) < 1e-9
