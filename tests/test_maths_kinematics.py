"""Forward kinematics against a recursion written without it."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinema.maths.kinematics import forward_kinematics, joint_positions, positions

PARENTS = [-1, 0, 1, 2, 0, 4, 2, 6, 0, 8, 8]
"""A tree in an order that is not by depth."""
COUNT = len(PARENTS)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def posed():
    rotations = Rotation.random(5 * COUNT, random_state=0)
    quaternions = torch.from_numpy(np.roll(rotations.as_quat(), 1, -1).reshape(5, COUNT, 4).copy())
    return torch.from_numpy(rotations.as_matrix()).view(5, COUNT, 3, 3), quaternions, noise(5, 3), noise(COUNT, 3)


def recursion(joint, local, root, offsets):
    """Rotation and place of a joint by 4 x 4 matrices from its parent up."""
    frame = np.eye(4)
    frame[:3, :3] = local[joint]
    if PARENTS[joint] < 0:
        frame[:3, 3] = root
        return frame
    frame[:3, 3] = offsets[joint]
    return recursion(PARENTS[joint], local, root, offsets) @ frame


def test_places_and_rotations_are_the_recursions(posed):
    local, quaternions, root, offsets = posed
    turned, places = forward_kinematics(local, root, offsets, PARENTS)
    for frame in range(5):
        for joint in range(COUNT):
            expected = recursion(joint, local[frame].numpy(), root[frame].numpy(), offsets.numpy())
            np.testing.assert_allclose(turned[frame, joint], expected[:3, :3], atol=1e-12)
            np.testing.assert_allclose(places[frame, joint], expected[:3, 3], atol=1e-12)
    torch.testing.assert_close(joint_positions(quaternions, root, offsets, PARENTS), places)
    torch.testing.assert_close(positions(local, root, offsets, PARENTS), places)


def test_a_batch_is_its_single_poses(posed):
    local, _, root, offsets = posed
    whole = forward_kinematics(local, root, offsets, PARENTS)
    nested = forward_kinematics(local.view(5, 1, COUNT, 3, 3), root.view(5, 1, 3), offsets, PARENTS)
    for frame in range(5):
        single = forward_kinematics(local[frame], root[frame], offsets, tuple(PARENTS))
        for part, same, one in zip(whole, nested, single, strict=True):
            torch.testing.assert_close(one, part[frame])
            torch.testing.assert_close(one, same[frame, 0])


def test_bones_keep_their_lengths(posed):
    local, _, root, offsets = posed
    places = forward_kinematics(local, root, offsets, PARENTS)[1]
    bones = (places[:, 1:] - places[:, PARENTS[1:]]).norm(dim=-1)
    torch.testing.assert_close(bones, offsets[1:].norm(dim=-1).expand(5, -1))


def test_a_lone_root():
    turned, places = forward_kinematics(torch.eye(3).expand(2, 1, 3, 3), torch.ones(2, 3), torch.zeros(1, 3), [-1])
    assert places.tolist() == [[[1, 1, 1]]] * 2
    assert turned.shape == (2, 1, 3, 3)


def test_gradients(posed):
    local, _, root, _ = posed
    offsets = noise(3, 3).requires_grad_()
    arguments = local[:2, :3].clone().requires_grad_(), root[:2].clone().requires_grad_(), offsets
    assert torch.autograd.gradcheck(lambda m, r, o: forward_kinematics(m, r, o, [-1, 0, 0]), arguments)


def test_a_first_call_without_gradients_does_not_spoil_later_ones():
    parents, offsets = [-1, 0, 1, 1, 0], torch.ones(5, 3)
    with torch.inference_mode():
        forward_kinematics(torch.eye(3).expand(1, 5, 3, 3), torch.zeros(1, 3), offsets, parents)
    local = torch.eye(3).repeat(1, 5, 1, 1).requires_grad_()
    forward_kinematics(local, torch.zeros(1, 3), offsets, parents)[1].sum().backward()
    assert local.grad is not None
    assert float(local.grad.abs().max()) > 0
