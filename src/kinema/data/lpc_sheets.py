"""A user's own characters: sheets of the Liberated Pixel Cup's layout, each of one whole figure.

Cycles are those of the 1296 characters (`lpc`): 8 frames of the walk, the spell and the slash, from the left, the front
and the right. So a run on those, or on `lpc-wide`, can be fine-tuned on such sheets.
"""

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.folders import FolderConfig, children, held_out
from kinema.data.lpc import COLUMNS, MOTIONS, SHRINK, STEPS, WAYS, cells
from kinema.data.lpc_layers import read_layers
from kinema.data.source import Source
from kinema.errors import ConfigError, FileError
from kinema.files.credits import read_credits

EXPECTED = "data.root is a sheet of 832 x 1344 pixels, such as hero.png, or a folder of such sheets"


@dataclass(frozen=True)
class SheetsConfig:
    """Where the sheets lie, and who is held out."""

    root: str = ""
    """One sheet, or a folder of sheets, each of a character whom its file's name names; environment variables
    (``$NAME``) are looked up."""
    test: tuple[str, ...] = ()
    """Characters that are held out; empty: one in five, drawn by `seed`, and of less than two none."""
    size: int = 64
    """Side of the square cell, in pixels: 64, or 32 for the mean of each 2 x 2."""
    seed: int = 0
    """Of the choice of the characters that are held out."""

    def __post_init__(self) -> None:
        if self.size not in SHRINK:
            raise ConfigError(f"data.size: {self.size} pixels; {' or '.join(map(str, SHRINK))} are possible")


def sheets_of(root: str) -> list[Path]:
    """The pictures of a folder, or one. Raises FileError where there is none, ConfigError where no folder is given."""
    if not root:
        raise ConfigError(f"data.root: no folder is given; {EXPECTED}")
    path = Path(os.path.expandvars(root))
    if not path.exists():
        raise FileError(f"{path}: there is no such folder or file; {EXPECTED}")
    found = [path] if path.is_file() else [file for file in children(path, files=True) if file.suffix.lower() == ".png"]
    if not found:
        raise FileError(f"{path}: holds no .png file; {EXPECTED}")
    return found


class Sheets(Source):
    """The characters of one split: ``train``, ``test`` (characters held out) or ``all``.

    Every clip is one cycle of 8 frames on black; what a sheet leaves empty is no clip. Where nobody can be held out,
    because each alone shows some action, ``test`` is the training clips themselves, and `name` says so. Raises
    FileError where a picture is no such sheet or an empty one, ConfigError for an unknown split or character.
    """

    channels = 3
    length = STEPS
    fps = 10.0
    periodic = True
    content = ("direction",)

    def __init__(self, config: SheetsConfig, split: str) -> None:
        paths = sheets_of(config.root)
        self.layers = read_layers(paths, cells())
        character, motion = self.drawn(paths).nonzero(as_tuple=True)
        self.identities = tuple(path.stem for path in paths)
        shown = np.zeros((len(paths), len(COLUMNS)), dtype=bool)
        shown[character, motion // len(WAYS)] = True
        there = np.flatnonzero(shown.any(0))
        actions = [tuple(COLUMNS)[action] for action in there]
        test = held_out(FolderConfig(test=config.test, seed=config.seed), self.identities, actions, shown[:, there])
        tested = torch.isin(character, torch.tensor(test, dtype=torch.int64))
        everybody = torch.ones_like(tested)
        parts = {"train": ~tested, "test": tested if test else everybody, "all": everybody}
        if split not in parts:
            raise ConfigError(f"sheets: no split {split!r}; there are {', '.join(parts)}")
        self.factors = {"action": tuple(COLUMNS), "direction": WAYS}
        self.name = "sheets" if test else "sheets (nobody held out)"
        self.config, self.split, self.size = config, split, (config.size, config.size)
        self.identity, self.motion = character[parts[split]], motion[parts[split]]
        self.labels = {"action": self.motion // len(WAYS), "direction": self.motion % len(WAYS)}
        self.credits = tuple(dict.fromkeys(line for path in paths for line in read_credits(path)))

    def drawn(self, paths: list[Path]) -> Bool[Tensor, "M K"]:
        """Whether each sheet shows each motion, 3 action + direction, in every frame."""
        seen = (self.layers.keep[1:] < 255).flatten(2).any(2).unflatten(1, (MOTIONS, STEPS)).all(2)
        for path, any_motion in zip(paths, seen.any(1).tolist(), strict=True):
            if not any_motion:
                raise FileError(f"{path}: none of {', '.join(COLUMNS)} is drawn in it whole; {EXPECTED}")
        return seen

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, STEPS)

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips, steps = clips.to(self.identity.device), steps.to(self.identity.device)
        worn = (self.identity[clips] + 1).repeat_interleave(steps.shape[1])[:, None]
        shown = self.layers.compose(worn, (self.motion[clips, None] * STEPS + steps % STEPS).flatten())
        return SHRINK[self.config.size](shown).unflatten(0, steps.shape)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        labels = {name: self.factors[name][int(value[index])] for name, value in self.labels.items()}
        shown = self.frames(torch.tensor([index]), torch.arange(STEPS)[None])[0]
        return VideoClip(
            frames=shown.cpu().float() / 255,
            fps=self.fps,
            labels=labels,
            name="/".join((self.identities[int(self.identity[index])], labels["action"], labels["direction"])),
            credits=self.credits,
        )

    def to(self, device: torch.device) -> "Sheets":
        moved = copy.copy(self)
        moved.layers, moved.identity = self.layers.to(device), self.identity.to(device)
        moved.motion = self.motion.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.layers.nbytes()
