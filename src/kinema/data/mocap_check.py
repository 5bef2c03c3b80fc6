"""What is wrong with a folder of motion capture: copies, other skeletons, other rates, jumps, wrong labels."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt64

from kinema.data.roles import find_roles
from kinema.errors import ClipError, FileError, KinemaError
from kinema.files.bvh_motion import read_motion
from kinema.maths.trajectory import heading
from kinema.motion import MotionClip, Skeleton

ROOT_SPEED = 12.0
"""No body moves faster than so many m/s: 0.4 m from one frame to the next at 30 Hz."""
JOINT_SPEED = 1800.0
"""No joint turns faster than so many degrees a second: 60 from one frame to the next at 30 Hz."""
TURN = 30.0
"""A clip whose label says that it turns does so by this many degrees or more, to that side."""
SHARED = 10
"""Two clips are copies where they have so many frames in common; fewer may be a pose that all begin with."""
ROUNDED = 1e-5
"""Frames are the same where root positions in metres and quaternions agree to this."""
NAMED = 3
"""How many files a finding names before it counts the others."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What is kept of a clip while others are read."""

    name: str
    skeleton: Skeleton
    fps: float
    prints: UInt64[np.ndarray, " F"]
    """Of each different frame a number that tells it from others, sorted."""
    jumps: tuple[str, ...]
    labels: tuple[str, ...]
    """What contradicts its label."""


def check_motions(folder: Path) -> list[str]:
    """What is wrong with the BVH files of a folder and the folders in it, or with one file: a line for each finding.

    Files that cannot be read are findings. Raises FileError where there is no BVH file.
    """
    paths = (
        [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".bvh")
    )
    if not paths:
        raise FileError(f"{folder}: there is no .bvh file; give a folder of motion capture")
    summaries, unread = [], []
    for path in paths:
        try:
            summaries.append(summarise(read_motion(path)))
        except KinemaError as error:
            unread.append(str(error))
    return unread + compare(summaries)


def check_clips(clips: Iterable[MotionClip]) -> list[str]:
    """What is wrong with clips; each is called by its name."""
    return compare([summarise(clip) for clip in clips])


def duplicates(clips: Sequence[MotionClip]) -> set[str]:
    """The names of the clips to leave out, so that no two that remain share frames; the first of each stays."""
    return {later for _, later, _ in shared_frames([(clip.name, frame_prints(clip)) for clip in clips])}


def summarise(clip: MotionClip) -> Summary:
    """All that can be said of a clip alone, and what is needed to compare it."""
    return Summary(
        clip.name, clip.skeleton, clip.fps, np.unique(frame_prints(clip)), tuple(jumps(clip)), tuple(wrong_label(clip))
    )


def compare(summaries: Sequence[Summary]) -> list[str]:
    """The findings of all clips: skeletons, rates, copies, jumps, labels."""
    if not summaries:
        return []
    found = other_skeletons(summaries) + other_rates(summaries)
    for first, later, frames in shared_frames([(one.name, one.prints) for one in summaries]):
        found.append(f"{later}: {frames} of its frames are in {first} too; leave one of the two out")
    return (
        found + [line for one in summaries for line in one.jumps] + [line for one in summaries for line in one.labels]
    )


def frame_prints(clip: MotionClip) -> UInt64[np.ndarray, " T"]:
    """A number for each frame, the same where root and rotations are after rounding; else another, but by chance."""
    values = torch.cat([clip.root, clip.rotations.flatten(1)], 1).double().numpy()
    whole = np.round(values / ROUNDED).clip(-(2.0**62), 2.0**62).astype(np.int64).view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, values.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed = whole * factors
    mixed ^= mixed >> np.uint64(29)
    return (mixed * factors[::-1]).sum(1, dtype=np.uint64)


def shared_frames(prints: Sequence[tuple[str, UInt64[np.ndarray, " _F"]]]) -> list[tuple[str, str, int]]:
    """Pairs of an earlier and a later clip that have SHARED frames or more in common, and how many.

    A clip with fewer frames than that is a copy where it has all. Where many share a frame, the first is named.
    """
    if not prints:
        return []
    sets = [np.unique(numbers) for _, numbers in prints]
    owner = np.repeat(np.arange(len(sets)), [len(numbers) for numbers in sets])
    every = np.concatenate(sets)
    order = np.lexsort((owner, every))
    every, owner = every[order], owner[order]
    starts = np.concatenate([[True], every[1:] != every[:-1]])
    first = owner[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    pairs, counts = np.unique(np.stack([owner, first])[:, owner != first], axis=1, return_counts=True)
    enough = [
        (earlier, later, count)
        for later, earlier, count in zip(*pairs.tolist(), counts.tolist(), strict=True)
        if count >= min(SHARED, len(sets[later]))
    ]
    return [(prints[earlier][0], prints[later][0], count) for earlier, later, count in enough]


def other_skeletons(summaries: Sequence[Summary]) -> list[str]:
    """The clips whose skeleton is not the one that most have, and the first joint that differs."""
    kinds: list[list[Summary]] = []
    for one in summaries:
        kind = next((kind for kind in kinds if kind[0].skeleton.same_as(one.skeleton)), None)
        kinds.append([one]) if kind is None else kind.append(one)
    usual = max(kinds, key=len)[0]
    return [
        f"{_files(kind)}: another skeleton than {usual.name}: {difference(kind[0].skeleton, usual.skeleton)}"
        for kind in kinds
        if kind[0] is not usual
    ]


def difference(one: Skeleton, usual: Skeleton) -> str:
    """The first joint in which a skeleton is not as usual."""
    for name, parent, offset, there, its_parent, its_offset in zip(
        one.names, one.parents, one.offsets, usual.names, usual.parents, usual.offsets, strict=False
    ):
        if name != there:
            return f"joint {name} where {there} is usual"
        if parent != its_parent:
            return f"{name} hangs on {one.names[parent]}, usually on {usual.names[its_parent]}"
        if not torch.allclose(offset, its_offset, rtol=0, atol=1e-3):
            return f"the offset of {name} is {_point(offset)} m, usually {_point(its_offset)} m"
    alone = max(one, usual, key=len).names[min(len(one), len(usual))]
    return f"{len(one)} joints, usually {len(usual)}; the first that only one has is {alone}"


def other_rates(summaries: Sequence[Summary]) -> list[str]:
    """The clips whose frames a second are not those that most have."""
    rates = [float(f"{one.fps:.3g}") for one in summaries]
    usual = Counter(rates).most_common(1)[0][0]
    return [
        f"{_files([one for one, other in zip(summaries, rates, strict=True) if other == rate])}: "
        f"{rate:g} frames a second, usually {usual:g}"
        for rate in sorted(set(rates) - {usual})
    ]


def jumps(clip: MotionClip) -> list[str]:
    """Where the root or a joint moves as no body can: the worst of each, and how many there are."""
    found = []
    step = (clip.root[1:] - clip.root[:-1]).norm(dim=-1)
    far = step * clip.fps > ROOT_SPEED
    if bool(far.any()):
        frame = int(step.argmax())
        found.append(
            f"{clip.name}: {clip.skeleton.names[0]} jumps by {float(step[frame]):.2f} m from frame {frame} to "
            f"{frame + 1}{_more(int(far.sum()))}"
        )
    cos = (clip.rotations[1:] * clip.rotations[:-1]).sum(-1).abs().clamp(max=1)
    turned = 2 * torch.rad2deg(cos.acos())
    # 180 degrees are the most that can be seen between two frames.
    fast = turned > min(JOINT_SPEED / clip.fps, 170.0)
    if bool(fast.any()):
        frame, joint = divmod(int(turned.argmax()), len(clip.skeleton))
        found.append(
            f"{clip.name}: {clip.skeleton.names[joint]} turns by {float(turned[frame, joint]):.0f} degrees from frame "
            f"{frame} to {frame + 1}{_more(int(fast.any(-1).sum()))}"
        )
    return found


def labelled_turn(name: str) -> str | None:
    """``left`` or ``right`` where a file's name, or its folder's, says that it turns there."""
    for part in reversed(Path(name).parts[-2:]):
        words = re.sub(r"([a-z])([A-Z])", r"\1 \2", part).lower()
        sides = set(re.findall(r"(?<![a-z])(left|right)(?![a-z])", words))
        if len(sides) == 1 and re.search(r"(?<![a-z])(turn|turns|turning|curve|circle)(?![a-z])", words):
            return sides.pop()
    return None


def wrong_label(clip: MotionClip) -> list[str]:
    """What the body's heading, told by hips and shoulders, says against a label of left or right."""
    side = labelled_turn(clip.name)
    if side is None:
        return []
    try:
        turned = net_turn(clip)
    except ClipError as error:
        return [f"{clip.name}: whether it turns {side} was not checked: {error}"]
    if (turned if side == "left" else -turned) >= TURN:
        return []
    way = f"turns {'left' if turned > 0 else 'right'} by {abs(turned):.0f} degrees"
    return [f"{clip.name}: named a turn to the {side}, but the body {way}"]


def net_turn(clip: MotionClip) -> float:
    """By how many degrees the body's heading changes from the first to the last frame; to the left is positive.

    Raises ClipError where hips and shoulders are not found.
    """
    # Ten frames a second tell the way round: a body turns by less than half a turn in between.
    every = max(1, round(clip.fps / 10))
    rows = torch.arange(0, len(clip), every)
    rows = torch.cat([rows, torch.tensor([len(clip) - 1])])
    joints = MotionClip(clip.skeleton, clip.root[rows], clip.rotations[rows], clip.fps).joints()
    roles = find_roles(clip.skeleton, pose=joints[0])
    sides = (roles.left_hip, roles.right_hip, roles.left_shoulder, roles.right_shoulder)
    facing = np.unwrap(heading(*(joints[:, joint] for joint in sides)).numpy())
    return float(np.rad2deg(facing[-1] - facing[0]))


def _files(kind: Sequence[Summary]) -> str:
    names = ", ".join(one.name for one in kind[:NAMED])
    return names + (f" and {len(kind) - NAMED} more" if len(kind) > NAMED else "")


def _more(count: int) -> str:
    return f", and there are {count - 1} more such jumps" if count > 1 else ""


def _point(offset: Float[torch.Tensor, "3"]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in offset.tolist()) + ")"
