"""A clip from its own codes, and a sequence from one image: the measures of the HALO paper's Table 1."""

import torch
from torch import Tensor

from kinema.data.source import Source
from kinema.evaluation.swap import CPU, picture_scores, recognised
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels, windows_at
from kinema.models.base import ClipModel


@torch.no_grad()
def evaluate_reconstruction(
    model: ClipModel, source: Source, clips: int, seed: int, device: torch.device = CPU
) -> dict[str, float]:
    """MSE, PSNR (dB) and SSIM of up to `clips` random clips of `source`, none twice.

    ``reconstruction/...``: a window of each, the action left to the model. ``image_to_sequence_T/...``: the clip from
    its first frame and its true action, for T of one window and of two; a periodic source goes round twice for the
    truth, as the paper does, and another source has only the lengths that all drawn clips reach.
    ``reconstruction/recogniser_accuracy``: how often the model names the action; ``reconstruction/n``: clips.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(source), generator=generator)[:clips]
    windows = draw_windows(source, chosen, generator)
    results = _scores("reconstruction", reconstruct(model, windows, device), windows.frames())
    results |= recognised("reconstruction", model, windows, device)
    results["reconstruction/n"] = float(len(chosen))
    reach = int(source.frame_counts().cpu()[chosen].min())
    for length in (source.length, 2 * source.length):
        steps = source.stride * torch.arange(length)
        if source.periodic or steps[-1] < reach:
            whole = windows_at(source, chosen, steps.expand(len(chosen), -1))
            results |= _scores(f"image_to_sequence_{length}", animate(model, whole, device), whole.frames())
    return results


@torch.no_grad()
def reconstruct(model: ClipModel, windows: Windows, device: torch.device) -> Tensor:
    """The windows as the model makes them from its own codes, (B, T, C, H, W) uint8."""

    def part(frames: Tensor, times: Tensor) -> Tensor:
        return pixels(model.reconstruct(floats(frames).to(device), times.to(device)))

    return batched(part, windows.frames(), windows.elapsed())


@torch.no_grad()
def animate(model: ClipModel, windows: Windows, device: torch.device) -> Tensor:
    """The windows as the model makes them from their first frame and true action, (B, T, C, H, W) uint8."""

    def part(frames: Tensor, action: Tensor, times: Tensor) -> Tensor:
        return pixels(model.animate_images(floats(frames[:, 0]).to(device), action.to(device), times.to(device)))

    return batched(part, windows.frames(), windows.labels("action"), windows.elapsed())


def _scores(name: str, shown: Tensor, truth: Tensor) -> dict[str, float]:
    return {f"{name}/{measure}": values.mean().item() for measure, values in picture_scores(shown, truth).items()}
