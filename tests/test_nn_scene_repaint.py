"""What is painted over a moved character: nothing at first, by what its parts do beyond what they share, anywhere."""

import math

import pytest
import torch

from kinema.maths import affine
from kinema.nn.registration import about, centre, centred, displacement, whole_middle
from kinema.nn.scene_repaint import Repaint

SIDE, KNOWN = 24, 4


def made(parts=2, channels=4, side=SIDE):
    torch.manual_seed(0)
    return Repaint(channels, parts, 8, KNOWN, (side, side)).eval()


def acquainted(**options):
    """A network that has met the characters of `code` and two more, and has learned nothing yet."""
    network, z = made(**options), code(KNOWN)
    assert network.meet(z, z[:, 3:])
    return network


def speaking(**options):
    network = acquainted(**options)
    torch.nn.init.normal_(network.painted.weight, std=2.0)
    return network


def code(count=2, side=SIDE):
    """Codes of a blot in the middle, the last channel its cover."""
    z = torch.zeros(count, 4, side, side)
    top, left = side // 2 - 2, side // 2 - 3
    z[:, :, top : top + 4, left : left + 6] = 0.5 * torch.rand(
        count, 4, 4, 6, generator=torch.Generator().manual_seed(1)
    )
    return z


def movements(count=2, parts=2):
    return affine.identity(count, parts) + 0.1 * torch.randn(
        count, parts, 2, 3, generator=torch.Generator().manual_seed(2)
    )


def painted(network, z, theta, moved=None):
    moved = torch.zeros_like(z) if moved is None else moved
    return network(z, moved, theta) - moved


def test_at_first_nothing_is_painted():
    assert not painted(acquainted(), code(), movements()).any()


def test_what_is_painted_follows_what_each_part_does():
    """Two limbs that change places leave the body's movement as it is, and something else is painted."""
    theta = movements(parts=3)
    one, other = (painted(speaking(parts=3), code(), each) for each in (theta, theta[:, [0, 2, 1]]))
    assert (one - other).abs().max() > 1e-3


def test_it_knows_whom_it_has_met():
    """Their channels, seen from where they meet the usual one, are sums of the components, which are orthonormal.

    A stranger's are none. It does not matter where they stood.
    """
    network, z, shift = made(), code(KNOWN + 1), (3, -2)
    z[::2, :, 3:10, 5:8] = 0.05  # every second one raises an arm, with which its middle goes along
    first, stranger = z[:KNOWN], z[KNOWN:]
    elsewhere = first.roll(shift, (2, 3))
    assert network.meet(elsewhere, elsewhere[:, 3:])
    basis = network.components.double()
    torch.testing.assert_close(basis @ basis.mT, torch.eye(4 * KNOWN, dtype=torch.float64), atol=1e-5, rtol=0)
    outside = [
        (each - each @ basis.mT @ basis).norm(dim=2) / each.norm(dim=2)
        for each in (centred(x, displacement(network.usual[None], x)).flatten(2).double() for x in (first, stranger))
    ]
    assert outside[0].max() < 1e-5 < 0.1 < outside[1].min()


def test_all_channels_are_changed_by_one_map():
    """Channels that change places change them in what is painted; one that has a constant of its own keeps that."""
    network, z, theta = speaking(), code(), movements()
    order = torch.tensor([2, 0, 1, 3])
    whole = painted(network, z, theta)
    # Where characters are met in their order of channels decides where they are seen from.
    network.usual.copy_(network.usual[order])
    torch.testing.assert_close(painted(network, z[:, order], theta), whole[:, order], atol=1e-6, rtol=0)
    network.usual.copy_(network.usual[order.argsort()])
    with torch.no_grad():
        network.bias[1] = 1.0
    other = (painted(network, z, theta) - whole).abs().amax((0, 2, 3))
    assert other[1] > 1e-3
    assert not other[[0, 2, 3]].any()


def test_it_meets_no_more_than_span_everything():
    network = Repaint(4, 2, 8, 1000, (6, 6))
    assert network.count == 9
    z = torch.rand(12, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    assert network.meet(z, z[:, 3:])
    basis = network.components.double()
    torch.testing.assert_close(basis.mT @ basis, torch.eye(36, dtype=torch.float64), atol=1e-5, rtol=0)


def test_until_it_has_met_enough_nothing_is_painted():
    network, z = made(), code(KNOWN + 4)
    torch.nn.init.normal_(network.painted.weight, std=2.0)
    few, rest = z[: KNOWN - 2], z[KNOWN - 2 :]
    assert not network.meet(few, few[:, 3:])
    assert not painted(network, code(), movements()).any()
    assert network.meet(rest, rest[:, 3:]), "the first two of these are enough"
    assert painted(network, code(), movements()).abs().max() > 1e-3
    known = network.components.clone()
    assert network.meet(few, few[:, 3:])
    assert torch.equal(network.components, known), "whoever comes later changes nothing"


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_what_is_painted_stands_where_the_body_stands(shear):
    """Whatever limbs do: a picture from the span, about the place to which the body is moved. A shear, which is no
    turn, shift or scale, leads that place elsewhere and is not done to what is painted."""
    network, z, theta = speaking(parts=3), code(), movements(parts=3)
    first = displacement(network.usual[None], z)
    second = first + affine.shift_to_canvas(torch.tensor([3.0, -2.0]), SIDE, SIDE)
    linear = torch.tensor([[1.0, shear], [shear, 1.0]])
    theta[:, 0] = torch.cat([linear.expand(2, -1, -1), (first - second @ linear)[..., None]], -1)
    seen = centred(painted(network, z, theta), second).flatten(2)
    assert seen.norm() > 1e-2
    torch.testing.assert_close(seen @ network.components.mT @ network.components, seen, atol=1e-5, rtol=0)


@pytest.mark.parametrize("parts", [1, 4])
def test_nothing_is_painted_where_all_parts_share_a_movement(parts):
    """A turn, a shift and a scale of everybody is no change of pose, and no movement is none."""
    angle, shift = torch.tensor([0.4, -1.0]), torch.tensor([[0.3, -0.2], [0.0, 0.5]])
    for shared in (affine.identity(2), affine.from_parts(angle, shift, torch.tensor([1.2, 0.7]))):
        drawn = painted(speaking(parts=parts), code(), shared[:, None].expand(-1, parts, -1, -1))
        torch.testing.assert_close(drawn, torch.zeros_like(drawn), atol=1e-6, rtol=0)


@pytest.mark.parametrize("matrix", [[[-1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
def test_nothing_is_painted_where_what_the_body_does_cannot_be_undone(matrix):
    """A mirror, a point, a line: of one character of two, and the other is painted on as ever, be its limb a line."""
    network, z, theta = speaking(), code(), movements()
    theta[1, 1, :, :2] = torch.tensor(matrix)
    alone = painted(network, z, theta)[1]
    assert alone.abs().max() > 1e-3
    theta[0, 0, :, :2] = torch.tensor(matrix)
    drawn = painted(network, z, theta)
    torch.testing.assert_close(drawn[0], torch.zeros_like(drawn[0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(drawn[1], alone)


def test_it_does_not_matter_where_the_character_stands():
    """The same movement of the same character, all of it some pixels further: the same is painted, further.

    Checked away from the edges, beyond which the character is cut off.
    """
    network, z, local = speaking(), code(), movements()
    pixels = torch.tensor([2, -3])
    further = z.roll(tuple(pixels.flip(0).tolist()), (2, 3))
    shift = affine.shift_to_canvas(pixels.float(), SIDE, SIDE)
    here = centre(z[:, 3:])
    one = painted(network, z, about(local, here, here))
    other = painted(network, further, about(local, here + shift, here + shift))
    inside = (..., slice(5, -5), slice(5, -5))
    assert one[inside].abs().max() > 1e-3, "something is painted there"
    back = other.roll(tuple((-pixels).flip(0).tolist()), (2, 3))
    torch.testing.assert_close(back[inside], one[inside], atol=1e-5, rtol=1e-4)


def test_a_movement_of_all_on_top_moves_what_is_painted():
    """A quarter turn and a shift of whole pixels after the parts' own movements turn and shift what is painted."""
    network, z, theta = speaking(), code(), movements()
    turn = affine.from_parts(torch.tensor([math.pi / 2] * 2), torch.tensor([[4 / SIDE, -2 / SIDE]]).expand(2, -1))
    one = painted(network, z, theta)
    other = painted(network, z, affine.compose(theta, turn[:, None].expand_as(theta)))
    moved = affine.warp(one, turn)
    inside = (..., slice(6, -6), slice(6, -6))
    assert one[inside].abs().max() > 1e-3
    torch.testing.assert_close(other[inside], moved[inside], atol=1e-2 * one.abs().max().item(), rtol=0.1)


def test_it_is_linear_in_the_character():
    """Of one movement: what the sum of two characters gets is the sum of what each gets, from the same place."""
    network, theta = speaking(), movements()
    a, b = code()[:1], code()[1:]
    one, other, both = (painted(network, z, theta[:1]) for z in (a, b, 0.5 * a + b))
    assert one.abs().max() > 1e-3
    torch.testing.assert_close(both, 0.5 * one + other, atol=1e-6, rtol=1e-4)


def test_an_arm_does_not_change_the_place_from_which_a_body_is_seen():
    """With an arm raised as nobody has it who was met, the body is painted on as without, though its middle is not
    where it was."""
    network, body, theta = speaking(), code(1), movements(1)
    raised = body.clone()
    raised[:, :, 3:10, 5:8] = 0.05
    assert (whole_middle(raised[:, 3:]) - whole_middle(body[:, 3:])).abs().max() > 1 / SIDE
    one, other = (painted(network, z, theta) for z in (body, raised))
    assert one.abs().max() > 1e-3
    torch.testing.assert_close(other, one)


def test_every_weight_learns():
    network = acquainted()
    adam = torch.optim.Adam(network.parameters(), 1e-2)
    z, theta = code(), movements()
    for _ in range(3):
        adam.zero_grad()
        (network(z, z, theta) - 0.5).square().mean().backward()
        adam.step()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name
