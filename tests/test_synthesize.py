"""From a drawn path to files: bodies on the path, in blocks as in one, and what is refused."""

from pathlib import Path

import pygltflib
import pytest
import torch

from kinema.cli import main
from kinema.data.gait import GaitConfig, make_gait
from kinema.errors import KinemaError
from kinema.files.bvh import read_bvh
from kinema.files.bvh_motion import read_motion, write_motion
from kinema.maths import trajectory
from kinema.maths.gaussian import Gaussian
from kinema.models import walks
from kinema.models.locomotion import Locomotion
from kinema.models.motion_base import Fitted
from kinema.models.walks import Asked, joined, walk
from kinema.motion import Motion
from kinema.verbs.synthesize import synthesize
from kinema.verbs.train import train

SMALL = {
    "training.steps": "3", "training.batch": "4", "data.train": "8", "data.test": "4", "model.width": "16",
    "model.hidden": "24",
}  # fmt: skip
TURNS = "x,z\n0,0\n0,8\n-6,8\n-6,14\n"
"""20 metres with two turns."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train("locomotion-gait", out=str(tmp_path_factory.mktemp("runs") / "run"), quiet=True, options=SMALL)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    (tmp_path / "line.csv").write_text(TURNS)
    return tmp_path / "line.csv"


class Steady:
    """A model that strides in place, its own control the asked one with the ripple of a gait."""

    def __init__(self, domain):
        self.domain = domain

    def generate(self, frames, control, start, factors, generator):
        ripple = 0.2 * (torch.arange(frames) * 12 / 60).sin()
        own = control + torch.stack([0 * ripple, ripple, 0 * ripple], -1)
        joints = self.domain.skeleton.offsets.float().cumsum(0).expand(len(control), frames, -1, -1).clone()
        joints[..., 0, :] = torch.tensor([0.0, 0.9, 0.0])
        six = torch.tensor([1.0, 0, 0, 0, 1, 0]).expand(len(control), frames, len(self.domain.names), 6)
        return Motion(joints, own, six, torch.ones(len(control), frames, 2))


def test_the_body_stays_on_the_path_and_sways(run: Path, line: Path, tmp_path: Path) -> None:
    from kinema.training.run import load_run

    domain = load_run(run).domain
    points = torch.tensor([[0, 0], [0, 8], [-6, 8], [-6, 14]]).double()
    places, heading = trajectory.follow(points, None, 60.0)
    asked = Asked(trajectory.differentiate(places, heading, 60.0), places[0], heading[0])
    (body,) = joined(list(walk(Steady(domain), asked, torch.Generator())))
    away = trajectory.distance_to_path(body.root[:, [0, 2]], points)
    assert float(away.mean()) < 0.05
    assert len(body) == len(places)
    speed = body.root.diff(dim=0).norm(dim=-1) * 60
    assert 0.1 < float(speed[200:400].amax() - speed[200:400].amin()) / 2 < 0.3, "the ripple of the gait is there"


def test_blocks_are_the_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.training.run import load_run

    monkeypatch.setattr(Gaussian, "draw", lambda gaussian, generator: gaussian.mean)
    model = load_run(run).model
    assert isinstance(model, Locomotion | Fitted)
    control = torch.tensor([0.0, 1.3, 0.2]).double().expand(1500, 3)
    asked = Asked(control, torch.zeros(3).double(), torch.tensor(0.3).double(), samples=2)
    whole = joined(list(walk(model, asked, torch.Generator())))
    monkeypatch.setattr(walks, "BLOCK", 6.0)
    blocks = list(walk(model, asked, torch.Generator()))
    assert len(blocks) > 3
    for a, b in zip(joined(blocks), whole, strict=True):
        assert len(a) == 1500
        assert float((a.root - b.root).abs().max()) < 1e-3
        assert float((a.joints() - b.joints()).norm(dim=-1).mean()) < 1e-3


@pytest.mark.parametrize("name", ["walk.bvh", "walk.npz", "walk.csv", "walk.gif"])
def test_every_format(run: Path, line: Path, tmp_path: Path, name: str) -> None:
    synthesize(str(run), path=str(line), out=str(tmp_path / name), speed=3.0, quiet=True)
    assert (tmp_path / name).stat().st_size > 1000


def test_what_is_written_is_what_was_made(run: Path, line: Path, tmp_path: Path) -> None:
    (made,) = synthesize(str(run), path=str(line), out=str(tmp_path / "walk.bvh"), quiet=True)
    again = read_motion(tmp_path / "walk.bvh")
    away = (again.joints() - made.joints()).norm(dim=-1)
    assert float(away.max()) < 1e-4, "a tenth of a millimetre"


def test_a_long_walk_is_written_as_it_is_made(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "time,forward,sideways,turn\n0,1.2,0,0\n30,1.2,0,30\n"
    (tmp_path / "asked.csv").write_text(asked)
    monkeypatch.setattr(walks, "BLOCK", 7.0)
    (whole,) = synthesize(str(run), controls=str(tmp_path / "asked.csv"), out=str(tmp_path / "a.bvh"), quiet=True)
    monkeypatch.setattr("kinema.verbs.synthesize.LONG", 10.0)
    assert synthesize(str(run), controls=str(tmp_path / "asked.csv"), out=str(tmp_path / "b.bvh"), quiet=True) == []
    again = read_motion(tmp_path / "b.bvh")
    assert len(again) == len(whole) == 1801
    assert float((again.joints() - whole.joints()).abs().max()) < 1e-4
    angles = read_bvh(tmp_path / "b.bvh").values[:, 3:]
    assert abs(angles[1:] - angles[:-1]).max() < 180, "no angle jumps where blocks meet"


def test_a_crowd_is_one_file_with_a_body_for_every_draw(run: Path, line: Path, tmp_path: Path) -> None:
    made = synthesize(str(run), path=str(line), out=str(tmp_path / "crowd.glb"), samples=3, quiet=True)
    assert len(pygltflib.GLTF2().load(str(tmp_path / "crowd.glb")).skins) == 3
    assert not torch.equal(made[0].rotations, made[1].rotations)
    with pytest.raises(KinemaError, match="one body"):
        synthesize(str(run), path=str(line), out=str(tmp_path / "crowd.bvh"), samples=3, quiet=True)


def test_controls_of_a_stranger(run: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text("time,forward,sideways,turn\n0,1.2,0,0\n1,1.2,0,0\n2,1.2,0,45\n")
    (made,) = synthesize(str(run), controls=str(tmp_path / "asked.csv"), out=str(tmp_path / "a.npz"), quiet=True)
    assert len(made) == 121
    assert 2.1 < float(made.root[-1].norm()) < 2.8


def test_a_start_clip_of_the_same_skeleton(run: Path, line: Path, tmp_path: Path, capsys) -> None:
    clip = make_gait(GaitConfig(train=1, test=1), "train", 0).clip
    write_motion(clip, tmp_path / "start.bvh")
    usual, begun = (
        synthesize(str(run), path=str(line), out=str(tmp_path / "a.npz"), start=start, quiet=True)[0]
        for start in (None, f"{tmp_path / 'start.bvh'}@10:")
    )
    assert not torch.equal(usual.rotations, begun.rotations)


def test_it_says_how_far_it_strayed_and_what_is_not_known(run: Path, line: Path, tmp_path: Path, capsys) -> None:
    synthesize(str(run), path=str(line), out=str(tmp_path / "a.npz"), speed=9.0)
    told = capsys.readouterr().out
    assert "distance from the line" in told
    assert "forward reaches" in told


def test_what_is_refused(run: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = ["synthesize", str(run), "--out", str(tmp_path / "a.bvh")]
    (tmp_path / "one.csv").write_text("x,z\n1,1\n")
    (tmp_path / "words.csv").write_text("x,z\n1,1\n2,two\n")
    (tmp_path / "units.csv").write_text("forward,sideways,turn\n120,0,0\n120,0,0\n")
    other = make_gait(GaitConfig(train=1, test=1), "train", 0).clip
    write_motion(other, tmp_path / "short.bvh")
    for words, said in (
        (good, "--path"),
        ([*good, "--path", str(line), "--controls", str(line)], "either"),
        ([*good, "--path", str(tmp_path / "none.csv")], "none.csv"),
        ([*good, "--path", str(tmp_path / "one.csv")], "one.csv"),
        ([*good, "--path", str(tmp_path / "words.csv")], "two"),
        ([*good, "--controls", str(tmp_path / "units.csv")], "centimetres"),
        ([*good, "--path", str(line), "--samples", "0"], "at least 1"),
        ([*good, "--path", str(line), "--style", "sad"], "this run knows"),
        ([*good, "--path", str(line), "--start", f"{tmp_path / 'short.bvh'}@0:2"], "at least 4"),
        (["synthesize", "builtin:sprites", "--out", "a.bvh", "--path", str(line)], "locomotion"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert said in error, error
        assert len(error.strip().splitlines()) == 1
        assert not (tmp_path / "a.bvh").exists()
