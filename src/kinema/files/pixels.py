"""Between 8-bit RGBA arrays with durations, which files hold, and clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image
from torch import Tensor

from kinema.clip import VideoClip

BLANK_DELAY = 100.0
"""How long a frame is shown, in ms, where the file says 0: what browsers do."""


def rgba_of_image(image: Image.Image) -> UInt8[np.ndarray, "H W 4"]:
    """The pixels of a Pillow image, whatever its mode; 16-bit gray is scaled, which Pillow would clip."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return np.array(image.convert("RGBA"))


def clip_of_rgba(
    rgba: UInt8[np.ndarray, "T H W 4"],
    path: Path,
    durations: Num[np.ndarray, " T"] | None = None,
    second: float = 1000.0,
    labels: Mapping[str, str] | None = None,
) -> VideoClip:
    """The clip that a file holds.

    `durations` says how long each frame is shown, in the file's own units, of which `second` make a second. The
    (lower) median duration becomes one frame of the clip; durations that only rounding to those units made unequal are
    taken for equal. An alpha that is opaque throughout is dropped; colours that nobody can see become 0.
    """
    pixels = torch.from_numpy(np.where(rgba[..., 3:] == 0, np.uint8(0), rgba)).permute(0, 3, 1, 2).contiguous()
    opaque = bool((pixels[:, 3] == 255).all())
    frames = pixels[:, :3].float().div_(255)
    alpha = None if opaque else pixels[:, 3:].float().div_(255)
    if durations is None:
        return VideoClip(frames, alpha, labels=labels or {}, name=str(path))
    edges, unit = timing(durations)
    return VideoClip(frames, alpha, edges[:-1], float(edges[-1]), second / unit, labels or {}, str(path))


def timing(durations: Num[np.ndarray, " T"]) -> tuple[Float[Tensor, " T+1"], float]:
    """When each frame begins and the last ends, in frames, and the length of a frame in the file's units.

    30 frames a second are 33, 34, 33, ... ms in a file that counts ms, and 30, 40, 30, ... in a GIF. Where one length
    explains all ends by rounding alone, it is taken, and writing rounds it to the same numbers again.
    """
    ends = np.cumsum(durations, dtype=np.float64)
    count = np.arange(1, len(ends) + 1)
    low, high = ((ends - 0.5) / count).max(), ((ends + 0.5) / count).min()
    if low < high:
        mean = ends[-1] / len(ends)
        unit = float(mean if low < mean < high else (low + high) / 2)
        return torch.arange(len(ends) + 1, dtype=torch.float64), unit
    unit = float(np.sort(durations)[(len(durations) - 1) // 2])
    return torch.from_numpy(np.concatenate([[0.0], ends]) / unit), unit


def rgba_of_clip(clip: VideoClip) -> UInt8[np.ndarray, "T H W 4"]:
    """A clip in straight 8-bit RGBA; 0 where nothing is visible, as encoders compress that best."""
    alpha = torch.ones(len(clip), 1, *clip.size) if clip.alpha is None else clip.alpha
    pixels = torch.cat([clip.rgb(), alpha], 1).clamp(0, 1).mul(255).round().to(torch.uint8)
    return (pixels * (pixels[:, 3:] > 0)).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def image_mode(clip: VideoClip) -> str:
    """The Pillow mode that holds the clip and no more."""
    return "RGB" if clip.alpha is None else "RGBA"


def images_of_clip(clip: VideoClip) -> list[Image.Image]:
    """A clip as Pillow images, RGB or RGBA."""
    mode = image_mode(clip)
    return [Image.fromarray(np.ascontiguousarray(frame[..., : len(mode)])) for frame in rgba_of_clip(clip)]


def delays(clip: VideoClip, grain: int = 1) -> Int[np.ndarray, " T"]:
    """How long each frame is shown, in units of `grain` ms, at least 1 and at most 65535 of them (16 bits).

    Beginnings are rounded, not durations, so that errors do not add up over a clip.
    """
    edges = np.concatenate([[0.0], np.cumsum(clip.durations.numpy())]) * 1000 / clip.fps / grain
    return np.clip(np.diff(np.rint(edges).astype(np.int64)), 1, 65535)


def durations_in_ms(values: Sequence[float | int]) -> Num[np.ndarray, " T"]:
    """The delays that a file states, with BLANK_DELAY where it states none."""
    return np.array([value if value > 0 else BLANK_DELAY for value in values], dtype=np.float64)
