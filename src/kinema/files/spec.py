"""How a user names a clip: ``FILE``, ``FILE@I`` (frame I, from 0), ``FILE@I:J`` (a Python slice), ``FILE#TAG``."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from kinema.clip import VideoClip
from kinema.errors import FileError

PART = re.compile(r"^(?P<file>.+)@(?:(?P<one>-?\d+)|(?P<start>-?\d+)?:(?P<stop>-?\d+)?)$", re.DOTALL)


@dataclass(frozen=True)
class Spec:
    """A file, the tag that selects a clip in it, and the part of the clip that is wanted."""

    path: Path
    tag: str | None = None
    """The name of an animation in a sheet, or ``walk/left`` in an LPC sheet; None for all the file holds."""
    part: slice = field(default_factory=lambda: slice(None))
    """Frames of the clip, from 0."""

    def untagged(self) -> Path:
        """The path of a file whose format has no tags. Raises FileError where one was asked for."""
        if self.tag is not None:
            raise FileError(f"{self.path}: holds no tags, so #{self.tag} selects nothing; name the file alone")
        return self.path

    def cut(self, clip: VideoClip) -> VideoClip:
        """The part of `clip` that was asked for."""
        return clip if self.part == slice(None) else clip[self.part]


def parse_part(text: str) -> tuple[str, slice]:
    match = PART.match(text)
    if match is None:
        return text, slice(None)
    if match["one"] is not None:
        index = int(match["one"])
        return match["file"], slice(index, index + 1 or None)
    start, stop = (int(match[key]) if match[key] else None for key in ("start", "stop"))
    return match["file"], slice(start, stop)


def parse_spec(text: str | Path) -> Spec:
    """What `text` names. A path that itself holds @ or # wins where it exists; tags may follow the longest such."""
    if Path(text).exists():
        return Spec(Path(text))
    rest, part = parse_part(str(text))
    if Path(rest).exists():
        return Spec(Path(rest), part=part)
    hashes = [at for at, letter in enumerate(rest) if letter == "#"]
    if not hashes:
        return Spec(Path(rest), part=part)
    existing = [at for at in hashes if Path(rest[:at]).is_file()]
    cut = existing[-1] if existing else hashes[0]
    return Spec(Path(rest[:cut]), rest[cut + 1 :], part)
