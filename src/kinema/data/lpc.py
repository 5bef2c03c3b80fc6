"""Sprites of the Liberated Pixel Cup: Li and Mandt's 1296 characters, composed from a folder of real sheets.

A character is a skin, a bottom, a top and hair, six of each, with golden boots on black. Each walks, casts and slashes,
seen from the left, the front and the right, in cycles of 8 frames. This is the set that HALO's paper and those it is
compared with call Sprites. Their files hold the pixels divided by 256; here they stay 0-255.
"""

import copy
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.directed import factors_of, labels_of
from kinema.data.lpc_characters import ATTRIBUTES, SHEETS, VALUES, WARDROBE, lpc_split, read_credits
from kinema.data.lpc_layers import halve, read_layers
from kinema.data.source import TruthSource
from kinema.errors import ClipError, ConfigError, FileError
from kinema.files.lpc import ALIASES, LAYOUT

COLUMNS: Mapping[str, tuple[int, ...]] = {
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
"""The columns of a sheet that make an action's cycle."""
WAYS = ("left", "front", "right")
MOTIONS = len(COLUMNS) * len(WAYS)
STEPS = 8
FACTORS: dict[str, tuple[str, ...]] = {
    **{name: tuple(values) for name, values in WARDROBE.items()},
    "action": tuple(COLUMNS),
    "direction": WAYS,
}
SHRINK: Mapping[int, Callable] = {64: lambda pixels: pixels, 32: halve}
"""How pictures of a sheet come to each size."""
EXPECTED = "data.root is a folder in the layout of the Universal LPC Spritesheet: body/male/light.png, AUTHORS.txt, ..."


@dataclass(frozen=True)
class LpcConfig:
    """Where the sheets lie, and how they are kept."""

    root: str = ""
    """Folder of the sheets, with their AUTHORS.txt; environment variables (``$NAME``) are looked up. Empty:
    ``$KINEMA_DATA/lpc``."""
    size: int = 64
    """Side of the square cell, in pixels: 64, or 32 for the mean of each 2 x 2."""
    lazy: bool = False
    """Compose frames when they are asked for, from 32 MB of layers, instead of all beforehand (1.15 GB at 64)."""
    directed: bool = False
    """An action for each action and direction, nine together, instead of directions that are kept in a swap."""

    def __post_init__(self) -> None:
        if self.size not in SHRINK:
            raise ConfigError(f"lpc: size is {self.size} pixels; {' or '.join(map(str, SHRINK))} are possible")


def folder_of(config: LpcConfig) -> Path:
    """The folder of sheets. Raises FileError, naming what is missing first, where it is not whole."""
    root = os.path.expandvars(config.root or "$KINEMA_DATA/lpc")
    if root.startswith("$"):
        raise FileError(f"{root}: the environment variable is not set; set it, or data.root. {EXPECTED}")
    for name in ("", *(sheet.path for sheet in SHEETS), "AUTHORS.txt"):
        if not Path(root, name).exists():
            raise FileError(f"{Path(root, name)}: there is no such {'file' if name else 'folder'}; {EXPECTED}")
    return Path(root)


def cells() -> Int[np.ndarray, "F 2"]:
    """The (row, column) of every frame in a sheet, by action, direction and step, the last fastest."""
    places = []
    for action, columns in COLUMNS.items():
        for way in WAYS:
            row = LAYOUT[action].row + LAYOUT[action].directions.index(ALIASES.get(way, way))
            places += [(row, column) for column in columns]
    return np.array(places)


def worn_sheets() -> Int[Tensor, "6 6 6 6 L"]:
    """The numbers of the sheets that each character wears, in the order of pasting; 0 where there is none."""
    slots, count = [], 0
    for axis, values in enumerate(WARDROBE.values()):
        depth = max(len(worn) for worn in values.values())
        table = torch.zeros(VALUES, depth, dtype=torch.int64)
        for value, worn in enumerate(values.values()):
            table[value, : len(worn)] = torch.arange(count + 1, count + 1 + len(worn))
            count += len(worn)
        along = [VALUES if other == axis else 1 for other in range(len(WARDROBE))]
        slots.append(table.view(*along, depth).expand(*[VALUES] * len(WARDROBE), depth))
    shoes = torch.full_like(slots[0][..., :1], count + 1)
    return torch.cat([*slots, shoes], dim=-1)


class LpcSprites(TruthSource):
    """The characters of one split: ``train`` (1000), ``test`` (296) or ``all``.

    Clip ``9 i + 3 action + direction`` is the split's i-th character, in the order of their numbers, which `identity`
    holds. Every clip is one cycle of 8 frames. Raises ConfigError for an unknown split, FileError where a sheet is
    missing or is none.
    """

    name = "lpc"
    channels = 3
    length = STEPS
    fps = 10.0
    periodic = True

    def __init__(self, config: LpcConfig, split: str) -> None:
        members = torch.tensor([int(name) for name in lpc_split().members(split)])
        root = folder_of(config)
        self.config, self.split = config, split
        self.size = (config.size, config.size)
        self.identity = members.repeat_interleave(MOTIONS)
        appearance = torch.unravel_index(self.identity, (VALUES,) * len(ATTRIBUTES))
        motion = torch.arange(MOTIONS).repeat(len(members))
        self.factors, self.content = factors_of(FACTORS, ATTRIBUTES, config.directed)
        self.labels = dict(zip(ATTRIBUTES, appearance, strict=True)) | labels_of(motion, len(WAYS), config.directed)
        self.motion = motion
        self.credits = read_credits(root / "AUTHORS.txt")
        self.layers = read_layers([root / sheet.path for sheet in SHEETS], cells())
        self.worn = worn_sheets().flatten(0, -2)
        self.pixels = None if config.lazy else self.compose_all(members)

    def compose_all(self, members: Int[Tensor, " M"]) -> UInt8[Tensor, "N 8 C H W"]:
        """Every cycle of these characters, which are shared out among as many threads as torch would use."""
        shape = (len(members), MOTIONS * STEPS, self.channels, *self.size)
        pixels = np.empty(shape, np.uint8)  # NumPy asks for huge pages, which torch does not
        shrink, threads = SHRINK[self.config.size], torch.get_num_threads()

        def fill(mine: slice) -> None:
            for place, frames in zip(pixels[mine], self.layers.characters(self.worn[members[mine]]), strict=True):
                place[...] = shrink(frames)

        cuts = [len(members) * i // threads for i in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, map(slice, cuts, cuts[1:])))
        return torch.from_numpy(pixels).view(-1, STEPS, *shape[2:])

    def compose(
        self, character: Int[Tensor, " B"], motion: Int[Tensor, " B"], steps: Int[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Frames of the characters with these numbers, made of their layers; `motion` is 3 action + direction."""
        frames = motion[:, None] * STEPS + steps % STEPS
        worn = self.worn[character].repeat_interleave(steps.shape[1], dim=0)
        return SHRINK[self.config.size](self.layers.compose(worn, frames.flatten())).unflatten(0, steps.shape)

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, STEPS)

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips, steps = clips.to(self.worn.device), steps.to(self.worn.device)
        if self.pixels is None:
            return self.compose(self.identity[clips], self.motion[clips], steps)
        rows = clips[:, None] * STEPS + steps % STEPS
        return self.pixels.flatten(0, 1).index_select(0, rows.flatten()).unflatten(0, steps.shape)

    def render(
        self, factors: Mapping[str, Int[Tensor, " B"]], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        """Any character doing anything, at whole times modulo 8, in frames. Raises ClipError for other times."""
        whole = times.round()
        if not bool((times == whole).all()):
            raise ClipError(f"{self.name}: real sprites are drawn at whole times only; round them to 0, 1, 2, ...")
        values = {name: factors[name].to(self.worn.device) for name in self.factors}
        character = torch.zeros_like(values["action"])
        for name in ATTRIBUTES:
            character = character * VALUES + values[name]
        motion = values["action"] if self.config.directed else values["action"] * len(WAYS) + values["direction"]
        return self.compose(character, motion, whole.long().to(self.worn.device))

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        content, motion = content.to(self.worn.device), motion.to(self.worn.device)
        kept = {name: self.labels[name][content] for name in self.content}
        return self.render({**kept, "action": self.labels["action"][motion]}, times)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        labels = {name: self.factors[name][int(value[index])] for name, value in self.labels.items()}
        way = () if self.config.directed else (labels["direction"],)
        shown = self.frames(torch.tensor([index]), torch.arange(STEPS)[None])[0]
        return VideoClip(
            frames=shown.cpu().float() / 255,
            fps=self.fps,
            labels=labels,
            name="/".join(("lpc", f"{int(self.identity[index]):04d}", labels["action"], *way)),
            credits=self.credits,
        )

    def to(self, device: torch.device) -> "LpcSprites":
        moved = copy.copy(self)
        moved.layers, moved.worn = self.layers.to(device), self.worn.to(device)
        moved.pixels = None if self.pixels is None else self.pixels.to(device)
        moved.identity, moved.motion = self.identity.to(device), self.motion.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.layers.nbytes() + (0 if self.pixels is None else self.pixels.nbytes)
