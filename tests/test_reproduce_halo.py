"""Tables of HALO: every row can be built, rows differ in what they say, and small tables come out whole."""

import json

import pytest
import torch

from kinema.errors import ConfigError, RunError
from kinema.evaluation.halo_tables import PRINTED_SPRITES, prior_table, rows_two_directions
from kinema.models.registry import FAMILIES
from kinema.training.recipe import build_recipe
from kinema.verbs.published_halo import HALO_TABLES
from kinema.verbs.published_judges import judge_of
from kinema.verbs.reproduce import TABLES, reproduce, row_tree
from toy import Toy

ROWS = [(name, row) for name, table in HALO_TABLES.items() for row in table.rows]
TINY = {
    "data.size": "16",
    "training.steps": "2",
    "training.batch": "4",
    "model.features": "16",
    "model.components": "24",
    "model.content": "8",
}


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}: {row.name}" for name, row in ROWS])
def test_every_row_is_a_recipe(name, row):
    recipe = build_recipe(row_tree(row, HALO_TABLES[name], False, {}), row.recipe)
    assert FAMILIES[recipe.family].kind == "pictures"
    assert recipe.model.conditional != ("unconditional" in row.name)
    if "objective" in row.name:
        m = recipe.model
        assert (m.prior, m.content_weight, m.state_weight, m.content_frames) == ("standard", 1, 1, 0)


def test_rows_of_an_ablation_differ_in_their_dynamics_alone():
    for name in ("halo-table3", "halo-ablation"):
        table = HALO_TABLES[name]
        recipes = {row.name: build_recipe(row_tree(row, table, False, {}), row.recipe).as_dict() for row in table.rows}
        assert len({json.dumps(recipe) for recipe in recipes.values()}) == len(recipes)
        for kind in (True, False):
            mine = [recipe for recipe in recipes.values() if recipe["model"]["conditional"] is kind]
            for recipe in mine:
                recipe["model"].pop("operator")
            assert len({json.dumps(recipe) for recipe in mine}) <= 1


def test_an_unconditional_row_has_no_accuracy_of_a_prior_that_was_fed_no_action():
    measured = {"prior motion/IS": 3.0, "prior motion/action": 0.4, "prior motion/H(y)": 1.5, "conditional": 0.0}
    (ours, *printed) = prior_table({"free": [measured]}).rows
    assert ours[1] is None
    assert ours[4].value == 3.0
    assert [line[0] for line in printed] == list(PRINTED_SPRITES)
    told = prior_table({"told": [{**measured, "conditional": 1.0}]}).rows[0]
    assert told[1].value == 0.4


def test_a_judge_is_kept_and_one_that_is_not_fit_is_refused(tmp_path):
    train, test = Toy("train"), Toy("test")
    with pytest.raises(RunError, match="train it longer"):
        judge_of("ours", {"a": 1}, train, test, 1, tmp_path, refuse=True)
    assert not list(tmp_path.iterdir())
    judge, figures = judge_of("ours", {"a": 1}, train, test, 2, tmp_path, refuse=False)
    assert 0 <= figures["ours judge/real/action"] <= 1
    kept, again = judge_of("ours", {"a": 1}, train, test, 2, tmp_path, refuse=False)
    assert again == figures
    frames = test.frames(*_first())
    assert (kept.probabilities(frames)["action"] - judge.probabilities(frames)["action"]).abs().max() < 1e-6
    judge_of("ours", {"a": 2}, train, test, 2, tmp_path, refuse=False)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def _first():
    return torch.arange(3), torch.arange(8).expand(3, -1)


def test_a_table_without_quick_rows_says_so(tmp_path):
    with pytest.raises(ConfigError, match="halo-weizmann: has no row with --quick; those that have one: halo-table1"):
        reproduce("halo-weizmann", out=str(tmp_path), quick=True, quiet=True)


@pytest.mark.slow
def test_the_quick_table_comes_out_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.verbs.published_halo.QUICK_COUNT", 27)
    monkeypatch.setattr("kinema.verbs.published_halo.QUICK_JUDGE_STEPS", 2)
    monkeypatch.setattr("kinema.evaluation.halo_protocol.ROLLOUTS", 2)
    results = reproduce("halo-table2", out=str(tmp_path), quick=True, quiet=True, options=TINY)
    assert set(results) == {"Kinema", "linear", "RNN"}
    text = (tmp_path / "halo-table2-quick.md").read_text()
    headings = ("Motion of the prior", "Motion of real clips, content drawn", "What leaks", "Probes", "Bars", "Judges")
    for heading in headings:
        assert f"## {heading}" in text
    assert "HALO, as printed | 1.00" in text
    assert {path.name for path in tmp_path.glob("*.png")} >= {"halo-table2-quick-swaps-1.png"}
    tables = rows_two_directions(results)
    assert all(len(line) == len(table.columns) for table in tables for line in table.rows)


def test_tables_in_one_folder_do_not_take_each_other_s_rows():
    for quick in (False, True):
        known: dict[tuple[str, str], str] = {}
        for name, table in TABLES.items():
            for row in table.rows:
                if (row.quick is None) if quick else not row.whole:
                    continue
                recipe = json.dumps(build_recipe(row_tree(row, table, quick, {}), row.recipe).as_dict())
                assert known.setdefault((row.recipe, row.name.lower()), recipe) == recipe, f"{name}: {row.name}"


@pytest.mark.slow
def test_quick_says_something(tmp_path):
    """HALO above linear and recurrent dynamics, at equal steps, on embedded data."""
    results = {
        name: found for name, (found,) in reproduce("halo-table2", out=str(tmp_path), quick=True, quiet=True).items()
    }
    ours = results.pop("Kinema")
    assert ours["prior motion/action"] >= 0.99
    assert ours["real motion/action"] >= 0.99
    for name, rival in results.items():
        for measure in ("real motion/psnr", "rollout 16/psnr", "rollout 64/psnr"):
            assert ours[measure] > rival[measure] + 2, (name, measure)
        assert ours["prior motion/H(y|x)"] < rival["prior motion/H(y|x)"], name
