"""Registration: middles, crops, known movements and their errors, against affine maps worked out by other means."""

import math

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from kinema.maths import affine
from kinema.nn.registration import (
    about,
    centre,
    centred,
    congealed,
    crop,
    displacement,
    landing_error,
    local,
    practice,
    pyramid_error,
    whole_middle,
)


def spot(x, y, side=32, width=0.15):
    """A round spot about (x, y), in canvas units, (N, 1, side, side)."""
    place = (2 * torch.arange(side) + 1) / side - 1
    distance = (place - x.view(-1, 1, 1, 1)) ** 2 + (place.view(-1, 1) - y.view(-1, 1, 1, 1)) ** 2
    return torch.exp(-distance / (2 * width**2))


def test_the_centre_is_where_the_spot_is():
    x, y = torch.tensor([0.0, 0.4, -0.3]), torch.tensor([0.1, -0.2, 0.3])
    torch.testing.assert_close(centre(spot(x, y)), torch.stack([x, y], 1), atol=2e-3, rtol=0)
    torch.testing.assert_close(centre(torch.zeros(1, 1, 8, 8)), torch.zeros(1, 2))


def test_bringing_a_whole_middle_to_that_of_the_canvas_blurs_nothing():
    outline = torch.zeros(1, 1, 20, 16)
    outline[..., 2:6, 9:14] = 1
    middle = whole_middle(outline.requires_grad_())
    torch.testing.assert_close(middle, torch.tensor([[4 * 2 / 16, -6 * 2 / 20]]))
    assert not middle.requires_grad
    picture = torch.rand(1, 1, 20, 16)
    torch.testing.assert_close(centred(picture, middle)[..., 6:, :12], picture[..., :14, 4:], atol=1e-5, rtol=0)


def somebody(count=1, height=20, width=16):
    """Pictures of two channels, something in their middle that is unlike itself anywhere else."""
    z = torch.zeros(count, 2, height, width)
    z[..., 8:13, 6:10] = torch.randn(count, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    return z


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-6, 7), (5, 2)])
def test_a_displacement_is_what_a_search_finds(shift):
    """The least sum of squares of all shifts, one by one, with noise on the second; to the edges, not around them; of
    all channels, whichever shows anything."""
    first = somebody(4)
    first[2, 0] = first[3, 1] = 0
    second = first.roll((shift[1], shift[0]), (2, 3))
    second = second + 0.3 * torch.randn(second.shape, generator=torch.Generator().manual_seed(2))
    errors = {
        (x, y): (first.roll((y, x), (2, 3)) - second).square().sum((1, 2, 3))
        for x in range(-6, 7)
        for y in range(-8, 8)
    }
    best = torch.stack(list(errors.values())).argmin(0)
    expected = torch.tensor([list(errors)[k] for k in best], dtype=torch.float32)
    found = affine.shift_to_pixels(displacement(first, second), 20, 16)
    torch.testing.assert_close(found, expected)
    assert (found == torch.tensor(shift)).all()
    assert torch.equal(displacement(first[:1], second), displacement(first[:1].expand(4, -1, -1, -1), second))
    assert not displacement(torch.zeros_like(first), second).any(), "nobody is moved nowhere"


def test_a_body_is_registered_whatever_an_arm_does():
    """Its middle follows the arm; where the first picture meets the second best, most of it meets."""
    body = 0.5 + torch.rand(1, 2, 20, 16, generator=torch.Generator().manual_seed(3))
    body[..., :6, :] = body[..., 15:, :] = body[..., :4] = body[..., 11:] = 0
    still, raised = body.clone(), body.clone()
    still[..., 10:12, 11:15] = 0.6
    raised[..., 1:6, 9:11] = 0.6
    assert (centre(still[:, 1:]) - centre(raised[:, 1:])).abs().max() > 1 / 16
    assert not displacement(still, raised).any()


def test_congealing_brings_pictures_to_meet():
    """One picture, moved by random whole pixels: brought together, all are alike, and so is their mean.

    Their first mean is a blur that not all of them meet alike, so one round is not enough.
    """
    one = torch.zeros(1, 1, 20, 16)
    one[..., 7:13, 5:11] = 1
    one[..., 9, 7] = 2
    shifts = torch.randint(-3, 4, (30, 2), generator=torch.Generator().manual_seed(7)).tolist()
    maps = torch.cat([one.roll(shift, (2, 3)) for shift in shifts])
    blurred = maps.mean(0, keepdim=True)
    once = centred(maps, displacement(blurred, maps))
    assert (once - once[:1]).abs().max() > 0.5
    placed, mean = congealed(maps)
    torch.testing.assert_close(placed, placed[:1].expand_as(placed), atol=1e-5, rtol=0)
    torch.testing.assert_close(mean, placed[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(placed[0].abs().sum(), one.abs().sum())


def test_a_crop_is_what_grid_sample_shows_of_that_square():
    pictures = torch.rand(2, 3, 32, 32)
    middle = torch.tensor([[0.1, -0.2], [0.0, 0.3]])
    theta = torch.tensor([[[0.5, 0, 0.1], [0, 0.5, -0.2]], [[0.5, 0, 0.0], [0, 0.5, 0.3]]])
    expected = grid_sample(pictures, affine_grid(theta, [2, 3, 16, 16], align_corners=False), align_corners=False)
    torch.testing.assert_close(crop(pictures, middle, 0.5, 16), expected)


def test_a_coarse_crop_averages_instead_of_skipping():
    lines = torch.zeros(1, 1, 64, 64)
    lines[..., ::2] = 1
    torch.testing.assert_close(crop(lines, torch.zeros(1, 2), 1.0, 16), torch.full((1, 1, 16, 16), 0.5))


def test_what_is_known_between_crops_holds_for_the_canvas():
    """A spot that is turned and moved: cropping both and asking for the turn alone gives the whole movement."""
    first, second = torch.tensor([[0.3, -0.1]]), torch.tensor([[-0.2, 0.25]])
    local = affine.from_parts(torch.tensor([0.4]), torch.zeros(1, 2))
    theta = about(local[:, None], first, second)[:, 0]
    torch.testing.assert_close((theta[:, :, :2] @ second[:, :, None])[..., 0] + theta[:, :, 2], first)
    moved = affine.warp(spot(first[:, 0], first[:, 1]), theta)
    torch.testing.assert_close(centre(moved), second, atol=5e-3, rtol=0)


def test_what_holds_for_the_canvas_is_known_between_crops():
    theta = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    first, second = torch.rand(3, 2) - 0.5, torch.rand(3, 2) - 0.5
    torch.testing.assert_close(about(local(theta, first, second), first, second), theta)
    still = about(affine.identity(3, 1), first, second)
    torch.testing.assert_close(local(still, first, second), affine.identity(3, 1))


def test_the_pyramid_prefers_nearer_spots_before_they_touch():
    """Fine errors of thin spots far apart are all alike; averages tell the nearer from the farther."""
    here = spot(torch.tensor([0.0]), torch.tensor([0.0]), width=0.04)
    far, near = (spot(torch.tensor([x]), torch.tensor([0.0]), width=0.04) for x in (0.6, 0.4))
    fine = [((at - here) ** 2).mean().item() for at in (far, near)]
    assert abs(fine[0] - fine[1]) < 1e-3 * fine[0], "the case is one that fine errors do not tell"
    assert pyramid_error(near, here) < 0.95 * pyramid_error(far, here)
    assert pyramid_error(here, here) == 0


def test_practice_moves_the_character_to_where_it_says():
    torch.manual_seed(0)
    x, y = torch.rand(2, 400) - 0.5
    outline = spot(x, y, width=0.1)
    theta, at, seen = practice(outline, 60.0)
    assert seen.all()
    there = centre(affine.warp(outline, theta))
    inside = at.abs().amax(1) < 0.5
    torch.testing.assert_close(there[inside], at[inside], atol=0.02, rtol=0)
    angles = affine.parts(theta)[0].rad2deg()
    assert 45 < angles.abs().max() < 66, "up to sixty degrees, and what the stretch adds"
    assert angles.abs().median() < 20, "small turns come more often"
    assert (at - torch.stack([x, y], 1)).norm(dim=1).max() > 0.6, "some lead far away"


def test_practice_knows_when_nobody_is_there():
    outline = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    assert practice(outline, 30.0)[2].tolist() == [False, True]


def test_the_landing_error_is_that_of_points():
    """The mean squared error of points about a place is that of the place and their spread times that of the turn."""
    generator = torch.Generator().manual_seed(0)
    truth, theta = torch.randn(2, 1, 2, 3, generator=generator)
    at = torch.tensor([[0.2, -0.3]])
    spread = math.sqrt(0.1)
    points = at + spread * torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]) * math.sqrt(2)
    off = [(m[0, :, :2] @ points.T + m[0, :, 2:]) for m in (theta, truth)]
    torch.testing.assert_close(
        landing_error(theta[:, None], truth, at)[0], (off[0] - off[1]).square().sum(0).mean(), atol=1e-5, rtol=1e-5
    )
