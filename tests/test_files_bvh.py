"""BVH as text: every number as float() reads it, every file as it was, every damage in one line."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import ClipError, FileError
from kinema.files import bvh_workers
from kinema.files.bvh import CHANNELS, Bvh, format_bvh, in_file_order, parse_bvh, read_bvh, write_bvh
from kinema.files.bvh_numbers import Arena, format_rows, parse_rows, read_fixed
from kinema.files.bvh_workers import Helper, read_many
from real_data import real_data

PLAIN = """HIERARCHY
ROOT Hips
{
\tOFFSET 0.0 90.5 0.0
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
\tJOINT Left Leg
\t{
\t\tOFFSET 10.0 -5.0 0.0
\t\tCHANNELS 3 Zrotation Xrotation Yrotation
\t\tEnd Site
\t\t{
\t\t\tOFFSET 0.0 -40.0 0.0
\t\t}
\t}
}
MOTION
Frames: 2
Frame Time: 0.0333333
0.000000 90.500000 -0.000000 10.250000 0.000000 0.000000 1.000000 2.000000 -3.000000
1.500000 90.250000 0.125000 11.000000 0.000000 0.000000 1.500000 2.500000 -179.999999
"""


def bits(values: np.ndarray) -> list[int]:
    """What tells two float64 apart, -0.0 from 0.0 too."""
    return np.ascontiguousarray(values).view(np.uint64).ravel().tolist()


def assert_same(a: Bvh, b: Bvh) -> None:
    fields = ("names", "parents", "ends", "channels", "frame_time")
    assert [getattr(a, field) for field in fields] == [getattr(b, field) for field in fields]
    assert bits(a.values) == bits(b.values)
    assert a.values.shape == b.values.shape
    assert bits(a.offsets) == bits(b.offsets)


def rows_text(rows: list[list[str]]) -> bytes:
    return "".join(" ".join(row) + "\n" for row in rows).encode()


# Numbers


def written(value: float, way: int) -> str:
    """A number as programs write it: rounded, short, whole, with an exponent, with signs and zeros about it."""
    return [
        f"{value:.6f}",
        repr(value),
        f"{value:.0f}",
        f"{value:g}",
        f"{value:.3e}".upper(),
        f"{value:+.2f}",
        f"{value:.9f}",
        f"{value:013.4f}",
        f"{value:.0f}.",
        re.sub(r"^(-?)0\.", r"\1.", f"{value:.5f}"),
    ][way]


texts = st.builds(
    written,
    st.one_of(
        st.floats(-400, 400),
        st.floats(-1e7, 1e7),
        st.sampled_from([0.0, -0.0, 1e-7, 0.1, 1e15, 123456789.123456, 2.0**53 + 2, 1e22, 1e23, 5e-324, 1e300]),
    ),
    st.integers(0, 9),
).filter(lambda text: len(text) <= 64)


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, min_size=12, max_size=12), st.sampled_from([" ", "\t", "  ", " \t "]))
def test_every_number_is_what_float_makes_of_it(words, gap):
    text = "".join(gap.join(words[i : i + 4]) + "\n" for i in (0, 4, 8)).encode()
    assert bits(parse_rows(text, 0, 4, 3)) == bits(np.array([float(word) for word in words]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-9999, 9999), min_size=12, max_size=12), st.integers(1, 13), st.sampled_from(" \t"))
def test_numbers_of_equal_decimals_go_the_fast_way_where_it_is_exact(numbers, decimals, gap):
    words = [f"{number:.{decimals}f}" for number in numbers]
    text = "".join(gap.join(words[i : i + 4]) + "\n" for i in (0, 4, 8)).encode()
    out = np.empty(12)
    few = max(len(word.split(".")[0].lstrip("-")) for word in words) <= 4  # 9999.99 may be rounded up to 10000
    assert read_fixed(np.frombuffer(text, np.uint8), 4, out, Arena()) == (12 if few and decimals <= 10 else None)
    exact = np.array([float(word) for word in words])
    assert bits(parse_rows(text, 0, 4, 3)) == bits(exact)
    assert decimals > 10 or not few or bits(out) == bits(exact)


@pytest.mark.parametrize(
    "word", [".500000", "-.500000", "1.2.345", "1-.500000", "--1.5000", "1.50000", "1.50000x", "1.500\0000", "1/500000"]
)
def test_the_fast_way_leaves_what_looks_nearly_right_to_the_exact_one(word):
    assert_not_fixed(f"1.000000 {word}\n2.000000 3.000000\n".encode())


def test_the_fast_way_leaves_lines_that_are_not_rows_to_the_exact_one():
    assert_not_fixed(b"1.000000\n1.500000 2.000000 3.000000\n")
    assert_not_fixed(b"1.000000 1.500000\n2.000000 3.000000 ")
    assert_not_fixed(b"1.000000 1.500000\n2.000000 3.000000\n1.000000 1.500000\n")  # more than there is room for


def assert_not_fixed(text: bytes) -> None:
    out = np.full(4, 7.0)
    assert read_fixed(np.frombuffer(text, np.uint8), 2, out, Arena()) is None
    assert (out == 7).all()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_fast_way_never_takes_what_float_refuses(data):
    """Whatever two characters of a regular text are changed to: it is either refused or read as float() reads it."""
    text = bytearray(rows_text([["12.345678", "-0.500000"], ["-1.000000", "999.000001"]]))
    for _ in range(2):
        text[data.draw(st.integers(0, len(text) - 2))] = data.draw(st.sampled_from(b"0123456789-+. \n\tx\0\x80e"))
    out = np.empty(4)
    if read_fixed(np.frombuffer(bytes(text), np.uint8), 2, out, Arena()) is not None:
        assert bits(out) == bits(np.array([float(word) for word in text.split()]))
        assert [len(line.split()) for line in text.splitlines()] == [2, 2]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-400, 400)), min_size=6))
def test_numbers_written_are_read_as_they_were(numbers):
    values = np.array(numbers[: len(numbers) // 3 * 3]).reshape(-1, 3)
    for table in (values, np.round(np.clip(values, -1e5, 1e5), 6), np.round(np.clip(values, -1e4, 1e4), 9)):
        assert bits(parse_rows(format_rows(table), 0, 3, len(table))) == bits(table)


def test_numbers_of_six_decimals_are_written_so():
    assert format_rows(np.array([[0.5, -0.0, -12.25], [123.456789, 1e-6, 0.0]])) == (
        b"0.500000 -0.000000 -12.250000\n123.456789 0.000001 0.000000\n"
    )


def test_long_files_are_read_in_parts(monkeypatch):
    monkeypatch.setattr("kinema.files.bvh_numbers.CHUNK", 100)
    values = np.random.default_rng(0).normal(size=(50, 7)).round(6)
    mixed = values.copy()
    mixed[20] *= 1.1  # a part that has to go the exact way
    for table in (values, mixed):
        text = b"".join(format_rows(row[None]) for row in table)
        assert bits(parse_rows(text, 0, 7, 50)) == bits(table)


def test_real_files_are_what_float_makes_of_them():
    for path in sorted(real_data("bandai").glob("*.bvh"))[::250]:
        rows = path.read_text().split("Frame Time:")[1].split("\n", 1)[1]
        assert bits(read_bvh(path).values) == bits(np.array(list(map(float, rows.split()))))


# Files


def random_bvh(seed: int) -> Bvh:
    """Any skeleton and channels: 0 to 6 a joint in any order, End Sites anywhere or nowhere, odd names, odd numbers."""
    draw = random.Random(seed)
    parents, above = [-1], [0]
    for joint in range(1, draw.randint(1, 12)):
        del above[draw.randint(1, len(above)) :]
        parents.append(above[-1])
        above.append(joint)
    names = tuple(f"{draw.choice(['Hips', 'mixamorig:Left Arm', 'Größe', 'end'])} {j}" for j in range(len(parents)))
    channels = [tuple(draw.sample(CHANNELS, draw.choice([0, 1, 3, 3, 6]))) for _ in parents]
    channels[0] = channels[0] or CHANNELS
    numbers = np.random.default_rng(seed)
    size = (draw.randint(1, 5), sum(map(len, channels)))
    values = numbers.normal(size=size) * 10.0 ** numbers.integers(-20, 20, size if draw.random() < 0.5 else ())
    if draw.random() < 0.5:
        values = np.clip(values, -900, 900).round(draw.randint(1, 6))
    offsets = numbers.normal(size=(len(parents), 3))
    ends = tuple((j, tuple(numbers.normal(size=3).tolist())) for j in range(len(parents)) for _ in range(j % 3))
    return Bvh(names, tuple(parents), offsets, ends, tuple(channels), draw.choice([1 / 30, 0.0166667, 0.01]), values)


@pytest.mark.parametrize("seed", range(60))
def test_random_skeletons_come_back_bit_for_bit(seed, tmp_path):
    bvh = random_bvh(seed)
    write_bvh(bvh, tmp_path / "a.bvh")
    assert_same(read_bvh(tmp_path / "a.bvh"), bvh)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\t", ""),
        lambda text: text.replace(" ", "\t").replace("Left\tLeg", "Left Leg").replace("Frame\tTime", "Frame Time"),
        lambda text: re.sub(r"(?<=\d) (?=[-\d])", "   ", text),
        lambda text: re.sub(r"\n(?=[-\d])", "\n  ", text),
        lambda text: re.sub(r"\n", " \n", text),
        lambda text: re.sub(r"\n", " \t \r\n", text),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n \n\n",
        lambda text: re.sub(r"(?<=\d)\n", "\n\n", text),
        lambda text: re.sub(r"\s*\{", " {", text),
        lambda text: re.sub(r"\s*\}", " }", text),
        lambda text: text.upper().replace("HIPS", "Hips").replace("LEFT LEG", "Left Leg"),
        lambda text: text.replace("90.500000", "9.05e1").replace(" 1.000000", " +1").replace("0.125000", ".125"),
        lambda text: text.replace("End Site", "End Site toe"),
        lambda text: text.replace("Frames: 2", "Frames:\t2 ").replace("Frame Time: ", "Frame Time:\t"),
    ],
)
def test_other_writings_say_the_same(change):
    assert_same(parse_bvh(change(PLAIN).encode(), "other"), parse_bvh(PLAIN.encode(), "plain"))


def test_what_is_said():
    bvh = parse_bvh(PLAIN.encode(), "plain")
    assert bvh.names == ("Hips", "Left Leg")
    assert bvh.parents == (-1, 0)
    assert bvh.offsets.tolist() == [[0.0, 90.5, 0.0], [10.0, -5.0, 0.0]]
    assert bvh.ends == ((1, (0.0, -40.0, 0.0)),)
    assert bvh.channels == (
        (*CHANNELS[:3], "Zrotation", "Xrotation", "Yrotation"),
        ("Zrotation", "Xrotation", "Yrotation"),
    )
    assert bvh.frame_time == 0.0333333
    assert bvh.values[1].tolist() == [1.5, 90.25, 0.125, 11, 0, 0, 1.5, 2.5, -179.999999]


def test_names_in_old_encodings_are_kept():
    text = PLAIN.replace("Left Leg", "Fuß").encode("latin-1")
    bvh = parse_bvh(text, "old")
    assert bvh.names[1] == "Fuß"
    assert_same(parse_bvh(format_bvh(bvh), "new"), bvh)


def test_offsets_are_written_without_exponents():
    bvh = parse_bvh(PLAIN.replace("10.0 -5.0", "1.87007e-05 -5.0").encode(), "plain")
    assert b"OFFSET 0.0000187007 -5.0 0.0" in format_bvh(bvh)


@pytest.fixture
def folder(tmp_path) -> list[Path]:
    """Files enough for helpers."""
    for seed in range(40):
        write_bvh(random_bvh(seed), tmp_path / f"{seed:02}.bvh")
    return sorted(tmp_path.glob("*.bvh"))


@pytest.fixture
def helpers(monkeypatch) -> list[Helper]:
    """The helpers that are started; each is waited for, as a few small files would be read before it is ready."""
    found = []

    class Ready(Helper):
        def __init__(self) -> None:
            super().__init__()
            found.append(self)
            assert self.ready.result(60) is None

    monkeypatch.setattr(bvh_workers, "Helper", Ready)
    return found


@pytest.fixture
def read_here(monkeypatch) -> list[Path]:
    """The files that this process reads itself."""
    paths = []
    monkeypatch.setattr(bvh_workers, "read_bvh", lambda path: paths.append(path) or read_bvh(path))
    return paths


def have_ended(helpers: list[Helper]) -> bool:
    threads = [thread for helper in helpers for thread in helper.thread._threads]
    return all(helper.process.returncode is not None for helper in helpers) and not any(map(Thread.is_alive, threads))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_folder_is_read_in_order(workers, folder, helpers, read_here):
    for bvh, path in zip(read_many(folder, workers), folder, strict=True):
        assert_same(bvh, read_bvh(path))
        assert bvh.values.flags.writeable
    assert len(helpers) == workers - 1
    assert (len(read_here) < len(folder)) == (workers > 1)
    assert have_ended(helpers)


@pytest.mark.parametrize("bad", [0, 5, 22, 39])
def test_a_bad_file_of_a_folder_is_told_in_its_place(bad, folder, helpers):
    folder[bad].write_text(PLAIN.replace("11.000000", "eleven"))
    with pytest.raises(FileError) as alone:
        read_bvh(folder[bad])
    read = []
    with pytest.raises(FileError) as error:
        read.extend(read_many(folder))
    assert (str(error.value), len(read)) == (str(alone.value), bad)
    assert have_ended(helpers)


def test_a_folder_is_read_no_further_ahead_than_said(folder, helpers):
    asked = []
    paths = (asked.append(path) or path for path in folder * 5)
    for number, _ in enumerate(read_many(paths)):
        assert len(asked) <= max(bvh_workers.FEW, number + 1 + bvh_workers.AHEAD)
    assert number + 1 == len(asked) == 200


def test_nothing_is_left_of_a_folder_that_is_given_up(folder, helpers):
    reader = read_many(folder, workers=3)
    next(reader)
    assert [helper.process.poll() for helper in helpers] == [None, None]
    reader.close()
    assert have_ended(helpers)


def test_a_folder_is_read_though_its_helper_dies(folder, helpers, read_here):
    reader = read_many(folder)
    found = [next(reader)]
    helpers[0].process.kill()
    for bvh, path in zip([*found, *reader], folder, strict=True):
        assert_same(bvh, read_bvh(path))
    assert len(read_here) > 20


def test_a_few_files_start_no_helper(folder, helpers):
    assert len(list(read_many(folder[:19]))) == 19
    assert list(read_many([])) == []
    assert helpers == []


@pytest.mark.parametrize("program", ["", None, "/opt/studio/studio", "/nowhere/python3"])
def test_a_folder_is_read_where_no_helper_can_be_started(program, folder, monkeypatch):
    monkeypatch.setattr("sys.executable", program)
    assert len(list(read_many(folder))) == 40


@pytest.mark.slow
def test_an_interrupted_script_without_a_guard_runs_once_and_leaves_no_helper(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys, time\nfrom pathlib import Path\nfrom kinema.files import bvh_workers\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "helpers, start = [], bvh_workers.Helper\n"
        "bvh_workers.Helper = lambda: helpers.append(start()) or helpers[-1]\n"
        "for bvh in bvh_workers.read_many(sorted(Path(sys.argv[1]).glob('*.bvh'))):\n"
        "    helpers[0].ready.result()\n"
        "    print(helpers[0].process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        helper = int(process.stdout.readline())
        os.kill(helper, 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert out == b""
    assert err.count(b"Traceback") == err.count(b"KeyboardInterrupt") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(helper, 0)


@pytest.mark.slow
def test_all_real_files_are_loaded_saved_and_loaded_alike(tmp_path):
    paths = sorted(real_data("bandai").glob("*.bvh"))
    assert len(paths) == 870
    for path in paths:
        bvh = read_bvh(path)
        write_bvh(bvh, tmp_path / "again.bvh")
        assert_same(read_bvh(tmp_path / "again.bvh"), bvh)


# Damage


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", r"line 1, column 1: 'HIERARCHIE' stands where HIERARCHY"),
        ("ROOT Hips", "JOINT Hips", r"line 2, column 1: 'JOINT' stands where ROOT"),
        ("JOINT Left Leg", "ROOT Left Leg", r"line 6, column 2: 'ROOT' stands where JOINT"),
        ("JOINT Left Leg", "JOINT", r"line 6, column 2: .* name has 0 characters"),
        ("OFFSET 0.0 90.5 0.0", "OFFSET 0.0 high 0.0", r"line 4, column 13: 'high' stands where a number belongs"),
        ("OFFSET 0.0 90.5 0.0", "OFFSET 0.0 90.5", r"line 5, column 2: 'CHANNELS' stands where a number"),
        ("OFFSET 0.0 -40.0 0.0", "OFFSET 0.0 nan 0.0", r"line 12, column 15: 'nan' stands where a number"),
        ("CHANNELS 3 Z", "CHANNELS 2 Z", r"line 9, column 12: CHANNELS says 2, but 3 of .* follow"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", r"line 9.* says 3, but 0 of .* then 'Wrotation'"),
        ("Zrotation Xrotation Yrotation\n\t\tEnd", "Zrotation Xrotation Zrotation\n\t\tEnd", r"names a channel twice"),
        ("\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n", "", r"stands where CHANNELS"),
        ("\t}\n}\n", "\t}\n", r"line 15, column 1: 'MOTION' stands where JOINT, End Site or }"),
        ("}\nMOTION", "}\n}\nMOTION", r"line 16, column 1: '}' stands where MOTION"),
        ("}\nMOTION", "}\nROOT Other\n{\n}\nMOTION", r"line 16, column 1: a second ROOT; write each"),
        ("Frames: 2\n", "", r"line 17, column 1: 'Frame' stands where Frames: NUMBER belongs"),
        ("Frames: 2", "Frames: 0", r"line 17, column 9: Frames is '0'; a number of at least 1"),
        ("Frames: 2", "Frames: -2", r"Frames is '-2'"),
        ("Frames: 2", "Frames: two", r"Frames is 'two'"),
        ("Frames: 2", "Frames: 3", r"plain: its Frames line says 3, but 2 lines of numbers follow; write Frames: 2"),
        ("Frames: 2", "Frames: 1", r"says 1, but 2 lines"),
        ("Frames: 2", "Frames: 999999999999", r"says 999999999999, but 2 lines"),
        ("Frames: 2", f"Frames: {'9' * 5000}", r"Frames is '9999.*\.\.\.'"),
        ("Frame Time: 0.0333333\n", "", r"line 18, column 1: '0.000000' stands where Frame Time: SECONDS belongs"),
        ("0.0333333", "0.0", r"line 18, column 13: Frame Time is 0.0; the seconds of a frame are needed"),
        ("0.0333333", "-0.01", r"Frame Time is -0.01"),
        ("0.0333333", "nan", r"line 18, column 13: 'nan' stands where a number"),
        ("0.0333333", "inf", r"'inf' stands where a number"),
        ("0.0333333", "", r"line 18, column 13: '' stands where a number belongs"),
        ("11.000000", "eleven", r"line 20, column 29: 'eleven' stands where a number belongs"),
        ("11.000000", "nan", r"line 20, column 29: 'nan' stands"),
        ("11.000000", "-Infinity", r"line 20, column 29: '-Infinity' stands"),
        ("11.000000", "1_000", r"'1_000' stands"),
        ("11.000000", "0x10", r"'0x10' stands"),
        ("11.000000", "1e999", r"line 20, column 29: '1e999' is beyond what a number can be"),
        ("11.000000", "1,5", r"'1,5' stands"),
        ("11.000000", "\0", r"line 20, column 29: '\\x00' stands"),
        ("11.000000 ", "", r"line 20, column 1: a line of 8 numbers; each needs 9"),
        ("11.000000", "11.000000 1", r"line 20, column 1: a line of 10 numbers; each needs 9"),
        (" 11.000000", "\n11.000000", r"line 20, column 1: a line of 3 numbers; each needs 9"),
        (PLAIN[PLAIN.index("0.000000 90") :], "", r"says 2, but 0 lines"),
        (PLAIN[PLAIN.index("MOTION") :], "", r"the file ends before MOTION"),
        (PLAIN[PLAIN.index("{") :], "", r"line 3, column 1: the file ends before {"),
        (PLAIN, "", r"line 1, column 1: the file ends before HIERARCHY"),
    ],
)
def test_damage_is_told_in_one_line(old, new, message):
    assert PLAIN.count(old) >= 1
    with pytest.raises(FileError, match=message) as error:
        parse_bvh(PLAIN.replace(old, new, 1).encode(), "plain")
    assert str(error.value).startswith("plain: ")
    assert "\n" not in str(error.value)


def test_a_skeleton_without_channels_is_told():
    still = PLAIN.replace("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "CHANNELS 0")
    with pytest.raises(FileError, match="no joint has channels"):
        parse_bvh(still.replace("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 0").encode(), "still")


def test_a_wrong_number_is_found_far_down(monkeypatch):
    monkeypatch.setattr("kinema.files.bvh_numbers.CHUNK", 64)
    line = PLAIN.splitlines()[-1]
    text = PLAIN.replace("Frames: 2", "Frames: 102").replace("\r", "") + f"{line}\n" * 99 + line.replace("2.5", "2.x")
    for rows in (text, text.replace("\n", " \r\n")):
        with pytest.raises(FileError, match=r"line 120, column 66: '2.x00000'"):
            parse_bvh(rows.encode(), "far")


@pytest.mark.parametrize(
    "text",
    [
        "9" * 500_000,
        PLAIN.replace("90.5 ", "9" * 500_000 + " "),
        PLAIN.replace("90.250000", "9" * 500_000),
        PLAIN.replace("Frames: 2", "Frames: " + "9" * 500_000),
        PLAIN.replace("0.0333333", "0." + "3" * 500_000),
        PLAIN.replace("Left Leg", "Leg" * 200_000),
        PLAIN.replace("Left Leg", "Leg" + " " * 500_000 + "Leg"),
        PLAIN.replace("JOINT Left Leg\n", "JOINT" + " " * 500_000),
        PLAIN.replace("CHANNELS 3", "CHANNELS " + "3" * 500_000),
        PLAIN.replace("CHANNELS 3", "CHANNELS 3" + " Xrotation" * 100_000),
        PLAIN.replace("\t}\n}\n", "}" * 500_000),
        PLAIN.replace("MOTION", "\n" * 500_000 + "NOTION"),
        PLAIN.replace("JOINT Left Leg\n", "JOINT Left Leg {\nOFFSET 0 0 0\nCHANNELS 0\n" * 100_000),
        PLAIN.replace("\tJOINT Left Leg\n", "JOINT x {\nOFFSET 0 0 0\nCHANNELS 0\n}\n" * 20_000 + "JOINT y\n"),
        PLAIN + "0 " * 500_000,
        PLAIN + "0 0 0 0 0 0 0 0 0\n" * 50_000,
        PLAIN.replace("Frames: 2", "Frames: 200000000000"),
        "\0" * 500_000,
    ],
)
def test_absurd_sizes_are_refused_at_once(text):
    began = time.process_time()
    with pytest.raises(FileError) as error:
        parse_bvh(text.encode(), "absurd")
    assert time.process_time() - began < 2
    assert len(str(error.value)) < 300


def test_bytes_of_any_kind_are_refused(tmp_path):
    for seed in range(50):
        path = tmp_path / "noise.bvh"
        path.write_bytes(random.Random(seed).randbytes(2000))
        with pytest.raises(FileError, match=r"noise\.bvh"):
            read_bvh(path)
    with pytest.raises(FileError, match="no such file"):
        read_bvh(tmp_path / "none.bvh")
    with pytest.raises(FileError, match="is not a file"):
        read_bvh(tmp_path)


def mutated(text: bytes, draw: random.Random) -> bytes:
    """A text with one to three damages: bytes and words changed, lost, doubled, exchanged, or the end missing."""
    for _ in range(draw.randint(1, 3)):
        i, j = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        kind = draw.randrange(7)
        if kind == 0:
            text = text[:i] + bytes([draw.randrange(256)]) + text[i + 1 :]
        elif kind == 1:
            text = text[:i] + text[min(j, i + draw.randrange(20)) :]
        elif kind == 2:
            text = text[:j] + text[i : i + draw.randrange(40)] + text[j:]
        elif kind == 3 and draw.random() < 0.3:
            text = text[:j]
        else:
            words = re.split(rb"(\s+)", text)
            a, b = draw.randrange(0, len(words), 2), draw.randrange(0, len(words), 2)
            odd = [b"nan", b"-", b"1e400", b"{", b"}", b"ROOT", b"JOINT", b"0", b"-7", b"99999999999", b"1.5.5", b""]
            words[a], words[b] = (draw.choice(odd), words[b]) if kind == 4 else (words[b], words[a])
            text = b"".join(words)
    return text


def test_ten_thousand_damaged_files_raise_nothing_but_file_errors():
    draw = random.Random(0)
    texts = [PLAIN.encode(), *(format_bvh(random_bvh(seed)) for seed in range(40))]
    texts = [text.partition(b"MOTION") for text in texts if len(text) < 1300]
    read, refusals = 0, []
    for number in range(10_000):
        tree, motion, rows = texts[number % len(texts)]
        text = mutated(tree + motion + rows, draw) if number % 2 else tree + motion + mutated(rows, draw)
        try:
            bvh = parse_bvh(text, "mutated")
            read += 1
        except FileError as error:
            refusals.append(str(error))
        else:
            if number % 20 == 0:
                assert_same(parse_bvh(format_bvh(bvh), "again"), bvh)
    assert not any("\n" in refusal or len(refusal) > 300 for refusal in refusals)
    assert 500 < read < 9000  # some damages do no harm, most do


def test_what_no_file_can_say_is_refused():
    bvh = parse_bvh(PLAIN.encode(), "plain")
    for change in (
        {"names": ("Hips", "Left{Leg")},
        {"names": ("Hips", "")},
        {"parents": (-1, -1)},
        {"channels": (bvh.channels[0], ("Zrotation", "Xrotation"))},
        {"channels": (bvh.channels[0], ("Zrotation", "Xrotation", "Xscale"))},
        {"values": bvh.values * np.nan},
        {"values": bvh.values[:0]},
        {"offsets": bvh.offsets[:1]},
        {"frame_time": 0.0},
        {"ends": ((2, (0.0, 0.0, 0.0)),)},
    ):
        with pytest.raises(ClipError):
            replace(bvh, **change)
    assert in_file_order((-1, 0, 1, 1, 0))
    assert not in_file_order((-1, 0, 0, 1))


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "a.bvh"
    path.write_text("before")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        write_bvh(parse_bvh(PLAIN.encode(), "plain"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bvh"]
    assert path.read_text() == "before"
