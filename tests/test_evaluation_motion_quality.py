"""Feet, path, bones and trembling, on motions whose values are known, and on real data whose values were published."""

import math

import pytest
import torch
from torch.testing import assert_close

import motion_doubles as doubles
from kinema.evaluation import motion_errors as errors
from kinema.evaluation import motion_quality as quality
from real_data import real_data

ALL = torch.ones(1, 120, dtype=torch.bool)


def toes(left, right):
    """Two toes from (T, 3) each."""
    return torch.stack([left, right], 1)[None].double()


def gliding(speed, height=0.0, frames=120, fps=60.0):
    """A toe that goes along +Z at a constant height."""
    place = torch.zeros(frames, 3, dtype=torch.float64)
    place[:, 1], place[:, 2] = height, speed * torch.arange(frames, dtype=torch.float64) / fps
    return place


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_a_toe_that_slides_has_its_speed_at_any_rate(fps):
    steps = quality.feet(toes(gliding(0.5, fps=fps), gliding(0.1, fps=fps)), ALL, fps)
    assert quality.skate(steps).item() == pytest.approx(30.0)
    assert quality.zhang_skate(steps).item() == pytest.approx(30.0)  # at the floor the weight is 1
    assert quality.stance_share(steps).item() == 1.0
    assert_close(steps.standing[0, :-5].double().mean(0), torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_the_weight_of_zhang_falls_to_nothing_at_its_height():
    frames = torch.arange(120)
    for above, weight in ((0.0125, 2 - math.sqrt(2)), (0.025, 0.0), (0.2, 0.0)):
        low = frames < 12  # a tenth of the frames at the floor, so that it is the 5th percentile
        place = gliding(0.6)
        place[:, 1] = 0.3 + above * (~low).double()
        steps = quality.feet(toes(place, place), ALL, 60.0)
        share = steps.scored.sum().item()
        assert quality.zhang_skate(steps).item() == pytest.approx(60 * (12 + (share - 12) * weight) / share)


def test_only_toes_near_their_floor_skate():
    for above, counted in ((0.014, True), (0.016, False)):
        place = gliding(0.0)
        place[60:, 1] = above
        place[60:, 2] = gliding(1.2)[:60, 2]
        found = quality.skate(quality.feet(toes(place, place), ALL, 60.0)).item()
        assert (found > 50) == counted


def test_the_speed_is_that_of_a_thirtieth_of_a_second():
    place = gliding(0.6)
    place[1::2, 2] += 0.01  # at 60 Hz every other frame stands a little ahead, as where 30 Hz were interpolated badly
    assert quality.skate(quality.feet(toes(place, place), ALL, 60.0)).item() == pytest.approx(60.0)


def test_every_toe_has_its_own_floor():
    steps = quality.feet(toes(gliding(0.2, 0.05), gliding(0.4, 0.30)), ALL, 60.0)
    assert_close(steps.height, torch.zeros_like(steps.height))
    assert quality.skate(steps).item() == pytest.approx(30.0)


def test_a_body_in_the_air_has_no_skate():
    arc = gliding(3.0)
    arc[:, 1] = 0.2 * torch.sin(torch.arange(120) * math.pi / 119)
    arc[0, 1] = -1.0  # a single frame below does not move the floor
    steps = quality.feet(toes(arc, arc), torch.arange(120)[None] > 30, 60.0)
    assert quality.stance_share(steps).item() < 0.2
    assert quality.skate(steps).item() == pytest.approx(300.0, rel=0.05)
    assert quality.skate(quality.feet(toes(arc, arc), torch.zeros_like(ALL), 60.0)).isnan().all()


def test_what_is_not_scored_changes_nothing():
    scored = (torch.arange(120) >= 20) & (torch.arange(120) < 90)
    place = gliding(0.3)
    wild = torch.where(scored[:, None], place, 100 * torch.rand(120, 3, generator=torch.Generator().manual_seed(0)))
    joints, spoiled = toes(place, place), toes(wild, wild)
    for motion in (joints, spoiled):
        steps = quality.feet(motion, scored[None], 60.0)
        assert quality.skate(steps).item() == pytest.approx(30.0)
        assert quality.mean_acceleration(motion, scored[None], 60.0).item() == pytest.approx(0, abs=1e-9)
        assert quality.mean_jerk(motion, scored[None], 60.0).item() == pytest.approx(0, abs=1e-7)
        assert quality.bone_deviation(motion, joints, (-1, 0), scored[None]).item() == pytest.approx(0, abs=1e-9)
        mean, greatest = quality.path_error(motion[:, :, 0], joints[:, :, 1], scored[None])
        assert (mean.item(), greatest.item()) == (0, 0)


def test_f1_counts_frames_of_both_feet():
    def steps(left, right):
        stands = torch.stack([torch.arange(100) < left, torch.arange(100) < right], -1)[None]
        away = torch.where(stands, 0.0, 1.0).double()
        return quality.Feet(away, away, torch.ones(1, 100, dtype=torch.bool))

    assert quality.contact_f1(steps(50, 50), steps(50, 50)).item() == 1
    assert quality.contact_f1(steps(0, 50), steps(50, 50)).item() == pytest.approx(2 * 50 / 150)
    assert quality.contact_f1(steps(0, 0), steps(50, 50)).item() == 0
    assert quality.contact_f1(steps(0, 0), steps(0, 0)).isnan().all()


def test_the_path_error_is_a_distance_on_the_ground():
    asked = torch.zeros(1, 120, 3, dtype=torch.float64)
    root = asked + torch.tensor([0.03, 5.0, 0.04], dtype=torch.float64)
    root[0, 60] = torch.tensor([0.6, 0.0, 0.8])
    mean, greatest = quality.path_error(root, asked, ALL)
    assert greatest.item() == pytest.approx(100)
    assert mean.item() == pytest.approx((119 * 5 + 100) / 120)


def test_a_larger_body_has_longer_bones():
    motion = doubles.walkers(torch.tensor([1.0]).double(), torch.tensor([0.4]).double(), 120)
    still = motion.joints[:, :1].expand(-1, 120, -1, -1)
    body = errors.world(still, motion.control, 60.0)
    lengths = quality.bone_lengths(body, doubles.PARENTS)
    assert quality.bone_deviation(body, body, doubles.PARENTS, ALL).item() == pytest.approx(0, abs=1e-9)
    grown = quality.bone_deviation(1.1 * body, body, doubles.PARENTS, ALL)
    assert grown.item() == pytest.approx(1000 * 0.1 * lengths.mean().item())


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_derivatives_of_a_cubic_are_exact(fps):
    times = torch.arange(120, dtype=torch.float64) / fps
    joints = torch.zeros(1, 120, 2, 3, dtype=torch.float64)
    joints[0, :, :, 0] = (2 * times**3)[:, None]
    joints[0, :, :, 2] = (5 * times**2)[:, None]
    assert quality.mean_jerk(joints, ALL, fps).item() == pytest.approx(12.0)
    acceleration = torch.hypot(12 * times[1:-1], torch.tensor(10.0)).mean().item()
    assert quality.mean_acceleration(joints, ALL, fps).item() == pytest.approx(acceleration, rel=1e-4)


def test_trembling_shows_in_the_acceleration():
    motion = doubles.walkers(torch.tensor([1.0]).double(), torch.tensor([0.0]).double(), 120).joints
    trembling = motion + 0.005 * (-1.0) ** torch.arange(120)[None, :, None, None]
    ratio = quality.mean_acceleration(trembling, ALL, 60.0) / quality.mean_acceleration(motion, ALL, 60.0)
    assert ratio.item() > 10


def test_planted_toes_stand_and_lifted_ones_do_not():
    clips = doubles.clips(4, turning=0.7)
    placed = errors.world(clips.motion.joints.double(), clips.motion.control.double(), 60.0)
    steps = quality.feet(placed[:, :, list(doubles.TOES)], clips.valid, 60.0)
    assert_close(quality.stance_share(steps), torch.ones(4, dtype=torch.float64))
    stance = steps.standing.double().mean((0, 1))
    assert_close(stance, torch.full((2,), doubles.STANCE, dtype=torch.float64), atol=0.06, rtol=0)


@pytest.mark.slow
def test_real_feet_skate_as_was_measured():
    """At the recordings' own 30 Hz and over whole clips: walk 14.5, run 16.5 cm/s; a foot down in 98 % and 47 %."""
    from kinema.data.roles import find_roles
    from kinema.files.bvh_motion import read_motion

    folder = real_data("bandai")
    for action, expected in {"walk": [14.5, 0.98], "run": [16.5, 0.47]}.items():
        clips = [read_motion(path) for path in sorted(folder.glob(f"dataset-2_{action}_*.bvh"))]
        roles = find_roles(clips[0].skeleton, None, clips[0].joints()[0])
        found = []
        for clip in clips:
            placed = clip.joints()[None][:, :, [roles.left_toe, roles.right_toe]]
            steps = quality.feet(placed, torch.ones(placed.shape[:2], dtype=torch.bool), clip.fps)
            found.append(torch.cat([quality.skate(steps), quality.stance_share(steps)]))
        measured = torch.stack(found).mean(0).tolist()
        assert measured == pytest.approx(expected, rel=0.03)  # measured on 962 clips, of which 870 are here
