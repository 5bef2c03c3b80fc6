"""Skeletons and their motion: what motion-capture files are read into and written from.

Inside Kinema lengths are metres, Y points up, a body at heading 0 faces +Z and has its left at +X, angles are radians,
and rotations are unit quaternions (w, x, y, z), each in its parent's frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kinema.errors import ClipError
from kinema.maths.kinematics import joint_positions


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints. Raises ClipError where a parent does not come before its child or numbers disagree."""

    names: tuple[str, ...]
    """The joints, the root first and each parent before its children."""
    parents: tuple[int, ...]
    """For each joint the number of its parent, -1 for the root alone."""
    offsets: Float[Tensor, "J 3"]
    """Where each joint sits in its parent's frame, in metres, float64; the root's is zero."""
    ends: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """Where the bone of a joint without children ends, in that joint's frame, in metres; it need not be known."""

    def __post_init__(self) -> None:
        count = len(self.names)
        if count == 0 or len(self.parents) != count or self.offsets.shape != (count, 3):
            raise ClipError(f"skeleton: {count} names, {len(self.parents)} parents, {self.offsets.shape[0]} offsets")
        if self.parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(self.parents) if j):
            raise ClipError("skeleton: the root comes first, and each parent before its children")
        if len(set(self.names)) != count:
            raise ClipError("skeleton: two joints have the same name; each needs its own")

    def __len__(self) -> int:
        return len(self.names)

    def same_as(self, other: "Skeleton", tolerance: float = 1e-3) -> bool:
        """Whether names, parents and offsets (to `tolerance` metres) agree."""
        return (self.names, self.parents) == (other.names, other.parents) and bool(
            torch.allclose(self.offsets, other.offsets, rtol=0, atol=tolerance)
        )


@dataclass(frozen=True, eq=False)
class MotionClip:
    """A skeleton moving. Raises ClipError where shapes disagree or values are not finite."""

    skeleton: Skeleton
    root: Float[Tensor, "T 3"]
    """World position of the root joint, in metres, float64."""
    rotations: Float[Tensor, "T J 4"]
    """Local unit quaternions (w, x, y, z), float64; the root's is its world rotation."""
    fps: float = 60.0
    """Frames per second."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is known of the clip: ``action``, ``style``."""
    name: str = "motion"
    """What an error message calls the clip: its file, as a rule."""
    notes: tuple[str, ...] = ()
    """What reading changed or left out, each in a sentence: units, axes, translations that no skeleton can hold."""
    credits: tuple[str, ...] = ()
    """Authors and licences that must travel with everything made of the clip."""

    def __post_init__(self) -> None:
        length, count = self.root.shape[0], len(self.skeleton)
        if length == 0:
            raise ClipError(f"{self.name}: the motion is empty; at least one frame is needed")
        if self.rotations.shape != (length, count, 4):
            raise ClipError(
                f"{self.name}: rotations are {tuple(self.rotations.shape)}; {length} frames of {count} joints need "
                f"{(length, count, 4)}"
            )
        if not bool(self.root.isfinite().all() and self.rotations.isfinite().all()):
            raise ClipError(f"{self.name}: the motion holds NaN or infinite values; finite values are needed")
        if not 0 < self.fps < float("inf"):
            raise ClipError(f"{self.name}: {self.fps} frames per second; a positive rate is needed")

    def __len__(self) -> int:
        return self.root.shape[0]

    def __getitem__(self, frames: slice) -> "MotionClip":
        """A part of the clip, as Python slices."""
        index = range(len(self))[frames]
        if len(index) == 0 or index.step <= 0:
            raise ClipError(f"{self.name}: frames {frames.start}:{frames.stop} are none of its {len(self)} frames")
        rows = list(index)
        return replace(self, root=self.root[rows], rotations=self.rotations[rows])

    def joints(self) -> Float[Tensor, "T J 3"]:
        """World positions of the joints, in metres."""
        return joint_positions(self.rotations, self.root, self.skeleton.offsets, self.skeleton.parents)


@dataclass(frozen=True, eq=False)
class Motion:
    """Windows of motion as models see it, apart from where in the world the body is and where it heads.

    The root frame has its origin on the ground below the root joint, Y up, and the body's heading along +Z.
    """

    joints: Float[Tensor, "*B T J 3"]
    """Positions in the root frame, in metres."""
    control: Float[Tensor, "*B T 3"]
    """What carries frame t to frame t + 1: sideways (to the left) and forward in m/s, turn (to the left) in rad/s."""
    rotations: Float[Tensor, "*B T J 6"] | None = None
    """Local rotations as six numbers (`maths.rotation.to_six`), the root's within the root frame; None: not known."""
    contacts: Float[Tensor, "*B T 2"] | None = None
    """Whether the left and the right foot stand on the ground, 0 to 1; None: not known."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "Motion":
        """The motion with `change` applied to each of its tensors."""
        rotations = None if self.rotations is None else change(self.rotations)
        contacts = None if self.contacts is None else change(self.contacts)
        return Motion(change(self.joints), change(self.control), rotations, contacts)

    def __getitem__(self, index: Any) -> "Motion":
        """A part of every tensor, indexed alike: ``motion[:, :60]`` is the first 60 frames of every window."""
        return self.map(lambda x: x[index])

    def to(self, device: torch.device) -> "Motion":
        """The motion on `device`."""
        return self.map(lambda x: x.to(device, non_blocking=True))


@dataclass(frozen=True, eq=False)
class MotionBatch:
    """What a model is trained on: B windows of T frames, cut from the clips of a source."""

    motion: Motion
    """Shapes (B, T, ...), float32."""
    valid: Bool[Tensor, "B T"]
    """False where a short clip was padded with its first or last pose; there the control is 0."""
    factors: Mapping[str, Int[Tensor, " B"]]
    """For each factor of the source (``action``, ``style``) the index of its value."""

    def to(self, device: torch.device) -> "MotionBatch":
        """The batch on `device`."""
        factors = {name: value.to(device, non_blocking=True) for name, value in self.factors.items()}
        return MotionBatch(self.motion.to(device), self.valid.to(device, non_blocking=True), factors)

    def inputs(self) -> tuple[Any, ...]:
        """The batch as a model's `forward` takes it."""
        motion = self.motion
        return motion.joints, motion.control, motion.rotations, motion.contacts, self.valid, dict(self.factors)
