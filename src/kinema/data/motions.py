"""Motions cut into windows: what `Mocap`, `Gaits` and `Edinburgh` are, apart from where their clips come from.

Clips are brought to one rate and into the root frame (`representation`), laid end to end, and cut as in the data of
Habibie et al. (2017): a window every `step` frames, short ones padded in the middle of copies of their first and last
pose, with a control of 0 there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kinema.data.mirror import Mirror
from kinema.data.representation import encode, resample
from kinema.data.roles import Roles, mirror_pairs
from kinema.errors import ClipError, ConfigError
from kinema.motion import Motion, MotionBatch, MotionClip, Skeleton

PADDINGS: Mapping[str, Callable[[int], int]] = {
    "centre": lambda missing: (missing + 1) // 2,
    "first": lambda missing: 0,
}
"""How many of the frames that a short clip lacks are put before it."""


@dataclass(frozen=True)
class WindowConfig:
    """How clips become windows."""

    fps: float = 60.0
    """Frames per second to which every clip is brought."""
    length: int = 240
    """Frames of a window."""
    step: int = 120
    """Frames from the beginning of one window to that of the next."""
    mirror: bool = True
    """Whether training also sees every window in a mirror."""
    pad: str = "centre"
    """Where a short clip lies in its window: centre (Holden's export), or first."""

    def __post_init__(self) -> None:
        if self.pad not in PADDINGS:
            raise ConfigError(f"data.pad is {self.pad!r}; known: {', '.join(PADDINGS)}")
        for name in ("length", "step"):
            if getattr(self, name) < 2:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; at least 2 frames are needed")
        if not 0 < self.fps <= 1000:
            raise ConfigError(f"data.fps is {self.fps}; a rate above 0 and up to 1000 is needed")


@runtime_checkable
class Moving(Protocol):
    """What has frames of motion that a scale can be fitted on."""

    def motions(self) -> Iterator[Motion]:
        """All of them, in parts of any shape."""
        ...


@dataclass(frozen=True, eq=False)
class SeenClip:
    """A clip that is in its root frame already, for data that is kept so; rotations need not be known."""

    skeleton: Skeleton
    motion: Motion
    """Shapes (T, ...), with contacts, at the rate of the source; with rotations in all clips of a source or in none."""
    name: str
    """What an error message calls the clip."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is known of the clip: ``action``, ``style``."""
    credits: tuple[str, ...] = ()
    """Authors and licences that must travel with everything made of the clip."""


class MotionSource:
    """Windows of motion of one split, all of one skeleton.

    Item number i is a window of a clip; with a mirror, the second half of the items are the first half's images.
    """

    def __init__(
        self,
        name: str,
        split: str,
        clips: Sequence[MotionClip | SeenClip],
        roles: Roles,
        config: WindowConfig,
        factors: Mapping[str, tuple[str, ...]],
    ) -> None:
        """Raises ClipError where there are no clips or their skeletons differ; `factors` names the known labels."""
        if not clips:
            raise ClipError(f"{name}: the {split} split holds no clips; give more, or hold out fewer")
        self.name, self.split, self.roles, self.config, self.factors = name, split, roles, config, factors
        self.skeleton: Skeleton = clips[0].skeleton
        for clip in clips:
            if not clip.skeleton.same_as(self.skeleton):
                raise ClipError(
                    f"{clip.name}: its skeleton differs from that of {clips[0].name}; one folder, one skeleton"
                )
        self.names = tuple(clip.name for clip in clips)
        self.credits = tuple(dict.fromkeys(line for clip in clips for line in clip.credits))
        self._lay([_seen(clip, roles, config.fps) for clip in clips])
        self.labels = {
            factor: torch.tensor([values.index(clip.labels[factor]) for clip in clips])
            for factor, values in factors.items()
        }
        self.mirrored = None
        if config.mirror:
            typical = None if self.motion.rotations is None else self.motion.rotations.mean(0)
            self.mirrored = Mirror(self.skeleton, mirror_pairs(self.skeleton, roles), typical)
            self.turned = {factor: _turned(values) for factor, values in factors.items()}

    def _lay(self, motions: Sequence[Motion]) -> None:
        """All clips end to end in float32, where each begins, and which window is whose."""
        parts = [motion.map(Tensor.float) for motion in motions]
        rotations = [part.rotations for part in parts if part.rotations is not None]
        self.motion = Motion(
            torch.cat([part.joints for part in parts]),
            torch.cat([part.control for part in parts]),
            torch.cat(rotations) if rotations else None,
            torch.cat([part.contacts for part in parts if part.contacts is not None]),
        )
        self.counts = torch.tensor([len(part.control) for part in parts])
        self.begins = self.counts.cumsum(0) - self.counts
        cuts = [(clip, at) for clip, n in enumerate(self.counts.tolist()) for at in starts(n, self.config)]
        self.clip_of, self.start_of = torch.tensor(cuts).T

    @property
    def length(self) -> int:
        return self.config.length

    @property
    def fps(self) -> float:
        return self.config.fps

    def __len__(self) -> int:
        return len(self.clip_of) * (2 if self.mirrored is not None else 1)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """At how many frames each window may begin: its own alone, or `anywhere` within a step of the clip from it."""
        clip, start = self.clip_of, self.start_of
        left = (self.counts[clip] - self.length - start + 1).clamp(1, self.config.step)
        room = left if anywhere else torch.ones_like(left)
        return torch.cat([room, room])[: len(self)]

    def window(self, items: Int[Tensor, " B"], late: Int[Tensor, " B"]) -> MotionBatch:
        """The windows `items`, each begun `late` frames after its own beginning."""
        cuts, image = items % len(self.clip_of), items >= len(self.clip_of)
        clip = self.clip_of[cuts]
        batch = self.cut(clip, self.start_of[cuts] + late, self.length)
        if self.mirrored is None or not bool(image.any()):
            return batch
        other, factors = self.mirrored(batch.motion), dict(batch.factors)
        for factor, turned in self.turned.items():
            factors[factor] = torch.where(image, turned.to(image.device)[factors[factor]], factors[factor])
        return MotionBatch(_choose(image, other, batch.motion), batch.valid, factors)

    def cut(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"], length: int) -> MotionBatch:
        """`length` frames of each clip from `start` on; beyond its ends its first or last pose, and no control."""
        at = start[:, None] + torch.arange(length, device=start.device)
        last = self.counts[clips][:, None] - 1
        valid = (at >= 0) & (at <= last)
        rows = self.begins[clips][:, None] + at.clamp(min=0).minimum(last)
        motion = self.motion.map(lambda x: x[rows])
        motion = Motion(motion.joints, motion.control * valid[..., None], motion.rotations, motion.contacts)
        return MotionBatch(motion, valid, {factor: values[clips] for factor, values in self.labels.items()})

    def openings(self, length: int) -> MotionBatch:
        """The first `length` frames of every clip, as they are: what evaluation asks for."""
        clips = torch.arange(len(self.counts), device=self.counts.device)
        return self.cut(clips, torch.zeros_like(clips), length)

    def motions(self) -> Iterator[Motion]:
        """All frames of the split, and their images where training sees them: what a scale is fitted on."""
        yield self.motion
        if self.mirrored is not None:
            yield self.mirrored(self.motion)

    def nbytes(self) -> int:
        """Memory of the frames, in bytes."""
        parts = (self.motion.joints, self.motion.control, self.motion.rotations, self.motion.contacts)
        return sum(part.numel() * part.element_size() for part in parts if part is not None)

    def to(self, device: torch.device) -> "MotionSource":
        """The source with its frames on `device`."""
        self.motion = self.motion.to(device)
        for name in ("counts", "begins", "clip_of", "start_of"):
            setattr(self, name, getattr(self, name).to(device))
        self.labels = {factor: values.to(device) for factor, values in self.labels.items()}
        return self


def starts(frames: int, config: WindowConfig) -> list[int]:
    """Where the windows of a clip begin; a short one's window may begin before the clip.

    A window is cut at 0, step, 2 step, ... as long as an eighth of it is left (Holden's export); what is short at a
    long clip's end is moved back into the clip instead of padded, so that fewer frames are made up.
    """
    if frames < config.length:
        return [-PADDINGS[config.pad](config.length - frames)]
    cuts = range(0, max(1, frames - config.length // 8), config.step)
    return sorted({min(cut, frames - config.length) for cut in cuts})


def _seen(clip: MotionClip | SeenClip, roles: Roles, fps: float) -> Motion:
    """The clip in its root frame, at the source's rate."""
    return clip.motion if isinstance(clip, SeenClip) else encode(resample(clip, fps), roles).motion


def _choose(image: Bool[Tensor, " B"], other: Motion, motion: Motion) -> Motion:
    def pick(a: Float[Tensor, "B ..."], b: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        return torch.where(image.view(-1, *[1] * (a.ndim - 1)), a, b)

    def pick_known(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else pick(a, b)

    return Motion(
        pick(other.joints, motion.joints),
        pick(other.control, motion.control),
        pick_known(other.rotations, motion.rotations),
        pick_known(other.contacts, motion.contacts),
    )


def _turned(values: tuple[str, ...]) -> Int[Tensor, " V"]:
    """For each value of a factor that of its mirror image: left and right in its name change places."""
    swap = {"left": "right", "right": "left"}
    images = ["-".join(swap.get(word, word) for word in value.split("-")) for value in values]
    return torch.tensor([values.index(image) if image in values else i for i, image in enumerate(images)])
