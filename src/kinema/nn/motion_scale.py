"""The scale on which networks see a motion, fitted on the training clips alone and saved with the weights."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ClipError
from kinema.motion import Motion

LEAST = 1e-6
"""A standard deviation below this is no scale: the channel never changes, and is left as it is."""


class MotionScale(nn.Module):
    """Metres and metres per second to numbers of the order of 1, and back; the identity until `fit`.

    As in the data of Holden et al. (SIGGRAPH 2016) and Habibie et al. (2017): joints lose their mean, channel by
    channel, and share ONE standard deviation, so that a joint that moves more counts more; controls keep their zero,
    sideways and forward sharing one standard deviation. The joints' deviation is taken about the mean of each channel,
    not about a single mean of all, which would only measure how large a body is.
    """

    joint_mean: Tensor
    joint_std: Tensor
    control_std: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    control_range: Tensor

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.register_buffer("joint_mean", torch.zeros(joints, 3))  # metres
        self.register_buffer("joint_std", torch.ones(()))  # metres
        self.register_buffer("control_std", torch.ones(3))  # m/s, m/s, rad/s
        # What 99 % of the frames lie between, so that a user can be told when more is asked for.
        self.register_buffer("control_range", torch.tensor([[-torch.inf] * 3, [torch.inf] * 3]))
        # What is left in the normalised channels, for models that need each of them centred and of unit variance.
        self.register_buffer("feature_mean", torch.zeros(3 * joints + 3))
        self.register_buffer("feature_std", torch.ones(3 * joints + 3))

    @property
    def features(self) -> int:
        """Number of normalised channels: F = 3J + 3."""
        return self.feature_mean.shape[0]

    def fit(self, motions: Iterable[Motion]) -> None:
        """Take the scale from these motions, every frame of them with the same weight.

        The caller leaves out frames that are padding. Raises ClipError where there is no frame, where a value is not
        finite, or where a motion has another number of joints.
        """
        count = 0
        total = torch.zeros(self.features, dtype=torch.float64)
        squares = torch.zeros_like(total)
        controls = []
        for motion in motions:
            self._check(motion)
            controls.append(motion.control.flatten(0, -2).double().cpu())
            rows = torch.cat([motion.joints.flatten(-2), motion.control], -1).flatten(0, -2).double().cpu()
            count += len(rows)
            total += rows.sum(0)
            squares += rows.square().sum(0)
        if count == 0:
            raise ClipError("motion scale: there are no frames; at least one training clip is needed")
        mean, square = total / count, squares / count
        if not bool(mean.isfinite().all() and square.isfinite().all()):
            raise ClipError("motion scale: the training clips hold NaN or infinite values; finite values are needed")
        variance = (square - mean.square()).clamp(min=0)
        plane_mean, plane_square = mean[-3:-1].mean(), square[-3:-1].mean()
        plane = (plane_square - plane_mean.square()).clamp(min=0)
        pooled = torch.stack([plane, plane, variance[-1]])
        self.control_range.copy_(_middle(torch.cat(controls), 0.99))
        self.joint_mean.copy_(mean[:-3].view_as(self.joint_mean))
        self.joint_std.copy_(_deviation(variance[:-3].mean()))
        self.control_std.copy_(_deviation(pooled))
        offset, unit = (part.double().cpu() for part in self._affine())
        self.feature_mean.copy_((mean - offset) / unit)
        self.feature_std.copy_(variance.sqrt() / unit)

    def encode(self, motion: Motion) -> Float[Tensor, "*B T F"]:
        """Normalised channels: the joints' x, y, z in order, then sideways, forward, turn."""
        self._check(motion)
        offset, unit = self._affine()
        rows = torch.cat([motion.joints.flatten(-2), motion.control], -1).to(offset.dtype)
        return (rows - offset) / unit

    def decode(self, features: Float[Tensor, "*B T F"]) -> Motion:
        """The motion of normalised channels: joints in metres, control in m/s and rad/s."""
        offset, unit = self._affine()
        rows = features * unit + offset
        return Motion(rows[..., :-3].unflatten(-1, (-1, 3)), rows[..., -3:])

    def _affine(self) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
        """What is subtracted from each channel, and what it is divided by."""
        offset = torch.cat([self.joint_mean.flatten(), torch.zeros_like(self.control_std)])
        unit = torch.cat([self.joint_std.expand(len(offset) - 3), self.control_std])
        return offset, unit

    def _check(self, motion: Motion) -> None:
        given, wanted = motion.joints.shape[-2], self.joint_mean.shape[0]
        if given != wanted:
            raise ClipError(f"motion: it has {given} joints; the model's skeleton has {wanted}")


def _middle(values: Float[Tensor, "N C"], share: float) -> Float[Tensor, "2 C"]:
    """Of each column the least and the greatest value once the same number has been left out at both ends."""
    ordered = values.sort(dim=0).values
    out = int((1 - share) / 2 * len(values))
    return torch.stack([ordered[out], ordered[len(values) - 1 - out]])


def _deviation(variance: Tensor) -> Tensor:
    """The standard deviation, and 1 where nothing varies."""
    std = variance.sqrt()
    return std.where(std >= LEAST, 1.0)
