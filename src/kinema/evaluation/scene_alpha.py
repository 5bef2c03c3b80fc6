"""How well a renderer cuts a character out: its opacity, solved from two canvases, against the true one."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.scene_errors import Mixes, Pictures, floats
from kinema.evaluation.scene_examples import Examples
from kinema.maths import affine
from kinema.models.scenes import solve_alpha

GRAYS = (64, 192)
"""Two plain canvases, 0-255, none of which is a background."""
COUNT = 1000
"""Examples, at most."""


@runtime_checkable
class CutsOut(Protocol):
    """A model that puts a character on any background, and shows a background alone."""

    def compose(self, character: Pictures, first: Pictures, second: Pictures, background: Pictures) -> Pictures: ...

    def solo_background(self, x: Pictures) -> Pictures: ...


@torch.no_grad()
def alpha_of(model: CutsOut, x: Pictures) -> Float[Tensor, "N 1 H W"]:
    """The opacity of the character of each frame, unmoved, solved from what the model shows on two plain canvases."""
    plain = [torch.full_like(x[:1], gray / 255).expand_as(x) for gray in GRAYS]
    if isinstance(model, Mixes):
        z, _ = model.codes(x)
        still = model.move(z, affine.identity(*z.shape[:2], device=z.device))
        shown = [model.render(still, model.encode_background(canvas)).clamp(0, 1) for canvas in plain]
    else:
        shown = [model.compose(x, x, x, canvas).clamp(0, 1) for canvas in plain]
    return solve_alpha(*shown, *(model.solo_background(canvas) for canvas in plain))[1]


def evaluate_alpha(model: CutsOut, examples: Examples, device: torch.device, seed: int = 0) -> dict[str, float]:
    """``alpha/iou`` with ``_low`` and ``_high``: the mean intersection over union of what is more opaque than half, of
    the true opacity and the solved one; and ``alpha/error``, the mean absolute difference."""
    found, off = [], []
    for chunk in next(examples.chunks(COUNT)).chunks():
        truth = chunk.masks["1i"]
        alpha = alpha_of(model, floats(chunk.frames["1i"], device)).float().cpu()
        ours, theirs = alpha > 0.5, truth > 0.5
        both, either = ((ours & theirs).sum((1, 2, 3)), (ours | theirs).sum((1, 2, 3)))
        found.append(both / either.clamp_min(1))
        off.append((alpha - truth).abs().mean((1, 2, 3)))
    iou = torch.cat(found)
    low, high = interval_over_clips(iou.double(), seed)
    return {
        "alpha/iou": iou.mean().item(),
        "alpha/iou_low": float(low),
        "alpha/iou_high": float(high),
        "alpha/error": torch.cat(off).mean().item(),
    }
