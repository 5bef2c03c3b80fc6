"""One image, an action, and up to a thousand frames of it, against the truth that comes round again and again."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.errors import ClipError, ConfigError
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.metrics import mse, psnr, ssim
from kinema.evaluation.swap import CPU
from kinema.evaluation.windows import cycle, floats, pixels, windows_at
from kinema.models.base import ClipModel

LENGTHS = (16, 64, 256, 1000)
LAST = 8
"""Frames at the end of a rollout that are measured apart."""
HELD = 512
"""Frames that are made at one time: 25 MB of 64 x 64 pixels, and what the decoder needs for them."""
SIMILAR = 64
"""Frames of one length whose structural similarity is measured: all up to here, else as many drawn at random."""


@runtime_checkable
class Snapping(Protocol):
    """A model with frequencies."""

    def snapped(self, period: float) -> ClipModel:
        """The model whose motion repeats itself exactly every `period` frames. Raises ConfigError without any."""
        ...


@torch.no_grad()
def evaluate_rollouts(
    model: ClipModel,
    source: Source,
    clips: int,
    seed: int,
    device: torch.device = CPU,
    lengths: Sequence[int] = LENGTHS,
    period: float | None = None,
) -> dict[str, float]:
    """Rollouts of up to `clips` random clips of `source`, none twice, from their first frame and true action.

    ``rollout T/mse``, ``psnr`` (dB, per frame, then the mean) and ``ssim`` of the first T frames, on [0, 1], and
    ``rollout T last/...`` of the last 8 of them, for each of `lengths`; ``snapped rollout T/...`` the same with the
    frequencies moved to whole turns in `period` frames (default: the source's cycle), left out where there is no
    period or the model has no frequencies. Each has the ends of its 95 % interval over clips (``_low``, ``_high``);
    ``rollout/n`` counts the clips. ``ssim`` is measured on at most 64 frames of a length, drawn at random (not at
    even steps, which would see one phase of a cycle alone). Pictures are rounded to 8 bits, as in a file.

    The truth is the clip going round, or what a `TruthSource` that is no cycle renders at those times. Raises ClipError
    for other sources, whose clips end.
    """
    if not source.periodic and not isinstance(source, TruthSource):
        raise ClipError(f"{source.name}: its clips end; rollouts need cycles or a source that knows the truth")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(source), generator=generator)[:clips]
    seen = {length: torch.randperm(length, generator=generator)[:SIMILAR].sort().values for length in lengths}
    last = {length: torch.arange(max(0, length - LAST), length) for length in lengths}
    similar = torch.cat([*seen.values(), *last.values()]).unique()
    turn = cycle(source) if period is None else period
    rows = {"rollout": model}
    if turn is not None and isinstance(model, Snapping):
        rows |= _snapped(model, float(turn))
    results = {"rollout/n": float(len(chosen))}
    for name, shown in rows.items():
        errors = frame_scores(shown, source, chosen, max(lengths), similar, device)
        for length in lengths:
            results |= _summary(f"{name} {length}", errors, torch.arange(length), seen[length], seed)
            results |= _summary(f"{name} {length} last", errors, last[length], last[length], seed)
    return results


def frame_scores(
    model: ClipModel,
    source: Source,
    clips: Int[Tensor, " N"],
    length: int,
    similar: Int[Tensor, " S"],
    device: torch.device = CPU,
) -> dict[str, Float[Tensor, "N T"]]:
    """``mse``, ``psnr`` and, at the frames `similar` (elsewhere NaN), ``ssim`` of each frame of each rollout.

    Frames are made and measured `HELD` at a time. A chunk that begins later asks the model for later times alone.
    """
    scores = {name: torch.full((len(clips), length), math.nan) for name in ("mse", "psnr", "ssim")}
    span = min(length, SIMILAR)
    marked = torch.zeros(length, dtype=torch.bool)
    marked[similar] = True
    for part in torch.arange(len(clips)).split(max(1, HELD // span)):
        start = windows_at(source, clips[part], torch.zeros(len(part), 1, dtype=torch.int64))
        images, action = floats(start.frames()[:, 0]).to(device), start.labels("action").to(device)
        for steps in torch.arange(length).split(span):
            truth, times = _truth(source, clips[part], source.stride * steps)
            shown = pixels(model.animate_images(images, action, (times - start.times()).to(device))).cpu()
            x, y = floats(shown).flatten(0, 1)[:, None], floats(truth).flatten(0, 1)[:, None]
            place = part[:, None], steps
            scores["mse"][place] = mse(x, y).view(len(part), -1)
            scores["psnr"][place] = psnr(x, y).view(len(part), -1)
            if marked[steps].any():
                some = marked[steps].repeat(len(part))
                scores["ssim"][part[:, None], steps[marked[steps]]] = ssim(x[some], y[some]).view(len(part), -1)
    return scores


def passes(results: Mapping[str, float]) -> dict[str, bool]:
    """For each measure that has a bar, whether it is reached, with the learned frequencies; NaN reaches none.

    Sixteen frames: ssim >= .99, psnr >= 38 dB, mse <= 2e-4; a thousand frames: mse <= twice that of sixteen.
    """
    short = results["rollout 16/mse"]
    return {
        "rollout 16/ssim": results["rollout 16/ssim"] >= 0.99,
        "rollout 16/psnr": results["rollout 16/psnr"] >= 38,
        "rollout 16/mse": short <= 2e-4,
        "rollout 1000/mse": results["rollout 1000/mse"] <= 2 * short,
    }


def _snapped(model: Snapping, period: float) -> dict[str, ClipModel]:
    try:
        return {"snapped rollout": model.snapped(period)}
    except ConfigError:  # dynamics without frequencies
        return {}


def _truth(
    source: Source, clips: Int[Tensor, " B"], steps: Int[Tensor, " U"]
) -> tuple[UInt8[Tensor, "B U C H W"], Float[Tensor, "B U"]]:
    """What the clips show at these frames, and when that is, from the clip's own start."""
    every = steps.expand(len(clips), -1)
    times = source.times(clips, every)
    if not source.periodic and isinstance(source, TruthSource):
        return source.truth(clips, clips, times).cpu(), times
    return source.frames(clips, every).cpu(), times


def _summary(
    name: str,
    scores: Mapping[str, Float[Tensor, "N T"]],
    frames: Int[Tensor, " U"],
    similar: Int[Tensor, " S"],
    seed: int,
) -> dict[str, float]:
    """Means over these frames and all clips, and their intervals over clips."""
    columns = {n: values[:, similar if n == "ssim" else frames].mean(1) for n, values in scores.items()}
    lows, highs = interval_over_clips(torch.stack(list(columns.values()), 1), seed)
    results = {}
    for (measure, values), low, high in zip(columns.items(), lows.tolist(), highs.tolist(), strict=True):
        results |= {f"{name}/{measure}": values.mean().item(), f"{name}/{measure}_low": low}
        results[f"{name}/{measure}_high"] = high
    return results
