"""Where and how fast a procedural walker goes, and where and when it sets its feet.

A plan is a line of frames: speed, heading and place on the ground, and a phase that counts strides, from which all
footsteps follow. Stride k of the left foot begins at phase k, when its toes come down; the right foot is half a
stride later. The numbers that tell a gait are linear in speed, for walking and for running, after the curves in
Winter, Biomechanics and Motor Control of Human Movement (2009), and Novacheck, The biomechanics of running (1998).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SPEEDS = {"walk": (0.6, 1.85), "run": (2.15, 3.6)}
"""The slowest and the fastest, in m/s."""
CHANGE = 2.0
"""The speed in m/s at which walking becomes running."""
BEFORE, AFTER = 1.8, 4.0
"""Seconds planned before and after a clip, so that the footsteps at its ends are known."""
DEGREE = math.pi / 180

GAITS: dict[str, tuple[float, float, float, float]] = {
    # walk at 0.6, walk at 1.85, run at 2.15, run at 3.6 m/s
    "frequency": (0.66, 1.08, 1.35, 1.50),  # strides per second
    "duty": (0.575, 0.515, 0.38, 0.285),  # share of the stride in which the toes stand
    "lead": (0.075, 0.06, 0.035, 0.035),  # how much earlier the heel comes down, in strides
    "ahead": (0.05, -0.03, 0.0, -0.025),  # the toe before the pelvis in the middle of its stance, metres
    "width": (0.075, 0.06, 0.04, 0.03),  # the foot beside the path, metres
    "height": (0.930, 0.918, 0.898, 0.885),  # of the pelvis, metres
    "bob": (0.012, 0.026, -0.026, -0.030),  # of the pelvis, positive is high in the middle of stance, metres
    "sway": (0.022, 0.018, 0.010, 0.008),  # of the pelvis towards the standing foot, metres
    "yaw": (3.0, 8.0, 5.0, 8.0),  # of the pelvis, in degrees like all that follow up to clearance
    "list": (2.5, 4.0, 3.0, 3.0),  # how far the pelvis sinks on the swinging side
    "lean": (2.0, 4.0, 6.0, 9.0),  # of the trunk
    "nod": (0.0, 0.0, 0.0, 0.0),  # of the head, beyond the trunk's
    "twist": (3.0, 8.0, 10.0, 14.0),  # of the shoulders, against the pelvis
    "arm": (10.0, 26.0, 26.0, 36.0),  # swing of the upper arm to each side
    "reach": (0.0, 2.0, -10.0, -14.0),  # its middle, positive forward
    "spread": (7.0, 8.0, 12.0, 14.0),  # of the upper arms, away from the body
    "elbow": (14.0, 24.0, 78.0, 86.0),  # bend
    "elbow_swing": (4.0, 12.0, 8.0, 12.0),
    "heel_off": (50.0, 66.0, 55.0, 60.0),  # pitch of the foot when the toes leave the ground, heel up
    "kick": (58.0, 75.0, 76.0, 96.0),  # its greatest pitch, in swing
    "carry": (0.0, 4.0, 14.0, 28.0),  # its pitch when two thirds of the swing are over
    "strike": (14.0, 22.0, 8.0, 4.0),  # how far the toes are up when the heel comes down
    "clearance": (0.04, 0.055, 0.09, 0.15),  # how high the foot is carried over, metres
    "rise": (0.55, 0.5, 0.38, 0.3),  # when the heel leaves the ground, as a share of the stance
}
ANGLES = tuple(GAITS)[tuple(GAITS).index("yaw") : tuple(GAITS).index("clearance")]
"""The numbers that GAITS and STYLES hold in degrees."""
SHARED = ("duty", "height", "lead", "rise")
"""The numbers in which people do not differ."""
SIDE = torch.tensor([1.0, -1.0], dtype=torch.float64)
"""Left and right along the body's X."""


@dataclass(frozen=True)
class Style:
    """How a manner of moving changes the numbers of a gait: first times `scale`, then plus `shift`."""

    scale: Mapping[str, float] = field(default_factory=dict)
    shift: Mapping[str, float] = field(default_factory=dict)
    """In the numbers' own units."""


STYLES = {
    "normal": Style(),
    "proud": Style(
        scale={"frequency": 0.96, "bob": 1.2, "arm": 1.35, "clearance": 1.35, "twist": 1.2, "width": 0.8},
        shift={"lean": -7.0, "nod": -4.0, "height": 0.005, "spread": 4.0, "strike": 4.0},
    ),
    "tired": Style(
        scale={"frequency": 1.07, "bob": 0.7, "arm": 0.45, "clearance": 0.9, "sway": 1.5, "elbow": 0.75, "yaw": 0.7},
        shift={"lean": 13.0, "nod": 14.0, "height": -0.025, "spread": -2.0, "width": 0.015, "reach": 6.0},
    ),
}
"""The first is as GAITS says."""


@dataclass(frozen=True)
class Plan:
    """A walk before there is a body: N frames, some before and after the clip."""

    fps: float
    frames: range
    """Which of the N the clip consists of."""
    speed: Float[Tensor, " N"]
    """In m/s."""
    turn: Float[Tensor, " N"]
    """Change of heading, to the left, in rad/s."""
    heading: Float[Tensor, " N"]
    """In radians, without jumps."""
    ground: Float[Tensor, "N 2"]
    """The path, x and z in metres."""
    phase: Float[Tensor, " N"]
    """In strides; it only grows."""
    numbers: Float[Tensor, "N G"]
    """The numbers of the gait in the order of GAITS, angles in radians."""


@dataclass(frozen=True)
class Steps:
    """K footsteps of both feet. Each begins when the toes come down."""

    place: Float[Tensor, "K 2 2"]
    """Of the joint of the toes, x and z in metres."""
    yaw: Float[Tensor, "K 2"]
    """Where the foot points, in radians."""
    numbers: Float[Tensor, "K 2 G"]
    """The numbers of the gait at that time."""


def named(numbers: Float[Tensor, "*B G"]) -> dict[str, Float[Tensor, "*B"]]:
    """The numbers of a gait by their names."""
    return dict(zip(GAITS, numbers.unbind(-1), strict=True))


def make_plan(random: np.random.Generator, action: str, style: str, seconds: float, fps: float) -> Plan:
    """A random plan of `action` (``walk``, ``run``, or ``change`` from one to the other) that lasts `seconds`."""
    first, count = round(BEFORE * fps), round(seconds * fps)
    frames = range(first, first + count)
    time = (torch.arange(first + count + round(AFTER * fps)).double() - first) / fps
    speed = _speed(random, action, time, seconds)
    turn = _turn(random, speed, time, seconds)
    numbers = gait_numbers(random, style, speed, fps)
    heading = random.uniform(-math.pi, math.pi) + _integral(turn, fps)
    way = speed[:, None] * torch.stack([heading.sin(), heading.cos()], -1)
    ground = _integral(way, fps)
    phase = 1 + random.uniform() + _integral(named(numbers)["frequency"], fps)
    return Plan(fps, frames, speed, turn, heading, ground - ground[first], phase, numbers)


def gait_numbers(
    random: np.random.Generator, style: str, speed: Float[Tensor, " N"], fps: float
) -> Float[Tensor, "N G"]:
    """The numbers of GAITS at these speeds, of somebody whose own differ by some hundredths."""
    manner = STYLES[style]
    own = [1.0 if name in SHARED else math.exp(random.normal(0, 0.03)) for name in GAITS]
    unit = [DEGREE if name in ANGLES else 1.0 for name in GAITS]
    scale = [manner.scale.get(name, 1.0) * by * to for name, by, to in zip(GAITS, own, unit, strict=True)]
    shift = [manner.shift.get(name, 0.0) * to for name, to in zip(GAITS, unit, strict=True)]
    walk, run = (
        torch.lerp(slowly, fast, ((speed - least) / (most - least)).clamp(0, 1)[:, None])
        for (least, most), (slowly, fast) in zip(SPEEDS.values(), _table(), strict=True)
    )
    running = _smooth(((speed - CHANGE) / 0.04).sigmoid(), round(0.25 * fps))
    return torch.lerp(walk, run, running[:, None]) * walk.new_tensor(scale) + walk.new_tensor(shift)


def _table() -> Float[Tensor, "2 2 G"]:
    """GAITS as (walk or run, slow or fast, number)."""
    return torch.tensor(list(GAITS.values()), dtype=torch.float64).T.reshape(2, 2, -1)


def make_steps(random: np.random.Generator, plan: Plan) -> Steps:
    """The footsteps of a plan: each foot stands where the body passes it in the middle of its stance."""
    count = int(plan.phase[-1] - 0.5)
    start = torch.arange(count).double()[:, None] + torch.tensor([0.0, 0.5], dtype=torch.float64)
    when = _inverse(plan.phase, start)
    table = _at(plan.numbers, when)
    numbers = named(table)
    middle = _inverse(plan.phase, start + numbers["duty"] / 2)
    path = torch.stack([plan.heading, plan.turn, plan.speed, *plan.ground.unbind(-1)], -1)
    heading, turn, speed, x, z = _at(path, middle).unbind(-1)
    ground = torch.stack([x, z], -1)
    forward = torch.stack([heading.sin(), heading.cos()], -1)
    left = torch.stack([heading.cos(), -heading.sin()], -1)
    # Who runs a curve leans into it: the feet come down outside of the path.
    beside = numbers["width"] * SIDE - 0.03 * speed * turn
    along, aside = torch.from_numpy(random.normal(0, 0.008, (*start.shape, 2))).unbind(-1)
    place = ground + (numbers["ahead"] + along)[..., None] * forward + (beside + aside)[..., None] * left
    return Steps(place, heading + 0.1 * SIDE, table)


def _speed(random: np.random.Generator, action: str, time: Float[Tensor, " N"], seconds: float) -> Float[Tensor, " N"]:
    """Slow waves within the limits of the action, or a change from one action to the other."""
    if action == "change":
        start, end = (random.uniform(1.2, 1.8), random.uniform(2.2, 3.0))[:: random.choice([-1, 1])]
        middle, width = random.uniform(0.3, 0.7) * seconds, random.uniform(0.25, 0.45)
        return start + (end - start) * ((time - middle) / width).sigmoid()
    slow, fast = SPEEDS[action]
    mean = random.uniform(slow, fast)
    sizes, periods, starts = torch.from_numpy(random.uniform([0, 4, 0], [0.12, 9, 1], (2, 3))).unbind(-1)
    wave = (sizes * torch.sin(2 * math.pi * (time[:, None] / periods + starts))).sum(-1)
    # A smooth way to stay within the limits.
    middle, half = (slow + fast) / 2, (fast - slow) / 2
    return middle + half * torch.tanh(math.atanh(max(-0.98, min(0.98, (mean - middle) / half))) + wave)


def _turn(
    random: np.random.Generator, speed: Float[Tensor, " N"], time: Float[Tensor, " N"], seconds: float
) -> Float[Tensor, " N"]:
    """Gentle curves, sometimes a circle, and up to two turns of 30 to 120 degrees, to either side."""
    gentle = random.uniform(0, 0.35) * torch.sin(2 * math.pi * (time / random.uniform(4, 10) + random.uniform()))
    turn = gentle + (random.uniform(-0.6, 0.6) if random.uniform() < 0.25 else 0.0)
    for _ in range(int(random.integers(0, 3))):
        angle = random.choice([-1, 1]) * random.uniform(30, 120) * DEGREE
        middle, length = random.uniform(0.5, max(0.6, seconds - 0.5)), random.uniform(1.2, 2.2)
        share = ((time - middle) / length).clamp(-0.5, 0.5)
        turn = turn + angle / length * (1 + torch.cos(2 * math.pi * share))
    limit = (3.0 / speed).clamp(max=1.5)
    return limit * torch.tanh(turn / limit)


def _integral(rate: Float[Tensor, "N ..."], fps: float) -> Float[Tensor, "N ..."]:
    """By the trapezium rule, from 0."""
    return torch.cat([torch.zeros_like(rate[:1]), ((rate[1:] + rate[:-1]) / (2 * fps)).cumsum(0)])


def _smooth(values: Float[Tensor, " N"], half: int) -> Float[Tensor, " N"]:
    """The mean over a raised cosine that reaches `half` frames to each side."""
    weight = torch.hann_window(2 * half + 3, periodic=False, dtype=values.dtype)[1:-1]
    padded = torch.cat([values[:1].expand(half), values, values[-1:].expand(half)])
    return torch.nn.functional.conv1d(padded[None, None], (weight / weight.sum())[None, None])[0, 0]


def _inverse(phase: Float[Tensor, " N"], wanted: Float[Tensor, "K 2"]) -> Float[Tensor, "K 2"]:
    """When, in frames, the phase reaches a value."""
    after = torch.searchsorted(phase, wanted.contiguous()).clamp(1, len(phase) - 1)
    low, high = phase[after - 1], phase[after]
    return after - 1 + ((wanted - low) / (high - low)).clamp(0, 1)


def _at(values: Float[Tensor, "N V"], when: Float[Tensor, "K 2"]) -> Float[Tensor, "K 2 V"]:
    """The values at times in frames, on straight lines between frames."""
    before = when.long().clamp(max=len(values) - 2)
    return torch.lerp(values[before], values[before + 1], (when - before)[..., None])
