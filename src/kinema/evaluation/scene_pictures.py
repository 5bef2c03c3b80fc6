"""Panels of the renderer: manipulations and the truth (figures 2, 4, 5), codes shown alone (10), T_Z (11 to 14)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from kinema.data.pairs import SceneSource
from kinema.evaluation import pictures
from kinema.evaluation.scene_affine import Transformations
from kinema.evaluation.scene_errors import SceneModel, Separates, floats, make
from kinema.evaluation.scene_examples import Examples
from kinema.maths import affine

SHOWN = 8
"""Examples in a panel."""


def bytes_of(shown: Float[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
    return (shown.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def manipulations(model: SceneModel, examples: Examples, device: torch.device) -> bytes:
    """What the model is given, what it makes of it and what it should, below each other, as a PNG file."""
    made, frames, truths = make(model, examples, device), examples.frames, examples.truths
    rows: list[tuple[str, UInt8[Tensor, "N 3 H W"]]] = [
        (f"scene {name[0]}, step {name[1]}", frames[name]) for name in ("1i", "1j", "2i", "2j")
    ]
    for name in ("transformation", "background", "combined", "bare"):
        rows += [(name, bytes_of(made[name])), ("truth", truths[name])]
    return pictures.png(pictures.clip_grid(rows, pictures.magnification(examples.source.size, 64)))


@torch.no_grad()
def solo(model: Separates, frames: UInt8[Tensor, "N 3 H W"], device: torch.device) -> bytes:
    """Frames, and what is decoded of the background's and of the character's features alone, as a PNG file."""
    x = floats(frames, device)
    rows = [
        ("frame", frames.cpu()),
        ("background", bytes_of(model.solo_background(x))),
        ("character", bytes_of(model.solo_character(x))),
    ]
    return pictures.png(pictures.clip_grid(rows, pictures.magnification((frames.shape[-2], frames.shape[-1]), 64)))


@torch.no_grad()
def transferred(
    model: SceneModel, source: SceneSource, clips: Sequence[int], draw: float, device: torch.device
) -> bytes:
    """Whole clips whose movement another character makes (figure 4), as a PNG file: clip, result and truth in rows."""
    rows: list[tuple[str, UInt8[Tensor, "N 3 H W"]]] = []
    for clip in clips:
        one = torch.tensor([clip])
        count = int(source.frame_counts()[clip])
        other = source.another_character(one, torch.tensor([draw], dtype=torch.float64)).expand(count)
        one, steps, first = one.expand(count), torch.arange(count), torch.zeros(count, dtype=torch.int64)
        background = torch.zeros_like(steps)
        shown = source.render(one, one, steps, background)
        truth = source.render(other, one, steps, background)
        still = floats(source.render(other, one, first, background), device)
        start = floats(source.render(one, one, first, background), device)
        made = model.compose(still, start, floats(shown, device), still)
        rows += [("clip", shown), ("transferred", bytes_of(made)), ("truth", truth)]
    return pictures.png(pictures.clip_grid(rows, pictures.magnification(source.size, 64)))


def transformations(found: Mapping[str, Transformations], size: tuple[int, int]) -> bytes:
    """Translation norms and rotation angles, read against true, one column for each name, as a PNG file."""
    figure = Figure(figsize=(3.2 * len(found), 5.6), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    for column, (name, pairs) in enumerate(found.items()):
        angle, shift, _ = affine.parts(pairs.read)
        true_angle, true_shift, _ = affine.parts(pairs.true)
        pixels = affine.shift_to_pixels(true_shift, *size).norm(dim=-1)
        axes[0][column].hexbin(pixels.tolist(), shift.norm(dim=-1).tolist(), gridsize=40, mincnt=1, cmap="viridis")
        axes[0][column].set(title=name, xlabel="true shift, pixels", ylabel="read shift, canvas units")
        axes[1][column].plot(true_angle.rad2deg().tolist(), angle.rad2deg().tolist(), ".", markersize=1)
        axes[1][column].set(xlabel="true angle, degrees", ylabel="read angle, degrees")
    return pictures.figure_png(figure)
