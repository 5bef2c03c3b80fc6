"""Drawn paths and controls: geometry of SVG against formulas, units, and every way a file can be wrong."""

import math
import random

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, FileError, KinemaError
from kinema.files import path as drawn
from kinema.files.path import read_controls, read_path
from kinema.maths.trajectory import differentiate, distance_to_path, follow


@pytest.fixture
def write(tmp_path):
    def write(text, name="line.csv"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


@pytest.fixture
def draw(write):
    """Reads an SVG whose page has 1 m units, as (right, down)."""

    def draw(d, around='<path d="{}"/>', head=""):
        svg = head + f'<svg xmlns="http://www.w3.org/2000/svg">{around.replace("{}", d)}</svg>'
        return -read_path(write(svg, "line.svg"), 1.0).points

    return draw


def close(points, expected):
    torch.testing.assert_close(points, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "x,z,speed\n0,0,1.2\n1,2.5,1\n",
        "\ufeff# drawn by hand\n\nSpeed ; X ; Z\r\n1.2;0;0\r\n\r\n1;1e0;2.5\r\n",
        '"speed"\t"z"\t"x"\n1.2\t0\t0\n# comment\n1.0\t2.5\t1\n',
    ],
)
def test_a_csv_path(write, text):
    line = read_path(write(text))
    close(line.points, [[0, 0], [1, 2.5]])
    assert line.speed is not None
    close(line.speed, [1.2, 1])
    assert line.points.dtype == torch.float64


def test_a_csv_path_without_speed_and_with_a_scale(write):
    file = write("z,x\n0,0\n300,100\n")
    assert read_path(file).speed is None
    close(read_path(file, 0.01).points, [[0, 0], [1, 3]])


def test_up_on_the_page_is_ahead_and_a_right_turn_stays_a_right_turn(write):
    """A line drawn up and then to the right is walked ahead and then with a turn to the right, which is negative."""
    line = read_path(write('<svg><path d="M100 500 V100 H500"/></svg>', "line.svg"), 0.01).points
    path, facing = follow(line, None, 60.0)
    control = differentiate(path, facing, 60.0)
    assert float(facing[0]) == pytest.approx(0, abs=1e-9)
    assert float(control[:, 2].mean()) < 0
    assert float(facing[-1]) == pytest.approx(-math.pi / 2)
    close(path[[0, -1]], [[-1, 0, -5], [-5, 0, -1]])


def test_straight_commands_absolute_and_relative(draw):
    corners = [[1, 2], [4, 2], [4, 6], [0, 7], [1, 2]]
    close(draw("M1,2 L4,2 4 6 L0,7z"), corners)
    close(draw("m1 2 3 0 0 4-4 1Z"), corners)
    close(draw("M1 2H4V6l-4,1 1e0-5.0"), corners)
    close(draw("M 1 2 h3 v4 L.0 7.L1 2"), corners)


def bernstein(points, share):
    degree = len(points) - 1
    weights = [math.comb(degree, k) * share**k * (1 - share) ** (degree - k) for k in range(degree + 1)]
    return torch.stack(weights, -1) @ torch.tensor(points, dtype=torch.float64)


@pytest.mark.parametrize(
    ("d", "curves"),
    [
        ("M0 0C1 2 3 -2 4 1", [[[0, 0], [1, 2], [3, -2], [4, 1]]]),
        ("M1 1c1 2 3-2 4 1", [[[1, 1], [2, 3], [4, -1], [5, 2]]]),
        ("M0 0C1 2 3 -2 4 1S6 0 7 5", [[[0, 0], [1, 2], [3, -2], [4, 1]], [[4, 1], [5, 4], [6, 0], [7, 5]]]),
        ("M0 0L4 1s2-1 3 4", [[[0, 0], [4, 1]], [[4, 1], [4, 1], [6, 0], [7, 5]]]),
        ("M0 0Q2 4 4 0T8 1", [[[0, 0], [2, 4], [4, 0]], [[4, 0], [6, -4], [8, 1]]]),
        ("M0 0q2 4 4 0t4 1t1 1", [[[0, 0], [2, 4], [4, 0]], [[4, 0], [6, -4], [8, 1]], [[8, 1], [10, 6], [9, 2]]]),
        ("M0 0Q2 4 4 0S6 0 7 5", [[[0, 0], [2, 4], [4, 0]], [[4, 0], [4, 0], [6, 0], [7, 5]]]),
    ],
)
def test_curves_keep_within_a_millimetre(draw, d, curves):
    share = torch.linspace(0, 1, 1000, dtype=torch.float64)
    exact = torch.cat([bernstein(points, share) for points in curves])
    line = draw(d)
    assert float(distance_to_path(exact, line).max()) < 1.01e-3
    assert float(distance_to_path(line, exact).max()) < 1e-4
    close(line[-1], curves[-1][-1])
    assert 5 < len(line) < 400


@pytest.mark.parametrize(
    ("d", "centre", "radii", "turn", "first", "last"),
    [
        ("M2 0A2 2 0 0 1 0 2", (0, 0), (2, 2), 0, 0, 90),
        ("M2 0A2 2 0 1 0 0 2", (0, 0), (2, 2), 0, 0, -270),
        ("M2 0a2 2 0 01-2 2", (0, 0), (2, 2), 0, 0, 90),
        ("M2 0A2 2 0 112 0.0001", None, None, None, None, None),
        ("M3 0A3 1 0 0 1 -3 0", (0, 0), (3, 1), 0, 0, 180),
        ("M0 3A3 1 90 0 1 0-3", (0, 0), (3, 1), 90, 0, 180),
        ("M1 0A.5.5 0 0 1 -1 0", (0, 0), (1, 1), 0, 0, 180),
    ],
)
def test_arcs(draw, d, centre, radii, turn, first, last):
    line = draw(d)
    if centre is None:  # nearly the whole circle
        assert float(line.diff(dim=0).norm(dim=-1).sum()) == pytest.approx(4 * math.pi, rel=1e-2)
        return
    angle = torch.deg2rad(torch.linspace(first, last, 2000, dtype=torch.float64))
    flat = torch.stack([radii[0] * angle.cos(), radii[1] * angle.sin()], -1)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    exact = flat @ torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64) + torch.tensor(centre)
    assert float(distance_to_path(exact, line).max()) < 1.01e-3
    assert float(distance_to_path(line, exact).max()) < 1e-4
    close(line[-1], exact[-1].tolist())


def test_arcs_without_a_radius_are_straight(draw):
    close(draw("M0 0A0 5 0 1 1 3 4"), [[0, 0], [3, 4]])


def test_transforms_around_the_line(draw):
    path = '<path transform="{}" d="M0 0 L1 0 L1 2"/>'
    close(draw("translate(3, 4)", path), [[3, 4], [4, 4], [4, 6]])
    close(draw("translate(3) scale(2) rotate(90)", path), [[3, 0], [3, 2], [-1, 2]])
    close(draw("matrix(1 0 0 -1 5 6)", path), [[5, 6], [6, 6], [6, 4]])
    close(draw("rotate(90, 1, 0)", path), [[1, -1], [1, 0], [-1, 0]])
    close(draw("skewX(45)", path), [[0, 0], [1, 0], [3, 2]])
    group = '<g transform="translate(10 0)"><rect/><g transform="scale(2)"><path d="M0 0L1 1"/></g></g>'
    close(draw("", group), [[10, 0], [12, 2]])
    left = '<g transform="translate(10 0)"><rect/></g><path d="M0 0L1 1"/>'
    close(draw("", left), [[0, 0], [1, 1]])


def test_polylines_lines_and_hidden_elements(draw):
    close(draw("", '<polyline points="0,0 1,2, 3 4"/>'), [[0, 0], [1, 2], [3, 4]])
    close(draw("", '<line x2="3" y2="-4"/>'), [[0, 0], [3, -4]])
    close(draw("", '<defs><marker><path d="M9 9L8 8"/></marker></defs><path d="M0 0L1 1"/>'), [[0, 0], [1, 1]])
    head = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/svg11.dtd">'
    close(draw("M0 0L1 1", head=head), [[0, 0], [1, 1]])


def test_further_lines_are_noted(write):
    svg = '<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:path d="M0 0L1 1"/><s:line/><s:path d="garbage"/></s:svg>'
    line = read_path(write(svg, "LINE.SVG"), 1.0)
    assert line.notes == ("2 further lines of the drawing were left out",)


def test_scale_sets_how_fine_a_curve_is(write):
    file = write('<svg><path d="M0 0C100 200 300 -200 400 100"/></svg>', "line.svg")
    coarse, fine = read_path(file, 0.001).points, read_path(file, 0.1).points
    assert len(coarse) < len(fine) / 5
    assert float(distance_to_path(fine / 100, coarse).max()) < 1.01e-3


def test_controls_are_turned_into_radians_in_the_order_of_the_models(write):
    control = read_controls(write("forward,sideways,turn\n1.2,0.1,90\n1,-0.1,-180\n"), 60.0)
    close(control, [[0.1, 1.2, math.pi / 2], [-0.1, 1, -math.pi]])


def test_controls_at_irregular_times_are_sampled_evenly(write):
    rows = [(10.0, 1.0), (10.1, 2.0), (11.0, 0.2), (11.5, 0.2)]
    text = "turn,seconds,forward,sideways\n" + "".join(f"0,{t},{v},0\n" for t, v in rows)
    control = read_controls(write(text), 30.0)
    assert len(control) == 46
    expected = np.interp(10 + np.arange(46) / 30, *zip(*rows, strict=True))
    close(control[:, 1], expected.tolist())
    assert len(read_controls(write("time,forward,sideways,turn\n3,1,0,0\n"), 30.0)) == 1


STEPS = "".join(f"0,{0.05 * i}\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; a header x,z"),
        ("\n \n# only this\n", "empty"),
        ("x,z\n", "no rows"),
        ("x,z\n1,2\n", "one point"),
        ("x,z\n1,2\n1,2\n", "2 points, all at one place"),
        ("0,0\n1,1\n", r"line 1: the columns are '0,0'; a header x,z\[,speed\]"),
        ("x,y\n0,0\n", "'x,y'"),
        ("x,z,x\n0,0,0\n", "'x,z,x'"),
        ("x,z,height\n0,0,0\n", "'x,z,height'"),
        ("x,z\n0,0\n1,one\n", "line 3, column z: 'one'"),
        ("x,z\n0,0\n\n1,nan\n", "line 4, column z: 'nan'"),
        ("x,z\n0,0\n1,\n", "line 3, column z: ''"),
        ("x,z\n0,0\n1_0,1\n", "column x: '1_0'"),
        ("x,z\n0,1e999\n", "column z: '1e999'"),
        ("x;z\n0;0\n0;1,5\n", "column z: '1,5'"),
        ("x,z\n0," + "1" * 500 + "\n", "line 2, column z: '1{24}'"),
        ("x,z\n0," + "1" * 500_000 + "\n", "line 2: .*short numbers"),
        ("x,z\n0,0,0\n", "line 2: 3 values; the header has 2"),
        ("x,z,speed\n0,0,-1\n1,1,1\n", "line 2: speed -1"),
        ("x,z,speed\n0,0,1\n1,1,120\n", "line 3: speed 120 is more than 15; .*centimetres"),
        ("x,z\n" + STEPS + "12,1.45\n12,1.5\n", "jump of 12 m between line 31 and 32"),
        (b"x,z\n\xff\xfe,1\n", "UTF-8"),
        (b"x,z\n0,\x00\n", "column z"),
        ("x,z\n" + "0,0\n" * (2**20 + 1), "lines; at most"),
    ],
)
def test_bad_csv_paths(write, text, said):
    with pytest.raises(FileError, match=said) as caught:
        read_path(write(text))
    assert "line.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_long_straight_lines_are_no_jumps(write):
    assert len(read_path(write("x,z\n" + STEPS)).points) == 30
    assert len(read_path(write("x,z\n0,0\n0,7\n6,7\n6,14\n")).points) == 4
    walk = "".join(f"{3 * i},{(i % 2) * 0.1}\n" for i in range(40))
    assert len(read_path(write("x,z\n" + walk)).points) == 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("forward,turn\n1,2\n", r"'forward,turn'; a header forward,sideways,turn\[,time\]\[,seconds\]"),
        ("forward,sideways,turn\n1,0,x\n", "line 2, column turn: 'x'"),
        ("forward,sideways,turn\n1,0,0\n123,0,0\n", "line 3: forward 123 is more than 15; .*centimetres"),
        ("forward,sideways,turn\n1,0,5000\n", "turn 5000 is more than 720; degrees"),
        ("time,forward,sideways,turn\n0,1,0,0\n1,1,0,0\n1,1,0,0\n", "line 4: time 1 is not after"),
        ("time,forward,sideways,turn\n0,1,0,0\n1e9,1,0,0\n", "seconds"),
        ("time,seconds,forward,sideways,turn\n0,0,1,0,0\n", "say the same"),
    ],
)
def test_bad_controls(write, text, said):
    with pytest.raises(FileError, match=said):
        read_controls(write(text), 60.0)


BOMB = '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "no path, polyline, line"),
        ('<path d=""/>', "no points"),
        ("<path/>", "no points"),
        ('<path d="M1 1"/>', "one point"),
        ('<path d="M1 1L1 1"/>', "all at one place"),
        ('<path d="L1 1"/>', "does not begin with M"),
        ('<path d="5 5"/>', "'5 5' is no command"),
        ('<path d="M0 0 L1 1 Zoo"/>', "no command"),
        ('<path d="M0 0 L1 1 M5 5 L6 6"/>', "lifts the pen"),
        ('<path d="M0 0 L1 1 Z L6 6"/>', "pen"),
        ('<path d="M0 0 L1"/>', "a number is needed"),
        ('<path d="M0 0 L1 nan"/>', "'nan' at character 9"),
        ('<path d="M0 0 L1 1e999"/>', "number"),
        ('<path d="M0 0 A1 1 0 2 0 5 5"/>', "flag"),
        ('<path d="M0 0 C1 1 1e300 2 0 1e300"/>', "line"),
        ('<path d="M0 0 A1e200 1e200 0 0 0 1e200 5"/>', "line"),
        ('<path transform="twist(3)" d="M0 0 L1 1"/>', "transform 'twist"),
        ('<path transform="rotate(3,1)" d="M0 0 L1 1"/>', "transform"),
        ('<path transform="scale(1e300) scale(1e300)" d="M0 0 L1 1"/>', "line.svg"),
        ('<polyline points="0 0 1"/>', "3 numbers"),
        ("<path", "well-formed"),
    ],
)
def test_bad_drawings(write, body, said):
    with pytest.raises(FileError, match=said) as caught:
        read_path(write(f"<svg>{body}</svg>", "line.svg"), 1.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_declared_entities_are_refused_in_any_encoding(write, encoding):
    text = BOMB + '<svg><path d="M0 0L1 1"/></svg>'
    with pytest.raises(FileError, match="entities"):
        read_path(write(text.encode(encoding), "line.svg"), 1.0)


def test_scale_is_asked_for_and_checked(write):
    file = write('<svg><path d="M0 0L1 1"/></svg>', "line.svg")
    with pytest.raises(ConfigError, match="--scale, metres per SVG unit"):
        read_path(file)
    for scale in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="above 0"):
            read_path(file, scale)


def test_other_files_are_refused(write, tmp_path, monkeypatch):
    with pytest.raises(FileError, match="no such file"):
        read_path(tmp_path / "none.csv")
    with pytest.raises(FileError, match=r"\.csv .* or from \.svg"):
        read_path(write("x,z\n0,0\n", "line.txt"))
    monkeypatch.setattr(drawn, "MAX_BYTES", 10)
    with pytest.raises(FileError, match="MB"):
        read_path(write("x,z\n0,0\n1,1\n"))


def test_mutated_files_raise_nothing_but_our_errors(write):
    seeds = [
        ("line.csv", b"x,z,speed\n0,0,1.2\n1,2.5,1\n3,4,1\n"),
        ("line.svg", b'<svg><g transform="scale(2)"><path d="M0 0C1 2 3-2 4 1A1 2 3 0 1 5 6 q1 1 2 2Z"/></g></svg>'),
        ("control.csv", b"time,forward,sideways,turn\n0,1,0,3\n0.5,1,0,3\n"),
    ]
    chance, said = random.Random(0), []
    for turn in range(600):
        name, seed = seeds[turn % 3]
        content = bytearray(seed)
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(content))
            content[at : at + chance.randint(0, 3)] = bytes(
                chance.choice(b'0919.,-+eEMAZzx"<>&\n\x00\xff;') for _ in "ab"
            )
        file = write(bytes(content), name)
        try:
            read_controls(file, 60.0) if name.startswith("control") else read_path(file, 0.01)
        except KinemaError as error:
            said.append(str(error))
    assert 200 < len(said) < 600
    assert not [message for message in said if "\n" in message or "damaged, cut short" in message]
