"""A procedural gait: people who walk and run along random paths, with known phase and contacts of the feet.

It is made by code from a seed, so that locomotion can be learned, tested and shown where there is no motion capture.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from kinema.data.gait_body import SKELETON, make_body
from kinema.data.gait_path import CHANGE, STYLES, Plan, make_plan, make_steps
from kinema.errors import ConfigError
from kinema.motion import MotionClip

ACTIONS = ("walk", "run")
SPLITS = ("train", "test")


@dataclass(frozen=True)
class GaitConfig:
    """How many clips are made, and how long. Raises ConfigError for what cannot be."""

    train: int = 400
    """Clips of the training split."""
    test: int = 100
    """Clips of the test split."""
    shortest: float = 3.0
    """Seconds of the shortest clip; at least 0.5."""
    longest: float = 8.0
    """Seconds of the longest clip; at most 600."""
    changes: float = 0.1
    """Share of the clips that change between walking and running; they are labelled with what they do longer."""
    fps: float = 60.0
    """Frames per second, 20 to 240."""
    seed: int = 0
    """Of everything that is drawn."""

    def __post_init__(self) -> None:
        if self.train < 1 or self.test < 1:
            raise ConfigError(f"gait: {self.train} training and {self.test} test clips; at least 1 of each is needed")
        if not 0.5 <= self.shortest <= self.longest <= 600:
            raise ConfigError(
                f"gait: clips of {self.shortest} to {self.longest} seconds; 0.5 <= shortest <= longest <= 600 is needed"
            )
        if not 20 <= self.fps <= 240:
            raise ConfigError(f"gait: {self.fps} frames per second; 20 to 240 are possible")
        if not 0 <= self.changes <= 1:
            raise ConfigError(f"gait: changes is {self.changes}; a share between 0 and 1 is needed")
        if self.seed < 0:
            raise ConfigError(f"gait: seed is {self.seed}; 0 or more is needed")


@dataclass(frozen=True, eq=False)
class GaitClip:
    """A motion and what only its maker knows."""

    clip: MotionClip
    contacts: Float[Tensor, "T 2"]
    """1 where the left, the right toes stand on the ground, which they then do exactly, else 0."""
    phase: Float[Tensor, " T"]
    """Share of the stride since the left toes came down, 0 to 1."""


def make_gait(config: GaitConfig, split: str, index: int) -> GaitClip:
    """Clip `index` of ``train`` or ``test``: the same for the same seed, and no draw is shared between any two.

    Actions and styles take turns, so that all are equally many. Raises ConfigError for another split or index.
    """
    plan, random, style = plan_gait(config, split, index)
    root, rotations, contacts, phase = make_body(plan, make_steps(random, plan))
    running = float((plan.speed[plan.frames.start : plan.frames.stop] > CHANGE).double().mean()) > 0.5
    labels = {"action": ACTIONS[running], "style": style}
    name = f"gait/{split}/{index:04d}"
    clip = MotionClip(SKELETON, root, rotations, config.fps, labels, name)
    return GaitClip(clip, contacts, phase)


def gait_clips(config: GaitConfig, split: str) -> list[GaitClip]:
    """All clips of ``train`` or ``test``."""
    return [make_gait(config, split, index) for index in range(_count(config, split))]


def plan_gait(config: GaitConfig, split: str, index: int) -> tuple[Plan, np.random.Generator, str]:
    """The plan of a clip, the generator that goes on to draw its footsteps, and its style."""
    if not 0 <= index < _count(config, split):
        raise ConfigError(f"gait: there is no clip {index} of {split}; there are {_count(config, split)}")
    random = np.random.default_rng([config.seed, SPLITS.index(split), index])
    style = list(STYLES)[index // len(ACTIONS) % len(STYLES)]
    action = "change" if random.uniform() < config.changes else ACTIONS[index % len(ACTIONS)]
    seconds = random.uniform(config.shortest, config.longest)
    return make_plan(random, action, style, seconds, config.fps), random, style


def _count(config: GaitConfig, split: str) -> int:
    if split not in SPLITS:
        raise ConfigError(f"gait: no split {split!r}; there are {', '.join(SPLITS)}")
    return config.train if split == "train" else config.test
