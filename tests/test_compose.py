"""Composing: what a movement is and how it is kept, alpha from two canvases, and all that a user may get wrong."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import kinema
from kinema.cli import main
from kinema.clip import VideoClip
from kinema.errors import ClipError, FileError
from kinema.files import read_clip, read_clips, write_clip
from kinema.files.transfer import write_clips
from kinema.files.transformation import CONVENTION, Movement, read_movement, write_movement
from kinema.maths import affine
from kinema.models import scenes
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig
from kinema.models.scenes import compose, is_still, middle_of, plain_canvases, read_movement_of, solve_alpha
from kinema.training.recipe import build_recipe
from kinema.training.run import Run, build_model, load_run, open_run, save_weights
from strangers import phone_mp4

SIZE = (16, 16)
TINY = {
    "family": "renderer",
    "data": {"source": "digits", "size": 16},
    "model": {"width": 4, "features": 4, "hidden": 8},
}
INK = torch.tensor([0.9, 0.1, 0.2])


class Exact(Renderer):
    """A renderer that sees red as the character, shifts it by its mean place, and composites without any error."""

    def __init__(self, size=SIZE, parts=1, plain=lambda x: x):
        super().__init__(RendererConfig(width=1, features=1, hidden=1, parts=parts), PairDomain(size, 10.0))
        self.plain = plain

    def cover(self, x):
        return ((x[:, :1] - x[:, 1:2]) / 0.8).clamp(0, 1)

    def encode_character(self, x):
        cover = self.cover(x)
        ink = torch.cat([cover * INK.view(1, 3, 1, 1), cover], 1)[:, None]
        return torch.cat([ink, torch.zeros_like(ink).expand(-1, self.config.parts - 1, -1, -1, -1)], 1)

    def encode_background(self, x):
        return torch.where(self.cover(x) > 0.5, 0.25, self.plain(x))

    def transformation(self, first, second, given=None):
        places = [self.middle(x) for x in (first, second)]
        theta = affine.identity(len(second)).clone()
        theta[..., 2] = places[0] - places[1]
        return theta[:, None].expand(-1, self.config.parts, -1, -1)

    def middle(self, x):
        weight = self.cover(x)[:, 0] + 1e-9
        y, x = ((2 * torch.arange(n) + 1) / n - 1 for n in weight.shape[1:])
        return torch.stack([(weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)], 1) / weight.sum((1, 2))[:, None]

    def render(self, character, background):
        whole = character.sum(1)
        return whole[:, :3] + (1 - whole[:, 3:]) * background

    def solo_background(self, x):
        return self.encode_background(x)


def square(*corners, size=SIZE, ground=0.25, **about) -> VideoClip:
    """A red square of 4 x 4 pixels at each (left, top), on a plain ground; transparent where the ground is None."""
    frames = torch.full((len(corners), 3, *size), ground or 0.0)
    alpha = torch.zeros(len(corners), 1, *size)
    for t, (left, top) in enumerate(corners):
        frames[t, :, top : top + 4, left : left + 4] = INK[:, None, None]
        alpha[t, :, top : top + 4, left : left + 4] = 1
    return VideoClip(frames, None if ground is not None else alpha, **about)


def picture(height=24, width=32, seed=0) -> torch.Tensor:
    """Smooth noise that is zero near its edges."""
    noise = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed)).double()
    return F.pad(F.interpolate(noise, (height - 12, width - 16), mode="bicubic"), (8, 8, 6, 6))


def still(count=1, size=(24, 32), parts=1) -> Movement:
    return Movement(affine.identity(count, parts).double().clone(), size)


def shown(movement: Movement, image: torch.Tensor) -> torch.Tensor:
    return affine.warp(image, movement.theta[:, 0])


# --- movements as values ---------------------------------------------------------------------------------------------


def test_a_move_moves_pixels_by_that_many():
    image = picture()
    assert torch.allclose(shown(still().moved(5.0, -3.0), image), image.roll((-3, 5), (2, 3)), atol=1e-12)
    assert not torch.allclose(shown(still().moved(5.0, -3.0), image), image.roll((3, -5), (2, 3)), atol=1e-2)


def test_a_turn_is_clockwise_whatever_the_shape_of_the_canvas():
    image = picture()[..., 4:28]  # square, so that a quarter turn is exact
    turned = shown(still(size=(24, 24)).rotated(90.0), image)
    assert torch.allclose(turned, image.rot90(-1, (2, 3)), atol=1e-9)
    wide = F.pad(image, (10, 10))
    assert torch.allclose(shown(still(size=(24, 44)).rotated(90.0), wide), F.pad(turned, (10, 10)), atol=1e-9)


def test_a_turn_and_an_enlargement_leave_their_middle_in_place():
    about = torch.tensor([4.5, -2.5]).double()
    before = still().moved(1.0, 3.0)
    for movement in (before.rotated(37.0, about), before.scaled(1.7, about)):
        seen = movement.seen()[0, 0]
        assert torch.allclose(seen[:, :2] @ (about - torch.tensor([1, 3])) + seen[:, 2], about, atol=1e-12)
        assert not torch.allclose(movement.theta, before.theta, atol=0.1)


def test_an_enlargement_enlarges():
    image = picture()
    assert torch.allclose(shown(still().scaled(2.0), image), affine.warp(image, torch.eye(2, 3).double()[None] / 2))
    assert torch.allclose(still().scaled(2.0).read()[2], torch.tensor(2.0).double())


def test_edits_follow_one_another_as_one_sees_them():
    image = picture()
    both = still().moved(4.0, 1.0).rotated(20.0).scaled(0.8)
    one_by_one = affine.compose(
        affine.compose(still().moved(4.0, 1.0).theta, still().rotated(20.0).theta), still().scaled(0.8).theta
    )
    assert torch.allclose(both.theta, one_by_one, atol=1e-12)
    assert torch.allclose(still().moved(4.0, 1.0).then(still().rotated(20.0).scaled(0.8)).theta, both.theta, atol=1e-12)
    assert not torch.allclose(
        still().rotated(20.0).scaled(0.8).then(still().moved(4.0, 1.0)).theta, both.theta, atol=1e-2
    )
    assert torch.allclose(
        shown(still().moved(4.0, 1.0).moved(-4.0, 2.0), image), image.roll(3, 2), atol=1e-12
    )  # in whole pixels, exactly


def test_the_inverse_leads_back():
    movement = still(3).rotated(33.0).moved(2.0, 7.0).scaled(1.3)
    back = movement.then(movement.inverse())
    assert torch.allclose(back.theta, still(3).theta, atol=1e-12)
    flat = torch.tensor([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]).double().expand(1, 1, 2, 3)
    lost = Movement(torch.cat([still().theta, flat]), (24, 32), name="x.json")
    for needed in (lost.inverse, lost.seen):
        with pytest.raises(ClipError, match=r"^x.json: the matrix of frame 1, part 0, has no inverse"):
            needed()
    assert lost.read()[0].isnan().tolist() == [[False], [True]]


@pytest.mark.parametrize("size", [(24, 32), (16, 16), (9, 40)])
def test_what_is_told_is_what_was_asked_for(size):
    movement = still(2, size, parts=3).rotated(-25.0).scaled(1.25).moved(3.5, -2.0)
    angle, shift, scale = movement.read()
    assert torch.allclose(angle, torch.tensor(-25.0).double())
    assert torch.allclose(shift, torch.tensor([3.5, -2.0]).double())
    assert torch.allclose(scale, torch.tensor(1.25).double())


def test_edits_of_several_parts_about_their_own_middles():
    about = torch.tensor([[[1.0, 2.0], [-3.0, 4.0]]])
    both = still(5, parts=2).rotated(40.0, about)
    for k in range(2):
        assert torch.allclose(both.theta[:, k], still(5).rotated(40.0, about[0, k]).theta[:, 0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: still().scaled(0.0), "scaled by 0"),
        (lambda: still().scaled(math.inf), "scaled by inf"),
        (lambda: still(3).then(still(2)), "2 frames"),
        (lambda: still(size=(16, 16)).then(still(size=(16, 20))), "another shape"),
        (lambda: still()[4:5], "frames 0 to 0"),
        (lambda: replace(still(), theta=torch.full((1, 1, 2, 3), torch.nan)), "NaN"),
        (lambda: replace(still(2), times=torch.tensor([1.0, 1.0]).double()), "begin after"),
    ],
)
def test_what_no_movement_can_be(make, says):
    with pytest.raises(ClipError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


# --- JSON ------------------------------------------------------------------------------------------------------------


def some_movement() -> Movement:
    generator = torch.Generator().manual_seed(1)
    theta = torch.eye(2, 3) + torch.randn(4, 2, 2, 3, generator=generator)
    times = torch.tensor([0.0, 1.0, 2.5, 1 / 3 + 3]).double()
    return Movement(theta, (24, 32), times, 5.1, 30 / 1.001, {"tag": "walk/Süd", "action": "walk"}, "x")


def test_json_keeps_every_bit(tmp_path):
    movement = some_movement()
    write_movement(movement, tmp_path / "m.json")
    again = read_movement(tmp_path / "m.json")
    assert torch.equal(again.theta, movement.theta)
    assert torch.equal(again.at, movement.at)
    assert (again.size, again.end, again.fps, again.labels) == ((24, 32), 5.1, 30 / 1.001, movement.labels)
    part = read_movement(f"{tmp_path / 'm.json'}@1:3")
    assert torch.equal(part.theta, movement.theta[1:3])
    assert (part.at.tolist(), part.end) == ([1.0, 2.5], movement.at[3])


def test_json_says_the_movement_in_words(tmp_path):
    write_movement(still(1, (20, 40)).rotated(10.0).moved(5.0, -2.0), tmp_path / "m.json")
    data = json.loads((tmp_path / "m.json").read_text())
    assert data["convention"] == CONVENTION
    assert data["frames"][0]["parts"][0]["seen"] == {
        "clockwise": 10.0, "right": 5.0, "down": -2.0, "scale": [1.0, 1.0]
    }  # fmt: skip
    mirror = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).expand(1, 1, 2, 3)
    for theta, seen in ((mirror, {"mirrored": True}), (0 * mirror, None)):
        write_movement(Movement(theta, SIZE), tmp_path / "m.json")
        told = json.loads((tmp_path / "m.json").read_text())["frames"][0]["parts"][0]["seen"]
        assert told is None if seen is None else told["mirrored"]


def test_a_json_by_hand(tmp_path):
    parts = '{"matrix": [[1, 0, -0.625], [0, 1, 0]]}'
    (tmp_path / "m.json").write_text(
        f'{{"kinema": "transformation", "version": 1, "size": {{"width": 16, "height": 16}},'
        f'"frames": [{{"parts": [{parts}]}}, {{"parts": [{parts}]}}]}}'
    )
    movement = read_movement(tmp_path / "m.json")
    assert movement.read()[1].tolist() == [[[5.0, 0.0]]] * 2
    assert (movement.at.tolist(), movement.end, movement.fps) == ([0.0, 1.0], 2.0, 10.0)


def broken(path, change) -> Path:
    write_movement(some_movement(), path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def matrix_of(data):
    return data["frames"][2]["parts"][1]["matrix"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("kinema"), '"kinema": "transformation"'),
        (lambda d: d.update(kinema="sheet"), '"kinema": "transformation"'),
        (lambda d: d.pop("version"), "version None"),
        (lambda d: d.update(version=2), "reads version 1"),
        (lambda d: d.pop("size"), "has no 'size'"),
        (lambda d: d.pop("frames"), "has no 'frames'"),
        (lambda d: d.update(frames=[]), "at least one frame"),
        (lambda d: d.update(frames={"a": 1}), "at least one frame"),
        (lambda d: d.update(size=[16, 16]), "width and height"),
        (lambda d: d["size"].update(width=0), "width and height"),
        (lambda d: d["size"].update(width=10**6), "width and height"),
        (lambda d: d.update(labels=[]), "labels"),
        (lambda d: d.update(fps=0), "rate is not positive"),
        (lambda d: d.update(fps="fast"), "fps holds 'fast'"),
        (lambda d: d.update(end=0), "ends before"),
        (lambda d: d["frames"][1].update(begins=-1), "begin after"),
        (lambda d: d["frames"][1].update(begins=None), "frame 1: begins holds 'None'"),
        (lambda d: d["frames"].insert(1, 5), "frame 1 has no 'parts'"),
        (lambda d: d["frames"][1].update(parts=[]), "frame 1 has no 'parts'"),
        (lambda d: d["frames"][1]["parts"].pop(), "differ in parts"),
        (lambda d: d["frames"][2]["parts"][1].pop("matrix"), "frame 2, part 1 has no 'matrix'"),
        (lambda d: matrix_of(d).pop(), "frame 2, part 1: the matrix is not 2 x 3"),
        (lambda d: matrix_of(d)[0].append(1.0), "not 2 x 3"),
        (lambda d: matrix_of(d)[1].__setitem__(2, math.nan), "'nan'; a finite number"),
        (lambda d: matrix_of(d)[1].__setitem__(2, math.inf), "'inf'; a finite number"),
        (lambda d: matrix_of(d)[1].__setitem__(2, True), "'True'; a finite number"),
        (lambda d: matrix_of(d)[1].__setitem__(2, "1"), "'1'; a finite number"),
        (lambda d: matrix_of(d)[1].__setitem__(2, 10**400), "a finite number"),
    ],
)
def test_a_json_that_is_none_is_one_line(tmp_path, change, says):
    path = broken(tmp_path / "m.json", change)
    with pytest.raises(FileError) as error:
        read_movement(path)
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "m.json"
    write_movement(some_movement(), path)
    monkeypatch.setattr("kinema.files.transformation.MAX_MATRICES", 7)
    with pytest.raises(FileError, match="8 matrices are too many"):
        read_movement(path)
    with pytest.raises(FileError, match="4 frames of 2 parts are too many"):
        write_movement(some_movement(), tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()
    monkeypatch.setattr("kinema.files.transformation.MAX_BYTES", 500)
    monkeypatch.setattr("json.loads", lambda _: pytest.fail("it was read"))
    with pytest.raises(FileError, match="bytes are too many"):
        read_movement(path)


def test_text_that_is_no_json_and_files_of_others(tmp_path):
    (tmp_path / "m.json").write_text('{"frames": [')
    with pytest.raises(FileError, match="damaged"):
        read_movement(tmp_path / "m.json")
    for name, says in (("m.json", "choose another name"), ("m.txt", "as .json")):
        with pytest.raises(FileError, match=says):
            write_movement(some_movement(), tmp_path / name)
    assert (tmp_path / "m.json").read_text() == '{"frames": ['
    with pytest.raises(FileError, match="no such file"):
        read_movement(tmp_path / "none.json")


# --- alpha -----------------------------------------------------------------------------------------------------------


def composite(seed=0):
    """Colour and opacity, some of it 0 and 1, and it on two uneven canvases."""
    generator = torch.Generator().manual_seed(seed)
    colour, canvas = (torch.rand(n, 3, 48, 40, generator=generator).double() for n in (4, 1))
    alpha = (2 * torch.rand(4, 1, 48, 40, generator=generator).double() - 0.5).clamp(0, 1)
    canvases = 0.3 * canvas, 0.6 + 0.4 * canvas
    return colour, alpha, canvases, [alpha * colour + (1 - alpha) * ground for ground in canvases]


def test_alpha_and_colour_of_a_known_composite():
    colour, alpha, canvases, (first, second) = composite()
    found, opacity = solve_alpha(first, second, *canvases)
    assert float((alpha == 0).double().mean()) > 0.1
    assert float((alpha == 1).double().mean()) > 0.1
    assert torch.allclose(opacity, alpha, atol=1e-12)
    assert torch.allclose(found * opacity, colour * alpha, atol=1e-9)
    seen = (alpha > 0.01).expand_as(colour)
    assert torch.allclose(found[seen], colour[seen], atol=1e-9)


def test_alpha_with_noise_is_off_by_as_much_as_least_squares_says():
    _, alpha, canvases, shown = composite()
    generator, sigma = torch.Generator().manual_seed(5), 0.01
    noisy = [x + sigma * torch.randn(x.shape, generator=generator).double() for x in shown]
    _, opacity = solve_alpha(*noisy, *canvases)
    assert (float(opacity.min()), float(opacity.max())) == (0, 1)
    inside = (alpha > 0.1) & (alpha < 0.9)  # where nothing is cut off
    expected = sigma * 2**0.5 / (canvases[0] - canvases[1]).square().sum(1, keepdim=True).sqrt()
    ratio = ((opacity - alpha) / expected)[inside].std()
    assert 0.9 < ratio < 1.1
    one_channel = sigma * 2**0.5 / (canvases[0] - canvases[1])[:, :1].abs()
    assert float(expected.mean()) < 0.7 * float(one_channel.mean()), "three channels tell more than one"


def test_alpha_of_what_is_opaque_and_of_nothing():
    colour, _, (a, b), _ = composite()
    found, opacity = solve_alpha(colour, colour, a, b)
    assert torch.equal(opacity, torch.ones_like(opacity))
    assert torch.allclose(found, colour, atol=1e-12)
    found, opacity = solve_alpha(a.expand(4, -1, -1, -1), b.expand(4, -1, -1, -1), a, b)
    assert float(opacity.abs().max()) < 1e-12
    assert float((found * opacity).abs().max()) < 1e-12
    _, opacity = solve_alpha(a, a, a, a)
    assert torch.equal(opacity, torch.ones_like(opacity)), "canvases that agree tell nothing"


def test_the_canvases_are_those_that_the_model_shows():
    assert plain_canvases(Exact()) == (32, 224)
    dim = Exact(plain=lambda x: x.clamp(0.37, 0.63))  # shows neither dark nor light
    assert plain_canvases(dim) == (96, 160)
    with pytest.raises(ClipError, match="too much alike"):
        plain_canvases(Exact(plain=lambda x: 0 * x + 0.5))


# --- clips -----------------------------------------------------------------------------------------------------------


def real(parts=1) -> Renderer:
    """A renderer at birth: its movements are the identity."""
    torch.manual_seed(0)
    return Renderer(RendererConfig(width=4, features=4, hidden=8, parts=parts), PairDomain(SIZE, 10.0)).eval()


@pytest.mark.parametrize("parts", [1, 3])
def test_a_still_clip_shows_what_the_model_makes_of_the_character(parts):
    model, clip = real(parts), square((3, 5))
    out = compose(model, clip, square((1, 1), (1, 1), (1, 1)), clip)
    with torch.inference_mode():
        features = model.encode_character(clip.frames), model.encode_background(clip.frames)
        expected = model.render(*features)
    assert torch.allclose(out.frames, expected.expand(3, -1, -1, -1), atol=1e-5)
    assert out.alpha is None


def test_character_movement_and_background_each_come_from_their_clip():
    motion = square(
        (2, 3), (5, 3), (5, 9), ground=0.5, labels={"tag": "hop"}, fps=7.0, credits=("b",),
        times=torch.tensor([2.0, 3.0, 5.0]).double(), end=5.5, name="b",
    )  # fmt: skip
    character = square((6, 2), (0, 0), ground=0.75, credits=("a",))
    out = compose(Exact(), character, motion, square((12, 12), ground=0.1, credits=("c", "b")))
    expected = square((6, 2), (9, 2), (9, 8), ground=0.1)
    expected.frames[:, :, 12:, 12:] = torch.where(
        expected.frames[:, :1, 12:, 12:] < 0.5, 0.25, expected.frames[:, :, 12:, 12:]
    )
    assert torch.allclose(out.frames, expected.frames, atol=1e-5)
    assert (out.at.tolist(), out.end, out.fps, out.labels) == ([0.0, 1.0, 3.0], 3.5, 7.0, {"tag": "hop"})
    assert out.credits == ("a", "c", "b")


def test_without_a_background_it_is_transparent():
    motion = square((2, 3), (5, 3), (5, 9))
    out = compose(Exact(), square((6, 2)), motion)
    expected = square((6, 2), (9, 2), (9, 8), ground=None)
    assert expected.alpha is not None
    assert out.alpha is not None
    assert torch.allclose(out.alpha, expected.alpha, atol=1e-5)
    assert torch.allclose(out.frames * out.alpha, expected.frames, atol=1e-5)
    half = Exact(plain=lambda x: 0.2 + 0.5 * x)  # its grays are wrong, which alpha does not suffer from
    assert torch.allclose(compose(half, square((6, 2)), motion).alpha, expected.alpha, atol=1e-5)


def test_many_frames_are_rendered_as_few_are(monkeypatch):
    motion, clip = square(*((t % 9, t % 7) for t in range(10))), square((4, 4))
    whole = compose(Exact(), clip, motion), compose(Exact(), clip, motion, clip)
    monkeypatch.setattr(scenes, "CHUNK", 3)
    for a, b in zip(whole, (compose(Exact(), clip, motion), compose(Exact(), clip, motion, clip)), strict=True):
        assert torch.equal(a.frames, b.frames)
        assert len(b) == 10


def test_smaller_clips_lie_in_the_middle_and_the_result_is_as_large_as_the_larger():
    motion = square((2, 3), (5, 4))
    small = square((1, 2), size=(8, 8), ground=None)
    alone = compose(Exact(), small, motion)
    assert alone.size == (8, 8)
    moved = square((1, 2), (4, 3), size=(8, 8), ground=None).alpha
    assert torch.allclose(alone.alpha, moved, atol=1e-5)
    on = compose(Exact(), small, motion, square((0, 0), size=(16, 12)))
    assert on.size == (16, 12)
    assert torch.allclose(on.frames[1, :, 7:11, 6:10], INK.view(3, 1, 1).expand(3, 4, 4), atol=1e-5)
    with pytest.raises(ClipError, match="--resize"):
        compose(Exact(), square((0, 0), size=(32, 32)), motion)
    assert compose(Exact(), square((8, 8), size=(32, 32)), motion, fit=True).size == SIZE


def test_a_movement_that_is_held_gives_the_same_and_can_be_edited(tmp_path):
    model, clip = Exact(), square((6, 2), ground=0.75)
    motion = square((2, 3), (5, 3), (5, 9), labels={"tag": "hop"}, fps=12.0)
    movement = read_movement_of(model, motion)
    assert torch.allclose(movement.read()[1][:, 0], torch.tensor([[0, 0], [3, 0], [3, 6]]).double(), atol=1e-4)
    write_movement(movement, tmp_path / "m.json")
    kept = compose(model, clip, read_movement(tmp_path / "m.json"), clip)
    asked = compose(model, clip, motion, clip)
    assert torch.equal(kept.frames, asked.frames)
    assert (kept.labels, kept.fps, kept.at.tolist()) == (asked.labels, asked.fps, asked.at.tolist())
    moved = compose(model, clip, movement.moved(-5.0, 1.0))
    assert torch.allclose(moved.alpha, square((1, 3), (4, 3), (4, 9), ground=None).alpha, atol=1e-5)
    back = compose(model, square((9, 9)), movement.inverse())
    assert torch.allclose(back.alpha, square((9, 9), (6, 9), (6, 3), ground=None).alpha, atol=1e-5)


def test_a_movement_for_every_part_or_one_for_all():
    model, clip = Exact(parts=3), square((6, 2))
    one = compose(model, clip, still(2, SIZE).moved(2.0, 1.0))
    assert torch.equal(one.frames, compose(model, clip, still(2, SIZE, parts=3).moved(2.0, 1.0)).frames)
    with pytest.raises(ClipError, match="2 parts; this model moves 3"):
        compose(model, clip, still(2, SIZE, parts=2))
    with pytest.raises(ClipError, match="another shape"):
        compose(model, clip, still(2, (16, 20)))
    larger = compose(model, clip, still(2, (32, 32)).moved(4.0, 2.0))
    assert torch.allclose(larger.frames, one.frames), "half of the pixels on half of the canvas"


def test_the_middle_of_a_character():
    for clip in (square((9, 3)), square((9, 3), ground=None)):
        assert middle_of(Exact(), clip).tolist() == pytest.approx([3.0, -3.0], abs=1e-4)
    wide = square((9, 3), size=(16, 20))
    assert middle_of(Exact((16, 20)), wide).tolist() == pytest.approx([1.0, -3.0], abs=1e-4)
    with pytest.raises(ClipError, match="no character is seen"):
        middle_of(Exact(), VideoClip(torch.full((1, 3, *SIZE), 0.5)))


def test_a_clip_of_one_frame_has_no_movement_and_a_still_one_none_to_see():
    with pytest.raises(ClipError, match="single frame"):
        read_movement_of(Exact(), square((1, 1)))
    assert is_still(square((1, 1), (1, 1)))
    assert not is_still(square((1, 1), (1, 2)))
    fading = square((1, 1), (1, 1), ground=None)
    assert fading.alpha is not None
    assert not is_still(replace(fading, alpha=fading.alpha * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)))


# --- the command -----------------------------------------------------------------------------------------------------


def tiny_renderer(path: Path) -> Path:
    """A run of a renderer with the weights that it was born with."""
    recipe = build_recipe(TINY, "tiny")
    domain = PairDomain(SIZE, 10.0)
    open_run(path, recipe, domain, ("the glyphs",), resume=False)
    torch.manual_seed(0)
    save_weights(path, build_model(recipe, domain))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    tiny_renderer(folder / "run")
    write_clip(square((2, 3), (5, 3), (5, 9)), folder / "b.gif")
    write_clip(square((2, 3), (2, 3), (2, 3)), folder / "dead.gif")
    write_clip(square((6, 2), (7, 2)), folder / "a.png")
    write_clip(square((6, 2), ground=None, credits=("drawn by A",)), folder / "hero.png")
    write_clip(square((12, 12), ground=0.1), folder / "c.png")
    write_clip(square((12, 12), size=(32, 32)), folder / "large.png")
    tags = [
        square((2, 3), (5, 3), labels={"tag": "walk"}, fps=12.5, credits=("drawn by B",)),
        square((2, 9), (5, 9), (8, 9), labels={"tag": "run"}, fps=5.0),
        square((2, 3), labels={"tag": "stand"}),
    ]
    write_clips(tags, folder / "sheet.json")
    write_movement(still(3, SIZE).moved(2.0, 1.0), folder / "m.json")
    flat = torch.tensor([[0.0, 0, 0], [0, 1, 0]]).expand(2, 1, 2, 3)
    write_movement(Movement(flat, SIZE), folder / "flat.json")
    write_movement(still(2, (16, 20)), folder / "wide.json")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def exact(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the run's model replaced by one that makes no mistakes."""
    known = load_run("run")
    run = Run(known.path, known.recipe, known.domain, Exact(), known.credits)
    monkeypatch.setattr("kinema.verbs.compose.load_run", lambda *_, **__: run)
    return here


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    capsys.readouterr()
    main(["compose", "run", *words])
    return tuple(capsys.readouterr())


BASE = ("--character", "a.png@0", "--motion", "b.gif", "--out", "x.gif")
HELD = ("--character", "a.png", "--transformation", "m.json", "--out", "x.gif")
FLAT = (*HELD[:3], "flat.json", *HELD[4:])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("builtin:sprites", *BASE), ["sprites: a run of the family halo", "renderer"]),
        (("run", *BASE[:4]), ["required: out"]),
        (("run", *BASE[2:]), ["required: character"]),
        (("run", *BASE[:2], *BASE[4:]), ["--motion FILE@I:J", "--transformation"]),
        (("run", *BASE, "--transformation", "m.json"), ["either --motion"]),
        (("run", *BASE, "--motion", "b.gif@1"), ["b.gif@1", "single frame", "FILE@I:J"]),
        (("run", *BASE, "--motion", "sheet.json#stand"), ["single frame"]),
        (("run", *BASE, "--motion", "sheet.json#swim"), ["walk, run"]),
        (("run", *BASE, "--motion", "b.gif@7:9"), ["b.gif@7:9", "0 to 2"]),
        (("run", *BASE, "--character", "a.png@2"), ["a.png@2", "0 to 1"]),
        (("run", *BASE, "--background", "c.png@-9"), ["c.png@-9", "0 to 0"]),
        (("run", *BASE, "--background", "sky.png@4"), ["sky.png", "no such file"]),
        (("run", *BASE, "--character", "large.png"), ["32 x 32", "16 x 16", "--resize"]),
        (("run", *BASE, "--motion", "large.png@0:2"), ["single frame"]),
        (("run", *BASE, "--background", "large.png"), ["32 x 32", "--resize"]),
        (("run", *BASE, "--background", "none"), ["background none", "alike"]),
        (("run", *BASE, "--background", "none", "--out", "x.mp4"), ["x.mp4", ".mp4 holds no alpha", ".webp"]),
        (("run", *BASE, "--background", "none", "--out", "x.jpg"), ["x.jpg", "no alpha"]),
        (("run", *BASE, "--rotate", "nan"), ["--rotate"]),
        (("run", *BASE, "--rotate", "much"), ["--rotate", "a number"]),
        (("run", *BASE, "--scale-by", "0"), ["--scale-by 0", "positive"]),
        (("run", *BASE, "--move", "5"), ["--move 5", "such as 5,0"]),
        (("run", *BASE, "--move", "5,x"), ["--move 5,x"]),
        (("run", *BASE, "--move=-5,nan"), ["--move -5,nan"]),
        (("run", *BASE, "--scale", "0"), ["--scale 0"]),
        (("run", *BASE, "--out", "x.xyz"), ["x.xyz", ".gif"]),
        (("run", *BASE, "--save-transformation", "m.txt"), ["m.txt", ".json"]),
        (("run", *BASE, "--save-transformation", "sheet.json"), ["sheet.json", "another name"]),
        (("run", *BASE, "--out", "x.json", "--save-transformation", "x.json"), ["x.json", "another name"]),
        (("run", *BASE, "--motion", "sheet.json", "--out", "x.json", "--json"), ["3 tags", "FILE#TAG"]),
        (("run", *FLAT, "--invert"), ["flat.json", "frame 0, part 0", "no inverse"]),
        (("run", *HELD, "--transformation", "m.json@5"), ["m.json", "0 to 2"]),
        (("run", *HELD, "--transformation", "sheet.json"), ["sheet.json", "no transformation"]),
        (("run", *HELD, "--transformation", "wide.json"), ["wide.json", "another shape"]),
        (("run", *HELD, "--transformation", "b.gif"), ["b.gif"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line(here: Path, capsys, words: tuple[str, ...], says: list[str]) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as exit:
        main(["compose", *words])
    out, err = capsys.readouterr()
    assert exit.value.code == 2
    assert not out
    assert err.startswith("kinema: ")
    assert err.count("\n") == 1
    assert all(word in err for word in says), err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_frames_of_a_video_that_it_has_not(here: Path, capsys) -> None:
    phone_mp4(here / "phone.mp4")
    with pytest.raises(SystemExit):
        main(["compose", "run", *BASE, "--motion", "phone.mp4@40:50"])
    assert "0 to 11" in capsys.readouterr().err


def test_the_command_composes(exact: Path, capsys) -> None:
    said(capsys, *BASE, "--background", "c.png", "--out", "x.png", "--move=-1,2", "--scale", "2")
    out = read_clip("x.png")
    assert (out.size, len(out), out.alpha) == ((32, 32), 3, None)
    assert out.credits == ("the glyphs",)
    small = out.frames[:, :, ::2, ::2]
    expected = square((5, 4), (8, 4), (8, 10), ground=0.1)
    red = (small - INK.view(1, 3, 1, 1)).abs().amax(1) < 0.02
    assert torch.equal(red, (expected.frames[:, 0] > 0.5))


def test_a_sheet_stays_a_sheet(exact: Path, capsys) -> None:
    _, err = said(capsys, "--character", "hero.png", "--motion", "sheet.json", "--out", "x.json", "--palette")
    assert "grays 32 and 224" in err
    clips, motions = read_clips("x.json"), read_clips("sheet.json")
    assert [clip.labels["tag"] for clip in clips] == ["walk", "run", "stand"]
    assert [clip.fps for clip in clips] == [clip.fps for clip in motions]
    assert clips[0].credits == ("drawn by A", "drawn by B", "the glyphs")
    places = [((6, 2), (9, 2)), ((6, 8), (9, 8), (12, 8)), ((6, 2),)]
    for clip, corners in zip(clips, places, strict=True):
        expected = square(*corners, ground=None)
        assert torch.equal(clip.alpha, expected.alpha)
        assert torch.allclose(clip.frames, expected.frames, atol=1 / 255)


def test_alpha_is_had_only_where_it_can_be(exact: Path, capsys) -> None:
    hero = ("--character", "hero.png", "--motion", "b.gif", "--out")
    said(capsys, *hero, "x.webp")
    assert read_clip("x.webp").alpha is not None
    assert "all or nothing" in said(capsys, *hero, "x.gif")[1]
    said(capsys, *hero, "x.mp4")  # on what it is laid on, for nobody asked for alpha
    assert read_clip("x.mp4").frames[:, :, 15, 0].mean() == pytest.approx(128 / 255, abs=0.05)
    said(capsys, *BASE)
    assert read_clip("x.gif").alpha is None, "the character's own background"
    said(capsys, *BASE, "--background", "none", "--out", "y.webp")
    assert read_clip("y.webp").alpha is not None


def test_a_movement_is_printed_kept_and_applied_to_another(exact: Path, capsys) -> None:
    out, _ = said(capsys, *BASE, "--rotate", "90", "--about-character", "--print", "--save-transformation", "t.json")
    assert out.splitlines()[0].startswith("b.gif: 3 frames on 16 x 16 pixels")
    assert out.splitlines()[2].startswith("  frame 1: +90.0 degrees")
    first = read_clip("x.gif")
    said(capsys, "--character", "a.png@0", "--transformation", "t.json", "--out", "y.gif")
    again = read_clip("y.gif")
    assert torch.equal(again.frames, first.frames)
    assert torch.equal(again.at, first.at)
    told, _ = said(capsys, *BASE, "--json")
    assert [part["seen"]["right"] for f in json.loads(told)["frames"] for part in f["parts"]] == pytest.approx(
        [0, 3, 3], abs=0.01
    )
    said(capsys, *HELD, "--invert", "--save-transformation", "t.json")
    assert read_movement("t.json").read()[1][0, 0].tolist() == pytest.approx([-2, -1])


def test_a_character_turns_about_its_own_middle(exact: Path, capsys) -> None:
    said(capsys, *BASE, "--rotate", "90", "--about-character", "--out", "x.png")
    said(capsys, *BASE, "--out", "y.png")
    assert torch.allclose(read_clip("x.png").frames, read_clip("y.png").frames, atol=0.02), "a square is a square"
    said(capsys, *BASE, "--rotate", "90", "--out", "x.png")
    assert not torch.allclose(read_clip("x.png").frames, read_clip("y.png").frames, atol=0.02)


def test_a_clip_in_which_nothing_moves_is_told_and_used(exact: Path, capsys) -> None:
    _, err = said(capsys, *BASE, "--motion", "dead.gif")
    assert "dead.gif: nothing moves in it" in err
    assert len(read_clip("x.gif")) == 3
    assert said(capsys, *BASE)[1] == ""


def test_a_model_that_sees_no_movement_is_told(here: Path, capsys) -> None:
    assert "b.gif: the model sees no movement" in said(capsys, *BASE)[1]
    assert len(read_clip("x.gif")) == 3


def test_a_flat_movement_is_shown_where_no_inverse_is_needed(exact: Path, capsys) -> None:
    out, _ = said(capsys, *FLAT, "--print")
    assert "frame 1: no inverse" in out


def test_one_size_of_canvas_is_not_the_only_one(exact: Path, capsys) -> None:
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save("small.png")
    said(capsys, *BASE, "--character", "large.png", "--background", "small.png", "--resize", "--out", "x.png")
    assert read_clip("x.png").size == SIZE


def test_composing_is_public() -> None:
    assert kinema.compose is compose
