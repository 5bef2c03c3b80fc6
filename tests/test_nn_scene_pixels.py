"""Networks of pixels: they begin by showing what they are given, take odd sizes, and reach beyond a patch."""

import pytest
import torch

from kinema.nn.scene_pixels import PixelDecoder, PixelEncoder


@pytest.mark.parametrize(("size", "patch"), [((16, 16), 2), ((60, 60), 4), ((12, 20), 4), ((9, 15), 3)])
def test_they_begin_by_showing_the_frame(size, patch):
    encoder, decoder = PixelEncoder(3, 8, 5, "zeros", patch), PixelDecoder(8, 5, "zeros", patch)
    x = torch.rand(2, 3, *size)
    z = encoder(x - 0.5)
    assert z.shape == (2, 5, *size)
    torch.testing.assert_close(decoder(z), x)
    assert not z[:, 3:].any(), "the other channels are silent at the beginning"


def test_a_learned_code_is_an_addition_that_stays_a_colour():
    encoder = PixelEncoder(3, 8, 4, "zeros", 2)
    torch.nn.init.constant_(encoder.last.bias, 3.0)
    z = encoder(torch.rand(1, 3, 8, 8) - 0.5)
    assert z[:, :3].min() > 0.5, "beyond white"
    assert z[:, :3].max() <= 0.5 + 0.01 * 3.5, "it hardly goes on"
    torch.testing.assert_close(z[:, 3:], torch.full((1, 1, 8, 8), 3.0))
    (slope,) = torch.autograd.grad(z[:, :3].sum(), encoder.last.bias)
    assert slope[:12].min() > 0, "but there is a way back"


def test_more_than_the_frame_may_be_seen():
    encoder = PixelEncoder(6, 8, 4, "zeros", 2)
    x = torch.rand(1, 6, 8, 8) - 0.5
    torch.testing.assert_close(encoder(x)[:, :3], x[:, :3])
    torch.nn.init.normal_(encoder.last.weight)
    other = torch.cat([x[:, :3], -x[:, 3:]], 1)
    assert not torch.allclose(encoder(x), encoder(other))


def test_every_weight_learns_after_the_first_step():
    """Silent layers pass no gradient at first; once they speak, everything before them learns."""
    torch.manual_seed(0)
    encoder, decoder = PixelEncoder(3, 8, 4, "zeros", 2), PixelDecoder(8, 4, "zeros", 2)
    weights = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(weights, 1e-2)
    target = torch.rand(4, 3, 16, 16)
    for _ in range(3):
        adam.zero_grad()
        (decoder(encoder(torch.rand(4, 3, 16, 16) - 0.5)) - target).square().mean().backward()
        adam.step()
    assert all(weight.grad is not None and weight.grad.any() for weight in weights)


def test_a_patch_sees_its_neighbours():
    """A hole is filled from what lies around it, so a code must see beyond its own patch."""
    encoder = PixelEncoder(3, 8, 3, "zeros", 4)
    torch.nn.init.normal_(encoder.last.weight)
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(encoder(x)[..., 16, 16].sum(), x)
    reach = slope.abs().sum(1)[0].nonzero()
    assert reach.min() <= 4
    assert reach.max() >= 28
