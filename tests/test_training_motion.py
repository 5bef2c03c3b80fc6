"""Models of motion in the training loop: gone on with, they end in the same weights; and they run from recipes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ConfigError, RunError
from kinema.training import loop
from kinema.training.recipe import build_recipe, override, read_recipe
from kinema.verbs.train import evaluate, train

FEW = {
    "data.source": "gait", "data.train": "6", "data.test": "4", "training.steps": "5", "training.batch": "3",
    "training.checkpoint_every": "2", "training.log_every": "1",
}  # fmt: skip
SIZES = {
    "locomotion": {"model.width": "8", "model.hidden": "12"},
    "locomotion-paper": {"model.width": "8"},
    "erd": {"model.units": "8", "model.encoder": "8", "model.decoder": "8", "model.window": "20"},
    "lstm-3lr": {"model.units": "8", "model.window": "20"},
    "crbm-cd1": {"model.hidden": "8"},
}


@pytest.mark.parametrize("recipe", SIZES)
def test_a_run_that_was_stopped_ends_in_the_same_weights(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**FEW, **SIZES[recipe]}
    whole = load_file(train(recipe, out=str(tmp_path / "whole"), quiet=True, options=options) / "model.safetensors")
    draw, stopped = loop.draw_batch, []

    def stop(source, sampler, step, anywhere, device):
        if step == 3 and not stopped:
            stopped.append(step)
            raise KeyboardInterrupt
        return draw(source, sampler, step, anywhere, device)

    monkeypatch.setattr(loop, "draw_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=str(tmp_path / "parts"), quiet=True, options=options)
    again = train(recipe, out=str(tmp_path / "parts"), quiet=True, resume=True, options=options)
    parts = load_file(again / "model.safetensors")
    assert parts.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_a_run_is_measured_reported_and_tuned_further(tmp_path: Path) -> None:
    options = {**FEW, **SIZES["locomotion"]}
    run = train("locomotion", out=str(tmp_path / "run"), quiet=True, options=options)
    results = evaluate(str(run), json=str(tmp_path / "results.json"), quiet=True)
    assert results["draws"] == 10
    assert {"start4-given-recorded/pose/dist/120", "start4-given-recorded-labels/pose/dist/120"} <= results.keys()
    assert (run / "report" / "bodies.png").stat().st_size > 1000
    assert "Skeleton" in (run / "card.md").read_text()
    tuned = train("locomotion", out=str(tmp_path / "tuned"), from_run=str(run), quiet=True, options=FEW)
    assert load_file(tuned / "model.safetensors").keys() == load_file(run / "model.safetensors").keys()


def test_families_and_sources_that_do_not_fit() -> None:
    for name, source, said in (("halo-demo", "gait", "does not learn from gait"), ("erd", "sprites", "gait, mocap")):
        with pytest.raises(ConfigError, match=said):
            build_recipe(override(read_recipe(name), {"data.source": source}), name)


def test_a_run_of_pictures_is_no_start_for_motion(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, RunError)):
        train("locomotion", out=str(tmp_path / "run"), from_run="builtin:sprites", quiet=True, options=FEW)
