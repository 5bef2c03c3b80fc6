"""Controls and paths: there and back, against a plain loop, and drawn lines against geometry done by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from kinema.errors import ClipError
from kinema.maths.trajectory import (
    PathStyle,
    differentiate,
    distance_to_path,
    follow,
    heading,
    integrate,
    path_controls,
    smooth,
    smooth_heading,
    to_root,
    to_world,
)

FPS = 60.0
CORNERS = torch.tensor([[0, 0], [0, 7], [6, 7], [6, 14]], dtype=torch.float64)
"""A line of 20 m with a turn to the left and one to the right."""


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(a, b):
    """Angles between two headings."""
    return torch.remainder(a - b + math.pi, 2 * math.pi) - math.pi


def ground(path):
    return path[..., [0, 2]]


def test_heading_of_a_turned_body_is_its_turn():
    body = torch.tensor([[0.1, 0.9, 0.03], [-0.1, 0.9, -0.03], [0.2, 1.4, -0.06], [-0.2, 1.4, 0.06]]).double()
    body[:2, 2], body[2:, 2] = 0.0, 0.0
    angles = torch.linspace(-3.1, 3.1, 41, dtype=torch.float64)
    turned = to_world(body.expand(41, 4, 3), noise(41, 3), angles)
    torch.testing.assert_close(heading(*turned.unbind(-2)), angles)
    assert float(heading(*(torch.tensor([[[x, 1.0, 0.0]]]) for x in (1.0, -1.0, 1.0, -1.0)))) == 0


def test_a_body_facing_left_has_a_quarter_turn_and_walks_towards_positive_x():
    control = torch.tensor([[0, 1.0, 0]] * 61, dtype=torch.float64)
    path, facing = integrate(control, FPS, heading0=torch.tensor(math.pi / 2, dtype=torch.float64))
    torch.testing.assert_close(path[-1], torch.tensor([1.0, 0, 0], dtype=torch.float64))
    assert float(facing[0]) == pytest.approx(math.pi / 2)


def test_sideways_is_to_the_left_and_turn_is_to_the_left():
    path, facing = integrate(torch.tensor([[0.5, 0, 0.1]] * 3, dtype=torch.float64), fps=1.0)
    assert float(path[1, 0]) > 0
    assert facing.tolist() == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize("width", [2, 3])
def test_there_and_back_over_2000_frames(width):
    path, facing = 0.02 * noise(4, 2000, width).cumsum(1), 0.5 * noise(4, 2000, seed=1).cumsum(1)
    back, turned = integrate(
        differentiate(path, facing, FPS), FPS, torch.nn.functional.pad(path[:, 0], (0, 3 - width)), facing[:, 0]
    )
    if width == 2:
        back[..., 2] += path[:, :1, 1]
        torch.testing.assert_close(ground(back), path, rtol=0, atol=1e-12)
    else:
        torch.testing.assert_close(ground(back), ground(path), rtol=0, atol=1e-12)
        assert bool((back[..., 1] == path[:, :1, 1]).all())
    assert float(apart(turned, facing).abs().max()) < 1e-12


def test_control_there_and_back_with_large_turns():
    control = noise(3, 500, 3) * 60
    control[:, -1] = control[:, -2]
    wrapped = control.clone()
    wrapped[..., 2] = apart(control[..., 2] / 60, torch.tensor(0.0)) * 60
    torch.testing.assert_close(differentiate(*integrate(control, FPS), FPS), wrapped, rtol=1e-9, atol=1e-9)


def test_half_a_turn_in_one_frame_is_positive():
    for sign in (1, -1):
        turn = differentiate(torch.zeros(2, 3), torch.tensor([0, sign * math.pi]), 1.0)[0, 2]
        assert float(turn) == pytest.approx(math.pi)


def test_integrate_is_the_loop_of_the_definition():
    control, fps = noise(200, 3).numpy(), 30.0
    place, theta, places, thetas = np.zeros(3), 0.3, [], []
    for sideways, forward, turn in control:
        places.append(place)
        thetas.append(theta)
        theta = theta + turn / fps
        axes = np.array([[np.cos(theta), 0, np.sin(theta)], [0, 1, 0], [-np.sin(theta), 0, np.cos(theta)]])
        place = place + axes @ np.array([sideways, 0, forward]) / fps
    path, facing = integrate(torch.from_numpy(control), fps, heading0=torch.tensor(0.3, dtype=torch.float64))
    np.testing.assert_allclose(path, places, atol=1e-12)
    np.testing.assert_allclose(facing, thetas, atol=1e-12)


def test_parts_go_on_where_the_part_before_ended():
    control = noise(2, 300, 3)
    whole, facing = integrate(control, FPS)
    first, turned = integrate(control[:, :101], FPS)
    rest, later = integrate(control[:, 100:], FPS, first[:, -1], turned[:, -1])
    torch.testing.assert_close(torch.cat([first, rest[:, 1:]], 1), whole)
    torch.testing.assert_close(torch.cat([turned, later[:, 1:]], 1), facing)


def test_gradients_of_controls_and_paths():
    control = (0.3 * noise(2, 6, 3)).requires_grad_()
    start, turn = noise(2, 3, seed=1).requires_grad_(), noise(2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, s, h: integrate(c, 5.0, s, h), (control, start, turn))
    path, facing = noise(2, 6, 3, seed=3).requires_grad_(), (0.4 * noise(2, 6, seed=4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, h: differentiate(p, h, 5.0), (path, facing))


def test_one_frame_stands_still():
    assert differentiate(torch.ones(3, 1, 3), torch.ones(3, 1), FPS).tolist() == [[[0, 0, 0]]] * 3
    assert integrate(torch.ones(1, 3), FPS)[0].tolist() == [[0, 0, 0]]


def test_single_precision_keeps_its_type_and_agrees():
    control = noise(2, 240, 3)
    path, facing = integrate(control.float(), FPS)
    assert path.dtype == facing.dtype == torch.float32
    torch.testing.assert_close(path.double(), integrate(control, FPS)[0], rtol=0, atol=2e-5)


def test_world_and_root_are_inverse_and_keep_lengths():
    joints, path, facing = noise(2, 9, 5, 3), noise(2, 9, 3, seed=1), 3 * noise(2, 9, seed=2)
    placed = to_world(joints, path, facing)
    torch.testing.assert_close(to_root(placed, path, facing), joints)
    torch.testing.assert_close(placed.diff(dim=-2).norm(dim=-1), joints.diff(dim=-2).norm(dim=-1))


def test_smooth_is_scipys_gaussian_with_edges_repeated():
    values = noise(2, 50, 3)
    for sigma in (0.7, 3.0, 20.0):  # the last one's window is wider than the signal
        expected = gaussian_filter1d(values.numpy(), sigma, axis=1, mode="nearest", radius=math.ceil(4 * sigma))
        np.testing.assert_allclose(smooth(values, sigma), expected, atol=1e-12)
    assert smooth(values, 0.0) is values


def test_smooth_heading_knows_that_angles_go_round():
    spin = torch.linspace(0, 40, 600, dtype=torch.float64)
    assert float(apart(smooth_heading(spin, 1 / 3, FPS), spin)[100:-100].abs().max()) < 1e-9
    wiggle = spin + 0.3 * torch.sin(torch.arange(600) * 2 * math.pi / 10)
    assert float(apart(smooth_heading(wiggle, 1 / 3, FPS), spin)[100:-100].abs().max()) < 1e-3


def test_distance_to_a_line_is_the_least_over_many_places_of_it():
    points, line = 2 * noise(40, 2), noise(9, 2, seed=1)
    line[4] = line[3]
    share = torch.linspace(0, 1, 4001, dtype=torch.float64).view(-1, 1, 1)
    places = torch.lerp(line[:-1], line[1:], share).reshape(-1, 2)
    dense = torch.cdist(points, places).amin(1)
    exact = distance_to_path(points, line)
    assert bool((exact <= dense + 1e-12).all())
    torch.testing.assert_close(exact, dense, rtol=0, atol=1e-3)


def test_distance_is_the_same_in_chunks():
    points, line = noise(1000, 2), noise(3000, 2, seed=1)
    assert (2**19 // 2999) < 1000
    expected = torch.cat([distance_to_path(p, line) for p in points.split(100)])
    torch.testing.assert_close(distance_to_path(points, line), expected)
    torch.testing.assert_close(distance_to_path(points, line[:1]), (points - line[0]).norm(dim=-1))


def test_drawn_corners_are_rounded_and_ends_kept():
    path, facing = follow(CORNERS, None, FPS)
    away = distance_to_path(ground(path), CORNERS)
    assert float(away.mean()) < 0.002
    assert float(distance_to_path(CORNERS, ground(path)).max()) < 0.08
    torch.testing.assert_close(ground(path)[[0, -1]], CORNERS[[0, -1]])
    assert float(path.diff(dim=0).norm(dim=-1).sum()) == pytest.approx(20, rel=0.01)
    assert float(away[ground(path)[:, 1] < 6.6].max()) < 1e-9, "a straight line stays as drawn"
    assert [float(facing[t]) for t in (0, len(facing) // 2, -1)] == pytest.approx([0, math.pi / 2, 0], abs=1e-9)


def test_drawn_line_is_walked_at_the_speed_asked_for():
    path, _ = follow(CORNERS, None, FPS, PathStyle(speed=2.0))
    steps = path.diff(dim=0).norm(dim=-1) * 60
    torch.testing.assert_close(steps, torch.full_like(steps, 2.0), rtol=0.01, atol=0)
    assert float(path[1:-1].diff(n=2, dim=0).norm(dim=-1).max() * 3600) < 60, "no kinks: v^2 / r at the corners"


def test_path_controls_integrate_to_the_path():
    path, facing = follow(CORNERS, None, 30.0)
    control = path_controls(CORNERS, None, 30.0)
    back, turned = integrate(control, 30.0, path[0], facing[0])
    torch.testing.assert_close(back, path, rtol=0, atol=1e-12)
    torch.testing.assert_close(turned, facing, rtol=0, atol=1e-12)
    assert bool((control[:, 1] > 0).all())


def test_a_circle_drawn_by_hand_gives_a_steady_turn():
    angle = torch.linspace(0, 2 * math.pi, 90, dtype=torch.float64)
    circle = 3 * torch.stack([1 - angle.cos(), angle.sin()], -1)  # starts towards +Z and bends to +X, the left
    control = path_controls(circle + 0.005 * noise(90, 2), None, FPS, PathStyle(speed=1.5))
    middle = control[60:-60]
    assert float(middle[:, 2].mean()) == pytest.approx(0.5, rel=0.01)
    assert float((middle[:, 2] - 0.5).abs().max()) < 0.1
    assert float(middle[:, 0].abs().max()) < 0.08


def test_speeds_at_points_hold_there():
    points = torch.tensor([[0, 0], [0, 5], [0, 10.0]], dtype=torch.float64)
    path, _ = follow(points, torch.tensor([1, 2, 1.0], dtype=torch.float64), FPS)
    speed = path.diff(dim=0).norm(dim=-1) * 60
    middle = int((path[:, 2] - 5).abs().argmin())
    assert [float(speed[t]) for t in (0, middle, -1)] == pytest.approx([1, 2, 1], abs=0.03)
    assert len(path) == pytest.approx(60 * 2 * 5 * math.log(2), abs=2)  # dt = ds / (1 + s / 5)


def test_from_rest_to_rest_is_a_trapezoid():
    points = torch.tensor([[0, 0], [0, 6.0]], dtype=torch.float64)
    style = PathStyle(speed=1.0, acceleration=0.5, from_rest=True, to_rest=True)
    path, _ = follow(points, None, FPS, style)
    assert len(path) == pytest.approx(60 * (6 + 2), abs=2)  # s / v + v / a
    speed = path[:, 2].diff() * 60
    assert float(speed[0]) < 0.02
    assert float(speed[-1]) < 0.02
    assert float(speed.diff().abs().max() * 60) < 0.6
    torch.testing.assert_close(path[60, 2], torch.tensor(0.25, dtype=torch.float64), rtol=0, atol=2e-3)  # a t^2 / 2


def test_a_turn_limit_slows_the_corners_only():
    free = follow(CORNERS, None, FPS, PathStyle(heading_sigma=0.0))
    slow = follow(CORNERS, None, FPS, PathStyle(heading_sigma=0.0, turn=2.0))
    assert float(free[1].diff().abs().max() * 60) > 8
    assert float(slow[1].diff().abs().max() * 60) < 2.2
    assert float(slow[0][1:].diff(dim=0).norm(dim=-1)[0] * 60) == pytest.approx(1.2, rel=0.01)


def test_a_line_that_turns_right_back_is_walked():
    path, facing = follow(torch.tensor([[0, 0], [0, 2.0], [0, 0]]).double(), None, FPS, PathStyle(turn=3.0))
    assert bool(path.isfinite().all())
    assert bool(facing.isfinite().all())
    assert float(apart(facing[-1], facing[0]).abs()) == pytest.approx(math.pi, abs=1e-6)


def test_points_drawn_twice_do_not_matter():
    twice = CORNERS.repeat_interleave(2, 0)
    torch.testing.assert_close(follow(twice, None, FPS), follow(CORNERS, None, FPS))


def test_single_precision_lines():
    path, facing = follow(CORNERS.float(), None, FPS)
    assert path.dtype == facing.dtype == torch.float32
    torch.testing.assert_close(path.double(), follow(CORNERS, None, FPS)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("points", "speeds", "said"),
    [
        ([[1.0, 1.0]], None, "two places"),
        ([[1.0, 1.0], [1.0, 1.0]], None, "two places"),
        ([[0.0, 0.0], [math.nan, 1.0]], None, "finite"),
        ([[0.0, 0.0], [1e9, 1.0]], None, "10 km"),
        ([[0.0, 0.0], [0.0, 1.0]], [1.0, -1.0], "negative"),
        ([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0]], [1.0, 0.0, 0.0, 1.0], "never ends"),
        ([[0.0, 0.0], [0.0, 10.0]], [1e-4, 1e-4], "frames"),
    ],
)
def test_lines_that_nobody_can_walk(points, speeds, said):
    with pytest.raises(ClipError, match=said):
        follow(torch.tensor(points), None if speeds is None else torch.tensor(speeds), FPS)


def test_a_step_is_taken_in_the_axes_of_the_frame_that_it_leads_to():
    control = torch.tensor([[0, 1.0, 2.0]] * 60, dtype=torch.float64)
    path, facing = integrate(control, FPS)
    step = path.diff(dim=0)
    torch.testing.assert_close(torch.atan2(step[:, 0], step[:, 2]), facing[1:])
