"""How fast BVH files are read: ``python benchmarks/bvh.py [FOLDER]``.

All .bvh files of the folder are read from text to float64, header and all, and nothing is kept from one round to the
next. Without a folder, 200 files of 150 frames and 132 channels are made. The readers take turns, so that whatever else
the machine is doing slows all of them; the best round and the median are told, by the clock and by the processor time
of all processes. The second worker is a process that is started anew in every round, within the time measured.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from kinema.files.bvh import CHANNELS, Bvh, read_bvh, write_bvh
from kinema.files.bvh_workers import read_many

ROUNDS = 7
BARS = {"Kinema, one core": 150_000, "Kinema, two workers": 250_000}
"""Frames per second."""


def by_kinema(paths: list[Path]) -> int:
    return sum(len(read_bvh(path)) for path in paths)


def by_two_workers(paths: list[Path]) -> int:
    return sum(len(bvh) for bvh in read_many(paths, workers=2))


def by_float(paths: list[Path]) -> int:
    """The usual few lines: split the rows, turn each word into a float."""
    frames = 0
    for path in paths:
        rows = path.read_text().split("Frame Time:")[1]
        values = [[float(word) for word in row.split()] for row in rows.splitlines()[1:]]
        frames += len(np.array(values))
    return frames


def by_bvhio(paths: list[Path]) -> int:
    import bvhio

    return sum(bvhio.readAsBvh(str(path)).FrameCount for path in paths)


def made(folder: Path) -> None:
    """A folder of files as a motion-capture studio writes them: six channels for each of 22 joints, six decimals."""
    numbers = np.random.default_rng(0)
    parents = (-1, *range(21))
    for i in range(200):
        values = np.round(numbers.normal(size=(150, 132)) * 60, 6)
        names, offsets = tuple(f"joint{j}" for j in range(22)), numbers.normal(size=(22, 3)).round(4)
        write_bvh(Bvh(names, parents, offsets, (), (CHANNELS,) * 22, 0.0333333, values), folder / f"{i:03}.bvh")


def worked() -> float:
    """Seconds of processor time so far, of this process and of those that it started and that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def measure(readers: dict[str, tuple[Callable[[list[Path]], int], list[Path]]]) -> None:
    """Runs the readers in turn and prints the frames per second of each."""
    rates = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, (read, paths) in readers.items():
            began, before = time.perf_counter(), worked()
            frames = read(paths)
            rates[name].append((frames / (time.perf_counter() - began), frames / (worked() - before)))
    heads = ("frames per second", "files", "best", "median", "CPU best", "CPU median", "bar")
    print("{:>22} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}".format(*heads))
    for name, (_, paths) in readers.items():
        clock, cpu = zip(*rates[name], strict=True)
        figures = (max(clock), median(clock), max(cpu), median(cpu), BARS.get(name, 0))
        print(f"{name:>22} {len(paths):>6}", *(f"{figure:>10,.0f}" for figure in figures))


def main() -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if len(sys.argv) == 1:
            made(folder)
        paths = sorted(folder.glob("*.bvh"))
        frames = by_kinema(paths)  # also brings the files into memory
        megabytes = sum(path.stat().st_size for path in paths) / 1e6
        print(f"{len(paths)} files, {frames} frames, {megabytes:.0f} MB; {ROUNDS} rounds")
        measure(
            {
                "Kinema, one core": (by_kinema, paths),
                "Kinema, two workers": (by_two_workers, paths),
                "float() of every word": (by_float, paths[::20]),
                "bvhio, readAsBvh": (by_bvhio, paths[::100]),
            }
        )


if __name__ == "__main__":
    main()
