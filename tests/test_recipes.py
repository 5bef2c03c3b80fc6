"""Every shipped recipe is whole and runs; what is wrong in one is said in a line that names it."""

import os
from pathlib import Path

import pytest
import torch

from kinema.errors import ConfigError
from kinema.training.recipe import Recipe, build_recipe, override, read_recipe, recipe_names
from kinema.training.run import load_run
from kinema.verbs.files import data_make
from kinema.verbs.train import train
from test_data_edinburgh import write_copy

DATA = Path(os.environ.get("KINEMA_DATA") or Path(__file__).parents[2] / "shared" / "data")
SHORT = {"training.steps": "2", "training.batch": "2", "training.picture_every": "0", "training.log_every": "1"}
SMALL = {
    "sprites": {"data.size": "16"},
    "balls": {"data.size": "32", "data.clips": "20"},
    "lpc": {"data.lazy": "true", "data.size": "32"},
    "lpc-wide": {"data.size": "32", "data.characters": "50", "data.test": "10"},
    "faces": {"data.size": "32", "data.takes": "1", "model.content_components": "2"},
    "basis": {"model.components": "24"},
    "posed": {"model.components": "24", "model.content": "33"},
    "paper": {"model.width": "16", "model.features": "64"},
    "gait": {"data.train": "6", "data.test": "4"},
    "mocap": {"data.length": "120"},
    "digits": {"data.size": "32", "data.videos": "64", "data.backgrounds": "4", "model.width": "8"},
    "characters": {"data.size": "32", "model.width": "8"},
}
"""Data that are drawn are drawn small, real ones are not composed beforehand, and the paper's networks are narrow."""


def shipped(name: str) -> Recipe:
    return build_recipe(read_recipe(name), name)


def short(recipe: Recipe, folder: Path) -> dict[str, str]:
    """The options that make a run of `recipe` short, and give it data where it wants the user's own."""
    small = SMALL.get(recipe.source, {}) | SMALL.get(getattr(recipe.model, "network", ""), {})
    if recipe.source == "mocap":
        (folder / "few").mkdir()
        for file in sorted((DATA / "bandai").glob("*_001.bvh")):
            (folder / "few" / file.name).symlink_to(file)
        return {**SHORT, **small, "data.root": str(folder / "few")}
    if recipe.source == "edinburgh":  # nobody but its owners has the data: ours in its layout
        return {**SHORT, **small, "data.root": str(write_copy(folder))}
    if recipe.source not in ("clips", "scenes") or recipe.data.root:
        return {**SHORT, **small}
    data_make("sprites", out=str(folder / "clips"), n=18, split="all", options={"data.size": "16"})
    return {**SHORT, "data.root": str(folder / "clips")}


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_whole(name: str) -> None:
    recipe = shipped(name)
    assert recipe.stands_for, "a recipe says which published row it stands for, or what it is good for"
    assert build_recipe(recipe.as_dict(), name) == recipe


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_recipe_runs_two_steps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = shipped(name)
    if "KINEMA_DATA" in str(getattr(recipe.data, "root", "")) or recipe.source in ("lpc", "mocap", "characters"):
        if not DATA.is_dir():
            pytest.skip(f"{name} needs real data: set KINEMA_DATA to the folder of lpc/, mnist/, weizmann/ and bandai/")
        monkeypatch.setenv("KINEMA_DATA", str(DATA))
    path = train(name, out=str(tmp_path / "run"), quiet=True, options=short(recipe, tmp_path))
    run = load_run(path)
    assert run.recipe.training.steps == 2
    assert all(bool(torch.isfinite(value).all()) for value in run.model.state_dict().values())
    assert [(path / part).is_file() for part in ("card.md", "metrics.jsonl", "report/index.html")] == [True] * 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model.conten_weight": "2"}, "model.conten_weight; did you mean model.content_weight?"),
        ({"training.step": "2"}, "training.step; did you mean training.steps?"),
        ({"data.sise": "32"}, "data.sise; did you mean data.size?"),
        ({"training.steps": "many"}, "steps"),
        ({"model.std": "[1, 2]"}, "std"),
        ({"model.conditional": "3.5"}, "conditional"),
        ({"training.steps": "0"}, "training.steps is 0; at least 1 is needed"),
    ],
)
def test_bad_setting_is_one_line(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_recipe(override(read_recipe("halo-demo"), options), "halo-demo")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle: {d: 2}", "modle; did you mean model?"),
        ("data: {source: sprtes}", "'sprtes' is unknown; did you mean sprites?"),
        ("family: hallo", "'hallo' is unknown; did you mean halo?"),
        ("- a\n- list", "a recipe is a YAML mapping"),
        ("model: [", "not YAML"),
        ("model: 3", "model must be a mapping"),
    ],
)
def test_bad_file_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        build_recipe(read_recipe(str(file)), str(file))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean halo-demo"):
        read_recipe("halo-dmo")
