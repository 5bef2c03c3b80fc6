"""Feet that stand where they stand: a toe that touches the ground is held at one place, and its leg follows.

A stance is a stretch of frames in which a foot touches the ground. In it the toe is moved, along the ground, to the
stance's mean place, and keeps its height, so that the foot rolls on as it did. Before and after it the correction dies
away along a cubic that keeps place and speed continuous (inertialisation, as Bollo, GDC 2018, does for transitions).
The ankle makes the toe's move, so that the foot keeps its slope and the heel still comes off, and hip, knee and ankle
are solved by `inverse_kinematics.reach`. Bones keep their length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from kinema.maths import rotation
from kinema.maths.inverse_kinematics import reach, swing
from kinema.maths.kinematics import forward_kinematics


@dataclass(frozen=True)
class Leg:
    """The joints of a leg, as numbers."""

    hip: int
    """The upper end of the thigh."""
    knee: int
    ankle: int
    toe: int
    """The joint that the toes turn about, or the ankle where a skeleton has no other."""
    beyond: tuple[int, ...] = ()
    """Further joints of the foot, which move with the toe; `lock_rotations` needs none."""


@dataclass(frozen=True)
class LockStyle:
    """How firmly and how softly feet are held."""

    begin: float = 0.5
    """The contact above which a stance begins."""
    end: float = 0.3
    """The contact below which it ends."""
    shortest: float = 0.1
    """Seconds below which a contact is no stance."""
    blend: float = 0.15
    """Seconds before and after a stance in which its correction comes and goes."""
    most: float = 0.25
    """Metres that a foot is moved at most: a contact that is not true must not tear a leg."""


def lock_feet(
    joints: Float[Tensor, "*B T J 3"],
    contacts: Float[Tensor, "*B T L"],
    legs: Sequence[Leg],
    fps: float,
    floor: float = 0.0,
    style: LockStyle | None = None,
) -> Float[Tensor, "*B T J 3"]:
    """World positions with the toes held where they stand.

    `contacts` (0 to 1) has a column for each of `legs`. `floor` is the height of a toe on the ground, in metres: no toe
    or ankle comes out lower. Frames further than the blend from a stance, and above the floor, stay as they are.
    """
    hip, knee, ankle, toe = _legs(joints, legs)
    move = _moves(ankle, toe, contacts, fps, floor, style or LockStyle())
    new_knee, new_ankle, new_toe = _plant(hip, knee, ankle, toe, move)
    places = list(joints.unbind(-2))
    for side, leg in enumerate(legs):
        for joint in leg.beyond:
            places[joint] = places[joint] + (new_toe - toe)[..., side, :]
        # The ankle comes last: it is the toe too where there is no other.
        for joint, new in ((leg.toe, new_toe), (leg.knee, new_knee), (leg.ankle, new_ankle)):
            places[joint] = new[..., side, :]
    return torch.stack(places, -2)


def lock_rotations(
    rotations: Float[Tensor, "*B T J 4"],
    root: Float[Tensor, "*B T 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
    contacts: Float[Tensor, "*B T L"],
    legs: Sequence[Leg],
    fps: float,
    floor: float = 0.0,
    style: LockStyle | None = None,
) -> Float[Tensor, "*B T J 4"]:
    """Local quaternions with the toes held where they stand: of hips, knees and ankles; all others stay as they are.

    The root's rotation and place are those in the world; the rest is as in `lock_feet`. The foot keeps its rotation in
    the world, unless the leg is too short for its toe to get there otherwise.
    """
    matrices, joints = forward_kinematics(rotation.to_matrix(rotations), root, offsets, parents)
    old = _legs(joints, legs)
    move = _moves(old[2], old[3], contacts, fps, floor, style or LockStyle())
    hip, knee, ankle, toe = old
    new_knee, new_ankle, new_toe = _plant(hip, knee, ankle, toe, move)
    whole = swing(ankle - hip, new_ankle - hip)
    thigh = _follow(whole, knee - hip, new_knee - hip)
    shin = _follow(whole, ankle - knee, new_ankle - new_knee)
    foot = swing(toe - ankle, new_toe - new_ankle)
    local = list(rotations.unbind(-2))
    for side, leg in enumerate(legs):
        turns = [turn[..., side, :] for turn in (thigh, shin, foot)]
        above = torch.zeros_like(turns[0]) + turns[0].new_tensor(rotation.IDENTITY)
        for joint, turn in zip((leg.hip, leg.knee, leg.ankle), turns, strict=True):
            world = [rotation.from_matrix(matrices[..., j, :, :]) for j in (parents[joint], joint)]
            parent, own = rotation.multiply(above, world[0]), rotation.multiply(turn, world[1])
            solved = rotation.multiply(rotation.inverse(parent), own)
            # Equal rotations have two signs: the given one is kept, so that curves do not jump.
            local[joint] = torch.where((solved * local[joint]).sum(-1, keepdim=True) < 0, -solved, solved)
            above = turn
    return torch.stack(local, -2)


def stances(contacts: Float[Tensor, "*B T L"], fps: float, style: LockStyle | None = None) -> Bool[Tensor, "*B T L"]:
    """Whether each foot stands: contacts with hysteresis, short ones left out."""
    style = style or LockStyle()
    contact = contacts.movedim(-2, -1)
    event = (contact >= style.begin).int() - (contact < style.end).int()
    time = torch.arange(contact.shape[-1], device=contact.device)
    latest = torch.where(event != 0, time, 0).cummax(-1).values
    standing = event.gather(-1, latest) > 0
    number = _numbers(standing)
    count = F.pad(torch.zeros_like(number), (0, 1)).scatter_add(-1, number, torch.ones_like(number))
    long = count.gather(-1, number) >= max(2, round(style.shortest * fps))
    return (standing & long).movedim(-1, -2)


def _legs(joints: Tensor, legs: Sequence[Leg]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hips, knees, ankles and toes, each (..., T, L, 3)."""
    rows = [[getattr(leg, name) for leg in legs] for name in ("hip", "knee", "ankle", "toe")]
    hip, knee, ankle, toe = (joints[..., row, :] for row in rows)
    return hip, knee, ankle, toe


def _numbers(standing: Bool[Tensor, "*B T"]) -> Int[Tensor, "*B T"]:
    """The number of the stance that each frame is of, from 1 on; 0 for none."""
    before = torch.cat([torch.zeros_like(standing[..., :1]), standing[..., :-1]], -1)
    return (standing & ~before).long().cumsum(-1) * standing


def _moves(
    ankle: Tensor, toe: Tensor, contacts: Tensor, fps: float, floor: float, style: LockStyle
) -> Float[Tensor, "*B T L 3"]:
    """How far each toe goes, in metres."""
    standing = stances(contacts, fps, style).movedim(-1, -2)
    pulled = _pulls(toe.movedim(-2, -3), standing, style.blend * fps).movedim(-3, -2)
    length = pulled.norm(dim=-1, keepdim=True)
    pulled = pulled * (style.most / length.clamp_min(style.most))
    height = torch.minimum(toe[..., 1], ankle[..., 1]) + pulled[..., 1]
    lift = (floor - height).clamp_min(0)
    return pulled + torch.stack([torch.zeros_like(lift), lift, torch.zeros_like(lift)], -1)


def _pulls(toe: Float[Tensor, "*B T 3"], standing: Bool[Tensor, "*B T"], blend: float) -> Float[Tensor, "*B T 3"]:
    """From each toe to where it is held on the ground, and between stances what is left of that; `blend` in frames."""
    number = _numbers(standing).unsqueeze(-1).expand_as(toe)
    none = F.pad(torch.zeros_like(toe), (0, 0, 0, 1))
    count = none.scatter_add(-2, number, torch.ones_like(toe))
    held = (none.scatter_add(-2, number, toe) / count.clamp_min(1)).gather(-2, number)
    along = toe.new_tensor([1.0, 0.0, 1.0])
    pull = torch.where(standing.unsqueeze(-1), (held - toe) * along, torch.zeros_like(toe))

    last = standing.shape[-1] - 1
    time = torch.arange(last + 1, device=toe.device)
    ended = torch.where(standing, time, -1).cummax(-1).values
    begins = torch.where(standing, time, 2 * last + 2).flip(-1).cummin(-1).values.flip(-1)
    gap = torch.where((ended >= 0) & (begins <= last), begins - ended, 2 * last + 2)
    span = gap.to(toe.dtype).clamp(max=blend).unsqueeze(-1)
    left = _decay(pull, ended, -1, (time - ended).unsqueeze(-1) / span, span)
    come = _decay(pull, begins, 1, (begins - time).unsqueeze(-1) / span, span)
    between = torch.where((ended >= 0).unsqueeze(-1), left, 0) + torch.where((begins <= last).unsqueeze(-1), come, 0)
    return torch.where(standing.unsqueeze(-1), pull, between)


def _decay(
    pull: Float[Tensor, "*B T 3"], edge: Int[Tensor, "*B T"], inner: int, share: Tensor, span: Tensor
) -> Float[Tensor, "*B T 3"]:
    """The pull at frame `edge` and its change per frame, carried on and let die away as `share` goes from 0 to 1."""
    last = edge.shape[-1] - 1
    value = pull.gather(-2, edge.clamp(0, last).unsqueeze(-1).expand_as(pull))
    beside = pull.gather(-2, (edge + inner).clamp(0, last).unsqueeze(-1).expand_as(pull))
    u = share.clamp(0, 1)
    return (1 - u).square() * ((1 + 2 * u) * value + u * span * (value - beside))


def _plant(hip: Tensor, knee: Tensor, ankle: Tensor, toe: Tensor, move: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Knees, ankles and toes of legs whose feet make a move; feet that are not moved stay exactly as they are."""
    foot = toe - ankle
    new_knee, new_ankle = reach(hip, knee, ankle, ankle + move, foot)
    # An ankle that falls short is made good by pointing the foot at the toe's place.
    aim = swing(foot, toe + move - new_ankle)
    still = (move == 0).all(-1, keepdim=True)
    new_knee, new_ankle = torch.where(still, knee, new_knee), torch.where(still, ankle, new_ankle)
    return new_knee, new_ankle, torch.where(still, toe, new_ankle + rotation.rotate(aim, foot))


def _follow(whole: Tensor, bone: Tensor, new: Tensor) -> Float[Tensor, "*B 4"]:
    """The rotation of a bone that turns with its leg and then, in the leg's plane, on to where it should point."""
    return rotation.multiply(swing(rotation.rotate(whole, bone), new), whole)
