"""What a model of motion must beat: earlier networks, written as their papers say, and rules that learn nothing."""

from jaxtyping import Float
from torch import Tensor

from kinema.data.motions import MotionSource
from kinema.errors import ClipError
from kinema.models.motion_base import MotionDomain, MotionNetwork
from kinema.motion import Motion
from kinema.nn.motion_scale import MotionScale


class Rival(MotionNetwork):
    """What all rivals share: the scale fitted on the training clips, and how a motion begins."""

    def __init__(self, domain: MotionDomain) -> None:
        super().__init__()
        self.domain = domain
        self.scale = MotionScale(len(domain.names))

    def fit(self, source: MotionSource) -> None:
        """Take the scale from all frames of the training split."""
        self.scale.fit(source.motions())

    def opening(self, frames: int, control: Float[Tensor, "B T 3"] | None, start: Motion | None) -> Motion:
        """The frames that are known: of `start` no more than `frames`, or else one, the training clips' mean pose.

        The mean pose has the first frame of the given control. Raises ClipError where neither `control` nor `start`
        says how many motions are wanted, where the two disagree, or where the control is shorter than `frames`.
        """
        if frames < 1:
            raise ClipError(f"motion: {frames} frames are wanted; at least 1 is needed")
        if control is not None and control.shape[1] < frames:
            raise ClipError(f"control: it has {control.shape[1]} frames; {frames} are needed")
        if start is not None and start.joints.shape[1] > 0:
            if control is not None and len(control) != len(start.joints):
                raise ClipError(f"control: it has {len(control)} rows; the first frames have {len(start.joints)}")
            return Motion(start.joints, start.control)[:, :frames]
        if control is None:
            raise ClipError("motion: neither a control nor first frames are given; one of them is needed")
        return Motion(self.scale.joint_mean.expand(len(control), 1, -1, -1), control[:, :1])
