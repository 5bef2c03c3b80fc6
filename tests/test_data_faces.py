"""Parametric faces: who they are, what they express and when, and what a swap shows."""

import pytest
import torch
from torch.nn import functional

from kinema.data.faces import ATTRIBUTES, FACTORS, Faces, FacesConfig, activity, attributes, combination, everyone
from kinema.errors import ConfigError

CONFIG = FacesConfig(size=32)
EXPRESSIONS = range(6)


@pytest.fixture(scope="module")
def everything() -> Faces:
    return Faces(CONFIG, "all")


def clips_of(source: Faces, action: int) -> torch.Tensor:
    """The first take of everybody in the split making this expression."""
    people = len(source.identity.unique())
    return (torch.arange(people) * 6 + action) * source.config.takes


def neutral(source: Faces, action: int = 0) -> torch.Tensor:
    clips = clips_of(source, action)
    return source.truth(clips, clips, torch.full((len(clips), 1), -50.0, dtype=torch.float64))[:, 0].float()


def apex(source: Faces, action: int) -> torch.Tensor:
    clips = clips_of(source, action)
    return source.truth(clips, clips, source.clock.knots[clips, 1:3].mean(1, keepdim=True))[:, 0].float()


def test_any_two_people_differ_in_two_attributes_at_least(everything):
    cast = everyone()[:52]
    values = torch.stack(list(attributes(cast).values()), 1)
    assert values.shape == (52, 5)
    differ = (values[:, None] != values).sum(-1) + 9 * torch.eye(52, dtype=torch.long)
    assert differ.min() == 2
    for name, column in attributes(cast).items():
        assert sorted(column.unique().tolist()) == list(range(len(FACTORS[name])))
    assert torch.equal(combination(attributes(cast)), cast)
    assert sorted(everyone().tolist()) == list(range(720))
    faces = neutral(everything).flatten(1)
    apart = torch.cdist(faces, faces) ** 2 / faces.shape[1] + 1e6 * torch.eye(52)
    assert apart.min() > 100  # mean squared error: 28 dB, the least of 1326 pairs


def test_a_face_at_any_strength_of_any_expression_is_nearest_to_its_own_neutral_face(everything):
    rest = neutral(everything).flatten(1)
    for action in EXPRESSIONS:
        assert torch.cdist(apex(everything, action).flatten(1), rest).argmin(1).tolist() == list(range(52))


@pytest.mark.parametrize("size", [32, 64])
def test_expressions_of_people_never_seen_are_told_apart_by_how_faces_change(size):
    train, test = (Faces(FacesConfig(size=size), split) for split in ("train", "test"))

    def change(source: Faces, show) -> torch.Tensor:
        """How each face differs from rest, of length 1: what expressions share between people. (6, P, pixels)."""
        still = neutral(source)
        return torch.stack([functional.normalize((show(source, a) - still).flatten(1), dim=1) for a in EXPRESSIONS])

    known, new = change(train, apex).flatten(0, 1), change(test, apex).flatten(0, 1)
    nearest = (new @ known.T).argmax(1) // 42  # training holds 42 people of each expression
    assert (nearest == torch.arange(6).repeat_interleave(10)).float().mean() >= 0.95
    # At rest all are alike, so nothing but the expression tells them apart.
    assert torch.equal(neutral(test, 0), neutral(test, 5))


def test_clips_have_the_lengths_of_mug_and_begin_and_end_at_rest(everything):
    counts = everything.frame_counts()
    assert len(everything) == 52 * 6 * 3
    assert (int(counts.min()), int(counts.max())) == (50, 160)
    clips = torch.arange(0, len(everything), 13)
    ends = everything.frames(clips, torch.stack([torch.zeros_like(clips), counts[clips] - 1], 1)).float()
    rest = everything.truth(clips, clips, torch.full((len(clips), 1), -50.0, dtype=torch.float64)).float()
    assert ((ends - rest).square().mean((2, 3, 4)) < 1).all()
    beyond = everything.frames(clips, (counts[clips] + 5)[:, None])
    assert torch.equal(beyond[:, 0].float(), ends[:, 1])


def test_timings_differ_between_takes_and_rising_is_no_mirror_of_falling(everything):
    start, top, leave, end = everything.clock.knots.unbind(1)
    assert ((start >= 0) & (start < top) & (top < leave) & (leave < end) & (end < everything.frame_counts())).all()
    assert (top - start).min() >= 8
    assert (top - start).max() <= 14
    assert ((top - start) - (end - leave)).abs().mean() > 2
    takes = everything.clock.knots.view(-1, 3, 4)
    assert ((takes[:, 0] - takes[:, 1]).abs().amax(1) > 0.5).float().mean() > 0.95


def test_activity_rises_and_falls_smoothly_once(everything):
    clock = everything.clock.pick(torch.arange(len(everything)))
    clock.sway[:, 0] = 0  # what is left is the minimum-jerk curve
    times = torch.linspace(-5, 170, 17501, dtype=torch.float64)
    for clip in range(0, len(everything), 60):
        one = clock.pick(torch.tensor([clip]))
        level = activity(one, times[None])[0]
        for part, sign in ((0, 0.5), (1, -0.5)):
            shifted = one.knots[0] - sign * float(one.lead)
            slope = level[:, part].diff() / 0.01
            assert (slope[(times[1:] < shifted[1])] >= -1e-12).all()
            assert (slope[(times[:-1] > shifted[2])] <= 1e-12).all()
            assert slope.diff().abs().max() / 0.01 < 0.1  # no kink: acceleration stays finite, at most 5.8 / 8²
            half = (shifted[0] + shifted[1]) / 2
            middle = level[(times - half).abs().argmin(), part]
            torch.testing.assert_close(middle, one.apex[0] / 2, rtol=0, atol=2e-3)
            assert float(level[:, part].max()) == pytest.approx(float(one.apex))


def test_every_training_window_shows_the_expression(everything):
    times = torch.arange(160).double().expand(len(everything), -1)
    level = activity(everything.clock, times).amin(-1)
    seen = level.unfold(1, 15, 1)[..., ::2].amax(-1)  # (N, starts)
    begins = torch.arange(seen.shape[1]) < everything.rooms(anywhere=True)[:, None]
    assert everything.rooms(anywhere=True).max() == 146
    assert seen[begins].min() > 0.45


def test_a_swap_is_the_person_of_one_with_the_expression_and_timing_of_the_other(everything):
    a, b = torch.tensor([100, 700, 35]), torch.tensor([410, 8, 801])
    times = torch.tensor([[0.0, 12.5, 31.25, 60.0]], dtype=torch.float64).expand(3, 4)
    swap = everything.truth(a, b, times)
    assert torch.equal(everything.truth(a, a, times.floor()), everything.frames(a, times.long()))
    # The same person's own clip of that expression differs in its timing alone: at the apex of both it is alike.
    own = (everything.identity[a] * 6 + everything.labels["action"][b]) * 3
    tops = (everything.clock.knots[clips, 1:3].mean(1, keepdim=True) for clips in (b, own))
    swapped, mine = (everything.truth(a, clips, top).float() for clips, top in zip((b, own), tops, strict=True))
    assert (swapped - mine).square().mean() < 60
    assert not torch.equal(swap, everything.truth(a, own, times))
    # At rest nothing of b is left.
    rest = torch.full((3, 1), -9.0, dtype=torch.float64)
    assert torch.equal(everything.truth(a, b, rest), everything.truth(a, a, rest))


def test_people_move_as_strongly_as_they_do_whoever_gives_the_timing(everything):
    a = torch.tensor([0, 18, 36, 900])
    times = torch.tensor([[20.0, 25.0]], dtype=torch.float64).expand(4, 2)
    together = everything.truth(a, torch.full_like(a, 410), times)
    for row, clip in enumerate(a.tolist()):
        alone = everything.truth(torch.tensor([clip]), torch.tensor([410]), times[:1])
        torch.testing.assert_close(together[row].float(), alone[0].float(), rtol=0, atol=1)


def test_people_are_parted_and_the_seed_decides(everything):
    train, test = Faces(CONFIG, "train"), Faces(CONFIG, "test")
    held_out = set(test.identity.tolist())
    assert len(held_out) == 10
    assert not held_out & set(train.identity.tolist())
    assert len(train) + len(test) == len(everything)
    looks = {tuple(row) for row in torch.stack([train.labels[n] for n in ATTRIBUTES], 1).tolist()}
    assert not looks & {tuple(row) for row in torch.stack([test.labels[n] for n in ATTRIBUTES], 1).tolist()}
    # A clip is the same clip in whatever split it lies.
    clip = torch.tensor([25])
    same = torch.tensor([int(test.identity[25]) * 18 + 25 % 18])
    steps = torch.tensor([[0, 14, 33]])
    assert torch.equal(test.frames(clip, steps), everything.frames(same, steps))
    assert torch.equal(Faces(CONFIG, "test").clock.knots, test.clock.knots)
    other = Faces(FacesConfig(size=32, seed=1), "test")
    assert set(other.identity.tolist()) != held_out
    others = Faces(CONFIG, "others")
    assert sorted(others.identity.unique().tolist()) == list(range(52, 720))
    assert not set(others.person.tolist()) & set(everything.person.tolist())
    with pytest.raises(ConfigError, match="train, test, all, others"):
        Faces(CONFIG, "val")


def test_render_draws_any_combination_and_the_cast_as_it_is(everything):
    clips = torch.tensor([3, 500])
    factors = {name: value[clips] for name, value in everything.labels.items()}
    rest = torch.zeros(2, 1, dtype=torch.float64) - 3
    assert torch.equal(everything.render(factors, rest), everything.truth(clips, clips, rest))
    stranger = {name: (value + 1) % len(FACTORS[name]) for name, value in factors.items()}
    times = torch.tensor([[0.0, 50.0], [0.0, 50.5]], dtype=torch.float64)
    shown = everything.render(stranger, times).float()
    assert ((shown[:, 0] - shown[:, 1]).square().mean((1, 2, 3)) > 3).all()


def test_small_pictures_are_large_ones_made_small():
    sizes = {size: Faces(FacesConfig(size=size), "all") for size in (32, 128)}
    for action in EXPRESSIONS:
        small, large = (apex(source, action)[::7] for source in sizes.values())
        error = (small - functional.avg_pool2d(large, 4)).square().mean()
        assert error < 80  # 29 dB


def test_no_colour_runs_over():
    source = Faces(FacesConfig(), "all")
    clips = torch.arange(len(source))
    red, _, blue = source.truth(clips, clips, source.clock.knots[:, 1:2] + 2)[:, 0].unbind(1)
    assert not ((blue > 200) & (red < 100)).any()


def test_items_windows_and_settings(everything):
    clip, window = everything[40], everything.window(torch.tensor([40]), torch.tensor([6]))
    assert len(clip) == int(everything.frame_counts()[40])
    assert torch.equal((clip.frames * 255).round().byte()[6:21:2], window.frames[0])
    assert window.times[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert clip.labels["action"] == "disgust"
    assert set(clip.labels) == {*ATTRIBUTES, "action"}
    moved = everything.to(torch.device("cpu"))
    assert torch.equal(moved.window(torch.tensor([40]), torch.tensor([6])).frames, window.frames)
    assert 0 < everything.nbytes() < 1e6


@pytest.mark.parametrize("wrong", [{"size": 8}, {"takes": 0}, {"length": 30, "stride": 2}, {"stride": 0}])
def test_settings_that_are_not_possible_are_refused(wrong):
    with pytest.raises(ConfigError, match="faces"):
        FacesConfig(**wrong)


@pytest.mark.parametrize("count", [0, 52, 50])
def test_a_split_without_people_or_without_an_attribute_is_refused(count):
    with pytest.raises(ConfigError, match="identities"):
        Faces(FacesConfig(test_identities=count), "train")
