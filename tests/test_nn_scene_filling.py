"""f_b that fills in: it mixes what was painted with colours of the frame, and learns to continue what is hidden."""

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig
from kinema.nn.scene_filling import FillingEncoder, alike
from kinema.nn.scene_pixels import PixelEncoder, Step


def begun(width=8, features=3, patch=4, heads=2):
    return FillingEncoder(PixelEncoder(3, width, features, "zeros", patch), width, "zeros", heads)


def encoder(features=3, patch=4, heads=2, scale=0.3):
    torch.manual_seed(0)
    filling = begun(8, features, patch, heads)
    with torch.no_grad():
        for p in filling.parameters():
            p.normal_(std=scale)
    return filling


@pytest.mark.parametrize(("size", "patch"), [((16, 16), 2), ((60, 60), 4), ((12, 20), 4), ((9, 15), 3)])
def test_it_begins_near_the_frame_and_takes_odd_sizes(size, patch):
    x = torch.rand(2, 3, *size) - 0.5
    z = begun(features=5, patch=patch)(x)
    assert z.shape == (2, 5, *size)
    assert (z[:, :3] - x).abs().max() < 0.25
    assert not z[:, 3:].any(), "the other channels are silent at the beginning"


def test_every_colour_is_a_mixture_of_the_frames_own():
    x = torch.rand(4, 3, 16, 16) - 0.5
    filling = encoder(scale=2.0)
    shown = filling.filled(x, x, torch.randn(4, 8, 4, 4))
    low, high = (end(x.flatten(2), 2).values[..., None, None] for end in (torch.min, torch.max))
    assert bool((shown >= low - 1e-5).all())
    assert bool((shown <= high + 1e-5).all())
    assert (shown - x).abs().max() > 0.3


def test_colours_are_copied_by_places():
    """What is copied from where is told by the features alone: other colours there, other colours here."""
    filling, h = encoder(), torch.randn(2, 8, 4, 4)
    x = torch.rand(2, 3, 16, 16) - 0.5
    painted = torch.rand(2, 3, 16, 16) - 0.5
    shown = filling.filled(painted, x, h)
    assert_close(filling.filled(painted.flip(1), x.flip(1), h), shown.flip(1))
    assert_close(filling.filled(-0.5 * painted, -0.5 * x, h), -0.5 * shown)
    nothing = torch.zeros_like(x)
    assert_close(filling.filled(painted, nothing, h) + filling.filled(nothing, x, h), shown)


def test_what_is_copied_does_not_hang_on_how_long_features_are():
    """With all else silent features are those of the first layer: a thousand times as long they copy the same."""
    filling, x = encoder(), torch.rand(2, 3, 16, 16) - 0.5
    with torch.no_grad():
        for part in (filling.up, *(step[-1] for step in filling.fine if isinstance(step, Step))):
            for p in part.parameters():
                p.zero_()
        shown = filling(x)
        for p in filling.first.parameters():
            p.mul_(1000)
        assert_close(filling(x), shown, atol=1e-5, rtol=1e-5)
        filling.first.weight.neg_()
    assert (filling(x) - shown).abs().max() > 0.01


def test_the_attention_is_that_of_its_formula():
    filling, h = encoder(patch=2, heads=3), torch.randn(1, 8, 3, 4)
    x, painted = torch.rand(2, 1, 3, 6, 8) - 0.5
    shown = filling.filled(painted, x, h)
    find, offer, mix = (layer(h)[0].double() for layer in (filling.find, filling.offer, filling.mix))
    asks, keys = find.view(2, 3, 16, 12)
    place = {
        (r, c): x[0, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten(1).double() for r in range(3) for c in range(4)
    }
    for r in range(3):
        for c in range(4):
            weights = (mix.view(4, 4, 3, 4)[:, :, r, c] + filling.ahead[..., 0].double()).softmax(0)
            mixed = weights[0] * painted[0, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten(1).double()
            for head in range(3):
                towards = (asks[head, :, 4 * r + c] @ keys[head] / 4).softmax(0)
                offered = [place[k // 4, k % 4] @ offer.view(3, 4, 12)[head, :, k].softmax(0) for k in range(12)]
                found = sum(share * colour for share, colour in zip(towards, offered, strict=True))
                mixed = mixed + weights[1 + head] * torch.as_tensor(found)[:, None]
            here = shown[0, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten(1).double()
            assert_close(here, mixed, atol=1e-5, rtol=1e-5)


def test_neighbours_of_one_colour_are_told():
    x = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.02, 0.5]]).expand(1, 3, 2, 3)
    across = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.3679, 0.0]])
    assert_close(alike(x, 3)[0, 0], across, atol=1e-4, rtol=0)
    assert_close(alike(x, 2)[0, 0], torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.3679, 1.0]]), atol=1e-4, rtol=0)


def test_what_is_hidden_is_filled_with_colours_never_seen_in_training():
    """A canvas of two halves with a black square on it; reds are left out of training, and tested."""
    torch.manual_seed(0)
    filling = begun(16)
    adam = torch.optim.Adam(filling.parameters(), 3e-3)

    def scenes(count, red):
        colour = torch.rand(count, 3, 2)
        colour[:, 0] = 0.5 * colour[:, 0] + (0.5 if red else 0.0)
        canvas = torch.cat([colour[:, :, :1].expand(-1, -1, 12), colour[:, :, 1:].expand(-1, -1, 12)], 2)
        canvas = canvas[:, :, None].expand(-1, -1, 24, -1)
        hidden = canvas.clone()
        hidden[..., 8:17, 6:18] = 0
        return hidden - 0.5, canvas - 0.5

    for _ in range(75):
        x, truth = scenes(16, red=False)
        adam.zero_grad()
        (filling(x) - truth).square().mean().backward()
        adam.step()
    x, truth = scenes(200, red=True)
    with torch.no_grad():
        off = (filling(x) - truth)[..., 8:17, 6:18].square().mean()
    mean = truth.mean((2, 3), keepdim=True)
    assert off < 0.1 * (mean - truth).square().mean()


def test_until_it_is_due_it_shows_what_was_painted():
    """`anneal` says when; all that is drawn before it begins as without it."""
    domain = PairDomain((16, 16), 5.0)
    options = {"networks": "pixels", "width": 8, "features": 3, "hidden": 8, "settle": 0.1}
    torch.manual_seed(1)
    plain = Renderer(RendererConfig(**options), domain)
    torch.manual_seed(1)
    filling = Renderer(RendererConfig(**options, filling=2), domain)
    with torch.no_grad():
        for p in filling.background_encoder.get_submodule("mix").parameters():
            p.normal_()
    x = torch.rand(2, 3, 16, 16)
    filling.anneal(0.2)
    assert_close(filling.encode_background(x), plain.encode_background(x), atol=0, rtol=0)
    theirs = dict(filling.named_parameters())
    for name, p in plain.named_parameters():
        assert_close(theirs[name.replace("background_encoder.", "background_encoder.painted.")], p, atol=0, rtol=0)
    filling.anneal(0.31)
    assert (filling.encode_background(x) - plain.encode_background(x)).abs().max() > 0.01


def test_only_pixels_can_be_filled():
    with pytest.raises(ConfigError, match=r"model\.filling is 4; networks: residual cannot"):
        RendererConfig(filling=4)
    with pytest.raises(ConfigError, match=r"model\.filling"):
        RendererConfig(networks="pixels", filling=-1)
