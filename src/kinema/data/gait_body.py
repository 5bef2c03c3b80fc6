"""The body that follows a plan of footsteps: feet first, then the pelvis, legs by inverse kinematics, trunk and arms.

A foot turns about its heel from the time the heel comes down until it is flat, stands, and turns about the joint of
its toes while the heel rises; where it touches the ground it does not move. The legs are two bones with a hinge that
bends one way only, solved by the law of cosines.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kinema.data.gait_path import SIDE, Plan, Steps, named
from kinema.maths.rotation import from_matrix
from kinema.motion import Skeleton

THIGH, SHIN, HIP = 0.42, 0.42, (0.09, -0.02, 0.0)
"""Lengths of the leg's bones, and the left hip joint from the middle of the pelvis; metres."""
TOE, HEEL = (0.0, -0.06, 0.14), (0.0, -0.08, -0.05)
"""From the ankle, in a foot that stands flat; metres."""
SOLE = 0.02
"""Height of the toe joint over the ground; metres."""
STRAIGHT, FULL = 0.988 * (THIGH + SHIN), 0.998 * (THIGH + SHIN)
"""From hip to ankle: a standing leg is no longer than the first, and none is longer than the second."""
BEND = (1.15, 1.35)
"""From where on the bend of the toes against the foot gives way, and its limit; radians."""
NOTICE = 4 / 60
"""How long before a standing leg would be too short the pelvis begins to sink, halved; seconds."""


def _tree() -> Skeleton:
    middle = {
        "Hips": ("", (0.0, 0.0, 0.0)),
        "Spine": ("Hips", (0.0, 0.10, -0.01)),
        "Chest": ("Spine", (0.0, 0.16, 0.0)),
        "Neck": ("Chest", (0.0, 0.25, 0.0)),
        "Head": ("Neck", (0.0, 0.10, 0.02)),
    }
    leg = {"UpLeg": HIP, "Leg": (0.0, -THIGH, 0.0), "Foot": (0.0, -SHIN, 0.0), "ToeBase": TOE}
    arm = {
        "Shoulder": (0.03, 0.19, 0.0),
        "Arm": (0.15, 0.01, 0.0),
        "ForeArm": (0.28, 0.0, 0.0),
        "Hand": (0.25, 0.0, 0.0),
    }
    rows = [("Hips", *middle.pop("Hips"))]
    for limb, start in ((leg, "Hips"), (arm, "Chest")):
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            parents = [start, *(side + part for part in limb)]
            rows += [
                (side + part, parent, (sign * x, y, z))
                for parent, (part, (x, y, z)) in zip(parents, limb.items(), strict=False)
            ]
        if limb is leg:
            rows += [(name, *row) for name, row in middle.items()]
    names = tuple(name for name, _, _ in rows)
    ends = {"LeftToeBase": (0.0, 0.0, 0.06), "RightToeBase": (0.0, 0.0, 0.06), "Head": (0.0, 0.18, 0.02)}
    ends |= {"LeftHand": (0.16, 0.0, 0.0), "RightHand": (-0.16, 0.0, 0.0)}
    return Skeleton(
        names,
        tuple(names.index(parent) if parent else -1 for _, parent, _ in rows),
        torch.tensor([offset for _, _, offset in rows], dtype=torch.float64),
        {names.index(name): end for name, end in ends.items()},
    )


SKELETON = _tree()
"""An adult of 1.72 m in a T-pose: 21 joints, the order of the Edinburgh locomotion data."""


@dataclass(frozen=True)
class Feet:
    """Both feet (left, right), as planned."""

    ankle: Float[Tensor, "T 2 3"]
    turned: Float[Tensor, "T 2 3 3"]
    """World rotations of the feet."""
    toes: Float[Tensor, "T 2 3 3"]
    """World rotations of the toes."""
    yaw: Float[Tensor, "T 2"]
    stands: Bool[Tensor, "T 2"]
    """Whether the toes stand."""
    touches: Bool[Tensor, "T 2"]
    """Whether toes or heel do."""


def make_body(
    plan: Plan, steps: Steps
) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T J 4"], Float[Tensor, "T 2"], Float[Tensor, " T"]]:
    """Root positions, local quaternions, contacts of the toes, and phase in [0, 1), for the frames of the clip."""
    margin = 2 * _notice(plan.fps)
    rows = slice(plan.frames.start - margin, plan.frames.stop + margin)
    phase = plan.phase[rows]
    numbers = named(plan.numbers[rows])
    feet = make_feet(phase, steps)
    trunk = _trunk(plan, rows, numbers)
    root = _root(plan, rows, numbers, feet, trunk[:, 0])
    legs = _legs(root, trunk[:, 0], feet, plan.heading[rows])
    arms = _arms(trunk[:, 2], phase, numbers)
    world = torch.cat([trunk[:, :1], legs, trunk[:, 1:], arms], 1)
    above = world[:, [max(parent, 0) for parent in SKELETON.parents]].transpose(-1, -2)
    local = torch.cat([world[:, :1], (above @ world)[:, 1:]], 1)
    clip = slice(margin, len(phase) - margin)
    return root[clip], from_matrix(local[clip]), feet.stands[clip].double(), (phase % 1)[clip]


def make_feet(phase: Float[Tensor, " T"], steps: Steps) -> Feet:
    """Where the feet are at phases of the plan."""
    own = phase[:, None] - torch.tensor([0.0, 0.5], dtype=torch.float64)
    step = own.long().clamp(0, len(steps.place) - 2)
    share = own - step
    side = torch.tensor([0, 1]).expand_as(step)
    now, after = named(steps.numbers[step, side]), named(steps.numbers[step + 1, side])
    lands = 1 - after["lead"]
    swing = ((share - now["duty"]) / (lands - now["duty"])).clamp(0, 1)

    moved = _ease(swing)
    yaw = torch.lerp(steps.yaw[step, side], steps.yaw[step + 1, side], moved)
    pitch = _pitch(share, now, after)
    turned = matrices(yaw, torch.zeros_like(yaw), pitch)
    # From heel strike to the flat foot the pivot is the heel, from there to the end of stance the toe; in swing the
    # point of the sole whose path is planned moves from one to the other.
    pivot = torch.lerp(_vector(TOE), _vector(HEEL), _ease(((swing - 0.3) / 0.7).clamp(0, 1))[..., None])
    pointing = torch.stack([steps.yaw[step + 1, side].sin(), steps.yaw[step + 1, side].cos()], -1)
    heel = steps.place[step + 1, side] + (HEEL[2] - TOE[2]) * pointing
    across = torch.lerp(steps.place[step, side], heel, moved[..., None])
    # In a curve the foot goes along the arc: on the chord it would hit the leg that stands inside of it.
    chord, bow = heel - steps.place[step, side], (steps.yaw[step + 1, side] - steps.yaw[step, side]) / 2
    right = torch.stack([-chord[..., 1], chord[..., 0]], -1)
    across = across + (bow * moved * (1 - moved))[..., None] * right
    height = SOLE * (1 - moved) + now["clearance"] * swing**3 * (1 - swing) ** 2 / (0.6**3 * 0.4**2)
    planned = torch.stack([across[..., 0], height, across[..., 1]], -1)
    ankle = planned - _apply(turned, pivot)
    # Toes lie flat while the heel rises over them, and straighten in swing.
    straight = torch.where(share < now["duty"], 0.0, _ease(((swing - 0.1) / 0.6).clamp(0, 1)))
    toes = matrices(yaw, torch.zeros_like(yaw), pitch - _limited(pitch * (1 - straight), *BEND))
    stands = share <= now["duty"]
    return Feet(ankle, turned, toes, yaw, stands, stands | (share >= lands))


def _pitch(share: Float[Tensor, "T 2"], now: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Float[Tensor, "T 2"]:
    """Pitch of the foot over a stride, heel up positive: quintic Hermite curves between events."""
    duty, lands = now["duty"], 1 - after["lead"]
    swing, nil, strike = lands - duty, torch.zeros_like(share), -after["strike"]
    times = [nil, now["rise"] * duty, duty, duty + 0.22 * swing, duty + 0.66 * swing, lands, nil + 1]
    values = [nil, nil, now["heel_off"], now["kick"], now["carry"], strike, nil]
    slopes = [
        nil,
        nil,
        now["kick"] / (times[3] - times[1]),
        nil,
        (strike - now["kick"]) / (times[5] - times[3]),
        nil,
        nil,
    ]
    knots = torch.stack(times, -1)
    piece = ((share[..., None] >= knots).sum(-1) - 1).clamp(0, len(times) - 2)[..., None]

    def pick(rows: list[Tensor], offset: int) -> Tensor:
        return torch.stack(rows, -1).gather(-1, piece + offset).squeeze(-1)

    begin, end = pick(times, 0), pick(times, 1)
    s, width = (share - begin) / (end - begin), end - begin
    low, high = pick(values, 0), pick(values, 1)
    value = torch.lerp(low, high, s**3 * (10 - 15 * s + 6 * s * s))
    start, stop = s * (1 - s * s * (6 - 8 * s + 3 * s * s)), s**3 * (-4 + 7 * s - 3 * s * s)
    return value + width * (start * pick(slopes, 0) + stop * pick(slopes, 1))


def _trunk(plan: Plan, rows: slice, numbers: Mapping[str, Tensor]) -> Float[Tensor, "T 5 3 3"]:
    """World rotations of hips, spine, chest, neck and head."""
    phase, heading = 2 * math.pi * plan.phase[rows], plan.heading[rows]
    # The eyes are ahead of the feet.
    ahead = min(round(0.25 * plan.fps), len(plan.heading) - rows.stop)
    look = plan.heading[rows.start + ahead : rows.stop + ahead]
    bank = -0.6 * torch.atan(plan.speed[rows] * plan.turn[rows] / 9.81)
    # Left heel strike is a little before phase 0: then the left hip and the right shoulder are in front.
    swing, listing = torch.cos(phase + 0.25), torch.cos(phase - 0.4 * math.pi) * numbers["list"]
    lean = numbers["lean"] * (1 + 0.15 * torch.cos(2 * phase + 0.5))
    hips = (heading - numbers["yaw"] * swing, listing + 0.5 * bank, 0.3 * lean)
    chest = (heading + numbers["twist"] * swing, bank - 0.4 * listing, lean)
    head = (0.6 * look + 0.4 * heading, 0.4 * bank, 0.25 * lean + numbers["nod"])
    spine, neck = [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in ((hips, chest), (chest, head))]
    yaw, roll, pitch = (torch.stack(angle, -1) for angle in zip(hips, spine, chest, neck, head, strict=True))
    return matrices(yaw, roll, pitch)


def _root(
    plan: Plan, rows: slice, numbers: Mapping[str, Tensor], feet: Feet, hips: Float[Tensor, "T 3 3"]
) -> Float[Tensor, "T 3"]:
    """The pelvis over the path; it sways, bobs, and is as low as the standing legs need."""
    phase, heading = 2 * math.pi * plan.phase[rows], plan.heading[rows]
    middle = math.pi * numbers["duty"]
    sway = numbers["sway"] * torch.cos(phase - middle)
    ground = plan.ground[rows] + sway[:, None] * torch.stack([heading.cos(), -heading.sin()], -1)
    height = numbers["height"] + numbers["bob"] * torch.cos(2 * (phase - middle))
    root = torch.stack([ground[:, 0], height, ground[:, 1]], -1)
    hip = root[:, None] + _apply(hips[:, None], _hips())
    away = (feet.ankle - hip)[..., [0, 2]].square().sum(-1)
    most = feet.ankle[..., 1] + (STRAIGHT**2 - away).clamp(min=0.09).sqrt()
    over = torch.where(feet.touches, hip[..., 1] - most, 0.0).clamp(min=0).amax(-1)
    # The greatest near each frame, then a mean over as many: smooth, and nowhere less than what is needed.
    half = _notice(plan.fps)
    high = torch.nn.functional.max_pool1d(over[None, None], 2 * half + 1, 1, half)
    weight = torch.hann_window(2 * half + 3, periodic=False, dtype=torch.float64)[1:-1]
    padded = torch.nn.functional.pad(high, (half, half), mode="replicate")
    lower = torch.nn.functional.conv1d(padded, (weight / weight.sum())[None, None])[0, 0]
    return root - lower[:, None] * _vector((0.0, 1.0, 0.0))


def _notice(fps: float) -> int:
    return max(1, round(NOTICE * fps))


def _legs(
    root: Float[Tensor, "T 3"], hips: Float[Tensor, "T 3 3"], feet: Feet, heading: Float[Tensor, " T"]
) -> Float[Tensor, "T 8 3 3"]:
    """World rotations of thighs, shins, feet and toes, the left leg's first."""
    hip = root[:, None] + _apply(hips[:, None], _hips())
    to_ankle = feet.ankle - hip
    distance = to_ankle.norm(dim=-1, keepdim=True)
    down = to_ankle / distance
    reach = _limited(distance, STRAIGHT, FULL)
    # The knee points where hips and foot point in the mean.
    facing = (heading[:, None] + feet.yaw) / 2
    pole = torch.stack([facing.sin(), torch.zeros_like(facing), facing.cos()], -1)
    front = torch.nn.functional.normalize(pole - (pole * down).sum(-1, keepdim=True) * down, dim=-1)
    cos = (THIGH**2 + reach**2 - SHIN**2) / (2 * THIGH * reach)
    thigh = cos * down + (1 - cos**2).clamp(min=0).sqrt() * front
    shin = (reach * down - THIGH * thigh) / SHIN
    hinge = torch.linalg.cross(front, down)
    bones = [torch.stack([hinge, -bone, torch.linalg.cross(bone, hinge)], -1) for bone in (thigh, shin)]
    # Columns are the bones' axes: the hinge to the left, the bone upwards, and what is in front: X x Y = Z.
    return torch.stack([*bones, feet.turned, feet.toes], 2).flatten(1, 2)


def _arms(
    chest: Float[Tensor, "T 3 3"], phase: Float[Tensor, " T"], numbers: Mapping[str, Tensor]
) -> Float[Tensor, "T 8 3 3"]:
    """World rotations of shoulders, upper arms, forearms and hands, the left arm's first."""
    swing = -torch.cos(2 * math.pi * phase + 0.25)[:, None] * SIDE
    raised = numbers["reach"][:, None] + numbers["arm"][:, None] * swing
    bend = numbers["elbow"][:, None] + numbers["elbow_swing"][:, None] * swing
    down = SIDE * (numbers["spread"][:, None] - 0.5 * math.pi)
    # The chest leans, but arms hang.
    upper = chest[:, None] @ _about(0, -raised) @ _about(2, down)
    inward = 0.12 + 0.25 * bend
    fore = upper @ _about(0, inward) @ _about(1, -SIDE * bend)
    shoulder = chest[:, None].expand_as(upper)
    return torch.stack([shoulder, upper, fore, fore], 2).flatten(1, 2)


def matrices(
    yaw: Float[Tensor, "*T"], roll: Float[Tensor, "*T"], pitch: Float[Tensor, "*T"]
) -> Float[Tensor, "*T 3 3"]:
    """World rotations: first a pitch about X (what is up goes forward), then a roll about Z, then a yaw about Y."""
    return _about(1, yaw) @ _about(2, roll) @ _about(0, pitch)


def _about(axis: int, angle: Float[Tensor, "*T"]) -> Float[Tensor, "*T 3 3"]:
    matrix = torch.zeros(*angle.shape, 3, 3, dtype=angle.dtype)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = angle.cos(), angle.sin()
    matrix[..., axis, axis] = 1
    matrix[..., i, i], matrix[..., j, j] = cos, cos
    matrix[..., j, i], matrix[..., i, j] = sin, -sin
    return matrix


def _ease(share: Tensor) -> Tensor:
    """From 0 to 1, its speed proportional to 1 - |x|^3 for x from -1 to 1: a little steadier than the smoothstep."""
    x = 2 * share - 1
    return 0.5 + 2 / 3 * x * (1 - x.abs() ** 3 / 4)


def _limited(value: Tensor, start: float, limit: float) -> Tensor:
    """The value, smoothly kept below `limit` where it exceeds `start`."""
    slack = limit - start
    return torch.where(value > start, start + slack * torch.tanh((value - start) / slack), value)


def _apply(matrix: Float[Tensor, "*#T 3 3"], vector: Float[Tensor, "*#T 3"]) -> Float[Tensor, "*T 3"]:
    return (matrix @ vector[..., None]).squeeze(-1)


def _hips() -> Float[Tensor, "2 3"]:
    return torch.stack([_vector(HIP), _vector(HIP) * _vector((-1.0, 1.0, 1.0))])


def _vector(values: tuple[float, float, float]) -> Float[Tensor, "3"]:
    return torch.tensor(values, dtype=torch.float64)
