"""Sheets in colours drawn at random, as games swap palettes: the same drawing, seen in what it might have been.

What no training character wears may be drawn as something else is, in other colours: golden boots are iron ones. Sheets
are few, but what is drawn moves alike in any colours.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.data.draws import uniform
from kinema.data.lpc_wide_layers import PaletteLayers

KNOTS = 5
"""Of a curve from how light a colour is to what takes its place, straight between them."""


def with_variants(layers: PaletteLayers, variants: int, seed: int, stream: int) -> PaletteLayers:
    """The same sheets with so many more palettes: a curve of its own for every sheet and channel, opacity as it was."""
    plain = layers.palette[0]
    rgba = plain.view(torch.uint8).view(*plain.shape, 4)
    sheets = torch.arange(len(plain))
    drawn = [
        recolour(rgba, uniform(seed, stream, number * len(plain) + sheets, 3 * KNOTS).float().unflatten(1, (3, KNOTS)))
        for number in range(variants)
    ]
    packed = torch.stack([rgba, *drawn]).contiguous().view(torch.int32)[..., 0]
    return replace(layers, palette=packed)


def recolour(rgba: UInt8[Tensor, "S K 4"], knots: Float[Tensor, "S 3 P"]) -> UInt8[Tensor, "S K 4"]:
    """Colours put where curves of how light they were lead: `knots` are the heights of each channel's, evenly from
    black to white. What is wholly clear stays 0, as pasting expects."""
    last = knots.shape[-1] - 1
    at = (rgba[..., :3].float().mean(-1) * (last / 255))[:, None].expand(-1, 3, -1)
    low = at.long().clamp(max=last - 1)
    curve = torch.lerp(knots.gather(2, low), knots.gather(2, low + 1), at - low)
    ink = (255 * curve).round().to(torch.uint8).mT
    return torch.cat([ink * (rgba[..., 3:] > 0), rgba[..., 3:]], -1)
