"""Swaps against the true swap: does B's action appear, is A's appearance kept, and how near is the picture?"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.evaluation.baselines import baselines
from kinema.evaluation.judge import Judge
from kinema.evaluation.metrics import bootstrap_interval, mse, psnr, ssim
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import ClipModel

CPU = torch.device("cpu")


@torch.no_grad()
def evaluate_swaps(
    model: ClipModel,
    source: TruthSource,
    train_source: Source,
    pairs: int,
    seed: int,
    judge: Judge,
    device: torch.device = CPU,
) -> dict[str, float]:
    """Scores of `pairs` swaps of random clips of `source`, the test split, and of what needs no model.

    ``swap/...``: B's action read from B by the model; ``swap_true_action/...``: the action given;
    ``nearest_clip/...``, ``nearest_character/...``, ``copy/...``: see `baselines`. Each has ``action_accuracy`` and
    ``kept`` (mean over the content factors; ``kept_FACTOR`` for each) by the judge, and ``mse``, ``psnr`` (dB) and
    ``ssim`` against the true swap; ``swap`` also has 95 % intervals over the pairs (``_low``, ``_high``).
    ``swap/recogniser_accuracy`` is how often the model names B's action. Pictures are rounded to 8 bits, as in a file.
    """
    a, b = draw_pairs(source, pairs, seed)
    truth = batched(source.truth, a.clips, b.clips, b.times())
    shown = {
        "swap": transfer(model, a, b, device),
        "swap_true_action": transfer(model, a, b, device, b.labels("action")),
        **{name: windows.frames() for name, windows in baselines(a, b, train_source).items()},
    }
    together = judge.read(torch.cat(list(shown.values())), b.times().repeat(len(shown), 1))
    results: dict[str, float] = {}
    for row, (name, frames) in enumerate(shown.items()):
        read = {factor: values[row * pairs : (row + 1) * pairs] for factor, values in together.items()}
        scores = pair_scores(a, b, read) | picture_scores(frames, truth)
        results |= {f"{name}/{measure}": values.mean().item() for measure, values in scores.items()}
        if name == "swap":
            results |= _intervals(name, scores, seed)
    return results | recognised("swap", model, b, device)


def recognised(name: str, model: ClipModel, windows: Windows, device: torch.device) -> dict[str, float]:
    """``NAME/recogniser_accuracy``: how often the model names the action; nothing for one that has names of its own."""
    if model.domain.actions != windows.source.actions:
        return {}
    seen = batched(lambda frames: model.recognise(floats(frames).to(device)).argmax(1), windows.frames())
    return {f"{name}/recogniser_accuracy": (seen == windows.labels("action")).float().mean().item()}


def draw_pairs(source: Source, pairs: int, seed: int) -> tuple[Windows, Windows]:
    """Random windows A and B. Every action is B's equally often; both begin where `draw_windows` lets them."""
    generator = torch.Generator().manual_seed(seed)
    actions = source.labels["action"].cpu()
    doing = [torch.nonzero(actions == action)[:, 0] for action in actions.unique()]
    draws = torch.rand(pairs, generator=generator, dtype=torch.float64)
    pools = [doing[pair % len(doing)] for pair in range(pairs)]
    b = torch.stack([pool[int(draw * len(pool))] for pool, draw in zip(pools, draws, strict=True)])
    a = torch.randint(len(source), (pairs,), generator=generator)
    return draw_windows(source, a, generator), draw_windows(source, b, generator)


@torch.no_grad()
def transfer(
    model: ClipModel, a: Windows, b: Windows, device: torch.device, action: Int[Tensor, " B"] | None = None
) -> UInt8[Tensor, "B T C H W"]:
    """The model's swaps: A's content moving as B does, B's action given or left to the model."""

    def part(a: Tensor, b: Tensor, times: Tensor, action: Tensor | None) -> Tensor:
        given = None if action is None else action.to(device)
        return pixels(model.transfer(floats(a).to(device), floats(b).to(device), times.to(device), given))

    return batched(part, a.frames(), b.frames(), b.elapsed(), action)


def pair_scores(a: Windows, b: Windows, read: Mapping[str, Int[Tensor, " B"]]) -> dict[str, Float[Tensor, " B"]]:
    """For each pair 1 where the judge reads B's action, and 1 where it reads A's value of each content factor."""
    kept = {f"kept_{name}": (read[name] == a.labels(name)).float() for name in a.source.content}
    action = (read["action"] == b.labels("action")).float()
    return {"action_accuracy": action, "kept": torch.stack(list(kept.values())).mean(0), **kept}


def picture_scores(
    shown: UInt8[Tensor, "B T C H W"], truth: UInt8[Tensor, "B T C H W"]
) -> dict[str, Float[Tensor, " B"]]:
    """MSE, PSNR (dB) and SSIM of each clip against the truth."""
    measures = {"mse": mse, "psnr": psnr, "ssim": ssim}
    return {
        name: batched(lambda x, y, measure=measure: measure(floats(x), floats(y)), shown, truth)
        for name, measure in measures.items()
    }


def _intervals(name: str, scores: Mapping[str, Float[Tensor, " B"]], seed: int) -> dict[str, float]:
    results = {}
    for measure in ("action_accuracy", "kept", "psnr"):
        low, high = bootstrap_interval(scores[measure], seed)
        results |= {f"{name}/{measure}_low": low, f"{name}/{measure}_high": high}
    return results
