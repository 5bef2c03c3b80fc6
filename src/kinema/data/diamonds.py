"""Backgrounds of coloured diamonds, as section 4.2 of the equivariant rendering paper describes them.

A canvas of one of matplotlib's CSS4 colours carries five diamonds ``|dx| + |dy| <= r`` of other colours. What the paper
leaves open is settled so: no colour occurs twice on a background, centres are pixels, a later diamond lies over an
earlier one. Black is left out (it is the ink). Gray is the bare canvas, without diamonds: no background has a gray
canvas, so none can be taken for it, but diamonds may be gray, so that a model meets the colour in training.
"""

import torch
from jaxtyping import Int, UInt8
from matplotlib.colors import CSS4_COLORS, to_rgb
from torch import Tensor

from kinema.data.draws import integers, uniform
from kinema.errors import ConfigError

SPLITS = ("train", "val", "test")
BARE = (128, 128, 128)
"""The canvas without a background."""
COUNT = 5
"""Diamonds on a background."""
RADII = (7, 8, 9, 10)
"""Of the diamonds, in 64ths of the canvas."""
CANVAS, OTHERS, RADIUS, CENTRE = range(4)
"""Streams of random numbers; each split has its own four."""


def split_number(split: str) -> int:
    """The place of the split in `SPLITS`. Raises ConfigError where there is none of that name."""
    if split not in SPLITS:
        raise ConfigError(f"backgrounds: no split {split!r}; there are {', '.join(SPLITS)}")
    return SPLITS.index(split)


def colours() -> UInt8[Tensor, "K 3"]:
    """The 138 distinct CSS4 colours without black, in the order of their values."""
    rgb = {tuple(round(255 * value) for value in to_rgb(code)) for code in CSS4_COLORS.values()}
    return torch.tensor(sorted(rgb - {(0, 0, 0)}), dtype=torch.uint8)


def colour_numbers(index: Int[Tensor, " N"], seed: int, stream: int) -> Int[Tensor, "N 6"]:
    """Numbers of the canvas's colour and of the diamonds', all different, the first never `BARE`."""
    palette = colours()
    may = (palette != torch.tensor(BARE, dtype=torch.uint8)).any(1).nonzero()[:, 0]
    canvas = may[integers(seed, stream + CANVAS, index, 1, len(may))]
    order = uniform(seed, stream + OTHERS, index, len(palette)).scatter(1, canvas, 2.0)
    return torch.cat([canvas, order.argsort(dim=1)[:, :COUNT]], dim=1)


def backgrounds(count: int, size: int, seed: int, split: str) -> UInt8[Tensor, "N 3 H W"]:
    """The first `count` backgrounds of a split, `size` x `size` pixels, RGB 0-255.

    Background k is the same however many are asked for. Raises ConfigError for an unknown split.
    """
    index, stream = torch.arange(count), split_number(split) * 4
    radius = torch.tensor(RADII)[integers(seed, stream + RADIUS, index, COUNT, len(RADII))] * (size / 64)
    centre = integers(seed, stream + CENTRE, index, 2 * COUNT, size).unflatten(1, (COUNT, 2))
    line = torch.arange(size)
    away = (line - centre[..., :1]).abs()[..., None, :] + (line - centre[..., 1:]).abs()[..., :, None]
    covered = away <= radius[..., None, None]
    top = (covered * torch.arange(1, COUNT + 1)[:, None, None]).amax(1)  # the last diamond here, 0 for none
    number = colour_numbers(index, seed, stream).gather(1, top.flatten(1)).view_as(top)
    return colours()[number].movedim(-1, 1).contiguous()
