"""A body on the path that was asked for, with the sway of its own gait.

A path drawn by hand moves evenly; a walking body speeds up and slows down at every step and sways from foot to foot. A
model puts out that movement as its own control, but integrated over minutes it would wander off. So the place is where
the path is, plus what is fast in the model's own movement: the difference of the two controls, integrated, without its
running mean.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from kinema.maths import trajectory

SIGMA = 0.5
"""Standard deviation of the Gaussian that takes the running mean, in seconds: longer than a step."""


def sway(
    asked: Float[Tensor, "*B T 3"],
    own: Float[Tensor, "*B T 3"],
    fps: float,
    start: Float[Tensor, "*B 3"] | None = None,
    heading0: Float[Tensor, "*B"] | None = None,
) -> tuple[Float[Tensor, "*B T 3"], Float[Tensor, "*B T"]]:
    """Places on the ground (metres) and headings (radians) of a body that is `asked` to move so and moves by its `own`.

    Both are controls as in `trajectory.integrate`, and so are `start` and `heading0`. Where they agree, or differ only
    slowly, the place is exactly that of `asked`.
    """
    path, heading = trajectory.integrate(asked, fps, start, heading0)
    step = functional.pad((own - asked)[..., :-1, :] / fps, (0, 0, 1, 0))
    sin, cos = heading.sin(), heading.cos()
    x, z, turn = step.unbind(-1)
    away = torch.stack([cos * x + sin * z, cos * z - sin * x, turn], -1).cumsum(-2)
    away = away - trajectory.smooth(away, SIGMA * fps)
    place = path + torch.stack([away[..., 0], torch.zeros_like(turn), away[..., 1]], -1)
    return place, heading + away[..., 2]


def carried(
    points: Float[Tensor, "*B T F 3"], control: Float[Tensor, "*B T 3"], fps: float
) -> Float[Tensor, "*B S F 3"]:
    """Velocities over the ground, in m/s, of points of the root frame that the control carries along; S = T - 1.

    In the axes of frame t + 1: x(t+1) - R_y(-turn) x(t) + v, which is zero for a foot that stands.
    """
    sideways, forward, turn = (control[..., :-1, None, k] / fps for k in range(3))
    x, y, z = points[..., :-1, :, :].unbind(-1)
    before = torch.stack([turn.cos() * x - turn.sin() * z - sideways, y, turn.sin() * x + turn.cos() * z - forward], -1)
    return (points[..., 1:, :, :] - before) * fps
