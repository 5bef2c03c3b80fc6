import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from evaluation_doubles import Oracle
from kinema.errors import FileError
from kinema.evaluation import pictures, table
from kinema.evaluation.report import write_report
from toy import Toy

TEST = Toy("test")
RECORDS = [{"step": step, "total": 900 / (step + 1), "kl_z": 8.0 + step / 50} for step in range(0, 500, 10)]


class Rotating(Oracle):
    """The oracle with a phase space: operator k turns k + 1 times per cycle on a circle of radius k + 1."""

    def phase(self, frames, times):
        turns = torch.arange(1, 4) / 8
        angle = 2 * torch.pi * times[..., None].float() * turns
        radius = turns * 8
        return torch.stack([radius * angle.cos(), angle.cos(), -radius * angle.sin(), angle.sin()], -1)

    def energy(self, states):
        potential, kinetic = (part.square().sum(-1) / 2 for part in states.chunk(2, -1))
        return {"potential": potential, "kinetic": kinetic, "total": potential + kinetic}


def test_every_source_pixel_is_a_square_of_the_grid():
    frames = torch.randint(0, 256, (3, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grid = pictures.clip_grid([("a", frames), ("longer label", frames[:2])], scale=4)
    left = grid.shape[1] - 3 * (7 * 4 + pictures.GAP)
    cell = grid[:, left:][20 + pictures.GAP :, 28 + pictures.GAP :][:20, :28]  # second row, second frame
    for dy, dx in np.ndindex(4, 4):
        assert_close(torch.from_numpy(cell[dy::4, dx::4].copy()).permute(2, 0, 1), frames[1])
    assert (grid[22:, left + 60 :] == pictures.PAPER).all()  # the shorter row's end
    assert (grid[:, :left] < 128).any()  # a label is written


def test_the_animation_shows_every_frame_for_its_time():
    frames = TEST.frames(torch.arange(2), torch.arange(8).expand(2, -1))
    grids = pictures.moving_grid([("A", frames), ("B", frames.flip(1))], scale=3)
    image = Image.open(io.BytesIO(pictures.animated_png(grids, fps=8.0)))
    assert image.n_frames == 8
    for number, grid in enumerate(grids):
        image.seek(number)
        assert image.info["duration"] == 125
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), grid)
    assert image.info["loop"] == 0


def test_diagrams_draw_what_they_are_given():
    model = Rotating(TEST)
    times = torch.arange(8.0)[None]
    states = model.phase(torch.zeros(1), times)
    portrait = pictures.phase_portrait({"clip": states[0]}, ["1", "2", "3"])
    for k, axis in enumerate(portrait.axes):
        q, p = axis.lines[0].get_data()
        np.testing.assert_allclose(np.hypot(q, p), k + 1, rtol=1e-5)
    energies = {name: values[0] for name, values in model.energy(states).items()}
    energy = pictures.energy_over_time(times[0], energies, ["1", "2", "3"])
    for k, axis in enumerate(energy.axes):
        total = next(line for line in axis.lines if line.get_label() == "total")
        np.testing.assert_allclose(total.get_ydata(), ((k + 1) ** 2 + 1) / 2, rtol=1e-5)
    curves = pictures.loss_curves([*RECORDS, {"step": 500, "psnr": 20.0}])
    assert [axis.get_title() for axis in curves.axes] == ["total", "kl_z", "psnr"]
    np.testing.assert_allclose(
        curves.axes[0].lines[0].get_data(), [[r["step"] for r in RECORDS], [r["total"] for r in RECORDS]]
    )


class Page(HTMLParser):
    """The headings and pictures of a page; a start tag without its end fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.headings = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_the_page_is_whole_and_needs_nothing_else(tmp_path):
    results = {"swap/psnr": 24.0, "image_to_sequence_16/psnr": 30.1}
    path = write_report(tmp_path / "report", Rotating(TEST), TEST, RECORDS, results, 0, "A <run>", table.PAPER)
    text = path.read_text()
    page = Page(text)
    assert page.headings == [
        "Summary",
        "Loss curves",
        "Originals and reconstructions",
        "Swaps",
        "Every action from one image",
        "Phase portrait",
        "Energy over time",
    ]
    assert {p.name for p in path.parent.iterdir()} == {"index.html", *page.pictures}  # nothing missing or left over
    assert "A &lt;run&gt;" in text
    assert "36.76" in text
    assert not re.search(r"https?://|<script", text)
    for name in page.pictures:
        Image.open(path.parent / name).verify()


def test_a_report_leaves_out_what_is_not_known(tmp_path):
    path = write_report(tmp_path, Oracle(TEST), TEST, [], {}, 0)
    assert Page(path.read_text()).headings == [
        "Originals and reconstructions",
        "Swaps",
        "Every action from one image",
    ]


def test_swaps_of_the_oracle_look_like_the_true_swaps(tmp_path):
    write_report(tmp_path, Oracle(TEST), TEST, [], {}, 0)
    image = Image.open(tmp_path / "swaps.png")
    for number in range(image.n_frames):
        image.seek(number)
        frame = np.asarray(image.convert("RGB"))[18:]
        a, _, swap, truth = np.split(frame, 4, axis=1)
        np.testing.assert_array_equal(swap, truth)
        assert (a != swap).any()


def test_the_papers_row_stands_beside_ours_where_it_has_one():
    results = {"image_to_sequence_16/ssim": 0.97, "swap/psnr": 25.0, "image_to_sequence_16/mse": 0.00054321}
    heading, *lines = table.rows(results, table.PAPER)
    assert heading == ("measure", "value", "paper")
    assert lines == [
        ("image_to_sequence_16/ssim", "0.97", "0.982"),
        ("swap/psnr", "25", ""),
        ("image_to_sequence_16/mse", "0.0005432", "0.0005"),
    ]
    assert table.rows(results)[0] == ("measure", "value")
    assert table.table(results, table.PAPER).row_count == 3
    assert table.markdown(results).splitlines()[:3] == [
        "| measure | value |",
        "| --- | ---: |",
        "| image_to_sequence_16/ssim | 0.97 |",
    ]


def test_json_is_sorted_and_exact(tmp_path):
    results = {"swap/psnr": 24.123456789, "n": 3.0}
    table.write_json(tmp_path / "deep" / "results.json", results)
    text = (tmp_path / "deep" / "results.json").read_text()
    assert list(json.loads(text).items()) == [("n", 3.0), ("swap/psnr", 24.123456789)]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileError, match="taken: cannot be written"):
        table.write_whole(tmp_path / "taken", b"text")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
