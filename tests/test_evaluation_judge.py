from functools import partial

import pytest
import torch
from torch.testing import assert_close

from kinema.data.sprites import Sprites, SpritesConfig
from kinema.errors import FileError, RunError
from kinema.evaluation.judge import NearestRendering, audit
from kinema.evaluation.nearest import squared_distances
from kinema.evaluation.paper_judge import PaperJudge
from kinema.evaluation.trained_judge import (
    MOTION,
    OpinionJudge,
    TrainedJudge,
    attributes,
    audited,
    fit_judge,
    motion_index,
    motion_names,
)
from kinema.evaluation.windows import draw_windows, floats, pixels
from toy import Toy

CPU = torch.device("cpu")


def windows(split="test", count=40, seed=0):
    source, generator = Toy(split), torch.Generator().manual_seed(seed)
    return draw_windows(source, torch.randint(len(source), (count,), generator=generator), generator)


def test_squared_distances_are_those_of_the_definition():
    source, shown = Toy(), windows(count=7)
    times = shown.times() + torch.tensor([0.0, 0.3] * 4)
    distances = squared_distances(shown.frames(), times, len(source), lambda n, t: source.truth(n, n, t))
    candidates = torch.stack([source.truth(n := torch.arange(len(source)), n, t.expand(len(n), -1)) for t in times])
    expected = (shown.frames()[:, None].double() - candidates.double()).square().sum((2, 3, 4, 5))
    assert_close(distances.double(), expected, rtol=1e-5, atol=64.0)  # float32 sums of about 1e8


def test_chunks_do_not_change_the_distances(monkeypatch):
    source, shown = Toy(), windows(count=5)

    def distances():
        return squared_distances(shown.frames(), shown.times(), len(source), lambda n, t: source.truth(n, n, t))

    whole = distances()
    monkeypatch.setattr("kinema.evaluation.nearest.CHUNK_BYTES", 7 * 4 * 3 * 16 * 16)  # 7 frames, 15 times
    assert_close(distances(), whole)


def test_the_exact_judge_reads_true_renderings_at_real_times_too():
    source = Toy("test")
    some = torch.arange(0, len(source), 5)
    times = torch.rand(len(some), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 40
    read = NearestRendering(source).read(source.truth(some, some, times), times)
    for name, labels in source.labels.items():
        assert_close(read[name], labels[some])


def test_the_exact_judge_withstands_noise_and_blur():
    shown = windows()
    frames = floats(shown.frames())
    noisy = frames + 0.15 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(2))
    blurred = torch.nn.functional.avg_pool2d(noisy.flatten(0, 1), 3, 1, 1).view_as(frames)
    read = NearestRendering(Toy("test")).read(pixels(blurred), shown.times())
    for name in ("action", "colour", "direction"):
        assert (read[name] == shown.labels(name)).float().mean() >= 0.95


def test_the_exact_judge_is_fit():
    report = audit(NearestRendering(Toy("test")), Toy("test"), clips=64, seed=0)
    assert report.pop("fit")
    assert set(report.values()) == {1.0}


def test_the_exact_judge_is_fit_for_procedural_sprites():
    source = Sprites(SpritesConfig(size=32), "test")
    assert audit(NearestRendering(source), source, clips=48, seed=0)["fit"]


def test_one_mistake_in_2000_is_not_less_than_the_share_asked_for():
    """In single precision 1999 / 2000 is below 0.9995, which is 1999 / 2000."""

    class Once(NearestRendering):
        def read(self, frames, times):
            read = {name: value.clone() for name, value in super().read(frames, times).items()}
            read["colour"][0] = (read["colour"][0] + 1) % 4
            return read

    source = Toy("test")
    report = audit(Once(source), source, clips=2000, seed=0)
    assert report["real/colour"] == report["swap/colour"] == 1999 / 2000
    assert report["fit"]


def test_the_audit_refuses_an_untrained_judge():
    untrained = fit_judge(Toy("train"), steps=4, seed=0, device=CPU)
    report = audit(untrained, Toy("test"), clips=64, seed=0)
    assert report["fit"] is False
    assert report["swap/action"] < 0.9


def test_the_audit_refuses_a_judge_that_confuses_content_and_motion():
    class ReadsOnlyReal:
        """Right about every real clip, but reads the factors of a swap off the clip that moves."""

        def __init__(self, source):
            self.source, self.exact, self.asked = source, NearestRendering(source), 0

        def read(self, frames, times):
            self.asked += 1
            if self.asked == 1:
                self.remembered = self.exact.read(frames, times)
            return self.remembered

    report = audit(ReadsOnlyReal(Toy("test")), Toy("test"), clips=64, seed=0)
    assert report["real/colour"] == report["swap/action"] == 1.0
    assert report["swap/colour"] < 0.6
    assert report["fit"] is False


@pytest.fixture(scope="module")
def trained():
    return fit_judge(Toy("train"), steps=60, seed=0, device=CPU)


def test_a_trained_judge_is_fit_for_held_out_combinations(trained):
    report = audit(trained, Toy("test"), clips=256, seed=1)
    assert report["fit"], report


def test_a_judge_is_the_same_after_a_file(trained, tmp_path):
    trained.save(tmp_path / "judge.safetensors")
    loaded = TrainedJudge.load(tmp_path / "judge.safetensors")
    frames = floats(windows().frames())
    with torch.no_grad():
        for name, logits in trained(frames).items():
            assert_close(loaded(frames)[name], logits, rtol=0, atol=0)


def test_training_a_judge_is_repeatable_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, second = (fit_judge(Toy("train"), steps=2, seed=3, device=CPU, batch=8) for _ in range(2))
    assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("content", [b"", b"not a judge at all, but long enough to be one", None])
def test_a_damaged_judge_is_refused(content, tmp_path):
    path = tmp_path / "judge.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"judge\.safetensors"):
        TrainedJudge.load(path)


class Undirected(Toy):
    content = ("colour", "shape", "ground")


def test_the_joint_classes_are_action_and_direction_where_that_is_content():
    names = motion_names(Toy())
    assert names == ("across left", "across right", "upright left", "upright right", "around left", "around right")
    clips = torch.arange(12)
    joint = motion_index(Toy(), Toy().labels["action"][clips], clips)
    told = [f"{Toy()[i].labels['action']} {Toy()[i].labels['direction']}" for i in range(12)]
    assert [names[i] for i in joint] == told
    assert motion_names(Undirected()) == Toy.factors["action"]
    assert torch.equal(motion_index(Undirected(), torch.tensor([2, 0]), torch.tensor([0, 1])), torch.tensor([2, 0]))
    assert attributes(Toy()) == attributes(Undirected()) == ("colour", "shape", "ground")


def test_opinions_are_probabilities_of_every_factor_and_of_the_joint_classes(trained):
    shown = windows(count=100)
    opinions = trained.probabilities(shown.frames())
    assert isinstance(trained, OpinionJudge)
    assert {n: p.shape[1] for n, p in opinions.items()} == {**{n: len(v) for n, v in Toy.factors.items()}, MOTION: 6}
    with torch.no_grad():
        logits = trained(floats(shown.frames()))
    read = trained.read(shown.frames(), shown.times())
    for name, opinion in opinions.items():
        assert_close(opinion, logits[name].softmax(1), rtol=1e-4, atol=1e-5)
        assert_close(opinion.sum(1), torch.ones(100))
        assert torch.equal(read[name], opinion.argmax(1))
    joint = motion_index(shown.source, shown.labels("action"), shown.clips)
    assert (read[MOTION] == joint).float().mean() >= 0.99


def test_a_fit_judge_is_audited_in_identity_and_joint_classes_too(trained):
    report = audited(trained, Toy("test"), clips=128, seed=1)
    assert report["fit"] is True
    assert set(report) > set(audit(trained, Toy("test"), clips=4, seed=1)) | {"real/identity", "swap/motion"}


def test_a_judge_that_is_not_fit_is_refused_by_name():
    class Blind:
        """Right about all but the shape of swaps."""

        def __init__(self):
            self.exact, self.asked = NearestRendering(Toy("test")), 0

        def read(self, frames, times):
            self.asked += 1
            read = dict(self.exact.read(frames, times))
            if self.asked % 2 == 0:
                read["shape"] = torch.zeros_like(read["shape"])
            return read

    with pytest.raises(RunError, match=r"shape|identity") as error:
        audited(Blind(), Toy("test"), clips=64, seed=0)
    assert "true swaps" in str(error.value)
    assert "0.9995" in str(error.value)
    report = audited(Blind(), Toy("test"), clips=64, seed=0, refuse=False)
    assert report["fit"] is False
    assert report["swap/identity"] < 0.6
    assert report["real/identity"] == 1.0
    assert report["swap/shape"] < 0.6


def test_a_judge_that_misreads_only_the_joint_class_is_refused(trained):
    class Crossed:
        """Takes the direction of swaps from the clip that moves, in the joint head alone."""

        def __init__(self):
            self.asked = 0

        def read(self, frames, times):
            self.asked += 1
            read = trained.read(frames, times)
            return read if self.asked < 4 else {**read, MOTION: 5 - read[MOTION]}

    with pytest.raises(RunError, match="motion is read"):
        audited(Crossed(), Toy("test"), clips=64, seed=0)


def test_the_papers_judge_has_the_layers_of_its_table():
    judge = PaperJudge({"action": ("a", "b", "c")}, (64, 64))
    shapes = {name: tuple(p.shape) for name, p in judge.named_parameters() if p.dim() > 1}
    assert list(shapes.values()) == [
        (64, 3, 5, 5),
        (128, 64, 5, 5),
        (256, 128, 5, 5),
        (1024, 256),
        (4 * 512, 1024),
        (4 * 512, 512),
        (256, 512),
        (3, 256),
    ]
    assert judge(torch.rand(2, 4, 3, 64, 64))["action"].shape == (2, 3)
    small = PaperJudge({"action": ("a", "b", "c")}, (16, 24), width=4)
    assert small(torch.rand(2, 4, 4, 16, 24))["action"].shape == (2, 3)


def test_the_papers_judge_learns_and_survives_a_file(tmp_path):
    judge = fit_judge(Toy("train"), 80, 0, CPU, make=partial(PaperJudge, width=16))
    report = audited(judge, Toy("test"), clips=128, seed=0, refuse=False)
    assert report["real/colour"] > 0.95
    assert report["real/action"] > 0.8
    judge.save(tmp_path / "paper.safetensors")
    loaded = PaperJudge.load(tmp_path / "paper.safetensors")
    frames = windows(count=5).frames()
    for name, opinion in judge.probabilities(frames).items():
        assert_close(loaded.probabilities(frames)[name], opinion, rtol=0, atol=0)
    with pytest.raises(FileError, match=r"TrainedJudge\.save"):
        TrainedJudge.load(tmp_path / "paper.safetensors")


def test_the_papers_judge_hears_the_order_of_frames():
    judge = PaperJudge({"action": ("a", "b")}, (16, 16), width=4).eval()
    frames = torch.rand(3, 6, 3, 16, 16)
    assert not torch.allclose(judge.logits(frames), judge.logits(frames.flip(1)))
