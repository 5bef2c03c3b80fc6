"""Exact resume: a run killed at any moment and gone on with ends in the weights of the undisturbed run, bit for bit."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kinema.data.registry import build_source
from kinema.models.base import domain_of
from kinema.training.loop import Progress, draw_batch, train
from kinema.training.metrics_log import read_metrics
from kinema.training.run import build_model
from kinema.training.sampler import StepSampler
from kinema.verbs.files import data_make
from tiny import TINY, tiny_recipe, words

SOURCES = ("sprites", "clips")
"""Windows begin at random in a cycle that wraps around, and at random inside a clip."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The settings of each source."""
    folder = tmp_path_factory.mktemp("data")
    data_make("sprites", out=str(folder), n=18, options={"data.size": "16"})
    clips = {"data.source": "clips", "data.root": str(folder), "data.loop": "false", "data.length": "4"}
    return {"sprites": {}, "clips": clips}


class Interrupted(Exception):
    pass


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(
    folder: Path, options: dict[str, str], steps: int, interrupted_after: tuple[int, ...] = ()
) -> dict[str, Tensor]:
    """The weights of a run that is interrupted after these steps, each time gone on with by a new model."""
    recipe = tiny_recipe({**options, "training.steps": str(steps), "training.checkpoint_every": "3"})
    data = build_source(recipe.source, recipe.data, "train")

    def attempt(last: int) -> nn.Module:
        def stop(progress: Progress, model: nn.Module) -> None:
            if progress.step == last:
                raise Interrupted

        torch.manual_seed(1)
        return train(build_model(recipe, domain_of(data)), data, recipe.training, folder, (stop,))

    for last in interrupted_after:
        with pytest.raises(Interrupted):
            attempt(last)
    return attempt(0).state_dict()


@pytest.mark.parametrize("source", SOURCES)
def test_interrupted_runs_end_in_the_same_weights(tmp_path: Path, settings, source: str) -> None:
    options = settings[source]
    undisturbed = trained(tmp_path / "whole", options, 14)
    for name, moments in (("a", (1,)), ("b", (3,)), ("c", (7, 8, 13)), ("d", (14,))):
        assert same(trained(tmp_path / name, options, 14, moments), undisturbed)
        assert [line["step"] for line in read_metrics(tmp_path / name / "metrics.jsonl")] == list(range(1, 15))
    assert not same(trained(tmp_path / "shorter", options, 13), undisturbed)


@pytest.mark.parametrize("source", SOURCES)
def test_windows_begin_at_random(settings, source: str) -> None:
    recipe = tiny_recipe(settings[source])
    data = build_source(recipe.source, recipe.data, "train")
    sampler = StepSampler(len(data), 64, 0)
    batch = draw_batch(data, sampler, 0, anywhere=True, device=torch.device("cpu"))
    begun = data.frames(sampler.clips(0), torch.zeros(64, 1, dtype=torch.int64))[:, 0]
    elsewhere = (batch.frames[:, 0] != begun).flatten(1).any(1)
    assert 0.4 < elsewhere.float().mean() < 1


COMMAND = """
import os, signal, sys
from pathlib import Path
from kinema.cli import main

half_of = int(sys.argv.pop(1))
write_bytes = Path.write_bytes


def write_half(path, data):
    if path.name == "optimizer.safetensors" and f"{half_of:08d}" in path.parent.name:
        write_bytes(path, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write_bytes(path, data)


Path.write_bytes = write_half
main()
"""
"""The command, killed when half of a checkpoint's second file is written: that of the step given first, 0 for none."""


def start(out: Path, options: dict[str, str], half_of: int, resume: bool) -> subprocess.Popen[bytes]:
    settings = {**TINY, **options, "training.steps": "60", "training.checkpoint_every": "5"}
    command = ["train", "halo-demo", "--out", str(out), "--quiet", *words(settings), *["--resume"] * resume]
    arguments = [sys.executable, "-c", COMMAND, str(half_of), *command]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(out: Path, options: dict[str, str], resume: bool) -> dict[str, Tensor]:
    _, errors = (process := start(out, options, 0, resume)).communicate(timeout=240)
    assert process.returncode == 0, errors.decode()
    return load_file(out / "model.safetensors")


def kill_at(out: Path, options: dict[str, str], step: int, delay: float, resume: bool) -> None:
    """SIGKILL, `delay` seconds after the log has come to `step`."""
    process = start(out, options, 0, resume)
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if (lines := read_metrics(out / "metrics.jsonl")) and lines[-1]["step"] >= step:
            time.sleep(delay)
            break
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the run was over before it was killed"


@pytest.mark.slow
@pytest.mark.parametrize(("source", "kills"), [("sprites", 4), ("clips", 1)])
def test_killed_runs_end_in_the_same_weights(tmp_path: Path, settings, source: str, kills: int) -> None:
    options = settings[source]
    undisturbed = finish(tmp_path / "whole", options, resume=False)
    out, moments = tmp_path / "killed", random.Random(source)
    half_of = 5 * moments.randint(2, 4)
    process = start(out, options, half_of, resume=False)
    assert process.wait(timeout=240) == -signal.SIGKILL
    left = sorted(path.name for path in (out / "state").iterdir())
    assert left[-1] == f"step-{half_of - 5:08d}"
    assert len(left) == 2, "half a checkpoint lies beside the whole one"
    for step in sorted(moments.randint(half_of + 1, 50) for _ in range(kills)):
        kill_at(out, options, step, moments.uniform(0, 0.02), resume=True)
        assert not (out / "model.safetensors").exists()
    weights = finish(out, options, resume=True)
    assert same(weights, undisturbed)
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert [line["step"] for line in read_metrics(out / "metrics.jsonl")] == list(range(1, 61))
    assert [path.name for path in (out / "state").iterdir()] == ["step-00000060"]
