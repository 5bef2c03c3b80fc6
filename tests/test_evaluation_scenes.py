"""Measures of the renderer, with an oracle, with noise and with cheats; T_Z against the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.clip import VideoClip
from kinema.data.moving_digits import MovingDigits, MovingDigitsConfig
from kinema.data.scenes import Scenes, ScenesConfig
from kinema.errors import ConfigError
from kinema.evaluation.scene_affine import (
    Transformations,
    evaluate_transformations,
    read_transformations,
    regression_r2,
)
from kinema.evaluation.scene_alpha import evaluate_alpha
from kinema.evaluation.scene_errors import evaluate_scenes, floats, make, score, summary
from kinema.evaluation.scene_evaluate import evaluate_films
from kinema.evaluation.scene_examples import MANIPULATIONS, draw_examples
from kinema.files import write_clip
from kinema.maths import affine
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig

CPU = torch.device("cpu")
CONFIG = MovingDigitsConfig(size=32, backgrounds=4, videos=64)


@pytest.fixture(scope="module")
def examples():
    return draw_examples(MovingDigits(CONFIG, "test"), 96, 0)


@pytest.fixture(scope="module")
def truths(examples):
    return {name: floats(value, CPU) for name, value in examples.truths.items()}


def measured(made, examples):
    return summary(score(made, examples), examples.source.movements, 0)


def test_both_scenes_share_the_movement_and_nothing_else(examples):
    source = examples.source
    assert torch.equal(source.motion_of(examples.one), source.motion_of(examples.two))
    assert bool((source.character_of(examples.one) != source.character_of(examples.two)).any(-1).all())
    assert bool((examples.here != examples.there).all())
    assert bool((examples.i != examples.j).all())
    again = draw_examples(source, 96, 0)
    assert torch.equal(again.one, examples.one)
    assert not torch.equal(draw_examples(source, 96, 1).one, examples.one)


def test_truths_differ_from_what_is_given(examples, truths):
    """Every manipulation has something to do: its truth is none of the frames that the model sees."""
    frames = {name: floats(value, CPU) for name, value in examples.frames.items()}
    for name, parts in MANIPULATIONS.items():
        if name in ("background", "combined"):
            for part in set(parts):
                assert float((frames[part] - truths[name]).square().mean()) > 1e-4, (name, part)


def test_an_oracle_has_no_error(examples, truths):
    results = measured(truths, examples)
    for name in (*MANIPULATIONS, "bare", "solo", "background only", "character only"):
        assert results[f"{name}/sse01"] == 0
        assert results[f"{name}/psnr"] == 100
    assert results["background/of no object"] == 0


def test_the_scales_are_one_error(examples, truths):
    noise = 0.1 * torch.randn(*truths["background"].shape, generator=torch.Generator().manual_seed(0))
    results = measured({"background": truths["background"] + noise}, examples)
    per_image = noise.numpy().astype(np.float64) ** 2
    assert results["background/sse01"] == pytest.approx(per_image.sum((1, 2, 3)).mean(), rel=1e-4)
    assert results["background/mse255"] == pytest.approx(65025 * per_image.mean(), rel=1e-4)
    assert results["background/psnr"] == pytest.approx(-10 * np.log10(per_image.mean()), rel=1e-4)
    assert results["background/median"] == pytest.approx(np.median(per_image.sum((1, 2, 3))), rel=1e-3)
    assert results["background/sse01_low"] < results["background/sse01"] < results["background/sse01_high"]


def test_noise_and_cheats_fail(examples, truths):
    """Frames shown again, bare canvases and noise reach neither bar: 1/4 of No object and 1/2 of Video frames."""
    frames = {name: floats(value, CPU) for name, value in examples.frames.items()}
    noise = torch.rand(truths["solo"].shape, generator=torch.Generator().manual_seed(0))
    there = floats(examples.source.canvas(examples.there), CPU)
    cheats = {
        "what is moved": {"transformation": frames["2i"], "background": frames["1i"]},
        "the other frame": {"transformation": frames["1j"], "background": frames["1j"]},
        "the background's frame": {"transformation": frames["2i"], "background": frames["2j"]},
        "bare": {"transformation": there, "background": there},
        "noise": {"transformation": noise, "background": noise},
    }
    for name, made in cheats.items():
        results = measured(made, examples)
        assert results["background/of no object"] > 0.25, name
        assert results["transformation/of video frames"] > 0.5, name


def test_masks_part_the_error(examples, truths):
    """An error on the character alone counts there alone, and the other way about."""
    mask = examples.masks["2j"]
    on = truths["transformation"] + 0.5 * (mask > 0.5)
    off = truths["transformation"] + 0.5 * (mask == 0)
    for made, hit, spared in ((on, "character only", "background only"), (off, "background only", "character only")):
        results = measured({"transformation": made}, examples)
        assert results[f"{spared}/sse01"] == 0
        assert results[f"{hit}/sse01"] == pytest.approx(results["transformation/sse01"])


class Echo:
    """Shows what it is given as the character."""

    def compose(self, character, first, second, background):
        return character


def test_a_model_is_asked_for_every_manipulation(examples):
    made = make(Echo(), examples, CPU)
    assert set(made) == {*MANIPULATIONS, "bare"}
    results = evaluate_scenes(Echo(), examples, CPU)
    assert results["transformation/sse01"] == pytest.approx(results["copy/sse01"])
    assert results["reconstruction/sse01"] == pytest.approx(results["video frames/sse01"])
    assert results["n/examples"] == 96
    groups = sum(results[f"copy/{name}/sse01"] > 0 for name in examples.source.movements)
    assert groups >= 2


@pytest.mark.parametrize("options", [{}, {"parts": 2, "character": "rest", "compositing": "over"}])
def test_encoding_each_frame_once_shows_what_compose_shows(examples, options):
    torch.manual_seed(0)
    model = Renderer(RendererConfig(width=8, features=8, hidden=16, **options), PairDomain((32, 32), 5.0)).eval()
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    few = next(examples.chunks(4))
    made_once, made_apart = make(model, few, CPU), make(Composer(model), few, CPU)
    assert set(made_once) - set(made_apart) == {"solo"}
    for name, shown in made_apart.items():
        torch.testing.assert_close(made_once[name], shown)


def test_a_transformation_that_is_given_is_given_in_tests_too(examples):
    model = Renderer(RendererConfig(width=8, features=8, transformation="given"), PairDomain((32, 32), 5.0)).eval()
    few = next(examples.chunks(4))
    frames = {name: floats(value, CPU) for name, value in few.frames.items()}
    given = few.source.given(few.one, few.i, few.j)
    expected = model.compose(frames["2i"], frames["1i"], frames["1j"], frames["2i"], given)
    torch.testing.assert_close(make(model, few, CPU)["transformation"], expected)


class Composer:
    """A renderer that only composes."""

    def __init__(self, model):
        self.model = model

    def compose(self, *pictures):
        with torch.no_grad():
            return self.model.compose(*pictures)


class Reader:
    """T_Z by a function of the true one."""

    def __init__(self, change):
        self.change = change

    def transformation(self, first, second, given):
        return self.change(given)[:, None]


def found(change, count=512):
    return read_transformations(Reader(change), MovingDigits(CONFIG, "test"), count, 0, CPU)


def test_an_exact_transformation_is_the_inverse_of_the_movement():
    results = evaluate_transformations(found(lambda theta: theta))
    assert results["affine/r2 inverse"] == pytest.approx(1, abs=1e-9)
    assert results["affine/r2 forward"] < 0.9999
    assert results["affine/angle error, degrees"] < 1e-4
    assert results["affine/shift error, canvas"] < 1e-6


def test_a_linear_image_of_the_truth_has_r2_one_and_noise_less():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator)
    mixed = evaluate_transformations(found(lambda theta: (theta.flatten(1) @ mixing + 3).view(-1, 2, 3)))
    assert mixed["affine/r2 inverse"] == pytest.approx(1, abs=1e-6)
    noisy = found(lambda theta: torch.randn(theta.shape, generator=generator))
    assert evaluate_transformations(noisy)["affine/r2 inverse"] < 0.05


def test_a_constant_is_told_and_earns_nothing():
    results = evaluate_transformations(found(lambda theta: affine.identity(len(theta))))
    assert results["affine/r2 inverse"] == 0
    assert results["affine/constant entries"] == 6
    pairs = found(lambda theta: theta)
    part = replace(pairs, read=torch.cat([pairs.read[..., :2] * 0 + torch.eye(2), pairs.read[..., 2:]], -1))
    assert evaluate_transformations(part)["affine/constant entries"] == 4


def test_r2_is_numpys():
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(200, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    y = x @ torch.randn(6, 6, generator=generator, dtype=torch.float64) + noise
    design = np.concatenate([x.numpy(), np.ones((200, 1))], 1)
    rest = y.numpy() - design @ np.linalg.pinv(design) @ y.numpy()
    expected = np.mean(1 - (rest**2).sum(0) / ((y.numpy() - y.numpy().mean(0)) ** 2).sum(0))
    assert regression_r2(x, y) == pytest.approx(expected, rel=1e-9)


def test_a_source_without_the_truth_is_refused():
    with pytest.raises(ConfigError, match="true transformations are not known"):
        read_transformations(Reader(lambda x: x), MovingDigits(replace(CONFIG, digits=2), "test"), 4, 0, CPU)


def test_transformations_are_compared_as_angles_and_shifts():
    true = affine.from_parts(torch.tensor([0.1, -0.2, 3.1]), torch.tensor([[0.1, 0.0], [0.0, 0.2], [0.3, 0.0]]))
    read = affine.from_parts(torch.tensor([0.2, -0.2, -3.1]), torch.tensor([[0.1, 0.0], [0.0, 0.2], [0.3, 0.4]]))
    results = evaluate_transformations(Transformations(read, true))
    apart = (0.1 + 0 + (2 * np.pi - 6.2)) / 3
    assert results["affine/angle error, degrees"] == pytest.approx(np.rad2deg(apart), rel=1e-3)
    assert results["affine/shift error, canvas"] == pytest.approx(0.4 / 3, rel=1e-4)


class Knows:
    """Renders the background of a film as it is told, and shows the character where it is."""

    def __init__(self, background):
        self.background = background

    def solo_background(self, x):
        return self.background(x)

    def compose(self, character, first, second, background):
        return second


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of a limb, a light bar of 4 pixels, that passes over a gray wall and never stays."""
    folder = tmp_path_factory.mktemp("films")
    for name, gray in (("a", 0.2), ("b", 0.4)):
        frames = torch.full((12, 3, 32, 32), gray)
        for t in range(12):
            frames[t, :, 8:24, 4 + 2 * t : 8 + 2 * t] = 0.9
        (folder / "pass").mkdir(exist_ok=True)
        write_clip(VideoClip(frames), folder / "pass" / f"{name}.png")
    return Scenes(ScenesConfig(root=str(folder), test=("a",)), "all")


def test_films_are_judged_on_what_limbs_sweep(films):
    walls = {}
    for index in range(len(films)):
        frames = floats(films.clip_frames(index), CPU)
        walls[round(frames[0, 0, 0, 0].item(), 3)] = frames[:1, :, :1, :1]

    def wall(x):
        return walls[round(x[0, 0, 0, 0].item(), 3)].expand_as(x)

    noise = torch.Generator().manual_seed(0)
    oracle = evaluate_films(Knows(wall), films, CPU)
    echo = evaluate_films(Knows(lambda x: x), films, CPU)
    noisy = evaluate_films(Knows(lambda x: wall(x) + 0.1 * torch.randn(x.shape, generator=noise)), films, CPU)
    assert oracle["swept/psnr"] > 60
    assert echo["swept/psnr"] == pytest.approx(echo["swept/psnr, input"])
    assert echo["swept/psnr"] < 20
    assert oracle["swept/psnr, input"] == echo["swept/psnr, input"]
    assert noisy["swept/psnr"] == pytest.approx(20, abs=0.5)
    assert oracle["reconstruction/psnr"] == pytest.approx(100)


class CutOut:
    """Puts a character on any background with the true opacity, raised or lowered as `of` says."""

    def __init__(self, examples, of):
        self.opacity, self.ink = of(examples.masks["1i"]), examples.masks["1i"]

    def compose(self, character, first, second, background):
        return (1 - self.opacity) * background

    def solo_background(self, x):
        return x


@pytest.mark.parametrize(
    ("of", "least", "most"),
    [
        (lambda mask: mask, 0.999, 1.0),
        (lambda mask: 0.8 * mask, 0.2, 0.9),
        (lambda mask: torch.ones_like(mask), 0.0, 0.12),
        (lambda mask: torch.zeros_like(mask), 0.0, 0.0),
        (lambda mask: torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)), 0.0, 0.1),
        (lambda mask: mask.roll(4, -1), 0.0, 0.5),
    ],
    ids=["oracle", "too clear", "all opaque", "all clear", "noise", "moved away"],
)
def test_alpha_is_that_of_the_character(examples, of, least, most):
    few = next(examples.chunks(48))
    results = evaluate_alpha(CutOut(few, of), few, CPU)
    assert least <= results["alpha/iou"] <= most
    assert results["alpha/iou_low"] <= results["alpha/iou"] <= results["alpha/iou_high"]
    assert (results["alpha/error"] < 1e-3) == (least > 0.99)
