"""The exact colours of a clip, and snapping another clip to them."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Integer, UInt8

from kinema.clip import VideoClip
from kinema.errors import ClipError
from kinema.files.pixels import rgba_of_clip

CHUNK = 2**22
"""How many distances are held at a time."""


def pack(colours: UInt8[np.ndarray, "N C"]) -> Integer[np.ndarray, " N"]:
    """RGB (or RGBA, alpha ignored) as one number each, so that they sort and compare fast."""
    wide = colours.astype(np.int64)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]


def unpack(packed: Integer[np.ndarray, " N"]) -> UInt8[np.ndarray, "N 3"]:
    """The colours (N, 3) that `pack` made into numbers."""
    return np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8)


def nearest(colours: UInt8[np.ndarray, "N 3"], palette: UInt8[np.ndarray, "P 3"]) -> Int[np.ndarray, " N"]:
    """For each colour the index of the palette's nearest (Euclidean in RGB; the first of equals)."""
    rows = max(1, CHUNK // max(1, len(palette)))
    target = palette.astype(np.float32)  # every term below is a whole number under 2^24, and so exact
    square, found = (target**2).sum(1), [np.zeros(0, np.int64)]
    for start in range(0, len(colours), rows):
        distance = square - 2 * colours[start : start + rows].astype(np.float32) @ target.T  # less the colour's square
        found.append(distance.argmin(1))
    return np.concatenate(found)


def palette_of(clip: VideoClip) -> UInt8[np.ndarray, "P 3"]:
    """The colours of the clip's visible pixels (alpha above 0), each once, sorted."""
    rgba = rgba_of_clip(clip)
    return unpack(np.unique(pack(rgba[rgba[..., 3] > 0])))


def has_binary_alpha(clip: VideoClip) -> bool:
    """Whether every pixel is either opaque or invisible."""
    return clip.alpha is None or bool(((clip.alpha == 0) | (clip.alpha == 1)).all())


def project(clip: VideoClip, palette: UInt8[np.ndarray, "P 3"], *, binary_alpha: bool = False) -> VideoClip:
    """The clip with every visible pixel moved to the palette's nearest colour.

    `binary_alpha` also makes each pixel opaque or invisible, cut at one half: for a source drawn that way
    (`has_binary_alpha`). Raises ClipError for an empty palette.
    """
    if len(palette) == 0:
        raise ClipError(f"{clip.name}: the palette is empty; its source needs at least one visible pixel")
    alpha = clip.alpha
    if alpha is not None and binary_alpha:
        alpha = (alpha >= 0.5).to(alpha.dtype)
    rgba = rgba_of_clip(replace(clip, alpha=alpha))
    colours, place = np.unique(pack(rgba.reshape(-1, 4)), return_inverse=True)
    snapped = palette[nearest(unpack(colours), palette)][place].reshape(*rgba.shape[:3], 3)
    snapped = np.where(rgba[..., 3:] > 0, snapped, np.uint8(0))
    frames = torch.from_numpy(snapped).permute(0, 3, 1, 2).contiguous().float().div_(255)
    return replace(clip, frames=frames, alpha=alpha)
