"""Affine transformations of pictures as 2 x 3 matrices `theta`, in the convention of torch's ``affine_grid``.

The canvas is [-1, 1] from its left edge to its right (x) and from its upper edge to its lower (y), whatever its size in
pixels (``align_corners=False``). `theta` maps a point (x, y, 1) of the output to the point of the input that is shown
there. It is thus the inverse of the movement one sees: a picture moved right by 5 pixels has the translation -10 / W.
With y down, the rotation [[cos a, -sin a], [sin a, cos a]] takes points clockwise, so the picture that `theta` with the
angle a > 0 shows has turned anticlockwise on a square canvas.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def identity(*batch: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Tensor:
    """The transformation that changes nothing, (*batch, 2, 3)."""
    return torch.eye(2, 3, dtype=dtype, device=device).expand(*batch, 2, 3)


def warp(images: Float[Tensor, "B C H W"], theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B C H W"]:
    """The images as they look after `theta`: bilinear between pixels, zero beyond the edges."""
    return warp_to(images, theta, images.shape[-2], images.shape[-1])


def warp_to(
    images: Float[Tensor, "B C h w"], theta: Float[Tensor, "B 2 3"], height: int, width: int
) -> Float[Tensor, "B C H W"]:
    """`warp` onto an output of another size: theta then maps the output's canvas to the input's."""
    return F.grid_sample(images, grid(theta, height, width), mode="bilinear", padding_mode="zeros", align_corners=False)


def grid(theta: Float[Tensor, "B 2 3"], height: int, width: int) -> Float[Tensor, "B H W 2"]:
    """Where each output pixel's middle comes from, as ``affine_grid`` gives it, in a fraction of its time on a CPU."""
    x, y = (
        (2 * torch.arange(count, dtype=theta.dtype, device=theta.device) + 1) / count - 1 for count in (width, height)
    )
    across, down = theta[..., :1] * x, theta[..., 1:2] * y + theta[..., 2:]
    return (across[:, :, None, :] + down[:, :, :, None]).movedim(1, -1)


def compose(a: Float[Tensor, "*B 2 3"], b: Float[Tensor, "*B 2 3"]) -> Float[Tensor, "*B 2 3"]:
    """First the movement `a`, then `b`, as one sees them: ``warp(warp(x, a), b) = warp(x, compose(a, b))``.

    What is shown at p after both was at b p before the second and at a (b p) before the first: the product A B.
    """
    linear = a[..., :2] @ b[..., :2]
    shift = a[..., :2] @ b[..., 2:] + a[..., 2:]
    return torch.cat([linear, shift], dim=-1)


def invert(theta: Float[Tensor, "*B 2 3"]) -> Float[Tensor, "*B 2 3"]:
    """The transformation back. Not finite where theta's 2 x 2 part is singular."""
    (a, b), (c, d) = (row.unbind(-1) for row in theta[..., :2].unbind(-2))
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    linear = adjugate / (a * d - b * c)[..., None, None]
    return torch.cat([linear, -linear @ theta[..., 2:]], dim=-1)


def from_parts(
    angle: Float[Tensor, "*B"], shift: Float[Tensor, "*B 2"], scale: Float[Tensor, "*B"] | float = 1.0
) -> Float[Tensor, "*B 2 3"]:
    """The matrix [scale R(angle) | shift]: angle in radians, shift in canvas units.

    These are the parts of theta itself. For the movement one sees with these parts take `invert` of it.
    """
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return torch.cat([rows, shift[..., None]], dim=-1)


def parts(
    theta: Float[Tensor, "*B 2 3"],
) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B 2"], Float[Tensor, "*B 2"]]:
    """Angle in (-pi, pi], translation in canvas units and the two singular values, the greater first.

    The angle is that of the rotation nearest to the 2 x 2 part M, which is U V^T of M = U S V^T where det M > 0 (Arun,
    Huang and Blostein 1987); where det M < 0 the column of the smaller singular value changes its sign, so that it is
    a rotation always. For 2 x 2 matrices all of it has a closed form: M is the sum of a scaled rotation, of length q,
    and a scaled reflection, of length r; the singular values are q + r and |q - r|. Where q = 0 no rotation is nearer
    than another, and the angle is that of atan2's zero.
    """
    (a, b), (c, d) = (row.unbind(-1) for row in theta[..., :2].unbind(-2))
    q, r = torch.hypot(a + d, c - b) / 2, torch.hypot(a - d, c + b) / 2
    return torch.atan2(c - b, a + d), theta[..., 2], torch.stack([q + r, (q - r).abs()], dim=-1)


def similarity(theta: Float[Tensor, "*B 2 3"]) -> Float[Tensor, "*B 2 3"]:
    """The matrix whose 2 x 2 part is the nearest turn with a scale, in least squares; the shift stays."""
    (a, b), (c, d) = (row.unbind(-1) for row in theta[..., :2].unbind(-2))
    return _turned((a + d) / 2, (c - b) / 2, theta)


def rigid(theta: Float[Tensor, "*B 2 3"]) -> Float[Tensor, "*B 2 3"]:
    """The matrix whose 2 x 2 part is the nearest rotation, as in `parts`; the shift stays. NaN where none is."""
    (a, b), (c, d) = (row.unbind(-1) for row in theta[..., :2].unbind(-2))
    length = torch.hypot(a + d, c - b)
    return _turned((a + d) / length, (c - b) / length, theta)


def _turned(cos: Tensor, sin: Tensor, theta: Float[Tensor, "*B 2 3"]) -> Float[Tensor, "*B 2 3"]:
    rows = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return torch.cat([rows, theta[..., 2:]], dim=-1)


def _half(like: Tensor, height: int, width: int) -> Tensor:
    """Pixels of one canvas unit, to the right and down."""
    return like.new_tensor([width / 2, height / 2])


def shift_to_pixels(shift: Float[Tensor, "*B 2"], height: int, width: int) -> Float[Tensor, "*B 2"]:
    """Pixels (right, down) of a shift in canvas units."""
    return shift * _half(shift, height, width)


def shift_to_canvas(shift: Float[Tensor, "*B 2"], height: int, width: int) -> Float[Tensor, "*B 2"]:
    """Canvas units of a shift in pixels (right, down)."""
    return shift / _half(shift, height, width)


def to_pixels(theta: Float[Tensor, "*B 2 3"], height: int, width: int) -> Float[Tensor, "*B 2 3"]:
    """The same map between pixel coordinates: (0, 0) is the middle of the upper left pixel, x right, y down."""
    half = _half(theta, height, width)
    linear = theta[..., :2] * half[:, None] / half
    middle = half - 0.5
    shift = theta[..., 2] * half + middle - (linear @ middle[:, None])[..., 0]
    return torch.cat([linear, shift[..., None]], dim=-1)


def to_canvas(matrix: Float[Tensor, "*B 2 3"], height: int, width: int) -> Float[Tensor, "*B 2 3"]:
    """The inverse of `to_pixels`."""
    half = _half(matrix, height, width)
    middle = half - 0.5
    shift = (matrix[..., 2] + (matrix[..., :2] @ middle[:, None])[..., 0] - middle) / half
    return torch.cat([matrix[..., :2] * half / half[:, None], shift[..., None]], dim=-1)
