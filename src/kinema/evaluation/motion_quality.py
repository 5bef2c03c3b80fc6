"""Whether a body moves as bodies do: its feet stay where they stand, its bones keep their length, it keeps its path.

All take world positions in metres of B motions and `scored`, the frames that count, one stretch of each motion; they
give one value for each motion, NaN where no frame says anything. Feet are the two toes. A toe's height is taken above
that toe's own floor, the 5th percentile of the scored frames, for some styles never put a toe flat; its speed is along
the ground and over the next 1/30 s, so that recordings of any rate have the same figures.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FLOOR = 0.05
"""The quantile of a toe's height that is its floor."""
SPAN = 1 / 30
"""Seconds over which the speed of a toe is taken: one frame of most recordings of locomotion."""
SKATE_HEIGHT = 0.015
"""Metres above its floor below which a toe should stand still."""
ZHANG_HEIGHT = 0.025
"""H of Zhang et al. (SIGGRAPH 2018), in metres."""
STANCE_HEIGHT, STANCE_SPEED = 0.025, 0.30
"""A foot stands where its toe is lower (metres) and slower (m/s) than these."""

Places = Float[Tensor, "B T J 3"]
Scored = Bool[Tensor, "B T"]
PerClip = Float[Tensor, " B"]


@dataclass(frozen=True, eq=False)
class Feet:
    """Height and speed of the two toes, at the frames whose next 1/30 s are scored as well."""

    height: Float[Tensor, "B T 2"]
    """Metres above each toe's own floor."""
    speed: Float[Tensor, "B T 2"]
    """Metres per second along the ground."""
    scored: Bool[Tensor, "B T"]
    """The frames that count; fewer than of the joints, for the speed looks ahead."""

    @property
    def standing(self) -> Bool[Tensor, "B T 2"]:
        """Whether each foot stands, in the scored frames."""
        return (self.height < STANCE_HEIGHT) & (self.speed < STANCE_SPEED) & self.scored[..., None]


def feet(toes: Float[Tensor, "B T 2 3"], scored: Scored, fps: float) -> Feet:
    """The toes above their floors and along the ground."""
    floor = toes[..., 1].masked_fill(~scored[..., None], torch.nan).nanquantile(FLOOR, dim=1, keepdim=True)
    ahead = max(1, round(SPAN * fps))
    ground = toes[..., [0, 2]]
    speed = (ground[:, ahead:] - ground[:, :-ahead]).norm(dim=-1) * (fps / ahead)
    return Feet((toes[..., 1] - floor)[:, :-ahead], speed, scored[:, :-ahead] & scored[:, ahead:])


def skate(steps: Feet) -> PerClip:
    """Mean speed, in cm/s, of a toe that is within 1.5 cm of its floor. Real walking has about 15, running 17."""
    down = (steps.height < SKATE_HEIGHT) & steps.scored[..., None]
    return 100 * _mean(steps.speed, down, (1, 2))


def zhang_skate(steps: Feet) -> PerClip:
    """Mean over frames and feet of v (2 - 2^(h/H)) in cm/s, h held between 0 and H (Zhang et al. 2018)."""
    weight = 2 - 2 ** (steps.height / ZHANG_HEIGHT).clamp(0, 1)
    return 100 * _mean(steps.speed * weight, steps.scored[..., None].expand_as(weight), (1, 2))


def stance_share(steps: Feet) -> PerClip:
    """The share of frames in which at least one foot stands."""
    return _mean(steps.standing.any(-1).double(), steps.scored, (1,))


def contact_f1(shown: Feet, truth: Feet) -> PerClip:
    """F1 of the frames in which each foot stands, against when it truly did; NaN where it never stands in either."""
    both = (shown.standing & truth.standing).sum((1, 2)).double()
    either = shown.standing.sum((1, 2)) + truth.standing.sum((1, 2))
    return 2 * both / either.where(either > 0, torch.nan)


def path_error(root: Float[Tensor, "B T 3"], asked: Float[Tensor, "B T 3"], scored: Scored) -> tuple[PerClip, PerClip]:
    """Mean and greatest distance on the ground, in cm, from where the path has the root at the same moment.

    A body that is on the line but late has an error as well.
    """
    away = 100 * (root - asked)[..., [0, 2]].norm(dim=-1)
    greatest = away.masked_fill(~scored, -torch.inf).amax(1)
    return _mean(away, scored, (1,)), greatest.where(scored.any(1), torch.nan)


def bone_lengths(joints: Places, parents: tuple[int, ...]) -> Float[Tensor, "B T N"]:
    """The lengths, in metres, of the bones from each joint but the root to its parent."""
    return (joints[..., 1:, :] - joints[..., list(parents[1:]), :]).norm(dim=-1)


def bone_deviation(shown: Places, truth: Places, parents: tuple[int, ...], scored: Scored) -> PerClip:
    """Mean absolute difference, in mm, of a bone's length from its mean length in the true motion."""
    true = bone_lengths(truth, parents)
    right = (true * scored[..., None]).sum(1, keepdim=True) / scored.sum(1)[:, None, None]
    off = 1000 * (bone_lengths(shown, parents) - right).abs()
    return _mean(off, scored[..., None].expand_as(off), (1, 2))


def mean_acceleration(joints: Places, scored: Scored, fps: float) -> PerClip:
    """Mean acceleration of a joint in m/s^2, from three frames in a row; its ratio to the truth's shows trembling."""
    return _mean_difference(joints, scored, fps, order=2, step=1)


def mean_jerk(joints: Places, scored: Scored, fps: float) -> PerClip:
    """Mean jerk of a joint in m/s^3, from four frames that are 1/30 s apart.

    Recordings of 30 Hz that were brought to 60 have a kink at every other frame; closer frames would only measure it.
    """
    return _mean_difference(joints, scored, fps, order=3, step=max(1, round(SPAN * fps)))


def _mean_difference(joints: Places, scored: Scored, fps: float, order: int, step: int) -> PerClip:
    change, whole = joints, scored
    for _ in range(order):
        change = (change[:, step:] - change[:, :-step]) * (fps / step)
        whole = whole[:, step:] & whole[:, :-step]
    return _mean(change.norm(dim=-1).mean(-1), whole, (1,))


def _mean(values: Float[Tensor, "B T *S"], counted: Bool[Tensor, "B T *S"], dims: tuple[int, ...]) -> PerClip:
    """The mean of what counts; NaN where nothing does."""
    count = counted.sum(dims)
    return values.masked_fill(~counted, 0).sum(dims) / count.where(count > 0, torch.nan)
