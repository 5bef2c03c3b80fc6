"""Tables of the renderer: every row can be built, rows share their examples, and a small table comes out whole."""

from dataclasses import replace

import pytest

from kinema.evaluation.scene_tables import STILL, rows_sprites, with_still
from kinema.models.registry import FAMILIES
from kinema.training.recipe import build_recipe
from kinema.verbs import published_renderer
from kinema.verbs.published_renderer import RENDERER_TABLES, examples, of_one_digit
from kinema.verbs.reproduce import reproduce, row_tree

ROWS = [(name, row) for name, table in RENDERER_TABLES.items() for row in table.rows]
TINY = {"training.steps": "1", "model.width": "4", "model.features": "8", "model.hidden": "8"}


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}: {row.name}" for name, row in ROWS])
def test_every_row_is_a_recipe(name, row):
    recipe = build_recipe(row_tree(row, RENDERER_TABLES[name], False, {}), row.recipe)
    assert FAMILIES[recipe.family].kind == "pairs"
    if "paper" in row.name:
        model = recipe.model
        assert (model.solo, model.character, model.compositing, model.transformation) == (0, "frame", "add", "features")
        assert (model.parts, model.repaint, model.apart, model.backwards) == (1, 0, False, False)


def test_rows_of_a_table_differ():
    for name, table in RENDERER_TABLES.items():
        recipes = [build_recipe(row_tree(row, table, False, {}), row.recipe) for row in table.rows]
        assert len({repr(recipe.as_dict()) for recipe in recipes}) == len(recipes), name


def test_rows_with_other_training_backgrounds_share_their_examples():
    table = RENDERER_TABLES["renderer-mnist"]
    ours, paper = (build_recipe(row_tree(row, table, True, {}), row.recipe) for row in table.rows)
    more = replace(paper.data, backgrounds=256)
    a, b = examples("digits", paper.data, 40), examples("digits", more, 40)
    assert a.there.tolist() == b.there.tolist()
    assert bool((a.truths["background"] == b.truths["background"]).all())
    assert ours.data.size == paper.data.size == 32


def test_all_numbers_of_training_backgrounds_are_tested_on_as_many(monkeypatch):
    asked = []
    monkeypatch.setattr(published_renderer, "build_source", lambda source, data, split: asked.append(data.backgrounds))
    table = RENDERER_TABLES["renderer-backgrounds"]
    for row in table.rows:
        published_renderer.scenes.__wrapped__("characters", build_recipe(row_tree(row, table, False, {}), "b").data)
    bare = RENDERER_TABLES["renderer-sprites-bare"]
    published_renderer.scenes.__wrapped__("characters", build_recipe(row_tree(bare.rows[0], bare, False, {}), "b").data)
    assert asked == [100] * len(table.rows) + [0]


def test_a_row_that_learned_with_movement_is_also_shown_without():
    """The results of characters that stand still make a line of their own; rows without such results do not."""
    rows = {"a": [{"copy/sse01": 4.0, f"{STILL}copy/sse01": 3.0}], "b": [{"copy/sse01": 5.0}]}
    found = with_still(rows)
    assert list(found) == ["a", "a, standing still", "b"]
    assert found["a, standing still"] == [{"copy/sse01": 3.0}]
    lines = [line for line in rows_sprites(rows)[0].rows if line[1] == "copying x_c (baseline)"]
    assert [(line[0], line[2].value) for line in lines] == [("a", 4.0), ("a, standing still", 3.0), ("b", 5.0)]


def test_one_digit_is_one_drawing_on_one_background():
    table = RENDERER_TABLES["renderer-analysis"]
    source = of_one_digit(build_recipe(row_tree(table.rows[0], table, True, {}), "analysis"), 5)
    assert source.backgrounds == 1
    assert len(source.character_of(source.frame_counts() * 0).unique()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["renderer-mnist", "renderer-analysis"])
def test_a_quick_table_comes_out_whole(name, tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.verbs.published_renderer.QUICK_COUNT", 40)
    monkeypatch.setattr("kinema.verbs.published_renderer.QUICK_PAIRS", 100)
    results = reproduce(name, out=str(tmp_path), quick=True, quiet=True, options=TINY)
    assert set(results) == {"Kinema", "paper's form"}
    text = (tmp_path / f"{name}-quick.md").read_text()
    assert "40 test examples" in text
    assert "Video frames (baseline)" in text
    assert {path.name for path in tmp_path.glob("*.png")} >= {
        f"{name}-quick-kinema.png",
        f"{name}-quick-kinema-solo.png",
    }


@pytest.mark.slow
def test_quick_says_something(tmp_path):
    """In minutes on two cores a character on another background is better than none, and it moves."""
    results = reproduce("renderer-mnist", out=str(tmp_path), quick=True, quiet=True)
    ours, paper = results["Kinema"][0], results["paper's form"][0]
    assert ours["background/of no object"] < 0.9
    assert ours["transformation/of video frames"] < 0.7
    assert ours["solo/psnr"] > 24
    assert ours["background/of no object"] < paper["background/of no object"]
