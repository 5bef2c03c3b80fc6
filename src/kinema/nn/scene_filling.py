"""f_b that fills in: what a character hides takes colours that the frame shows elsewhere. Ours.

A network that paints must learn every colour that a background may have, and how to leave all others as they are. This
one copies. Each place looks for others by attention, one for each of some heads, and takes a colour from each; each
pixel is then a mixture of its own colour and those. Its own counts for nearly all at the beginning. The network is also
shown where neighbours have the same colour, which tells shapes whatever colours they have.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.nn.scene import SLOPE, Padding
from kinema.nn.scene_pixels import COLOURS, Step, conv, silent

KEY = 16
"""Numbers that places find each other by."""
ALIKE = 50.0
"""Neighbours count as alike by exp(-ALIKE d) of the greatest difference d of their channels, in [0, 1]."""
OWN = 5.0
"""What a pixel's own colour is ahead by of each colour found, in logits: at the beginning nothing else is told."""


class FillingEncoder(nn.Module):
    """Pictures, around zero, to maps of their own size: the background's colours first, then what else is learned."""

    ahead: Tensor

    def __init__(self, width: int, features: int, padding: Padding, patch: int, heads: int) -> None:
        """Patches of `patch` x `patch` pixels are the places, `heads` the colours that each of them finds."""
        super().__init__()
        self.patch, self.heads = patch, heads
        self.register_buffer("ahead", torch.tensor([OWN, *[0.0] * heads])[:, None, None], persistent=False)
        self.first = conv((COLOURS + 2) * patch**2, width, padding)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode=padding)
        self.middle = nn.Sequential(*(Step(2 * width, padding, spread) for spread in (1, 2, 1, 2)))
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.fine = Step(width, padding)
        self.find = nn.Conv2d(width, 2 * heads * KEY, 1)
        self.offer = conv(width, heads * patch**2, padding)
        self.mix = silent(conv(width, (heads + 1) * patch**2, padding))
        self.more = silent(conv(width, (features - COLOURS) * patch**2, padding)) if features > COLOURS else None
        self.mix.bias = None  # whatever places do alike would leave the whole frame, which nothing brings back

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        h = self.first(functional.pixel_unshuffle(torch.cat([x, alike(x, 2), alike(x, 3)], 1), self.patch))
        even = functional.pad(h, (0, h.shape[-1] % 2, 0, h.shape[-2] % 2))
        coarse = self.middle(self.down(functional.leaky_relu(even, SLOPE)))
        back = self.up(functional.leaky_relu(coarse, SLOPE))[..., : h.shape[-2], : h.shape[-1]]
        h = functional.leaky_relu(self.fine(h + back), SLOPE)
        colours = self.filled(x, h)
        if self.more is None:
            return colours
        return torch.cat([colours, functional.pixel_shuffle(self.more(h), self.patch)], 1)

    def filled(self, x: Float[Tensor, "B 3 H W"], h: Float[Tensor, "B w a b"]) -> Float[Tensor, "B 3 H W"]:
        """Every pixel as a mixture of its own colour and of those that its place found."""
        own = functional.pixel_unshuffle(x, self.patch).flatten(2).unflatten(1, (COLOURS, -1))
        offered = self.offer(h).flatten(2).unflatten(1, (self.heads, -1)).softmax(2)
        colours = torch.einsum("bkpl,bcpl->bklc", offered, own)
        asks, keys = self.find(h).flatten(2).unflatten(1, (2, self.heads, KEY)).mT.contiguous().unbind(1)
        # One width for keys and values is what the fast attention kernels ask for.
        padded = functional.pad(colours, (0, KEY - COLOURS))
        found = functional.scaled_dot_product_attention(asks, keys, padded)[..., :COLOURS]
        weights = (self.mix(h).flatten(2).unflatten(1, (self.heads + 1, -1)) + self.ahead).softmax(1)
        mixed = weights[:, :1] * own + torch.einsum("bkpl,bklc->bcpl", weights[:, 1:], found)
        return functional.pixel_shuffle(mixed.flatten(1, 2).unflatten(2, tuple(h.shape[-2:])), self.patch)


def alike(x: Float[Tensor, "B C H W"], axis: int) -> Float[Tensor, "B 1 H W"]:
    """How much each pixel has the colour of the one before it along an axis, in [0, 1]; the first have none: 1."""
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    return (-ALIKE * (x - before).abs().amax(1, keepdim=True)).exp()
