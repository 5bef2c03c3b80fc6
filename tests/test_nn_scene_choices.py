"""What a renderer may be made of: a centred T_Z that looks twice, and what T_Z is allowed to be."""

import pytest
import torch

from kinema.maths import affine
from kinema.nn.registration import centre, landing_error, local, practice
from kinema.nn.scene_choices import FREEDOMS, Centred, Posed, Reading, Views


def blots(count, seed, side=32):
    """Outlines without symmetry: a large and a small spot, somewhere, turned anyhow."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=generator) - 0.5
    angle = 6.28 * torch.rand(count, generator=generator)
    place = (2 * torch.arange(side) + 1) / side - 1
    shown = torch.zeros(count, side, side)
    for distance, width, much in ((0.0, 0.1, 1.0), (0.25, 0.07, 0.8)):
        x, y = (middle + distance * torch.stack([angle.cos(), angle.sin()], 1)).unbind(1)
        away = (place - x.view(-1, 1, 1)) ** 2 + (place.view(-1, 1) - y.view(-1, 1, 1)) ** 2
        shown += much * torch.exp(-away / (2 * width**2))
    return shown[:, None]


def centred(looks=1, freedom="affine", parts=1):
    torch.manual_seed(0)
    return Centred(Reading(4, 16, parts, (32, 32), 1, 0.5, looks, FREEDOMS[freedom]))


def seen(first, second):
    return Views((first, second), (first, second), (first, second), None)


def test_untaught_it_leads_from_one_middle_to_the_other():
    outline = blots(8, 0)
    truth, at, _ = practice(outline, 0.0)
    theta = centred(looks=2)(seen(outline, affine.warp(outline, truth)))
    assert landing_error(theta, truth, at).max() < 2e-3
    torch.testing.assert_close(theta[:, 0, :, :2], torch.eye(2).expand(8, 2, 2))


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_what_is_read_is_what_is_allowed(freedom):
    head = centred(looks=2, freedom=freedom, parts=3)
    torch.nn.init.normal_(head.head.last.weight, std=0.3)
    outline = blots(4, 0).expand(-1, 3, -1, -1) / 3
    linear = head(seen(outline, outline.flip(-1)))[..., :2]
    square = linear.mT @ linear
    scaled = (square[..., 0, 0] - square[..., 1, 1]).abs().max() + square[..., 0, 1].abs().max()
    unit = (torch.linalg.det(linear) - 1).abs().max()
    assert (scaled < 1e-4) == (freedom != "affine")
    assert (unit < 1e-4) == (freedom == "rigid")


def test_a_second_look_corrects_the_first():
    """After some practice the same network, asked again, is nearer to the truth than it was."""
    head = centred(looks=2, freedom="rigid")
    adam = torch.optim.Adam(head.parameters(), lr=3e-3)
    for step in range(150):
        torch.manual_seed(step)
        outline = blots(32, step)
        truth, at, _ = practice(outline, 60.0)
        views = seen(outline, affine.warp(outline, truth))
        loss = sum(landing_error(theta, truth, at).mean() for theta in head.readings(views))
        adam.zero_grad()
        loss.backward()
        adam.step()
    outline = blots(256, 10_000)
    truth, at, _ = practice(outline, 60.0)
    with torch.no_grad():
        views = seen(outline, affine.warp(outline, truth))
        once, twice = (landing_error(theta, truth, at).mean().item() for theta in head.readings(views))
        untaught = landing_error(centred()(views), truth, at).mean().item()
    assert once < 0.5 * untaught
    assert twice < 0.8 * once


def test_codes_do_not_learn_from_being_read():
    outline = blots(2, 0).requires_grad_()
    head = centred(looks=2)
    torch.nn.init.normal_(head.head.last.weight)
    assert not head(seen(outline, outline)).sum().requires_grad or torch.autograd.grad(
        head(seen(outline, outline)).sum(), outline, allow_unused=True
    ) == (None,)


def posed(parts=2):
    torch.manual_seed(0)
    return Posed(Reading(2, 16, parts, (32, 32), 1, 1.0, 1, FREEDOMS["affine"]))


def worn(outline, colour):
    """A code of two channels, its colour under its cover, and what a T_Z is shown of it and of itself."""
    return torch.cat([outline * colour, outline], 1)[:, None]


def test_an_arm_before_the_body_is_seen_by_its_colour_alone():
    """Two characters of one outline: what is read of outlines cannot differ, what is read of codes does."""
    outline = blots(4, 0)
    one, other = (worn(outline, torch.rand_like(outline)) for _ in range(2))
    shown = [Views((outline, outline), (one, second), (outline, outline), None) for second in (one, other)]
    blind, seeing = centred(), posed(parts=3)
    for head in (blind.head, seeing.head):
        torch.nn.init.normal_(head.last.weight, std=0.3)
    torch.testing.assert_close(*(blind(views) for views in shown))
    first, second = (seeing(views) for views in shown)
    assert (first - second).abs().max() > 0.01
    assert (first[:, 1] - first[:, 2]).abs().max() > 0.01, "each part has a matrix of its own"


@pytest.mark.parametrize("parts", [1, 3])
def test_poses_begin_by_leading_from_body_to_body_and_codes_do_not_learn(parts):
    outline = blots(8, 0)
    shift = torch.tensor([[3, -2], [0, 0], [5, 1], [-4, 2], [1, 0], [0, -1], [-2, -2], [2, 6]])
    code = worn(outline, 0.5).requires_grad_()
    moved = torch.stack([z.roll((y, x), (1, 2)) for z, (x, y) in zip(code[:, 0].detach(), shift.tolist(), strict=True)])
    theta = posed(parts)(Views((outline, outline), (code, moved[:, None]), (outline, moved[:, 1:]), None))
    there = affine.from_parts(torch.zeros(8), -affine.shift_to_canvas(shift.float(), 32, 32))
    torch.testing.assert_close(theta, there[:, None].expand(-1, parts, -1, -1))
    theta.sum().backward()
    assert code.grad is None


def test_of_several_parts_the_first_is_the_body_that_registration_moves():
    """It neither turns nor learns; what is read is of the others, and of one part, of that."""
    outline = blots(4, 0)
    for parts, body in ((1, False), (3, True)):
        head = posed(parts)
        torch.nn.init.normal_(head.head.last.weight, std=0.3)
        code = worn(outline, 0.5)
        theta = head(Views((outline, outline), (code, code), (outline, outline), None))
        still = theta[:, 0] == affine.identity(4)
        assert still.all() == body
        assert (theta[:, 1:] != affine.identity(4, 1)).any() == body


def test_poses_do_not_depend_on_where_the_character_stands():
    """Both frames moved by whole pixels: the same is read, about the other middle."""
    outline = torch.zeros(1, 1, 32, 32)
    outline[..., 10:18, 8:14] = torch.rand(8, 6, generator=torch.Generator().manual_seed(0))
    second = outline.flip(-1).roll(-6, -1)
    head = posed()
    torch.nn.init.normal_(head.head.last.weight, std=0.1)
    read = []
    for shift in (0, 4):
        pair = [worn(part.roll(shift, -1), 0.5) for part in (outline, second)]
        outlines = tuple(z[:, :, -1] for z in pair)
        theta = head(Views((outline, second), (pair[0], pair[1]), (outlines[0], outlines[1]), None))
        read.append(local(theta, *(centre(part) for part in outlines)))
    torch.testing.assert_close(*read, atol=1e-4, rtol=1e-3)
