"""All that the HALO tables measure of a model of sprites or faces, as one flat dict."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.disentanglement import (
    CONDITIONAL,
    PRIOR_MOTION,
    SAMPLED_CONTENT,
    UNCONDITIONAL,
    balanced_clips,
    evaluate_disentanglement,
    passes,
)
from kinema.evaluation.probes import evaluate_probes
from kinema.evaluation.reconstruction import evaluate_reconstruction
from kinema.evaluation.rollouts import LENGTHS, evaluate_rollouts
from kinema.evaluation.swap import evaluate_swaps
from kinema.evaluation.time_control import evaluate_time_control
from kinema.evaluation.trained_judge import JudgeNetwork, OpinionJudge
from kinema.evaluation.unlabelled import without_labels
from kinema.evaluation.windows import batched, floats, pixels, windows_at
from kinema.models.halo import Halo

STANDARD = "N(0, I), "
"""Before the name of a measure: with the model's fitted densities left out."""
PAPER_JUDGE = "paper's judge, "
"""Before the name of a measure: judged by the network of the paper's table 9."""
ROLLOUTS, PAIRS = 64, 288
"""Clips that are unrolled, and pairs beside which the nearest training clips are shown."""


def evaluate_halo(
    model: Halo,
    test: Source,
    train: Source,
    judge: JudgeNetwork,
    others: Mapping[str, JudgeNetwork],
    count: int,
    seed: int,
    device: torch.device,
    brief: bool = False,
) -> dict[str, float]:
    """Disentanglement of `count` test clips in both directions, probes, rollouts, times, reconstruction, and baselines.

    The names are those of `evaluate_disentanglement`, `evaluate_probes`, `evaluate_rollouts`, ``time/`` and those of
    `evaluate_time_control`, `evaluate_reconstruction`, ``nearest_clip/`` of `evaluate_swaps` (RGB sources that know the
    truth), and ``image to sequence/action``. Names after `STANDARD` are measured without fitted densities, those that
    begin with a name of `others` by that judge. ``conditional`` and ``bars reached`` of ``bars`` say what they say.
    `brief` leaves out probes, what is drawn without densities, and rollouts of more than 64 frames.
    """
    model = without_labels(model)
    results = evaluate_disentanglement(model, test, judge, count, seed, device)
    bars = passes(results, CONDITIONAL if model.config.conditional else UNCONDITIONAL)
    results |= {"conditional": float(model.config.conditional), "bars": float(len(bars))}
    results |= {"bars reached": float(sum(bars.values())), **{f"bar {k}": float(v) for k, v in bars.items()}}
    results |= image_to_sequence(model, test, judge, count, seed, device)
    if not brief and (model.contents is not None or model.starts is not None):
        drawn = [
            d for d, density in ((PRIOR_MOTION, model.starts), (SAMPLED_CONTENT, model.contents)) if density is not None
        ]
        found = evaluate_disentanglement(model.standard(), test, judge, count, seed, device, drawn)
        results |= {f"{STANDARD}{name}": value for name, value in found.items()}
    for name, other in others.items():
        found = evaluate_disentanglement(model, test, other, count, seed, device, [PRIOR_MOTION])
        results |= {f"{name}{measure}": value for measure, value in found.items()}
    if not brief:
        results |= evaluate_probes(model, test, min(count, 1000), seed, device)
    results |= evaluate_reconstruction(model, test, min(count, PAIRS), seed, device)
    if isinstance(test, TruthSource):
        lengths = LENGTHS[:2] if brief else LENGTHS
        results |= evaluate_rollouts(model, test, ROLLOUTS, seed, device, lengths, _period(model, test))
        timed = evaluate_time_control(model, test, min(count, 128), seed, device)
        results |= {f"time/{name}": value for name, value in timed.items()}
    if isinstance(test, TruthSource) and test.periodic:
        swaps = evaluate_swaps(model, test, train, min(count, PAIRS), seed, judge, device)
        results |= {name: value for name, value in swaps.items() if name.startswith("nearest_c")}
    return results


@torch.no_grad()
def image_to_sequence(
    model: Any, source: Source, judge: OpinionJudge, count: int, seed: int, device: torch.device
) -> dict[str, float]:
    """``image to sequence/action``: how often one image, told any action, is seen to do it (the paper's figure 4)."""
    chosen, action = balanced_clips(source, count, torch.Generator().manual_seed(seed))
    steps = source.stride * torch.arange(source.length)
    first = windows_at(source, chosen, torch.zeros(len(chosen), 1, dtype=torch.int64)).frames()[:, 0]
    times = source.times(chosen, steps.expand(len(chosen), -1))

    def shown(image: Tensor, action: Tensor, times: Tensor) -> Tensor:
        return pixels(model.animate_images(floats(image).to(device), action.to(device), times.to(device)))

    seen = judge.probabilities(batched(shown, first, action, times - times[:, :1]))["action"].argmax(1)
    right = (seen == action).float()
    low, high = interval_over_clips(right, seed)
    name = "image to sequence/action"
    return {name: right.mean().item(), f"{name}_low": float(low), f"{name}_high": float(high)}


def _period(model: Halo, source: Source) -> float | None:
    """What frequencies are snapped to: the source's own cycle, else what the model was told."""
    return None if source.periodic else model.config.period
