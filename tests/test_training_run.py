"""Run directories: what is written is read again; anything else is refused in one line that names the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from kinema.errors import FileError, KinemaError, RunError
from kinema.training.run import load_run, open_run, read_config, save_weights, write_text
from tiny import tiny_recipe, untrained_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def line_of(call: Callable[[], object], kind: type[KinemaError] = RunError) -> str:
    with pytest.raises(kind) as error:
        call()
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def edit(run: Path, section: str, **values: object) -> None:
    tree = yaml.safe_load((run / "config.yaml").read_text())
    (tree[section] if section else tree).update(values)
    (run / "config.yaml").write_text(yaml.safe_dump(tree))


def test_a_run_is_read_as_it_was_written(made: Path) -> None:
    run = load_run(made)
    assert run.recipe == tiny_recipe()
    assert run.domain.actions == ("walk", "spellcast", "slash")
    assert (run.domain.size, run.domain.channels, run.domain.length) == ((16, 16), 3, 8)
    weights, written = run.model.state_dict(), load_file(made / "model.safetensors")
    assert weights.keys() == written.keys()
    assert all(torch.equal(weights[name], written[name]) for name in weights)
    assert not run.model.training
    assert {path.name for path in made.iterdir()} == {"config.yaml", "model.safetensors"}
    assert (made / "model.safetensors").stat().st_mode == (made / "config.yaml").stat().st_mode


def test_paths_that_are_no_run(tmp_path: Path) -> None:
    assert "nowhere: no such run directory" in line_of(lambda: load_run(tmp_path / "nowhere"))
    assert "no config.yaml" in line_of(lambda: load_run(tmp_path))
    (tmp_path / "file").write_text("")
    assert "file: no such run directory" in line_of(lambda: load_run(tmp_path / "file"))
    assert "builtin:nobody" in line_of(lambda: load_run("builtin:nobody"))


def test_a_run_without_weights_says_how_to_finish_it(run: Path) -> None:
    (run / "model.safetensors").unlink()
    assert "--resume" in line_of(lambda: load_run(run))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "- a",
        "\0",
        "family: halo",
        "family: halo\ndomain: 5\ncredits: []",
        "domain: {}\ncredits: 3",
        "!!python/x 1",
    ],
)
def test_a_damaged_config(run: Path, text: str) -> None:
    (run / "config.yaml").write_text(text)
    assert "config.yaml: damaged" in line_of(lambda: load_run(run))


def test_a_config_that_is_no_text(run: Path) -> None:
    (run / "config.yaml").write_bytes(b"\xff\xfe\x80")
    assert "config.yaml: damaged" in line_of(lambda: load_run(run))


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        ("", {"family": "render"}, "'render' is unknown"),
        ("", {"famly": "halo"}, "did you mean family?"),
        ("domain", {"size": 16}, "domain.size"),
        ("domain", {"size": [16, 16, 16]}, "domain.size"),
        ("domain", {"channels": "many"}, "domain.channels is many; a whole number"),
        ("domain", {"channel": 3}, "did you mean domain.channels?"),
        ("domain", {"actions": "walk"}, "domain.actions"),
        ("model", {"operator": "magic"}, "magic"),
        ("model", {"d": "two"}, "model.d is two; a whole number is needed"),
        ("model", {"features": -3}, "model.features is -3; at least 1"),
        ("data", {"source": "dragons"}, "dragons"),
        ("training", {"steps": 0}, "training.steps"),
    ],
)
def test_an_edited_config_says_which_key(run: Path, section: str, values: dict[str, object], says: str) -> None:
    edit(run, section, **values)
    line = line_of(lambda: load_run(run))
    assert "config.yaml: damaged" in line
    assert says in line


@pytest.mark.parametrize(("section", "values"), [("model", {"features": 16}), ("domain", {"actions": ["walk", "hop"]})])
def test_a_config_of_other_sizes(run: Path, section: str, values: dict[str, object]) -> None:
    edit(run, section, **values)
    assert "do not fit config.yaml" in line_of(lambda: load_run(run))


def test_a_run_of_another_family(run: Path) -> None:
    assert "of the family halo; this verb needs one of renderer" in line_of(lambda: load_run(run, family="renderer"))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_weights_cut_short(run: Path, share: float) -> None:
    data = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(data[: int(share * len(data))])
    assert "model.safetensors: not a whole safetensors file" in line_of(lambda: load_run(run))


class Trap:
    """What a stranger's pickle would do."""

    sprung = False

    def __reduce__(self) -> tuple:
        return (setattr, (Trap, "sprung", True))


def test_a_pickle_is_refused_and_never_opened(run: Path) -> None:
    torch.save({"weight": torch.zeros(3), "trap": Trap()}, run / "model.safetensors")
    assert "pickles are never read" in line_of(lambda: load_run(run))
    assert not Trap.sprung
    torch.load((run / "model.safetensors").rename(run / "model.pt"), weights_only=False)
    assert Trap.sprung, "the trap works, so that not springing it means something"


@pytest.mark.parametrize("change", [lambda w: w.popitem(), lambda w: w.update(more=torch.zeros(1))])
def test_weights_of_another_model(run: Path, change: Callable[[dict], object]) -> None:
    weights = load_file(run / "model.safetensors")
    change(weights)
    save_file(weights, run / "model.safetensors")
    assert "do not fit config.yaml" in line_of(lambda: load_run(run))


def test_an_output_folder_is_new_or_the_run_to_go_on_with(run: Path, tmp_path: Path) -> None:
    recipe, domain, credits = read_config(run)
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert "holds a run already" in line_of(lambda: open_run(run, recipe, domain, credits, resume=False))
    open_run(run, recipe, domain, credits, resume=True)
    other = tiny_recipe({"training.seed": "7"})
    assert "another run" in line_of(lambda: open_run(run, other, domain, credits, resume=True))
    assert "another run" in line_of(lambda: open_run(run, recipe, domain, ("Ada, CC0",), resume=True))
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for resume in (False, True):
        assert "is not a run" in line_of(lambda r=resume: open_run(tmp_path / "mine", recipe, domain, (), r))
        assert "is not a run" in line_of(
            lambda r=resume: open_run(tmp_path / "mine" / "thesis.txt", recipe, domain, (), r)
        )
    (run / "config.yaml").write_text("[")
    assert "config.yaml: damaged" in line_of(lambda: open_run(run, recipe, domain, credits, resume=True))


def test_a_kill_before_the_config_was_there_is_no_run(tmp_path: Path) -> None:
    recipe, out = tiny_recipe(), tmp_path / "run"
    out.mkdir()
    (out / ".01234567-config.yaml").write_text("half")
    domain = load_run(untrained_run(tmp_path / "other")).domain
    open_run(out, recipe, domain, (), resume=True)
    assert read_config(out)[0] == recipe


def test_a_full_disk_leaves_what_was_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, before = load_run(run).model, {path: path.read_bytes() for path in run.iterdir()}
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    for call in (lambda: save_weights(run, model), lambda: write_text(run / "card.md", "text")):
        assert "No space left" in line_of(call, FileError)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
