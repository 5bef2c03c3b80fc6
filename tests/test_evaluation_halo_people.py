"""People are coloured blobs that sway, hop or wave before a wall of their own colour."""

import pytest
import torch

from kinema.clip import VideoClip
from kinema.data.folders import FolderClips, FolderConfig
from kinema.errors import ConfigError
from kinema.evaluation import halo_people
from kinema.evaluation.halo_people import (
    Committee,
    evaluate_people,
    movement,
    passes,
    person_mask,
    small,
    varied,
    wall_alone,
    without_wall,
)
from kinema.evaluation.trained_judge import JudgeNetwork
from kinema.evaluation.windows import floats
from kinema.files.strip import write_strip
from kinema.models.base import Domain

ACTIONS = ("across", "round", "upright")
PEOPLE = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.95], [0.9, 0.9, 0.1]])
WALLS = torch.tensor([[0.5, 0.4, 0.45], [0.4, 0.5, 0.45], [0.45, 0.45, 0.55], [0.55, 0.5, 0.4]])
SIDE, LENGTH = 32, 8


def render(action, person, wall, times):
    """Clips (B, T, 3, 32, 32) of blobs that move as `action` says; people and walls by number."""
    angle = times * torch.pi / 4
    swing = 7 * torch.stack([angle.cos(), angle.sin()], -1)
    ways = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    x, y = (swing * ways[action][:, None] + (SIDE - 1) / 2)[..., None, None].unbind(2)
    line = torch.arange(SIDE, dtype=torch.float64)
    body = (4.5 - torch.hypot(line - x, line[:, None] - y)).clamp(0, 1)[:, :, None]
    stones = 0.03 * torch.sin(line * 2.1)[:, None] * torch.cos(line * 1.3)
    behind = WALLS[wall][:, None, :, None, None] + stones
    return body * PEOPLE[person][:, None, :, None, None] + (1 - body) * behind


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    times = torch.arange(16, dtype=torch.float64)[None]
    for number, action in enumerate(ACTIONS):
        (root / action).mkdir()
        for person in range(4):
            for copy in "ab":
                one = torch.tensor([person])
                frames = render(torch.tensor([number]), one, one, times + (copy == "b"))[0].float()
                write_strip(VideoClip(frames), root / action / f"person{person}_{copy}.png")
    config = FolderConfig(
        root=str(root), identity=r"(person\d+)", test=("person3",), size=SIDE, length=LENGTH, loop=False
    )
    return FolderClips(config, "test"), FolderClips(config, "train")


class Unasked:
    """What the contract has and these measures do not ask for."""

    def losses(self, batch):
        raise NotImplementedError

    recognise = reconstruct = transfer = animate_images = codes = with_sampled_content = losses


class Oracle(Unasked):
    """Reads person and wall off the picture, and draws the truth."""

    domain = Domain(ACTIONS, 3, (SIDE, SIDE), LENGTH, 10.0)

    def numbers(self, content):
        wall = (content[:, :, :, 0, 0].mean(1)[:, None] - WALLS).norm(dim=2).argmin(1)
        apart = (content - WALLS[wall][:, None, :, None, None]).abs().sum(2)
        place = apart[:, 0].flatten(1).argmax(1)
        seen = content[:, 0].flatten(2)[torch.arange(len(content)), :, place]
        return (seen[:, None] - PEOPLE).norm(dim=2).argmin(1), wall

    def with_prior_motion(self, content, action, times, generator):
        person, wall = self.numbers(content)
        phase = 8 * torch.rand(len(content), 1, generator=generator)
        return render(action, person, wall, times + phase).float()


class Noise(Unasked):
    domain = Oracle.domain

    def with_prior_motion(self, content, action, times, generator):
        return torch.rand(content.shape, generator=generator)


class OtherPerson(Oracle):
    """Keeps the wall and the action, and loses the person."""

    def with_prior_motion(self, content, action, times, generator):
        _, wall = self.numbers(content)
        return render(action, (wall + 1) % 4, wall, times).float()


class OnlyWall(Oracle):
    """Keeps the wall; nobody is there."""

    def with_prior_motion(self, content, action, times, generator):
        _, wall = self.numbers(content)
        return WALLS[wall][:, None, :, None, None].expand(content.shape).float()


class OtherWall(Oracle):
    """Right in all, before a wall of somebody else: the wall is not what is asked for."""

    def with_prior_motion(self, content, action, times, generator):
        person, wall = self.numbers(content)
        return render(action, person, (wall + 1) % 4, times).float()


class Pasted(Oracle):
    """Gives the input back."""

    def with_prior_motion(self, content, action, times, generator):
        return content


class Still(Oracle):
    def with_prior_motion(self, content, action, times, generator):
        return content[:, :1].expand_as(content)


@pytest.fixture(scope="module")
def measure(sources):
    """Measures doubles with judges that are fitted once."""
    test, train = sources
    fit, fitted = halo_people.fit_reader, {}

    def once(sources, factor, names, view, *rest):
        key = factor, view
        if key not in fitted:
            fitted[key] = fit(sources, factor, names, view, *rest)
        return fitted[key]

    def measured(double):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(halo_people, "fit_reader", once)
            patch.setattr(halo_people, "VIEWS", 1)
            patch.setattr(halo_people, "BATCH", 8)
            patch.setattr(halo_people, "MEMBERS", 2)
            return evaluate_people(double(), test, train, 0, steps=30, learned=ACTIONS[:2], audit=ACTIONS[2])

    return measured


@pytest.fixture(scope="module")
def oracle(measure):
    return measure(Oracle)


def test_the_judges_are_fit_and_the_oracle_reaches_every_bar(oracle):
    for name in ("judge/action", "judge/person", "judge/person held out", "judge/person training"):
        assert oracle[name] == 1, name
    assert all(passes(oracle).values())
    assert oracle["held out/action"] == oracle["training/kept"] == 1
    assert oracle["held out/own action"] == pytest.approx(1 / 3)
    assert oracle["judge/chance person"] == 0.25


def test_a_committee_is_as_sure_as_its_members_together():
    """Two who are not sure and right outvote one who is a little surer and wrong."""

    class Member(JudgeNetwork):
        def __init__(self, *shares):
            super().__init__({"who": ("one", "another")}, (4, 4))
            self.shares = torch.tensor([shares])

        def logits(self, frames):
            return self.shares.log().expand(len(frames), -1) + 7.0

    members = [Member(0.6, 0.4), Member(0.6, 0.4), Member(0.35, 0.65)]
    votes = Committee(members).logits(torch.zeros(3, 1, 3, 4, 4))
    expected = torch.tensor([[0.6 * 0.6 * 0.35, 0.4 * 0.4 * 0.65]]).log() / 3
    torch.testing.assert_close(votes, expected.expand(3, -1))


def test_members_learn_each_by_themselves(sources):
    _, train = sources
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halo_people, "MEMBERS", 2)
        patch.setattr(halo_people, "BATCH", 4)
        judges = [halo_people.fit_reader([train], "action", ACTIONS, movement, seed, 1) for seed in (0, 0, 1)]
    first, again, other = ([m.heads.weight for m in judge.members] for judge in judges)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    everyone = [*first, *other]
    assert not any(torch.equal(a, b) for k, a in enumerate(everyone) for b in everyone[:k])


def test_clips_are_counted_not_windows(oracle):
    assert oracle["held out/action clips"] == oracle["judge/action clips"] == 6  # 3 actions, each twice
    assert oracle["held out/kept clips"] == 2
    assert oracle["training/kept clips"] == 6
    assert oracle["judge/person clips"] == 8


def test_a_wall_that_tells_the_person_is_found_out(oracle):
    """Walls and people go together here: who learns from walls knows all, who learned from people reads nothing."""
    assert oracle["judge/wall learned"] > oracle["judge/wall only"]
    assert oracle["judge/wall learned"] > 0.6


@pytest.mark.parametrize(
    ("double", "fails"),
    [
        (Noise, {"held out/action", "training/kept"}),
        (OtherPerson, {"held out/kept", "training/kept"}),
        (OnlyWall, {"held out/action", "training/kept"}),
        (Pasted, {"held out/action"}),
        (Still, {"held out/action"}),
    ],
)
def test_noise_and_cheats_fail_where_they_should(measure, double, fails):
    verdicts = passes(measure(double))
    assert fails <= {name for name, reached in verdicts.items() if not reached}


def test_the_wall_does_not_count(measure):
    results = measure(OtherWall)
    assert results["held out/kept"] == results["training/kept"] == 1


def test_pasting_the_input_is_seen_as_such(measure):
    results = measure(Pasted)
    assert results["held out/own action"] == 1
    assert results["held out/action"] == pytest.approx(1 / 3, abs=0.05)


def test_the_mask_is_the_person(sources):
    _, train = sources
    frames = train.frames(torch.tensor([0, 5]), torch.arange(8).expand(2, -1))
    mask = person_mask(floats(frames))
    assert mask.float().mean() == pytest.approx(3.14159 * 4**2 / SIDE**2, rel=0.35)
    shown = without_wall(floats(frames)) + wall_alone(floats(frames))
    assert torch.equal(shown, floats(frames))
    assert not mask[..., :2].any()


def test_the_mask_follows_neither_lamp_nor_stillness(sources):
    """Half the light leaves the mask where it is, and somebody who stands still, as the median over time would not."""
    _, train = sources
    frames = floats(train.frames(torch.tensor([0]), torch.arange(8)[None]))
    assert ((person_mask(frames) == person_mask(0.6 * frames)).float().mean()) > 0.99
    still = frames[:, :1].expand_as(frames)
    assert torch.equal(person_mask(still)[:, 0], person_mask(still)[:, 5])
    assert person_mask(still).any()
    assert movement(still)[:, :, 0].abs().max() == 0


def test_training_clips_are_varied_alike_in_all_frames():
    frames = torch.rand(3, 1, 3, 32, 32).expand(-1, 4, -1, -1, -1)
    shown = varied(frames, torch.Generator().manual_seed(0))
    assert shown.shape == frames.shape
    assert torch.equal(shown[:, 0], shown[:, 3])
    assert (shown[:, 0] - frames[:, 0]).abs().mean() > 0.1
    inner, some = shown[0, 0].flatten(1).sort(1).values, frames[0, 0].flatten(1).sort(1).values
    assert 0.5 < float(inner.mean() / some.mean()) < 1.5


def test_larger_frames_are_averaged():
    frames = torch.zeros(1, 2, 4, 64, 64, dtype=torch.uint8)
    frames[..., ::2, :] = 200
    assert torch.allclose(small(frames), torch.full((1, 1, 3, 32, 32), 100 / 255))


def test_unknown_actions_are_refused(sources):
    with pytest.raises(ConfigError, match="wave2"):
        evaluate_people(Oracle(), *sources, 0, learned=ACTIONS[:2])
