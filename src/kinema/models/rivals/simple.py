"""Predictors that learn nothing but a mean. A model that does not beat them has learned nothing either."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.models.base import Losses
from kinema.models.motion_base import MotionDomain
from kinema.models.rivals import Rival
from kinema.motion import Motion, MotionBatch


@dataclass(frozen=True)
class SimpleConfig:
    """There is nothing to choose."""


class Simple(Rival):
    """After the first frames one pose for ever, and a control that a rule gives."""

    def __init__(self, config: SimpleConfig, domain: MotionDomain) -> None:
        super().__init__(domain)
        self.config = config

    @abstractmethod
    def after(self, last: Motion, given: Float[Tensor, "B N 3"]) -> tuple[Tensor, Tensor]:
        """Pose (B, J, 3) and control (B, N, 3) or (B, 3) of the N frames that follow the frame `last`.

        `given` is the true control of those frames, zero where it is not known.
        """

    @torch.no_grad()
    def generate(
        self,
        frames: int,
        control: Float[Tensor, "B T 3"] | None,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Motion:
        """`start` as it is, then what the rule makes of its last frame; without `start`, of a mean pose at rest.

        Nothing is drawn and labels are not used. Raises ClipError as `opening` does.
        """
        del factors, generator
        known = self.opening(frames, control, start)
        if start is None or start.joints.shape[1] == 0:
            last, known = Motion(known.joints[:, 0], torch.zeros_like(known.control[:, 0])), known[:, :0]
        else:
            last = known[:, -1]
        count = known.joints.shape[1]
        wanted = (len(known.joints), frames - count)
        given = last.control.new_zeros(*wanted, 3) if control is None else control[:, count:frames]
        pose, moving = self.after(last, given)
        moving = moving if moving.dim() == 3 else moving[:, None].expand(*wanted, -1)
        joints = pose[:, None].expand(*wanted, -1, -1)
        return Motion(torch.cat([known.joints, joints], 1), torch.cat([known.control, moving], 1))

    def losses(self, batch: MotionBatch) -> Losses:
        """Mean squared error, over all normalised channels, of what each clip's first frame says of the others."""
        motion, length = batch.motion, batch.valid.shape[1]
        made = self.generate(length, motion.control, motion[:, :1], {}, torch.Generator())
        error = (self.scale.encode(made) - self.scale.encode(motion)).square().mean(-1)[:, 1:]
        valid = batch.valid[:, 1:]
        mse = (error * valid).sum() / valid.sum().clamp(min=1)
        return Losses(mse, {"mse": mse})


class ZeroVelocity(Simple):
    """The last pose frozen where it is (Martinez et al. 2017: hard to beat over the first tenths of a second)."""

    def after(self, last: Motion, given: Float[Tensor, "B N 3"]) -> tuple[Tensor, Tensor]:
        return last.joints, torch.zeros_like(given)


class ConstantControl(Simple):
    """The last pose frozen, gliding on with the last control."""

    def after(self, last: Motion, given: Float[Tensor, "B N 3"]) -> tuple[Tensor, Tensor]:
        del given
        return last.joints, last.control


class MeanPose(Simple):
    """The training clips' mean pose, with the true control where it is given."""

    def after(self, last: Motion, given: Float[Tensor, "B N 3"]) -> tuple[Tensor, Tensor]:
        return self.scale.joint_mean.expand_as(last.joints), given
