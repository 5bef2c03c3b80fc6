"""Procedural sprites: their motion in time, what a swap shows, what can be told apart, how they are split."""

import itertools

import pytest
import torch

from kinema.data.figure import ACTIONS, DIRECTIONS, GROUND, PERIOD, skeleton
from kinema.data.sprites import APPEARANCES, ATTRIBUTES, FACTORS, Sprites, SpritesConfig
from kinema.errors import ConfigError

CYCLE = torch.arange(8)


@pytest.fixture(scope="module")
def everything() -> Sprites:
    return Sprites(SpritesConfig(size=32), "all")


@pytest.fixture(scope="module")
def some() -> torch.Tensor:
    return torch.randperm(APPEARANCES * 9, generator=torch.Generator().manual_seed(1))[:40]


def factors_of(source: Sprites, clips: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: value[clips] for name, value in source.labels.items()}


def cycles(source: Sprites, clips: torch.Tensor) -> torch.Tensor:
    return source.frames(clips, CYCLE.expand(len(clips), 8))


def clips_with(source: Sprites, **factors: int) -> torch.Tensor:
    found = torch.stack([source.labels[name] == value for name, value in factors.items()])
    return found.all(0).nonzero().squeeze(1)


def test_every_combination_is_there_once(everything):
    rows = torch.stack(list(everything.labels.values()), dim=1)
    assert len(rows.unique(dim=0)) == len(everything) == 4**4 * 9
    assert [len(FACTORS[name]) for name in ATTRIBUTES] == [4, 4, 4, 4]


@pytest.mark.parametrize("action", ACTIONS)
def test_limbs_keep_their_length_and_the_lower_foot_its_ground(action):
    body = skeleton(action, torch.linspace(0, 8, 97, dtype=torch.float64))
    bones = [
        (body.hips, body.knees),
        (body.knees, body.ankles),
        (body.shoulders, body.elbows),
        (body.elbows, body.hands),
    ]
    for upper, lower in bones:
        length = (upper - lower).norm(dim=-1)
        torch.testing.assert_close(length, length[:1, :1].expand_as(length), rtol=0, atol=1e-9)
    lowest = body.ankles[..., 2].amin(1)
    torch.testing.assert_close(lowest, lowest[:1].expand_as(lowest), rtol=0, atol=1e-9)


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_periodic_and_smooth(action):
    times = torch.linspace(0, PERIOD, 401, dtype=torch.float64)
    hands = skeleton(action, times).hands
    torch.testing.assert_close(hands, skeleton(action, times - 3 * PERIOD).hands, rtol=0, atol=1e-9)
    speed = hands.diff(dim=0).norm(dim=-1) / (times[1] - times[0])
    assert float(speed.max()) < 32  # units a frame: half the cell
    assert float(speed.diff(dim=0).abs().max()) < 2


def test_walking_left_is_walking_right_half_a_cycle_later_in_the_mirror():
    times = torch.linspace(0, 8, 33, dtype=torch.float64)
    left, _ = DIRECTIONS["left"].project(skeleton("walk", times).ankles)
    right, _ = DIRECTIONS["right"].project(skeleton("walk", times + 4).ankles.flip(1))
    mirrored = torch.stack([64 - right[..., 0], right[..., 1]], dim=-1)
    torch.testing.assert_close(left, mirrored, rtol=0, atol=1e-9)
    assert float(left[..., 1].max()) < GROUND


@pytest.mark.parametrize("size", [16, 32, 50])
def test_the_figure_fills_its_cell_and_is_never_cut(size):
    source = Sprites(SpritesConfig(size=size), "all")
    seen = (source.maps > 0).any(0)
    rows, columns = seen.any(1).nonzero().squeeze(1), seen.any(0).nonzero().squeeze(1)
    assert rows.min() > 0
    assert rows.max() < size - 1
    assert columns.min() > 0
    assert columns.max() < size - 1
    assert int(rows.max() - rows.min() + 1) >= 0.75 * size


def test_rendering_whole_times_anew_is_what_is_stored(everything, some):
    # One time between frames makes `render` draw all of them.
    times = torch.cat([CYCLE, torch.tensor([0.5])]).double().expand(40, 9)
    drawn = everything.render(factors_of(everything, some), times)
    assert torch.equal(drawn[:, :8], cycles(everything, some))
    assert torch.equal(everything.render(factors_of(everything, some), times[:, :8] + 16), drawn[:, :8])


def test_a_cycle_takes_eight_frames(everything, some):
    assert torch.equal(everything.frames(some, CYCLE.expand(40, 8) + 8), cycles(everything, some))
    times = torch.tensor([0.3, -1.7, 2.25]).double().expand(40, 3)
    factors = factors_of(everything, some)
    assert torch.equal(everything.render(factors, times), everything.render(factors, times + 8))
    start = torch.full((40,), 6)
    window = everything.window(some, start).frames
    assert torch.equal(window, cycles(everything, some).roll(-6, dims=1))


def test_pictures_change_little_in_little_time(everything, some):
    times = torch.arange(0, 8, 0.04).double().expand(3, 200)
    frames = everything.render(factors_of(everything, some[:3]), times)
    changed = (frames[:, 1:] != frames[:, :-1]).any(2).sum((-2, -1))
    size = (frames > 0).any(2).sum((-2, -1)).double().mean()
    assert float(changed.double().mean()) < 0.02 * size
    assert int(changed.max()) < 0.7 * size  # the head moves by one whole pixel
    assert bool((frames[:, ::25] != frames[:, 12::25]).flatten(2).any(-1).all())


def test_truth_is_the_own_clip_and_the_clip_with_both_factors(everything):
    clips = torch.randperm(len(everything), generator=torch.Generator().manual_seed(2))[:120]
    a, b = clips[:60], clips[60:]
    times = CYCLE.double().expand(60, 8)
    assert torch.equal(everything.truth(a, a, times), cycles(everything, a))
    factors = factors_of(everything, a) | {"action": everything.labels["action"][b]}
    twin = torch.cat(
        [clips_with(everything, **{name: int(value[i]) for name, value in factors.items()}) for i in range(60)]
    )
    assert torch.equal(everything.truth(a, b, times), cycles(everything, twin))


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_is_told_from_every_other_in_every_frame(everything, attribute):
    others = [name for name in ATTRIBUTES if name != attribute]
    for action, direction in itertools.product(range(3), range(3)):
        clips = clips_with(everything, action=action, direction=direction)
        order = torch.stack([everything.labels[name][clips] for name in (*others, attribute)])
        rank = (order * torch.tensor([[64], [16], [4], [1]])).sum(0).argsort()
        values = cycles(everything, clips[rank]).view(64, 4, 8, 3, 32, 32).int()
        for i, j in itertools.combinations(range(4), 2):
            apart = (values[:, i] - values[:, j]).abs().amax(2) > 30
            assert int(apart.sum((-2, -1)).min()) >= 6, (attribute, i, j, action, direction)


def test_actions_and_directions_are_told_apart(everything):
    for appearance in (0, 85, 170, 255):
        clips = (everything.identity == appearance).nonzero().squeeze(1)
        frames = cycles(everything, clips).int()
        for i, j in itertools.combinations(range(9), 2):
            apart = (frames[i] - frames[j]).abs().amax(1) > 30
            assert int(apart.sum()) > 8 * 20, (i, j)


def test_alpha_is_the_silhouette_and_colours_are_premultiplied(everything, some):
    opaque = cycles(everything, some)
    rgba = cycles(Sprites(SpritesConfig(size=32, alpha=True), "all"), some)
    assert torch.equal(rgba[:, :, :3], opaque)
    assert torch.equal(rgba[:, :, 3] == 255, (opaque > 0).any(2))
    assert sorted(rgba[:, :, 3].unique().tolist()) == [0, 255]


def test_items_show_the_same_as_windows(everything):
    clip = everything[1234]
    window = everything.window(torch.tensor([1234]), torch.tensor([0]))
    assert torch.equal((clip.over() * 255).round().byte(), window.frames[0])
    for name, value in window.factors.items():
        assert clip.labels[name] == FACTORS[name][int(value[0])]
    assert clip.name == "sprites/skin2-top0-bottom2-hair1/walk/front"
    assert len(everything[-1]) == 8
    with pytest.raises(IndexError):
        everything[len(everything)]


def test_held_out_appearances_are_whole_and_every_value_is_trained(everything):
    config = SpritesConfig(size=32)
    train, test = Sprites(config, "train"), Sprites(config, "test")
    assert not set(train.identity.tolist()) & set(test.identity.tolist())
    assert len(test.identity.unique()) == 51
    assert len(train) + len(test) == len(everything)
    for name in ATTRIBUTES:
        assert len(train.labels[name].unique()) == 4
    assert torch.equal(Sprites(config, "test").identity, test.identity)
    assert not torch.equal(Sprites(SpritesConfig(size=32, seed=1), "test").identity, test.identity)
    clips = torch.arange(0, len(test), 7)
    twins = torch.cat([clips_with(everything, **{k: int(v[i]) for k, v in test.labels.items()}) for i in clips])
    assert torch.equal(cycles(test, clips), cycles(everything, twins))


@pytest.mark.parametrize("wrong", [{"size": 8}, {"length": 0}, {"held_out": 0.0}, {"held_out": 1.0}])
def test_settings_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ConfigError, match="sprites"):
        SpritesConfig(**wrong)


def test_splits_that_do_not_exist_or_do_not_train_are_refused():
    with pytest.raises(ConfigError, match="train, test, all"):
        Sprites(SpritesConfig(size=16), "validation")
    with pytest.raises(ConfigError, match="held_out"):
        Sprites(SpritesConfig(size=16, held_out=0.99), "train")


def test_directed_sprites_have_nine_actions_and_the_same_pictures():
    plain, directed = (Sprites(SpritesConfig(size=32, directed=flag), "test") for flag in (False, True))
    assert len(directed.actions) == 9
    assert "direction" not in directed.factors
    assert "direction" not in directed.content
    clips, steps = torch.tensor([0, 4, 17]), torch.arange(8).expand(3, -1)
    assert torch.equal(plain.frames(clips, steps), directed.frames(clips, steps))
    motion = torch.tensor([8, 3, 1])
    shown = directed.truth(clips, motion, steps.double())
    looks = {name: directed.labels[name][clips] for name in directed.content}
    wanted = {"action": plain.labels["action"][motion], "direction": plain.labels["direction"][motion]}
    assert torch.equal(shown, plain.render({**looks, **wanted}, steps.double()))
    for clip in range(9):
        label = plain[clip].labels
        assert directed[clip].labels["action"] == f"{label['action']} {label['direction']}"


def test_more_frames_of_a_cycle_are_those_between():
    """Every other frame of 16 is one of 8, the rest lie half way; the cycle lasts as long."""
    fine, coarse = (Sprites(SpritesConfig(size=32, cycle=cycle), "test") for cycle in (16, 8))
    clips = torch.arange(0, len(fine), 41)
    steps = torch.arange(16).expand(len(clips), -1)
    shown = fine.frames(clips, steps)
    assert torch.equal(shown[:, ::2], cycles(coarse, clips))
    assert torch.equal(shown, coarse.truth(clips, clips, steps / 2))
    assert torch.equal(fine.truth(clips, clips, steps + 0.5), coarse.truth(clips, clips, (steps + 0.5) / 2))
    assert torch.equal(fine.truth(clips, clips, steps + 16.0), shown)
    assert len(fine[0]) / fine.fps == len(coarse[0]) / coarse.fps
    assert int(fine.frame_counts()[0]) == 16
    with pytest.raises(ConfigError, match="cycle is 1 frames; at least 2"):
        SpritesConfig(cycle=1)
