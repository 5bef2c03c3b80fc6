"""What the figures of `kinema.data.sprites` wear: every skin, top, bottom and hair, with its colours.

A picture is composed of `LAYERS`, drawn from back to front; the shapes of each depend on one attribute at most, so few
distinct layers make many people.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.data.garments import (
    BOTTOM,
    SKIN,
    TOP,
    Bottom,
    Colour,
    Hair,
    Top,
    head,
    long,
    mohawk,
    ponytail,
    short,
)
from kinema.data.raster import Piece

SKINS: dict[str, Colour] = {
    "fair": (250, 212, 176),
    "bronze": (204, 132, 80),
    "dark": (122, 72, 48),
    "green": (120, 176, 88),
}
TOPS = {
    "tunic": Top((204, 44, 52), (96, 60, 36), upper=TOP, fore=SKIN, hem=5.0, belt=True),
    "coat": Top((60, 112, 220), (240, 236, 220), upper=TOP, fore=TOP, hem=4.0, stripe=True),
    "vest": Top((144, 72, 200), (240, 208, 72), upper=SKIN, fore=SKIN, collar=True, belt=True),
    "armour": Top((172, 180, 196), (224, 168, 56), upper=TOP, fore=TOP, plates=True, belt=True),
}
BOTTOMS = {
    "trousers": Bottom((140, 92, 52), (112, 84, 88), thigh=BOTTOM, shin=BOTTOM, cuff=0.65),
    "shorts": Bottom((224, 208, 160), (176, 112, 64), thigh=BOTTOM, shin=SKIN, cuff=0.85),
    "skirt": Bottom((236, 124, 36), (136, 40, 72), thigh=SKIN, shin=SKIN, cuff=0.8, skirt=9.5),
    "greaves": Bottom((40, 128, 136), (168, 200, 208), thigh=BOTTOM, shin=BOTTOM, cuff=0.6, knees=True),
}
HAIRS = {
    "short": Hair((72, 84, 140), short),
    "long": Hair((244, 200, 64), long),
    "mohawk": Hair((236, 60, 124), mohawk),
    "ponytail": Hair((228, 232, 240), ponytail),
}
EYES: tuple[Colour, Colour] = ((40, 36, 64), (244, 244, 248))
"""Pupil and white."""

STYLES = {"top": TOPS, "bottom": BOTTOMS, "hair": HAIRS}

LAYERS: tuple[tuple[str | None, Callable[..., list[Piece]]], ...] = (
    ("top", lambda top, f: top.arms(f, False)),
    ("hair", lambda hair, f: hair.behind(f)),
    ("bottom", lambda bottom, f: bottom.legs(f)),
    ("top", lambda top, f: top.trunk(f)),
    (None, lambda _, f: head(f)),
    ("hair", lambda hair, f: hair.before(f)),
    ("top", lambda top, f: top.arms(f, True)),
)
"""From back to front: the attribute that a layer depends on, and its pieces."""


def ramp(colour: Colour) -> Float[Tensor, "4 3"]:
    """Outline, dark, base and light shade of a colour; shadows turn a little to blue, lights to yellow."""
    base = torch.tensor(colour, dtype=torch.float32)
    return torch.stack(
        [
            base * torch.tensor([0.36, 0.34, 0.42]),
            base * torch.tensor([0.70, 0.68, 0.76]),
            base,
            base + (255 - base) * torch.tensor([0.42, 0.40, 0.28]),
        ]
    )


def palette(skin: str, top: str, bottom: str, hair: str) -> UInt8[Tensor, "K 3"]:
    """Colours of one appearance by palette number, materials in their order; 0, where nothing is, is black."""
    t, b = TOPS[top], BOTTOMS[bottom]
    colours = (SKINS[skin], t.cloth, t.trim, b.cloth, b.boot, HAIRS[hair].colour, *EYES)
    table = torch.cat([torch.zeros(1, 3), *(ramp(colour) for colour in colours)])
    return table.round().clamp(0, 255).to(torch.uint8)
