"""Backgrounds: their colours, their diamonds, and that splits share none."""

import pytest
import torch
from matplotlib.colors import CSS4_COLORS, to_rgb

from kinema.data.diamonds import BARE, backgrounds, colour_numbers, colours
from kinema.errors import ConfigError


def packed(pictures: torch.Tensor) -> torch.Tensor:
    red, green, blue = pictures.long().unbind(-3)
    return (red * 256 + green) * 256 + blue


def rgb_of(pictures: torch.Tensor) -> set[tuple[int, ...]]:
    return {(code >> 16, code >> 8 & 255, code & 255) for code in packed(pictures).unique().tolist()}


def test_colours_are_matplotlibs_without_black():
    named = {tuple(round(255 * v) for v in to_rgb(name)) for name in CSS4_COLORS}
    assert len(named) == 139
    assert {tuple(c) for c in colours().tolist()} == named - {(0, 0, 0)}
    assert BARE in named
    assert rgb_of(backgrounds(150, 64, 1, "train")) <= named - {(0, 0, 0)}


def test_a_background_is_a_canvas_and_five_diamonds_of_other_colours():
    numbers = colour_numbers(torch.arange(4000), 3, 0)
    assert all(len(set(row)) == 6 for row in numbers.tolist())
    gray = int((colours() == torch.tensor(BARE)).all(1).nonzero())
    assert not (numbers[:, 0] == gray).any()
    assert (numbers[:, 1:] == gray).any()
    assert len(numbers[:, 0].unique()) == 137


def test_each_picture_is_painted_by_diamonds_of_7_to_10_pixels():
    """Paint again with whatever diamonds explain the picture: every colour's pixels lie in |dx| + |dy| <= 10."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    radii = set()
    for picture in backgrounds(60, 64, 5, "val"):
        code = packed(picture)
        values, counts = code.unique(return_counts=True)
        for value in values[counts != counts.max()]:
            sum_, difference = (x + y)[code == value], (x - y)[code == value]
            wide = max(int(sum_.max() - sum_.min()), int(difference.max() - difference.min()))
            assert wide <= 20
            if int((code == value).sum()) == 2 * (wide // 2) ** 2 + 2 * (wide // 2) + 1:  # whole, nothing over it
                radii.add(wide // 2)
    assert radii == {7, 8, 9, 10}


def test_diamonds_grow_with_the_canvas():
    """The share of the canvas that is covered is the same at every size, but for what pixels round."""
    covered = []
    for size in (32, 64, 128):
        code = packed(backgrounds(60, size, 9, "test")).flatten(1)
        covered.append(float((code != code.mode(dim=1, keepdim=True).values).double().mean()))
    assert 0.06 < covered[1] < 0.17  # five of 2 r^2 + 2 r + 1 pixels, some over others or cut by the edges
    assert max(covered) / min(covered) < 1.2


def test_a_background_is_a_function_of_its_number_and_splits_share_none():
    assert torch.equal(backgrounds(7, 64, 4, "train"), backgrounds(64, 64, 4, "train")[:7])
    every = torch.cat([backgrounds(64, 32, 4, split) for split in ("train", "val", "test")])
    assert len(every.flatten(1).unique(dim=0)) == 192
    assert not torch.equal(backgrounds(4, 64, 4, "train"), backgrounds(4, 64, 5, "train"))
    with pytest.raises(ConfigError, match="'testing'; there are train, val, test"):
        backgrounds(1, 64, 0, "testing")
