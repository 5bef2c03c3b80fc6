"""Files of other tools, against the arrays they were made of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from kinema.clip import VideoClip
from kinema.files import convert, read_clip, read_clips
from strangers import (
    GIF_DELAYS,
    aseprite,
    circle,
    gif,
    hop,
    opaque_gif,
    phone_mp4,
    strip48,
    upright_phone_mp4,
)


def expect(clip: VideoClip, frames: list[np.ndarray], tolerance: float = 0.0) -> None:
    """The clip shows `frames` (H, W, 4): mean error of colours over black, and of alpha, within the tolerance."""
    truth = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    assert clip.frames.shape == truth[:, :3].shape
    alpha = torch.ones_like(truth[:, 3:]) if clip.alpha is None else clip.alpha
    assert float((alpha - truth[:, 3:]).abs().mean()) <= tolerance
    assert float((clip.over() - truth[:, :3] * truth[:, 3:]).abs().mean()) <= tolerance


def test_gif_with_delays_and_disposal(tmp_path: Path) -> None:
    clip = read_clip(gif(tmp_path / "a.gif"))
    expect(clip, circle((32, 32), 10))
    assert (clip.durations * 1000 / clip.fps).round().tolist() == GIF_DELAYS
    assert clip.fps == 10


def test_gif_without_alpha(tmp_path: Path) -> None:
    clip = read_clip(opaque_gif(tmp_path / "a.gif"))
    expect(clip, circle((24, 40), 8, alpha=False))
    assert clip.alpha is None
    assert clip.fps == 12.5


def test_gif_whose_delays_are_zero_runs_as_browsers_run_it(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in circle((16, 16), 4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
    assert read_clip(tmp_path / "a.gif").fps == 10


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_apng_and_webp_as_pillow_writes_them(tmp_path: Path, name: str) -> None:
    """Its encoders crop each frame to what changed."""
    if name.endswith("webp") and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    arrays = circle((20, 28), 9)
    frames = [Image.fromarray(frame) for frame in arrays]
    lossless = name.endswith("webp")
    waits = [100, 40, 40, 100, 100, 60, 100, 100, 100]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=waits, loop=0, lossless=lossless)
    clip = read_clip(tmp_path / name)
    expect(clip, arrays)
    assert (clip.durations * 1000 / clip.fps).round().tolist() == waits


def test_apng_default_picture_is_no_frame(tmp_path: Path) -> None:
    arrays = circle((16, 16), 4)
    frames = [Image.fromarray(frame) for frame in arrays]
    cover = Image.new("RGBA", (16, 16), (0, 0, 255, 255))
    cover.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=50)
    expect(read_clip(tmp_path / "a.png"), arrays)


def test_aseprite_tags(tmp_path: Path) -> None:
    sheet = aseprite(tmp_path / "hero.json")
    walk, jump = read_clip(f"{sheet}#walk"), read_clip(f"{sheet}#jump")
    expect(walk, circle((32, 24), 8))
    up = hop((32, 24), 9)
    expect(jump, up + up[-2:0:-1])  # there and back
    assert walk.fps == 12.5
    assert jump.fps == pytest.approx(1000 / 120)
    assert [clip.labels["tag"] for clip in read_clips(sheet)] == ["walk", "jump"]
    assert len(read_clip(sheet)) == 17
    expect(read_clip(f"{sheet}#walk@2:5"), circle((32, 24), 8)[2:5])


def test_strip_with_alpha(tmp_path: Path) -> None:
    clip = read_clip(strip48(tmp_path / "a.png"))
    assert len(clip) == 8
    assert clip.size == (48, 48)
    assert clip.alpha is not None
    assert sorted((clip.alpha.unique() * 255).round().tolist()) == [0, 96, 255]


def test_phone_videos_are_upright(tmp_path: Path) -> None:
    clip = read_clip(phone_mp4(tmp_path / "a.mp4"))
    expect(clip, circle((180, 320), 12, alpha=False), tolerance=0.01)
    assert clip.fps == 30
    assert clip.at.tolist() == list(range(12))
    upright = read_clip(upright_phone_mp4(tmp_path / "b.mp4"))
    expect(upright, circle((320, 180), 12, alpha=False), tolerance=0.01)


FILES = [
    (gif, "a.gif"),
    (aseprite, "b.json#walk"),
    (strip48, "c.strip.png"),
    (phone_mp4, "d.mp4"),
    (upright_phone_mp4, "e.mp4"),
]


@pytest.mark.parametrize("out", ["x.gif", "x.png", "x.webp", "x.json", "x.mp4", "x.webm", "x.strip.png", "x"])
@pytest.mark.parametrize(("make", "name"), FILES)
def test_convert_joins_any_two(tmp_path: Path, make: Callable[[Path], Path], name: str, out: str) -> None:
    make(tmp_path / name.partition("#")[0])
    source = str(tmp_path / name)
    convert(source, tmp_path / out)
    clip, back = read_clip(source), read_clip(tmp_path / out)
    assert len(back) == len(clip)
    assert float((back.over() - clip.over()).abs().mean()) < 0.025
    if clip.alpha is not None and not out.endswith("mp4"):
        assert back.alpha is not None
    timeless = out in ("x", "x.strip.png")
    assert timeless or back.duration / back.fps == pytest.approx(clip.duration / clip.fps, abs=0.006)


def test_every_stranger_moves(tmp_path: Path) -> None:
    for make, name in FILES:
        for clip in read_clips(make(tmp_path / name.partition("#")[0])):
            assert len(clip) >= 8
            assert bool((clip.over().diff(dim=0).abs().flatten(1).amax(1) > 0.5).all())
