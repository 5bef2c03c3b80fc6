"""f_b that fills in: it only ever shows colours of the frame, and learns to continue what is hidden."""

import pytest
import torch
from torch.testing import assert_close

from kinema.errors import ConfigError
from kinema.models.renderer_config import RendererConfig
from kinema.nn.scene_filling import FillingEncoder, alike


def encoder(features=3, patch=4, heads=2, scale=0.3):
    torch.manual_seed(0)
    filling = FillingEncoder(8, features, "zeros", patch, heads)
    with torch.no_grad():
        for p in filling.parameters():
            p.normal_(std=scale)
    return filling


@pytest.mark.parametrize(("size", "patch"), [((16, 16), 2), ((60, 60), 4), ((12, 20), 4), ((9, 15), 3)])
def test_it_begins_near_the_frame_and_takes_odd_sizes(size, patch):
    x = torch.rand(2, 3, *size) - 0.5
    z = FillingEncoder(8, 5, "zeros", patch, 2)(x)
    assert z.shape == (2, 5, *size)
    assert (z[:, :3] - x).abs().max() < 0.25
    assert not z[:, 3:].any(), "the other channels are silent at the beginning"


def test_every_colour_is_a_mixture_of_the_frames_own():
    x = torch.rand(4, 3, 16, 16) - 0.5
    shown = encoder(scale=2.0)(x)
    low, high = (end(x.flatten(2), 2).values[..., None, None] for end in (torch.min, torch.max))
    assert bool((shown >= low - 1e-5).all())
    assert bool((shown <= high + 1e-5).all())
    assert (shown - x).abs().max() > 0.3


def test_colours_are_copied_by_places():
    """What is copied from where is told by the features alone: other colours there, other colours here."""
    filling, h = encoder(), torch.randn(2, 8, 4, 4)
    x = torch.rand(2, 3, 16, 16) - 0.5
    shown = filling.filled(x, h)
    assert_close(filling.filled(x.flip(1), h), shown.flip(1))
    assert_close(filling.filled(-0.5 * x, h), -0.5 * shown)
    other = torch.rand(2, 3, 16, 16) - 0.5
    assert_close(filling.filled(x + other, h), shown + filling.filled(other, h))


def test_the_attention_is_that_of_its_formula():
    filling, h = encoder(patch=2, heads=3), torch.randn(1, 8, 3, 4)
    x = torch.rand(1, 3, 6, 8) - 0.5
    shown = filling.filled(x, h)
    find, offer, mix = (layer(h)[0].double() for layer in (filling.find, filling.offer, filling.mix))
    asks, keys = find.view(2, 3, 16, 12)
    place = {
        (r, c): x[0, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten(1).double() for r in range(3) for c in range(4)
    }
    for r in range(3):
        for c in range(4):
            weights = (mix.view(4, 4, 3, 4)[:, :, r, c] + filling.ahead[..., 0].double()).softmax(0)
            mixed = weights[0] * place[r, c]
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
    filling = FillingEncoder(16, 3, "zeros", 4, 2)
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


def test_only_pixels_can_be_filled():
    with pytest.raises(ConfigError, match=r"model\.filling is 4; networks: residual cannot"):
        RendererConfig(filling=4)
    with pytest.raises(ConfigError, match=r"model\.filling"):
        RendererConfig(networks="pixels", filling=-1)
