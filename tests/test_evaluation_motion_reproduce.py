"""`reproduce` with a table of tiny rows: what it trains, what it uses again, and what it writes."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from kinema.data.registry import build_source
from kinema.errors import ConfigError, RunError
from kinema.evaluation.motion_errors import FRAMES
from kinema.evaluation.motion_tables import rows_ablation
from kinema.models.motion_base import domain_of
from kinema.models.rivals.simple import MeanPose, SimpleConfig
from kinema.training import run as runs
from kinema.training.recipe import build_recipe, read_recipe
from kinema.verbs import published_motion as motion
from kinema.verbs import reproduce as verb
from kinema.verbs.published import Published, Row
from kinema.verbs.reproduce import reproduce, row_tree

TINY = {
    "data.train": "3",
    "data.test": "3",
    "data.mirror": "false",
    "training.steps": "1",
    "training.batch": "2",
    "model.width": "8",
    "model.hidden": "8",
}
MEAN = partial(MeanPose, SimpleConfig())
ROWS = (
    Row("One, trained", "locomotion-gait", TINY, quick={"training.batch": "1"}),
    Row("mean", "locomotion-gait", {k: v for k, v in TINY.items() if k.startswith("data.")}, rule=MEAN),
)


class Counted:
    """Stands for training and measuring, and counts how often it is asked."""

    def __init__(self, monkeypatch):
        self.trained, self.measured, self.shown = [], [], []
        monkeypatch.setattr(verb, "train", self.train)

    def train(self, recipe, *, out, resume, quiet):
        """A whole run directory whose weights are those it was born with."""
        assert resume
        self.trained.append(out)
        settings = build_recipe(read_recipe(recipe), recipe)
        domain = domain_of(build_source(settings.source, settings.data, "test"))
        runs.open_run(Path(out), settings, domain, (), resume)
        runs.save_weights(Path(out), runs.build_model(settings, domain))

    def measure(self, model, recipe, quick, folder):
        self.measured.append((type(model).__name__, recipe.training.seed, quick))
        name = "start4-given-recorded/pose/dist/210"
        return {
            name: 1.0 + recipe.training.seed,
            f"{name}_low": 0.5,
            f"{name}_high": 2.0,
            verb.CLIPS: 7.0,
            "n/all": 3.0,
        }

    def pictures(self, rows, quick):
        self.shown.append(list(rows))
        return {"x.png": b"png"}


@pytest.fixture
def counted(monkeypatch):
    one = Counted(monkeypatch)
    monkeypatch.setitem(verb.TABLES, "tiny", Published("About.", ROWS, rows_ablation, one.pictures, one.measure))
    return one


def test_rows_are_trained_once_and_used_again(tmp_path, counted, capsys):
    results = reproduce("tiny", seeds=2, out=str(tmp_path))
    assert counted.measured == [("Locomotion", 0, False), ("Locomotion", 1, False), ("MeanPose", 0, False)]
    assert counted.trained == [str(tmp_path / f"rows/locomotion-gait-one-trained-seed{s}") for s in (0, 1)]
    assert counted.shown == [["One, trained", "mean"]]
    assert "Variants" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"rows", "tiny.md", "tiny.json", "tiny-x.png"}
    written = json.loads((tmp_path / "tiny.json").read_text())
    assert written["rows"] == results
    one, mean = written["tables"][0]["rows"]
    assert one["pose at 210"]["value"] == 1.5
    assert one["pose at 210"]["high"] == pytest.approx(1.5 + 12.7062 * 0.5, rel=1e-4)  # two seeds: Student
    assert mean["pose at 210"] == {"value": 1.0, "low": 0.5, "high": 2.0}
    assert "2 seeds" in (tmp_path / "tiny.md").read_text()

    again = reproduce("tiny", seeds=2, out=str(tmp_path), quiet=True)
    assert (again, len(counted.trained), len(counted.measured)) == (results, 2, 3)
    assert capsys.readouterr().out == ""
    (tmp_path / "rows/locomotion-gait-one-trained-seed1.json").write_text("{")  # a damaged file is measured anew
    # An unfinished run is finished.
    (tmp_path / "rows/locomotion-gait-one-trained-seed0" / "model.safetensors").unlink()
    assert reproduce("tiny", seeds=2, out=str(tmp_path), quiet=True) == results
    assert len(counted.trained) == 3
    assert counted.measured[3:] == [("Locomotion", 1, False)]
    with pytest.raises(RunError, match="another run"):
        reproduce("tiny", out=str(tmp_path), quiet=True, options={"training.batch": "1"})


def test_the_runs_of_rows_are_runs_that_can_be_trained_alone(tmp_path, counted):
    reproduce("tiny", out=str(tmp_path), quiet=True)
    loaded = runs.load_run(tmp_path / "rows" / "locomotion-gait-one-trained-seed0")
    recipe = yaml.safe_load((tmp_path / "rows" / "locomotion-gait-one-trained-seed0.yaml").read_text())
    assert recipe["training"]["seed"] == 0
    assert loaded.recipe.model.width == recipe["model"]["width"] == 8


def test_quick_leaves_rows_out_and_takes_other_data():
    row = Row("x", "locomotion", {"model.width": "8"}, quick={"training.steps": "5"})
    published = Published("About.", (row,), rows_ablation, lambda rows, quick: {}, lambda model, recipe, quick: {})
    quick, full = (row_tree(row, published, quick, {"training.batch": "3"}) for quick in (True, False))
    assert quick["data"] == read_recipe("locomotion-gait")["data"]
    assert full["data"] == read_recipe("locomotion")["data"]
    assert (quick["training"]["steps"], quick["training"]["batch"], quick["model"]["width"]) == (5, 3, 8)
    assert full["training"]["steps"] == read_recipe("locomotion")["training"]["steps"]
    rule = Row("mean", "locomotion", rule=MEAN)
    assert row_tree(rule, published, False, {"model.width": "9", "data.seed": "1"})["model"] == {}


def test_quick_measures_what_is_left(tmp_path, counted):
    reproduce("tiny", out=str(tmp_path), quick=True, quiet=True)
    assert counted.measured == [("Locomotion", 0, True)]
    assert (tmp_path / "tiny-quick.md").is_file()
    assert (tmp_path / "rows" / "locomotion-gait-one-trained-quick-seed0").is_dir()


def test_rows_on_different_clips_are_no_table():
    with pytest.raises(RunError, match="two: its recipe holds out other clips"):
        verb._same_clips({"one": {verb.CLIPS: 1.0}, "two": {verb.CLIPS: 2.0}})


def test_mistakes_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match="motion-table3: no such table; known: halo-table1"):
        reproduce("motion-table3", out=str(tmp_path))
    with pytest.raises(ConfigError, match="--seeds 0"):
        reproduce("motion-table1", out=str(tmp_path), seeds=0)


@pytest.mark.slow
def test_motion_is_measured_and_shown_on_the_embedded_gait(tmp_path, monkeypatch):
    published = Published("About.", ROWS, motion.rows_table2, motion.motion_pictures("pose"), motion.measure_motion)
    monkeypatch.setitem(verb.TABLES, "tiny", published)
    monkeypatch.setattr(motion, "DRAWS", 2)
    results = reproduce("tiny", out=str(tmp_path), quiet=True)
    assert set(results) == {"One, trained", "mean"}
    ((one,), (mean,)) = results.values()
    assert mean["start4-predicted/pose/dist/70"] == mean["start4-given-recorded/pose/dist/70"]
    assert "start4-predicted/pose/dist/70" not in one
    assert {path.name for path in tmp_path.iterdir()} >= {
        "tiny.md",
        "tiny-errors.png",
        "tiny-bodies.png",
        "tiny-steps.png",
    }
    assert "real data" in (tmp_path / "tiny.md").read_text()


@pytest.mark.slow
def test_the_quick_table_is_half_the_mean_poses_error(tmp_path):
    """The very command of the README, on the embedded gait, at every published frame."""
    results = reproduce("motion-table2", out=str(tmp_path), quick=True, quiet=True)
    ours, mean = results["Kinema"][0], results["mean pose"][0]
    for frame in FRAMES:
        name = f"start4-given-recorded/pose/dist/{frame}"
        assert ours[name] <= mean[name] / 2, frame
    assert {path.name for path in tmp_path.glob("*.png")} >= {"motion-table2-quick-errors.png"}
