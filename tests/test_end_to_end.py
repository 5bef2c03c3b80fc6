"""From a stranger's files to swaps and animations: counts, sizes, alpha, times and colours, with nothing shifted."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from kinema.cli import main
from kinema.clip import VideoClip
from kinema.errors import RunError
from kinema.files import read_clip, write_clip
from kinema.files.palette import palette_of
from kinema.models import clips
from kinema.training.run import load_run
from kinema.verbs.train import train
from strangers import aseprite, gif, phone_mp4, strip48
from tiny import TINY, TRAINING, untrained_run, words

DATA = Path(os.environ.get("KINEMA_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The strangers' files, as clips of actions, and a run trained on them for two steps."""
    folder = tmp_path_factory.mktemp("strangers")
    aseprite(folder / "hero.json")
    for action, make, name in (("turn", gif, "disc.gif"), ("float", strip48, "ghost.png")):
        (folder / "clips" / action).mkdir(parents=True)
        make(folder / "clips" / action / name)
    phone_mp4(folder / "phone.mp4")
    for action in ("walk", "jump"):
        (folder / "clips" / action).mkdir()
        main(["convert", f"{folder}/hero.json#{action}", f"{folder}/clips/{action}/hero.png"])
    options = {
        **TINY,
        "data.source": "clips",
        "data.root": str(folder / "clips"),
        "data.size": "48",
        "data.alpha": "true",
    }
    main(["train", "halo-demo", *words(options), "--quiet", "--out", f"{folder}/run"])
    return folder


@pytest.fixture
def here(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in."""
    shutil.copytree(work, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


GHOST, DISC = "clips/float/ghost.png", "clips/turn/disc.gif"
SIZES = {DISC: (32, 32), GHOST: (48, 48), "hero.json#walk": (32, 24), "hero.json#jump": (32, 24)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("a", "b"),
    [(DISC, GHOST), (GHOST, "hero.json#walk"), ("hero.json#jump", DISC), ("hero.json#walk", "hero.json#jump")],
)
def test_swaps_have_the_frames_of_the_motion_and_the_size_and_alpha_of_the_content(here: Path, a: str, b: str) -> None:
    main(["swap", "run", a, b, "--out", "x.webp"])
    for out, content, motion in (("x.webp", a, b), ("x-back.webp", b, a)):
        made, moving = read_clip(out), read_clip(motion)
        assert len(made) == len(moving)
        assert made.size == SIZES[content]
        assert made.alpha is not None
        seconds = moving.durations / moving.fps
        assert torch.allclose(made.durations / made.fps, seconds, atol=1e-3)


@pytest.mark.slow
def test_a_phone_video_goes_in_and_out(here: Path) -> None:
    main(["swap", "run", "phone.mp4", GHOST, "--resize", "--out", "x.mp4"])
    made = read_clip("x.mp4")
    assert (len(made), made.size, made.alpha) == (8, (28, 48), None)
    back = read_clip("x-back.mp4")
    assert (len(back), back.size) == (12, (48, 48))
    assert float(back.duration / back.fps) == pytest.approx(12 / 30, abs=0.02)
    main(["convert", "phone.mp4@0:3", "small.gif"])
    assert (len(read_clip("small.gif")), read_clip("small.gif").size) == (3, (180, 320))


@pytest.mark.slow
def test_a_palette_is_kept_exactly(here: Path) -> None:
    main(["swap", "run", "hero.json#walk", GHOST, "--palette", "--out", "x.gif", "--scale", "3"])
    source, made = read_clip("hero.json#walk"), read_clip("x.gif")
    assert made.size == (96, 72)
    allowed = {tuple(colour) for colour in palette_of(source).tolist()}
    assert {tuple(colour) for colour in palette_of(made).tolist()} <= allowed
    assert made.alpha is not None
    assert set(made.alpha.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.slow
def test_frames_and_reinference(here: Path) -> None:
    swap = ["swap", "run", DISC, "phone.mp4", "--resize", "--action", "walk"]
    shown = {}
    for name, more in {
        "default": [],
        "once": ["--reinfer", "0"],
        "short": ["--frames", "5"],
        "long": ["--frames", "40"],
    }.items():
        main([*swap, *more, "--out", f"{name}.webp"])
        shown[name] = read_clip(f"{name}.webp")
    assert {name: len(clip) for name, clip in shown.items()} == {"default": 12, "once": 12, "short": 5, "long": 40}
    assert not torch.equal(shown["once"].frames, shown["short"].frames.new_zeros(shown["once"].frames.shape))
    assert torch.equal(shown["short"].frames, shown["default"].frames[:5])
    assert torch.equal(shown["long"].frames[:12], shown["default"].frames)


@pytest.mark.slow
def test_animations(here: Path) -> None:
    animate = ["animate", "run", "hero.json@0", "--action", "jump"]
    main([*animate, "--times", "0,0.5,2.25", "--out", "times.webp"])
    main([*animate, "--frames", "6", "--out", "plain.webp"])
    main([*animate, "--frames", "6", "--tempo", "0.5", "--out", "slow.webp"])
    main([*animate, "--frames", "6", "--reverse", "--out", "reverse.webp"])
    main([*animate, "--times", "0,-1,-2,-3,-4,-5", "--out", "before.webp"])
    times, plain, slow, reverse, before = (
        read_clip(f"{name}.webp") for name in ("times", "plain", "slow", "reverse", "before")
    )
    assert torch.allclose(times.at / times.at[1], torch.tensor([0.0, 1.0, 4.5], dtype=torch.float64), atol=0.05)
    assert all(clip.size == (32, 24) and clip.alpha is not None for clip in (times, plain, slow, reverse))
    assert torch.equal(times.frames[0], plain.frames[0])
    assert torch.equal(slow.frames[::2], plain.frames[:3])
    assert torch.equal(reverse.frames, before.frames)
    assert len(plain) == len(reverse) == 6


@pytest.mark.slow
def test_samples(here: Path) -> None:
    main(["sample", "run", "-n", "2", "--frames", "5", "--out", "s.webp"])
    main(["sample", "run", "-n", "1", "--action", "jump", "--seed", "3", "--out", "t.webp"])
    assert [(len(clip), clip.size) for clip in map(read_clip, ("s-0.webp", "s-1.webp"))] == [(5, (48, 48))] * 2
    assert len(read_clip("t.webp")) == 16
    assert not torch.equal(read_clip("s-0.webp").frames, read_clip("s-1.webp").frames)


@pytest.mark.slow
def test_a_strip_goes_back_beside_a_strip(here: Path) -> None:
    main(["swap", "run", DISC, GHOST, "--out", "x.strip.png"])
    assert (len(read_clip("x.strip.png")), len(read_clip("x-back.strip.png"))) == (8, 10)


@pytest.mark.slow
def test_fine_tuning_takes_the_actions_that_the_run_knows(here: Path) -> None:
    for action in ("walk", "spin"):
        (here / "mine" / action).mkdir(parents=True)
        shutil.copy(GHOST if action == "spin" else "clips/walk/hero.png", here / "mine" / action)
    options = {**TRAINING, "data.source": "clips", "data.root": "mine", "training.learning_rate": "1e-12"}
    main(["train", "halo-demo", "--from", "run", *words(options), "--quiet", "--out", "tuned"])
    base, tuned = load_run("run"), load_run("tuned")
    assert base.domain.actions == ("float", "jump", "turn", "walk")
    assert tuned.domain.actions == ("spin", "walk")
    assert (tuned.domain.size, tuned.domain.channels) == ((48, 48), 4)
    per_action = {
        name for name in tuned.model.state_dict() if name.startswith("operator") or name.endswith("per_action")
    }
    old, new = base.model.state_dict(), tuned.model.state_dict()
    assert per_action
    for name in new:
        wanted = old[name][[0, 3]] if name in per_action else old[name]
        if new[name].is_floating_point() and "running" not in name:
            assert torch.allclose(new[name], wanted, atol=1e-6), name
    with pytest.raises(RunError, match="16"):
        train("halo-demo", out="other", from_run="run", quiet=True, options={**TRAINING, "data.size": "16"})
    assert not Path("other").exists()


def picture(size: tuple[int, int], alpha: bool) -> VideoClip:
    """Three frames in which no two pixels are alike, so that a shift, a mirror or a turn shows."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = torch.stack([torch.stack([y * 5, x * 5, (y + x + 40 * t) % 256]) for t in range(3)]).float() / 255
    opacity = ((x + 2 * y) % 3 > 0).float().expand(3, 1, -1, -1) if alpha else None
    return VideoClip(frames * (1 if opacity is None else opacity), opacity, name="picture")


@pytest.mark.parametrize("size", [(16, 16), (9, 14), (16, 5), (1, 1)])
@pytest.mark.parametrize("alpha", [False, True])
def test_nothing_is_shifted_mirrored_or_mixed_up(tmp_path: Path, size: tuple[int, int], alpha: bool) -> None:
    """A decoder that returns what the encoder saw makes every swap the content itself, pixel for pixel."""
    untrained_run(tmp_path / "run", {"data.alpha": "true"} if alpha else {})
    a, b = picture(size, alpha), picture((16, 16), alpha)
    model = load_run(tmp_path / "run").model
    seen, _ = clips.to_model(a, model.domain, False)

    def decode(z: Tensor, states: Tensor) -> Tensor:
        return seen[:, : states.shape[1]]

    model.decode = decode
    made = clips.swap(model, a, b, action="walk")
    assert torch.allclose(made.frames, a.frames, atol=1e-6)
    assert made.size == size
    assert (made.alpha is None) == (a.alpha is None)
    if a.alpha is not None and made.alpha is not None:
        assert torch.equal(made.alpha, a.alpha)
    write_clip(made, tmp_path / "x.png")
    saved = np.asarray(Image.open(tmp_path / "x.png").convert("RGBA"))
    first = torch.cat([a.frames[0], torch.ones(1, *size) if a.alpha is None else a.alpha[0]])
    assert np.array_equal(saved, (first.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))


def test_swaps_keep_uneven_times_and_go_on_after_them(tmp_path: Path) -> None:
    model = load_run(untrained_run(tmp_path / "run")).model
    at = torch.tensor([2.0, 2.5, 5.0], dtype=torch.float64)
    b = VideoClip(picture((16, 16), False).frames, times=at, end=7.0, fps=12.0)
    a = picture((16, 16), False)
    for frames, edges in ((None, [0, 0.5, 3, 5]), (2, [0, 0.5, 3]), (5, [0, 0.5, 3, 5, 6, 7])):
        made = clips.swap(model, a, b, frames=frames)
        assert [*made.at.tolist(), made.end] == edges
        assert made.fps == 12.0


@pytest.mark.slow
def test_real_people(tmp_path: Path) -> None:
    if not (DATA / "weizmann").is_dir():
        pytest.skip(f"no weizmann/ in {DATA}: set KINEMA_DATA")
    options = {
        **TINY, "data.source": "clips", "data.root": str(DATA / "weizmann"), "data.identity": r"(person\d+)",
        "data.loop": "false", "data.size": "64",
    }  # fmt: skip
    main(["train", "halo-demo", *words(options), "--quiet", "--out", f"{tmp_path}/run"])
    run = load_run(tmp_path / "run")
    assert run.domain.actions == ("bend", "jack", "wave1", "wave2")
    people = sorted((DATA / "weizmann" / "wave1").glob("*.jpg"))
    main(["swap", f"{tmp_path}/run", f"{people[0]}", f"{people[1]}@0:30", "--out", f"{tmp_path}/x.gif"])
    assert (len(read_clip(tmp_path / "x.gif")), read_clip(tmp_path / "x.gif").size) == (30, (64, 64))
    assert len(read_clip(tmp_path / "x-back.gif")) == len(read_clip(people[0]))


@pytest.mark.slow
def test_real_sprites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "lpc").is_dir():
        pytest.skip(f"no lpc/ in {DATA}: set KINEMA_DATA")
    monkeypatch.setenv("KINEMA_DATA", str(DATA))
    monkeypatch.chdir(tmp_path)
    options = {**TINY, "data.source": "lpc", "data.size": "64", "data.lazy": "true"}
    main(["train", "halo-demo", *words(options), "--quiet", "--out", "run"])
    main(["evaluate", "run", "--pairs", "8", "--quiet", "--json", "results.json"])
    assert Path("results.json").is_file()
    sheet = DATA / "lpc" / "body" / "male" / "light.png"
    main(["swap", "run", f"{sheet}#walk/left", f"{sheet}#slash/front", "--out", "x.gif"])
    assert (len(read_clip("x.gif")), len(read_clip("x-back.gif"))) == (6, 9)
    main(["animate", "run", f"{sheet}#walk/left@1", "--action", "slash", "--out", "y.gif"])
    assert (len(read_clip("y.gif")), read_clip("y.gif").size) == (16, (64, 64))
    assert Path("x.gif.credits.txt").read_text().strip(), "the authors of the sheets travel with the pictures"
