"""BVH as motion: what its numbers mean, with units, axes and roots that differ from program to program.

A joint's position channels replace its OFFSET, axis by axis. Rotation channels are intrinsic, in the file's order:
``Zrotation Xrotation Yrotation`` is R = R_z R_x R_y, acting on columns. What is written is what every reader takes
alike: six channels at a ROOT with OFFSET 0 0 0, three rotations at every other joint, End Sites, centimetres, Y up.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError, ConfigError
from kinema.files.bvh import Bvh, Vector, format_head, read_bvh, write_bvh
from kinema.files.bvh_numbers import format_rows
from kinema.files.guard import writing
from kinema.maths.kinematics import forward_kinematics
from kinema.maths.rotation import IDENTITY, multiply, rotate, to_euler, to_matrix
from kinema.motion import MotionClip, Skeleton

UNITS = {
    "metres": 1.0,
    "decimetres": 0.1,
    "units of 5.644 cm, as in the CMU data,": 0.05644,
    "inches": 0.0254,
    "centimetres": 0.01,
    "millimetres": 0.001,
}
"""The units of length that are tried, in metres."""
ADULT = (1.0, 1.7, 2.3)
"""The least, the usual and the greatest height of a body between its lowest and its highest joint, in metres."""
STILL = 1e-3
"""How far a joint may move against its parent before it counts as moving, in metres."""
LOOKED_AT = 64
"""How many frames, spread over the motion, tell units and axes."""
FARTHEST = 1e9
"""The longest way from parent to joint, in whatever unit, that is taken for one."""
MAX_PLACES = 2**26
"""The most frames times joints of a motion: 4 GB of places and rotations."""
Z_TO_Y = (0.5**0.5, -(0.5**0.5), 0.0, 0.0)
"""The turn that brings Z up to where Y was."""
ROOT_CHANNELS = ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")


def read_motion(path: Path, *, scale: float | None = None, up: str | None = None) -> MotionClip:
    """The motion of a BVH file, as `to_motion` takes it. Raises FileError where the file is damaged."""
    return to_motion(read_bvh(path), str(path), scale=scale, up=up)


def write_motion(clip: MotionClip, path: Path) -> None:
    """Writes the motion as BVH in centimetres. Raises FileError."""
    write_bvh(from_motion(clip), path)


def write_motion_blocks(blocks: Iterator[MotionClip], frames: int, path: Path) -> None:
    """Writes one body's motion of so many frames, which comes in blocks, in memory that does not grow with them.

    Raises FileError where it cannot be written or the blocks hold another number of frames.
    """
    done, last = 0, None
    with writing(path) as (part,), part.open("wb") as file:
        for block in blocks:
            bvh = from_motion(block)
            values = bvh.values.copy()
            if last is None:
                file.write(format_head(bvh, frames))
            else:  # angles go on where the block before ended, rather than jump by a turn
                values[:, 3:] += 360 * np.round((last - values[0, 3:]) / 360)
            file.write(format_rows(values))
            done, last = done + len(values), values[-1, 3:]
        if done != frames:
            raise ValueError(f"{done} frames came; {frames} were said to")


def to_motion(bvh: Bvh, name: str, *, scale: float | None = None, up: str | None = None) -> MotionClip:
    """The motion of a skeleton of fixed bones, in metres and Y up; `notes` say what was found, changed and left out.

    `scale` is the file's unit of length in metres and `up` its vertical axis, Y or Z; None: as the body's height and
    posture tell. Where a joint below the first one carries the body, with nothing beside it, it becomes the root, and
    what stands above it is composed into its motion. Other joints that move against their parents stay at their mean
    place. Raises ClipError for two joints of one name and for absurd sizes, ConfigError for a scale or an axis that
    cannot be.
    """
    if scale is not None and not 0 < scale < float("inf"):
        raise ConfigError(f"{name}: scale is {scale}; the metres of the file's unit are needed, such as 0.01")
    if up not in (None, "Y", "Z"):
        raise ConfigError(f"{name}: up is {up!r}; write Y or Z")
    if len(set(bvh.names)) < len(bvh.names):
        twice = next(joint for joint in bvh.names if bvh.names.count(joint) > 1)
        raise ClipError(f"{name}: two joints are called {twice!r}; each needs a name of its own")
    if len(bvh) * len(bvh.names) > MAX_PLACES:
        raise ClipError(f"{name}: {len(bvh)} frames of {len(bvh.names)} joints are too many; cut it into shorter files")
    places, rotations, notes = local_places(bvh), local_rotations(bvh), []
    if (farthest := float(places.abs().max())) > FARTHEST:
        raise ClipError(f"{name}: a joint is {farthest:.3g} units from its parent; that is no body")
    if scale is None or up is None:
        seen = np.unique(np.linspace(0, len(bvh) - 1, LOOKED_AT).astype(int))
        trunk = trunk_of(bvh.parents)
        body = world_places(places[seen], rotations[seen], bvh.parents)[:, trunk:]
        up = up or told_up(body, bvh.names[trunk:], notes)
        scale = scale or told_scale(body[..., "XYZ".index(up)], notes)
    places = places * scale
    moves = (places.amax(0) - places.amin(0)).norm(dim=-1)
    first = carrier(bvh.parents, moves)
    place, turn = composed(places[:, : first + 1], rotations[:, : first + 1])
    if up == "Z":
        upright = torch.tensor(Z_TO_Y, dtype=torch.float64)
        place, turn = rotate(upright, place), multiply(upright, turn)
    rotations = torch.cat([turn.unsqueeze(1), rotations[:, first + 1 :]], 1)
    note_moving(bvh, first, moves, notes)
    skeleton = fixed_skeleton(bvh, first, places, scale, notes)
    return MotionClip(skeleton, place, rotations, fps=rate_of(bvh.frame_time), name=name, notes=tuple(notes))


def local_places(bvh: Bvh) -> Float[Tensor, "T J 3"]:
    """Where each joint is in its parent's frame, in the file's unit: its OFFSET, but for its position channels."""
    places = np.repeat(bvh.offsets[None], len(bvh), 0)
    columns, joints, axes = [], [], []
    for column, (joint, channel) in enumerate(all_channels(bvh)):
        if channel.endswith("position"):
            columns.append(column)
            joints.append(joint)
            axes.append("XYZ".index(channel[0]))
    if columns:
        places[:, joints, axes] = bvh.values[:, columns]
    return torch.from_numpy(places)


def local_rotations(bvh: Bvh) -> Float[Tensor, "T J 4"]:
    """The joints' rotations in their parents' frames; of joints without rotation channels none."""
    turned: dict[str, tuple[list[int], list[list[int]]]] = {}
    column = 0
    for joint, names in enumerate(bvh.channels):
        own = [(channel[0], column + i) for i, channel in enumerate(names) if channel.endswith("rotation")]
        joints, columns = turned.setdefault("".join(axis for axis, _ in own), ([], []))
        joints.append(joint)
        columns.append([place for _, place in own])
        column += len(names)
    rotations = torch.tensor(IDENTITY, dtype=torch.float64).repeat(len(bvh), len(bvh.names), 1)
    for axes, (joints, columns) in turned.items():
        angles = torch.from_numpy(np.deg2rad(bvh.values[:, columns]))
        for i, axis in enumerate(axes):
            turn = about(axis, angles[..., i])
            rotations[:, joints] = turn if i == 0 else multiply(rotations[:, joints], turn)
    return rotations


def all_channels(bvh: Bvh) -> list[tuple[int, str]]:
    """For each column of the motion the joint and the channel."""
    return [(joint, channel) for joint, names in enumerate(bvh.channels) for channel in names]


def about(axis: str, angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
    """A turn about X, Y or Z."""
    parts = [torch.cos(angle / 2), *(torch.zeros_like(angle) for _ in range(3))]
    parts[1 + "XYZ".index(axis)] = torch.sin(angle / 2)
    return torch.stack(parts, -1)


def composed(
    places: Float[Tensor, "T K 3"], rotations: Float[Tensor, "T K 4"]
) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T 4"]]:
    """World place and rotation of the last joint of a chain."""
    place, turn = places[:, 0], rotations[:, 0]
    for joint in range(1, places.shape[1]):
        place = place + rotate(turn, places[:, joint])
        turn = multiply(turn, rotations[:, joint])
    return place, turn


def world_places(
    places: Float[Tensor, "T J 3"], rotations: Float[Tensor, "T J 4"], parents: Sequence[int]
) -> Float[Tensor, "T J 3"]:
    """World places of joints that may also move against their parents: ``x_j = x_parent + R_parent p_j``."""
    turned, _ = forward_kinematics(to_matrix(rotations), places[:, 0], places[0], parents)
    steps = (turned[:, parents[1:]] @ places[:, 1:, :, None]).squeeze(-1)
    world = [places[:, 0]]
    for joint, parent in enumerate(parents[1:]):
        world.append(world[parent] + steps[:, joint])
    return torch.stack(world, 1)


def trunk_of(parents: Sequence[int]) -> int:
    """The first joint with several children, which is part of the body where joints above it are not; 0 if none has."""
    return next((joint for joint in range(len(parents)) if parents.count(joint) > 1), 0)


def carrier(parents: Sequence[int], moves: Float[Tensor, " J"]) -> int:
    """The joint that carries the body: the first that moves of those above all branches, with most joints below it.

    `moves` is in metres. The first joint of all where no other does.
    """
    joint = 0
    while parents.count(joint) == 1 and 2 * (joint + 1) < len(parents):
        joint += 1
        if moves[joint] > STILL:
            return joint
    return 0


def told_up(body: Float[Tensor, "T J 3"], names: Sequence[str], notes: list[str]) -> str:
    """The vertical axis, Y or Z, of a body in the file's own axes.

    It is Z if the way from feet to head (of a body without such names: its extent) is mainly along Z, unless the
    body's lowest point keeps its height far better along Y, as of one who crawls.
    """
    heads = [j for j, name in enumerate(names) if re.search("head", name, re.I)]
    feet = [j for j, name in enumerate(names) if re.search("foot|toe|ankle", name, re.I)]
    if heads and feet:
        rise = (body[:, heads].mean(1) - body[:, feet].mean(1)).mean(0).abs()
    else:
        rise = (body.amax(1) - body.amin(1)).mean(0)
    floor = body.amin(1).std(0, correction=0)
    up = "Z" if bool(rise[2] > 2 * rise[1] and floor[2] <= 5 * floor[1] + 0.01 * rise[2]) else "Y"
    notes.append("Y is taken as up" if up == "Y" else "Z is taken as up, and turned to where Y was")
    return up


def told_scale(heights: Float[Tensor, "T J"], notes: list[str]) -> float:
    """The unit of length in metres that makes the joints' vertical extent most like an adult's."""
    height = float((heights.amax(1) - heights.amin(1)).quantile(0.95))
    least, usual, most = ADULT
    if not height > 0:
        notes.append("lengths are taken as centimetres, for want of a body whose height would tell")
        return UNITS["centimetres"]
    fits = sorted(UNITS, key=lambda unit: abs(np.log(height * UNITS[unit] / usual)))
    said = [f"{height * UNITS[unit]:.2f} m high" for unit in fits]
    note = f"lengths are taken as {fits[0]}: the joints then stand {said[0]}"
    if not least <= height * UNITS[fits[0]] <= most:
        note += ", which is no adult's height; give a scale if that is wrong"
    elif least <= height * UNITS[fits[1]] <= most:
        note += f"; as {fits[1]} they would stand {said[1]}"
    notes.append(note)
    return UNITS[fits[0]]


def note_moving(bvh: Bvh, first: int, moves: Float[Tensor, " J"], notes: list[str]) -> None:
    """Says which joints became part of the root's motion, and which translations no fixed bones can hold."""
    if first:
        notes.append(f"{bvh.names[first]} carries the body: the motion of {', '.join(bvh.names[:first])} is in its own")
    lost = [f"{bvh.names[j]} by {float(moves[j]):.3f} m" for j in range(first + 1, len(moves)) if moves[j] > STILL]
    if lost:
        notes.append(f"left out, because bones keep their lengths, is that joints move on their own: {', '.join(lost)}")


def fixed_skeleton(bvh: Bvh, first: int, places: Float[Tensor, "T J 3"], scale: float, notes: list[str]) -> Skeleton:
    """The skeleton from joint `first` on, its offsets where the joints are, or on average are, in metres."""
    same = places.amax(0) == places.amin(0)
    offsets = torch.where(same, places[0], places.mean(0))[first:]
    offsets[0] = 0
    inner = set(bvh.parents)
    ends: dict[int, Vector] = {}
    for joint, (x, y, z) in bvh.ends:
        if joint >= first and joint not in inner:
            ends.setdefault(joint - first, (x * scale, y * scale, z * scale))
    if len(ends) < len(bvh.ends):
        notes.append(f"left out are {len(bvh.ends) - len(ends)} End Sites of joints that have children or another one")
    parents = tuple(max(-1, parent - first) for parent in bvh.parents[first:])
    return Skeleton(bvh.names[first:], parents, offsets, ends)


def rate_of(frame_time: float) -> float:
    """Frames per second: a whole number where the time is one over it, rounded or cut off at its last digit."""
    whole = max(1, round(1 / frame_time))
    exponent = Decimal(repr(float(frame_time))).as_tuple().exponent
    assert isinstance(exponent, int)
    last_digit = 10.0**exponent
    return float(whole) if abs(1 / whole - frame_time) <= min(last_digit, 1.5e-3 * frame_time) else 1 / frame_time


def frame_time_of(fps: float) -> float:
    """The shortest time, of at least 6 digits, that `rate_of` turns back into `fps`."""
    digits = 5 - int(np.floor(np.log10(1 / fps)))
    times = (round(1 / fps, more) for more in range(digits, digits + 12))
    return next((time for time in times if rate_of(time) == fps), 1 / fps)


def from_motion(clip: MotionClip, unit: float = 0.01) -> Bvh:
    """The motion as a BVH in units of so many metres, lengths and degrees with 6 decimals.

    Joints are in the file's order, depth first. Angles run on beyond 180 degrees rather than jump.
    """
    skeleton = clip.skeleton
    order = depth_first(skeleton.parents)
    number = {joint: i for i, joint in enumerate(order)}
    angles = np.unwrap(to_euler("ZXY", clip.rotations[:, order].double()).numpy(), axis=0)
    columns = [clip.root.double().numpy() / unit, np.rad2deg(angles).reshape(len(clip), -1)]
    values = np.round(np.concatenate(columns, 1), 6) + 0.0  # no -0.0
    inner = set(skeleton.parents)
    ends = {joint: (0.0, 0.0, 0.0) for joint in order if joint not in inner} | dict(skeleton.ends)
    return Bvh(
        tuple(skeleton.names[joint] for joint in order),
        tuple(number.get(skeleton.parents[joint], -1) for joint in order),
        in_units(skeleton.offsets[order].double().numpy(), unit),
        tuple((number[joint], tuple(in_units(np.array(end), unit).tolist())) for joint, end in ends.items()),
        (ROOT_CHANNELS, *[ROOT_CHANNELS[3:]] * (len(order) - 1)),
        frame_time_of(clip.fps),
        values,
    )


def in_units(metres: np.ndarray, unit: float) -> np.ndarray:
    """Lengths in a unit, without the digits that only the division has made."""
    return np.round(metres / unit, 9) + 0.0


def depth_first(parents: Sequence[int]) -> list[int]:
    """The joints in an order in which all below a joint follow directly after it."""
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)
    order, ahead = [], [0]
    while ahead:
        order.append(ahead.pop())
        ahead += reversed(children.get(order[-1], []))
    return order
