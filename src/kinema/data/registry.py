"""The sources of clips by name. A source's module is imported when it is first asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from kinema.errors import ConfigError


@dataclass(frozen=True)
class Entry:
    """Where a source and its settings live, and what it is."""

    about: str
    module: str
    config: str
    source: str
    kind: str = "pictures"
    """What its clips are: pictures, pairs of frames, or motion."""


SOURCES: dict[str, Entry] = {
    "sprites": Entry(
        "procedural sprites, drawn by Kinema: 256 people x 3 actions x 3 directions",
        "sprites",
        "SpritesConfig",
        "Sprites",
    ),
    "balls": Entry(
        "rotating balls of two colours (HALO, figures 1 and 3), drawn by Kinema", "balls", "BallsConfig", "Balls"
    ),
    "lpc": Entry(
        "the 1296 characters of the Liberated Pixel Cup, composed from a folder of sheets",
        "lpc",
        "LpcConfig",
        "LpcSprites",
    ),
    "lpc-wide": Entry(
        "characters of all bodies, hair and clothes in a folder of LPC sheets, whole layers of which are held out",
        "lpc_wide",
        "LpcWideConfig",
        "LpcWide",
    ),
    "sheets": Entry(
        "your own characters: a folder of LPC sheets, each of a whole figure", "lpc_sheets", "SheetsConfig", "Sheets"
    ),
    "clips": Entry("your own clips: ACTION/clip.gif, or a sheet with tags", "folders", "FolderConfig", "FolderClips"),
    "gait": Entry("people walking and running along paths, made by Kinema", "gaits", "GaitsConfig", "Gaits", "motion"),
    "mocap": Entry("motion capture: a folder of BVH files of one skeleton", "mocap", "MocapConfig", "Mocap", "motion"),
    "digits": Entry(
        "moving digits on diamond backgrounds: glyphs drawn by Kinema, or your MNIST files",
        "moving_digits",
        "MovingDigitsConfig",
        "MovingDigits",
        "pairs",
    ),
    "characters": Entry(
        "the 672 characters of the Liberated Pixel Cup, with or without diamond backgrounds",
        "characters",
        "CharactersConfig",
        "Characters",
        "pairs",
    ),
    "scenes": Entry(
        "pairs of frames of your own clips, each on its own background", "scenes", "ScenesConfig", "Scenes", "pairs"
    ),
    "rotmnist": Entry(
        "one handwritten digit turned through a circle: 400 drawings, or glyphs drawn by Kinema",
        "rotating_digits",
        "RotatingDigitsConfig",
        "RotatingDigits",
    ),
    "faces": Entry(
        "faces drawn by Kinema: 52 people x 6 expressions, a stand-in for licensed recordings",
        "faces",
        "FacesConfig",
        "Faces",
    ),
    "mug": Entry("your licensed MUG facial expressions", "mug", "MugConfig", "Mug"),
    "edinburgh": Entry("your Edinburgh locomotion data", "edinburgh", "EdinburghConfig", "Edinburgh", "motion"),
}


def config_class(name: str) -> type:
    """The class of a source's settings."""
    return getattr(_module(name), SOURCES[name].config)


def build_source(name: str, config: Any, split: str) -> Any:
    """A source of one split: ``train``, ``test`` or ``all``."""
    return getattr(_module(name), SOURCES[name].source)(config, split)


def _module(name: str) -> Any:
    if name not in SOURCES:
        raise ConfigError(f"data.source: no source is called {name!r}; known: {', '.join(SOURCES)}")
    return import_module(f"kinema.data.{SOURCES[name].module}")
