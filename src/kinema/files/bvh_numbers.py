"""The rows of numbers in a BVH file: text to float64 and back, many at a time, as exact as float() and repr().

A decimal of at most 15 digits is an integer below 2^53 over a power of ten of at most 10^22. Both are exact in float64,
so that one division, which IEEE 754 rounds correctly, gives the very number that float() gives (Clinger, "How to read
floating point numbers accurately", PLDI 1990). Whatever is written otherwise is given to float() itself.
"""

import math
import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from jaxtyping import Float64, Int64, UInt8

CHUNK = 2**18
"""Bytes that are read at a time, or one line where that is longer: what they are turned into stays in the cache."""
LONGEST = 64
"""The most characters that a number may have."""
EXACT = 15
"""The most digits that always make an integer which float64 holds exactly."""
TENS = np.array([float(10**power) for power in range(EXACT + 1)])
"""Powers of ten, exact, which numpy's own power need not be."""
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MINUS, PLUS, POINT, ZERO, SPACE, TAB, NEWLINE = b"-+.0 \t\n"


class Misread(ValueError):
    """What stands at byte `at` (None: no single place) of a text is not what belongs there."""

    def __init__(self, at: int | None, reason: str) -> None:
        super().__init__(reason)
        self.at = at


def number(token: bytes, at: int = 0) -> float:
    """The finite decimal number that the token is. Raises Misread, at `at`, for any other token."""
    if len(token) > LONGEST:
        raise Misread(at, f"a word of {len(token)} characters stands where a number belongs; {LONGEST} are enough")
    if not NUMBER.fullmatch(token):
        raise Misread(at, f"{shown(token)} stands where a number belongs; write it like 12.345 or 1.2e-5")
    value = float(token)
    if not math.isfinite(value):
        raise Misread(at, f"{shown(token)} is beyond what a number can be; write at most 1.79e308")
    return value


def shown(token: bytes) -> str:
    """The token as a message shows it: short, and of printable characters."""
    return ascii((token[:24] + b"..." if len(token) > 24 else token).decode("utf-8", "replace"))


def parse_rows(text: bytes, at: int, columns: int, rows: int) -> Float64[np.ndarray, "T C"]:
    """The `rows` lines of `columns` numbers that a text holds from byte `at` on; empty lines do not count.

    Every line ends in a line feed, the last one as well. Raises Misread where anything but a finite decimal number
    stands, where a line has more or fewer of them, and where there are more or fewer lines.
    """
    if 2 * rows * columns > len(text) - at:  # a digit and a space each, before memory is taken for them
        raise miscounted(text, at, columns, rows)
    characters, values = np.frombuffer(text, np.uint8), np.empty(rows * columns)
    begin, done, arena = at, 0, Arena()
    while at < len(text):
        end = text.find(b"\n", min(at + CHUNK, len(text)) - 1) + 1
        if end - at > CHUNK + 2 * LONGEST * columns:
            raise miscounted(text, begin, columns, rows)
        chunk, room = characters[at:end], values[done:]
        found = read_fixed(chunk, columns, room, arena) or read_any(chunk, columns, room, at)
        if found is None:
            raise miscounted(text, begin, columns, rows)
        done, at = done + found, end
    if done < len(values):
        raise miscounted(text, begin, columns, rows)
    return values.reshape(rows, columns)


def miscounted(text: bytes, at: int, columns: int, rows: int) -> Misread:
    """The first line that has more or fewer numbers than `columns`, or else how many lines there are."""
    found = 0
    while at < len(text):
        end = text.find(b"\n", at) + 1
        if end - at > 2 * LONGEST * columns + CHUNK:
            return Misread(at, f"a line of {end - at} characters where {columns} numbers belong; write a line a frame")
        count = len(text[at:end].split())
        if count not in (0, columns):
            return Misread(at, f"a line of {count} numbers; each needs {columns}, one for every channel")
        found, at = found + (count > 0), end
    return Misread(None, f"its Frames line says {rows}, but {found} lines of numbers follow; write Frames: {found}")


class Arena:
    """The memory that `read_fixed` works in, kept from chunk to chunk: fresh pages would cost more than the work."""

    def __init__(self) -> None:
        self.memory, self.used = np.empty(0, np.uint8), 0

    def clear(self, size: int) -> None:
        """Gives all of it back, at least `size` bytes."""
        if len(self.memory) < size:
            self.memory = np.empty(size, np.uint8)
        self.used = 0

    def take(self, count: int, kind: type) -> np.ndarray:
        """An array of `count` numbers of a kind, of any value."""
        begin, size = self.used, count * np.dtype(kind).itemsize
        self.used = begin + (size + 7) // 8 * 8
        return self.memory[begin : begin + size].view(kind)


def read_fixed(
    chunk: UInt8[np.ndarray, " N"], columns: int, out: Float64[np.ndarray, " R"], arena: Arena
) -> int | None:
    """Reads lines as most programs write them into `out`: how many numbers there were.

    That is, all numbers have the same decimals, 1 to 10, and at most 4 digits before the point, and there is one
    space or tab between them. None where the chunk is of any other form, or has no room in `out`.
    """
    n = len(chunk)
    arena.clear(24 * n + 512)
    digits, is_digit = arena.take(n + 4, np.uint8), arena.take(n + 4, np.bool_)
    digits[:4], is_digit[:4] = 0, False  # so that four digits before any point can be asked for
    np.subtract(chunk, ZERO, out=digits[4:])
    np.less(digits[4:], 10, out=is_digit[4:])
    digits[4:] *= is_digit[4:]
    points = np.equal(chunk, POINT, out=arena.take(n, np.bool_)).nonzero()[0]
    count = len(points)
    if not 0 < count <= min(len(out), n // 4):
        return None
    decimals = int(is_digit[points[0] + 5 :][:12].argmin())
    if not 1 <= decimals <= 10 or points[-1] + decimals + 2 != n:
        return None

    # Points, gaps and signs, each where it belongs: if no other character is not a digit, this is the whole form.
    # (mode="wrap" because "raise" would copy `out` to be safe; every index is in range.)
    ends = np.add(points, decimals + 1, out=arena.take(count, np.int64))
    gaps = chunk.take(ends, out=arena.take(count, np.uint8), mode="wrap")
    newline = gaps == NEWLINE
    lines = np.count_nonzero(newline)
    if lines * columns != count or not newline[columns - 1 :: columns].all():
        return None
    if lines + np.count_nonzero(gaps == SPACE) + np.count_nonzero(gaps == TAB) != count:
        return None
    starts = arena.take(count, np.int64)
    starts[0] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    negative = chunk.take(starts, out=arena.take(count, np.uint8), mode="wrap") == MINUS
    before = np.subtract(points, starts, out=starts)
    before -= negative
    if before.min() < 1 or before.max() > 4:
        return None
    if n - np.count_nonzero(is_digit[4:]) != 2 * count + np.count_nonzero(negative):
        return None

    # Pairs of digits at every place of the chunk, of which those around the points are taken.
    pairs = np.multiply(digits[:-1], 10, out=arena.take(n + 3, np.uint8))
    pairs += digits[1:]
    third = np.multiply(digits[:-1], is_digit[1:], out=arena.take(n + 3, np.uint8))  # zero unless a digit follows
    upper = np.multiply(third[:-1], is_digit[2:], out=arena.take(n + 2, np.uint8))  # zero unless two digits follow
    upper *= 10
    upper += third[1:]
    pair, mantissa = arena.take(count, np.uint8), out[:count]
    np.multiply(upper.take(points, out=pair, mode="wrap"), 100.0, out=mantissa)
    mantissa += pairs[2:].take(points, out=pair, mode="wrap")
    for place in range(5, 5 + decimals, 2):  # of odd decimals the last pair is a digit and the gap, a zero
        mantissa *= 100.0
        mantissa += pairs[place:].take(points, out=pair, mode="wrap")
    scale = float(10 ** (decimals + decimals % 2))
    divisor = np.multiply(negative, -2 * scale, out=arena.take(count, np.float64))
    divisor += scale  # its sign is the number's, also of -0.0
    mantissa /= divisor
    return count


def read_any(chunk: UInt8[np.ndarray, " N"], columns: int, out: Float64[np.ndarray, " R"], at: int) -> int | None:
    """Reads lines of any form, from byte `at` of the text, into `out`: how many numbers there were.

    None where a line has more or fewer than `columns`, or `out` has no room. Raises Misread for what is no number.
    """
    pad = 16  # so that sixteen characters before any place can be asked for
    characters = np.full(pad + len(chunk), SPACE, np.uint8)
    characters[pad:] = chunk
    gap = (characters == SPACE) | (characters - TAB < 5)
    edges = np.flatnonzero(gap[1:] != gap[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    if len(starts) == 0:
        return 0
    values = decimal_numbers(characters, starts, ends, at - pad)
    line_ends = np.flatnonzero(characters == NEWLINE)
    a_line = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    if len(values) > len(out) or not np.isin(a_line, (0, columns)).all():
        return None
    out[: len(values)] = values
    return len(values)


def decimal_numbers(
    characters: UInt8[np.ndarray, " N"], starts: Int64[np.ndarray, " M"], ends: Int64[np.ndarray, " M"], at: int
) -> Float64[np.ndarray, " M"]:
    """The numbers between `starts` and `ends`, the first of which are at least 16; byte 0 is byte `at` of the text."""
    sign = characters[starts]
    first = starts + ((sign == MINUS) | (sign == PLUS))
    points = np.flatnonzero(characters == POINT)
    point = ends.copy()
    point[np.searchsorted(ends, points)] = points  # of several any: the characters about it are not all digits
    before, after = point - first, np.maximum(ends - point - 1, 0)
    digits = np.concatenate([[0], np.cumsum(characters - ZERO < 10, dtype=np.int64)])
    count = digits[ends] - digits[starts]
    plain = (count == before + after) & (count > 0) & (count <= EXACT)

    before, after = before * plain, after * plain
    scale = TENS[after]
    values = (last_digits(characters, point, before) * scale + last_digits(characters, ends, after)) / scale
    values = np.copysign(values, np.where(sign == MINUS, -1.0, 1.0))
    odd = np.flatnonzero(~plain)
    if len(odd):
        text, begins, stops = characters.tobytes(), starts[odd].tolist(), ends[odd].tolist()
        words = [text[i:j] for i, j in zip(begins, stops, strict=True)]
        values[odd] = odd_numbers(words, [at + i for i in begins])
    return values


def odd_numbers(words: Sequence[bytes], places: Sequence[int]) -> Float64[np.ndarray, " M"]:
    """The numbers that words are, whatever their form. Raises Misread, at its place, for the first that is none."""
    if max(map(len, words), default=0) <= LONGEST and not b"".join(words).translate(None, b"0123456789+-.eE"):
        with suppress(ValueError):
            values = np.array([float(word) for word in words])
            if np.isfinite(values).all():
                return values
    return np.array([number(word, at) for word, at in zip(words, places, strict=True)])


def last_digits(
    characters: UInt8[np.ndarray, " N"], ends: Int64[np.ndarray, " M"], count: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """The integers that the last `count` characters before `ends` make, at most 15 of them, all digits."""
    values = eight_digits(characters, ends, np.minimum(count, 8))
    if count.max() > 8:
        values += 1e8 * eight_digits(characters, ends - 8, np.maximum(count - 8, 0))
    return values


def eight_digits(
    characters: UInt8[np.ndarray, " N"], ends: Int64[np.ndarray, " M"], count: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """As `last_digits`, of at most 8: eight characters are one integer of 64 bits, in which neighbours are joined.

    The first character is the lowest byte. Bytes become digits, pairs of bytes two digits, and so on.
    """
    words = np.ndarray((len(characters) - 7,), "<u8", characters, strides=(1,))[ends - 8]
    drop = (64 - 8 * count).astype(np.uint64)
    word = (words >> drop << drop) & np.uint64(0x0F0F0F0F0F0F0F0F)  # numpy shifts by 64 to zero
    word = word * np.uint64(10) + (word >> np.uint64(8))
    low = np.uint64(0x000000FF000000FF)
    upper = (word & low) * np.uint64(100 + (1000000 << 32))
    lower = (word >> np.uint64(16) & low) * np.uint64(1 + (10000 << 32))
    return ((upper + lower) >> np.uint64(32)).astype(np.float64)


def format_rows(values: Float64[np.ndarray, "T C"]) -> bytes:
    """The text of rows that `parse_rows` turns back into these very numbers, which must be finite.

    All get the same decimals where 6, 8 or 10 of them say the numbers exactly; or else each is written by repr().
    """
    step = max(1, 2**16 // max(1, values.shape[1]))
    parts = [values[i : i + step] for i in range(0, len(values), step)]
    for decimals in (6, 8, 10):
        if all(says_all(part, decimals) for part in parts):
            return b"".join(fixed_text(part, decimals) for part in parts)
    return b"".join(" ".join(map(repr, row)).encode() + b"\n" for part in parts for row in part.tolist())


def says_all(values: Float64[np.ndarray, "T C"], decimals: int) -> bool:
    """Whether so many decimals say the numbers exactly, in at most 15 digits."""
    scale = TENS[decimals]
    if not np.abs(values).max(initial=0) < TENS[EXACT - decimals]:
        return False
    return bool((np.rint(values * scale) / scale == values).all())


def fixed_text(values: Float64[np.ndarray, "T C"], decimals: int) -> bytes:
    """Numbers that `says_all` is true of, with so many decimals."""
    rest = np.abs(np.rint(values * TENS[decimals])).astype(np.int64).ravel()
    width = max(len(str(rest.max(initial=0))), decimals + 1)
    table = np.empty((width + 3, len(rest)), np.uint8)  # sign, digits and point, gap
    kept = np.ones(table.shape, np.bool_)
    table[0], kept[0] = MINUS, np.signbit(values).ravel()
    table[-decimals - 2], table[-1] = POINT, SPACE
    for place in range(width):
        row = -2 - place if place < decimals else -3 - place
        if place > decimals:
            np.greater(rest, 0, out=kept[row])
        tens = rest // 10
        table[row] = rest - 10 * tens + ZERO
        rest = tens
    table[-1].reshape(values.shape)[:, -1] = NEWLINE
    return table.T[kept.T].tobytes()
