"""What a body is asked to do: a line drawn on the ground (CSV or SVG), or a control for every moment (CSV).

Text is UTF-8 with one header line; columns are parted by commas, semicolons or tabs; lines that begin with # are
comments. Every error names the file, the line and what would be right.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from kinema.errors import ConfigError, FileError
from kinema.files.guard import one_line, reading
from kinema.files.svg_line import read_svg_line

MAX_BYTES = 2**24
"""The largest file that is read: 16 MB."""
MAX_ROWS = 2**20
"""The most lines of a file, and frames of a control: 4.8 hours at 60 frames per second."""
MAX_SPEED, MAX_TURN = 15.0, 720.0
"""What no body does, in m/s and degrees per second: the units must be others."""
JUMP, JUMP_SHARE, JUMP_POINTS = 2.0, 10.0, 20
"""Metres, and times what nine gaps in ten keep below: a wider gap in a line of more than so many points is an error."""


@dataclass(frozen=True, eq=False)
class DrawnPath:
    """A line on the ground, from its first point to its last."""

    points: Float[Tensor, "N 2"]
    """x and z in metres, float64: +Z is ahead, +X to the left of who looks ahead; at least two that differ."""
    speed: Float[Tensor, " N"] | None
    """Metres per second at the points; None: not said."""
    notes: tuple[str, ...] = ()
    """What reading left out, each in a sentence."""


@dataclass(frozen=True, eq=False)
class Table:
    """The number columns of a CSV file."""

    columns: Mapping[str, Float64[np.ndarray, " N"]]
    """By name."""
    lines: Sequence[int]
    """The line of the file that each row stands on."""


def read_path(path: Path, scale: float | None = None) -> DrawnPath:
    """A line from ``x,z[,speed]`` in metres and m/s (CSV), or from the first line of a drawing (SVG).

    `scale` is metres per unit. An SVG needs it; up on its page is ahead, +Z, and right on its page is to the right,
    -X, as on a map; the page's origin is the world's. In a CSV it multiplies places and speeds. Raises FileError where
    the file is neither, damaged, too large, or holds less than two points, jumps or speeds that no body has;
    ConfigError where `scale` is missing or not positive.
    """
    if scale is not None and not 0 < scale < math.inf:
        raise ConfigError(f"scale is {scale}; metres per unit are needed, above 0")
    kind = path.suffix.lower()
    if kind not in (".csv", ".svg"):
        raise FileError(f"{path}: a path is read from .csv (x,z[,speed] in metres) or from .svg")
    with reading(path):
        if kind == ".csv":
            return _csv_path(path, scale)
        if scale is None:
            raise ConfigError(f"{path}: an SVG has no size in metres; give --scale, metres per SVG unit, such as 0.01")
        line, notes = read_svg_line(path, _content(path), scale)
        _check_line(path, line)
        return DrawnPath(torch.from_numpy(-line), None, notes)


def read_controls(path: Path, fps: float) -> Float[Tensor, "T 3"]:
    """Controls from ``forward,sideways,turn`` in m/s, m/s and degrees per second (CSV), the left positive.

    Without a column ``time`` or ``seconds`` every row is a frame; with it the rows are joined by straight lines and
    sampled at `fps` from the first to the last. Returns sideways, forward (m/s) and turn (rad/s), float64. Raises
    FileError where the file is damaged, too large, has other columns, or values that no body reaches.
    """
    with reading(path):
        table = _table(path, ("forward", "sideways", "turn"), ("time", "seconds"))
        forward, sideways, turn = (table.columns[name] for name in ("forward", "sideways", "turn"))
        for name in ("forward", "sideways"):
            _check_below(path, table, name, MAX_SPEED, "m/s are needed; is it in centimetres?")
        _check_below(path, table, "turn", MAX_TURN, "degrees per second are needed")
        control = np.stack([sideways, forward, np.deg2rad(turn)], -1)
        clocks = [name for name in ("time", "seconds") if name in table.columns]
        if len(clocks) > 1:
            raise FileError(f"{path}: columns time and seconds say the same; one of them is needed")
        return torch.from_numpy(_at_rate(path, control, table, clocks[0], fps) if clocks else control)


def _at_rate(
    path: Path, control: Float64[np.ndarray, "N 3"], table: Table, clock: str, fps: float
) -> Float64[np.ndarray, "T 3"]:
    """The control sampled evenly from the first time to the last."""
    times = table.columns[clock]
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        at = table.lines[back[0] + 1]
        raise FileError(f"{path}: line {at}: {clock} {times[back[0] + 1]:g} is not after the line before; it must grow")
    frames = (times[-1] - times[0]) * fps
    if not frames < MAX_ROWS:
        raise FileError(f"{path}: {clock} spans {times[-1] - times[0]:.3g} s, too long; are they seconds?")
    wanted = times[0] + np.arange(int(frames + 1e-6) + 1) / fps
    return np.stack([np.interp(wanted, times, column) for column in control.T], -1)


def _csv_path(path: Path, scale: float | None) -> DrawnPath:
    table = _table(path, ("x", "z"), ("speed",))
    columns = {name: values * (scale or 1.0) for name, values in table.columns.items()}
    table = Table(columns, table.lines)
    line = np.stack([columns["x"], columns["z"]], -1)
    _check_line(path, line)
    gaps = np.linalg.norm(np.diff(line, axis=0), axis=-1)
    wide = np.flatnonzero(gaps > max(JUMP, JUMP_SHARE * float(np.quantile(gaps, 0.9))))
    if len(line) > JUMP_POINTS and len(wide):
        first, second = table.lines[wide[0]], table.lines[wide[0] + 1]
        raise FileError(
            f"{path}: a jump of {gaps[wide[0]]:.3g} m between line {first} and {second}; a line without gaps is needed"
        )
    if "speed" not in columns:
        return DrawnPath(torch.from_numpy(line), None)
    slow = np.flatnonzero(columns["speed"] < 0)
    if len(slow):
        at = table.lines[slow[0]]
        raise FileError(f"{path}: line {at}: speed {columns['speed'][slow[0]]:g} m/s; 0 or more is needed")
    _check_below(path, table, "speed", MAX_SPEED, "m/s are needed; is it in centimetres?")
    return DrawnPath(torch.from_numpy(line), torch.from_numpy(columns["speed"]))


def _check_line(path: Path, line: Float64[np.ndarray, "N 2"]) -> None:
    if len(line) < 2 or not (line != line[0]).any():
        found = "one point" if len(line) == 1 else f"{len(line)} points, all at one place"
        raise FileError(f"{path}: {found}; a path needs at least two places")
    if not np.isfinite(line).all():
        raise FileError(f"{path}: places beyond all numbers; is the scale right?")


def _check_below(path: Path, table: Table, name: str, most: float, hint: str) -> None:
    """Raises FileError at the first row whose `name` is further from 0 than `most`."""
    values = table.columns[name]
    far = np.flatnonzero(np.abs(values) > most)
    if len(far):
        raise FileError(f"{path}: line {table.lines[far[0]]}: {name} {values[far[0]]:g} is more than {most:g}; {hint}")


def _table(path: Path, needed: tuple[str, ...], optional: tuple[str, ...]) -> Table:
    """The columns of a CSV file; every cell a finite number."""
    rows = _rows(path)
    if not rows:
        raise FileError(f"{path}: empty; a header {','.join(needed)} and rows of numbers are needed")
    line, header = rows[0][0], [cell.strip().lower() for cell in rows[0][1]]
    wrong = [name for name in header if name not in needed + optional]
    if wrong or set(needed) - set(header) or len(set(header)) < len(header):
        found, want = ",".join(header)[:80], ",".join(needed) + "".join(f"[,{name}]" for name in optional)
        raise FileError(f"{path}: line {line}: the columns are {found!r}; a header {want} is needed")
    if len(rows) == 1:
        raise FileError(f"{path}: no rows after the header; at least one is needed")
    values = np.array([_numbers(path, line, header, cells) for line, cells in rows[1:]])
    return Table(dict(zip(header, values.T.copy(), strict=True)), [line for line, _ in rows[1:]])


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that hold something, with the numbers of their lines."""
    try:
        text = _content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not text in UTF-8 (byte {error.start}); save it as CSV in UTF-8") from error
    lines = text.splitlines()
    if len(lines) > MAX_ROWS:
        raise FileError(f"{path}: {len(lines)} lines; at most {MAX_ROWS} are read")
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    separator = next((mark for mark in ";\t" if mark in first), ",")
    reader = csv.reader(lines, delimiter=separator)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise FileError(f"{path}: line {reader.line_num}: {one_line(error)}; short numbers are needed") from error
    return [(line, cells) for line, cells in rows if not cells[0].lstrip().startswith("#")]


def _numbers(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> list[float]:
    """A row of numbers, one for each column of the header."""
    if len(cells) != len(header):
        raise FileError(f"{path}: line {line}: {len(cells)} values; the header has {len(header)} columns")
    values = []
    for name, cell in zip(header, cells, strict=True):
        try:
            value = float(cell) if len(cell) <= 64 and "_" not in cell else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            shown = cell.strip()[:24]
            raise FileError(f"{path}: line {line}, column {name}: {shown!r}; a finite number is needed, such as 1.25")
        values.append(value)
    return values


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise FileError(f"{path}: {size / 2**20:.0f} MB; a path or control has at most {MAX_BYTES // 2**20} MB")
    return path.read_bytes()
