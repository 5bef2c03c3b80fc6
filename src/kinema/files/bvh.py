"""BVH (Biovision hierarchy): a tree of joints and its motion, as text. Nothing is lost between file, `Bvh` and file.

The format: HIERARCHY, then nested joints, each with an OFFSET in its parent's frame and the CHANNELS that the motion
gives it, in any order; MOTION, Frames, Frame Time; then a line of numbers a frame, the channels in the file's order.
What the numbers mean is `bvh_motion`'s concern.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from kinema.errors import ClipError, FileError
from kinema.files.bvh_numbers import Misread, format_rows, number, odd_numbers, parse_rows, shown
from kinema.files.guard import reading, writing

Vector = tuple[float, float, float]
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")
"""The channels that there are. Positions are in the file's unit of length, rotations in degrees."""
MAX_BYTES = 2**31
"""The longest file that is read: some hours of motion."""
MAX_DEPTH = 256
"""How deeply joints may be nested."""
MAX_JOINTS = 10_000
"""The most joints of a file."""
MAX_NAME = 256
"""The most characters of a joint's name."""
FRAME_TIMES = (1e-6, 3600.0)
"""The shortest and the longest frame, in seconds."""

NAME = re.compile(rf"(?!\s)[^\n\r{{}}]{{1,{MAX_NAME}}}(?<!\s)", re.ASCII)


@dataclass(frozen=True, eq=False)
class Bvh:
    """What a BVH file says. Raises ClipError where it says what no such file can."""

    names: tuple[str, ...]
    """The joints in the file's order: a parent, then all below its first child, then all below its second."""
    parents: tuple[int, ...]
    """For each joint the number of its parent, -1 for the first alone."""
    offsets: Float64[np.ndarray, "J 3"]
    """Where each joint sits in its parent's frame, in the file's unit of length."""
    ends: tuple[tuple[int, Vector], ...]
    """The End Sites: the joint that each ends, and where in that joint's frame, in the file's unit."""
    channels: tuple[tuple[str, ...], ...]
    """For each joint the CHANNELS that the motion gives it, in the file's order; it may have none."""
    frame_time: float
    """Seconds from one frame to the next."""
    values: Float64[np.ndarray, "T C"]
    """The channels of all joints, one after the other, in every frame."""

    def __post_init__(self) -> None:
        count, columns = len(self.names), sum(map(len, self.channels))
        if not count == len(self.parents) == len(self.offsets) == len(self.channels) > 0:
            raise ClipError("BVH: each joint needs a name, a parent, an offset and its channels")
        if not in_file_order(self.parents) or not all(0 <= joint < count for joint, _ in self.ends):
            raise ClipError("BVH: one root comes first, and all below a joint directly after it")
        if any(set(names) - set(CHANNELS) or len(set(names)) < len(names) for names in set(self.channels)):
            raise ClipError(f"BVH: the channels of a joint are some of {', '.join(CHANNELS)}, each at most once")
        if not all(map(NAME.fullmatch, self.names)):
            raise ClipError(f"BVH: a name has 1 to {MAX_NAME} characters, no braces, line ends or spaces around it")
        if len(self.values) == 0 or columns == 0 or self.values.shape[1] != columns:
            raise ClipError(f"BVH: the motion is {self.values.shape}; it needs frames of {columns} channels")
        if not (np.isfinite(self.values).all() and np.isfinite(self.offsets).all()):
            raise ClipError("BVH: the motion or an offset holds NaN or infinite values; finite values are needed")
        if not FRAME_TIMES[0] <= self.frame_time <= FRAME_TIMES[1]:
            raise ClipError(f"BVH: a frame takes {self.frame_time} s; a positive time is needed, such as 0.0166667")

    def __len__(self) -> int:
        return len(self.values)


def in_file_order(parents: tuple[int, ...]) -> bool:
    """Whether a joint's parent is always the joint before it or one above that."""
    above: list[int] = []
    for joint, parent in enumerate(parents):
        while above and above[-1] != parent:
            above.pop()
        if (parent == -1) != (joint == 0) or (joint > 0 and not above):
            return False
        above.append(joint)
    return True


def read_bvh(path: Path) -> Bvh:
    """The file's skeleton and motion. Raises FileError, with line and column where there is one."""
    with reading(path):
        if not path.is_file():
            raise FileError(f"{path}: is not a file; name a .bvh file")
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{path}: has more than {MAX_BYTES} bytes; cut it into shorter files")
        return parse_bvh(path.read_bytes(), str(path))


def parse_bvh(text: bytes, name: str) -> Bvh:
    """What the text of a file says; errors call the file `name`. Raises FileError."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        tree, at = parse_hierarchy(text)
        offsets = tree.offsets()
        frames, frame_time, at = parse_motion_head(text, at)
        columns = sum(map(len, tree.channels))
        if columns == 0:
            raise Misread(None, "no joint has channels, so that nothing moves; at least one needs CHANNELS")
        text = tidy_rows(text, at)
        values = parse_rows(text, at, columns, frames)
    except Misread as error:
        raise FileError(f"{name}: {place(text, error.at)}{error}") from error
    joints = tuple(tree.names), tuple(tree.parents), offsets, tuple(tree.ends), tuple(tree.channels)
    return Bvh(*joints, frame_time, values)


def place(text: bytes, at: int | None) -> str:
    """Line and column of byte `at`, for the front of a message."""
    if at is None:
        return ""
    return f"line {text.count(NEWLINE, 0, at) + 1}, column {at - text.rfind(NEWLINE, 0, at)}: "


NEWLINE = b"\n"
HEAD = re.compile(rb"(?:\xef\xbb\xbf)?\s*+HIERARCHY\b", re.I)
TITLE = re.compile(rb"\s*+(?:(ROOT|JOINT)\b([^\n{}]*+)|End[ \t]++Site\b[^\n{}]*+)", re.I)
OPEN = re.compile(TITLE.pattern + rb"\s*+\{", re.I)
OFFSET = re.compile(rb"\s*+OFFSET\s++(\S++)\s++(\S++)\s++(\S++)", re.I)
CHANNEL_LIST = re.compile(rb"\s*+CHANNELS\s++(\d{1,3})\b((?:\s++[XYZ](?:position|rotation)\b)*+)", re.I)
CLOSE = re.compile(rb"\s*+\}")
MOTION = re.compile(rb"\s*+MOTION\b", re.I)
FRAMES = re.compile(rb"\s*+Frames[ \t]*+:[ \t]*+([^\n]*+)", re.I)
FRAME_TIME = re.compile(rb"\s*+Frame[ \t]*+Time[ \t]*+:[ \t]*+([^\n]*+)\n?", re.I)
SPACES = re.compile(rb"\s*+")
WORD = re.compile(rb"\S{1,64}")


class Tree:
    """The joints and End Sites of a HIERARCHY as they are read."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.parents: list[int] = []
        self.ends: list[tuple[int, Vector]] = []
        self.channels: list[tuple[str, ...]] = []
        self.words: list[bytes] = []
        """The numbers of the joints' OFFSET lines, and in `places` where they stand: all are read at once."""
        self.places: list[int] = []

    def offsets(self) -> Float64[np.ndarray, "J 3"]:
        """The joints' offsets. Raises Misread where one is no number."""
        return odd_numbers(self.words, self.places).reshape(-1, 3)


def parse_hierarchy(text: bytes) -> tuple[Tree, int]:
    """The tree of joints, and where the text goes on. Raises Misread."""
    tree, above, known = Tree(), [], {}
    at = expect(HEAD, text, 0, "HIERARCHY, with which a BVH file begins,").end()
    try:
        while True:
            opened, at = add_joint(tree, above, known, text, at)
            if len(above) > MAX_DEPTH:
                raise Misread(opened, f"joints are nested deeper than {MAX_DEPTH}; no body is")
            if len(tree.names) > MAX_JOINTS:
                raise Misread(opened, f"there are more than {MAX_JOINTS} joints; no body has so many")
            while match := CLOSE.match(text, at):
                at = match.end()
                above.pop()
                if not above:
                    return tree, at
    except Misread:
        tree.offsets()  # a wrong word in an OFFSET before is the better explanation
        raise


def add_joint(
    tree: Tree, above: list[int], known: dict[bytes, tuple[str, ...]], text: bytes, at: int
) -> tuple[int, int]:
    """Reads a joint up to its CHANNELS, or a whole End Site, below the last joint of `above`; where it is and ends."""
    opened = OPEN.match(text, at)
    if opened is None or (opened[1] or b"JOINT").upper() != (b"JOINT" if above else b"ROOT"):
        title = TITLE.match(text, at) if opened is None else None
        raise misplaced(text, *((title.end(), "{") if title else (at, "JOINT, End Site or }" if above else "ROOT")))
    offset = expect(OFFSET, text, opened.end(), "OFFSET with three numbers")
    if opened[1] is None:
        x, y, z = (number(offset[axis], offset.start(axis)) for axis in (1, 2, 3))
        tree.ends.append((above[-1], (x, y, z)))
        return opened.start(), expect(CLOSE, text, offset.end(), "} of the End Site").end()
    tree.names.append(parse_name(opened))
    tree.parents.append(above[-1] if above else -1)
    tree.words += offset.groups()
    tree.places += offset.start(1), offset.start(2), offset.start(3)
    names, at = parse_channels(text, offset.end(), known)
    tree.channels.append(names)
    above.append(len(tree.names) - 1)
    return opened.start(1), at


def expect(pattern: re.Pattern[bytes], text: bytes, at: int, what: str) -> re.Match[bytes]:
    """The pattern's match at `at`. Raises Misread, which calls the pattern `what`."""
    match = pattern.match(text, at)
    if match is None:
        raise misplaced(text, at, what)
    return match


def misplaced(text: bytes, at: int, what: str) -> Misread:
    """Something else stands at `at` than `what`."""
    at = after_spaces(text, at)
    word = WORD.match(text, at)
    return Misread(at, f"{shown(word[0])} stands where {what} belongs" if word else f"the file ends before {what}")


def after_spaces(text: bytes, at: int) -> int:
    match = SPACES.match(text, at)
    return match.end() if match else at


def parse_name(match: re.Match[bytes]) -> str:
    """The joint's name in a match of OPEN: UTF-8, or else Latin-1, in which every byte is a letter."""
    encoded = match[2].strip()
    try:
        name = encoded.decode("utf-8")
    except UnicodeDecodeError:
        name = encoded.decode("latin-1")
    if not 0 < len(name) <= MAX_NAME:
        raise Misread(match.start(1), f"a joint's name has {len(name)} characters; 1 to {MAX_NAME} are due")
    return name


def parse_channels(text: bytes, at: int, known: dict[bytes, tuple[str, ...]]) -> tuple[tuple[str, ...], int]:
    """The names of a CHANNELS line. Most lines of a file are the same: `known` keeps what was made of them."""
    match = expect(CHANNEL_LIST, text, at, "CHANNELS with a number and as many names (CHANNELS 0 for none)")
    names = known.get(match[2])
    if names is None:
        names = known[match[2]] = tuple(word.decode().capitalize() for word in match[2].split())
    if len(names) != int(match[1]):
        word = WORD.match(text, after_spaces(text, match.end()))
        found = f"{len(names)} of {', '.join(CHANNELS)} follow" + (f", then {shown(word[0])}" if word else "")
        raise Misread(match.start(1), f"CHANNELS says {int(match[1])}, but {found}")
    if len(set(names)) < len(names):
        raise Misread(match.start(2), "CHANNELS names a channel twice; each may be there once")
    return names, match.end()


def parse_motion_head(text: bytes, at: int) -> tuple[int, float, int]:
    """The number of frames, the time of one in seconds, and where the rows begin. Raises Misread."""
    second = OPEN.match(text, at)
    if second and second[1]:
        raise Misread(second.start(1), "a second ROOT; write each skeleton into a file of its own")
    motion = expect(MOTION, text, at, "MOTION (or one } less)")
    match = expect(FRAMES, text, motion.end(), "Frames: NUMBER")
    if not re.fullmatch(rb"\d{1,12}", match[1].strip()) or int(match[1]) == 0:
        raise Misread(match.start(1), f"Frames is {shown(match[1].strip())}; a number of at least 1 is needed")
    frames = int(match[1])
    match = expect(FRAME_TIME, text, match.end(), "Frame Time: SECONDS")
    time = number(match[1].strip(), match.start(1))
    if not FRAME_TIMES[0] <= time <= FRAME_TIMES[1]:
        raise Misread(match.start(1), f"Frame Time is {time}; the seconds of a frame are needed, such as 0.0166667")
    return frames, time, match.end()


def tidy_rows(text: bytes, at: int) -> bytes:
    """The text with one line feed at its end and, as some programs write them, no spaces at the ends of its rows."""
    row_end = text.find(NEWLINE, at)
    if text[row_end - 1 : row_end] in (b" ", b"\t"):
        text = text[:at] + text[at:].replace(b" \n", NEWLINE).replace(b"\t\n", NEWLINE)
    if text[-2:].isspace():
        text = text.rstrip()
    return text if text.endswith(NEWLINE) else text + NEWLINE


def write_bvh(bvh: Bvh, path: Path) -> None:
    """A file that `read_bvh` reads into the same numbers, bit for bit. Raises FileError where it cannot be written."""
    with writing(path) as (part,):
        part.write_bytes(format_bvh(bvh))


def format_bvh(bvh: Bvh) -> bytes:
    """The text of a file."""
    return format_head(bvh, len(bvh)) + format_rows(bvh.values)


def format_head(bvh: Bvh, frames: int) -> bytes:
    """The text of a file of so many frames, up to its rows."""
    lines, above = ["HIERARCHY"], []
    ends: dict[int, list[Vector]] = {}
    for joint, end in bvh.ends:
        ends.setdefault(joint, []).append(end)
    offsets = bvh.offsets.tolist()
    for joint, (name, parent, names) in enumerate(zip(bvh.names, bvh.parents, bvh.channels, strict=True)):
        while above and above[-1] != parent:
            above.pop()
            lines.append("\t" * len(above) + "}")
        pad = "\t" * len(above)
        lines += [f"{pad}{'JOINT' if above else 'ROOT'} {name}", f"{pad}{{", f"{pad}\t{offset_line(offsets[joint])}"]
        lines.append(f"{pad}\tCHANNELS {' '.join([str(len(names)), *names])}")
        for end in ends.get(joint, []):
            lines += [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\t{offset_line(end)}", f"{pad}\t}}"]
        above.append(joint)
    lines += ["\t" * depth + "}" for depth in reversed(range(len(above)))]
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {decimal_text(bvh.frame_time)}", ""]
    return "\n".join(lines).encode()


def offset_line(offset: Sequence[float]) -> str:
    return "OFFSET " + " ".join(map(decimal_text, offset))


def decimal_text(x: float) -> str:
    """The shortest text that is this very number, without an exponent, which not all readers know, where it can be."""
    text = repr(float(x))
    return np.format_float_positional(x, trim="0") if "e" in text and 1e-20 < abs(x) < 1e20 else text
