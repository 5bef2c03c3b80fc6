"""Palettes drawn at random: curves of lightness against NumPy's interpolation."""

import numpy as np
import torch
from torch.testing import assert_close

from kinema.data.lpc_palettes import recolour


def test_a_colour_goes_where_its_lightness_leads():
    generator = torch.Generator().manual_seed(0)
    rgba = torch.randint(256, (3, 40, 4), generator=generator, dtype=torch.uint8)
    rgba[:, 0] = 0
    rgba[0, 1] = 255
    knots = torch.rand(3, 3, 5, generator=generator)
    made = recolour(rgba, knots)
    light = rgba[..., :3].double().mean(-1).numpy()
    for sheet in range(3):
        for channel in range(3):
            curve = np.interp(light[sheet], np.linspace(0, 255, 5), 255 * knots[sheet, channel].double().numpy())
            wanted = np.where(rgba[sheet, :, 3] > 0, curve, 0)
            assert_close(made[sheet, :, channel].double(), torch.from_numpy(wanted), atol=0.51, rtol=0)
    assert torch.equal(made[..., 3], rgba[..., 3])


def test_a_straight_curve_leaves_gray_as_it_is():
    gray = torch.arange(256, dtype=torch.uint8)[None, :, None].expand(1, -1, 3)
    rgba = torch.cat([gray, torch.full((1, 256, 1), 255, dtype=torch.uint8)], -1)
    assert torch.equal(recolour(rgba, torch.linspace(0, 1, 5).expand(1, 3, 5)), rgba)
