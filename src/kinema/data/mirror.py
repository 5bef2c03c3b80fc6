"""Left and right exchanged: a second body of motion for nothing, and no side that the model could lean to."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError
from kinema.maths.rotation import from_six
from kinema.motion import Motion, Skeleton

FLIP = (-1.0, 1.0, 1.0)
"""The mirror is the plane x = 0."""
CONTROL = (-1.0, 1.0, -1.0)
"""What it does to sideways, forward and turn."""
REFLECTIONS = tuple(signs for signs in product((-1.0, 1.0), repeat=3) if signs[0] * signs[1] * signs[2] < 0)
TOLERANCE = 0.01
"""How far, in metres, a bone and the mirror image of its partner may lie apart."""


class Mirror:
    """What a mirror does to the motions of one skeleton.

    With M = diag(-1, 1, 1), the world rotation of joint j becomes M W_p D_j, where p is its partner and D_j the
    reflection that takes its rest frame to the partner's; so its local rotation becomes D_parent L_p D_j, and the six
    numbers of that are those of L_p with other signs.
    """

    def __init__(self, skeleton: Skeleton, pairs: list[int], typical: Float[Tensor, "J 6"] | None) -> None:
        """`pairs` holds each joint's partner (itself on the mid-line), `typical` six numbers near its usual rotation.

        `typical` is None for motions without rotations, of whose skeletons nothing is asked.
        Raises ClipError where a joint has no mirror image.
        """
        self.pairs = pairs
        self.signs: Tensor | None = None
        if typical is not None:
            frames = joint_frames(skeleton, pairs, from_six(typical))
            above = torch.stack([frames.new_tensor(FLIP) if p < 0 else frames[p] for p in skeleton.parents])
            self.signs = torch.cat([above * frames[:, :1], above * frames[:, 1:2]], -1)

    def __call__(self, motion: Motion) -> Motion:
        """The motion in the mirror."""
        joints, control, rotations, contacts = motion.joints, motion.control, motion.rotations, motion.contacts
        signs = self.signs
        return Motion(
            joints[..., self.pairs, :] * joints.new_tensor(FLIP),
            control * control.new_tensor(CONTROL),
            None if rotations is None or signs is None else rotations[..., self.pairs, :] * signs.to(rotations),
            None if contacts is None else contacts.flip(-1),
        )


def joint_frames(skeleton: Skeleton, pairs: list[int], typical: Float[Tensor, "J 3 3"]) -> Float[Tensor, "J 3"]:
    """The reflection D_j of every joint, as the signs of a diagonal matrix of determinant -1.

    A parent's D must take each bone to that of its partner. Where several do, as for a bone along an axis, the one is
    taken that makes the mirrored typical rotation most like the joint's own.
    Raises ClipError where no reflection of the axes does: such a skeleton has no mirror image.
    """
    chosen: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        above = typical.new_tensor(FLIP) if parent < 0 else chosen[parent]
        children = [child for child, p in enumerate(skeleton.parents) if p == joint]
        fitting = [
            signs
            for signs in map(typical.new_tensor, REFLECTIONS)
            if all(_apart(skeleton, signs, child, pairs[child]) < TOLERANCE for child in children)
        ]
        if not fitting:
            raise ClipError(f"skeleton: {skeleton.names[joint]} has no mirror image; set data.mirror to false")
        partner = typical[pairs[joint]]
        chosen.append(min(fitting, key=lambda d: float((above[:, None] * partner * d - typical[joint]).norm())))
    return torch.stack(chosen)


def _apart(skeleton: Skeleton, signs: Tensor, child: int, partner: int) -> float:
    return float((signs.double() * skeleton.offsets[partner] - skeleton.offsets[child]).norm())
