"""compose with a flow: tempo, reversal, loops and frame rates at the command; a movement too short for any."""

import shutil
from pathlib import Path

import pytest
import torch

from kinema.cli import main
from kinema.files import read_clip, read_clips, write_clip
from kinema.files.transfer import write_clips
from kinema.files.transformation import read_movement, write_movement
from kinema.training.run import Run, load_run
from test_compose import INK, SIZE, Exact, square, still, tiny_renderer

CYCLE = [(2, 3), (5, 1), (8, 3), (9, 6), (8, 9), (5, 11), (2, 9), (1, 6)]
"""A square goes round in eight frames."""
ROUND = ("--character", "a.png", "--motion", "b.gif", "--background", "c.png", "--out", "x.gif")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    tiny_renderer(folder / "run")
    write_clip(square(*CYCLE, fps=10.0), folder / "b.gif")
    write_clip(square((2, 3)), folder / "a.png")
    write_clip(square((12, 12), ground=0.1), folder / "c.png")
    tags = [square(*CYCLE, labels={"tag": "walk"}, fps=10.0), square((2, 3), labels={"tag": "stand"})]
    write_clips(tags, folder / "sheet.json")
    write_movement(still(2, SIZE), folder / "two.json")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own copy of the files, and a model that makes no mistakes."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    known = load_run("run")
    run = Run(known.path, known.recipe, known.domain, Exact(), known.credits)
    monkeypatch.setattr("kinema.verbs.compose.load_run", lambda *_, **__: run)
    return tmp_path / "work"


def composed(*words: str, out: str = "x.gif"):
    main(["compose", "run", *ROUND, "--out", out, *words])
    return read_clip(out)


def places(clip) -> torch.Tensor:
    """The middle of what is red in each frame, in pixels."""
    red = ((clip.frames - INK.view(1, 3, 1, 1)).abs().amax(1) < 0.25).double()
    down, right = (torch.arange(n).double() for n in red.shape[1:])
    count = red.sum((1, 2))
    return torch.stack([(red.sum(1) @ right) / count, (red.sum(2) @ down) / count], 1)


TRUE = torch.tensor(CYCLE).double() + 1.5


def test_without_options_of_time_no_flow_is_fitted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.verbs.compose.flowing", lambda *_: pytest.fail("a flow was fitted"))
    assert torch.equal(places(composed()), TRUE)


def test_half_the_tempo_shows_what_is_between(here: Path) -> None:
    slow = composed("--tempo", "0.5")
    assert (len(slow), slow.duration / slow.fps) == (16, pytest.approx(1.6))
    assert torch.allclose(places(slow)[::2], TRUE, atol=0.6)
    between = (TRUE + TRUE.roll(-1, 0)) / 2
    assert torch.allclose(places(slow)[1:15:2], between[:7], atol=1.1)
    assert torch.allclose(places(composed("--tempo", "2")), TRUE[::2], atol=0.6)


def test_backwards_and_at_another_rate(here: Path) -> None:
    assert torch.allclose(places(composed("--reverse")), TRUE.flip(0), atol=0.6)
    fine = composed("--fps", "20")
    assert (len(fine), fine.duration / fine.fps) == (16, pytest.approx(0.8))


def test_a_loop_repeats_to_the_byte(here: Path) -> None:
    thrice = composed("--loop", "--frames", "24", out="x.webp")
    assert len(thrice) == 24
    assert torch.equal(thrice.frames, thrice.frames[:8].repeat(3, 1, 1, 1))
    assert torch.allclose(places(thrice)[:8], TRUE, atol=0.8)
    assert len(composed("--loop", "--period", "6", "--fps", "20")) == 12


def test_a_flow_is_edited_kept_and_applied_again(here: Path) -> None:
    first = composed("--loop", "--tempo", "0.5", "--move=1,2", "--save-transformation", "t.json")
    kept = read_movement("t.json")
    assert (len(kept), kept.until, kept.fps) == (16, 16.0, 10.0)
    main(["compose", "run", *ROUND[:2], "--transformation", "t.json", *ROUND[4:6], "--out", "y.gif"])
    assert torch.equal(read_clip("y.gif").frames, first.frames)
    main(["compose", "run", *ROUND[:2], "--transformation", "t.json", *ROUND[4:6], "--tempo", "2", "--out", "y.gif"])
    assert len(read_clip("y.gif")) == 8


def test_a_sheet_is_played_tag_by_tag(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    composed("--motion", "sheet.json#walk", "--tempo", "0.5", out="x.json")
    (clip,) = read_clips("x.json")
    assert (len(clip), clip.labels["tag"]) == (16, "walk")
    with pytest.raises(SystemExit):
        composed("--motion", "sheet.json", "--tempo", "0.5", out="y.json")
    assert "sheet.json#stand: a movement of 1 frame; a flow needs from 3" in capsys.readouterr().err
    assert not Path("y.json").exists()


def test_a_flow_that_misses_the_movement_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(square(*[(1, 6), (11, 6)] * 5), "jumpy.gif")
    composed("--tempo", "0.5")
    assert capsys.readouterr().err == ""
    composed("--motion", "jumpy.gif", "--loop", "--period", "5")
    assert "jumpy.gif: the flow is up to 5.0 pixels from the movement that was read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tempo", "0"), ["--tempo 0", "--reverse plays backwards"]),
        (("--tempo", "-1"), ["--tempo -1", "positive"]),
        (("--fps", "nan"), ["--fps is nan"]),
        (("--loop", "--tempo", "9"), ["--period 8", "two are needed", "slower --tempo"]),
        (("--period", "8"), ["--period 8", "add --loop"]),
        (("--loop", "--period", "1"), ["b.gif", "period of 1", "from 2 to 28"]),
        (("--loop", "--period", "100"), ["b.gif", "period of 100", "from 2 to 28"]),
        (("--loop", "--frames", "9"), ["--frames 9", "whole loops"]),
        (("--frames", "0"), ["--frames 0", "at least 1"]),
        (("--frames", "9000000"), ["too many"]),
        (("--motion", "b.gif@0:2", "--reverse"), ["b.gif", "2 frames; a flow needs from 3", "FILE@I:J"]),
        (("--motion", "sheet.json#stand", "--reverse"), ["single frame"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_is_one_line(here: Path, capsys: pytest.CaptureFixture[str], words, says) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as exit:
        composed(*words)
    out, err = capsys.readouterr()
    assert (exit.value.code, out, err.count("\n")) == (2, "", 1)
    assert all(word in err for word in says), err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_a_kept_movement_of_two_frames_has_no_flow(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compose", "run", "--character", "a.png", "--transformation", "two.json", "--loop", "--out", "x.gif"])
    assert "two.json: a movement of 2 frames" in capsys.readouterr().err
