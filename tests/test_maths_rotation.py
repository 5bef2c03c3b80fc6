"""Rotations against scipy's, and six numbers against finite differences."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from kinema.maths import rotation

ORDERS = ["".join(order) for order in permutations("XYZ")]


def wxyz(reference):
    return torch.from_numpy(np.roll(reference.as_quat(), 1, -1).copy())


def scipys(q):
    return Rotation.from_quat(np.roll(q.numpy(), -1, -1))


def apart(a, b):
    """Angles between rotations by way of atan2: the arc cosine of their product is blind below 4e-8 rad."""
    return (a.inv() * b).magnitude()


def pair(count=500, seed=0):
    return Rotation.random(count, random_state=seed), Rotation.random(count, random_state=seed + 1)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_products_inverses_and_turned_vectors():
    a, b = pair()
    v = noise(500, 3)
    assert apart(scipys(rotation.multiply(wxyz(a), wxyz(b))), a * b).max() < 1e-14
    assert apart(scipys(rotation.inverse(wxyz(a))), a.inv()).max() < 1e-14
    np.testing.assert_allclose(rotation.rotate(wxyz(a), v), a.apply(v.numpy()), atol=1e-13)


def test_products_and_turned_vectors_broadcast():
    a, b = (wxyz(r) for r in pair(6))
    v = noise(3, 1, 3)
    a, b = a[:3].unsqueeze(1), b[3:5]
    assert rotation.multiply(a, b).shape == (3, 2, 4)
    torch.testing.assert_close(rotation.multiply(a, b)[2, 1], rotation.multiply(a[2, 0], b[1]))
    torch.testing.assert_close(rotation.rotate(b, v)[2, 1], rotation.rotate(b[1], v[2, 0]))


def test_about_y_is_a_turn_to_the_left():
    angles = torch.linspace(-7, 7, 50, dtype=torch.float64)
    assert (
        apart(scipys(rotation.about_y(angles)), Rotation.from_rotvec(angles.numpy()[:, None] * [0, 1, 0])).max() < 1e-14
    )
    ahead = torch.tensor([0, 0, 1], dtype=torch.float64)
    assert float(rotation.rotate(rotation.about_y(angles[26:27]), ahead)[0, 0]) > 0


def test_matrices_there_and_back():
    a, _ = pair(2000)
    half_turns = Rotation.from_quat([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.6, 0.8, 0, 0], [0, 0, 0, 1]])
    for reference in (a, half_turns):
        matrix = rotation.to_matrix(wxyz(reference))
        np.testing.assert_allclose(matrix, reference.as_matrix(), atol=1e-15)
        assert apart(scipys(rotation.from_matrix(matrix)), reference).max() < 1e-14


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_of_all_orders(order):
    angles = 3 * noise(400, 3).numpy()
    reference = Rotation.from_euler(order, angles)
    q = rotation.from_euler(order, torch.from_numpy(angles))
    assert apart(scipys(q), reference).max() < 1e-14
    np.testing.assert_allclose(rotation.to_euler(order, q), reference.as_euler(order), atol=1e-11)
    assert apart(scipys(rotation.from_euler(order.lower(), torch.from_numpy(angles))), reference).max() < 1e-14


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("middle", [90, -90, 90 - 1e-7, -90 + 1e-4])
def test_euler_angles_near_gimbal_lock_still_give_the_rotation(order, middle):
    angles = torch.deg2rad(torch.tensor([[20, middle, 35], [-170, middle, 100]], dtype=torch.float64))
    q = rotation.from_euler(order, angles)
    back = rotation.from_euler(order, rotation.to_euler(order, q))
    assert apart(scipys(back), scipys(q)).max() < 1e-6


def test_slerp_is_scipys():
    a, b = pair(300)
    share = np.random.default_rng(0).random(300)
    ours = scipys(rotation.slerp(wxyz(a), wxyz(b), torch.from_numpy(share)))
    expected = Rotation.concatenate(
        [Slerp([0, 1], Rotation.concatenate([p, q]))(s) for p, q, s in zip(a, b, share, strict=True)]
    )
    assert apart(ours, expected).max() < 1e-14


def test_slerp_does_not_care_for_the_sign_of_a_quaternion():
    a, b = (wxyz(r) for r in pair(50))
    share = torch.full((50,), 0.3, dtype=torch.float64)
    assert apart(scipys(rotation.slerp(a, b, share)), scipys(rotation.slerp(a, -b, share))).max() < 1e-14


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 1e-3, np.pi - 1e-7])
def test_slerp_of_small_and_large_turns_is_even(angle):
    start = Rotation.random(20, random_state=3)
    turn = np.array([0.6, 0, 0.8]) * angle
    ends = wxyz(start), wxyz(start * Rotation.from_rotvec(turn))
    for share in (0.0, 0.25, 1.0):
        at = rotation.slerp(*ends, torch.full((20,), share, dtype=torch.float64))
        assert apart(scipys(at), start * Rotation.from_rotvec(share * turn)).max() < 1e-14
        torch.testing.assert_close(at.norm(dim=-1), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-15)


def test_slerp_between_equal_rotations_has_finite_gradients():
    q = wxyz(pair(4)[0]).requires_grad_()
    rotation.slerp(q, q.detach(), torch.full((4,), 0.5, dtype=torch.float64)).sum().backward()
    assert q.grad is not None
    assert bool(q.grad.isfinite().all())


def test_six_numbers_there_and_back():
    matrix = torch.from_numpy(pair()[0].as_matrix())
    torch.testing.assert_close(rotation.from_six(rotation.to_six(matrix)), matrix)


def test_six_numbers_are_gram_and_schmidts():
    six = noise(200, 6)
    matrix = rotation.from_six(six)
    q, r = np.linalg.qr(six.view(-1, 2, 3).transpose(1, 2).numpy())
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    np.testing.assert_allclose(matrix[..., :2], q * signs[:, None], atol=1e-12)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(200, dtype=torch.float64))
    torch.testing.assert_close(rotation.from_six(7 * six), matrix)


def test_six_numbers_have_right_gradients():
    assert torch.autograd.gradcheck(rotation.from_six, noise(5, 6).requires_grad_())


@pytest.mark.parametrize("function", [rotation.to_matrix, rotation.inverse, rotation.to_xyzw])
def test_gradients_of_quaternion_maps(function):
    assert torch.autograd.gradcheck(function, wxyz(pair(4)[0]).requires_grad_())


def test_leading_axes_and_single_precision():
    a = wxyz(pair(24)[0]).float()
    for function in (rotation.to_matrix, lambda q: rotation.to_euler("ZXY", q), rotation.inverse):
        assert function(a).dtype == torch.float32
        torch.testing.assert_close(function(a.view(2, 3, 4, 4)).flatten(0, 2), function(a))
