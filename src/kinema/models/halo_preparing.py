"""What a HALO takes from the training clips before its first step, and the form in which it is trained on them."""

from typing import Any

import torch
from torch import nn

from kinema.data.accompanied import Accompanied, same_content
from kinema.data.coordinates import CoordinateSource
from kinema.data.relabelled import Relabelled
from kinema.data.source import Source
from kinema.data.windows import WindowSource
from kinema.models.halo_config import HaloConfig
from kinema.nn.coordinates import EACH, MOST, Coordinates, Plain
from kinema.nn.found_actions import FoundActions
from kinema.nn.poses import Poses


class Preparing(nn.Module):
    """The part of a HALO that sees whole data sets; `Halo` has the rest."""

    config: HaloConfig
    found: FoundActions | None
    coordinates: Coordinates | Plain
    decoder: Any
    known: Any

    def fit(self, source: Source) -> None:
        """Find the actions of the training clips, where labels are not used; take the principal components of their
        frames, where the networks know frames by these; and fit the maps of poses, where there are any."""
        if self.found is not None:
            self.found.fit(source)
        if isinstance(self.coordinates, Coordinates):
            generator = torch.Generator().manual_seed(0)
            frames = min(MOST, EACH * self.coordinates.count)
            clips = torch.randint(len(source), (frames,), generator=generator)
            counts = source.frame_counts().cpu()[clips]
            steps = (torch.rand(frames, generator=generator) * counts).long()[:, None]
            parts = zip(clips.split(64), steps.split(64), strict=True)
            seen = torch.cat([source.frames(*part)[:, 0].cpu() for part in parts])
            self.coordinates.fit(seen.float() / 255)
        poses = getattr(self.decoder, "poses", None)
        if isinstance(poses, Poses):
            poses.fit(self.relabelled(source), self.known)

    def refit(self, source: Source) -> None:
        """Fit the maps of poses, where there are any, to these clips beside those that they were fitted to."""
        poses = getattr(self.decoder, "poses", None)
        if isinstance(poses, Poses):
            poses.refit(self.relabelled(source), self.known)

    def prepared(self, source: Source) -> WindowSource:
        """The source as training wants it: with labels that were found, coordinates, clips to read the content from."""
        seen = self.relabelled(source)
        shown = CoordinateSource(seen, self.known) if isinstance(self.coordinates, Coordinates) else seen
        return Accompanied(shown, same_content(source)) if self.config.content_elsewhere else shown

    def relabelled(self, source: Source) -> Source | Relabelled:
        """The source with found actions in the place of labels, where there are any."""
        return source if self.found is None else Relabelled(source, "action", self.found.of(source))
