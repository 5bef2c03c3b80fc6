"""Tables, pictures and the report of motion: what they show is what was measured."""

import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import motion_doubles as doubles
from kinema.evaluation import motion_pictures, pictures
from kinema.evaluation import motion_tables as tables
from kinema.evaluation.motion_errors import FRAMES
from kinema.evaluation.motion_protocol import GIVEN, PREDICTED, evaluate_motion
from kinema.evaluation.motion_report import (
    most_turning,
    pictures_of,
    show,
    table_pictures,
    true_body,
    write_motion_report,
)
from kinema.evaluation.tables import Cell, Table
from kinema.maths import trajectory

CLIPS = doubles.clips(turning=0.8)
NOISE = evaluate_motion(doubles.Noise(CLIPS, 0.02), CLIPS, draws=3, settings=(*GIVEN, *PREDICTED))
ORACLE = evaluate_motion(doubles.Oracle(CLIPS), CLIPS, draws=3)
ROWS = {"oracle": [ORACLE], "noise": [NOISE]}


def test_table_1_integrates_what_each_model_puts_out():
    first, *_ = tables.rows_table1(ROWS)
    assert first.title == "Motion error (mean joint distance, units)"
    lines = {row[:3]: row[3:] for row in first.rows}
    noise = lines["noise", 60, "predicted"]
    for cell, frame in zip(noise, FRAMES, strict=True):
        path = f"start60-predicted/motion_predicted/dist/{frame}"
        assert (cell.value, cell.low, cell.high) == (NOISE[path], NOISE[f"{path}_low"], NOISE[f"{path}_high"])
    assert ("oracle", 60, "predicted") not in lines  # it was not measured so
    assert [cell.value for cell in lines["oracle", 4, "given"]] == pytest.approx([0] * 5, abs=1e-9)
    assert [cell.value for cell in lines["paper: ERD", 60, "predicted"]] == [0.66, 2.10, 6.13, 13.53, 19.49]
    assert "not comparable" in first.note


def test_table_2_compares_poses_and_keeps_the_units_apart():
    found = tables.rows_table2(ROWS)
    titles = [table.title for table in found]
    assert titles[0] == "Pose error (mean joint distance, units)"
    for unit, about in tables.ABOUT.items():
        table = found[titles.index(f"Pose error ({about})")]
        ((*_, last),) = (row for row in table.rows if row[:3] == ("noise", 0, "given"))
        assert last.value == NOISE[f"start0-given-recorded/pose/{unit}/210"]
        assert ("paper: VAE-LSTM" in {row[0] for row in table.rows}) == (unit == "dist")
    smoothed = found[titles.index("Pose error, smoothed control (mean joint distance, units)")]
    assert {row[2] for row in smoothed.rows} == {"given, smoothed"}


def test_quality_has_the_row_of_the_real_data():
    found = tables.quality_tables(ROWS)
    assert len(found) == 2 * (len(tables.LEADS) - 1)  # the doubles say nothing of contacts, so no feet are held
    for table in found:
        lines = {row[:2]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
        for gait in ("walk", "run"):
            assert lines["real data", gait]["skate, cm/s"].value > 0
            assert lines["oracle", gait]["foot down, share"].value == lines["real data", gait]["foot down, share"].value
            assert lines["noise", gait]["skate, cm/s"].value > 2 * lines["real data", gait]["skate, cm/s"].value


def test_the_interval_is_over_seeds_where_there_are_several():
    changed = [{**NOISE, "spread": value} for value in (1.0, 2.0, 3.0)]
    several = tables.cell(changed, "spread")
    assert (several.value, several.high - several.value) == pytest.approx((2, 4.30265 / math.sqrt(3)))
    assert tables.cell([{"x": 1.0, "x_low": 0.5, "x_high": 2.0}], "x") == tables.Cell(1.0, 0.5, 2.0)
    assert math.isnan(tables.cell([{"x": 1.0}], "x").low)
    assert tables.cell([{"x": 1.0}], "y") is None


def test_a_table_is_the_same_in_every_form():
    for table in (*tables.rows_table1(ROWS), *tables.rows_table2(ROWS), *tables.rows_ablation(ROWS)):
        lines = table.markdown().strip().splitlines()[-len(table.rows) :]
        assert [line.count("|") for line in lines] == [len(table.columns) + 1] * len(lines)
        plain = json.loads(json.dumps(table.plain(), allow_nan=False))
        for row, named in zip(table.rows, plain["rows"], strict=True):
            for column, entry in zip(table.columns, row, strict=True):
                expected = entry.value if isinstance(entry, tables.Cell) else entry
                found = named.get(column)
                assert (found["value"] if isinstance(found, dict) else found) == expected
        assert table.rich().row_count == len(table.rows)
    assert "| 0.00 [" in tables.rows_table2(ROWS)[0].markdown()


def test_the_table_of_a_run_leaves_out_what_was_not_measured():
    table = tables.run_table(ORACLE)
    assert table.columns == ("measure", "4 frames", "no start", "4, smoothed", "real data")
    assert tables.run_table(NOISE).columns[-2] == "60, own control"
    skate = next(row for row in table.rows if row[0] == "skate walking, cm/s")
    assert skate[1].value == pytest.approx(skate[-1].value)
    assert tables.run_table({}).rows == ()


def test_curves_are_means_over_clips_with_their_intervals():
    values = torch.rand(30, 240, generator=torch.Generator().manual_seed(0)).double()
    values[:, :60] = torch.nan
    values[:20, 200:] = torch.nan
    (axis,) = motion_pictures.curves_over_time({"a": values, "b": values + 1}, "error", start=60).axes
    x, y = axis.lines[0].get_data()
    np.testing.assert_allclose(y, values.nanmean(0).numpy())
    assert (x[0], x[-1]) == (0, 239)
    dotted = [line.get_xdata()[0] for line in axis.lines if line.get_linestyle() == ":"]
    assert dotted == list(FRAMES)
    assert axis.get_ylim()[1] > 1.5


def test_a_strip_shows_each_body_from_the_side_of_the_true_heading():
    truth, heading = true_body(CLIPS, 5)
    turned = trajectory.to_world(trajectory.to_root(truth, truth[:, 0] * 0, heading), truth[:, 0] * 0, heading + 1.0)
    figure = motion_pictures.skeleton_strip(truth, heading, {"same": truth, "turned": turned}, CLIPS.parents, (10, 200))
    columns = np.reshape(figure.axes, (2, 3))
    for row in columns:
        bodies = [axis.collections[-1].get_segments() for axis in row]
        np.testing.assert_allclose(bodies[1], bodies[0])
        assert np.abs(np.array(bodies[2]) - bodies[0]).max() > 0.1
        np.testing.assert_allclose(row[2].collections[0].get_segments(), bodies[0])  # the truth behind
    early, late = (axis.collections[-1].get_segments() for axis in columns[:, 0])
    assert np.abs(np.array(early) - late).max() > 0.01


def test_sides_have_their_colours():
    truth, heading = true_body(CLIPS, 0)
    body = torch.zeros(1, 11, 3, dtype=torch.float64)
    for joint, across in {1: 0.1, 2: 0.0, 5: -0.1, 6: 0.02, 9: 0.01}.items():
        body[0, joint, 0] = across
    colours = motion_pictures.side_colours(body.expand(240, -1, -1), torch.zeros_like(heading), CLIPS.parents)
    left, right, middle = motion_pictures.LEFT, motion_pictures.RIGHT, motion_pictures.MIDDLE
    assert colours == [middle, *[left] * 4, *[right] * 4, middle, middle]
    assert motion_pictures.side_colours(truth, heading, CLIPS.parents)[4] == left or truth[0, 1, 0] < 0


def test_footprints_stand_where_the_feet_stood():
    truth, _ = true_body(CLIPS, 3)
    walked = motion_pictures.Walked(truth, CLIPS.valid[3])
    low, stances = motion_pictures.ways_of_toe(walked, CLIPS.toes, 0, 60.0)
    assert 4 <= len(stances) <= 5  # four seconds of a stride a second
    steps = torch.stack([stance.mean(0) for stance in stances[1:-1]])
    assert all(float((stance - stance.mean(0)).norm(dim=-1).median()) < 0.01 for stance in stances)
    stride = float(CLIPS.motion.control[3, 0, 1]) * doubles.PERIOD
    assert (steps.diff(dim=0).norm(dim=-1) - stride).abs().max() < 0.1 * stride
    sliding = motion_pictures.Walked(truth[:1] + truth[:, :1] - truth[0, 0], CLIPS.valid[3])
    low, stances = motion_pictures.ways_of_toe(sliding, CLIPS.toes, 0, 60.0)
    assert len(stances) == 0
    assert len(low[0]) > 200
    path = truth[:, 0] * torch.tensor([1.0, 0.0, 1.0]).double()
    figure = motion_pictures.footprints(path, {"a": walked, "b": sliding}, CLIPS.toes, 60.0)
    assert figure.axes[0].xaxis_inverted()  # left is left


def test_pictures_of_a_table_are_pictures():
    models = {"oracle": doubles.Oracle(CLIPS), "noise": doubles.Noise(CLIPS, 0.02)}
    made = table_pictures(models, CLIPS, "motion_predicted", draws=2, seed=0)
    assert set(made) == {"errors.png", "bodies.png", "steps.png", "spread.png"}
    for content in made.values():
        Image.open(io.BytesIO(content)).verify()
    alone = pictures_of({"oracle": show(models["oracle"], CLIPS, GIVEN[1], 2, 0)}, CLIPS)
    assert "spread.png" not in alone  # there is none
    assert most_turning(CLIPS) in (0, 5)


def test_a_report_is_one_page_and_its_pictures(tmp_path):
    records = [{"step": step, "loss": 1 / (step + 1)} for step in range(9)]
    page = write_motion_report(tmp_path / "report", doubles.Noise(CLIPS, 0.02), CLIPS, "A <run>", records, NOISE, 0)
    text = page.read_text()
    assert "A &lt;run&gt;" in text
    assert "skate walking" in text
    shown = {path.name for path in page.parent.iterdir()}
    assert shown == {"index.html", "errors.png", "bodies.png", "steps.png", "spread.png", "losses.png"}
    assert all(name in text for name in shown - {"index.html"})
    assert pictures.figure_png(pictures.loss_curves(records)) == (page.parent / "losses.png").read_bytes()


def test_a_bar_in_a_name_does_not_part_a_column():
    table = Table("t", "n", ("what", "H(y|x)"), (("a|b", Cell(0.98765, decimals=3)),))
    assert table.markdown().splitlines()[4] == "| what | H(y\\|x) |"
    assert table.markdown().splitlines()[6] == "| a\\|b | 0.988 |"
