"""Squared distances between clips and many candidates, each candidate frame made only once and never kept."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source
from kinema.evaluation.windows import cycle

CHUNK_BYTES = 64 * 2**20
"""Memory for the candidates' frames that are held at one time, as float32."""

Show = Callable[[Int[Tensor, " N"], Float[Tensor, "N U"]], UInt8[Tensor, "N U C H W"]]
"""What candidates look like at times: (candidates, times) -> frames."""


def squared_distances(
    frames: UInt8[Tensor, "B T C H W"], times: Float[Tensor, "B T"], candidates: int, show: Show
) -> Float[Tensor, "B N"]:
    """How far each clip is from each candidate shown at the clip's own times: the sum over frames, pixels and colours.

    Values count 0-255; RGBA counts as its first three channels. |x|^2 - 2 x.c + |c|^2 is summed per distinct time, so
    the work of showing grows with the distinct times, not with the clips. Memory: B x N floats and two chunks.
    """
    frames = frames[:, :, :3]
    instants, column = torch.unique(times, return_inverse=True)
    frames_held = max(1, CHUNK_BYTES // (4 * frames[0, 0].numel()))
    distances = frames.float().square().sum((1, 2, 3, 4))[:, None].repeat(1, candidates)
    for moments in torch.arange(len(instants)).split(frames_held):
        seen = [torch.nonzero(column == moment, as_tuple=True) for moment in moments]
        for chosen in torch.arange(candidates).split(max(1, frames_held // len(moments))):
            shown = show(chosen, instants[moments].expand(len(chosen), -1))[:, :, :3].cpu()
            for picture, (clip, frame) in zip(shown.transpose(0, 1), seen, strict=True):
                c = picture.flatten(1).float()
                x = frames[clip, frame].flatten(1).float()
                distances[:, chosen[0] : chosen[-1] + 1].index_add_(0, clip, c.square().sum(1) - 2 * x @ c.T)
    return distances


def folded(source: Source, times: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Times within the first cycle of a periodic source, so that fewer of them are distinct."""
    period = cycle(source)
    return times if period is None else times % period
