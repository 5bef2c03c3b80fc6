"""Animated WebP: lossless, 8-bit alpha, delays of 1 ms.

The container is that of developers.google.com/speed/webp/docs/riff_container.
"""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from kinema.clip import VideoClip
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.images import opened
from kinema.files.pixels import clip_of_rgba, delays, durations_in_ms, images_of_clip, rgba_of_image

LOSSLESS = b"VP8L"
ANIMATED, ALPHA, REPLACE = 0x02, 0x10, 0x02


def read_webp(path: Path) -> VideoClip:
    """A still or animated WebP, every frame drawn in full."""
    with reading(path):
        data = path.read_bytes()
        if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
            raise ValueError("the end is missing")
    with opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        check_pixels(path, *image.size, frames)
        rgba, waits = [], []
        for index in range(frames):
            image.seek(index)
            image.load()  # only now is the duration known
            rgba.append(rgba_of_image(image))
            waits.append(image.info.get("duration", 0))
        return clip_of_rgba(np.stack(rgba), path, durations_in_ms(waits))


def write_webp(clip: VideoClip, path: Path) -> None:
    """A lossless WebP that loops for ever. The library's encoder merges equal frames, so the container is ours."""
    with writing(path) as (part,):
        frames = images_of_clip(clip)
        body = frames_body(clip, frames) if len(frames) > 1 else chunk(LOSSLESS, compressed(frames[0]))
        part.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)


def frames_body(clip: VideoClip, frames: list[Image.Image]) -> bytes:
    height, width = clip.size
    flags = ANIMATED | (0 if clip.alpha is None else ALPHA)
    out = [
        chunk(b"VP8X", bytes([flags, 0, 0, 0]) + small(width - 1) + small(height - 1)),
        chunk(b"ANIM", bytes(6)),
    ]
    for image, wait in zip(frames, delays(clip).tolist(), strict=True):
        place = bytes(6) + small(width - 1) + small(height - 1) + small(wait) + bytes([REPLACE])
        out.append(chunk(b"ANMF", place + chunk(LOSSLESS, compressed(image))))
    return b"".join(out)


def compressed(image: Image.Image) -> bytes:
    """The pixels as a lossless WebP holds them."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True)
    data = buffer.getvalue()
    at = data.index(LOSSLESS)
    (length,) = struct.unpack_from("<I", data, at + 4)
    return data[at + 8 : at + 8 + length]


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def small(number: int) -> bytes:
    """24 bits, little end first."""
    return number.to_bytes(3, "little")
