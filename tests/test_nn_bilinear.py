"""Networks that carry appearance: what they show at first, and that it is linear in the content, stranger or not."""

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.models.base import Domain
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig

ACTIONS = ("walk", "slash")
COUNT = 5
ALL = 3 * COUNT
"""Components of a channel, and of all three."""
SMALL = {"network": "bilinear", "content": ALL, "features": 8, "rank": 6, "d": 2}


def fitted(seed=0, **options):
    torch.manual_seed(seed)
    halo = Halo(HaloConfig(**{**SMALL, **options}), Domain(ACTIONS, 3, (6, 5), 4, 10.0)).eval()
    halo.coordinates.fit(pictures(80))
    return halo.requires_grad_(False)


def busy(seed=1, **options):
    """The same after training might have changed every weight."""
    halo = fitted(**options)
    generator = torch.Generator().manual_seed(seed)
    for weight in halo.parameters():
        weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return halo


def pictures(count, seed=0):
    """Pictures whose channels are of a few directions, so that five components hold them, in the middle of [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(count, 3, COUNT, generator=generator) @ torch.randn(
        COUNT, 30, generator=torch.Generator().manual_seed(9)
    )
    return (0.5 + 0.03 * made).clamp(0, 1).unflatten(2, (6, 5))


def states(halo, batch=2, steps=3):
    made = torch.randn(batch, steps, len(ACTIONS), 2 * halo.config.d, generator=torch.Generator().manual_seed(4))
    return made


def test_at_first_it_shows_the_mean_of_what_it_was_shown():
    halo, clip = fitted(), pictures(2 * 4, seed=3).unflatten(0, (2, 4))
    z = halo.content(halo.encode(clip)).mean
    shown = halo.decode(z, states(halo))
    assert_close(shown, clip.mean(1, keepdim=True).expand_as(shown), atol=2e-3, rtol=0)


def test_contents_of_training_frames_have_mean_0_and_variance_1():
    halo = fitted()
    z = halo.content(halo.encode(pictures(80)[:, None])).mean
    channels = z.unflatten(1, (3, COUNT)).flatten(0, 1)  # one after the other, with the same components
    assert_close(channels.mean(0), torch.zeros(COUNT), atol=1e-3, rtol=0)
    assert_close(channels.var(0, correction=0), torch.ones(COUNT), atol=1e-2, rtol=0)


def test_channels_are_moved_alike_and_apart():
    halo = busy(asked=0)
    halo.decoder.shift.weight.zero_()
    halo.decoder.shift.bias.zero_()
    z, state = torch.randn(1, ALL, generator=torch.Generator().manual_seed(2)), states(halo, 1)[..., : halo.config.d]
    turned = z.unflatten(1, (3, COUNT)).roll(1, 1).flatten(1)  # red as green, green as blue, blue as red
    shown, other = (halo.decoder(content, state)[..., :-1].unflatten(-1, (3, COUNT)) for content in (z, turned))
    assert_close(other, shown.roll(1, -2), atol=1e-5, rtol=1e-4)
    gray = z.clone()
    gray[:, COUNT:] = 0
    alone = halo.decoder(gray, state)[..., :-1].unflatten(-1, (3, COUNT))
    assert_close(alone[..., 0, :], shown[..., 0, :], atol=1e-5, rtol=1e-4)
    assert not alone[..., 1:, :].any()


def test_a_frame_is_affine_in_the_content_where_gains_go_by_the_state_alone():
    halo = busy(asked=0)
    state = states(halo, 1).expand(3, -1, -1, -1)
    a, b = torch.randn(2, ALL, generator=torch.Generator().manual_seed(2))
    part = 3.7  # far beyond both
    shown = halo.decoder(torch.stack([a, b, part * a + (1 - part) * b]), state[..., : halo.config.d])
    assert_close(shown[2], part * shown[0] + (1 - part) * shown[1], atol=2e-4, rtol=1e-4)
    curved = busy(asked=4)
    asked = curved.decoder(torch.stack([a, b, part * a + (1 - part) * b]), state[..., : halo.config.d])
    assert (asked[2] - part * asked[0] - (1 - part) * asked[1]).abs().max() > 1e-2


def test_the_content_is_linear_in_the_frame_given_its_features():
    halo = busy()
    features = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(2))
    e = torch.randn(2, 1, ALL, generator=torch.Generator().manual_seed(3))
    both = torch.cat([e, 2 * e[:1] - 5 * e[1:]])
    z = halo.content(torch.cat([features.expand(3, -1, -1), both], -1)).mean
    assert_close(z[2], 2 * z[0] - 5 * z[1], atol=1e-4, rtol=1e-4)


def test_another_action_moves_the_appearance_in_another_way():
    halo = busy(asked=0)
    z = torch.randn(2, ALL, generator=torch.Generator().manual_seed(2))
    state = torch.zeros(2, 1, 2, 4)
    state[:, 0, 0] = 1.0
    other = state.flip(2)
    walk, slash = (halo.decoder(z, s[..., :2])[:, 0] for s in (state, other))
    assert ((walk[0] - walk[1]) - (slash[0] - slash[1])).abs().max() > 1e-2  # a map of its own, not an offset


def test_heads_of_motion_do_not_see_the_coordinates():
    halo = busy()
    h = torch.randn(2, 8 + ALL, generator=torch.Generator().manual_seed(2))
    changed = h.clone()
    changed[:, 8:] += 1
    u = torch.eye(2)
    assert_close(halo.position(h, u).mean, halo.position(changed, u).mean, rtol=0, atol=0)


def test_content_has_as_many_components_of_every_channel():
    with pytest.raises(ConfigError, match="16 is no multiple of the pictures' 3 channels"):
        Halo(HaloConfig(**{**SMALL, "content": ALL + 1}), Domain(ACTIONS, 3, (6, 5), 4, 10.0))
