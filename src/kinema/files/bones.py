"""What a skeleton looks like: where its bones run, which side they are on and how thick they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.maths.kinematics import forward_kinematics
from kinema.maths.rotation import to_matrix
from kinema.motion import MotionClip, Skeleton

SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("l", "r"), ("L", "R"))
"""What is exchanged in the name of a joint to get the name of its mirror image."""
LIMB, TRUNK = (0.13, 0.032, 0.052), (0.45, 0.055, 0.08)
"""Half the thickness of a bone: a share of its length, within shares of the reach of the body."""
HEAD, SKULL = 0.1, 0.18
"""Half the thickness and the length of a head, as shares of the reach."""


@dataclass(frozen=True)
class Bone:
    """A stretch of the body that one joint turns."""

    joint: int
    """The joint at which it begins, and which turns it."""
    tip: tuple[float, float, float]
    """Where it ends, in that joint's frame, in metres; zero for a joint at which the body ends."""
    side: int
    """1: left, -1: right, 0: the trunk and the head."""
    radius: float
    """Half its thickness, in metres."""
    ball: bool = False
    """Whether it is a ball around its middle, such as a head, rather than a line."""

    @property
    def length(self) -> float:
        """In metres."""
        return math.hypot(*self.tip)


def sides_of(names: Sequence[str]) -> list[int]:
    """For each joint 1 (left), -1 (right) or 0: it is left where its name with right for left is a joint's as well."""
    known = set(names)

    def exchanged(name: str, old: str, new: str) -> bool:
        places = [at for at in range(len(name)) if name.startswith(old, at)]
        return any(name[:at] + new + name[at + len(old) :] in known for at in places)

    left = [any(exchanged(name, a, b) for a, b in SIDES) for name in names]
    right = [any(exchanged(name, b, a) for a, b in SIDES) for name in names]
    return [a - b for a, b in zip(left, right, strict=True)]


def reach_of(skeleton: Skeleton) -> float:
    """The longest way from the root along the bones, in metres: about the length of a leg; 1 where there are none."""
    far: list[float] = []
    for parent, length in zip(skeleton.parents, skeleton.offsets.norm(dim=-1).tolist(), strict=True):
        far.append(0.0 if parent < 0 else far[parent] + length)
    return max(far) or 1.0


def bones_of(skeleton: Skeleton) -> list[Bone]:
    """A bone to each joint but the root, one more from each joint without children, and a ball for the head.

    What hangs on the head, such as eyes, has no bones.
    """
    reach, sides = reach_of(skeleton), sides_of(skeleton.names)
    skull = joints_of_head(skeleton)
    bones = [head_of(skeleton, skull, reach)] if skull else []
    for joint, parent in enumerate(skeleton.parents):
        length = float(skeleton.offsets[joint].norm())
        if parent < 0 or parent in skull or length < 1e-4 * reach:
            continue
        share, least, most = LIMB if sides[joint] else TRUNK
        radius = min(max(share * length, least * reach), most * reach)
        bones.append(Bone(parent, triple(skeleton.offsets[joint]), sides[joint], radius))
    for joint in sorted(set(range(len(skeleton))) - set(skeleton.parents) - set(skull)):
        tip = skeleton.ends.get(joint, (0.0, 0.0, 0.0))
        bones.append(Bone(joint, tip, sides[joint], LIMB[1] * reach, ball=math.hypot(*tip) < 1e-4 * reach))
    return bones


def joints_of_head(skeleton: Skeleton) -> list[int]:
    """The first joint that is called a head, and all that hang on it; none where there is no such joint."""
    skull: list[int] = []
    for joint, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        if parent in skull or (not skull and "head" in name.lower()):
            skull.append(joint)
    return skull


def head_of(skeleton: Skeleton, skull: Sequence[int], reach: float) -> Bone:
    """The ball that is seen of a head: as long as the skeleton says, or else of the usual size."""
    joint = skull[0]
    inner = [triple(skeleton.offsets[child]) for child in skull if skeleton.parents[child] == joint]
    known = [tip for tip in (skeleton.ends.get(joint), *inner[: len(inner) == 1]) if tip is not None]
    tip = next((tip for tip in known if math.hypot(*tip) > 0.08 * reach), None)
    neck = skeleton.offsets[joint]
    if tip is None and float(neck.norm()) > 0:
        tip = triple(neck * (SKULL * reach / neck.norm()))  # the frame of a joint mostly continues the bone before it
    return Bone(joint, tip or (0.0, SKULL * reach, 0.0), 0, HEAD * reach, ball=True)


def triple(vector: Float[Tensor, " 3"]) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z


def bone_ends(
    clip: MotionClip, bones: Sequence[Bone]
) -> tuple[Float[Tensor, "T N 3"], Float[Tensor, "T N 3"], Float[Tensor, "T J 3"]]:
    """Where each bone begins and ends, and where the joints are, in world space in metres."""
    turned, places = forward_kinematics(
        to_matrix(clip.rotations), clip.root, clip.skeleton.offsets, clip.skeleton.parents
    )
    joint = torch.tensor([bone.joint for bone in bones])
    tip = torch.tensor([bone.tip for bone in bones], dtype=places.dtype)
    begins = places[:, joint]
    return begins, begins + (turned[:, joint] @ tip.unsqueeze(-1)).squeeze(-1), places
