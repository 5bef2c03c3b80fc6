"""How far the renderer's pictures are from the truth: Figures 3, 6 to 10 and 16 of Resnick et al. (2020) in numbers.

Three scales, because the paper does not name its own: ``sse01`` is the sum of squares over an image in [0, 1],
``mse255`` the mean over its values in 0-255, ``psnr`` in dB of the mean square of all images together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.scene_examples import BARE, MANIPULATIONS, Examples

EMPTY = 0.5 / 255
"""Opacity below which a pixel is left free by the character."""
QUARTILES = {"q1": 0.25, "median": 0.5, "q3": 0.75}

Pictures = Float[Tensor, "N 3 H W"]
Errors = Float[Tensor, " N"]


@runtime_checkable
class SceneModel(Protocol):
    """What evaluation asks of a renderer and its rivals; pictures are float in [0, 1]."""

    def compose(self, character: Pictures, first: Pictures, second: Pictures, background: Pictures) -> Pictures:
        """The character, moved as from `first` to `second`, on that background."""
        ...


@runtime_checkable
class Separates(Protocol):
    """A model whose two codes can be shown alone (figure 10)."""

    def solo_background(self, x: Pictures) -> Pictures: ...

    def solo_character(self, x: Pictures) -> Pictures: ...


@runtime_checkable
class Mixes(Protocol):
    """A model whose codes can be kept: `compose`, in steps."""

    def codes(self, x: Pictures) -> tuple[Tensor, Tensor]: ...

    def read(self, first: Pictures, second: Pictures, z1: Tensor, z2: Tensor, given: Tensor | None) -> Tensor: ...

    def encode_background(self, x: Pictures) -> Tensor: ...

    def move(self, character: Tensor, theta: Tensor) -> Tensor: ...

    def render(self, character: Tensor, background: Tensor) -> Pictures: ...


@dataclass(frozen=True, eq=False)
class Scored:
    """Squared errors of N examples, summed over each image in [0, 1]; ``values`` is how many numbers an image has."""

    errors: Mapping[str, Errors]
    values: Mapping[str, Errors]
    movement: Tensor


def floats(pictures: UInt8[Tensor, "N 3 H W"], device: torch.device) -> Pictures:
    return pictures.to(device).float() / 255


@torch.no_grad()
def make(model: SceneModel, examples: Examples, device: torch.device) -> dict[str, Pictures]:
    """What a model shows for every manipulation, and for ``bare`` and ``solo`` where it can."""
    frames = {name: floats(value, device) for name, value in examples.frames.items()}
    frames["bare"] = floats(examples.bare, device)
    shown = {**MANIPULATIONS, "bare": BARE}
    if isinstance(model, Mixes):
        made = mixed(model, frames, shown, examples)
    else:
        made = {name: model.compose(*(frames[part] for part in parts)) for name, parts in shown.items()}
    if isinstance(model, Separates):
        made["solo"] = model.solo_background(frames["1i"])
    return {name: value.float().cpu().clamp(0, 1) for name, value in made.items()}


def mixed(
    model: Mixes, frames: Mapping[str, Pictures], shown: Mapping[str, tuple[str, ...]], examples: Examples
) -> dict[str, Pictures]:
    """What `compose` shows of each choice of frames, each of which is encoded once, and moved once by each movement."""
    codes = {name: model.codes(x) for name, x in frames.items() if name != "bare"}
    backgrounds = {name: b for name, (_, b) in codes.items()} | {"bare": model.encode_background(frames["bare"])}
    given = examples.source.given(examples.one, examples.i, examples.j)
    theta: dict[tuple[str, str], Tensor] = {}
    moved: dict[tuple[str, str, str], Tensor] = {}
    made = {}
    for name, (character, first, second, background) in shown.items():
        if (first, second) not in theta:
            known = None if given is None else given.to(frames[first].device)
            pair = codes[first][0], codes[second][0]
            theta[first, second] = model.read(frames[first], frames[second], *pair, known)
        if (character, first, second) not in moved:
            moved[character, first, second] = model.move(codes[character][0], theta[first, second])
        made[name] = model.render(moved[character, first, second], backgrounds[background])
    return made


def score(made: Mapping[str, Pictures], examples: Examples) -> Scored:
    """Errors of what was made, of its parts on and off the character, and of the baselines of the same examples."""
    cpu = torch.device("cpu")
    frames = {name: floats(value, cpu) for name, value in examples.frames.items()}
    truths = {name: floats(value, cpu) for name, value in examples.truths.items()}
    everything = torch.ones_like(truths["solo"][:, :1])
    compared = {name: (made[name], truths[name], everything) for name in made}
    free, theirs = (examples.masks["2j"] < EMPTY).float(), (examples.masks["2j"] > 0.5).float()
    if "transformation" in made:
        for name, where in (("background only", free), ("character only", theirs)):
            compared[name] = (made["transformation"], truths["transformation"], where)
            compared[f"{name}, copy"] = (frames["2i"], truths["transformation"], where)
    if "solo" in made:
        compared["solo, free pixels"] = (made["solo"], truths["solo"], (examples.masks["1i"] < EMPTY).float())
    compared |= {
        "video frames": (frames["1i"], frames["1j"], everything),
        "no object": (truths["solo"], frames["1j"], everything),
        "copy": (frames["2i"], truths["transformation"], everything),
    }
    errors = {name: ((a - b).square() * where).sum((1, 2, 3)) for name, (a, b, where) in compared.items()}
    values = {name: 3 * where.sum((1, 2, 3)) for name, (_, _, where) in compared.items()}
    return Scored(errors, values, examples.movement)


def evaluate_scenes(model: SceneModel, examples: Examples, device: torch.device, seed: int = 0) -> dict[str, float]:
    """Every error under flat names: ``MEASURE/SCALE`` with ``_low`` and ``_high``, ``MEASURE/q1``, ``/median``, ``/q3``
    of sse01, ``MEASURE/MOVEMENT/sse01``, and ratios of means, ``transformation/of video frames`` and the like."""
    parts = []
    for chunk in examples.chunks():
        parts.append(score(make(model, chunk, device), chunk))
    whole = Scored(
        {name: torch.cat([part.errors[name] for part in parts]) for name in parts[0].errors},
        {name: torch.cat([part.values[name] for part in parts]) for name in parts[0].values},
        torch.cat([part.movement for part in parts]),
    )
    return summary(whole, examples.source.movements, seed) | {"n/examples": float(len(examples))}


def summary(scored: Scored, movements: tuple[str, ...], seed: int) -> dict[str, float]:
    """What `evaluate_scenes` says of the errors."""
    results: dict[str, float] = {}
    for name, errors in scored.errors.items():
        low, high = interval_over_clips(errors.double(), seed)
        to255 = 255.0**2 * len(errors) / scored.values[name].sum().item()
        for end, value in (("", errors.mean()), ("_low", low), ("_high", high)):
            results[f"{name}/sse01{end}"] = float(value)
            results[f"{name}/mse255{end}"] = float(value) * to255
        mean_square = results[f"{name}/mse255"] / 255.0**2
        results[f"{name}/psnr"] = -10 * math.log10(mean_square) if mean_square > 0 else 100.0
        for quartile, at in QUARTILES.items():
            results[f"{name}/{quartile}"] = errors.quantile(at).item()
        for number, movement in enumerate(movements):
            if (members := scored.movement.cpu() == number).any():
                results[f"{name}/{movement}/sse01"] = errors[members].mean().item()
    for name, of in RATIOS:
        if name in scored.errors:
            results[f"{name}/of {of}"] = results[f"{name}/sse01"] / max(results[f"{of}/sse01"], 1e-12)
    return results


RATIOS = (
    ("background", "no object"),
    ("transformation", "video frames"),
    ("transformation", "copy"),
    ("background only", "background only, copy"),
    ("character only", "character only, copy"),
)
"""Errors and the baselines that they are a share of."""
