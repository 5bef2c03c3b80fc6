"""Actions that a HALO tells apart without labels, and what it makes of them."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.evaluation.evaluate import evaluate
from kinema.evaluation.unlabelled import Unlabelled, without_labels
from kinema.models.base import domain_of
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig
from kinema.nn.found_actions import GRID, FoundActions, signature
from test_models_halo import SMALL
from toy import Toy

FOUND = {**SMALL, "conditional": False, "found_actions": 6, "prior": "learned"}


def frames(seed=0, size=16):
    return torch.rand(5, 8, 3, size, size, generator=torch.Generator().manual_seed(seed))


def fitted(**settings):
    torch.manual_seed(0)
    halo = Halo(HaloConfig(**{**FOUND, **settings}), domain_of(Toy())).eval()
    halo.fit(Toy())
    return halo


def test_a_signature_is_the_deviation_over_time_of_each_cell():
    x = frames(size=32)
    coarse = x.numpy().reshape(5, 8, 3, GRID, 2, GRID, 2).mean((4, 6))
    deviation = np.sqrt((coarse.std(1) ** 2).sum(1)).reshape(5, -1)
    expected = deviation / np.linalg.norm(deviation, axis=1, keepdims=True)
    assert_close(signature(x), torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


def test_a_signature_knows_no_colour_no_ground_and_no_order():
    x = frames()
    changed = 0.3 * x[:, :, [2, 0, 1]] + torch.rand(5, 1, 3, 16, 16)
    assert_close(signature(changed), signature(x), atol=1e-5, rtol=1e-4)
    assert_close(signature(x[:, torch.randperm(8)]), signature(x), atol=1e-5, rtol=1e-4)
    assert not signature(x[:, :1].expand(-1, 8, -1, -1, -1)).any(), "nothing moves"


def test_the_actions_of_people_who_were_not_seen_are_told_apart():
    halo, test = fitted(found_actions=9), Toy("test")
    seen = halo.found.of(test)
    together = torch.zeros(9, 3).index_put_((seen, test.labels["action"]), torch.ones(len(test)), accumulate=True)
    assert together.amax(1).sum() / len(test) >= 0.95
    assert len(together.argmax(1).unique()) == 3
    shares = halo.found.of(Toy()).bincount(minlength=9) / len(Toy())
    assert_close(halo.found.shares, shares)


def test_found_actions_take_the_place_of_labels_in_training():
    halo, source = fitted(), Toy()
    assert halo.domain.actions == tuple(f"found {k}" for k in range(6))
    prepared = halo.prepared(source)
    assert_close(prepared.labels["action"], halo.found.of(source))
    assert_close(source.labels["action"], Toy().labels["action"])
    clips = torch.tensor([0, 50, 100])
    batch = prepared.window(clips, torch.zeros_like(clips))
    assert_close(batch.factors["action"], halo.found.of(source)[clips])
    assert_close(batch.frames, source.window(clips, torch.zeros_like(clips)).frames)
    halo.losses(batch).total.backward()
    one = halo.recognise(batch.frames.float() / 255)
    assert_close(one.argmax(1), batch.factors["action"])


def test_one_operator_moves_and_it_is_the_one_that_is_seen():
    halo, source = fitted(), Toy()
    clips = torch.arange(0, 200, 20)
    batch = source.window(clips, torch.zeros_like(clips))
    x = batch.frames.float() / 255
    states = halo.phase(x, batch.times)
    seen = halo.found.of(source)[clips]
    assert_close(states, halo.phase(x, batch.times, seen))
    moving = states.abs().amax((1, 3)) > 0
    assert moving.sum(1).tolist() == [1] * len(clips)
    assert_close(moving.int().argmax(1), seen)


def test_a_single_picture_is_read_by_the_head():
    halo, x = fitted(), frames()[:, :1]
    assert_close(halo.recognise(x), halo.action_head(halo.encode(x)))


def test_a_protocol_that_tells_labels_changes_nothing():
    halo, source = fitted(), Toy()
    told = without_labels(halo)
    assert isinstance(told, Unlabelled)
    batch = source.window(torch.arange(6), torch.zeros(6, dtype=torch.int64))
    x, times = batch.frames.float() / 255, batch.times
    labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def shown(label):
        generator = torch.Generator().manual_seed(0)
        return (
            told.reconstruct(x, times, label),
            told.transfer(x, x.flip(0), times, label),
            told.animate_images(x[:, 0], label, times),
            told.codes(x, times, label)[1],
            told.with_prior_motion(x, label, times, generator),
            told.with_sampled_content(x, times, label, generator),
            told.at_times(x, times, times + 0.5, label),
            told.snapped(8.0).reconstruct(x, times, label),
            told.standard().reconstruct(x, times, label),
        )

    for one, other in zip(shown(labels), shown(labels.flip(0)), strict=True):
        assert_close(one, other)
    assert_close(shown(labels)[0], halo.reconstruct(x, times))
    torch.manual_seed(0)
    conditional = Halo(HaloConfig(**SMALL), domain_of(source)).eval()
    assert without_labels(conditional) is conditional


def test_drawn_actions_are_as_frequent_as_in_training():
    found = FoundActions(3)
    found.shares.copy_(torch.tensor([0.2, 0.5, 0.3]))
    drawn = found.draw(20_000, torch.Generator().manual_seed(0)).bincount(minlength=3) / 20_000
    assert_close(drawn, found.shares, atol=0.02, rtol=0)


def test_no_name_of_an_action_is_judged_where_the_model_has_its_own():
    results = evaluate(fitted(), Toy("test"), Toy(), 0, 6)
    assert not any("recogniser" in name for name in results)
    assert "swap/action_accuracy" in results


def test_what_was_found_is_saved_with_the_model():
    halo = fitted(content_parts=2, content_values=3)
    halo.finish(Toy(), seed=0)
    torch.manual_seed(1)
    again = Halo(halo.config, domain_of(Toy())).eval()
    again.load_state_dict(halo.state_dict())
    x = frames()
    assert_close(again.recognise(x), halo.recognise(x))
    z = [one.draw_content(40, torch.Generator().manual_seed(2)) for one in (halo, again)]
    assert_close(z[0], z[1])


def test_parts_are_fitted_to_the_means_of_the_posteriors():
    halo, source = fitted(content_parts=3, content_values=4), Toy()
    halo.finish(source, seed=0)
    batch = source.window(torch.arange(len(source)), torch.zeros(len(source), dtype=torch.int64))
    mean = halo.content(halo.encode(batch.frames.float() / 255)).mean.detach()
    z = halo.draw_content(4000, torch.Generator().manual_seed(1))
    assert_close(z.mean(0), mean.mean(0), atol=0.1 * float(mean.std()), rtol=0)
    assert_close(z.var(0).sum(), mean.var(0).sum(), atol=0, rtol=0.15)
    assert halo.standard().contents is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"found_actions": 3, "conditional": True}, "conditional: false"),
        ({"found_actions": -1, "conditional": False}, "found_actions is -1"),
        ({"content_parts": 3, "content_components": 2}, "give one of them"),
        ({"blend": 1.5}, "0 to 1"),
        ({"content_parts": 13, "content_values": 5}, "64"),
        ({"content_parts": 2, "content_values": 1}, "2 values or more"),
    ],
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(ConfigError, match=says):
        Halo(HaloConfig(**{**SMALL, **settings}), domain_of(Toy()))


def test_too_few_clips_are_refused():
    halo = Halo(HaloConfig(**{**FOUND, "found_actions": 500}), domain_of(Toy()))
    with pytest.raises(ConfigError, match="found_actions is 500; the data have 216 clips"):
        halo.fit(Toy())


@pytest.mark.parametrize("settings", [FOUND, SMALL], ids=["found", "named"])
def test_frames_are_encoded_once_to_be_moved(settings, monkeypatch):
    torch.manual_seed(0)
    halo = Halo(HaloConfig(**settings), domain_of(Toy())).eval()
    halo.fit(Toy())
    seen, encode = [], halo.encode
    monkeypatch.setattr(halo, "encode", lambda x: seen.append(len(x)) or encode(x))
    halo.phase(frames(), torch.arange(8, dtype=torch.float64).expand(5, -1))
    assert seen == [5]
