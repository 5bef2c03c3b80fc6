"""The scripts in examples/ run as they stand, on the run that ships, and do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import kinema
from kinema.verbs.files import data_make

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two clips that builtin:sprites can move."""
    folder = tmp_path_factory.mktemp("examples")
    walk, slash = data_make("sprites", out=str(folder), n=2, options={"data.size": "32"})
    walk.rename(folder / "a.gif")
    slash.rename(folder / "b.gif")
    return folder


def run(script: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / script), *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_swap_two_clips(folder: Path) -> None:
    (folder / "out").mkdir()
    done = run("swap_two_clips.py", folder, "a.gif", "b.gif", "out", "builtin:sprites")
    assert done.returncode == 0, done.stderr
    for name, motion in (("a-as-b", "b"), ("b-as-a", "a")):
        assert len(kinema.read_clip(folder / "out" / f"{name}.gif")) == len(kinema.read_clip(folder / f"{motion}.gif"))


@pytest.mark.slow
def test_change_of_tempo(folder: Path) -> None:
    done = run("change_of_tempo.py", folder, "a.gif@0", "walk", "tempo.png", "builtin:sprites")
    assert done.returncode == 0, done.stderr
    frames = kinema.read_clip(folder / "tempo.png").frames
    assert len(frames) == 48
    # There and back: the same times are the same pictures, whatever the tempo was.
    torch.testing.assert_close(frames, frames.flip(0), atol=1.5 / 255, rtol=0)
    assert (frames[0] - frames[12]).abs().max() > 8 / 255


@pytest.mark.slow
def test_a_mistake_is_one_line(folder: Path) -> None:
    done = run("change_of_tempo.py", folder, "a.gif@0", "fly", "tempo.gif", "builtin:sprites")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "'fly' is unknown to this run; it knows" in done.stderr


def test_every_example_is_tested() -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []
