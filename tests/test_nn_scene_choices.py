"""What a renderer may be made of: a centred T_Z that looks twice, and what T_Z is allowed to be."""

import pytest
import torch

from kinema.maths import affine
from kinema.nn.registration import landing_error, practice
from kinema.nn.scene_choices import FREEDOMS, Centred, Reading, Views


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
