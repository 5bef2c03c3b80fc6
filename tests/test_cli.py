"""The command: what it says of every mistake a user can make, and that its help is whole."""

import inspect
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from kinema.cli import VERBS, documented, main
from kinema.files import read_clip
from strangers import aseprite, circle, gif, phone_mp4, strip48
from test_files_bad import png_header
from tiny import TINY, untrained_run, words


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, two clips that fit it and one that is larger."""
    folder = tmp_path_factory.mktemp("cli")
    untrained_run(folder / "run")
    for name, reverse in (("a.gif", False), ("b.gif", True)):
        frames = [Image.fromarray(frame) for frame in circle((16, 16), 8)][:: -1 if reverse else 1]
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=100, disposal=2)
    gif(folder / "large.gif")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them to work in."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command, which must exit 2 with one line on stderr and leave the folder as it was."""

    def run(*arguments: str) -> str:
        before = snapshot(here)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("kinema: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        assert snapshot(here) == before
        return err

    return run


SWAP = ("swap", "run", "a.gif")
ANIMATE = ("animate", "run", "a.gif@0", "--action", "walk", "--out", "x.gif")
TRAIN = ("train", "halo-demo", *words(TINY), "--quiet", "--out", "new")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("swop", "run"), ["swop", "no such verb", "swap"]),
        (("data", "bake"), ["no such verb", "data make"]),
        ((*SWAP, "missing.gif", "--out", "x.gif"), ["missing.gif", "no such file"]),
        ((*SWAP, "b.gif"), ["required: out"]),
        (("swap", "run", "--out", "x.gif"), ["required"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--colour", "red"), ["--colour"]),
        ((*SWAP, "b.gif@0", "--out", "x.gif"), ["b.gif", "single frame"]),
        (("swap", "run", "a.gif@0", "b.gif", "--out", "x.gif"), ["a.gif", "single frame", "animate"]),
        ((*SWAP, "large.gif", "--out", "x.gif"), ["large.gif", "32 x 32", "16 x 16", "--resize"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--action", "swim"), ["swim", "walk, spellcast, slash"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--frames", "0"), ["--frames 0", "at least 1"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--frames", "many"), ["--frames is many", "whole number"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--reinfer", "-1"), ["--reinfer -1"]),
        ((*SWAP, "b.gif", "--out", "x.gif", "--scale", "0"), ["scale"]),
        ((*SWAP, "b.gif", "--out", "x.xyz"), ["x.xyz", ".gif"]),
        ((*SWAP, "b.gif", "--out", "nowhere/x.gif"), ["nowhere/x.gif", "cannot be written"]),
        (("swap", "nowhere", "a.gif", "b.gif", "--out", "x.gif"), ["nowhere", "no such run"]),
        (("swap", ".", "a.gif", "b.gif", "--out", "x.gif"), ["config.yaml"]),
        (("swap", "builtin:dragons", "a.gif", "b.gif", "--out", "x.gif"), ["builtin:dragons"]),
        (("animate", "run", "a.gif", "--action", "walk", "--out", "x.gif"), ["a.gif", "8 frames", "FILE@I"]),
        (("animate", "run", "large.gif@0", "--action", "walk", "--out", "x.gif"), ["32 x 32", "--resize"]),
        (("animate", "run", "a.gif@0", "--action", "swim", "--out", "x.gif"), ["swim", "walk, spellcast, slash"]),
        (("animate", "run", "a.gif@40", "--action", "walk", "--out", "x.gif"), ["a.gif", "8 frames"]),
        ((*ANIMATE, "--tempo", "0"), ["--tempo 0", "positive", "--reverse"]),
        ((*ANIMATE, "--tempo", "-2"), ["--tempo", "--reverse"]),
        ((*ANIMATE, "--tempo", "nan"), ["--tempo is nan"]),
        ((*ANIMATE, "--tempo", "inf"), ["--tempo is inf"]),
        ((*ANIMATE, "--times", "a,b"), ["--times a,b", "0,0.5,2.25"]),
        ((*ANIMATE, "--times", "0,nan"), ["--times 0,nan", "finite"]),
        ((*ANIMATE, "--times", ""), ["--times"]),
        ((*ANIMATE, "--frames", "0"), ["--frames 0"]),
        (("sample", "run", "--out", "x.gif", "-n", "0"), ["n 0", "at least 1"]),
        (("sample", "run", "--out", "x.gif", "--action", "swim"), ["swim", "walk, spellcast, slash"]),
        (("sample", "run", "--out", "x.gif", "--frames", "-1"), ["--frames -1"]),
        (("convert", "missing.gif", "x.png"), ["missing.gif", "no such file"]),
        (("convert", "a.gif", "x.png", "--fps", "0"), ["--fps 0", "positive"]),
        (("convert", "a.gif", "x.png", "--background", "red"), ["--background red", "#204060"]),
        (("info", "missing.gif"), ["missing.gif"]),
        (("data", "make", "sprtes", "--out", "x"), ["sprtes", "did you mean sprites?"]),
        (("data", "make", "sprites", "--out", "x", "-n", "0"), ["at least 1"]),
        (("data", "make", "sprites", "--out", "x", "--split", "half"), ["half", "train", "test"]),
        (("data", "make", "sprites", "--out", "x", "--data.size", "2"), ["size is 2", "16"]),
        (("data", "make", "sprites", "--out", "x", "--training.steps", "2"), ["--training.steps"]),
        (("data", "check", "missing"), ["missing"]),
        (("evaluate", "run", "--pairs", "0", "--quiet"), ["--pairs 0"]),
        (("evaluate", "run", "--data.size", "32", "--quiet"), ["16 x 16", "32 x 32"]),
        (("evaluate", "run", "--model.d", "3", "--quiet"), ["--model.d"]),
        (("train", "halo-dmo", "--out", "new"), ["halo-dmo", "did you mean halo-demo?"]),
        (("train", "mine.yaml", "--out", "new"), ["mine.yaml", "no such recipe file"]),
        ((*TRAIN, "--model.conten_weight", "2"), ["model.conten_weight", "did you mean model.content_weight?"]),
        ((*TRAIN, "--training.step", "2"), ["did you mean training.steps?"]),
        ((*TRAIN, "--training.steps", "many"), ["training.steps is many", "whole number"]),
        ((*TRAIN, "--training.learning_rate", "fast"), ["training.learning_rate is fast", "a number"]),
        ((*TRAIN, "--model.std", "[1"), ["--model.std [1", "not YAML"]),
        ((*TRAIN, "--model.operator", "magic"), ["magic", "definite"]),
        ((*TRAIN, "--model.features", "-1"), ["model"]),
        ((*TRAIN, "--training.steps"), ["--training.steps", "a value"]),
        ((*TRAIN, "--training.precision", "17-mixed"), ["17-mixed", "bf16-mixed"]),
        (("train", "halo-demo", "--out", "new", "--data.source", "clips"), ["data.root"]),
        ((*TRAIN, "--from", "nowhere"), ["nowhere", "no such run"]),
        ((*TRAIN, "--from", "run", "--data.size", "32"), ["16 x 16", "32 x 32"]),
        ((*TRAIN[:-1], "run"), ["run: holds a run already", "--resume"]),
        ((*TRAIN[:-1], "run", "--resume", "--training.seed", "5"), ["holds another run", "--out"]),
        ((*TRAIN[:-1], "a.gif"), ["a.gif: exists and is not a run"]),
        ((*TRAIN[:-1], "."), ["exists and is not a run"]),
        (("demo", "--out", "."), ["not a demo of this version"]),
        (("demo", "--out", "run"), ["run: exists and is not a demo"]),
        (("demo", "--out", "a.gif"), ["not a demo"]),
        (("demo", "--out", "d", "--seed", "x"), ["--seed is x", "whole number"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line(refused: Callable[..., str], arguments: tuple[str, ...], says: list[str]) -> None:
    line = refused(*arguments)
    assert all(word in line for word in says), line


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(("make", "name"), [(gif, "cut.gif"), (strip48, "cut.png"), (phone_mp4, "cut.mp4")])
@pytest.mark.parametrize("words", [("convert", "{}", "x.webp"), ("swap", "run", "a.gif", "{}", "--out", "x.gif")])
def test_files_cut_short(refused, here: Path, make: Callable, name: str, words: tuple[str, ...]) -> None:
    half(make(here / name))
    assert name in refused(*(word.format(name) for word in words))


def test_a_file_that_may_not_be_read(refused, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("PIL.Image.open", forbidden)
    assert "a.gif" in refused("convert", "a.gif", "x.png")


def test_frames_of_different_sizes(refused, here: Path) -> None:
    (here / "frames").mkdir()
    for index, size in enumerate([(8, 8), (8, 8), (9, 8)]):
        Image.new("RGB", size).save(here / "frames" / f"{index}.png")
    line = refused("swap", "run", "a.gif", "frames", "--out", "x.gif")
    assert "2.png" in line
    assert "9 x 8" in line


@pytest.mark.parametrize("image", ["../secret.png", "/etc/secret.png", "..\\secret.png"])
def test_a_sheet_that_points_outside_its_folder(refused, here: Path, image: str) -> None:
    sheet = aseprite(here / "hero.json")
    sheet.write_text(sheet.read_text().replace("hero.png", image.replace("\\", "\\\\")))
    assert "outside its folder" in refused("convert", "hero.json#walk", "x.gif")


def test_a_sheet_that_points_outside_its_picture(refused, here: Path) -> None:
    sheet = aseprite(here / "hero.json")
    data = json.loads(sheet.read_text())
    next(iter(data["frames"].values()))["frame"]["x"] = 5000
    sheet.write_text(json.dumps(data))
    assert "outside the picture" in refused("swap", "run", "a.gif", "hero.json#walk", "--out", "x.gif", "--resize")


def test_a_decompression_bomb(refused, here: Path) -> None:
    (here / "bomb.png").write_bytes(png_header(60000, 60000))
    assert "too many" in refused("swap", "run", "a.gif", "bomb.png", "--out", "x.gif")
    assert "too many" in refused("info", "bomb.png")


@pytest.mark.parametrize("damage", [half, lambda path: torch.save({"w": torch.zeros(1)}, path), Path.unlink])
def test_a_damaged_run(refused, here: Path, damage: Callable[[Path], object]) -> None:
    damage(here / "run" / "model.safetensors")
    for arguments in (
        (*SWAP, "b.gif", "--out", "x.gif"),
        ANIMATE,
        ("sample", "run", "--out", "x.gif"),
        ("info", "run"),
    ):
        assert "model.safetensors" in refused(*arguments)


def test_a_run_of_another_family(refused) -> None:
    line = refused("swap", "builtin:gait", "a.gif", "b.gif", "--out", "x.gif")
    assert "locomotion" in line
    assert "halo" in line


def test_a_run_whose_family_cannot_learn_from_its_source(refused, here: Path) -> None:
    tree = yaml.safe_load((here / "run" / "config.yaml").read_text())
    (here / "run" / "config.yaml").write_text(yaml.safe_dump({**tree, "family": "renderer"}))
    assert "renderer does not learn from sprites" in refused(*SWAP, "b.gif", "--out", "x.gif")


def test_weights_that_are_not_finite(refused, here: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(here / "run" / "model.safetensors")
    lost = {k: torch.full_like(v, torch.nan) if v.is_floating_point() else v for k, v in weights.items()}
    save_file(lost, here / "run" / "model.safetensors")
    assert "NaN" in refused(*SWAP, "b.gif", "--out", "x.gif")


@pytest.mark.parametrize("text", ["- a list", "model: [", "data: 5", "\0"])
def test_a_recipe_file_that_is_none(refused, here: Path, text: str) -> None:
    (here / "mine.yaml").write_text(text)
    assert "mine.yaml" in refused("train", "mine.yaml", "--out", "new")


def test_a_recipe_file_that_is_no_text(refused, here: Path) -> None:
    (here / "mine.yaml").write_bytes(b"\xff\xfe\x80\x81")
    assert "mine.yaml" in refused("train", "mine.yaml", "--out", "new")


@pytest.mark.parametrize(
    "arguments",
    [
        (*SWAP, "b.gif", "--out", "x.gif"), ANIMATE, ("sample", "run", "--out", "x.gif", "-n", "1"),
        ("convert", "a.gif", "x.webp"), ("convert", "a.gif", "x.json"),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_no_space_left(refused, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left on device" in refused(*arguments)


def test_no_space_left_for_a_run(here: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(here)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(SystemExit) as exit:
        main(TRAIN)
    err = capsys.readouterr().err
    assert exit.value.code == 2
    assert "No space left on device" in err
    assert err.count("\n") == 1
    assert [path for path in snapshot(here) if path not in before and path.is_file()] == []


def test_an_error_of_the_system_names_its_file(refused, here: Path) -> None:
    (here / "file").write_text("")
    line = refused("data", "make", "sprites", "--data.size", "16", "--out", "file")
    assert "file" in line
    assert "kinema: :" not in line


def test_overview(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"], ["help"], ["data"], ["data", "--help"]):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 0
        out = capsys.readouterr().out
        assert all(f"\n  {name} " in out for name in VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_help_says_it_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main([*name.split(), "--help"])
    out, err = capsys.readouterr()
    assert exit.value.code == 0
    assert not err
    assert f"kinema {name}" in out
    for parameter in inspect.signature(VERBS[name].load()).parameters.values():
        if parameter.name == "options":
            continue
        flag = VERBS[name].renamed.get(parameter.name, (f"--{parameter.name}",))[-1]
        shown = parameter.name if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else flag
        about = documented(VERBS[name].load())[1][parameter.name]
        assert re.search(rf"{shown}\b.*? {re.escape(about)}", " ".join(out.split())), f"{shown} is not explained"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.count(".") >= 2


@pytest.mark.parametrize("arguments", [("recipes",), ("data", "list"), ("info", "run"), ("info", "a.gif")])
def test_what_a_program_reads(here: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    main([*arguments, "--json"])
    assert json.loads(capsys.readouterr().out)
    main(arguments)
    assert capsys.readouterr().out.strip()


def test_info_tells_the_truth(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "run", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["actions"], told["size"], told["channels"]) == (["walk", "spellcast", "slash"], [16, 16], 3)
    main(["info", "builtin:gait", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["fps"], told["actions"]) == (60.0, ["walk", "run"])
    main(["info", "large.gif", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["width"], told["height"], told["alpha"], told["regular"]) == (10, 32, 32, True, False)
    assert told["seconds"] == pytest.approx(0.93)


def test_info_shows_brackets_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = aseprite(here / "hero.json")
    sheet.write_text(sheet.read_text().replace('"walk"', '"[bold]"'))
    main(["info", "hero.json"])
    assert "[bold]" in capsys.readouterr().out


def test_data_made_is_data_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "make", "sprites", "--data.size", "16", "-n", "9", "--out", "clips"])
    files = sorted((here / "clips").rglob("*.gif"))
    assert len(files) == 9
    assert {file.parent.name for file in files} == {"walk", "spellcast", "slash"}
    assert all(read_clip(file).size == (16, 16) for file in files)
    main(["data", "check", "clips"])
    assert "9 clips, nothing wrong" in capsys.readouterr().out
    half(files[0])
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(files[1].with_name("still.jpg"))
    with pytest.raises(SystemExit) as exit:
        main(["data", "check", "clips"])
    assert exit.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(files[0].name in line for line in lines)
    assert any("still.jpg" in line and "single frame" in line for line in lines)
    with pytest.raises(SystemExit) as exit:
        main(["data", "check", "clips", "--quiet"])
    assert exit.value.code == 1
    assert not capsys.readouterr().out


def test_a_sheet_and_a_folder_of_frames_are_checked_as_clips(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "clips" / "walk").mkdir(parents=True)
    aseprite(here / "clips" / "walk" / "hero.json")
    main(["convert", "a.gif", "clips/walk/frames"])
    with pytest.raises(SystemExit) as exit:
        main(["data", "check", "clips"])
    assert exit.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1, "the sizes differ; neither the sheet's picture nor a single frame is a clip of its own"
    assert "2 sizes" in lines[0]
