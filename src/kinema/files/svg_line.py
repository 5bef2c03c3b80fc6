"""The first line of an SVG drawing as points: ``path``, ``polyline`` or ``line``, with the transforms around it.

SVG 1.1 chapters 7 (transforms), 8 (paths) and appendix F.6 (arcs). Curves become straight pieces that stay within a
millimetre of them. Nothing outside the file is loaded, and a document that declares entities is refused.
"""

import math
import re
from pathlib import Path
from xml.parsers import expat

import numpy as np
from jaxtyping import Float64

from kinema.errors import FileError

TOLERANCE = 1e-3
"""Metres between a curve and the straight pieces that stand for it."""
MAX_POINTS = 2**20
"""The most points of a line."""
LINES = ("path", "polyline", "line")
HIDDEN = ("defs", "clipPath", "mask", "marker", "pattern", "symbol")
"""Elements whose content is not drawn where it stands."""
COUNTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
"""How many numbers each command of a path takes."""
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
BLANK = re.compile(r"[\s,]*")
TRANSFORM = re.compile(r"\s*,?\s*(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^()]*)\)")

Affine = Float64[np.ndarray, "3 3"]
Points = Float64[np.ndarray, "N 2"]


@np.errstate(over="ignore", invalid="ignore")  # what is not finite in the end is refused
def read_svg_line(path: Path, content: bytes, scale: float) -> tuple[Points, tuple[str, ...]]:
    """The first line's points, `scale` times page units (right, down), and notes on what was left out.

    Raises FileError where the drawing is damaged, declares entities, or holds no line or a broken one.
    """
    reader = _Reader(path)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = reader.doctype, reader.entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise FileError(f"{path}: not well-formed SVG ({error}); save it again as plain SVG") from error
    if reader.found is None:
        raise FileError(f"{path}: no {', '.join(LINES)} is drawn in it; draw one line")
    tag, attributes, place = reader.found
    place = np.diag([scale, scale, 1.0]) @ place
    if not np.isfinite(place).all():
        raise FileError(f"{path}: its transforms go beyond all numbers; save it as plain SVG")
    if tag == "path":
        grain = float(np.linalg.norm(place[:2, :2], 2))
        points = _Pen(path, attributes.get("d", ""), TOLERANCE / max(grain, 1e-12)).line()
    else:
        points = _corners(path, tag, attributes)
    points = points @ place[:2, :2].T + place[:2, 2]
    more = reader.lines - 1
    return points, (f"{more} further line{'s' * (more > 1)} of the drawing were left out",) if more else ()


class _Reader:
    """Walks through the elements and keeps the first line and the transform that it is drawn with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: list[Affine] = [np.eye(3)]
        self.hidden = 0
        self.lines = 0
        self.found: tuple[str, dict[str, str], Affine] | None = None

    def doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            self.entity()

    def entity(self, *declared: object) -> None:
        raise FileError(f"{self.path}: it declares entities, which may grow without end; save it as plain SVG")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        self.hidden += self.hidden > 0 or tag in HIDDEN
        # Once the line is found only further lines are counted.
        if self.found is None and not self.hidden:
            self.places.append(self.places[-1] @ _transform(self.path, attributes.get("transform", "")))
        if tag in LINES and not self.hidden:
            self.lines += 1
            if self.found is None:
                self.found = tag, attributes, self.places[-1]

    def end(self, name: str) -> None:
        if self.hidden:
            self.hidden -= 1
        elif self.found is None:
            self.places.pop()


def _transform(path: Path, text: str) -> Affine:
    """The matrix of a `transform` attribute: what is named first is done last."""
    whole, at, text = np.eye(3), 0, text.rstrip()
    while at < len(text):
        match = TRANSFORM.match(text, at)
        numbers = _numbers(path, match[2]) if match else []
        matrix = _matrix(match[1], numbers) if match else None
        if match is None or matrix is None:
            raise FileError(f"{path}: transform {text[at : at + 40]!r} cannot be read; save it as plain SVG")
        whole, at = whole @ matrix, match.end()
    return whole


def _matrix(kind: str, n: list[float]) -> Affine | None:
    """One transform as a matrix; None where it has the wrong number of arguments."""
    if kind == "matrix" and len(n) == 6:
        return np.array([[n[0], n[2], n[4]], [n[1], n[3], n[5]], [0, 0, 1]], dtype=np.float64)
    if kind == "translate" and len(n) in (1, 2):
        return np.array([[1, 0, n[0]], [0, 1, n[1] if len(n) == 2 else 0], [0, 0, 1]], dtype=np.float64)
    if kind == "scale" and len(n) in (1, 2):
        return np.diag([n[0], n[-1], 1.0])
    if kind == "rotate" and len(n) in (1, 3):
        x, y = n[1:] or (0.0, 0.0)
        cos, sin = math.cos(math.radians(n[0])), math.sin(math.radians(n[0]))
        return np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]])
    if kind in ("skewX", "skewY") and len(n) == 1:
        matrix = np.eye(3)
        matrix[(0, 1) if kind == "skewX" else (1, 0)] = math.tan(math.radians(n[0]))
        return matrix
    return None


def _numbers(path: Path, text: str) -> list[float]:
    """All numbers of a text in which only blanks and commas part them."""
    scanner, values = _Scanner(path, text), []
    while not scanner.done():
        values.append(scanner.number())
    return values


def _corners(path: Path, tag: str, attributes: dict[str, str]) -> Points:
    """The points of a polyline or a line."""
    if tag == "line":
        text = " ".join(attributes.get(name, "0") for name in ("x1", "y1", "x2", "y2"))
    else:
        text = attributes.get("points", "")
    values = _numbers(path, text)
    if len(values) % 2 or len(values) < 4:
        raise FileError(f"{path}: {tag} with {len(values)} numbers; x and y of at least two points are needed")
    return np.array(values).reshape(-1, 2)


class _Scanner:
    """Reads numbers and letters one after the other."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.at = path, text, 0

    def done(self) -> bool:
        self.at = self._skip()
        return self.at == len(self.text)

    def letter(self) -> str | None:
        """The next command, if one is next."""
        if self.done() or self.text[self.at].upper() not in COUNTS:
            return None
        self.at += 1
        return self.text[self.at - 1]

    def number(self) -> float:
        self.at = self._skip()
        match = NUMBER.match(self.text, self.at)
        if match is None or len(match[0]) > 64 or not math.isfinite(float(match[0])):
            shown = self.text[self.at : self.at + 16]
            raise FileError(f"{self.path}: {shown!r} at character {self.at + 1} of the line; a number is needed there")
        self.at = match.end()
        return float(match[0])

    def flag(self) -> bool:
        """One digit, 0 or 1, which the next number may follow without a blank."""
        self.at = self._skip()
        if self.text[self.at : self.at + 1] not in ("0", "1"):
            raise FileError(f"{self.path}: character {self.at + 1} of the line is no flag of an arc; 0 or 1 is needed")
        self.at += 1
        return self.text[self.at - 1] == "1"

    def _skip(self) -> int:
        match = BLANK.match(self.text, self.at)
        return match.end() if match else self.at


class _Pen:
    """Draws the `d` of a path as straight pieces."""

    def __init__(self, path: Path, text: str, tolerance: float) -> None:
        self.path, self.tolerance = path, tolerance
        self.scanner = _Scanner(path, text)
        self.here, self.handle, self.last = np.zeros(2), np.zeros(2), ""
        self.pieces: list[Points] = []
        self.count = 0

    def line(self) -> Points:
        """All points. Raises FileError for what is no path, or for a pen that is lifted."""
        command = ""
        while not self.scanner.done():
            letter = self.scanner.letter()
            if letter is None and (not command or command in "Zz"):
                shown = self.scanner.text[self.scanner.at : self.scanner.at + 16]
                raise FileError(f"{self.path}: {shown!r} is no command of a path; M, L, C and so on are")
            command = letter or {"M": "L", "m": "l"}.get(command, command)
            kind = command.upper()
            if (kind == "M") == bool(self.pieces) or self.last == "Z":
                said = "does not begin with M" if not self.pieces else "lifts the pen"
                raise FileError(f"{self.path}: the path {said}; draw one line in one go")
            self._draw(kind, np.zeros(2) if command == kind else self.here)
            self.last = kind
        if not self.pieces:
            raise FileError(f"{self.path}: the path has no points; draw one line")
        return np.concatenate(self.pieces)

    def _draw(self, kind: str, origin: Float64[np.ndarray, "2"]) -> None:
        """One command, its numbers counted from `origin`."""
        if kind == "A":
            radii = self.scanner.number(), self.scanner.number()
            turn, large, sweep = self.scanner.number(), self.scanner.flag(), self.scanner.flag()
            end = origin + np.array([self.scanner.number(), self.scanner.number()])
            return self._add(_arc(self.here, end, radii, turn, large, sweep, self.tolerance))
        n = [self.scanner.number() for _ in range(COUNTS[kind])]
        if kind == "Z":
            return self._add(self.pieces[0][:1])
        if kind in "HV":
            end = self.here.copy()
            axis = "HV".index(kind)
            end[axis] = origin[axis] + n[0]
            return self._add(end[None])
        points = np.array(n).reshape(-1, 2) + origin
        if kind in "ST":
            # The handle before is mirrored at the pen, if the command before had one of this sort.
            smooth = self.last in ("CS" if kind == "S" else "QT")
            points = np.concatenate([[2 * self.here - self.handle if smooth and self.last else self.here], points])
        if kind in "ML":
            return self._add(points)
        self.handle = points[-2]
        return self._add(_bezier(np.concatenate([self.here[None], points]), self.tolerance))

    def _add(self, points: Points) -> None:
        self.count += len(points)
        if self.count > MAX_POINTS:
            raise FileError(f"{self.path}: its line has too many points at this scale; a smaller --scale is needed")
        self.pieces.append(points)
        self.here = points[-1]


def _pieces(curve: float, tolerance: float) -> int:
    """How many even pieces keep a curve within the tolerance, given the length of its second derivative."""
    return max(1, math.ceil(min(math.sqrt(curve / (8 * tolerance)), MAX_POINTS + 1)))


def _bezier(points: Float64[np.ndarray, "P 2"], tolerance: float) -> Points:
    """A Bézier curve of any degree without its first point, by de Casteljau's scheme."""
    degree = len(points) - 1
    curve = degree * (degree - 1) * float(np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1).max())
    count = _pieces(curve, tolerance)
    share = (np.arange(count) + 1)[:, None, None] / count
    rows = np.broadcast_to(points, (count, *points.shape))
    while rows.shape[1] > 1:
        rows = (1 - share) * rows[:, :-1] + share * rows[:, 1:]
    return rows[:, 0]


def _arc(
    start: Float64[np.ndarray, "2"],
    end: Float64[np.ndarray, "2"],
    radii: tuple[float, float],
    turn: float,
    large: bool,
    sweep: bool,
    tolerance: float,
) -> Points:
    """An elliptical arc without its first point (SVG 1.1, F.6.5 and F.6.6)."""
    size = np.abs(radii)
    if not size.all() or (start == end).all():
        return end[None]
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    axes = np.array([[cos, sin], [-sin, cos]])
    half = axes @ (start - end) / 2 / size  # the ellipse is the unit circle here
    reach = float(half @ half)
    if reach > 1:
        size, half, reach = size * math.sqrt(reach), half / math.sqrt(reach), 1.0
    centre = math.sqrt(max(0.0, 1 / reach - 1)) * (1 if large != sweep else -1) * np.array([half[1], -half[0]])
    first, second = (math.atan2(*(side - centre)[::-1]) for side in (half, -half))
    span = (second - first) % (2 * math.pi) if sweep else -((first - second) % (2 * math.pi))
    count = _pieces(span * span * float(size.max()), tolerance)
    angle = first + span * (np.arange(count) + 1) / count
    circle = np.stack([np.cos(angle), np.sin(angle)], -1) + centre
    points = (circle * size) @ axes + (start + end) / 2
    points[-1] = end
    return points
