"""What is painted over a moved character: nothing at first, by how it was moved, wherever it stands."""

import torch

from kinema.maths import affine
from kinema.nn.registration import about, centre
from kinema.nn.scene_repaint import Repaint


def made(parts=2, channels=4):
    torch.manual_seed(0)
    return Repaint(channels, parts, 8, "zeros", 4).eval()


def speaking(**options):
    network = made(**options)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    return network


def code(count=2, side=32):
    """Codes of a blot near the middle, the last channel its cover."""
    z = torch.zeros(count, 4, side, side)
    top, left = side // 2 - 4, side // 2 - 6
    z[:, :, top : top + 8, left : left + 12] = torch.rand(count, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    return z


def movements(count=2, parts=2):
    return affine.identity(count, parts) + 0.1 * torch.randn(
        count, parts, 2, 3, generator=torch.Generator().manual_seed(2)
    )


def test_at_first_nothing_is_painted():
    z = code()
    middle = centre(z[:, 3:])
    torch.testing.assert_close(made()(z, movements(), (middle, middle)), z)


def test_what_is_painted_follows_the_movement():
    z, network = code(), speaking()
    middle = centre(z[:, 3:])
    one, other = (network(z, theta, (middle, middle)) for theta in (movements(), affine.identity(2, 2)))
    assert (one - other).abs().max() > 1e-3


def test_it_does_not_matter_where_the_character_stands():
    """The same movement of the same character, all of it a few patches further: the same is painted, further.

    Checked away from the edges, beyond which networks see zeros.
    """
    network = speaking()
    z, local = code(side=128), movements()
    pixels = torch.tensor([8, 16])
    further = z.roll(tuple(pixels.tolist()), (3, 2))
    shift = 2 * pixels / 128
    here = centre(z[:, 3:])
    drawn = [
        network(at, about(local, middle, middle), (middle, middle))
        for at, middle in ((z, here), (further, here + shift))
    ]
    back = drawn[1].roll(tuple((-pixels).tolist()), (3, 2))
    inside = (..., slice(56, 72), slice(56, 72))
    assert (drawn[0] - z)[inside].abs().max() > 1e-2, "something is painted there"
    torch.testing.assert_close(back[inside], drawn[0][inside], atol=1e-5, rtol=1e-4)


def test_every_weight_learns():
    network = made()
    adam = torch.optim.Adam(network.parameters(), 1e-2)
    z, theta = code(), movements()
    middle = centre(z[:, 3:])
    for _ in range(3):
        adam.zero_grad()
        (network(z, theta, (middle, middle)) - 0.5).square().mean().backward()
        adam.step()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


def test_sides_need_not_be_even_in_patches():
    network = made(parts=1)
    z = torch.rand(1, 4, 60, 36)
    theta = affine.identity(1, 1)
    assert network(z, theta, (torch.zeros(1, 2), torch.zeros(1, 2))).shape == z.shape
