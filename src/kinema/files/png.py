"""PNG and animated PNG (APNG), 8-bit alpha.

The animation is taken apart and put together here, chunk by chunk, because Pillow (13) blends half-transparent frames
as if they were paint, writes equal frames as one, and reads files without their end. The chunks are those of the PNG
specification, third edition (W3C, 2025), section 11.3.5.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from kinema.clip import VideoClip
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.pixels import clip_of_rgba, delays, durations_in_ms, images_of_clip, rgba_of_image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHARED = (b"PLTE", b"tRNS")
"""The chunks without which a frame's pixels have no colour."""
COLOUR_TYPE = {"RGB": 2, "RGBA": 6}
KEEP, CLEAR, RESTORE = 0, 1, 2
"""What becomes of a frame's area before the next frame is drawn."""


def split(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG, to its end; ValueError or struct.error where the end is missing or a checksum fails."""
    if not data.startswith(SIGNATURE):
        raise ValueError("it does not begin as a PNG does")
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        body, at = data[at + 8 : at + 8 + length], at + 12 + length
        if len(body) < length or data[at - 4 : at] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError(f"its {kind.decode('latin-1')} chunk is incomplete")
        yield kind, body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def check_png(path: Path) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG that is whole and not too large for its frames to be decoded."""
    with reading(path):
        chunks = list(split(path.read_bytes()))
        width, height = struct.unpack_from(">II", chunks[0][1])
        check_pixels(path, width, height, max(1, sum(kind == b"fcTL" for kind, _ in chunks)))
        return chunks


def is_animated(chunks: list[tuple[bytes, bytes]]) -> bool:
    return any(kind == b"acTL" for kind, _ in chunks)


def read_apng(path: Path, chunks: list[tuple[bytes, bytes]]) -> VideoClip:
    """The animation of a PNG, every frame drawn in full; a default picture outside the animation is skipped."""
    with reading(path):
        (stated,) = struct.unpack_from(">I", next(body for kind, body in chunks if kind == b"acTL"))
        controls, streams = [], []
        for kind, body in chunks:
            if kind == b"fcTL":
                controls.append(struct.unpack(">5I2H2B", body)[1:])
                streams.append(b"")
            elif streams and kind in (b"IDAT", b"fdAT"):
                streams[-1] += body if kind == b"IDAT" else body[4:]
        if stated != len(streams):
            raise ValueError(f"it announces {stated} frames and holds {len(streams)}")
        rgba = compose(chunks, controls, streams)
        waits = [1000 * numerator / (denominator or 100) for *_, numerator, denominator, _, _ in controls]
        return clip_of_rgba(rgba, path, durations_in_ms(waits))


def compose(
    chunks: list[tuple[bytes, bytes]], controls: list[tuple[int, ...]], streams: list[bytes]
) -> UInt8[np.ndarray, "T H W 4"]:
    """The frames, each drawn over what the one before it left."""
    header = chunks[0][1]
    shared = b"".join(chunk(kind, body) for kind, body in chunks if kind in SHARED)
    width, height = struct.unpack_from(">II", header)
    canvas, frames = np.zeros((height, width, 4), np.uint8), []
    for (w, h, x, y, _, _, disposal, blend), stream in zip(controls, streams, strict=True):
        if x + w > width or y + h > height:
            raise ValueError(f"frame {len(frames)} reaches outside the picture")
        own = chunk(b"IHDR", struct.pack(">II", w, h) + header[8:]) + shared + chunk(b"IDAT", stream)
        with Image.open(BytesIO(SIGNATURE + own + chunk(b"IEND", b""))) as image:
            drawn = rgba_of_image(image)
        area, before = (slice(y, y + h), slice(x, x + w)), canvas.copy()
        canvas[area] = over(drawn, canvas[area]) if blend else drawn
        frames.append(canvas.copy())
        if disposal == RESTORE and len(frames) > 1:
            canvas = before
        elif disposal != KEEP:
            canvas[area] = 0
    return np.stack(frames)


def over(top: UInt8[np.ndarray, "h w 4"], below: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """`top` laid over `below`, both straight RGBA (Porter and Duff 1984, "over")."""
    a, b = (premultiplied(image) for image in (top, below))
    both = a + b * (1 - a[..., 3:])
    colour = both[..., :3] / np.maximum(both[..., 3:], 1e-12)
    return np.rint(255 * np.concatenate([colour, both[..., 3:]], -1)).astype(np.uint8)


def premultiplied(rgba: UInt8[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 4"]:
    straight = rgba / 255
    return np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], -1)


def write_png(clip: VideoClip, path: Path) -> None:
    """One frame as a plain PNG, more as an APNG that loops for ever; durations are exact to 1 ms."""
    frames = images_of_clip(clip)
    data = (
        still(frames[0], cell_note(*frames[0].size)) if len(frames) == 1 else animation(frames, delays(clip).tolist())
    )
    with writing(path) as (part,):
        part.write_bytes(data)


def compressed(image: Image.Image) -> bytes:
    """The pixels as a PNG holds them."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return b"".join(body for kind, body in split(buffer.getvalue()) if kind == b"IDAT")


def cell_note(width: int, height: int) -> dict[bytes, bytes]:
    """What tells a film strip from one wide picture."""
    return {b"Cell": f"{width}x{height}".encode()}


def still(image: Image.Image, notes: Mapping[bytes, bytes]) -> bytes:
    """A PNG of one picture, RGB or RGBA, with text entries."""
    header = chunk(b"IHDR", struct.pack(">II5B", *image.size, 8, COLOUR_TYPE[image.mode], 0, 0, 0))
    text = b"".join(chunk(b"tEXt", key + b"\0" + value) for key, value in notes.items())
    return SIGNATURE + header + text + chunk(b"IDAT", compressed(image)) + chunk(b"IEND", b"")


def animation(frames: list[Image.Image], waits: list[int]) -> bytes:
    """An APNG of whole frames, each replacing the one before it."""
    width, height = frames[0].size
    out = [
        SIGNATURE,
        chunk(b"IHDR", struct.pack(">II5B", width, height, 8, COLOUR_TYPE[frames[0].mode], 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", len(frames), 0)),
    ]
    sequence = 0
    for index, (image, wait) in enumerate(zip(frames, waits, strict=True)):
        out.append(chunk(b"fcTL", struct.pack(">5I2H2B", sequence, width, height, 0, 0, wait, 1000, KEEP, 0)))
        sequence += 1
        if index == 0:  # the first frame doubles as the picture for viewers that know no animation
            out.append(chunk(b"IDAT", compressed(image)))
            continue
        out.append(chunk(b"fdAT", struct.pack(">I", sequence) + compressed(image)))
        sequence += 1
    return b"".join([*out, chunk(b"IEND", b"")])


def note(path: Path, key: bytes) -> str | None:
    """A text entry of a PNG, or None."""
    with reading(path):
        entries = (body.split(b"\0", 1) for kind, body in split(path.read_bytes()) if kind == b"tEXt")
        return next((entry[1].decode("latin-1") for entry in entries if entry[0] == key), None)


def png_size(chunks: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Width and height of a PNG, in pixels."""
    width, height = struct.unpack_from(">II", chunks[0][1])
    return width, height
