"""Rotating balls: a red or a blue ball on a circle i² + j² = c, as in figures 1 and 3 of the HALO paper.

Places are pixels (right, down) with the middle of the upper left pixel at (0, 0); times are frames and any real number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.source import TruthSource
from kinema.errors import ConfigError

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


@dataclass(frozen=True)
class BallsConfig:
    """How the balls are drawn and split."""

    size: int = 32
    """Side of the square picture, in pixels."""
    length: int = 16
    """Frames of a clip, and of a training window."""
    clips: int = 2000
    """Clips of all splits together."""
    radius: float = 4.0
    """Of the ball, in pixels."""
    orbits: tuple[float, float] = (6.0, 11.0)
    """Least and greatest radius of the circle, in pixels."""
    period: float = 16.0
    """Frames of one turn."""
    held_out: float = 0.2
    """Share of the clips that are kept for the test split."""
    seed: int = 423
    """Of the circles, the phases and the split."""

    def __post_init__(self) -> None:
        low, high = self.orbits
        if not (0 < low <= high and self.radius > 0 and high + self.radius <= self.size / 2):
            raise ConfigError(
                f"balls: orbits {low} to {high} with radius {self.radius} leave a picture of {self.size} pixels; "
                f"orbit and radius together may be {self.size / 2} at most"
            )
        if self.clips < 2 or not 0 < self.held_out < 1:
            raise ConfigError(f"balls: {self.clips} clips, {self.held_out} held out; 2 clips and a share are needed")
        if self.period <= 0 or self.length < 1:
            raise ConfigError(f"balls: length {self.length}, period {self.period}; positive numbers are needed")


def locate(frames: UInt8[Tensor, "B T C H W"] | Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T 2"]:
    """Where the ball is: the centre of mass of the intensity. The middle of the picture where that is black."""
    weight = frames.double().sum(2)
    height, width = weight.shape[-2:]
    y = torch.arange(height, device=weight.device) - (height - 1) / 2
    x = torch.arange(width, device=weight.device) - (width - 1) / 2
    moment = torch.stack([(weight * x).sum((-2, -1)), (weight * y[:, None]).sum((-2, -1))], dim=-1)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=weight.dtype, device=weight.device)
    return moment / weight.sum((-2, -1)).clamp(min=1e-12)[..., None] + middle


class Balls(TruthSource):
    """Rotating balls of one split: ``train``, ``test`` or ``all``. Each clip has its own circle and phase.

    `orbit` (N,) is the circle's radius in pixels, `phase` (N,) the angle at time 0 in radians, from right to down.
    Raises ConfigError for an unknown split.
    """

    name = "balls"
    factors = {"colour": tuple(COLOURS), "action": ("rotate",)}  # noqa: RUF012 - the contract's read-only mapping
    content = ("colour",)
    channels = 3
    fps = 10.0
    periodic = False

    def __init__(self, config: BallsConfig, split: str) -> None:
        rng = np.random.default_rng(config.seed)
        orbit = torch.from_numpy(rng.uniform(*config.orbits, config.clips))
        phase = torch.from_numpy(rng.uniform(0, 2 * math.pi, config.clips))
        order = torch.from_numpy(rng.permutation(config.clips))
        test = max(1, round(config.held_out * config.clips))
        members = {
            "train": order[test:].sort().values,
            "test": order[:test].sort().values,
            "all": torch.arange(config.clips),
        }
        if split not in members:
            raise ConfigError(f"balls: no split {split!r}; there are {', '.join(members)}")
        self.config, self.split = config, split
        self.size, self.length = (config.size, config.size), config.length
        self.identity = members[split]
        self.orbit, self.phase = orbit[self.identity], phase[self.identity]
        self.labels = {"colour": self.identity % len(COLOURS), "action": torch.zeros_like(self.identity)}

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, self.length)

    def place(
        self, orbit: Float[Tensor, " B"], phase: Float[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T 2"]:
        """Centres of balls on these circles."""
        angle = phase[:, None] + 2 * math.pi / self.config.period * times
        turn = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
        return orbit[:, None, None] * turn + (self.config.size - 1) / 2

    def position(self, clips: Int[Tensor, " B"], times: Float[Tensor, "B T"]) -> Float[Tensor, "B T 2"]:
        """Centres of the balls of `clips` at `times`."""
        orbit, phase = (value.to(clips.device)[clips] for value in (self.orbit, self.phase))
        return self.place(orbit, phase, times)

    def draw(
        self,
        colour: Int[Tensor, " B"],
        orbit: Float[Tensor, " B"],
        phase: Float[Tensor, " B"],
        times: Float[Tensor, "B T"],
    ) -> UInt8[Tensor, "B T C H W"]:
        """Balls on these circles; a pixel is covered by as much of the disc as its middle lies inside the edge."""
        line = torch.arange(self.config.size, device=times.device, dtype=torch.float32)
        x, y = self.place(orbit, phase, times).float()[..., None].unbind(-2)
        distance = torch.sqrt((line - x)[..., None, :].square() + (line - y)[..., :, None].square())
        cover = (self.config.radius + 0.5 - distance).clamp(0, 1)
        shade = torch.tensor(list(COLOURS.values()), device=times.device, dtype=torch.float32)[colour]
        return (cover[:, :, None] * shade[:, None, :, None, None]).round().to(torch.uint8)

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        return self.truth(clips, clips, steps.double())

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Clip `content`'s colour on clip `motion`'s circle, from its phase."""
        colour, orbit, phase = (
            value.to(times.device)[clips]
            for value, clips in ((self.labels["colour"], content), (self.orbit, motion), (self.phase, motion))
        )
        return self.draw(colour, orbit, phase, times)

    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """The factors leave circle and phase open: the middle one of `orbits`, and phase 0. `draw` takes any."""
        orbit = torch.full_like(times[:, 0], sum(self.config.orbits) / 2)
        return self.draw(factors["colour"], orbit, torch.zeros_like(orbit), times)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        frames = self.frames(torch.tensor([index]), torch.arange(self.length)[None])[0]
        labels = {name: values[int(self.labels[name][index])] for name, values in self.factors.items()}
        name = f"balls/{int(self.identity[index])}"
        return VideoClip(frames=frames.float() / 255, fps=self.fps, labels=labels, name=name)
