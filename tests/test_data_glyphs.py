"""Stand-in digits: reproducible, all different, readable."""

import torch
from scipy.interpolate import CubicHermiteSpline

from kinema.data.glyphs import glyphs, labels, pen_places, spline
from kinema.data.moving_digits import from_files
from real_data import real_data


def test_a_glyph_is_a_function_of_its_number():
    numbers = torch.tensor([7, 3000, 41, 7])
    some = glyphs(numbers)
    assert torch.equal(some[0], some[3])
    assert torch.equal(some[:3], glyphs(torch.arange(3001))[numbers[:3]])
    assert labels(numbers).tolist() == [7, 0, 1, 7]


def test_all_glyphs_differ_and_stay_in_the_middle():
    some = glyphs(torch.arange(2000))
    assert len(some.flatten(1).unique(dim=0)) == 2000
    frame = some.clone()
    frame[:, 3:-3, 3:-3] = 0
    assert frame.max() == 0
    ink = (some > 0).flatten(1).double().mean(1)
    assert ink.min() > 0.04
    assert ink.max() < 0.4


def test_the_curve_is_catmull_roms():
    knots = torch.rand(5, 2, dtype=torch.float64)
    drawn = spline(5, 41) @ knots
    long = torch.cat([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    slope = (long[2:] - long[:-2]) / 2
    expected = CubicHermiteSpline(range(5), knots.numpy(), slope.numpy())(torch.linspace(0, 4, 41).numpy())
    torch.testing.assert_close(drawn, torch.from_numpy(expected))


def test_the_pen_draws_an_unbroken_line_of_its_width():
    numbers = torch.arange(0, 400, 10)  # zeros are one stroke
    dots, pen = pen_places(numbers)
    assert dots.diff(dim=1).norm(dim=-1).max() < 2 * pen.min()
    length = dots.diff(dim=1).norm(dim=-1).sum(1)
    area = glyphs(numbers).flatten(1).double().sum(1) / 255
    ratio = area / (length * 2 * pen.mean(1))
    assert ((ratio > 0.7) & (ratio < 1.15)).all()  # less where a line crosses itself


def test_a_reader_of_glyphs_reads_other_glyphs_and_often_real_digits():
    """The nearest of class means: 10 at random would be right in one of ten."""
    numbers = torch.arange(3000)
    means = torch.stack([glyphs(numbers[labels(numbers) == d]).double().mean(0) for d in range(10)]).flatten(1)
    means = means / means.norm(dim=1, keepdim=True)
    new = torch.arange(7000, 8000)
    read = (glyphs(new).flatten(1).double() @ means.T).argmax(1)
    assert (read == labels(new)).double().mean() > 0.75
    ink, classes = from_files(str(real_data("mnist")), "test")
    assert ((ink.flatten(1).double() @ means.T).argmax(1) == classes).double().mean() > 0.4
