"""Quadruples a : b :: c : d of pictures, from a source that can show any character in any pose of any clip.

a and b are two frames of a clip, c and d are another character at the same two moments of the same clip. Reed, Zhang,
Zhang and Lee, "Deep visual analogy-making" (NIPS 2015), learn from them; a renderer learns from a and b alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from kinema.data.pairs import PairSource, SceneSource
from kinema.errors import ConfigError

OTHERS = 2**20
"""Draws of the other character that a window's number tells apart. Far more than there are characters, so that all are
nearly as likely; few enough for all numbers of a source to be exact in float64."""


@runtime_checkable
class Labelled(Protocol):
    """A source whose clips have named factors."""

    factors: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Int[Tensor, " N"]]
    """The value of each clip, as its index in `factors`."""
    identity: Int[Tensor, " N"]
    """Who is seen in each clip."""


@dataclass(frozen=True, eq=False)
class AnalogyBatch:
    """B quadruples: a is to b as c is to d. Pictures are RGB, 0-255."""

    a: UInt8[Tensor, "B 3 H W"]
    b: UInt8[Tensor, "B 3 H W"]
    """The character of a, in another pose."""
    c: UInt8[Tensor, "B 3 H W"]
    """Another character, in the pose of a."""
    d: UInt8[Tensor, "B 3 H W"]
    """The character of c in the pose of b, on the background of c."""
    character: Int[Tensor, "B F"]
    """The value of each attribute of the character of a and b; F is 0 where the source names none."""
    other: Int[Tensor, "B F"]
    """Those of the character of c and d."""

    def to(self, device: torch.device) -> "AnalogyBatch":
        return AnalogyBatch(*(part.to(device, non_blocking=True) for part in self.inputs()))

    def inputs(self) -> tuple[Any, ...]:
        """The batch as a model's `forward` takes it."""
        return self.a, self.b, self.c, self.d, self.character, self.other


def attributes(source: PairSource) -> dict[str, int]:
    """How many values each attribute of a source's characters has, by name; nothing where it names no factors.

    An attribute is a factor that is the same in all clips of a character and differs between some characters: body and
    hair, not animation and view.
    """
    if not isinstance(source, Labelled):
        return {}
    people = source.identity.unique().numel()

    def tells(values: Int[Tensor, " N"]) -> bool:
        known = torch.stack([source.identity, values]).unique(dim=1)
        return known.shape[1] == people and values.unique().numel() > 1

    return {name: len(names) for name, names in source.factors.items() if tells(source.labels[name])}


class Analogies:
    """Windows of a source of scenes, each a quadruple, whose number counts pairs of the source, then other characters,
    then their backgrounds."""

    def __init__(self, source: PairSource, elsewhere: bool = False) -> None:
        """With `elsewhere`, c and d stand on another background than a and b, if there is one, as scenes in tests do.

        Raises ConfigError where the source shows characters only as they were recorded, so that no d is known.
        """
        if not isinstance(source, SceneSource):
            raise ConfigError(
                f"{source.name}: analogies need every character in every pose; set data.source to characters or digits"
            )
        self.source, self.elsewhere = source, elsewhere and source.backgrounds > 1
        names = attributes(source)
        known = [source.labels[name] for name in names] if isinstance(source, Labelled) else []
        self.labels = torch.stack(known, 1) if known else torch.zeros(len(source), 0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.source)

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """How many quadruples each clip begins: pairs of its frames on a background, other characters and their
        backgrounds."""
        return self.source.rooms(anywhere) * OTHERS * self.places

    @property
    def places(self) -> int:
        """Backgrounds that c and d may stand on, where that is not the one of a and b."""
        return self.source.backgrounds - 1 if self.elsewhere else 1

    def window(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> AnalogyBatch:
        """Quadruple number `start[b]` of clip `clips[b]`."""
        pair, rest = start // (OTHERS * self.places), start % (OTHERS * self.places)
        first, second, here = self.source.pair(clips, pair)
        other = self.source.another_character(clips, (rest // self.places + 0.5).double() / OTHERS)
        there = (here + 1 + rest % self.places) % self.source.backgrounds if self.elsewhere else here
        labels, render = self.labels.to(clips.device), self.source.render
        return AnalogyBatch(
            render(clips, clips, first, here),
            render(clips, clips, second, here),
            render(other, clips, first, there),
            render(other, clips, second, there),
            labels[clips],
            labels[other],
        )

    def to(self, device: torch.device) -> "Analogies":
        return Analogies(self.source.to(device), self.elsewhere)

    def nbytes(self) -> int:
        return self.source.nbytes()
