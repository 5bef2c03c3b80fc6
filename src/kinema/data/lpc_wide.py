"""Characters of everything that a folder of LPC sheets holds, some of whose layers no training character wears.

A stranger's character has hair, clothes or a body that a model never saw. Here whole layers are held out: hair styles
in all their colours, garments, and bodies, of both sexes. Actions, directions and cycles are those of `lpc`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.directed import factors_of, labels_of
from kinema.data.draws import uniform
from kinema.data.lpc import COLUMNS, MOTIONS, SHRINK, STEPS, WAYS, cells
from kinema.data.lpc_palettes import with_variants
from kinema.data.lpc_wide_layers import SEXES, SLOTS, WideSheet, authors, compose, find_sheets, read_wide, sheets_root
from kinema.data.source import TruthSource
from kinema.errors import ClipError, ConfigError

GARMENTS = ("torso", "legs", "feet")
"""The slots that held-out garments are taken from, in turn."""
HELD_STREAM, TRAIN_STREAM, TEST_STREAM, PALETTE_STREAM, VARIANT_STREAM = 1, 2, 3, 4, 100
VARIANTS = 64
"""Palettes of each sheet, beside its own, that recoloured characters have one of."""
TRIES = 100
"""Draws for each character that is wanted, before a folder is said to have too few."""
NOTHING = "none"

Worn = tuple[int, ...]
"""The number of a character's sheet in each slot; 0: nothing."""
Pools = Mapping[tuple[str, str], Sequence[int]]
"""The numbers of the sheets of each slot and sex."""


@dataclass(frozen=True)
class LpcWideConfig:
    """Where the sheets lie, how many characters are drawn, and what no training character wears."""

    root: str = ""
    """Folder of the sheets, with their AUTHORS.txt; environment variables (``$NAME``) are looked up. Empty:
    ``$KINEMA_DATA/lpc``."""
    size: int = 64
    """Side of the square cell, in pixels: 64, or 32 for the mean of each 2 x 2."""
    directed: bool = False
    """An action for each action and direction, nine together, instead of directions that are kept in a swap."""
    characters: int = 2000
    """How many characters train, half of them of either sex."""
    test: int = 400
    """How many characters test; each wears at least one layer that is held out."""
    held_hair: int = 3
    """Hair styles held out, in all their colours."""
    held_garments: int = 9
    """Garments held out, from torso, legs and feet in turn; each in the cuts of both sexes. Other colours of the same
    cut may be among the trained ones."""
    held_bodies: int = 1
    """Bodies (tones, kinds) held out."""
    own: int = 0
    """How many of those that test train instead, alone, as sheets of a user's own: for fine-tuning. 0: the others
    train."""
    recoloured: float = 0.0
    """Share of the training characters whose sheets are in colours drawn at random: what is held out may be drawn as
    something known is, in other colours."""
    seed: int = 0
    """Of what is held out, of the characters, and of colours that are drawn."""

    def __post_init__(self) -> None:
        if self.size not in SHRINK:
            raise ConfigError(f"data.size: {self.size} pixels; {' or '.join(map(str, SHRINK))} are possible")
        for name in ("characters", "test"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name}: {getattr(self, name)}; at least 1 is needed")
        held = {name: getattr(self, name) for name in ("held_hair", "held_garments", "held_bodies")}
        if min(held.values()) < 0 or not any(held.values()):
            told = ", ".join(f"data.{name} {count}" for name, count in held.items())
            raise ConfigError(f"{told}: none may be below 0, and one must be above it")
        if not 0 <= self.own < self.test:
            raise ConfigError(f"data.own: {self.own} of {self.test} who test (data.test); one must be left")
        if not 0 <= self.recoloured <= 1:
            raise ConfigError(f"data.recoloured: {self.recoloured}; a share of the characters, 0 to 1, is needed")
        if self.seed < 0:
            raise ConfigError(f"data.seed: {self.seed}; 0 or more are possible")

    def held(self) -> dict[str, int]:
        """How many units of each slot are held out."""
        garments = {
            slot: self.held_garments // len(GARMENTS) + (place < self.held_garments % len(GARMENTS))
            for place, slot in enumerate(GARMENTS)
        }
        return {"body": self.held_bodies, **garments, "hair": self.held_hair}


class LpcWide(TruthSource):
    """The characters of one split: ``train``, ``test`` or ``all``, training characters first.

    A content factor (body, feet, legs, torso, hair) names the sheet worn there; its value 0 is ``none``, which only a
    body wears whose sex has no sheet for the slot. Factors are the same in every split. Clip ``9 i + 3 action +
    direction`` is the split's i-th character; every clip is one cycle of 8 frames. All layers stay in memory at 64
    pixels (68 MB for 850 sheets, and 55 MB of palettes where some are recoloured; `nbytes` says how much) and are
    pasted when frames are asked for.

    `left_out` counts the pictures of the folder that are not used, by the reason. Credits name all in AUTHORS.txt.
    Raises ConfigError for an unknown split, or where the folder has too little for the settings; FileError where a
    sheet is damaged or the folder is none.
    """

    name = "lpc-wide"
    channels = 3
    length = STEPS
    fps = 10.0
    periodic = True

    def __init__(self, config: LpcWideConfig, split: str) -> None:
        if split not in ("train", "test", "all"):
            raise ConfigError(f"{self.name}: no split {split!r}; there are train, test, all")
        root = sheets_root(config.root)
        sheets, self.left_out = find_sheets(root)
        units = held_units(sheets, config)
        held, self.sex = {}, {}
        for slot in SLOTS:
            mine = [sheet for sheet in sheets if sheet.slot == slot]
            held[slot] = torch.tensor([False, *(sheet.unit in units[slot] for sheet in mine)])
            self.sex[slot] = torch.tensor([-1, *(SEXES.index(sheet.sex) for sheet in mine)])
        self.held: Mapping[str, Bool[Tensor, " V"]] = held
        """Whether each value of a slot is held out."""
        worn = torch.tensor(draw_characters(sheets, units, config)).view(-1, len(SLOTS))
        tests = config.characters + config.own
        trains = slice(config.characters, tests) if config.own else slice(tests)
        cut = {"train": trains, "test": slice(tests, None), "all": slice(None)}[split]
        self.config, self.split, self.size = config, split, (config.size, config.size)
        self.identity = torch.arange(len(worn))[cut].repeat_interleave(MOTIONS)
        motion = torch.arange(MOTIONS).repeat(len(worn[cut]))
        names = {
            slot: tuple(sheet.path.removesuffix(".png") for sheet in sheets if sheet.slot == slot) for slot in SLOTS
        }
        factors = {slot: (NOTHING, *values) for slot, values in names.items()}
        self.factors, self.content = factors_of(
            {**factors, "action": tuple(COLUMNS), "direction": WAYS}, SLOTS, config.directed
        )
        self.labels = dict(zip(SLOTS, worn[self.identity].unbind(1), strict=True))
        self.labels |= labels_of(motion, len(WAYS), config.directed)
        self.credits = authors(root / "AUTHORS.txt")
        places, frame = np.unique(cells(), axis=0, return_inverse=True)
        self.layers = read_wide(root, sheets, places)
        self.variant = draw_variants(config, len(worn))[cut].repeat_interleave(MOTIONS)
        """Which palette the sheets of each clip's character are in; 0: their own."""
        if bool(self.variant.any()):
            self.layers = tuple(
                with_variants(layers, VARIANTS, config.seed, VARIANT_STREAM + place)
                for place, layers in enumerate(self.layers)
            )
        self.frame = torch.from_numpy(frame.reshape(-1))
        """Which of the frames kept shows each motion and step."""

    def held_out(self, clips: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """For each slot the value that each clip wears where it is held out, else 0."""
        worn = {slot: self.labels[slot].cpu()[clips.cpu()] for slot in SLOTS}
        return {slot: value * self.held[slot][value] for slot, value in worn.items()}

    def fitting(self, slot: str, body: int) -> Int[Tensor, " K"]:
        """The values of a slot that are cut for the sex of a body; those of ``body`` are the bodies of that sex."""
        return (self.sex[slot] == self.sex["body"][body]).nonzero()[:, 0]

    def compose(
        self,
        worn: Int[Tensor, "B L"],
        motion: Int[Tensor, " B"],
        steps: Int[Tensor, "B T"],
        variant: Int[Tensor, " B"],
    ) -> UInt8[Tensor, "B T C H W"]:
        """Frames of characters that wear these sheets in these palettes; `motion` is 3 action + direction."""
        frames = self.frame[motion[:, None] * STEPS + steps % STEPS]
        worn, variant = (part.repeat_interleave(steps.shape[1], dim=0) for part in (worn, variant))
        shown = compose(self.layers, worn, frames.flatten(), variant)
        return SHRINK[self.config.size](shown).unflatten(0, steps.shape)

    def frame_counts(self) -> Int[Tensor, " N"]:
        return torch.full_like(self.identity, STEPS)

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        clips = clips.to(self.frame.device)
        factors = {name: value[clips] for name, value in self.labels.items()}
        return self.render(factors, steps.double(), self.variant[clips])

    def render(
        self,
        factors: Mapping[str, Int[Tensor, " B"]],
        times: Float[Tensor, "B T"],
        variant: Int[Tensor, " B"] | None = None,
    ) -> UInt8[Tensor, "B T C H W"]:
        """Any body in any sheets doing anything, at whole times modulo 8, in frames; in the sheets' own colours, or in
        those of a `variant`. ClipError for other times."""
        whole = times.round()
        if not bool((times == whole).all()):
            raise ClipError(f"{self.name}: real sprites are drawn at whole times only; round them to 0, 1, 2, ...")
        values = {name: factors[name].to(self.frame.device) for name in self.factors}
        motion = values["action"] if self.config.directed else values["action"] * len(WAYS) + values["direction"]
        worn = torch.stack([values[slot] for slot in SLOTS], 1)
        variant = torch.zeros_like(motion) if variant is None else variant
        return self.compose(worn, motion, whole.long().to(self.frame.device), variant)

    def in_own_colours(self) -> "LpcWide":
        """The same clips with nobody recoloured."""
        plain = copy.copy(self)
        plain.variant = torch.zeros_like(self.variant)
        return plain

    def truth(
        self, content: Int[Tensor, " B"], motion: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> UInt8[Tensor, "B T C H W"]:
        content, motion = content.to(self.frame.device), motion.to(self.frame.device)
        kept = {name: self.labels[name][content] for name in self.content}
        return self.render({**kept, "action": self.labels["action"][motion]}, times, self.variant[content])

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        labels = {name: self.factors[name][int(value[index])] for name, value in self.labels.items()}
        way = () if self.config.directed else (labels["direction"],)
        shown = self.frames(torch.tensor([index]), torch.arange(STEPS)[None])[0]
        return VideoClip(
            frames=shown.cpu().float() / 255,
            fps=self.fps,
            labels=labels,
            name="/".join((self.name, f"{int(self.identity[index]):05d}", labels["action"], *way)),
            credits=self.credits,
        )

    def to(self, device: torch.device) -> "LpcWide":
        moved = copy.copy(self)
        moved.layers = tuple(layers.to(device) for layers in self.layers)
        moved.frame, moved.identity = self.frame.to(device), self.identity.to(device)
        moved.variant = self.variant.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return sum(layers.nbytes() for layers in self.layers)


def held_units(sheets: Sequence[WideSheet], config: LpcWideConfig) -> dict[str, frozenset[str]]:
    """The units of each slot that no training character wears: those drawn first that leave either sex some other.

    Raises ConfigError where there are too few.
    """
    rng = np.random.default_rng((config.seed, HELD_STREAM))
    held = {}
    for slot, count in config.held().items():
        mine = [sheet for sheet in sheets if sheet.slot == slot]
        chosen: set[str] = set()
        for unit in rng.permutation(sorted({sheet.unit for sheet in mine})).tolist():
            rest = {sheet.sex for sheet in mine if sheet.unit not in {*chosen, unit}}
            if len(chosen) < count and rest == {sheet.sex for sheet in mine}:
                chosen.add(unit)
        if len(chosen) < count:
            told = f"{count} of {slot} cannot be held out; {len(chosen)} can, so that either sex has some to train on"
            raise ConfigError(f"{LpcWide.name}: {told}")
        held[slot] = frozenset(chosen)
    return held


def draw_characters(
    sheets: Sequence[WideSheet], held: Mapping[str, frozenset[str]], config: LpcWideConfig
) -> list[Worn]:
    """What each character wears, those that train first; no two are the same.

    Those that train wear nothing that is held out, each sheet of a slot and sex as often as any other. Those that test
    wear one held-out sheet, of each slot and sex equally often, and for the rest anything. Raises ConfigError where the
    folder has too few.
    """
    free: Pools = numbers(sheets, lambda sheet: sheet.unit not in held[sheet.slot])
    kept: Pools = numbers(sheets, lambda sheet: sheet.unit in held[sheet.slot])
    whole: Pools = numbers(sheets, lambda _: True)
    sexes = [sex for sex in SEXES if whole["body", sex]]
    marks = [(slot, sex) for slot in SLOTS for sex in sexes if kept[slot, sex]]
    train_rng, test_rng = (np.random.default_rng((config.seed, stream)) for stream in (TRAIN_STREAM, TEST_STREAM))

    def trained(place: int) -> Worn:
        return one_each(train_rng, free, sexes[place % len(sexes)])

    def tested(place: int) -> Worn:
        slot, sex = marks[place % len(marks)]
        return one_each(test_rng, {**whole, (slot, sex): kept[slot, sex]}, sex)

    return [*distinct(trained, config.characters, "characters"), *distinct(tested, config.test, "test")]


def draw_variants(config: LpcWideConfig, count: int) -> Int[Tensor, " N"]:
    """Which palette each of `count` characters has, those that train first: recoloured ones one of `VARIANTS`, the
    others, and all that test, 0."""
    drawn = uniform(config.seed, PALETTE_STREAM, torch.arange(count), 2)
    chosen = (drawn[:, 0] < config.recoloured) & (torch.arange(count) < config.characters)
    return chosen * (1 + (VARIANTS * drawn[:, 1]).long())


def numbers(sheets: Sequence[WideSheet], chosen: Callable[[WideSheet], bool]) -> Pools:
    """The numbers, in their slot, of the sheets that are chosen, by slot and sex."""
    pools: dict[tuple[str, str], list[int]] = {(slot, sex): [] for slot in SLOTS for sex in SEXES}
    for slot in SLOTS:
        for number, sheet in enumerate((sheet for sheet in sheets if sheet.slot == slot), start=1):
            if chosen(sheet):
                pools[slot, sheet.sex].append(number)
    return pools


def one_each(rng: np.random.Generator, pools: Pools, sex: str) -> Worn:
    """A sheet of each slot for this sex; 0 where it has none."""
    mine = [pools[slot, sex] for slot in SLOTS]
    return tuple(pool[int(rng.integers(len(pool)))] if pool else 0 for pool in mine)


def distinct(draw: Callable[[int], Worn], count: int, setting: str) -> list[Worn]:
    """So many different characters. Raises ConfigError where they cannot be found."""
    found: dict[Worn, None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        found[draw(len(found))] = None
    if len(found) < count:
        raise ConfigError(f"data.{setting}: {count} different characters; the folder has sheets for about {len(found)}")
    return list(found)
