"""Sizes and colours: pad and crop back, resize, palettes; specs; what only videos have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_cie76

from kinema.clip import VideoClip
from kinema.errors import ClipError
from kinema.files import convert, read_clip, write_clip
from kinema.files.fit import crop_back, pad_to, resize
from kinema.files.palette import has_binary_alpha, nearest, palette_of, project
from kinema.files.spec import parse_spec
from strangers import circle, gif, phone_mp4

SIDES = st.integers(1, 40)


def disc(size: tuple[int, int] = (16, 16), alpha: bool = True) -> VideoClip:
    pixels = torch.from_numpy(np.stack(circle(size, 4, alpha))).permute(0, 3, 1, 2).float() / 255
    return VideoClip(pixels[:, :3].contiguous(), pixels[:, 3:].contiguous() if alpha else None, name="disc")


@given(height=SIDES, width=SIDES, more=st.tuples(st.integers(0, 24), st.integers(0, 24)))
def test_padding_is_centred_and_cropped_back(height: int, width: int, more: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(height * 41 + width)
    clip = VideoClip(torch.rand(2, 3, height, width, generator=generator), torch.ones(2, 1, height, width))
    padded, box = pad_to(clip, (height + more[0], width + more[1]))
    assert padded.size == (height + more[0], width + more[1])
    assert torch.equal(crop_back(padded.frames, box), clip.frames)
    assert padded.alpha is not None
    assert float(padded.alpha.sum()) == 2 * height * width  # the border is transparent
    assert float(padded.frames.sum()) == pytest.approx(float(clip.frames.sum()), rel=1e-5)
    assert abs(2 * box.top - more[0]) <= 1
    assert abs(2 * box.left - more[1]) <= 1


def test_a_clip_larger_than_the_model_is_answered_with_both_sizes() -> None:
    with pytest.raises(ClipError, match=r"disc: 16 x 48 .* 32 x 32; add --resize"):
        pad_to(disc((48, 16)), (32, 32))


def test_whole_enlargement_repeats_pixels() -> None:
    clip = disc((16, 24))
    large = resize(clip, (64, 96))
    assert large.size == (64, 96)
    assert torch.equal(large.frames[..., 1::4, 2::4], clip.frames)
    assert torch.equal(large.frames.unique(), clip.frames.unique())


def test_shrinking_keeps_proportions_and_no_invisible_colour_bleeds() -> None:
    red = torch.zeros(1, 3, 64, 96)
    red[:, 1] = 1.0  # what nobody sees is green
    red[:, :, 16:48, 24:72] = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    alpha = torch.zeros(1, 1, 64, 96)
    alpha[..., 16:48, 24:72] = 1.0
    small = resize(VideoClip(red, alpha), (20, 20))
    assert small.size == (13, 20)
    assert small.alpha is not None
    assert float((small.frames[:, 1:] * small.alpha).max()) < 1e-5
    assert float(small.alpha.mean()) == pytest.approx(0.25, abs=0.02)


def test_nearest_agrees_with_skimage() -> None:
    random = np.random.default_rng(0)
    colours, palette = (random.integers(0, 256, (n, 3), np.uint8) for n in (500, 40))
    distance = deltaE_cie76(colours[:, None].astype(float), palette[None].astype(float))
    found = nearest(colours, palette)
    rows = np.arange(len(colours))
    np.testing.assert_allclose(distance[rows, found], distance.min(1))


def test_projection_holds_exactly_the_sources_colours() -> None:
    source = disc()
    colours = palette_of(source)
    assert {tuple(c) for c in colours.tolist()} == {(220, 30, 40), (255, 255, 255)}
    noise = torch.rand(source.frames.shape, generator=torch.Generator().manual_seed(0))
    assert source.alpha is not None
    soft = VideoClip((source.frames + 0.1 * noise).clamp(0, 1), source.alpha * 0.9 + 0.05)
    hard = project(soft, colours, binary_alpha=has_binary_alpha(source))
    assert torch.equal(hard.frames, source.frames * source.alpha)
    assert hard.alpha is not None
    assert torch.equal(hard.alpha, source.alpha)
    kept = project(soft, colours)
    assert kept.alpha is not None
    assert soft.alpha is not None
    assert torch.equal(kept.alpha, soft.alpha)


def test_palette_option_keeps_colours_where_a_background_shines_through(tmp_path: Path) -> None:
    alpha = torch.full((2, 1, 4, 4), 0.4)
    colours = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).view(2, 3, 1, 1).expand(2, 3, 4, 4)
    write_clip(VideoClip(colours.contiguous(), alpha), tmp_path / "a.png")
    convert(tmp_path / "a.png", tmp_path / "b.png", palette=True, background=(0.9, 0.9, 0.9))
    assert {tuple(c) for c in palette_of(read_clip(tmp_path / "b.png")).tolist()} <= {(255, 0, 0), (0, 0, 255)}


def test_specs(tmp_path: Path) -> None:
    (tmp_path / "a.gif").touch()
    (tmp_path / "b@3.gif").touch()
    (tmp_path / "c#d@1:2.gif").touch()
    (tmp_path / "e#f.json").touch()
    for text, name, tag, part in [
        ("a.gif", "a.gif", None, slice(None)),
        ("a.gif@4", "a.gif", None, slice(4, 5)),
        ("a.gif@-1", "a.gif", None, slice(-1, None)),
        ("a.gif@2:", "a.gif", None, slice(2, None)),
        ("a.gif@:-2", "a.gif", None, slice(None, -2)),
        ("b@3.gif", "b@3.gif", None, slice(None)),
        ("b@3.gif@1:7", "b@3.gif", None, slice(1, 7)),
        ("c#d@1:2.gif", "c#d@1:2.gif", None, slice(None)),
        ("c#d@1:2.gif@0", "c#d@1:2.gif", None, slice(0, 1)),
        ("e#f.json#walk/left@0:3", "e#f.json", "walk/left", slice(0, 3)),
        ("new.json#walk", "new.json", "walk", slice(None)),
    ]:
        spec = parse_spec(str(tmp_path / text))
        assert (spec.path, spec.tag, spec.part) == (tmp_path / name, tag, part)


def test_parts_are_those_of_python(tmp_path: Path) -> None:
    path = gif(tmp_path / "a.gif")
    clip = read_clip(path)
    for text, part in [("@2:5", slice(2, 5)), ("@-1", slice(-1, None)), ("@:4", slice(None, 4))]:
        assert torch.equal(read_clip(f"{path}{text}").frames, clip.frames[part])


@pytest.mark.parametrize(("text", "part"), [("@2:5", slice(2, 5)), ("@-1", slice(-1, None)), ("@3", slice(3, 4))])
def test_parts_of_a_video_are_decoded_alone_and_equal(tmp_path: Path, text: str, part: slice) -> None:
    path = phone_mp4(tmp_path / "a.mp4")
    clip, cut = read_clip(path), read_clip(f"{path}{text}")
    assert torch.equal(cut.frames, clip.frames[part])
    assert cut.fps == 30


@pytest.mark.parametrize("width", [15, 16, 18, 20, 34, 47])
@pytest.mark.parametrize("name", ["x.mp4", "x.webm"])
def test_videos_of_every_width(tmp_path: Path, name: str, width: int) -> None:
    """Odd sizes grow by a pixel at the edge; no column is left out."""
    ramp = torch.linspace(0.2, 0.8, width).expand(3, 3, 17, width).contiguous()
    write_clip(VideoClip(ramp, times=torch.tensor([0.0, 1, 4]).double(), end=6.0), tmp_path / name)
    back = read_clip(tmp_path / name)
    assert back.size == (18, width + width % 2)
    assert back.alpha is None
    assert float((back.frames[..., :17, :width] - ramp).abs().max()) < 0.06
    assert (back.durations / back.fps).tolist() == pytest.approx([0.1, 0.3, 0.2], abs=0.002)


def test_webm_keeps_alpha_and_mp4_lays_it_on_the_background(tmp_path: Path) -> None:
    clip = disc((32, 48))
    write_clip(clip, tmp_path / "x.webm")
    back = read_clip(tmp_path / "x.webm")
    assert back.alpha is not None
    assert clip.alpha is not None
    assert float((back.alpha - clip.alpha).abs().mean()) < 0.02
    write_clip(clip, tmp_path / "x.mp4", background=(0.0, 0.0, 1.0))
    corner = read_clip(tmp_path / "x.mp4").frames[:, :, 0, 0]
    assert float((corner - torch.tensor([0.0, 0.0, 1.0])).abs().max()) < 0.05
