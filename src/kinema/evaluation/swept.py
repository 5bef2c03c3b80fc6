"""The background that moving limbs uncover: what it is, and which pixels of a film prove it.

Where a film shows people before a wall, nobody knows the wall behind them. But a pixel that a limb only passes shows it
most of the time: there the median over time is the wall, and a model's rendering of the background can be judged.
"""

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from kinema.errors import ClipError

RANGE = 30
"""A pixel moves if its values span more than this over time, of 255, in some colour."""
THERE = RANGE // 2
"""Somebody is there if the pixel is farther than this from its median, of 255, in some colour: any pixel that moves is
so in some frame, because one of its two extremes is. Colours that are no farther apart count as alike."""
SHARE = 0.4
"""The film's frames, as a share, in fewer of which somebody may be there."""
RIM = 16
"""The frame's rim is a band of this fraction of its height and width, one pixel or more."""
CHUNK = 4096
"""Pixels that are compared with the rim at once."""


def temporal_median(frames: UInt8[Tensor, "T C H W"]) -> UInt8[Tensor, "C H W"]:
    """Each colour's median over time, the lower one of two in the middle."""
    return frames.median(dim=0).values


def presence(frames: UInt8[Tensor, "T C H W"], median: UInt8[Tensor, "C H W"]) -> Bool[Tensor, "T H W"]:
    """Where a colour differs from the median by more than `THERE`: somebody is there, if the median is the wall."""
    return ((frames.short() - median.short()).abs() > THERE).any(dim=1)


def moving(frames: UInt8[Tensor, "T C H W"]) -> Bool[Tensor, "H W"]:
    """The pixels of which some colour spans more than `RANGE` over time."""
    return (frames.amax(dim=0).short() - frames.amin(dim=0).short() > RANGE).any(dim=0)


def like_the_rim(median: UInt8[Tensor, "C H W"], still: Bool[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Whether a pixel's colour is that of some still pixel of the frame's left, right or upper rim.

    The lower rim is left out: people stand on it.
    """
    height, width = still.shape
    rim = torch.ones_like(still)
    rim[max(1, height // RIM) :, max(1, width // RIM) : -max(1, width // RIM)] = False
    known = median[:, rim & still].T.float().unique(dim=0)
    if not len(known):
        return torch.zeros_like(still)
    pixels = median.flatten(1).T.float()
    nearest = [torch.cdist(some, known, p=torch.inf).amin(dim=1) for some in pixels.split(CHUNK)]
    return (torch.cat(nearest) <= THERE).view(height, width)


def swept(frames: UInt8[Tensor, "T C H W"]) -> tuple[UInt8[Tensor, "C H W"], Bool[Tensor, "H W"]]:
    """The median over time, and the pixels where limbs prove it to be the background.

    Three things must hold of a pixel. It moves: a colour spans more than 30 of 255. Somebody is there, by the distance
    from the median, in fewer than 40 % of the frames. And its median looks like the wall: its colour is found, within
    15 of 255, at the rim of the frame (left, right or upper) where nothing moves. Without the third, a trunk that holds
    its place for most of a film and leaves it for less than 40 % would pass for the wall that a limb passes. What the
    rules cannot see is clothes of the wall's own colours; and a background that is seen nowhere at the rim is left out.

    Raises ClipError for fewer than three frames, of which no median can be formed.
    """
    if len(frames) < 3:
        raise ClipError(f"{len(frames)} frames: the median over time needs 3 or more")
    median, moves = temporal_median(frames), moving(frames)
    seldom = presence(frames, median).float().mean(dim=0) < SHARE
    return median, moves & seldom & like_the_rim(median, ~moves)
