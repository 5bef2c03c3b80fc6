"""MP4, MOV, MKV and WebM through PyAV (the extra ``video``), which brings FFmpeg with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from kinema.clip import VideoClip
from kinema.errors import FileError, KinemaError
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.pixels import clip_of_rgba, rgba_of_clip
from kinema.files.spec import Spec

TICK = Fraction(1, 90000)
"""The unit of the times that we write: fine enough for any rate, and the one that broadcasting uses."""
PLANAR = "gbrap"
"""Decoded by way of this: straight to RGBA, FFmpeg 8 leaves the last columns of widths such as 18 or 180 unwritten."""
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these drop the alpha; these libraries keep it."""


def pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise KinemaError("video files need PyAV; install it with: pip install 'kinema[video]'") from error
    return av


def read_video(source: Spec) -> list[VideoClip]:
    """The pictures of a video at their own times, upright, with the alpha of a WebM. Only the part asked for
    is kept.

    Raises KinemaError without PyAV, FileError for a file without its end, without pictures, or too large.
    """
    path, av = source.untagged(), pyav()
    with reading(path), av.open(str(path)) as container:
        if not container.streams.video:
            raise FileError(f"{path}: holds no pictures; a video stream is needed")
        stream = container.streams.video[0]
        packets = sum(packet.size > 0 for packet in container.demux(stream))
        if packets < stream.frames:
            raise ValueError(f"it announces {stream.frames} frames and holds {packets}")
        wanted = range(packets)[source.part]
        check_pixels(path, stream.width, stream.height, len(wanted))
    with reading(path), av.open(str(path)) as container:
        return [decode(av, container, source, wanted)]


def decode(av: ModuleType, container: Any, source: Spec, wanted: range) -> VideoClip:
    """The frames `wanted` of a video's first stream, and the time between each and the next."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rgba, ticks, last = [], [], 0
    for index, frame in enumerate(decoded(av, container, stream)):
        if index in wanted:
            rgba.append(upright(frame))
        if index >= wanted.start:
            ticks.append(frame.pts)
            last = frame.duration
        if len(rgba) == len(wanted) and index >= wanted.stop:
            break
    if not rgba:
        raise FileError(f"{source.path}: frames {wanted.start} to {wanted.stop} are none of the video's; it is shorter")
    gaps = np.diff(ticks)
    usual = np.median(gaps) if len(gaps) else last or 1
    durations = np.concatenate([gaps, [last or usual]])[: len(rgba)]
    second = float(1 / stream.time_base)
    return clip_of_rgba(np.stack(rgba), source.path, durations.astype(np.float64), second)


def decoded(av: ModuleType, container: Any, stream: Any) -> Iterator[Any]:
    """The stream's frames, by the decoder that keeps its alpha."""
    if stream.metadata.get("alpha_mode") != "1" or stream.codec_context.name not in ALPHA_DECODERS:
        yield from container.decode(stream)
        return
    decoder = av.CodecContext.create(ALPHA_DECODERS[stream.codec_context.name], "r")
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def upright(frame: Any) -> UInt8[np.ndarray, "H W 4"]:
    """A frame as a viewer shows it: telephones store every picture lying and note how they were held."""
    rgba = frame.to_ndarray(format=PLANAR)
    return np.rot90(rgba, round(frame.rotation / 90))


@dataclass(frozen=True)
class Encoding:
    """How a kind of video is encoded."""

    codec: str
    alpha: bool
    options: dict[str, str]


H264 = Encoding("libx264", False, {"crf": "12", "preset": "medium", "bf": "0"})
"""What every player and editor takes; crf 12 is hardly told from the original. Without B-frames, the last frame's
duration can be stated."""
VP9 = Encoding("libvpx-vp9", True, {"crf": "12", "b": "0", "cpu-used": "4"})
ENCODINGS = {".webm": VP9}
"""By suffix; H264 otherwise."""


def write_video(clip: VideoClip, path: Path) -> None:
    """H.264 (yuv420p), or VP9 for WebM, which also keeps alpha. Odd sizes get one more row or column at the edge.

    Raises KinemaError without PyAV, FileError where the file cannot be written.
    """
    av, encoding = pyav(), ENCODINGS.get(path.suffix.lower(), H264)
    alpha = encoding.alpha and clip.alpha is not None
    height, width = clip.size
    rgba = np.pad(rgba_of_clip(clip), ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with writing(path) as (part,), encoder_errors(av), av.open(str(part), "w") as container:
        stream = container.add_stream(encoding.codec, rate=Fraction(clip.fps).limit_denominator(1001))
        stream.height, stream.width = rgba.shape[1:3]
        stream.pix_fmt = "yuva420p" if alpha else "yuv420p"
        stream.options = encoding.options
        stream.codec_context.time_base = TICK
        edges = np.concatenate([[0.0], np.cumsum(clip.durations.numpy())]) / clip.fps / float(TICK)
        begin, end = np.rint(edges[:-1]).astype(int), np.rint(edges[1:]).astype(int)
        for packet in encode(av, stream, rgba, begin.tolist()):
            if packet.pts == begin[-1]:
                packet.duration = int(end[-1] - begin[-1])  # no frame follows from whose time it could be told
            container.mux(packet)


def encode(av: ModuleType, stream: Any, rgba: UInt8[np.ndarray, "T H W 4"], times: list[int]) -> Iterator[Any]:
    """The packets of the frames, which begin at `times`, in ticks."""
    for picture, time in zip(rgba, times, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = time, TICK
        yield from stream.encode(frame)
    yield from stream.encode()


@contextmanager
def encoder_errors(av: ModuleType) -> Iterator[None]:
    """PyAV's errors as the OSError that `writing` explains."""
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(str(error)) from error
