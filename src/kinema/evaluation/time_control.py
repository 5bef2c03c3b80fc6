"""Time under control: a sequence from one image at irregular times, at half tempo and backwards, against the truth.

A ratio to the regular sequence is told beside absolute figures, for a ratio alone proves nothing: what is bad at all
times is no worse at others. What ignores the times is known by the error that the truth itself has at other times.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.data.source import TruthSource
from kinema.errors import ClipError
from kinema.evaluation.metrics import mse
from kinema.evaluation.swap import CPU, picture_scores
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import ClipModel

ROUNDING = (1 / 255) ** 2 / 12
"""Mean squared error of rounding to 8 bits: ratios take no error for smaller."""


@torch.no_grad()
def evaluate_time_control(
    model: ClipModel, source: TruthSource, clips: int, seed: int, device: torch.device = CPU
) -> dict[str, float]:
    """How well one image and its true action become a sequence at other times than those of training.

    Of up to `clips` random clips, none twice, each from a random frame: ``regular``, two windows of a cycle or one of
    another clip, 0, 1, 2, ...; ``irregular``, as many sorted random times in the same span, other ones for each clip;
    ``half tempo``, 0, 1/2, 1, ...; ``reversal``, 0, -1, -2, ... All begin with the image itself at time 0.
    Each has ``/mse`` and ``/psnr`` (dB) against what the source draws at these times, and all but the first ``/of
    regular``, its MSE over the regular one, and ``/unmoved mse``, the error of the truth at regular times in its place:
    what a perfect model that ignores the times would have. ``n`` counts the clips.

    Sources of whole times only have their random times rounded, and no half tempo. What a model refuses with a
    ClipError, such as times before the image where its dynamics run forwards, is left out. Ratios take no error for
    less than that of 8-bit rounding, so that 0 of 0 is 1.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(source), generator=generator)[:clips]
    windows = draw_windows(source, chosen, generator)
    times = times_of(source, len(chosen), generator)
    regular = _truth(source, windows, times["regular"])
    results = {"n": float(len(chosen))}
    for name, wanted in times.items():
        truth = regular if name == "regular" else _truth(source, windows, wanted)
        try:
            shown = _animate(model, windows, wanted, device)
        except ClipError:
            if name == "regular":
                raise
            continue
        scores = {measure: value.mean().item() for measure, value in picture_scores(shown, truth).items()}
        results |= {f"{name}/{measure}": scores[measure] for measure in ("mse", "psnr")}
        if name != "regular":
            unmoved = batched(lambda x, y: mse(floats(x), floats(y)), regular, truth)
            results[f"{name}/unmoved mse"] = unmoved.mean().item()
            results[f"{name}/of regular"] = max(scores["mse"], ROUNDING) / max(results["regular/mse"], ROUNDING)
    return results


def times_of(source: TruthSource, count: int, generator: torch.Generator) -> Mapping[str, Float[Tensor, "B T"]]:
    """The times of each way of playing, in frames counted from the image, for `count` clips."""
    length = 2 * source.length if source.periodic else source.length
    regular = source.stride * torch.arange(length, dtype=torch.float64).expand(count, -1)
    between = torch.rand(count, length - 1, generator=generator, dtype=torch.float64) * regular[:, -1:]
    irregular = torch.cat([regular[:, :1], between.sort(dim=1).values], dim=1)
    if _whole_times_only(source):
        return {"regular": regular, "irregular": irregular.round(), "reversal": -regular}
    return {"regular": regular, "irregular": irregular, "half tempo": regular / 2, "reversal": -regular}


def _whole_times_only(source: TruthSource) -> bool:
    first = torch.zeros(1, dtype=torch.int64)
    try:
        source.truth(first, first, torch.full((1, 1), 0.5, dtype=torch.float64))
    except ClipError:
        return True
    return False


def _truth(source: TruthSource, windows: Windows, times: Float[Tensor, "B T"]) -> Tensor:
    """The windows' clips `times` after their first frame, as the source draws them; uint8."""
    return batched(source.truth, windows.clips, windows.clips, windows.times()[:, :1] + times)


def _animate(model: ClipModel, windows: Windows, times: Float[Tensor, "B T"], device: torch.device) -> Tensor:
    """The same as the model makes it from the windows' first frame and true action; uint8."""

    def part(images: Tensor, action: Int[Tensor, " B"], times: Tensor) -> Tensor:
        return pixels(model.animate_images(floats(images).to(device), action.to(device), times.to(device)))

    return batched(part, windows.frames()[:, 0], windows.labels("action"), times)
