"""Pairs of frames of a user's own clips, each on its own background; nothing of their truth is known.

The clips are any that `kinema.data.folders` reads: a folder ``ACTION/clip`` of GIFs, strips, folders of pictures, or
videos (``.mp4``, ``.mov``, ``.mkv``, ``.webm``, by PyAV: ``pip install 'kinema[video]'``), or a folder of clips of one
action. A copy of the Fashion videos (Zablotskaia et al. 2019) is such a folder, with ``resize`` and a ``size``.
"""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from kinema.data.folders import FolderClips, FolderConfig
from kinema.data.pairs import PairSource
from kinema.errors import ConfigError


@dataclass(frozen=True)
class ScenesConfig:
    """Where clips lie, who is seen in them, how they are framed and split, and how near the frames of a pair are."""

    root: str = ""
    """A folder ``ACTION/clip.gif``, a folder of clips of one action, or one sheet; environment variables (``$NAME``)
    are looked up."""
    identity: str = ""
    """A regex searched in a clip's path below the root, without suffix: its group 1, or else the match, says who is
    seen. Empty: the file's name without suffix. Where a clip has a mirrored twin, the regex must give both one name,
    such as ``(person\\d+)`` for ``person3_a`` and ``person3_b``: else one may train and the other test."""
    test: tuple[str, ...] = ()
    """Identities that are held out; empty: one in five, drawn by `seed`."""
    size: int = 0
    """Side of the square frame in whose middle a clip lies, in pixels; 0: that of the largest clip, rounded up to 8."""
    resize: bool = False
    """Scale every clip to fill the frame, its proportions kept, instead of refusing larger ones."""
    reach: int = 0
    """The frames of a pair are at most so many frames apart; 0: any of the clip."""
    seed: int = 0
    """Of the choice of the identities that are held out."""

    def __post_init__(self) -> None:
        if self.reach < 0:
            raise ConfigError(f"data.reach: {self.reach} frames; give 1 or more, or 0 for any distance")
        self.folder()

    def folder(self) -> FolderConfig:
        """The same for clips that are read whole. Raises ConfigError where a setting is at fault."""
        shared = {name: getattr(self, name) for name in ("root", "identity", "test", "size", "resize", "seed")}
        return FolderConfig(**shared, length=2, loop=False)


class Scenes(PairSource):
    """A user's clips of one split: ``train``, ``test`` (identities held out) or ``all``.

    RGB as it is in the files, over black where these are transparent. Where no identity can be held out, because each
    alone shows some action, ``test`` is the training clips themselves, and `name` says so. Raises FileError, ClipError
    and ConfigError as a file or a setting is at fault.
    """

    def __init__(self, config: ScenesConfig, split: str) -> None:
        self.config, self.split = config, split
        self.films = FolderClips(config.folder(), split)
        """The same clips as a source of windows: their labels, identities and headers."""
        self.name = self.films.name.replace("clips", "scenes", 1)
        self.size, self.fps, self.credits = self.films.size, self.films.fps, self.films.credits

    def frame_counts(self) -> Int[Tensor, " N"]:
        return self.films.frame_counts()

    def frames(
        self, clips: Int[Tensor, " B"], steps: Int[Tensor, " B"], background: Int[Tensor, " B"]
    ) -> UInt8[Tensor, "B 3 H W"]:
        """Frame `steps[b]` of clip `clips[b]`, the last one beyond its end; there is but one background."""
        del background
        return self.films.frames(clips, steps[:, None])[:, 0]

    def reaches(self) -> Int[Tensor, " N"]:
        """How many frames apart the frames of a pair may be, in each clip."""
        farthest = self.frame_counts() - 1
        return farthest.clamp(max=self.config.reach) if self.config.reach else farthest

    def rooms(self, anywhere: bool) -> Int[Tensor, " N"]:
        """How many ordered pairs of different frames within reach each clip has."""
        del anywhere
        counts, reach = self.frame_counts(), self.reaches()
        return 2 * (counts - reach) * reach + reach * (reach - 1)

    def pair(self, clips: Int[Tensor, " B"], start: Int[Tensor, " B"]) -> tuple[Tensor, Tensor, Tensor]:
        """The two steps and the background, each (B,), of a number below `rooms`.

        Of T frames, each of the first T - r can be followed by any of the next r. The r frames after them are all
        within reach of each other: of a circle of r, everyone and the k-th after, k = 1, 2, ... to r / 2, is each pair
        once.
        """
        clips, start = clips.to(self.films.identity.device), start.to(self.films.identity.device)
        counts, reach = self.frame_counts()[clips], self.reaches()[clips]
        number, swapped = start // 2, start % 2 == 1
        late = number - (counts - reach) * reach
        early, gap = number // reach, number % reach + 1
        base, place = counts - reach, late % reach
        far = (place + late // reach + 1) % reach
        first = torch.where(late < 0, early, base + place)
        second = torch.where(late < 0, early + gap, base + far)
        return torch.where(swapped, second, first), torch.where(swapped, first, second), torch.zeros_like(start)

    def clip_frames(self, index: int) -> UInt8[Tensor, "T 3 H W"]:
        """All frames of a clip. Raises IndexError beyond the clips."""
        index = range(len(self))[index]
        count = int(self.frame_counts()[index])
        return self.films.frames(torch.tensor([index]), torch.arange(count)[None])[0]

    def to(self, device: torch.device) -> "Scenes":
        moved = copy.copy(self)
        moved.films = self.films.to(device)
        return moved

    def nbytes(self) -> int:
        return self.films.nbytes()
