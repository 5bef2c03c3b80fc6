"""What is written is read back: pixels, alpha, durations, number of frames."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from kinema.clip import VideoClip
from kinema.files import read_clip, write_clip
from kinema.files.png import SIGNATURE, chunk, compressed

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
WAITS = st.lists(st.integers(1, 3000), min_size=2, max_size=5)
any_clip = given(seed=st.integers(0, 2**32 - 1), size=SIZES, waits=WAITS, opaque=st.booleans())
"""A clip is drawn by what `draw` needs to make it; `waits` are its durations in ms."""


def draw(seed: int, size: tuple[int, int], waits: list[int], opaque: bool) -> VideoClip:
    """A clip of a few colours, opaque or of any alpha, whose last frame shows the first again."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (random.integers(1, 7), 4), np.uint8)
    if opaque:
        colours[:, 3] = 255
    rgba = colours[random.integers(0, len(colours), (len(waits), *size))]
    rgba[-1] = rgba[0]
    return clip(rgba, waits)


def clip(rgba: np.ndarray, waits: list[int]) -> VideoClip:
    """A clip made without our readers; its rate is the mean."""
    pixels = torch.from_numpy(rgba.copy()).permute(0, 3, 1, 2).float() / 255
    unit = sum(waits) / len(waits)
    edges = torch.tensor([0, *np.cumsum(waits)], dtype=torch.float64) / unit
    alpha = None if bool((rgba[..., 3] == 255).all()) else pixels[:, 3:].contiguous()
    return VideoClip(pixels[:, :3].contiguous(), alpha, edges[:-1], float(edges[-1]), 1000 / unit)


def milliseconds(made: VideoClip) -> np.ndarray:
    return np.diff(np.rint(np.concatenate([[0], np.cumsum(made.durations.numpy())]) * 1000 / made.fps))


def same_pixels(made: VideoClip, source: VideoClip) -> None:
    opaque = torch.ones(len(source), 1, *source.size)
    a, b = (opaque if it.alpha is None else it.alpha for it in (made, source))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    torch.testing.assert_close(made.frames * (a > 0), source.frames * (b > 0), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["x.png", "x.apng", "x.webp", "x.json"])
@settings(max_examples=30, deadline=None)
@any_clip
def test_formats_with_times_are_exact(
    name: str, seed: int, size: tuple[int, int], waits: list[int], opaque: bool
) -> None:
    source = draw(seed, size, waits, opaque)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(source, Path(folder, name))
        back = read_clip(Path(folder, name))
    same_pixels(back, source)
    assert milliseconds(back).tolist() == waits


@pytest.mark.parametrize("name", ["x.strip.png", "x"])
@settings(max_examples=20, deadline=None)
@any_clip
def test_formats_without_times_keep_the_pixels(
    name: str, seed: int, size: tuple[int, int], waits: list[int], opaque: bool
) -> None:
    source = draw(seed, size, waits, opaque)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(source, Path(folder, name))
        back = read_clip(Path(folder, name), fps=25.0)
    same_pixels(back, source)
    assert back.fps == 25
    assert back.at.tolist() == list(range(len(source)))


@settings(max_examples=30, deadline=None)
@any_clip
def test_gif_is_exact_up_to_its_delays(seed: int, size: tuple[int, int], waits: list[int], opaque: bool) -> None:
    source = draw(seed, size, waits, opaque)
    if source.alpha is not None:
        source = VideoClip(source.frames, (source.alpha > 0.5).float(), source.at, source.end, source.fps)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(source, Path(folder, "x.gif"))
        back = read_clip(Path(folder, "x.gif"))
        with Image.open(Path(folder, "x.gif")) as image:
            assert sum(1 for _ in ImageSequence.Iterator(image)) == len(waits)
            assert image.info["loop"] == 0
    same_pixels(back, source)
    ends, truth = np.cumsum(milliseconds(back)), np.cumsum(waits)
    if min(waits) >= 10:
        # Half a grain for writing, half for taking as equal what rounding made unequal; neither adds up.
        assert np.abs(ends - truth).max() <= 10.01


def test_gif_of_255_colours_is_exact_and_of_more_uses_only_the_clips_own(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for count in (255, 4000):
        colours = np.unique(random.integers(0, 256, (count, 3), np.uint8), axis=0)
        rgba = np.full((3, 64, 64, 4), 255, np.uint8)
        rgba[..., :3] = colours[np.arange(3 * 64 * 64).reshape(3, 64, 64) % len(colours)]
        source = clip(rgba, [100] * 3)
        write_clip(source, tmp_path / "x.gif")
        back = read_clip(tmp_path / "x.gif")
        shown = (back.frames.permute(0, 2, 3, 1).reshape(-1, 3) * 255).round().numpy().astype(np.uint8)
        assert {tuple(c) for c in np.unique(shown, axis=0)} <= {tuple(c) for c in colours}
        error = float((back.frames - source.frames).abs().mean())
        assert error == 0 if count == 255 else 0 < error < 0.06


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.json"])
def test_thirty_frames_a_second_stay_thirty(tmp_path: Path, name: str) -> None:
    """Formats that count ms write 33, 34, 33, ...: reading must not take that for a stumbling clip."""
    random = np.random.default_rng(1)
    source = VideoClip(torch.from_numpy(random.integers(0, 2, (45, 3, 4, 4))).float(), fps=30.0)
    write_clip(source, tmp_path / name)
    back = read_clip(tmp_path / name)
    assert back.at.tolist() == source.at.tolist()
    assert back.fps == pytest.approx(30, rel=1e-3)


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp"])
def test_pillow_sees_every_one_of_equal_frames(tmp_path: Path, name: str) -> None:
    still = VideoClip(torch.zeros(4, 3, 6, 6), times=torch.tensor([0.0, 1, 3, 4]).double(), end=5.0)
    write_clip(still, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        waits = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            waits.append(frame.info["duration"])
    assert waits == [100, 200, 100, 100]


def test_a_slice_of_a_clip_is_written_from_its_own_beginning(tmp_path: Path) -> None:
    source = VideoClip(torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)).round())
    write_clip(source[2:5], tmp_path / "x.png")
    back = read_clip(tmp_path / "x.png")
    assert back.at.tolist() == [0, 1, 2]
    same_pixels(back, source[2:5])


def test_one_wide_picture_stays_one(tmp_path: Path) -> None:
    source = VideoClip(torch.rand(1, 3, 8, 32, generator=torch.Generator().manual_seed(0)).round())
    write_clip(source, tmp_path / "x.png")
    assert len(read_clip(tmp_path / "x.png")) == 1


def test_half_transparent_apng_frames_are_laid_over_each_other_as_the_specification_says(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    layers = [Image.fromarray(random.integers(0, 256, (5, 7, 4), np.uint8)) for _ in range(3)]
    head = chunk(b"IHDR", bytes([0, 0, 0, 7, 0, 0, 0, 5, 8, 6, 0, 0, 0])) + chunk(
        b"acTL", bytes([0, 0, 0, 3, 0, 0, 0, 0])
    )
    data, number = SIGNATURE + head, 0
    for index, layer in enumerate(layers):
        place = np.array([number, 7, 5, 0, 0], ">u4").tobytes() + np.array([1, 10], ">u2").tobytes() + bytes([0, 1])
        data += chunk(b"fcTL", place)
        number += 1
        if index == 0:
            data += chunk(b"IDAT", compressed(layer))
        else:
            data += chunk(b"fdAT", np.array([number], ">u4").tobytes() + compressed(layer))
            number += 1
    (tmp_path / "x.png").write_bytes(data + chunk(b"IEND", b""))
    back, canvas = read_clip(tmp_path / "x.png"), layers[0]
    assert back.fps == 10
    for index, layer in enumerate(layers):
        canvas = layer if index == 0 else Image.alpha_composite(canvas, layer)
        truth = torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float() / 255
        assert back.alpha is not None
        torch.testing.assert_close(back.alpha[index], truth[3:], rtol=0, atol=2 / 255)
        visible = truth[3:] > 0.2
        torch.testing.assert_close(back.frames[index] * visible, truth[:3] * visible, rtol=0, atol=4 / 255)


def test_scale_repeats_pixels_and_background_shows_where_alpha_cannot_be_held(tmp_path: Path) -> None:
    alpha = torch.tensor([[1.0, 0.0]]).expand(1, 1, 1, 2)
    source = VideoClip(torch.ones(1, 3, 1, 2), alpha)
    write_clip(source, tmp_path / "x.jpg", scale=16, background=(0.0, 0.0, 1.0))
    with Image.open(tmp_path / "x.jpg") as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels[:, :16] - 255).max() < 12
    assert np.abs(pixels[:, 16:] - (0, 0, 255)).max() < 12


def test_credits_travel_with_the_file(tmp_path: Path) -> None:
    source = VideoClip(torch.zeros(2, 3, 4, 4), credits=("Ann, CC-BY-SA 3.0", "Bob, GPL 3.0"))
    write_clip(source, tmp_path / "x.gif")
    assert read_clip(tmp_path / "x.gif").credits == source.credits
    write_clip(VideoClip(torch.zeros(2, 3, 4, 4)), tmp_path / "x.gif")
    assert read_clip(tmp_path / "x.gif").credits == ()
