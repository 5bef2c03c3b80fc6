"""Affine transformations: against scipy's warp, numpy's products and SVD, and against what one sees."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from kinema.maths.affine import (
    compose,
    from_parts,
    grid,
    identity,
    invert,
    parts,
    rigid,
    shift_to_canvas,
    shift_to_pixels,
    similarity,
    to_canvas,
    to_pixels,
    warp,
    warp_to,
)

SIZE = (21, 34)


@pytest.fixture
def theta() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return identity(40, dtype=torch.float64) + 0.4 * torch.randn(40, 2, 3, generator=generator, dtype=torch.float64)


def homogeneous(theta: torch.Tensor) -> np.ndarray:
    last = np.broadcast_to([0.0, 0.0, 1.0], (*theta.shape[:-2], 1, 3))
    return np.concatenate([theta.numpy(), last], axis=-2)


def smooth(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-2, 2, height), torch.linspace(-2, 2, width), indexing="ij")
    return torch.exp(-2 * ((x - 0.3) ** 2 + 2 * (y + 0.2) ** 2))[None, None].double()


def test_warp_is_scipys_affine_transform(theta):
    image = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shown = warp(image.expand(40, 1, *SIZE), theta)[:, 0].numpy()
    pixels = homogeneous(to_pixels(theta, *SIZE))[:, [1, 0, 2]][:, :, [1, 0, 2]]  # scipy counts rows first
    for one, matrix in zip(shown, pixels, strict=True):
        expected = ndimage.affine_transform(image[0, 0].numpy(), matrix, order=1, mode="grid-constant")
        np.testing.assert_allclose(one, expected, atol=1e-12)


@pytest.mark.parametrize(("source", "target"), [((28, 28), (64, 64)), ((9, 15), (7, 4))])
def test_warp_to_maps_the_output_canvas_to_the_input_canvas(theta, source, target):
    image = torch.rand(40, 3, *source, dtype=torch.float64)
    where = F.affine_grid(theta, [40, 3, *target], align_corners=False)
    torch.testing.assert_close(grid(theta, *target), where, rtol=0, atol=1e-12)
    expected = F.grid_sample(image, where, align_corners=False)
    torch.testing.assert_close(warp_to(image, theta, *target), expected, rtol=0, atol=1e-12)


def test_a_picture_moved_right_by_5_pixels_has_the_translation_minus_10_over_w():
    image = torch.rand(1, 1, *SIZE, dtype=torch.float64)
    theta = identity(1, dtype=torch.float64).clone()
    theta[..., 0, 2] = -10 / SIZE[1]
    shown = warp(image, theta)
    torch.testing.assert_close(shown[..., 5:], image[..., :-5])
    assert torch.all(shown[..., :5].abs() < 1e-12)
    shift = shift_to_canvas(torch.tensor([[-5.0, 0.0]], dtype=torch.float64), *SIZE)
    torch.testing.assert_close(theta[..., 2], shift)


def test_a_positive_angle_shows_the_picture_turned_anticlockwise():
    image = torch.arange(25.0, dtype=torch.float64).view(1, 1, 5, 5)
    theta = from_parts(torch.tensor([math.pi / 2], dtype=torch.float64), torch.zeros(1, 2).double())
    torch.testing.assert_close(warp(image, theta), torch.rot90(image, 1, (-2, -1)), rtol=0, atol=1e-9)


def test_compose_is_one_movement_after_the_other(theta):
    a, b = theta[:20], theta[20:]
    both = homogeneous(a) @ homogeneous(b)
    np.testing.assert_allclose(homogeneous(compose(a, b)), both, atol=1e-12)
    turn = from_parts(torch.tensor([0.5]).double(), torch.zeros(1, 2).double())
    move = from_parts(torch.zeros(1).double(), torch.tensor([[0.3, -0.2]]).double())
    image = smooth(96, 96)
    seen = warp(warp(image, turn), move)
    torch.testing.assert_close(warp(image, compose(turn, move)), seen, rtol=0, atol=0.01)
    assert (warp(image, compose(move, turn)) - seen).abs().max() > 0.1


def test_the_inverse_undoes_the_movement(theta):
    np.testing.assert_allclose(homogeneous(invert(theta)), np.linalg.inv(homogeneous(theta)), rtol=1e-9)
    one = identity(40, dtype=torch.float64)
    torch.testing.assert_close(compose(theta, invert(theta)), one, rtol=0, atol=1e-10)
    torch.testing.assert_close(compose(invert(theta), theta), one, rtol=0, atol=1e-10)


def test_parts_are_those_of_the_singular_value_decomposition(theta):
    mirrored = theta.clone()
    mirrored[:, :, 0] *= -1
    every = torch.cat([theta, mirrored])
    angle, shift, singular = parts(every)
    u, s, vt = np.linalg.svd(every[..., :2].numpy())
    u[..., 1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    nearest = u @ vt
    np.testing.assert_allclose(singular.numpy(), s, atol=1e-12)
    made = from_parts(angle, shift)
    np.testing.assert_allclose(made[..., :2].numpy(), nearest, atol=1e-9)
    assert torch.equal(made[..., 2], every[..., 2])


def test_from_parts_and_parts_are_inverse():
    angle = torch.linspace(-3.1, 3.1, 31).double()
    shift = torch.randn(31, 2, dtype=torch.float64)
    scale = torch.linspace(0.2, 3, 31).double()
    back, moved, singular = parts(from_parts(angle, shift, scale))
    torch.testing.assert_close(back, angle)
    torch.testing.assert_close(moved, shift)
    torch.testing.assert_close(singular, scale[:, None].expand(31, 2))


def test_pixels_and_canvas_units(theta):
    height, width = SIZE
    points = torch.rand(40, 2, 1, dtype=torch.float64) * 20
    ones = torch.ones(40, 1, 1, dtype=torch.float64)
    half = torch.tensor([[width / 2], [height / 2]], dtype=torch.float64)
    canvas = (points + 0.5) / half - 1  # the middle of pixel 0 is half a pixel from the edge at -1
    expected = ((theta @ torch.cat([canvas, ones], 1)) + 1) * half - 0.5
    torch.testing.assert_close(to_pixels(theta, *SIZE) @ torch.cat([points, ones], 1), expected)
    torch.testing.assert_close(to_canvas(to_pixels(theta, *SIZE), *SIZE), theta)
    shift = theta[..., 2]
    torch.testing.assert_close(shift_to_canvas(shift_to_pixels(shift, *SIZE), *SIZE), shift)
    assert shift_to_pixels(torch.tensor([1.0, 1.0]), *SIZE).tolist() == [17.0, 10.5]


def test_gradients(theta):
    theta = theta[:3].clone().requires_grad_()
    image = torch.rand(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(warp, (image, theta))
    assert torch.autograd.gradcheck(lambda t: compose(invert(t), t * t), (theta,))
    assert torch.autograd.gradcheck(parts, (theta,))
    assert torch.autograd.gradcheck(lambda t: to_canvas(to_pixels(t, 3, 5) * 2, 3, 5), (theta,))


def test_the_nearest_rotation_is_that_of_the_singular_value_decomposition():
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(200, 2, 3, generator=generator, dtype=torch.float64)
    theta = theta[torch.linalg.det(theta[:, :, :2]) > 0]
    u, _, vt = torch.linalg.svd(theta[:, :, :2])
    torch.testing.assert_close(rigid(theta)[:, :, :2], u @ vt)
    torch.testing.assert_close(rigid(theta)[:, :, 2], theta[:, :, 2])
    torch.testing.assert_close(parts(rigid(theta))[0], parts(theta)[0])


def test_the_nearest_similarity_is_nearer_than_any_other():
    """The least squares over [[c, -s], [s, c]], solved by torch, which knows nothing of matrices."""
    theta = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    design = torch.tensor([[1.0, 0], [0, -1], [0, 1], [1, 0]], dtype=torch.float64)
    solved = torch.linalg.lstsq(design, theta[:, :, :2].flatten(1).mT).solution
    found = similarity(theta)
    torch.testing.assert_close(found[:, :, :2].flatten(1).mT, design @ solved)
    torch.testing.assert_close(found[:, :, 2], theta[:, :, 2])
