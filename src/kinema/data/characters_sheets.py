"""The 672 characters that Reed et al.'s sprites suggest, by their sheets of the Liberated Pixel Cup, and their split.

Reed, Zhang, Zhang and Lee (NIPS 2015) and the papers after them count 2 sexes x 7 bodies x 2 arms x 3 hairs x 2 armors
x 2 greaves x 2 weapons. Which hair and armor they drew is not published: this set has the same factors, animations and
frame counts, and is not theirs. Numbers on it are not to be set beside numbers on theirs.
"""

import math
import os
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from kinema.data.lpc import EXPECTED
from kinema.data.lpc_characters import BODY, GOLD, HAIR, LICENCE, TONES, Sheet
from kinema.data.splits import Split
from kinema.errors import ConfigError, FileError
from kinema.files.guard import reading

SEXES = ("male", "female")
FACTORS: Mapping[str, tuple[str, ...]] = {
    "sex": SEXES,
    "body": ("light", "dark", "dark2", "darkelf", "darkelf2", "tanned", "tanned2"),
    "arm": ("bare", "plate"),
    "hair": ("plain", "messy1", "longhawk"),
    "armor": ("leather", "plate"),
    "greaves": ("metal", "golden"),
    "weapon": ("bow", "spear"),
}
"""Attributes and their values. A character's number counts through them, the last fastest: 2 k and 2 k + 1 are weapon
twins, who differ in nothing else."""
COUNTS = tuple(len(values) for values in FACTORS.values())
CHARACTERS = math.prod(COUNTS)
TESTED, VALIDATED = 100, 72

FEMALE = ("Most of the female assets",)
BODIES = {"male": ("Thrust (male)", "Shoot (male)"), "female": ("Thrust (female)", "Shoot (female)", *FEMALE)}
TONE_OF = {
    "light": BODY,
    "dark": TONES,
    "dark2": (*BODY, "dark2 (male and female)"),
    "darkelf": (*BODY, "darkelf (male and female)"),
    "darkelf2": (*BODY, "darkelf2 (male and female)"),
    "tanned": TONES,
    "tanned2": TONES,
}
BOW = Sheet("weapons/right hand/either/bow.png", ("bow",))
ARROW = Sheet("weapons/left hand/either/arrow.png", ("arrow",))


def worn_by(sex: str) -> dict[str, tuple[tuple[Sheet, ...], ...]]:
    """The sheets of each value of each attribute but sex, for one sex, in the order of pasting: body, shoes, ..."""
    female = sex == "female"

    def garment(path: str, entry: str, adapted: str) -> Sheet:
        return Sheet(path, (entry, adapted, *FEMALE) if female else (entry,))

    arms = garment(f"torso/plate/arms_{sex}.png", "arms shoulders (m)", "plate shoulders (f)")
    golden = Sheet(f"legs/armor/{sex}/golden_greaves_{sex}.png", (*GOLD, "golden armor layers (f)") if female else GOLD)
    plain = (*HAIR, *FEMALE) if female else ("plain hairstyle (m)", *HAIR)
    shoes = "brown shoes (f)" if female else "shoes brown (leather, chain)"
    return {
        "body": tuple((Sheet(f"body/{sex}/{tone}.png", (*TONE_OF[tone], *BODIES[sex])),) for tone in FACTORS["body"]),
        "feet": ((Sheet(f"feet/shoes/{sex}/brown_shoes_{sex}.png", (shoes,)),),),
        "greaves": (
            (garment(f"legs/armor/{sex}/metal_pants_{sex}.png", "pants metal (m)", "metal pants (f)"),),
            (golden,),
        ),
        "armor": (
            (garment(f"torso/leather/chest_{sex}.png", "torso (m)", "leather torso (f)"),),
            (garment(f"torso/plate/chest_{sex}.png", "plate (m)", "plate chest (f)"),),
        ),
        "arm": ((), (arms,)),
        "hair": (
            (Sheet(f"hair/{sex}/plain/blonde.png", plain),),
            (Sheet(f"hair/{sex}/messy1/raven.png", ("messy1", *HAIR)),),
            (Sheet(f"hair/{sex}/longhawk/green.png", ("longhawk", *HAIR)),),
        ),
        "weapon": ((BOW, ARROW), (Sheet(f"weapons/right hand/{sex}/spear_{sex}.png", ("spear",)),)),
    }


WORN = {sex: worn_by(sex) for sex in SEXES}
SHEETS = tuple(
    dict.fromkeys(sheet for slots in WORN.values() for values in slots.values() for v in values for sheet in v)
)
"""All sheets; the sheet at place i has the number i + 1."""


def worn_sheets() -> Int[Tensor, "672 L"]:
    """The numbers of the sheets that each character wears, in the order of pasting; 0 where there is none."""
    number = {sheet: i + 1 for i, sheet in enumerate(SHEETS)}
    rows = []
    for choice in product(*(range(count) for count in COUNTS)):
        value = dict(zip(FACTORS, choice, strict=True))
        row = []
        for slot, values in WORN[SEXES[value["sex"]]].items():
            worn = [number[sheet] for sheet in values[value.get(slot, 0)]]
            row += worn + [0] * (max(map(len, values)) - len(worn))
        rows.append(row)
    return torch.tensor(rows)


def character_splits(seed: int) -> tuple[Split, Split]:
    """Who tests, and who validates among the others: 100 and 72 of the 672, then 500 train.

    Identities are character numbers, ``000`` to ``671``. Weapon twins stay together: they look the same wherever no
    weapon is drawn. (Reed's split does not promise that.) The first split is of all characters in 572 and 100, the
    second of the 572 in 500 that train and 72 that validate.
    """
    pairs = np.random.default_rng(seed).permutation(CHARACTERS // 2)
    cuts = [0, TESTED // 2, (TESTED + VALIDATED) // 2, len(pairs)]
    test, val, train = (twins(pairs[start:stop]) for start, stop in pairwise(cuts))
    drawn = f"numpy.random.default_rng(seed).permutation({len(pairs)}) of twins 2k, 2k+1"
    ends = Split("characters", seed, f"{drawn}: the first {cuts[1]} k test", tuple(sorted(train + val)), test)
    rule = f"{drawn}: from the {cuts[1] + 1}th to the {cuts[2]}th k validate, those after them train"
    return ends, Split("characters-val", seed, rule, train, val)


def twins(pairs: Int[np.ndarray, " K"]) -> tuple[str, ...]:
    return tuple(f"{2 * k + weapon:03d}" for k in np.sort(pairs) for weapon in range(2))


def members(split: str, seed: int) -> Int[Tensor, " M"]:
    """The character numbers of ``train`` (500), ``val`` (72), ``test`` (100) or ``all``, sorted; twins are neighbours.

    Raises ConfigError for another name.
    """
    ends, middle = character_splits(seed)
    parts = {"train": middle.train, "val": middle.test, "test": ends.test, "all": ends.members("all")}
    if split not in parts:
        raise ConfigError(f"characters: no split {split!r}; there are {', '.join(parts)}")
    return torch.tensor([int(name) for name in parts[split]])


def sheets_folder(root: str) -> Path:
    """The folder of sheets; empty: ``$KINEMA_DATA/lpc``. Raises FileError, naming what is missing first."""
    place = os.path.expandvars(root or "$KINEMA_DATA/lpc")
    if place.startswith("$"):
        raise FileError(f"{place}: the environment variable is not set; set it, or data.root. {EXPECTED}")
    for name in ("", *(sheet.path for sheet in SHEETS), "AUTHORS.txt"):
        if not Path(place, name).exists():
            raise FileError(f"{Path(place, name)}: there is no such {'file' if name else 'folder'}; {EXPECTED}")
    return Path(place)


def read_character_credits(path: Path) -> tuple[str, ...]:
    """A line for each author of the sheets, with what AUTHORS.txt says they drew, and the licence.

    A file that lacks a line which a sheet needs is of another edition: then everybody named in it is credited. Raises
    FileError where the file is missing or names nobody.
    """
    with reading(path):
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        heads = [i for i, (line, rule) in enumerate(pairwise(lines)) if line and rule and not rule.strip("-")]
        if not heads:
            raise ValueError("no author's name is underlined in it")
    works = {lines[i]: lines[i + 2 : j] for i, j in zip(heads, [*heads[1:], None], strict=True)}
    needed = {entry for sheet in SHEETS for entry in sheet.entries}
    used = {author: [work for work in drawn if work in needed] for author, drawn in works.items()}
    if needed - {work for drawn in used.values() for work in drawn}:
        return (*works, LICENCE)
    return (*(f"{author}: {'; '.join(drawn)}" for author, drawn in used.items() if drawn), LICENCE)
