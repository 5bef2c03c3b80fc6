"""Parametric faces: 52 drawn people making 6 expressions, an open stand-in for the licensed MUG database.

Nothing of MUG is in it but its counts: 52 people, six expressions, clips of 50 to 160 frames from a neutral face to
the apex and back, at 19 frames a second (Aifanti, Papachristou and Delopoulos 2010). Which muscles make an expression
is what is commonly given for it (Ekman and Friesen's EMFACS). A person is a combination of five attributes, and any two
of the 52 differ in two at least; all else about them (eyes, nose, mouth, how strongly each muscle moves) is a function
of that combination. Each clip has a timing of its own.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.draws import uniform
from kinema.data.faces_canvas import STYLES, UNITS, Look
from kinema.data.faces_drawing import draw
from kinema.data.source import TruthSource
from kinema.data.splits import split_identities
from kinema.errors import ConfigError

Colour = tuple[float, float, float]
SKINS: dict[str, Colour] = {
    "fair": (0.97, 0.83, 0.74),
    "tan": (0.88, 0.68, 0.50),
    "brown": (0.66, 0.45, 0.31),
    "dark": (0.42, 0.27, 0.19),
}
HAIRS: dict[str, Colour] = {
    "black": (0.09, 0.08, 0.10),
    "auburn": (0.55, 0.20, 0.09),
    "blond": (0.93, 0.77, 0.40),
    "grey": (0.72, 0.73, 0.76),
}
HEADS: dict[str, tuple[float, float, float, float, float]] = {
    "round": (0.67, 0.74, 0.70, 2.0, 0.00),
    "oval": (0.57, 0.76, 0.77, 2.1, 0.14),
    "square": (0.63, 0.74, 0.73, 3.4, 0.04),
}
"""Half the width, up to the crown, down to the chin, how angular, and how much narrower the chin is."""
FACTORS: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKINS),
    "hair": STYLES,
    "colour": tuple(HAIRS),
    "head": tuple(HEADS),
    "beard": ("none", "moustache", "full"),
    "action": ("anger", "disgust", "fear", "happiness", "sadness", "surprise"),
}
ATTRIBUTES = ("skin", "hair", "colour", "head", "beard")
COUNTS = tuple(len(FACTORS[name]) for name in ATTRIBUTES)
EXPRESSIONS: dict[str, dict[int, float]] = {
    "anger": {4: 1.0, 5: 0.35, 7: 0.8, 17: 0.4, 23: 1.0},
    "disgust": {4: 0.5, 6: 0.4, 7: 0.5, 9: 1.0, 10: 1.0, 15: 0.45, 17: 0.3, 25: 0.3},
    "fear": {1: 1.0, 2: 0.45, 4: 0.5, 5: 1.0, 20: 1.0, 25: 0.8, 26: 0.35},
    "happiness": {6: 1.0, 12: 1.0, 25: 0.9},
    "sadness": {1: 1.0, 4: 0.45, 15: 1.0, 17: 0.6, 43: 0.55},
    "surprise": {1: 1.0, 2: 1.0, 5: 0.9, 25: 1.0, 26: 1.0},
}
"""Action units of each expression and how strong they are at its apex."""
UPPER = (1, 2, 4, 5, 6, 7, 43)
"""Action units of the upper face, which may run ahead of the lower or behind."""
PEOPLE = 52
IRISES: tuple[Colour, ...] = ((0.36, 0.22, 0.12), (0.25, 0.47, 0.72), (0.30, 0.50, 0.28), (0.42, 0.45, 0.50))
SHIRTS: tuple[Colour, ...] = ((0.85, 0.85, 0.82), (0.60, 0.20, 0.22), (0.18, 0.42, 0.38), (0.20, 0.20, 0.24))
CAST, DETAIL, STYLE, TIMING = range(300, 304)
"""Streams of random numbers."""
CAST_SEED = 7
"""Of who the 52 are and of their details, the same for every configuration."""
FEWEST, MOST = 50, 160
"""Frames of a clip."""


@dataclass(frozen=True)
class FacesConfig:
    """How faces are drawn, cut and split."""

    size: int = 64
    """Side of the square picture, in pixels; at least 16."""
    length: int = 8
    """Frames of a training window."""
    stride: int = 2
    """Frames of the clip from one frame of a window to the next, as the paper takes MUG."""
    takes: int = 3
    """Clips of each person and expression."""
    test_identities: int = 10
    """People who are held out, of 52."""
    seed: int = 423
    """Of the choice of those people, and of the clips' timing."""

    def __post_init__(self) -> None:
        for name, least in {"size": 16, "length": 1, "stride": 1, "takes": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"faces: {name} is {getattr(self, name)}; it must be {least} at least")
        if 1 + (self.length - 1) * self.stride > FEWEST:
            reach = f"length {self.length} with stride {self.stride}"
            raise ConfigError(f"faces: {reach} exceeds the {FEWEST} frames of the shortest clip; lower either")


@lru_cache(maxsize=1)
def everyone() -> Int[Tensor, " C"]:
    """All 720 combinations of attributes: first the 52 people, any two of whom differ in at least two attributes."""
    order = uniform(CAST_SEED, CAST, torch.arange(math.prod(COUNTS)), 1)[:, 0].argsort()
    values = torch.stack(torch.unravel_index(order, COUNTS), dim=1)
    taken: list[int] = []
    for row in range(len(values)):
        if len(taken) < PEOPLE and bool(((values[taken] != values[row]).sum(1) >= 2).all()):
            taken.append(row)
    rest = torch.ones(len(order), dtype=torch.bool)
    rest[taken] = False
    return torch.cat([order[taken], order[rest]])


def attributes(combination: Int[Tensor, " N"]) -> dict[str, Int[Tensor, " N"]]:
    """The attributes of running numbers of which the last attribute varies fastest."""
    return dict(zip(ATTRIBUTES, torch.unravel_index(combination, COUNTS), strict=True))


def combination(values: Mapping[str, Int[Tensor, " N"]]) -> Int[Tensor, " N"]:
    """The inverse of `attributes`."""
    number = torch.zeros_like(values[ATTRIBUTES[0]])
    for name, count in zip(ATTRIBUTES, COUNTS, strict=True):
        number = number * count + values[name]
    return number


def look(people: Int[Tensor, " B"]) -> Look:
    """What people of these combinations look like."""
    device, values = people.device, attributes(people)
    u = uniform(CAST_SEED, DETAIL, people, 14).float()

    def table(rows: object, which: Tensor) -> Tensor:
        return torch.tensor(rows, device=device)[which]

    def between(column: int, low: float, high: float) -> Tensor:
        return low + (high - low) * u[:, column]

    heads = table(list(HEADS.values()), values["head"])
    tint = 1 + 0.08 * (u[:, 0:1] - 0.5)
    return Look(
        skin=(table(list(SKINS.values()), values["skin"]) * tint).clamp(max=1),
        hair=(table(list(HAIRS.values()), values["colour"]) * (1 + 0.12 * (u[:, 1:2] - 0.5))).clamp(max=1),
        iris=table(IRISES, (u[:, 2] * len(IRISES)).long()),
        shirt=table(SHIRTS, (u[:, 3] * len(SHIRTS)).long()),
        style=values["hair"],
        beard=values["beard"],
        head=heads[:, :4],
        narrow=heads[:, 4],
        eyes=torch.stack([between(4, 0.255, 0.315), between(5, 0.135, 0.170), between(6, 0.88, 1.12)], dim=1),
        brow=torch.stack([between(7, 0.045, 0.085), between(8, 0.01, 0.05)], dim=1),
        nose=torch.stack([between(9, 0.095, 0.150), between(10, -0.03, 0.03)], dim=1),
        mouth=torch.stack([between(11, 0.215, 0.285), between(12, 0.045, 0.085)], dim=1),
        skew=torch.zeros(len(people), 2, device=device) + 0.24 * (uniform(CAST_SEED, STYLE, people, 2).float() - 0.5),
    )


def habits(people: Int[Tensor, " B"]) -> Float[Tensor, "B A"]:
    """How strongly people of these combinations move each action unit: near 1, float32."""
    u = uniform(CAST_SEED, STYLE + 10, people, 1 + len(UNITS)).float()
    return (0.85 + 0.25 * u[:, :1]) * (0.88 + 0.24 * u[:, 1:])


@dataclass(frozen=True, eq=False)
class Timing:
    """When N clips are at rest, rise, hold and fall; in frames, float64."""

    count: Int[Tensor, " N"]
    """Frames of the clip."""
    knots: Float[Tensor, "N 4"]
    """When the face begins to move, reaches its apex, leaves it, and is at rest again."""
    apex: Float[Tensor, " N"]
    """How strong the apex is."""
    lead: Float[Tensor, " N"]
    """How far the upper face runs ahead of the lower."""
    sway: Float[Tensor, "N 3"]
    """By how much the apex wavers, its period, and its phase in radians."""

    def pick(self, rows: Tensor) -> "Timing":
        return Timing(*(getattr(self, name)[rows] for name in ("count", "knots", "apex", "lead", "sway")))

    def to(self, device: torch.device) -> "Timing":
        return Timing(*(getattr(self, name).to(device) for name in ("count", "knots", "apex", "lead", "sway")))


def timing(u: Float[Tensor, "N 10"]) -> Timing:
    """Timings from numbers in [0, 1).

    Rising takes 8 to 14 frames and falling 8 to 18; the clip rests for up to 3 frames before and after, so that every
    stretch of 15 frames reaches 0.45 of the strength of the table.
    """
    count = FEWEST + (u[:, 0] * (MOST - FEWEST + 1)).long()
    frames = count.double()
    start, rest = 3 * u[:, 1], 3 * u[:, 2]
    rise, fall = 8 + 6 * u[:, 3], 8 + 10 * u[:, 4]
    end = frames - 1 - rest
    knots = torch.stack([start, start + rise, end - fall, end], dim=1)
    sway = torch.stack([0.08 * u[:, 6], 16 + 24 * u[:, 7], 2 * math.pi * u[:, 8]], dim=1)
    return Timing(count, knots, 0.85 + 0.15 * u[:, 5], 4 * u[:, 9] - 2, sway)


def activity(clock: Timing, times: Float[Tensor, "N T"]) -> Float[Tensor, "N T 2"]:
    """How strong the expression is in the upper and the lower face, 0 at rest; smooth, by the minimum-jerk curve
    10 s³ - 15 s⁴ + 6 s⁵ (Flash and Hogan 1985) up and down."""
    shifted = torch.stack([times + clock.lead[:, None] / 2, times - clock.lead[:, None] / 2], dim=-1)
    start, top, leave, end = (knot[:, None, None] for knot in clock.knots.unbind(1))
    up, down = ((shifted - start) / (top - start)).clamp(0, 1), ((end - shifted) / (end - leave)).clamp(0, 1)
    size, period, phase = (value[:, None, None] for value in clock.sway.unbind(1))
    wavering = 1 - size * (0.5 + 0.5 * torch.cos(2 * math.pi * times[..., None] / period + phase))
    rise = torch.minimum(up, down)
    return clock.apex[:, None, None] * wavering * rise**3 * (10 - 15 * rise + 6 * rise**2)


def strengths(device: torch.device) -> Float[Tensor, "E A"]:
    """The table `EXPRESSIONS`, in the order of the actions and of `UNITS`."""
    rows = [[EXPRESSIONS[name].get(unit, 0.0) for unit in UNITS] for name in FACTORS["action"]]
    return torch.tensor(rows, device=device)


def check_covered(people: Int[Tensor, " N"], held_out: int) -> None:
    """ConfigError unless these training people show every value of every attribute."""
    for name, value in attributes(people).items():
        if len(value.unique()) < len(FACTORS[name]):
            raise ConfigError(
                f"faces: test_identities is {held_out}, which leaves a {name} out of training; hold out fewer"
            )


class Faces(TruthSource):
    """Clips of one split: ``train``, ``test`` (people held out), ``all`` 52, or ``others``: the 668 combinations that
    are none of them, on which a judge of the attributes can learn what 42 people are too few for.

    Clip ``(6 p + expression) takes + take`` is that of the split's p-th person. A window of 8 frames, 2 frames apart,
    may begin wherever it fits into a clip; it always reaches 0.45 of the expression's strength. Frames are
    drawn when they are asked for. Raises ConfigError for an unknown split.
    """

    name = "faces"
    judging = "others"
    factors = FACTORS
    content = ATTRIBUTES
    channels = 3
    fps = 19.0
    periodic = False

    def __init__(self, config: FacesConfig, split: str) -> None:
        train, test = split_identities(PEOPLE, config.test_identities, config.seed)
        members = {"train": train, "test": test, "all": torch.arange(PEOPLE)}
        members["others"] = torch.arange(PEOPLE, len(everyone()))
        if split not in members:
            raise ConfigError(f"faces: no split {split!r}; there are {', '.join(members)}")
        check_covered(everyone()[train], config.test_identities)
        self.config, self.split = config, split
        self.size = (config.size, config.size)
        self.length, self.stride = config.length, config.stride
        each = len(FACTORS["action"]) * config.takes
        self.identity = members[split].repeat_interleave(each)
        within = torch.arange(each).repeat(len(members[split]))
        self.person = everyone()[self.identity]
        self.labels = {**attributes(self.person), "action": within // config.takes}
        self.clock = timing(uniform(config.seed, TIMING, self.identity * each + within, 10))

    def frame_counts(self) -> Int[Tensor, " N"]:
        return self.clock.count

    def make(
        self, people: Int[Tensor, " B"], action: Int[Tensor, " B"], clock: Timing, times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """People of these combinations making an expression with a timing, at any real times, in frames."""
        device = people.device
        which = torch.tensor([int(unit not in UPPER) for unit in UNITS], device=device)
        strength = (strengths(device)[action] * habits(people))[:, None]
        units = activity(clock, times.double())[..., which].float() * strength
        return draw(look(people), units, self.config.size)

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips, steps = clips.to(self.person.device), steps.to(self.person.device)
        inside = torch.minimum(steps.clamp(min=0), self.clock.count[clips, None] - 1)
        return self.truth(clips, clips, inside.double())

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Clip `content`'s person making clip `motion`'s expression with its timing, as this person makes it."""
        content, motion, times = (value.to(self.person.device) for value in (content, motion, times))
        return self.make(self.person[content], self.labels["action"][motion], self.clock.pick(motion), times)

    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """The factors leave the timing open: the middle one, of 105 frames, which wavers little."""
        device = self.person.device
        values = {name: factors[name].to(device) for name in FACTORS}
        people = combination(values)
        clock = timing(torch.full((len(people), 10), 0.5, dtype=torch.float64, device=device))
        return self.make(people, values["action"], clock, times.to(device))

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        steps = torch.arange(int(self.clock.count[index]))
        labels = {name: values[int(self.labels[name][index])] for name, values in FACTORS.items()}
        take = index % self.config.takes
        return VideoClip(
            frames=self.frames(torch.tensor([index]), steps[None])[0].cpu().float() / 255,
            fps=self.fps,
            labels=labels,
            name=f"faces/{int(self.identity[index]):02d}/{labels['action']}/{take}",
        )

    def to(self, device: torch.device) -> "Faces":
        moved = copy.copy(self)
        for name in ("person", "clock", "identity"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        """People and timings: frames are drawn when they are asked for."""
        return sum(t.nbytes for t in (self.person, self.identity, self.clock.knots, self.clock.sway))
