"""Rotations: unit quaternions (w, x, y, z), 3x3 matrices acting on columns, six numbers, Euler angles; all in radians.

roma does the work; it orders quaternions (x, y, z, w), and here is the door at which they are turned round.
"""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

IDENTITY = (1.0, 0.0, 0.0, 0.0)
"""The quaternion of no rotation."""


def multiply(a: Float[Tensor, "*#B 4"], b: Float[Tensor, "*#B 4"]) -> Float[Tensor, "*B 4"]:
    """The rotation that does b first and a after it."""
    return to_wxyz(roma.quat_product(*torch.broadcast_tensors(to_xyzw(a), to_xyzw(b))))


def inverse(q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """The rotation back, of a unit quaternion."""
    return torch.cat([q[..., :1], -q[..., 1:]], -1)


def rotate(q: Float[Tensor, "*#B 4"], v: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B 3"]:
    """The vector v turned by the unit quaternion q."""
    w, u = q[..., :1], q[..., 1:]
    t = 2 * torch.linalg.cross(*torch.broadcast_tensors(u, v))
    u, t = torch.broadcast_tensors(u, t)
    return v + w * t + torch.linalg.cross(u, t)


def about_y(angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
    """A turn about the vertical axis; positive turns +Z towards +X, which is to the left of who faces +Z."""
    half, zero = angle / 2, torch.zeros_like(angle)
    return torch.stack([half.cos(), zero, half.sin(), zero], -1)


def to_matrix(q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3 3"]:
    return roma.unitquat_to_rotmat(to_xyzw(q))


def from_matrix(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    return to_wxyz(roma.rotmat_to_unitquat(matrix))


def from_euler(order: str, angles: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 4"]:
    """Intrinsic turns about the axes of `order`, such as ``ZXY``, the first named applied last to a vector."""
    return to_wxyz(roma.euler_to_unitquat(order.upper(), angles))


def to_euler(order: str, q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3"]:
    """The angles that `from_euler` turns into q, the middle one in [-pi/2, pi/2] for three different axes."""
    angles = roma.unitquat_to_euler(order.upper(), to_xyzw(q))
    return angles if isinstance(angles, Tensor) else torch.stack(angles, -1)


def slerp(a: Float[Tensor, "*B 4"], b: Float[Tensor, "*B 4"], share: Float[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
    """The rotation at `share` of the shorter way from a to b, at constant speed."""
    a, b = to_xyzw(a), to_xyzw(b)
    b = torch.where((a * b).sum(-1, keepdim=True) < 0, -b, b)
    relative = roma.quat_product(roma.quat_conjugation(a), b)
    turn = roma.unitquat_to_rotvec(relative) * share.unsqueeze(-1)
    return to_wxyz(roma.quat_product(a, roma.rotvec_to_unitquat(turn)))


def to_six(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 6"]:
    """The first two columns, which networks learn without jumps (Zhou et al., CVPR 2019)."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def from_six(six: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 3 3"]:
    """The rotation whose first two columns are nearest in Gram and Schmidt's order to any six numbers."""
    return torch.stack(six_columns(six), -1)


def six_columns(
    six: Float[Tensor, "*B 6"],
) -> tuple[Float[Tensor, "*B 3"], Float[Tensor, "*B 3"], Float[Tensor, "*B 3"]]:
    """The three columns of `from_six`."""
    first, second = six[..., :3], six[..., 3:]
    x = _unit(first)
    y = _unit(second - (x * second).sum(-1, keepdim=True) * x)
    (a, b, c), (d, e, f) = x.unbind(-1), y.unbind(-1)
    return x, y, torch.stack([b * f - c * e, c * d - a * f, a * e - b * d], -1)


def _unit(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    return v * v.square().sum(-1, keepdim=True).clamp_min(1e-12).rsqrt()


def to_xyzw(q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    return torch.cat([q[..., 1:], q[..., :1]], -1)


def to_wxyz(q: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    return torch.cat([q[..., 3:], q[..., :3]], -1)
