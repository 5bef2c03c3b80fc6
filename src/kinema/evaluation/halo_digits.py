"""Rotating MNIST by both protocols: the angle that training lacks, and writers that training never saw.

Published figures of the two stand in one column elsewhere, though the tasks differ; so each has its own names here, and
each error is told on both ranges of pixels, [0, 1] and, four times as large, [-1, 1].
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.rotating_digits import RotatingDigits, coloured, turned
from kinema.errors import ConfigError
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.metrics import mse
from kinema.evaluation.pictures import clip_grid, magnification, png
from kinema.evaluation.swap import CPU
from kinema.evaluation.windows import batched, floats, pixels
from kinema.models.base import FactoredModel

WIDE = " [-1,1]"
"""After the name of an error: for pixels from -1 to 1."""
ANGLE, IDENTITY = 0.0184, 0.0208
"""Bars: the least published error on either protocol, taken as one on [0, 1]; it is the stricter reading."""
FIRST = (1, 3)
"""How many of the first frames a held-out writer is also known by."""

Frames = UInt8[Tensor, "B T C H W"]


class TimedModel(FactoredModel, Protocol):
    """A model that shows a clip at other times than those it was shown at."""

    def at_times(
        self,
        frames: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        wanted: Float[Tensor, "B U"],
        action: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B U C H W"]: ...


def passes(results: Mapping[str, float]) -> dict[str, bool]:
    """Whether the protocol that was measured reaches its bar, on [0, 1]; NaN reaches none."""
    bars = {"angle/missing": ANGLE, "identity/all 16": IDENTITY} | {f"identity/first {n}": IDENTITY for n in FIRST}
    return {name: results[name] < bar for name, bar in bars.items() if name in results}


@torch.no_grad()
def evaluate_digits(model: TimedModel, test: RotatingDigits, seed: int, device: torch.device = CPU) -> dict[str, float]:
    """Mean squared errors of all clips of `test`, whose protocol decides what is measured. Nothing is drawn at random.

    ``angle/...``: from the frames that training has of each clip, at their true times, the others are predicted:
    ``missing``, the angle that every clip lacks, ``dropped``, the frames that only this clip lacks, ``seen``, those
    shown to the model. ``identity/...``: all frames of a turn, of writers held out, from all of them (``all 16`` of 16
    angles), from the first alone (``first 1``) and from the first three (``first 3``).

    Each error is one per pixel on [0, 1] of grey pictures rounded to 8 bits, and again on [-1, 1] (``... [-1,1]``, four
    times as large); each has the ends of its 95 % interval over clips (``_low``, ``_high``). ``n`` counts the clips.

    Beside what must be predicted, ``missing``, ``dropped`` or ``all 16``, stands what needs no model: ``... mean
    picture``, the mean of the training clips' pictures at that angle (the angle that training lacks has none, and takes
    the mean of the truths: an advantage); ``... nearest frame``, that of the nearest angle of what the model saw (for
    ``identity``: of the first frame alone, as all are seen otherwise); ``... turned exactly``, the first frame seen,
    turned as the truth is: what a model that knew the motion to be a turn could do.
    Raises ConfigError for the training split of ``angle``, whose clips lack what is to be measured.
    """
    clips, angles = torch.arange(len(test)), test.config.angles
    if test.steps.shape[1] != angles:
        raise ConfigError(f"rotmnist: the {test.split} split lacks frames that are to be measured; take the test split")
    every = torch.arange(angles).expand(len(test), -1)
    truth, seen = test.frames(clips, every).cpu(), test.seen(clips).cpu()
    if test.missing(clips).shape[1]:
        gone = test.missing(clips).cpu()
        wanted = {"angle/missing": gone[:, :1], "angle/dropped": gone[:, 1:], "angle/seen": seen}
        wanted = {name: numbers for name, numbers in wanted.items() if numbers.shape[1]}
        shown = {name: predicted(model, test, seen, numbers, device) for name, numbers in wanted.items()}
        told = {"angle/missing": seen, "angle/dropped": seen}
    else:
        known = {f"identity/all {angles}": angles} | {f"identity/first {n}": n for n in FIRST if n < angles}
        wanted = dict.fromkeys(known, every)
        shown = {name: predicted(model, test, every[:, :count], every, device) for name, count in known.items()}
        told = {f"identity/all {angles}": every[:, :1]}
    for name, numbers in told.items():
        for kind, frames in baselines(test, truth, numbers, wanted[name]).items():
            shown[f"{name} {kind}"], wanted[f"{name} {kind}"] = frames, wanted[name]
    errors = {name: _error(frames, _at(truth, wanted[name])) for name, frames in shown.items()}
    return _summary(errors, seed) | {"n": float(len(test))}


def predicted(
    model: TimedModel, test: RotatingDigits, told: Int[Tensor, "N K"], wanted: Int[Tensor, "N U"], device: torch.device
) -> UInt8[Tensor, "N U C H W"]:
    """What the model shows of each clip at the frames `wanted`, of which it is shown the frames `told`."""
    clips = torch.arange(len(test))

    def part(clips: Tensor, told: Tensor, wanted: Tensor) -> Tensor:
        frames = floats(test.frames(clips, told)).to(device)
        # Times are counted from the first frame told, as in training.
        first = told[:, :1]
        times, at = ((numbers - first).double().to(device) for numbers in (told, wanted))
        return pixels(model.at_times(frames, times, at, test.labels["action"].cpu()[clips].to(device)))

    return batched(part, clips, told, wanted)


def baselines(
    test: RotatingDigits, truth: Frames, told: Int[Tensor, "N K"], wanted: Int[Tensor, "N U"]
) -> dict[str, UInt8[Tensor, "N U C H W"]]:
    """What needs no model: the mean picture at the angle, the frame of the nearest angle, the first one turned."""
    angles = test.config.angles
    around = (wanted[:, :, None] - told[:, None]).abs()
    nearest = told.gather(1, torch.minimum(around, angles - around).argmin(2))
    first = _at(truth, told[:, :1])[:, 0, 0]
    spun = turned(first, (wanted - told[:, :1]).double() / angles)
    return {
        "mean picture": _at(mean_pictures(test, truth)[None].expand(len(truth), -1, -1, -1, -1), wanted),
        "nearest frame": _at(truth, nearest),
        "turned exactly": coloured(spun),
    }


def mean_pictures(test: RotatingDigits, truth: Frames) -> UInt8[Tensor, "T C H W"]:
    """The mean of the training clips' pictures at each angle, and of the test clips' where training has none."""
    train = RotatingDigits(test.config, "train")
    clips = torch.arange(len(train))
    numbers = train.seen(clips)
    there = torch.zeros(len(train), test.config.angles).scatter_(1, numbers, 1.0)
    whole = train.pixels.flatten(2).double()
    sums = torch.einsum("nt,ntp->tp", there.double(), whole)
    count = there.sum(0).double()[:, None]
    mean = torch.where(count > 0, sums / count.clamp(min=1), truth[:, :, 0].flatten(2).double().mean(0))
    return coloured(mean.round().to(torch.uint8).view(1, test.config.angles, *test.size))[0]


def digits_pictures(
    model: TimedModel, test: RotatingDigits, seed: int, device: torch.device = CPU, rows: int = 3
) -> dict[str, bytes]:
    """A PNG panel ``digits``, as the supplement's figure 5: for random clips all frames of the truth, those that the
    model makes of what it may see, of the first frame alone, and of a state that is drawn."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(test), generator=generator)[:rows].sort().values
    every = torch.arange(test.config.angles).expand(len(test), -1)
    lacking = test.missing(torch.arange(len(test))).shape[1] > 0
    told = test.seen(torch.arange(len(test))).cpu() if lacking else every
    truth = test.frames(chosen, every[chosen]).cpu()
    with torch.no_grad():
        content, action = floats(test.frames(chosen, told[chosen])).to(device), test.labels["action"].cpu()[chosen]
        times = every[chosen].double().to(device)
        drawn = pixels(model.with_prior_motion(content, action.to(device), times, generator)).cpu()
        panels = {
            "truth": truth,
            f"from {told.shape[1]}": predicted(model, test, told, every, device)[chosen],
            "from the first": predicted(model, test, told[:, :1], every, device)[chosen],
            "drawn": drawn,
        }
    lines = [(name, frames[row]) for row in range(len(chosen)) for name, frames in panels.items()]
    return {"digits": png(clip_grid(lines, magnification(test.size, 42)))}


def _at(frames: Frames, numbers: Int[Tensor, "B U"]) -> UInt8[Tensor, "B U C H W"]:
    return frames[torch.arange(len(frames))[:, None], numbers]


def _error(shown: Frames, truth: Frames) -> Float[Tensor, " B"]:
    return batched(lambda x, y: mse(floats(x), floats(y)), shown, truth)


def _summary(errors: Mapping[str, Float[Tensor, " B"]], seed: int) -> dict[str, float]:
    """Means and intervals over clips, on both ranges."""
    values = torch.stack(list(errors.values()), 1)
    columns = list(zip(errors, values.mean(0), *interval_over_clips(values, seed), strict=True))
    return {
        f"{name}{where}{end}": scale * float(value)
        for name, *figures in columns
        for where, scale in (("", 1.0), (WIDE, 4.0))
        for end, value in zip(("", "_low", "_high"), figures, strict=True)
    }
