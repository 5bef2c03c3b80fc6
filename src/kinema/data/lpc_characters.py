"""The 1296 characters of Li and Mandt's Sprites: which sheets of the Liberated Pixel Cup they wear, and whose they are.

Four attributes with six values each; the set was found by comparing YingzhenLi/Sprites with the sheets pixel by pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema.data.splits import Split
from kinema.files.guard import reading


@dataclass(frozen=True)
class Sheet:
    """One sheet of a garment."""

    path: str
    """Below the folder of sheets."""
    entries: tuple[str, ...]
    """The lines of AUTHORS.txt that name it, or what it was made from."""


BODY = ("Walkcycle (male and female)", "Slash (male and female)", "Spellcast (male and female)")
TONES = (*BODY, "Tanned and dark skinned color tones")
HAIR = ("hairstyle autoposition/recolor script", "Full Hairstyle Frame Recolors (Joe White's script extended)")
TROUSERS = ("pants greenish (leather, chain)",)
SHIRT = ("shirt white (leather)", "shirt brown (robes)")
GOLD = ("Golden Armor (male) layers (separated by Matthew Krohn)",)
FORMAL = ("All layers in the Formal Male Attire group",)

WARDROBE: Mapping[str, Mapping[str, tuple[Sheet, ...]]] = {
    "skin": {
        "light": (Sheet("body/male/light.png", BODY),),
        "tanned2": (Sheet("body/male/tanned2.png", TONES),),
        "darkelf": (Sheet("body/male/darkelf.png", (*BODY, "darkelf (male and female)")),),
        "darkelf2": (Sheet("body/male/darkelf2.png", (*BODY, "darkelf2 (male and female)")),),
        "dark": (Sheet("body/male/dark.png", TONES),),
        "dark2": (Sheet("body/male/dark2.png", (*BODY, "dark2 (male and female)")),),
    },
    "bottom": {
        "white_pants": (Sheet("legs/pants/male/white_pants_male.png", TROUSERS),),
        "golden_greaves": (Sheet("legs/armor/male/golden_greaves_male.png", GOLD),),
        "red_pants": (Sheet("legs/pants/male/red_pants_male.png", TROUSERS),),
        "metal_pants": (Sheet("legs/armor/male/metal_pants_male.png", ("pants metal (m)",)),),
        "teal_pants": (Sheet("legs/pants/male/teal_pants_male.png", TROUSERS),),
        "formal_pants": (Sheet("formal_male_no_th-sh/pants.png", FORMAL),),
    },
    "top": {
        "maroon_longsleeve": (Sheet("torso/shirts/longsleeve/male/maroon_longsleeve.png", SHIRT),),
        "teal_longsleeve": (Sheet("torso/shirts/longsleeve/male/teal_longsleeve.png", SHIRT),),
        "white_longsleeve": (Sheet("torso/shirts/longsleeve/male/white_longsleeve.png", SHIRT),),
        "plate": (Sheet("torso/plate/chest_male.png", ("plate (m)",)),),
        "leather": (Sheet("torso/leather/chest_male.png", ("torso (m)",)),),
        "formal_shirt": (
            Sheet("formal_male_no_th-sh/shirt.png", FORMAL),
            Sheet("formal_male_no_th-sh/tie.png", FORMAL),
        ),
    },
    "hair": {
        "green_messy2": (Sheet("hair/male/messy2/green2.png", ("messy2", *HAIR)),),
        "blue_longknot": (Sheet("hair/male/longknot/blue2.png", ("Longknot Hair", *HAIR)),),
        "blonde_messy1": (Sheet("hair/male/messy1/light-blonde.png", ("messy1", *HAIR)),),
        "white_bangs": (Sheet("hair/male/bangs/white.png", ("bangs", *HAIR)),),
        "red_plain": (Sheet("hair/male/plain/ruby-red.png", ("plain hairstyle (m)", *HAIR)),),
        "purple_jewfro": (
            Sheet(
                "hair/male/jewfro/purple.png",
                ("Jewfro Hair", "red2, black2, purple, brown2, gold hair recolors", *HAIR),
            ),
        ),
    },
}
"""Sheets by attribute and value; attributes, and the sheets of a value, in the order in which they are pasted."""
SHOES = Sheet("feet/armor/male/golden_boots_male.png", GOLD)
"""Everybody's, pasted last."""
SHEETS = (*(sheet for values in WARDROBE.values() for worn in values.values() for sheet in worn), SHOES)
ATTRIBUTES = tuple(WARDROBE)
VALUES = 6
CHARACTERS = VALUES ** len(ATTRIBUTES)
TRAINED = 1000
SEED = 423
LICENCE = "Sprites of the Liberated Pixel Cup, CC-BY-SA 3.0 or GPL 3.0; pictures made of them are under the same terms"


def lpc_split() -> Split:
    """The published split: 1000 characters train, 296 test. Identities are character numbers, ``0000`` to ``1295``.

    A character's number is ``((skin * 6 + bottom) * 6 + top) * 6 + hair``.
    """
    order = np.random.RandomState(SEED).permutation(CHARACTERS)
    train, test = (tuple(f"{number:04d}" for number in np.sort(part)) for part in np.split(order, [TRAINED]))
    rule = f"numpy.random.RandomState(seed).permutation({CHARACTERS}): the first {TRAINED} train, the others test"
    return Split("lpc", SEED, rule, train, test)


def read_credits(path: Path) -> tuple[str, ...]:
    """A line for each author of the sheets, with what AUTHORS.txt says they drew, and the licence.

    The file lists each author's works under the name, which is underlined with dashes. One that lacks a line which a
    sheet needs is of another edition: then everybody named in it is credited. Raises FileError where the file is
    missing or names nobody.
    """
    with reading(path):
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        heads = [i for i in range(len(lines) - 1) if lines[i] and lines[i + 1] and not lines[i + 1].strip("-")]
        if not heads:
            raise ValueError("no author's name is underlined in it")
    works = {lines[i]: lines[i + 2 : j] for i, j in zip(heads, [*heads[1:], None], strict=True)}
    needed = {entry for sheet in SHEETS for entry in sheet.entries}
    used = {author: [work for work in drawn if work in needed] for author, drawn in works.items()}
    if needed - {work for drawn in used.values() for work in drawn}:
        return (*works, LICENCE)
    return (*(f"{author}: {'; '.join(drawn)}" for author, drawn in used.items() if drawn), LICENCE)
