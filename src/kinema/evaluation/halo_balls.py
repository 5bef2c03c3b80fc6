"""Rotating balls: does the ball of a drawn motion stay on its circle, turn at the right rate and stay a ball?

A circle about the picture's middle is the truth of the data, so a ball's own orbit is the circle of its mean distance
from there. That alone proves little: a ball at rest, or a picture without any, is at a constant distance too. So every
rollout is also asked for its turns, for the radius of its circle, and for a ball of the right colour in every frame.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from kinema.data.balls import COLOURS, Balls, locate
from kinema.errors import ConfigError
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.metrics import mse
from kinema.evaluation.pictures import clip_grid, energy_over_time, figure_png, magnification, png
from kinema.evaluation.swap import CPU, transfer
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import FactoredModel

STEPS = 256
"""Frames of a rollout."""
AT_ONCE = 8
"""Rollouts that are decoded at one time."""
LIGHT = (0.8, 1.2)
"""The light of a ball, as a share of a true one's."""
SPREAD = 0.4
"""Most light in the wrong place, as a share of a true ball's: the distance in L1 from a disc drawn where the ball is.
A ball softened by 1 pixel has .2, one of the right light smeared over two places far apart has 1 and more."""
PURE = 0.9
"""Least share of a ball's light in the channel of its colour."""
ROOM = 1.0
"""Pixels by which a circle's radius may lie outside those of the data."""
SAME_TURNS = 0.02
"""Greatest relative error of the number of turns."""
ORBIT, PLACE = 0.5, 0.5
"""Bars, in pixels."""


@runtime_checkable
class Energetic(Protocol):
    """A model whose states are drawn, flow and have an energy."""

    def draw_state(self, action: Int[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, "B K n"]: ...

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]: ...

    def energy(self, states: Float[Tensor, "B T K n"]) -> dict[str, Float[Tensor, "B T K"]]: ...


def passes(results: Mapping[str, float]) -> dict[str, bool]:
    """For each measure of `evaluate_balls` that has a bar, whether it is reached; NaN reaches none.

    Distance from the orbit and position error at most .5 pixels, in the mean and at the worst frame of all; the right
    colour always; and, so that neither a picture at rest nor an empty one can score, a ball in 99 % of the frames, the
    true number of turns in 99 % of the rollouts, and in half of them a circle as large as the data's.
    """
    most = {f"rollout/from orbit{worst}": ORBIT for worst in ("", " greatest")}
    most |= {f"swap/position error{worst}": PLACE for worst in ("", " greatest")}
    least = {"rollout/ball": 0.99, "rollout/colour": 0.99, "rollout/turns right": 0.99, "rollout/radius known": 0.5}
    least |= {"swap/colour": 1.0, "swap/ball": 0.99}
    return {name: results[name] <= bar for name, bar in most.items()} | {n: results[n] >= b for n, b in least.items()}


@torch.no_grad()
def evaluate_balls(
    model: FactoredModel, test: Balls, count: int, seed: int, device: torch.device = CPU
) -> dict[str, float]:
    """`count` rollouts of 256 frames and `count` colour swaps of test clips, as ``WHAT/MEASURE``; pixels and shares.

    ``rollout``: the content of a real clip, a state that the model draws: from its prior, or, where it has fitted one,
    from a density; then ``N(0, I), rollout`` is the same without (`standard`). ``from orbit``: distance from the
    rollout's own circle. ``ball``: share of frames that show one, `is_ball`. ``colour``: share whose light is of the
    content's colour. ``turns``: signed, in 255 frames, beside ``turns truth``; ``turns right``: share of rollouts
    within 2 % of it. ``off time``: mean distance along the circle from a ball that turns at the true rate. ``radius``:
    of the circle; ``radius known``: share within a pixel of the data's radii.

    ``swap``: content A, motion B, always of another colour. ``colour`` (share of frames of A's), ``position error``
    against B's place, ``ball`` and ``mse`` against the true swap on [0, 1].

    ``energy`` (models with a Hamiltonian): ``drift``, the greatest change of the total over a rollout relative to its
    beginning, and for each part ``... moves``, its range over the same.

    Means have the ends of their 95 % interval over clips (``_low``, ``_high``); ``... greatest`` is the worst frame of
    all, for which there is none. ``n`` counts the clips of each. Pictures are rounded to 8 bits, as in a file.
    Raises ConfigError for a test split of one colour.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_windows(test, _clips(test, count, generator), generator)
    a, b = swap_pairs(test, count, generator)
    swapped = transfer(model, a, b, device)
    scores = {f"swap/{name}": values for name, values in _swap_scores(test, a, b, swapped).items()}
    for row, drawer in _drawers(model).items():
        shown = rollouts(drawer, drawn, STEPS, generator, device)
        scores |= {f"{row}/{name}": values for name, values in _rollout_scores(test, drawn, shown).items()}
    greatest = {name: scores.pop(name) for name in list(scores) if name.endswith(" greatest")}
    scores |= {f"energy/{name}": values for name, values in _energy_scores(model, count, seed, device).items()}
    results = _summary(scores, seed) | {name: values.max().item() for name, values in greatest.items()}
    return results | {"rollout/turns truth": (STEPS - 1) / test.config.period, "n": float(count)}


def is_ball(test: Balls, frames: UInt8[Tensor, "B T C H W"], place: Float[Tensor, "B T 2"]) -> Tensor:
    """Whether each frame shows a ball at `place`, (B, T): the light of one (`LIGHT`), spread like a disc (`SPREAD`)."""
    light = floats(frames).sum(2)
    disc = _disc(test, place)
    share = light.sum((-2, -1)) / disc.sum((-2, -1))
    wrong = (light - disc).abs().sum((-2, -1)) / disc.sum((-2, -1))
    return (share >= LIGHT[0]) & (share <= LIGHT[1]) & (wrong <= SPREAD)


def of_colour(frames: UInt8[Tensor, "B T C H W"], colour: Int[Tensor, " B"]) -> Tensor:
    """Whether each frame's light is of the colour, (B, T): `PURE` of it in the channels of that colour. False where
    there is no light."""
    channels = (torch.tensor(list(COLOURS.values()), device=frames.device) > 0).float()[colour]
    light = floats(frames).sum((-2, -1))
    return (light * channels[:, None]).sum(2) >= PURE * light.sum(2).clamp(min=1e-6)


def rollouts(
    model: FactoredModel, content: Windows, steps: int, generator: torch.Generator, device: torch.device
) -> UInt8[Tensor, "B T C H W"]:
    """The content of the windows with motions that the model draws, for `steps` frames."""
    times = torch.arange(steps, dtype=torch.float64).to(device)

    def part(frames: Tensor, action: Tensor) -> Tensor:
        given = floats(frames).to(device), action.to(device), times.expand(len(frames), -1)
        return pixels(model.with_prior_motion(*given, generator))

    return batched(part, content.frames(), content.labels("action"), size=AT_ONCE)


def swap_pairs(test: Balls, count: int, generator: torch.Generator) -> tuple[Windows, Windows]:
    """Random windows A and B, always of different colours: where they agree, B alone would pass for a swap."""
    colour = test.labels["colour"].cpu()
    if len(colour.unique()) < 2:
        raise ConfigError(f"balls: the {test.split} split has one colour only; two are needed to swap them")
    a = _clips(test, count, generator)
    b = (colour != colour[a][:, None]).float().multinomial(1, generator=generator)[:, 0]
    return draw_windows(test, a, generator), draw_windows(test, b, generator)


def balls_pictures(
    model: FactoredModel, test: Balls, seed: int, device: torch.device = CPU, rows: int = 4
) -> dict[str, bytes]:
    """PNG files by name, as the paper's figures 1 and 3 and the supplement's figure 3.

    ``rollouts``: the first and the last 8 of 256 frames of drawn motions; ``swaps``: content, motion, swap and truth;
    for models with a Hamiltonian ``energy``: its parts over two turns of the first rollout, and ``phase``: drawn
    motions in the plane of the first position and momentum of the operator, coloured by energy.
    """
    generator = torch.Generator().manual_seed(seed)
    content = draw_windows(test, _clips(test, rows, generator), generator)
    with torch.no_grad():
        shown = rollouts(model, content, STEPS, generator, device)
        a, b = swap_pairs(test, rows, generator)
        swapped = transfer(model, a, b, device)
    ends = torch.cat([torch.arange(8), torch.arange(STEPS - 8, STEPS)])
    scale = magnification(test.size, 48)
    truth = test.truth(a.clips, b.clips, b.times())
    named = [("content", a.frames()), ("motion", b.frames()), ("swap", swapped), ("truth", truth)]
    lines = [(name, frames[row]) for row in range(rows) for name, frames in named]
    pictures = {
        "rollouts": png(clip_grid([(f"drawn {row + 1}", shown[row, ends]) for row in range(rows)], scale)),
        "swaps": png(clip_grid(lines, scale)),
    }
    times = torch.linspace(0, 2 * test.config.period, STEPS, dtype=torch.float64)
    found = trajectories(model, times, 32, seed, device)
    if found is not None:
        first = {name: values[0] for name, values in found.energies.items()}
        energies = energy_over_time(times, first, _operators(found))
        pictures |= {"energy": figure_png(energies), "phase": figure_png(_phase_by_energy(found))}
    return pictures


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Motions drawn from the prior and their energies."""

    states: Float[Tensor, "B T K n"]
    energies: Mapping[str, Float[Tensor, "B T K"]]
    """``total``, ``potential``, ``kinetic`` and ``nonseparable``."""


@torch.no_grad()
def trajectories(
    model: object, times: Float[Tensor, " T"], count: int, seed: int, device: torch.device
) -> Trajectories | None:
    """`count` drawn motions at these times; None for models without an energy."""
    if not isinstance(model, Energetic):
        return None
    action = torch.zeros(count, dtype=torch.int64, device=device)
    state = model.draw_state(action, torch.Generator().manual_seed(seed))
    states = model.flow(state, times.to(device))
    try:
        energies = model.energy(states)
    except ConfigError:  # dynamics without a Hamiltonian
        return None
    return Trajectories(states.cpu(), {name: values.cpu() for name, values in energies.items()})


def _drawers(model: FactoredModel) -> dict[str, FactoredModel]:
    """The model, and what it draws without its fitted densities where it has any."""
    standard = getattr(model, "standard", None)
    if standard is None or getattr(model, "starts", None) is None:
        return {"rollout": model}
    return {"rollout": model, "N(0, I), rollout": standard()}


def _clips(test: Balls, count: int, generator: torch.Generator) -> Int[Tensor, " B"]:
    """Random clips; all are used once before one is used again."""
    turns = math.ceil(count / len(test))
    return torch.cat([torch.randperm(len(test), generator=generator) for _ in range(turns)])[:count]


def _disc(test: Balls, place: Float[Tensor, "B T 2"]) -> Float[Tensor, "B T H W"]:
    """The light of a ball drawn there, by the same rule as the data's."""
    line = torch.arange(test.config.size, device=place.device, dtype=place.dtype)
    away = torch.hypot((line - place[..., :1])[..., None, :], (line - place[..., 1:])[..., :, None])
    return (test.config.radius + 0.5 - away).clamp(0, 1)


def _rollout_scores(test: Balls, content: Windows, shown: UInt8[Tensor, "B T C H W"]) -> dict[str, Tensor]:
    """One value for each rollout."""
    place = locate(shown)
    x, y = (place - (test.config.size - 1) / 2).unbind(-1)
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    mean = radius.mean(1, keepdim=True)
    away = (radius - mean).abs()
    step = 2 * math.pi / test.config.period
    turns = torch.remainder(angle.diff() + math.pi, 2 * math.pi).sub(math.pi).sum(1) / (2 * math.pi)
    wanted = step * (shown.shape[1] - 1) / (2 * math.pi)
    # How far the angle is from one that grows at the true rate, from the beginning that fits best on average.
    behind = torch.polar(torch.ones_like(angle), angle - step * torch.arange(shown.shape[1]))
    late = (behind / behind.mean(1, keepdim=True)).angle().abs() * mean
    low, high = test.config.orbits
    return {
        "from orbit": away.mean(1),
        "from orbit greatest": away.amax(1),
        "ball": is_ball(test, shown, place).double().mean(1),
        "colour": of_colour(shown, content.labels("colour")).double().mean(1),
        "turns": turns,
        "turns right": ((turns / wanted - 1).abs() <= SAME_TURNS).double(),
        "off time": late.mean(1),
        "radius": mean[:, 0],
        "radius known": ((mean[:, 0] >= low - ROOM) & (mean[:, 0] <= high + ROOM)).double(),
    }


def _swap_scores(test: Balls, a: Windows, b: Windows, shown: UInt8[Tensor, "B T C H W"]) -> dict[str, Tensor]:
    """One value for each swap."""
    place, times = locate(shown), b.times()
    away = (place - test.position(b.clips, times)).norm(dim=-1)
    return {
        "colour": of_colour(shown, a.labels("colour")).double().mean(1),
        "position error": away.mean(1),
        "position error greatest": away.amax(1),
        "ball": is_ball(test, shown, place).double().mean(1),
        "mse": mse(floats(shown), floats(test.truth(a.clips, b.clips, times))).double(),
    }


def _energy_scores(model: object, count: int, seed: int, device: torch.device) -> dict[str, Tensor]:
    """One value for each rollout, over all operators together; nothing for models without an energy."""
    found = trajectories(model, torch.arange(STEPS, dtype=torch.float64), count, seed, device)
    if found is None:
        return {}
    parts = {name: values.sum(2).double() for name, values in found.energies.items()}
    start = parts["total"][:, :1].abs()
    drift = ((parts["total"] - parts["total"][:, :1]).abs() / start).amax(1)
    moves = {f"{n} moves": ((v.amax(1) - v.amin(1)) / start[:, 0]) for n, v in parts.items() if n != "total"}
    return {"drift": drift, **moves}


def _summary(scores: Mapping[str, Float[Tensor, " B"]], seed: int) -> dict[str, float]:
    values = torch.stack(list(scores.values()), 1)
    columns = zip(scores, values.mean(0), *interval_over_clips(values, seed), strict=True)
    return {
        f"{name}{end}": float(value)
        for name, *figures in columns
        for end, value in zip(("", "_low", "_high"), figures, strict=True)
    }


def _operators(found: Trajectories) -> list[str]:
    return [str(number + 1) for number in range(found.states.shape[2])]


def _phase_by_energy(found: Trajectories) -> Figure:
    """Points of all motions in the plane of the first position and its momentum, coloured by their total energy."""
    figure = Figure(figsize=(1.2 + 3.2 * found.states.shape[2], 3.2), layout="constrained")
    axes = figure.subplots(1, found.states.shape[2], squeeze=False)[0]
    half = found.states.shape[3] // 2
    for column, (axis, name) in enumerate(zip(axes, _operators(found), strict=True)):
        q, p = (found.states[:, :, column, at].flatten() for at in (0, half))
        energy = found.energies["total"][:, :, column].flatten()
        points = axis.scatter(q.tolist(), p.tolist(), c=np.asarray(energy), s=2, cmap="viridis", linewidths=0)
        axis.set(xlabel="$q_1$", ylabel="$p_1$", aspect="equal")
        axis.set_title(f"operator {name}", fontsize=9)
        axis.tick_params(labelsize=7)
        figure.colorbar(points, ax=axis, label="energy")
    return figure
