"""f_b that fills in: what a character hides takes colours that the frame shows elsewhere. Ours.

Convolutions that paint must learn every colour that a background may have. These copy. Each place looks for others by
attention, one for each of some heads, and takes a colour of the frame from each; each pixel is then a mixture of what
was painted and those. What is painted counts for nearly all at the beginning. The network is also shown where
neighbours have the same colour, which tells shapes whatever colours they have.

It waits until a character is told from what is behind: copying finds the canvas so soon that whatever else stands on it
would be taken for the character, whose cover excuses the background from showing it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.nn.scene import Padding
from kinema.nn.scene_pixels import COLOURS, PixelEncoder, Step, conv, detour, silent

KEY = 16
"""Numbers that places find each other by."""
ALIKE = 50.0
"""Neighbours count as alike by exp(-ALIKE d) of the greatest difference d of their channels, in [0, 1]."""
SPREADS, FINE = (1, 2, 3, 1, 2, 3, 1, 1), (1, 2, 1)
"""How far apart the places of each step's first convolution lie, at half the resolution of the places and at theirs:
what is half hidden goes on far from where it ends."""
OWN = 5.0
"""What a pixel as it was painted is ahead by of each colour found, in logits: at the beginning nothing else is told."""


class FillingEncoder(nn.Module):
    """Pictures, around zero, to maps of their own size: the background's colours first, then what else is learned."""

    ahead: Tensor

    def __init__(self, painted: PixelEncoder, width: int, padding: Padding, heads: int) -> None:
        """What is filled is what `painted` paints; the places are its patches, `heads` the colours that each finds."""
        super().__init__()
        self.painted, self.patch, self.heads, self.fills = painted, painted.patch, heads, True
        patch = painted.patch
        self.register_buffer("ahead", torch.tensor([OWN, *[0.0] * heads])[:, None, None], persistent=False)
        self.first = conv((COLOURS + 2) * patch**2, width, padding)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode=padding)
        self.middle = nn.Sequential(*(Step(2 * width, padding, spread) for spread in SPREADS))
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.fine = nn.Sequential(*(Step(width, padding, spread) for spread in FINE))
        self.find = nn.Conv2d(width, 2 * heads * KEY, 1)
        self.offer = conv(width, heads * patch**2, padding)
        self.mix = silent(conv(width, (heads + 1) * patch**2, padding))
        self.mix.bias = None  # whatever all places do alike would leave the whole frame

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        painted = self.painted(x)
        if not self.fills:
            return painted
        h = self.first(functional.pixel_unshuffle(torch.cat([x, alike(x, 2), alike(x, 3)], 1), self.patch))
        h = detour(h, self.down, self.middle, self.up, self.fine)
        # Of one length everywhere: so deep a network was once seen to run away with its logits.
        h = functional.rms_norm(h.movedim(1, -1), h.shape[1:2]).movedim(-1, 1)
        return torch.cat([self.filled(painted[:, :COLOURS], x, h), painted[:, COLOURS:]], 1)

    def filled(
        self, painted: Float[Tensor, "B 3 H W"], x: Float[Tensor, "B 3 H W"], h: Float[Tensor, "B w a b"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Every pixel as a mixture of what was painted and of the colours of x that its place found."""
        own, there = (
            functional.pixel_unshuffle(part, self.patch).flatten(2).unflatten(1, (COLOURS, -1)) for part in (painted, x)
        )
        offered = self.offer(h).flatten(2).unflatten(1, (self.heads, -1)).softmax(2)
        colours = torch.einsum("bkpl,bcpl->bklc", offered, there)
        asks, keys = self.find(h).flatten(2).unflatten(1, (2, self.heads, KEY)).mT.contiguous().unbind(1)
        # One width for keys and values, and memory in a row, is what the fast attention kernels ask for.
        padded = functional.pad(colours, (0, KEY - COLOURS))
        found = functional.scaled_dot_product_attention(asks, keys, padded)[..., :COLOURS]
        weights = (self.mix(h).flatten(2).unflatten(1, (self.heads + 1, -1)) + self.ahead).softmax(1)
        mixed = weights[:, :1] * own + torch.einsum("bkpl,bklc->bcpl", weights[:, 1:], found)
        return functional.pixel_shuffle(mixed.flatten(1, 2).unflatten(2, tuple(h.shape[-2:])), self.patch)


def alike(x: Float[Tensor, "B C H W"], axis: int) -> Float[Tensor, "B 1 H W"]:
    """How much each pixel has the colour of the one before it along an axis, in [0, 1]; the first have none: 1."""
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    return (-ALIKE * (x - before).abs().amax(1, keepdim=True)).exp()
