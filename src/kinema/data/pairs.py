"""Pairs of frames of one clip, from which the renderer learns, and scenes whose every mixture is known.

A clip has a character, a motion and, where the source dresses it, a background. A pair is two different frames of it
on the same background. What a manipulation should show is rendered by the source itself.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip


@dataclass(frozen=True, eq=False)
class PairBatch:
    """B ordered pairs of frames."""

    first: UInt8[Tensor, "B 3 H W"]
    """RGB, 0-255."""
    second: UInt8[Tensor, "B 3 H W"]
    given: Float[Tensor, "B 2 3"] | None = None
    """The character's true transformation from first to second, as `maths.affine.warp` takes it; None: unknown."""

    def to(self, device: torch.device) -> "PairBatch":
        given = None if self.given is None else self.given.to(device, non_blocking=True)
        return PairBatch(self.first.to(device, non_blocking=True), self.second.to(device, non_blocking=True), given)

    def inputs(self) -> tuple[Any, ...]:
        """The batch as a model's `forward` takes it."""
        return self.first, self.second, self.given


class PairSource(ABC):
    """Clips of one split, each with at least two frames."""

    name: str
    split: str
    channels: int = 3
    size: tuple[int, int]
    """Height and width, in pixels."""
    fps: float
    backgrounds: int = 1
    """How many backgrounds a clip may stand on; 1 where it has only its own."""
    credits: tuple[str, ...] = ()

    @abstractmethod
    def frame_counts(self) -> Int[Tensor, " N"]:
        """How many frames each clip has."""

    @abstractmethod
    def frames(
        self, clips: Int[Tensor, " B"], steps: Int[Tensor, " B"], background: Int[Tensor, " B"]
    ) -> UInt8[Tensor, "B 3 H W"]:
        """Frame `steps[b]` of clip `clips[b]` on background number `background[b]`, from 0 to `backgrounds` - 1."""

    def given(
        self, clips: Int[Tensor, " B"], first: Int[Tensor, " B"], second: Int[Tensor, " B"]
    ) -> Float[Tensor, "B 2 3"] | None:
        """The character's true transformation between two frames of its clip; None where it is not known."""
        del clips, first, second
        return None

    def steady(self) -> "PairSource":
        """The source without what moves its characters at random beside their own movements; itself where it knows of
        nothing of the kind."""
        return self

    def __len__(self) -> int:
        return self.frame_counts().shape[0]

    def __getitem__(self, index: int) -> VideoClip:
        """Clip number `index`, whole, on one of the backgrounds, which the number decides."""
        index = range(len(self))[index]
        steps = torch.arange(int(self.frame_counts()[index]))
        clips, background = torch.full_like(steps, index), torch.full_like(steps, index % self.backgrounds)
        shown = self.frames(clips, steps, background).cpu().float() / 255
        return VideoClip(shown, fps=self.fps, name=f"{self.name}/{index}", credits=self.credits)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """How many ordered pairs of different frames each clip has, on every background."""
        del anywhere
        counts = self.frame_counts()
        return counts * (counts - 1) * self.backgrounds

    def pair(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> tuple[Tensor, Tensor, Tensor]:
        """The two steps and the background, each (B,), of a number below `rooms`."""
        others = self.frame_counts().to(start.device)[clips] - 1
        pair, background = start // self.backgrounds, start % self.backgrounds
        first, second = pair // others, pair % others
        return first, second + (second >= first), background

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> PairBatch:
        """Pair number `start[b]` of clip `clips[b]`."""
        first, second, background = self.pair(clips, start)
        given = self.given(clips, first, second)
        return PairBatch(self.frames(clips, first, background), self.frames(clips, second, background), given)

    def to(self, device: torch.device) -> "PairSource":
        """The source with its frames on `device`, where it keeps any; otherwise itself."""
        del device
        return self

    def nbytes(self) -> int:
        """Memory that `to` would need, in bytes."""
        return 0


class SceneSource(PairSource):
    """A source that can show any character in any pose of any clip's motion on any background."""

    bare: tuple[int, int, int]
    """The colour of a canvas without a background, which no background has."""
    movements: tuple[str, ...]
    """Names of the groups of motions that tables tell apart."""

    def frames(
        self, clips: Int[Tensor, " B"], steps: Int[Tensor, " B"], background: Int[Tensor, " B"]
    ) -> UInt8[Tensor, "B 3 H W"]:
        """A clip's own character in its own motion."""
        return self.render(clips, clips, steps, background)

    @abstractmethod
    def render(
        self,
        character: Int[Tensor, " B"],
        motion: Int[Tensor, " B"],
        steps: Int[Tensor, " B"],
        background: Int[Tensor, " B"],
    ) -> UInt8[Tensor, "B 3 H W"]:
        """The character of clip `character` as it is at step `steps` of clip `motion`; background -1 is `bare`."""

    @abstractmethod
    def mask(
        self, character: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, " B"]
    ) -> Float[Tensor, "B 1 H W"]:
        """The character's opacity in that frame, in [0, 1]."""

    @abstractmethod
    def canvas(self, background: Int[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
        """The background without anybody."""

    @abstractmethod
    def movement(self, clips: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Which of `movements` each clip shows."""

    @abstractmethod
    def another_character(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """For each clip a clip with another character and the same motion, `draw` in [0, 1) choosing among them."""

    @abstractmethod
    def another_motion(self, clips: Int[Tensor, " B"], draw: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """For each clip a clip with another motion, `draw` in [0, 1) choosing among them."""
