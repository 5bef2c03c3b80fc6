"""What can be shown for a swap without learning anything: a swap by a model must look better than these."""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source
from kinema.evaluation.nearest import folded, squared_distances
from kinema.evaluation.windows import Windows, windows_at


def baselines(a: Windows, b: Windows, training: Source) -> dict[str, Windows]:
    """For each pair of windows (A, B) what is shown as B's motion on A's content.

    ``nearest_clip``: the training clip nearest to A among those that do B's true action, at B's phase.
    ``nearest_character``: the training clip nearest to A among those with A's own action and view names a character;
    shown is that character in the same view doing B's action. It is told who is seen, and so is harder to beat.
    ``copy``: A as it is, no swap at all.

    A and the training clips are compared at A's own steps, in squared error.
    """
    distances = squared_distances(a.frames(), folded(a.source, a.steps.double()), len(training), partial(_at, training))
    action = _same(b, training, "action")
    character = _same_character(a, action, training, distances)
    return {
        "nearest_clip": windows_at(training, _nearest(distances, action), b.steps),
        "nearest_character": windows_at(training, _nearest(distances, character), b.steps),
        "copy": a,
    }


def _same_character(
    a: Windows, action: Bool[Tensor, "B N"], training: Source, distances: Float[Tensor, "B N"]
) -> Bool[Tensor, "B N"]:
    """Clips of the nearest character in A's view doing the action; where it never does, of any character."""
    views = [name for name in training.content if not _is_fixed(training, name)]
    chosen = _nearest(distances, _same(a, training, "action", *views))
    looks = torch.stack([training.identity, *(training.labels[name] for name in training.content)], 1).cpu()
    wanted = (looks[chosen][:, None] == looks).all(2) & action
    return torch.where(wanted.any(1, keepdim=True), wanted, action)


def _nearest(distances: Float[Tensor, "B N"], allowed: Bool[Tensor, "B N"]) -> Int[Tensor, " B"]:
    return distances.masked_fill(~allowed, torch.inf).argmin(1)


def _at(training: Source, clips: Int[Tensor, " N"], steps: Float[Tensor, "N U"]) -> UInt8[Tensor, "N U C H W"]:
    windows = windows_at(training, clips, steps.long())
    return training.frames(windows.clips, windows.steps)


def _same(windows: Windows, training: Source, *factors: str) -> Bool[Tensor, "B N"]:
    """Which training clips share these factors with each window."""
    pairs = [windows.labels(name)[:, None] == training.labels[name].cpu() for name in factors]
    return torch.stack(pairs).all(0)


def _is_fixed(source: Source, factor: str) -> bool:
    """Whether a factor is one and the same in all clips of an identity, as a colour is and a direction is not."""
    both = torch.stack([source.identity, source.labels[factor]], 1)
    return len(both.unique(dim=0)) == len(source.identity.unique())
