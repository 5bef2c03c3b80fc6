"""What goes with an action in contents is taken from the clip and given to the action that is shown."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.training.finetune import adopt
from test_models_halo import ACTION, batch, clips, irregular, model
from toy import Toy

CONTENT = 5


def centred(seed=0, **options) -> Any:
    """Its centres far apart, as if they had been fitted, and all actions recognised about equally often."""
    halo: Any = model(seed, centred=1.0, **options)
    logits = halo.action_head(halo.encode(clips()))
    halo.action_head.per_action[:, -1] -= logits.mean(0)
    halo.centres.per_action.copy_(torch.randn(3, CONTENT, generator=torch.Generator().manual_seed(9)))
    return halo


def test_content_is_read_without_what_its_own_action_adds():
    halo = centred()
    h, own = halo.encode(clips()), halo.recognise(clips()).argmax(1)
    assert len(own.unique()) > 1
    content, raw = halo.content(h), halo.content.read(h)
    assert_close(content.mean, raw.mean - halo.centres.per_action[own])
    assert_close(content.logvar, raw.logvar, atol=0, rtol=0)


def test_what_is_shown_has_what_its_action_adds():
    halo, times = centred(), irregular()
    states = halo.phase(clips(), times, ACTION)
    z = torch.randn(len(ACTION), CONTENT)
    shown = halo.decode(z, states)
    assert_close(shown, halo.decoder(z + halo.centres.per_action[ACTION], states[..., : halo.config.d]))
    own = halo.recognise(clips()).argmax(1)
    plain: Any = model(centred=1.0)  # its centres are zero
    for asked, same in ((own, True), ((own + 1) % 3, False)):
        shown, uncentred = (m.transfer(clips(), clips(), times, asked) for m in (halo, plain))
        assert ((shown - uncentred).abs().max() < 1e-5) == same


def test_actions_at_once_add_by_their_shares():
    halo = centred()
    states = torch.zeros(1, 2, 3, 4)
    states[:, :, 0, 0], states[:, :, 2, 1] = 3.0, 1.0
    assert_close(halo.centres(states)[0], 0.9 * halo.centres.per_action[0] + 0.1 * halo.centres.per_action[2])
    assert_close(halo.centres(torch.zeros(2, 5, 3, 4)), torch.zeros(2, CONTENT))


def test_training_knows_nothing_of_it():
    losses, halo = [], centred().train()
    for scale in (1.0, 0.0):
        halo.centres.per_action.mul_(scale)
        torch.manual_seed(0)
        losses.append(halo.losses(batch()).total)
    assert losses[0] == losses[1]


def test_the_effects_are_those_of_actions_on_what_is_read():
    """Balanced data: the effect of an action is its mean content less the mean of all."""
    halo, source = centred(window=2, content_components=2), Toy()
    halo.finish(source, seed=0, draws=8 * len(source))
    every = torch.arange(len(source))
    read = []
    for start in range(8):
        window = source.window(every, torch.full_like(every, start))
        read.append(halo.content.read(halo.encode(window.frames.float() / 255)).mean)
    codes = torch.stack(read).mean(0)
    means = torch.stack([codes[source.labels["action"] == k].mean(0) for k in range(3)])
    spread = (means - means.mean(0)).norm()
    assert (halo.centres.per_action - (means - means.mean(0))).norm() < 0.2 * spread
    whole, half = halo.centres.per_action.clone(), centred(window=2)
    half.centres.share = 0.5
    half.finish(source, seed=0, draws=8 * len(source))
    assert_close(half.centres.per_action, whole / 2)
    first = source.window(every, torch.zeros_like(every)).frames.float() / 255
    drawn, expected = halo.draw_content(9000, torch.Generator().manual_seed(0)), halo.content(halo.encode(first))
    assert_close(drawn.mean(0), expected.mean.mean(0), atol=0.1, rtol=0)


def test_who_goes_on_from_such_a_run_has_its_centres():
    base, halo = centred(seed=1), centred()
    with torch.no_grad():
        adopt(halo, base, ("slash", "walk", "jump"), ("walk", "slash", "cast"))
    assert_close(halo.centres.per_action, base.centres.per_action[torch.tensor([1, 0, 0])])


def test_without_an_operator_for_each_action_nothing_can_be_centred():
    with pytest.raises(ConfigError, match=r"model\.centred"):
        model(conditional=False, centred=1.0)
    with pytest.raises(ConfigError, match=r"model\.centred is 1\.5; a share"):
        model(centred=1.5)
