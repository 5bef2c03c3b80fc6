"""Files as strangers make them: by other tools than ours. Each shows a red disc that moves over a still ground."""

import json
from pathlib import Path

import av
import imageio.v3 as iio
import numpy as np
from PIL import Image


def scene(size: tuple[int, int], centre: tuple[float, float], alpha: bool = True) -> np.ndarray:
    """RGBA (H, W, 4): a red disc with a white dot on its right, on nothing or on dark green."""
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    radius = min(size) / 5
    out = np.zeros((height, width, 4), np.uint8) if alpha else np.full((height, width, 4), (10, 60, 20, 255), np.uint8)
    out[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2] = (220, 30, 40, 255)
    out[(x - centre[0] - radius / 2) ** 2 + (y - centre[1]) ** 2 < (radius / 3) ** 2] = (255, 255, 255, 255)
    return out


def circle(size: tuple[int, int], frames: int, alpha: bool = True) -> list[np.ndarray]:
    """The disc going round once."""
    middle, turn = (size[1] / 2, size[0] / 2), 2 * np.pi * np.arange(frames) / frames
    reach = min(size) / 4
    return [scene(size, (middle[0] + reach * np.cos(a), middle[1] + reach * np.sin(a)), alpha) for a in turn]


def hop(size: tuple[int, int], frames: int, alpha: bool = True) -> list[np.ndarray]:
    """The disc going up."""
    height = size[0] * np.linspace(0.75, 0.25, frames)
    return [scene(size, (size[1] / 2, h), alpha) for h in height]


GIF_DELAYS = [100, 50, 50, 200, 100, 100, 30, 100, 100, 100]


def gif(path: Path) -> Path:
    """A 32 x 32 GIF by Pillow: uneven delays, transparency, disposal to background, frames cropped by its optimiser."""
    frames = [Image.fromarray(frame) for frame in circle((32, 32), len(GIF_DELAYS))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=GIF_DELAYS, disposal=2, loop=0)
    return path


def opaque_gif(path: Path) -> Path:
    """A 40 x 24 GIF by imageio, without transparency."""
    iio.imwrite(path, np.stack([frame[..., :3] for frame in circle((24, 40), 8, alpha=False)]), duration=80, loop=0)
    return path


def aseprite(path: Path) -> Path:
    """A sheet in the hash form of Aseprite, 24 x 32: tags ``walk`` (8 frames) and ``jump`` (9, there and back)."""
    frames = circle((32, 24), 8) + hop((32, 24), 9)
    image = np.zeros((3 * 32, 6 * 24, 4), np.uint8)
    entries = {}
    for i, frame in enumerate(frames):
        x, y = i % 6 * 24, i // 6 * 32
        image[y : y + 32, x : x + 24] = frame
        entries[f"hero {i}.aseprite"] = {
            "frame": {"x": x, "y": y, "w": 24, "h": 32},
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": {"x": 0, "y": 0, "w": 24, "h": 32},
            "sourceSize": {"w": 24, "h": 32},
            "duration": 80 if i < 8 else 120,
        }
    tags = [
        {"name": "walk", "from": 0, "to": 7, "direction": "forward", "color": "#000000ff"},
        {"name": "jump", "from": 8, "to": 16, "direction": "pingpong", "color": "#000000ff"},
    ]
    meta = {"app": "https://www.aseprite.org/", "version": "1.3", "image": f"{path.stem}.png", "format": "RGBA8888"}
    meta |= {"size": {"w": 144, "h": 96}, "scale": "1", "frameTags": tags, "layers": [], "slices": []}
    Image.fromarray(image).save(path.with_suffix(".png"))
    path.write_text(json.dumps({"frames": entries, "meta": meta}))
    return path


def strip48(path: Path) -> Path:
    """A strip of eight 48 x 48 frames with alpha, some of it half, by imageio."""
    frames = circle((48, 48), 8)
    for frame in frames:
        frame[40:44, 16:32] = (0, 0, 0, 96)  # a shadow on the ground
    iio.imwrite(path, np.concatenate(frames, axis=1))
    return path


def phone_mp4(path: Path) -> Path:
    """Twelve frames of 320 x 180 at 30 frames a second, H.264 and MPEG-4 timing as a telephone writes them."""
    return encode(path, circle((180, 320), 12, alpha=False), rotation=0)


def upright_phone_mp4(path: Path) -> Path:
    """The same held upright: 180 x 320 to the viewer, stored lying down with a note to turn it 90 degrees clockwise."""
    frames = circle((320, 180), 12, alpha=False)
    return encode(path, [np.ascontiguousarray(np.rot90(frame)) for frame in frames], rotation=-90)


def encode(path: Path, frames: list[np.ndarray], rotation: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[..., :3]), "rgb24")))
        container.mux(stream.encode())
    return path
