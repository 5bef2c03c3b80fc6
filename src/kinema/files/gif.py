"""Animated GIF: 256 colours, 1-bit alpha, delays of 10 ms."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import GifImagePlugin, Image, ImageSequence

from kinema.clip import VideoClip
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.images import opened
from kinema.files.palette import nearest, pack, unpack
from kinema.files.pixels import clip_of_rgba, delays, durations_in_ms, rgba_of_clip, rgba_of_image

TRANSPARENT = 255
"""The palette index that is never a colour."""
GRAIN = 10
"""The unit of a delay, in ms."""


def read_gif(path: Path) -> VideoClip:
    """A GIF with every frame drawn in full. Raises FileError where blocks are missing at its end."""
    with reading(path):
        width, height, frames = measure(path.read_bytes())
        check_pixels(path, width, height, frames)
    with opened(path) as image:
        rgba, waits = [], []
        for frame in ImageSequence.Iterator(image):
            rgba.append(rgba_of_image(frame.convert("RGBA").crop((0, 0, *image.size))))
            waits.append(frame.info.get("duration", 0))
        if len({frame.shape for frame in rgba}) > 1:
            raise ValueError("its frames differ in size")
        return clip_of_rgba(np.stack(rgba), path, durations_in_ms(waits) / GRAIN, 1000 / GRAIN)


def measure(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of frames, by walking the blocks; IndexError or struct.error where the end is missing.

    Pillow stops without a word at a missing end, so that a file cut short would seem a shorter clip.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + table_bytes(flags), 0
    while data[at] != 0x3B:  # trailer
        if data[at] == 0x21:  # extension
            at = after_blocks(data, at + 2)
        elif data[at] == 0x2C:  # image
            x, y, w, h, flags = struct.unpack_from("<4HB", data, at + 1)
            width, height, frames = max(width, x + w), max(height, y + h), frames + 1
            at = after_blocks(data, at + 11 + table_bytes(flags))
        else:
            raise ValueError(f"unknown block {data[at]:#x} at byte {at}")
    return width, height, frames


def table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def write_gif(clip: VideoClip, path: Path) -> None:
    """A GIF that loops for ever, its frames each drawn in full (disposal 2) from one palette.

    Alpha is cut at one half. Up to 255 visible colours are kept exactly; of more, 255 are chosen among the clip's own.
    Pillow's own writer merges equal frames; here every frame stays.
    """
    indices, palette = indexed(rgba_of_clip(clip))
    table = palette.tobytes().ljust(768, b"\0")
    size = struct.pack("<HH", clip.size[1], clip.size[0])
    blocks = [b"GIF89a", size, b"\xf7\0\0", table, b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"]
    for frame, wait in zip(indices, delays(clip, GRAIN), strict=True):
        image = Image.frombytes("P", (frame.shape[1], frame.shape[0]), frame.tobytes())
        image.putpalette(table)
        wait_ms = int(wait) * GRAIN
        blocks += GifImagePlugin.getdata(image, duration=wait_ms, disposal=2, transparency=TRANSPARENT)
    with writing(path) as (part,):
        part.write_bytes(b"".join([*blocks, b";"]))


def indexed(rgba: UInt8[np.ndarray, "T H W 4"]) -> tuple[UInt8[np.ndarray, "T H W"], UInt8[np.ndarray, "P 3"]]:
    """Palette indices, and the palette of at most 255 colours."""
    visible = rgba[..., 3] > 127
    packed = pack(rgba[visible])
    colours, place = np.unique(packed, return_inverse=True)
    chosen = colours if len(colours) <= TRANSPARENT else fewer(colours, np.bincount(place))
    palette = unpack(chosen)
    indices = np.full(visible.shape, TRANSPARENT, np.uint8)
    indices[visible] = nearest(unpack(colours), palette).astype(np.uint8)[place]
    return indices, palette


def fewer(colours: Int[np.ndarray, " U"], counts: Int[np.ndarray, " U"]) -> Int[np.ndarray, " P"]:
    """255 of the colours: median cut over the pixels, each centre moved to the nearest colour that really occurs."""
    sample = slice(None, None, 1 + int(counts.sum()) // 2**18)  # a picture of some 2^18 pixels tells the same
    pixels = unpack(np.repeat(colours, counts)[sample])
    cut = Image.fromarray(pixels[None]).quantize(TRANSPARENT, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    centres = np.array(cut.getpalette() or [], np.uint8).reshape(-1, 3)
    return np.unique(colours[nearest(centres, unpack(colours))])
