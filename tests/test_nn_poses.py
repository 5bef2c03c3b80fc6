"""Appearance by pose: maps, contents and poses against data whose truth is known."""

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.models.base import Domain, domain_of
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig
from kinema.nn.posed import marked
from kinema.nn.poses import Poses, everywhere
from toy import Toy

ACTIONS, VIEWS, STEPS, CHANNELS, N, FACTORS, NOISE = 2, 2, 3, 3, 10, 2, 0.05


class Truth:
    """Contents whose frames are what the model says they are."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.means = 4 * torch.randn(ACTIONS, VIEWS, STEPS, N, generator=generator)
        self.loadings = torch.randn(ACTIONS, VIEWS, STEPS, N, FACTORS, generator=generator)

    def frames(self, z, view, noise=NOISE, seed=1):
        """(B, A, P, C, n) of contents (B, C, f)."""
        made = self.means[:, view].movedim(1, 0)[:, :, :, None] + torch.einsum(
            "bapnf,bcf->bapcn", self.loadings[:, view].movedim(1, 0), z
        )
        return made + noise * torch.randn(made.shape, generator=torch.Generator().manual_seed(seed))


def drawn(count=20_000, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, FACTORS, generator=generator), torch.arange(count) % VIEWS


def fitted():
    truth, poses = Truth(), Poses(N, ACTIONS, VIEWS, STEPS, FACTORS, NOISE)
    z, view = drawn()
    poses.fit_frames(truth.frames(z, view), view)
    return truth, poses


def test_the_maps_are_the_true_ones_but_for_a_turn_of_the_factors():
    truth, poses = fitted()
    assert_close(poses.means_per_action, truth.means, atol=0.1, rtol=0)
    for view in range(VIEWS):
        found, true = (w[:, view].flatten(0, 2) for w in (poses.loadings_per_action, truth.loadings))
        assert_close(found @ found.mT, true @ true.mT, atol=0.25, rtol=0.1)


def test_strangers_are_shown_in_poses_that_they_were_not_seen_in():
    """Read from one action with its noise, shown in the other: the error is that of the posterior, no more."""
    truth, poses = fitted()
    z, view = drawn(40, seed=5)
    z = 2 * z  # farther out than anybody in training
    seen = truth.frames(z, view)[:, 0]
    read, told = poses.content(seen)
    assert torch.equal(told, view)
    for action, step in ((0, 0), (1, 2)):
        weight = torch.zeros(40, 1, ACTIONS, STEPS)
        weight[:, 0, action, step] = 1
        shown = poses.shown(read.mean, told, weight)[:, 0]
        assert_close(shown, truth.frames(z, view, noise=0)[:, action, step], atol=0.3, rtol=0)


def test_channels_do_not_meet():
    truth, poses = fitted()
    z, view = drawn(6, seed=5)
    seen = truth.frames(z, view)[:, 0]
    read, _ = poses.content(seen)
    swapped, _ = poses.content(seen[:, :, [2, 0, 1]])
    assert_close(swapped.mean, read.mean[:, [2, 0, 1]], atol=1e-4, rtol=1e-4)


def test_contents_are_those_of_the_joint_gaussian():
    """Of all frames of a clip together, by the textbook's formula over their concatenation, in double precision."""
    truth, poses = fitted()
    z, view = drawn(4, seed=5)
    seen = truth.frames(z, view)[:, 1]
    read, _ = poses.content(seen)
    for b in range(4):
        w = poses.loadings_per_action[1, view[b]].flatten(0, 1).double()
        x = (seen[b] - poses.means_per_action[1, view[b]][:, None]).movedim(1, 0).flatten(1).double()
        covariance = w @ w.mT + NOISE**2 * torch.eye(len(w), dtype=torch.float64)
        assert_close(read.mean[b].double(), x @ torch.linalg.solve(covariance, w), atol=1e-3, rtol=1e-3)


def test_contents_follow_the_maps_when_these_change():
    """Maps that are loaded into a model that has read before: nothing that was kept of the old ones counts."""
    truth, poses = fitted()
    z, view = drawn(4, seed=5)
    seen = truth.frames(z, view)[:, 1]
    other = Poses(N, ACTIONS, VIEWS, STEPS, FACTORS, NOISE)
    other.content(seen)
    other.load_state_dict(poses.state_dict())
    assert_close(other.content(seen)[0].mean, poses.content(seen)[0].mean, rtol=0, atol=0)


def test_more_frames_make_surer():
    truth, poses = fitted()
    z, view = drawn(4, seed=5)
    every = truth.frames(z, view).flatten(1, 2)
    spreads = [poses.content(every[:, :count])[0].logvar.mean() for count in (1, 3, 6)]
    assert spreads[0] > spreads[1] > spreads[2]


def with_horns(truth, count, seed, noise=0.0):
    """Contents who all wear what nobody in training wore, how much of it channel by channel."""
    horn = torch.randn(ACTIONS, VIEWS, STEPS, N, generator=torch.Generator().manual_seed(7))
    z, view = drawn(count, seed)
    much = 2 * torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(seed + 1))
    worn = torch.einsum("bc,bapn->bapcn", much, horn[:, view].movedim(1, 0))
    return truth.frames(z, view, noise) + worn, view


def error_in_the_other_action(poses, frames, view):
    """Of strangers read from the first action and shown in the second."""
    weight = torch.zeros(len(view), STEPS, ACTIONS, STEPS)
    weight[:, torch.arange(STEPS), 1, torch.arange(STEPS)] = 1
    shown = poses.shown(poses.content(frames[:, 0])[0].mean, view, weight)
    return float((shown - frames[:, 1]).square().mean())


def test_what_a_few_wear_is_shown_on_others_once_maps_are_fitted_to_them():
    truth, poses = fitted()
    poses = larger(poses)
    own, strangers = with_horns(truth, 4, 11), with_horns(truth, 40, 13)
    plain = drawn(40, seed=5)
    plain = truth.frames(*plain, noise=0), plain[1]
    before = [error_in_the_other_action(poses, *group) for group in (strangers, plain)]
    poses.refit_frames(own[0], torch.ones(4, ACTIONS, dtype=torch.bool))
    after = [error_in_the_other_action(poses, *group) for group in (strangers, plain)]
    assert after[0] < 0.05 * before[0]
    assert after[1] < 1.5 * before[1]


def larger(poses):
    """The same maps with room for two more factors."""
    room = Poses(N, ACTIONS, VIEWS, STEPS, FACTORS + 2, NOISE)
    weights = poses.state_dict()
    weights["loadings_per_action"] = torch.nn.functional.pad(weights["loadings_per_action"], (0, 2))
    room.load_state_dict(weights)
    return room


def test_those_seen_in_one_action_count_elsewhere_as_what_it_lets_expect():
    """Contents that are just as the maps say: seen in one action or in all, they leave the same maps."""
    _, poses = fitted()
    z, view = drawn(30, seed=5)
    frames = torch.einsum("bapnf,bcf->bapcn", poses.loadings_per_action[:, view].movedim(1, 0), z)
    frames = frames + poses.means_per_action[:, view].movedim(1, 0)[:, :, :, None]
    maps = []
    for seen in ([True, True], [True, False], [False, True]):
        other = Poses(N, ACTIONS, VIEWS, STEPS, FACTORS, NOISE)
        other.load_state_dict(poses.state_dict())
        unseen = torch.where(torch.tensor(seen)[:, None, None, None], frames, 9.0)  # must not be looked at
        other.refit_frames(unseen, torch.tensor(seen).expand(30, -1))
        maps.append(torch.einsum("avpnf,avpmf->avpnm", other.loadings_per_action, other.loadings_per_action))
    assert_close(maps[1], maps[0], atol=0.02, rtol=0.02)
    assert_close(maps[2], maps[0], atol=0.02, rtol=0.02)


def test_poses_of_strangers_are_told():
    truth, poses = fitted()
    z, view = drawn(100, seed=5)
    told, action, step = poses.told(truth.frames(z, view).flatten(1, 2))
    assert torch.equal(told, view)
    right = (action == torch.arange(6) // 3) & (step == torch.arange(6) % 3)
    assert right.float().mean() > 0.9
    alone, _, _ = poses.told(truth.frames(z, view).flatten(0, 2)[:, None])
    assert (alone == view.repeat_interleave(6)).float().mean() > 0.9


def test_a_frame_between_poses_is_part_of_each():
    _, poses = fitted()
    z, view = drawn(2, seed=5)
    weight = torch.zeros(2, 3, ACTIONS, STEPS)
    weight[:, 0, 0, 1] = weight[:, 1, 1, 2] = 1
    weight[:, 2, 0, 1], weight[:, 2, 1, 2] = 0.25, 0.75
    shown = poses.shown(z, view, weight)
    assert_close(shown[:, 2], 0.25 * shown[:, 0] + 0.75 * shown[:, 1], atol=1e-5, rtol=1e-5)


def test_views_are_marked_by_numbers_of_mean_0_and_variance_1():
    every = marked(torch.arange(4), 4)
    assert torch.equal(every.argmax(1), torch.arange(4))
    assert_close(every.mean(0), torch.zeros(4).double())
    assert_close(every.var(0, correction=0), torch.ones(4).double())


SMALL = {
    "network": "posed",
    "components": 60,
    "content": 3 * 40 + 2,
    "views": 2,
    "content_noise": 0.03,
    "features": 16,
    "d": 2,
    "closed": True,
    "prior": "learned",
}


def toy_model(**options):
    torch.manual_seed(0)
    halo = Halo(HaloConfig(**{**SMALL, **options}), domain_of(Toy())).eval()
    halo.fit(Toy())
    return halo


def test_fitted_to_clips_it_shows_strangers_in_other_actions():
    """The maps alone, poses given: nobody of the test clips was in training, and nobody is nearer than a tenth."""
    halo, test = toy_model(), Toy("test")
    poses = halo.decoder.poses
    clips = everywhere(test, 3)
    x = test.frames(clips[:, 0], torch.arange(8).expand(len(clips), -1)).float() / 255
    z = halo.content(halo.encode(x)).mean
    weight = torch.zeros(len(clips), 8, 3, 8)
    weight[:, torch.arange(8), 1, torch.arange(8)] = 1
    shown = poses.shown(z[:, :-2].unflatten(-1, (3, -1)), z[:, -2:].argmax(-1), weight).flatten(2)
    made = halo.coordinates.leave(torch.cat([shown, torch.zeros_like(shown[..., :1])], -1))
    truth = test.frames(clips[:, 1], torch.arange(8).expand(len(clips), -1)).float() / 255
    error, still = ((made - truth).square().mean(), (x - truth).square().mean())
    assert error < 0.1 * still


def test_contents_that_change_in_the_same_places_are_seen_in_one_view():
    halo, test = toy_model(), Toy("test")
    clips = everywhere(test, 3)[:, 0]
    x = test.frames(clips, torch.arange(8).expand(len(clips), -1)).float() / 255
    view = halo.content(halo.encode(x)).mean[:, -2:].argmax(-1)
    both = torch.stack([view, test.labels["shape"][clips]]).unique(dim=1)  # shapes change most of it, colours nothing
    assert len(both[1].unique()) == both.shape[1]
    assert view.unique().tolist() == [0, 1]


def test_everywhere_lists_a_clip_of_each_action_of_each_content():
    source = Toy()
    clips = everywhere(source, 3)
    assert len(clips) == len(source) // 3
    assert torch.equal(source.labels["action"][clips], torch.arange(3).expand(len(clips), -1))
    for name in source.content:
        assert (source.labels[name][clips] == source.labels[name][clips[:, :1]]).all()
    source.labels = {**source.labels, "action": source.labels["action"].clone()}
    source.labels["action"][clips[3, 1]] = 0
    assert len(everywhere(source, 3)) == len(clips) - 1


def shown_in_another_action(halo, test):
    """Mean squared error of the test clips of the first action shown in the second, poses given."""
    clips = everywhere(test, 3)
    steps = torch.arange(8)
    x, truth = (test.frames(clips[:, a], steps.expand(len(clips), -1)).float() / 255 for a in (0, 1))
    z = halo.content(halo.encode(x)).mean
    weight = torch.zeros(len(clips), 8, 3, 8)
    weight[:, steps, 1, steps] = 1
    factors, view = z[:, :-2].unflatten(-1, (3, -1)), z[:, -2:].argmax(-1)
    shown = halo.decoder.poses.shown(factors, view, weight).flatten(2)
    made = halo.coordinates.leave(torch.cat([shown, torch.zeros_like(shown[..., :1])], -1))
    return float((made - truth).square().mean())


class Shapes(Toy):
    """The training toys of some shapes."""

    def __init__(self, *shapes):
        super().__init__()
        mine = torch.isin(self.labels["shape"], torch.tensor(shapes))
        self.labels = {name: value[mine] for name, value in self.labels.items()}
        self.identity = self.identity[mine]


def test_fitted_once_more_to_shapes_of_ones_own_it_shows_them_better():
    torch.manual_seed(0)
    halo = Halo(HaloConfig(**SMALL), domain_of(Toy())).eval()
    halo.fit(Shapes(0, 1))
    bars = Shapes(2)
    before = shown_in_another_action(halo, bars)
    weights = {name: value.clone() for name, value in halo.state_dict().items()}
    halo.refit(bars)
    assert shown_in_another_action(halo, bars) < 0.8 * before
    changed = {name for name, value in halo.state_dict().items() if not torch.equal(value, weights[name])}
    assert changed == {"decoder.poses.loadings_per_action"}


def test_clips_that_are_no_whole_cycle_change_no_map():
    halo, source = toy_model(), Toy("test")
    before = halo.decoder.poses.loadings_per_action.clone()
    source.frame_counts = lambda: torch.full((len(source),), 7)
    halo.refit(source)
    assert torch.equal(halo.decoder.poses.loadings_per_action, before)


def test_contents_that_are_not_seen_in_every_action_are_too_few():
    source = Toy()
    source.labels = {**source.labels, "action": torch.zeros_like(source.labels["action"])}
    with pytest.raises(ConfigError, match="0 contents are seen in every action, and 4 are needed"):
        Halo(HaloConfig(**SMALL), domain_of(source)).fit(source)


def test_clips_shorter_than_a_cycle_are_refused():
    with pytest.raises(ConfigError, match=r"a cycle has 9 frames \(model.period\)"):
        toy_model(period=9.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"conditional": False}, "one action at a time"),
        ({"period": 7.5}, "whole frames, not 7.5"),
        ({"content": 121}, r"content 2 .*more than a multiple of 3 .*, not 121"),
        ({"content": 2}, r"content 2 .*more than a multiple of 3 .*, not 2"),
        ({"content": 122, "views": 1}, r"content 0 .*more than a multiple of 3 .*, not 122"),
        ({"content_noise": 0.0}, "model.content_noise above 0"),
    ],
)
def test_settings_that_cannot_be(options, said):
    with pytest.raises(ConfigError, match=said):
        Halo(HaloConfig(**{**SMALL, **options}), Domain(("walk", "slash"), 3, (16, 16), 8, 10.0))
