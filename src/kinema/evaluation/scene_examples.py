"""Test examples of the renderer: two scenes with the same movement, and what every manipulation of them should show.

Scene 1 and scene 2 are clips with the same motion, of different characters, on different backgrounds where the source
has several; both are seen at the steps i and j (Resnick et al. 2020, section 4.3). All pictures are uint8.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.pairs import SceneSource

CHUNK = 128
"""Examples that are rendered at a time."""


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples of a source; indices are (N,)."""

    source: SceneSource
    one: Int[Tensor, " N"]
    """Clip of scene 1."""
    two: Int[Tensor, " N"]
    """Clip of scene 2: the motion of `one`, another character."""
    i: Int[Tensor, " N"]
    j: Int[Tensor, " N"]
    here: Int[Tensor, " N"]
    """Background of scene 1."""
    there: Int[Tensor, " N"]
    """Background of scene 2; that of scene 1 where the source has one only."""

    def __len__(self) -> int:
        return len(self.one)

    def chunks(self, size: int = CHUNK) -> Iterator["Examples"]:
        """The examples, a few at a time."""
        names = ("one", "two", "i", "j", "here", "there")
        for parts in zip(*(getattr(self, name).split(size) for name in names), strict=True):
            yield Examples(self.source, *parts)

    def scene(self, character: Tensor, step: Tensor, background: Tensor) -> UInt8[Tensor, "N 3 H W"]:
        """A character at a step of the movement that all scenes of an example share."""
        return self.source.render(character, self.one, step, background)

    @cached_property
    def frames(self) -> Mapping[str, UInt8[Tensor, "N 3 H W"]]:
        """What a model is given: ``1i``, ``1j``, ``2i``, ``2j``, scene and step."""
        return {
            "1i": self.scene(self.one, self.i, self.here),
            "1j": self.scene(self.one, self.j, self.here),
            "2i": self.scene(self.two, self.i, self.there),
            "2j": self.scene(self.two, self.j, self.there),
        }

    @cached_property
    def bare(self) -> UInt8[Tensor, "N 3 H W"]:
        """The canvas of the source without a background."""
        return self.source.canvas(torch.full_like(self.here, -1))

    @cached_property
    def truths(self) -> Mapping[str, UInt8[Tensor, "N 3 H W"]]:
        """What each of `MANIPULATIONS` should show."""
        frames = self.frames
        return {
            "reconstruction": frames["1j"],
            "transformation": frames["2j"],
            "background": self.scene(self.one, self.j, self.there),
            "combined": self.scene(self.two, self.j, self.here),
            "bare": self.scene(self.two, self.j, torch.full_like(self.here, -1)),
            "solo": self.source.canvas(self.here),
        }

    @cached_property
    def masks(self) -> Mapping[str, Float[Tensor, "N 1 H W"]]:
        """Opacity of scene 1's character at i and j, and of scene 2's at j: ``1i``, ``1j``, ``2j``."""
        return {
            "1i": self.source.mask(self.one, self.one, self.i),
            "1j": self.source.mask(self.one, self.one, self.j),
            "2j": self.source.mask(self.two, self.one, self.j),
        }

    @cached_property
    def movement(self) -> Int[Tensor, " N"]:
        """Which of the source's movements each example shows."""
        return self.source.movement(self.one)


MANIPULATIONS: Mapping[str, tuple[str, str, str, str]] = {
    "reconstruction": ("1i", "1i", "1j", "1i"),
    "transformation": ("2i", "1i", "1j", "2i"),
    "background": ("1i", "1i", "1j", "2j"),
    "combined": ("2i", "1i", "1j", "1i"),
}
"""x_c, x_t1, x_t2 and x_b of each manipulation of section 3, as names of `Examples.frames`.

``transformation`` is what the paper's figures 6 to 9 call analogy. ``combined`` has three sources where the background
is not scene 1's frame i itself: the character of scene 2, the movement and the background of scene 1.
"""
BARE = ("2i", "1i", "1j", "bare")
"""The same of scene 2's character on the canvas of the source without a background."""


def draw_examples(source: SceneSource, count: int, seed: int) -> Examples:
    """`count` examples, drawn by `seed`: clip, ordered pair of steps and background uniform, then the other scene."""
    generator = torch.Generator().manual_seed(seed)

    def share() -> Float[Tensor, " N"]:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    one = (share() * len(source)).long()
    i, j, here = source.pair(one, (share() * source.rooms(True)[one]).long())
    two = source.another_character(one, share())
    others = max(1, source.backgrounds - 1)
    there = (here + 1 + (share() * others).long()) % source.backgrounds
    return Examples(source, one, two, i, j, here, there)
