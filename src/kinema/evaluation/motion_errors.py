"""How far generated motion is from what was recorded: units, draws and spread (Habibie et al. 2017, tables 1 and 2).

The paper writes of a mean squared error, but its figures grow like a distance; so three errors are kept apart here,
and no figure is given without its name. Lengths come in metres; errors are in the paper's units of 5.644 cm.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kinema.maths import trajectory

UNIT = 0.05644
"""Metres of one unit of the published tables."""
FRAMES = (70, 90, 120, 160, 210)
"""The frames of the published tables, counted from 0 at 60 frames per second."""

Joints = Float[Tensor, "*B J 3"]
Draws = Float[Tensor, "K B T"]


def joint_errors(shown: Joints, truth: Joints) -> dict[str, Float[Tensor, "*B"]]:
    """The three errors of each pose, by their names (`ABOUT`)."""
    squares = ((shown - truth) / UNIT).square().sum(-1)
    sq = squares.mean(-1)
    return {"mse": sq / 3, "sq": sq, "dist": squares.sqrt().mean(-1)}


ABOUT: Mapping[str, str] = {
    "mse": "mean squared error per coordinate, units^2",
    "sq": "mean squared distance per joint, units^2",
    "dist": "mean joint distance, units",
}
"""What each error is."""


def spliced(before: Float[Tensor, "*B T 3"], after: Float[Tensor, "*B T 3"], start: int) -> Float[Tensor, "*B T 3"]:
    """`before` up to the last of `start` known frames, `after` from there on.

    Control t carries frame t to t + 1, so the place and heading of the last known frame are those of `before`.
    """
    known = max(start - 1, 0)
    return torch.cat([before[..., :known, :], after[..., known:, :]], -2)


def world(joints: Float[Tensor, "*B T J 3"], control: Float[Tensor, "*B T 3"], fps: float) -> Float[Tensor, "*B T J 3"]:
    """Joints placed where the control has taken the root since frame 0, which is at the origin with heading 0."""
    path, heading = trajectory.integrate(control, fps)
    return trajectory.to_world(joints, path, heading)


def best_draw(errors: Draws, scored: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """For each clip the draw whose mean error over the scored frames is least: best of K."""
    return errors.masked_fill(~scored, 0).sum(-1).argmin(0)


def of_draw(errors: Draws, draw: Int[Tensor, " B"]) -> Float[Tensor, "B T"]:
    """The errors of the chosen draw of each clip."""
    return errors.gather(0, draw[None, :, None].expand(1, -1, errors.shape[2]))[0]


def spread(joints: Float[Tensor, "K B T J 3"]) -> Float[Tensor, "B T"]:
    """Mean distance of the draws to their mean, over joints, in units.

    Of K independent draws it is sqrt(1 - 1/K) of what very many would give.
    """
    mean = joints.mean(0)
    return torch.stack([((draw - mean) / UNIT).norm(dim=-1).mean(-1) for draw in joints]).mean(0)
