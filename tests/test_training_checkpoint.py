"""Checkpoints and the metrics log: exact, whole or not at all, and honest about damage."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import FileError, RunError
from kinema.training.checkpoint import load_checkpoint, save_checkpoint
from kinema.training.metrics_log import MetricsLog, read_metrics

Pair = tuple[nn.Module, torch.optim.Optimizer]


def pair(seed: int, features: int = 7) -> Pair:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, features), nn.BatchNorm1d(features), nn.Linear(features, 2))
    return model, torch.optim.Adam(model.parameters(), lr=0.01 + 0.01 * seed, betas=(0.8, 0.99))


def step(made: Pair, seed: int) -> None:
    model, optimizer = made
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(x).square().sum().backward()
    optimizer.step()


def everything(made: Pair) -> dict[str, Tensor]:
    model, optimizer = made
    moments = {
        f"{index}.{name}": value
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }
    return {**model.state_dict(), **moments}


def same(a: Pair, b: Pair) -> bool:
    x, y = everything(a), everything(b)
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) and x[key].dtype == y[key].dtype for key in x)


def test_round_trip_is_exact_and_goes_on_exactly(tmp_path: Path) -> None:
    first, second = pair(0), pair(1)
    for seed in range(3):
        step(first, seed)
    save_checkpoint(tmp_path / "state", 3, *first)
    assert load_checkpoint(tmp_path / "state", *second) == 3
    assert same(first, second)
    assert second[1].param_groups[0]["lr"] == 0.01
    assert tuple(second[1].param_groups[0]["betas"]) == (0.8, 0.99)
    for seed in range(3, 6):
        step(first, seed)
        step(second, seed)
    assert same(first, second)


def test_nothing_saved_is_step_0(tmp_path: Path) -> None:
    made, untouched = pair(0), pair(0)
    assert load_checkpoint(tmp_path / "state", *made) == 0
    assert same(made, untouched)


def test_the_newest_replaces_the_others_and_what_a_kill_left(tmp_path: Path) -> None:
    made = pair(0)
    for count in (1, 9, 10, 110):
        step(made, count)
        leftover = tmp_path / ".0a1b2c3d-step-00000005"
        leftover.mkdir(exist_ok=True)
        (leftover / "model.safetensors").write_bytes(b"half")
        save_checkpoint(tmp_path, count, *made)
        assert [path.name for path in tmp_path.iterdir()] == [f"step-{count:08d}"]
    again = pair(1)
    assert load_checkpoint(tmp_path, *again) == 110
    assert same(made, again)


@pytest.mark.parametrize("culprit", ["os.replace", "os.fsync", "pathlib.Path.write_bytes", "pathlib.Path.write_text"])
def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, culprit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, again = pair(0), pair(1)
    step(made, 0)
    save_checkpoint(tmp_path, 1, *made)
    kept = pair(0)
    step(kept, 0)
    step(made, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(culprit, full)
        with pytest.raises(FileError, match="No space left") as error:
            save_checkpoint(tmp_path, 2, *made)
    assert len(str(error.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert load_checkpoint(tmp_path, *again) == 1
    assert same(kept, again)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def pickled(file: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, file)


@pytest.mark.parametrize("damage", [cut, pickled, Path.unlink, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_damage_is_one_line_that_names_the_checkpoint(tmp_path: Path, name: str, damage) -> None:
    made = pair(0)
    step(made, 0)
    damage(save_checkpoint(tmp_path, 4, *made) / name)
    refused(tmp_path, made)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"step": 4}', '{"step": 4, "optimizer": {"groups": []}}'])
def test_a_state_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    made = pair(0)
    step(made, 0)
    (save_checkpoint(tmp_path, 4, *made) / "state.json").write_text(text)
    refused(tmp_path, made)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    made = pair(0)
    step(made, 0)
    save_checkpoint(tmp_path, 4, *made)
    refused(tmp_path, pair(0, features=8))


def refused(folder: Path, made: Pair) -> None:
    with pytest.raises(RunError, match="step-00000004") as error:
        load_checkpoint(folder, *made)
    assert len(str(error.value).splitlines()) == 1


def test_the_log_drops_what_the_checkpoint_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for done in range(1, 9):
        log.write({"step": done, "loss": 1 / done})
    with path.open("a") as file:
        file.write('{"step": 9, "lo')
    assert [line["step"] for line in read_metrics(path)] == list(range(1, 9))
    log = MetricsLog(path, 5)
    log.write({"step": 6, "loss": 0.5})
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert lines == [{"step": done, "loss": 1 / done} for done in range(1, 6)] + [{"step": 6, "loss": 0.5}]


def test_the_log_is_rewritten_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, 0).write({"step": 1, "loss": 2.0})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileError):
        MetricsLog(path, 1)
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("noise", [b"\xff\xfe\0\0", b"null", b"[1]", b"{}", b"7", b""])
def test_lines_that_are_none_are_left_out(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + noise + b'\n{"step": 2}\n')
    MetricsLog(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    shutil.rmtree(tmp_path)
    assert read_metrics(path) == []
