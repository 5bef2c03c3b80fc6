"""Rotations from positions: the tree of joints (``maths.kinematics``) turned so that it passes through given places.

Joints that carry two bones or more are turned by the method of Kabsch (Acta Cryst. A 32, 1976); those that carry one
are swung the shorter way, which leaves the twist about the bone open. The twist is then that of the parent, except in
limbs: knees and elbows are hinges, so that the plane in which one bends fixes the twist of the bone above it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.maths import rotation
from kinema.maths.kinematics import joint_positions

NO_LENGTH = 1e-6
"""Metres below which a bone has no direction."""
STRAIGHT, BENT = math.radians(5), math.radians(25)
"""Below the one bend of a limb its plane is not known; above the other it is. Between them the twist fades in."""

SOFT = 0.985
"""Share of a leg's length from which on a target is approached smoothly."""
SURE = 0.02
"""Share of a leg's length that the knee must stand out for the side of its bend to be sure."""


@dataclass(frozen=True, eq=False)
class UsualPose:
    """What `positions_to_rotations` goes by where positions leave the twist open; one for all parts of a motion."""

    local: Float[Tensor, "J 4"]
    """Local rotations of a usual pose, from which single bones are swung."""
    hinges: Float[Tensor, "J 3"]
    """For the bone above a knee or an elbow the hinge's axis in that bone's frame, else zero."""


def positions_to_rotations(
    joints: Float[Tensor, "*B J 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
    usual: UsualPose | None = None,
) -> Float[Tensor, "*B J 4"]:
    """Local quaternions whose forward kinematics, from the root at ``joints[..., 0, :]``, pass nearest to `joints`.

    Bones keep the lengths of `offsets`; each is aimed from where its joint came out, so that errors do not add up along
    a chain. Joints without children are not turned. The root's rotation is that in the frame of `joints`. `usual` is
    `usual_pose` of all of `joints` if not given; give it where a motion is solved in parts.
    """
    return torch.stack(_solve(joints, offsets, parents, usual)[0], -2)


def usual_pose(joints: Float[Tensor, "*B J 3"], offsets: Float[Tensor, "J 3"], parents: Sequence[int]) -> UsualPose:
    """The mean direction of each bone in its parent's frame, and the mean axis of knees and elbows.

    Without it a bone that hangs opposite to how it is drawn in the rest pose would have no shorter way to be swung.
    """
    return _solve(joints, offsets, parents, None)[1]


def usual_pose_of(
    rotations: Float[Tensor, "*B J 4"], offsets: Float[Tensor, "J 3"], parents: Sequence[int]
) -> UsualPose:
    """The usual pose of known local rotations, such as those of a start clip: twists then come out as they are there.

    Rotations are averaged by Markley's method (J. Guidance, Control, and Dynamics 30, 2007).
    """
    each = rotations.reshape(-1, *rotations.shape[-2:])
    local = torch.linalg.eigh(torch.einsum("nji,njk->jik", each, each))[1][..., -1]
    local[0] = local.new_tensor(rotation.IDENTITY)
    axes, children = torch.zeros_like(offsets), _children(parents)
    for joint, hinge in find_hinges(offsets, parents).items():
        lower = rotation.rotate(each[:, hinge], _bones(hinge, children, offsets)[0][1])
        axes[joint] = _mean_axis(offsets[hinge], lower)
    return UsualPose(local, axes)


def fit_residual(
    joints: Float[Tensor, "*B J 3"],
    rotations: Float[Tensor, "*B J 4"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J"]:
    """How far each joint of the rotated skeleton is from where it should be, in metres."""
    return (joint_positions(rotations, joints[..., 0, :], offsets, parents) - joints).norm(dim=-1)


def reach(
    hip: Float[Tensor, "*B 3"],
    knee: Float[Tensor, "*B 3"],
    ankle: Float[Tensor, "*B 3"],
    target: Float[Tensor, "*B 3"],
    ahead: Float[Tensor, "*B 3"] | None = None,
) -> tuple[Float[Tensor, "*B 3"], Float[Tensor, "*B 3"]]:
    """The new knee and ankle of legs whose ankles go to `target`: two bones, solved by the law of cosines.

    Both bones keep their length, the knee keeps its side, and what is at its target does not move. A target near or
    beyond a stretched leg is approached smoothly, in the last 1.5 % of the leg's length; a leg already longer than that
    keeps its reach. A straight leg bends `ahead`, or to some side if that is not given.
    """
    upper, lower = (knee - hip).norm(dim=-1, keepdim=True), (ankle - knee).norm(dim=-1, keepdim=True)
    axis, towards = ankle - hip, target - hip
    now, wanted = axis.norm(dim=-1, keepdim=True), towards.norm(dim=-1, keepdim=True)
    full = upper + lower
    soft = torch.maximum(SOFT * full, now)
    room = (full - soft).clamp_min(NO_LENGTH * full)
    over = (wanted - soft).clamp_min(0)
    far = torch.minimum(wanted, soft) + room * (1 - (-over / room).exp())
    far = torch.minimum(torch.maximum(far, (upper - lower).abs()), full).clamp_min(NO_LENGTH)
    towards = _unit(torch.where(wanted > NO_LENGTH, towards, axis))
    side = rotation.rotate(swing(axis, towards), _side(hip, knee, axis, (target - ankle).norm(dim=-1), full, ahead))
    share = (upper.square() - lower.square() + far.square()) / (2 * far)
    height = (upper.square() - share.square()).clamp_min(0).sqrt()
    return hip + share * towards + height * side, hip + far * towards


def _side(
    hip: Tensor, knee: Tensor, axis: Tensor, moved: Tensor, full: Tensor, ahead: Tensor | None
) -> Float[Tensor, "*B 3"]:
    """The direction in which a leg bends, square to its axis; for a nearly straight leg that moves it nears `ahead`."""
    along = _unit(axis)
    bend = _across(knee - hip, along)
    if ahead is not None:
        doubt = 1 - _smoothstep(bend.norm(dim=-1, keepdim=True) / (SURE * full))
        bend = bend + doubt * torch.minimum(moved.unsqueeze(-1), SURE * full) * _unit(_across(ahead, along))
    return torch.where(bend.norm(dim=-1, keepdim=True) > 1e-12, _unit(bend), square_to(along))


def _across(v: Tensor, along: Tensor) -> Tensor:
    return v - (v * along).sum(-1, keepdim=True) * along


def swing(start: Float[Tensor, "*#B 3"], end: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B 4"]:
    """The least rotation that takes one direction to another; about some square axis where they are opposite.

    Directions need no length of 1; one of no length leaves all as it is.
    """
    a, b = torch.broadcast_tensors(_unit(start), _unit(end))
    middle = a + b
    opposite = middle.norm(dim=-1, keepdim=True) < 1e-9
    middle = _unit(torch.where(opposite, square_to(a), middle))
    q = torch.cat([(a * middle).sum(-1, keepdim=True), torch.linalg.cross(a, middle)], -1)
    still = (a == 0).all(-1, keepdim=True) | (b == 0).all(-1, keepdim=True)
    return torch.where(still, q.new_tensor(rotation.IDENTITY), q)


def square_to(direction: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """A direction square to each: that in the plane of the axis that each is furthest from."""
    away = torch.nn.functional.one_hot(direction.abs().argmin(-1), 3).to(direction.dtype)
    return _unit(torch.linalg.cross(direction, away))


def find_hinges(offsets: Float[Tensor, "J 3"], parents: Sequence[int]) -> dict[int, int]:
    """For each limb the joint above its hinge (hip, upper arm), and the hinge (knee, elbow), by the tree's shape.

    A limb is a chain without branches that is longer than anything beyond its end, so that a spine is none and an arm
    with fingers is one; its hinge is between the two bones whose shorter one is longest.
    """
    children = _children(parents)
    length = offsets.norm(dim=-1).tolist()
    below = [0.0] * len(parents)
    for joint in reversed(range(1, len(parents))):
        below[parents[joint]] = max(below[parents[joint]], length[joint] + below[joint])
    found = {}
    for first in (j for j, p in enumerate(parents) if p >= 0 and len(children[p]) != 1):
        chain = [first]
        while len(children[chain[-1]]) == 1:
            chain += children[chain[-1]]
        bones = [length[joint] for joint in chain[1:]]
        pairs = [min(bones[i], bones[i + 1]) for i in range(len(bones) - 1)]
        if pairs and max(pairs) > NO_LENGTH and sum(bones) > below[chain[-1]]:
            upper = pairs.index(max(pairs))
            found[chain[upper]] = chain[upper + 1]
    return found


def _solve(
    joints: Tensor, offsets: Tensor, parents: Sequence[int], usual: UsualPose | None
) -> tuple[list[Tensor], UsualPose]:
    """Local rotations, joint by joint as the rotation and place of each parent are known, and the usual pose behind."""
    children, limbs = _children(parents), find_hinges(offsets, parents)
    still = joints.new_tensor(rotation.IDENTITY)
    poses = [still] * len(parents) if usual is None else list(usual.local)
    axes = list(torch.zeros_like(offsets) if usual is None else usual.hinges)
    turned: list[Tensor] = []
    places: list[Tensor] = []
    for joint, parent in enumerate(parents):
        above, place = still.expand(*joints.shape[:-2], 4), joints[..., joint, :]
        if parent >= 0:
            above, place = turned[parent], places[parent] + rotation.rotate(turned[parent], offsets[joint])
        bones = _bones(joint, children, offsets)
        towards = [joints[..., child, :] - place for child, _ in bones]
        if usual is None and parent >= 0 and len(bones) == 1:
            poses[joint] = _usual_swing(above, bones[0][1], towards[0])
        own = rotation.multiply(above, poses[joint])
        if len(bones) > 1:
            own = _kabsch(torch.stack([bone for _, bone in bones]), torch.stack(towards, -2))
        elif bones:
            own = rotation.multiply(swing(rotation.rotate(own, bones[0][1]), towards[0]), own)
        if joint in limbs:
            # The plane is that of the bones as they will come out, not as they were seen.
            bone, (beyond, _) = bones[0][1], _bones(limbs[joint], children, offsets)[0]
            lower = joints[..., beyond, :] - place - rotation.rotate(own, bone)
            if usual is None:
                seen = rotation.rotate(rotation.inverse(own), lower)
                axes[joint] = _mean_axis(bone, seen.reshape(-1, 3))
            own = _twist(own, bone, lower, axes[joint])
        turned.append(own)
        places.append(place)
    local = [
        own if p < 0 else rotation.multiply(rotation.inverse(turned[p]), own)
        for p, own in zip(parents, turned, strict=True)
    ]
    return local, UsualPose(torch.stack(poses), torch.stack(axes))


def _children(parents: Sequence[int]) -> list[list[int]]:
    return [[child for child, parent in enumerate(parents) if parent == joint] for joint in range(len(parents))]


def _bones(joint: int, children: list[list[int]], offsets: Tensor) -> list[tuple[int, Tensor]]:
    """The bones that fix a joint's rotation, each with the joint at its end.

    Children at the joint's own place say nothing; where the others do not span a plane, the bones that such children
    carry stand in, as those of a pelvis whose hips are joints of their own. Of bones in one line the longest is taken.
    """
    near = [(child, offsets[child]) for child in children[joint] if float(offsets[child].norm()) > NO_LENGTH]
    if _plane(near):
        return near
    for child in children[joint]:
        if float(offsets[child].norm()) <= NO_LENGTH:
            near = near + _bones(child, children, offsets)
    if _plane(near):
        return near
    return sorted(near, key=lambda bone: -float(bone[1].norm()))[:1]


def _plane(bones: list[tuple[int, Tensor]]) -> bool:
    """Whether the bones do not all lie in one line, to a degree."""
    if len(bones) < 2:
        return False
    return bool(torch.linalg.svdvals(_unit(torch.stack([bone for _, bone in bones])))[1] > 0.02)


def _kabsch(bones: Float[Tensor, "C 3"], towards: Float[Tensor, "*B C 3"]) -> Float[Tensor, "*B 4"]:
    """The rotation that brings the ends of `bones` nearest to `towards`, in the mean of squares."""
    u, _, v = torch.linalg.svd(towards.mT @ bones)
    side = torch.linalg.det(u @ v).unsqueeze(-1)
    flip = torch.cat([torch.ones_like(side), torch.ones_like(side), side], -1)
    return rotation.from_matrix((u * flip.unsqueeze(-2)) @ v)


def _usual_swing(above: Tensor, bone: Tensor, towards: Tensor) -> Float[Tensor, "4"]:
    """The local rotation that brings a bone to its mean direction."""
    mean = _unit(rotation.rotate(rotation.inverse(above), towards)).reshape(-1, 3).mean(0)
    return swing(bone, mean)


def _mean_axis(bone: Float[Tensor, "3"], lower: Float[Tensor, "N 3"]) -> Float[Tensor, "3"]:
    """The mean axis of the bends between two bones, square to the first; zero where they bend all ways."""
    axes = torch.linalg.cross(bone.expand_as(lower), lower)
    mean = axes.mean(0)
    return _unit(mean) * (mean.norm() > 0.3 * axes.norm(dim=-1).mean())


def _twist(own: Tensor, bone: Tensor, lower: Tensor, hinge: Tensor) -> Float[Tensor, "*B 4"]:
    """The rotation twisted about its bone so that the hinge is square to the plane of the bend."""
    along = _unit(bone).expand_as(lower)
    beyond = _unit(rotation.rotate(rotation.inverse(own), lower))
    axis = torch.linalg.cross(along, beyond)
    bend = torch.atan2(axis.norm(dim=-1), (along * beyond).sum(-1))
    angle = torch.atan2(
        (torch.linalg.cross(hinge.expand_as(axis), axis) * along).sum(-1), (hinge.expand_as(axis) * axis).sum(-1)
    )
    # A limb that is a little over-stretched bends to the other side: that is no twist of half a turn.
    start = STRAIGHT + (BENT - STRAIGHT) * (1 - angle.cos()) / 2
    half = 0.5 * angle * _smoothstep((bend - start) / (BENT - STRAIGHT))
    turn = torch.cat([half.cos().unsqueeze(-1), half.sin().unsqueeze(-1) * along], -1)
    return rotation.multiply(own, turn)


def _unit(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """The direction; zero for what has none."""
    length = v.norm(dim=-1, keepdim=True)
    return torch.where(length > 1e-12, v / length.clamp_min(1e-12), torch.zeros_like(v))


def _smoothstep(share: Tensor) -> Tensor:
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)
