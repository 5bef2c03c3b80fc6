"""Actions told apart without labels: the groups that clips fall into by where their pictures change.

Not the paper's, whose unconditional model moves all its operators in every clip; nothing there says whether what is
constant in a clip, such as its action, belongs to the content or to the motion, and it goes to the content. Here the
place of change decides: a clip's signature knows neither its colours nor its pose at any one time.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.source import Source
from kinema.errors import ConfigError
from kinema.maths.kmeans import fit_centres, nearest

GRID = 16
"""Cells of a signature along each side of the picture."""
MOST = 4096
"""Clips, drawn at random, that the groups are found from."""


def signature(frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B n"]:
    """How much each cell of a coarse grid changes in the clip: the standard deviation over time, of all channels
    together, at unit length; zero where nothing moves."""
    coarse = functional.adaptive_avg_pool2d(frames.flatten(0, 1), GRID).unflatten(0, frames.shape[:2])
    change = coarse.var(dim=1, correction=0).sum(1).sqrt().flatten(1)
    return functional.normalize(change, eps=1e-6)


class FoundActions(nn.Module):
    """The groups, as centres of signatures and the share of the clips in each; buffers, saved with the model."""

    centres: Tensor
    shares: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(count, GRID * GRID))
        self.register_buffer("shares", torch.full((count,), 1 / count))

    @torch.no_grad()
    def fit(self, source: Source) -> None:
        """Find the groups of the clips of `source`. Raises ConfigError for fewer clips than groups."""
        count = len(self.centres)
        if len(source) < count:
            raise ConfigError(f"model.found_actions is {count}; the data have {len(source)} clips, which is fewer")
        clips = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:MOST]
        seen = _signatures(source, clips)
        self.centres.copy_(fit_centres(seen, count, 0))
        self.shares.copy_(nearest(seen, self.centres.to(seen)).bincount(minlength=count) / len(seen))

    @torch.no_grad()
    def of(self, source: Source) -> Int[Tensor, " N"]:
        """The action of every clip of `source`, seen in its first window."""
        return nearest(_signatures(source, torch.arange(len(source))), self.centres.cpu())

    def forward(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the actions in each clip: the nearest has the greatest."""
        return -torch.cdist(signature(frames), self.centres)

    def draw(self, count: int, generator: torch.Generator) -> Int[Tensor, " B"]:
        """Actions, each as often as in training, drawn by `generator` on the CPU."""
        return self.shares.cpu().multinomial(count, replacement=True, generator=generator)


def _signatures(source: Source, clips: Int[Tensor, " B"]) -> Float[Tensor, "B n"]:
    parts = []
    for part in clips.split(64):
        frames = source.window(part, torch.zeros_like(part)).frames
        parts.append(signature(frames.float() / 255).cpu())
    return torch.cat(parts)
