"""Clips of any size for models of one size: pad and crop back, or resize."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from kinema.clip import VideoClip
from kinema.errors import ClipError


@dataclass(frozen=True)
class Box:
    """Where a clip lies in its padded version, in pixels."""

    top: int
    left: int
    height: int
    width: int


def pad_to(clip: VideoClip, size: tuple[int, int]) -> tuple[VideoClip, Box]:
    """The clip in the middle of `size` = (height, width), and where it lies there.

    The border is transparent where the clip has alpha, otherwise black. Raises ClipError where the clip is larger.
    """
    (height, width), (rows, columns) = clip.size, size
    if height > rows or width > columns:
        found, wanted = f"{width} x {height}", f"{columns} x {rows}"
        raise ClipError(f"{clip.name}: {found} pixels (width x height) exceed the model's {wanted}; add --resize")
    box = Box((rows - height) // 2, (columns - width) // 2, height, width)
    border = (box.left, columns - width - box.left, box.top, rows - height - box.top)
    alpha = None if clip.alpha is None else functional.pad(clip.alpha, border)
    return replace(clip, frames=functional.pad(clip.frames, border), alpha=alpha), box


def crop_back(frames: Float[Tensor, "*T C H W"], box: Box) -> Float[Tensor, "*T C h w"]:
    """The part of `frames` that `pad_to` did not add."""
    return frames[..., box.top : box.top + box.height, box.left : box.left + box.width]


def resize(clip: VideoClip, size: tuple[int, int]) -> VideoClip:
    """The clip as large as it fits into `size` = (height, width) with its proportions kept; `pad_to` adds the rest.

    Whole-number enlargement repeats pixels, so that pixel art stays sharp; anything else is bicubic with
    antialiasing, on premultiplied colours, so that what is invisible does not bleed into the edges.
    """
    height, width = clip.size
    rows, columns = size
    ratio = min(rows / height, columns / width)
    if ratio >= 1 and ratio == int(ratio):
        return enlarge(clip, int(ratio))
    target = max(1, round(height * ratio)), max(1, round(width * ratio))
    if clip.alpha is None:
        return replace(clip, frames=bicubic(clip.frames, target))
    alpha = bicubic(clip.alpha, target)
    frames = bicubic(clip.frames * clip.alpha, target) / alpha.clamp_min(1e-6)
    return replace(clip, frames=(frames * (alpha > 0)).clamp(0, 1), alpha=alpha)


def enlarge(clip: VideoClip, times: int) -> VideoClip:
    """Every pixel repeated `times` times in both directions."""
    if times < 1:
        raise ClipError(f"{clip.name}: a scale of {times} is not possible; 1, 2, 3, ... are")
    grow = torch.nn.UpsamplingNearest2d(scale_factor=times)
    return replace(clip, frames=grow(clip.frames), alpha=None if clip.alpha is None else grow(clip.alpha))


def bicubic(frames: Float[Tensor, "T C H W"], size: tuple[int, int]) -> Float[Tensor, "T C h w"]:
    return functional.interpolate(frames, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
