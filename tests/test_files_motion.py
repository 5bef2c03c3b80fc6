"""Motion in, motion out: NPZ exact, CSV and pictures true, and one line for what cannot be."""

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.cli import main
from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError, FileError, KinemaError
from kinema.files import convert, read_clip, read_motion_clip, write_clip, write_motion_clips
from kinema.files.bones import bones_of, sides_of
from kinema.files.motion_formats import is_motion
from kinema.files.skeleton_picture import LEFT, RIGHT, TRUNKS, TURN, draw
from kinema.files.stage import Stage
from kinema.motion import MotionClip, Skeleton
from moving_body import moving_body, skeleton
from real_data import real_data

ARRAYS = ("names", "parents", "offsets", "root", "rotations", "fps", "labels", "notes", "end_joints", "ends")


def same(made: MotionClip, source: MotionClip) -> None:
    """To the last bit."""
    a, b = made.skeleton, source.skeleton
    assert (a.names, a.parents, dict(a.ends)) == (b.names, b.parents, dict(b.ends))
    for mine, other in ((a.offsets, b.offsets), (made.root, source.root), (made.rotations, source.rotations)):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)
    assert (made.fps, dict(made.labels), made.notes) == (source.fps, dict(source.labels), source.notes)


@pytest.mark.parametrize("seed", range(3))
def test_npz_is_exact(tmp_path: Path, seed: int) -> None:
    source = replace(moving_body(seed, fps=59.94), notes=("Y is taken as up", "größer"))
    write_motion_clips([source], tmp_path / "a.npz")
    same(read_motion_clip(tmp_path / "a.npz"), source)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["positions"], source.joints().numpy())


def test_npz_of_another_program(tmp_path: Path) -> None:
    """Single precision, no optional arrays, compressed, whole numbers of another size."""
    source = moving_body()
    body = source.skeleton
    np.savez_compressed(
        tmp_path / "a.npz", names=np.array(body.names), parents=np.array(body.parents, np.int8),
        offsets=body.offsets.float().numpy(), root=source.root.float().numpy(),
        rotations=source.rotations.float().numpy(), fps=60,
    )  # fmt: skip
    back = read_motion_clip(tmp_path / "a.npz")
    torch.testing.assert_close(back.rotations.norm(dim=-1), torch.ones(40, len(body)).double(), rtol=0, atol=1e-15)
    torch.testing.assert_close(back.joints(), source.joints(), rtol=0, atol=1e-5)
    assert (dict(back.skeleton.ends), dict(back.labels), back.fps) == ({}, {}, 60.0)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    write_motion_clips([moving_body(frames=6)], path)
    with np.load(path) as archive:
        return dict(archive)


def refused(spec: Path | str, dst: str, *words: str, **options: object) -> None:
    """Converting fails with one line that holds the words and leaves nothing behind."""
    folder = Path(str(spec).partition("@")[0]).parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(KinemaError) as error:
        convert(spec, folder / dst, **options)
    text = str(error.value)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text
    assert sorted(folder.rglob("*")) == before


def nan_at(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.reshape(-1)[-1] = np.nan
    return array


BAD: list[tuple[str, Callable[[np.ndarray], object], list[str]]] = [
    ("names", lambda x: x.astype(object), ["names", "object", "text"]),
    ("rotations", lambda x: np.array([{"a": 1}], dtype=object), ["rotations", "object"]),
    ("names", lambda x: np.arange(len(x)), ["names", "text"]),
    ("rotations", lambda x: x[..., :3], ["rotations", "(6, 22, 3)", "(T, J, 4)"]),
    ("rotations", lambda x: x[:, :-1], ["rotations", "J = 22"]),
    ("root", lambda x: x[:-1], ["rotations", "T = 5"]),
    ("root", lambda x: x + 1j, ["root", "complex128", "numbers"]),
    ("offsets", lambda x: x[:-1], ["offsets", "J = 22"]),
    ("parents", lambda x: x.astype(float), ["parents", "whole numbers"]),
    ("parents", lambda x: x[::-1].copy(), ["parent"]),
    ("names", lambda x: np.array(["joint"] * len(x)), ["same name"]),
    ("root", nan_at, ["NaN"]),
    ("rotations", nan_at, ["NaN"]),
    ("offsets", nan_at, ["offsets", "NaN"]),
    ("ends", nan_at, ["end_joints"]),
    ("end_joints", lambda x: x + 99, ["end_joints"]),
    ("end_joints", lambda x: x[:0], ["ends", "E = 0"]),
    ("rotations", lambda x: 2 * x, ["frame 0 of Hips", "unit quaternion"]),
    ("fps", lambda x: np.float64(0), ["positive rate"]),
    ("fps", lambda x: np.float64(np.inf), ["positive rate"]),
    ("fps", lambda x: np.ones(3), ["fps", "(3,)"]),
    ("labels", lambda x: np.array(["walk"]), ["labels", "(L, 2)"]),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(BAD)])
def test_an_npz_that_is_no_motion(
    tmp_path: Path, name: str, change: Callable[[np.ndarray], object], words: list[str]
) -> None:
    arrays = arrays_of(tmp_path / "a.npz")
    changed = {**arrays, name: change(arrays[name])}
    np.savez(tmp_path / "a.npz", **{key: np.asarray(value) for key, value in changed.items()})
    refused(tmp_path / "a.npz", "x.glb", "a.npz", *words)


@pytest.mark.parametrize("name", ARRAYS[:6])
def test_an_npz_without_an_array(tmp_path: Path, name: str) -> None:
    arrays = arrays_of(tmp_path / "a.npz")
    del arrays[name]
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", "x.bvh", "a.npz", f"no {name}")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_an_npz_cut_short(tmp_path: Path, share: float) -> None:
    write_motion_clips([moving_body()], tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: int(share * len(data))])
    refused(tmp_path / "a.npz", "x.gif", "a.npz")


def test_an_npz_with_changed_bytes_says_so_or_is_read(tmp_path: Path) -> None:
    write_motion_clips([moving_body(frames=4)], tmp_path / "a.npz")
    data, random = (tmp_path / "a.npz").read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 20)):
            changed[at] = random.integers(0, 256)
        (tmp_path / "a.npz").write_bytes(changed)
        with suppress(KinemaError):  # nothing else may come out
            read_motion_clip(tmp_path / "a.npz")


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    arrays = arrays_of(tmp_path / "a.npz")
    frames = 10**9
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in arrays.items():
            shape = {"root": (frames, 3), "rotations": (frames, 22, 4)}.get(name, array.shape)
            head, values = io.BytesIO(), b"" if name in ("root", "rotations") else array.tobytes()
            np.lib.format.write_array_header_1_0(
                head, {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
            )
            archive.writestr(f"{name}.npy", head.getvalue() + values)
    tracemalloc.start()
    refused(tmp_path / "a.npz", "x.bvh", "a.npz", "too many")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_member_that_no_check_has_seen_is_not_read(tmp_path: Path) -> None:
    """numpy would take the member "root" where "root.npy" was checked."""
    source = moving_body()
    write_motion_clips([source], tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, archive.open("root", "w") as file:
        np.lib.format.write_array(file, np.zeros((40, 3)))
    same(read_motion_clip(tmp_path / "a.npz"), source)


def test_csv_holds_the_joints(tmp_path: Path) -> None:
    source = moving_body(fps=50.0)
    names = ("a, b", 'c"d', *source.skeleton.names[2:])
    source = replace(source, skeleton=replace(source.skeleton, names=names))
    write_motion_clips([source], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        titles, *rows = csv.reader(file)
    assert titles == ["time", *(f"{name}.{axis}" for name in names for axis in "xyz")]
    table = np.array(rows, float)
    np.testing.assert_allclose(table[:, 0], np.arange(40) / 50, atol=1e-6)
    np.testing.assert_allclose(table[:, 1:].reshape(40, -1, 3), source.joints().numpy(), atol=6e-7)
    refused(tmp_path / "a.csv", "x.npz", "a.csv", "only written", ".bvh")


@pytest.mark.parametrize(
    ("part", "frames"),
    [("@3", [3]), ("@-1", [39]), ("@10:12", [10, 11]), ("@:2", [0, 1]), ("@38:", [38, 39]), ("@-2:", [38, 39])],
)
def test_a_part_of_a_file(tmp_path: Path, part: str, frames: list[int]) -> None:
    source = moving_body()
    write_motion_clips([source], tmp_path / "a.npz")
    made = read_motion_clip(f"{tmp_path / 'a.npz'}{part}")
    torch.testing.assert_close(made.root, source.root[frames], rtol=0, atol=0)
    torch.testing.assert_close(made.rotations, source.rotations[frames], rtol=0, atol=0)


def test_parts_that_a_file_does_not_have(tmp_path: Path) -> None:
    write_motion_clips([moving_body()], tmp_path / "a.npz")
    for part in ("@40", "@50:60", "@9:3", "@-41"):
        refused(f"{tmp_path / 'a.npz'}{part}", "x.bvh", "a.npz", "none of its 40 frames")
    refused(f"{tmp_path / 'a.npz'}#walk", "x.bvh", "a.npz", "no tags")
    refused(tmp_path / "b.npz", "x.bvh", "b.npz", "no such file")


def test_what_is_asked_of_the_wrong_kind(tmp_path: Path) -> None:
    write_motion_clips([moving_body()], tmp_path / "a.npz")
    write_motion_clips([moving_body()], tmp_path / "a.glb")
    write_clip(VideoClip(torch.zeros(2, 3, 8, 8)), tmp_path / "a.gif")
    refused(tmp_path / "a.gif", "x.bvh", "a.gif", "holds motion", ".bvh or .npz")
    refused(tmp_path / "a.glb", "x.gif", "a.glb", "only written")
    refused(tmp_path / "a.npz", "x.xyz", "x.xyz", ".bvh", ".glb", ".gif")
    refused(tmp_path / "a.npz", "x.bvh", "--fps", "60", fps=30.0)
    refused(tmp_path / "a.npz", "x.glb", "--scale", scale=2)
    refused(tmp_path / "a.npz", "x.glb", "--background", background=(0.0, 0.0, 0.0))
    refused(tmp_path / "a.npz", "x.gif", "--palette", palette=True)
    refused(tmp_path / "a.npz", "x.gif", "scale", scale=0)
    refused(tmp_path / "a.npz", "x.gif", "pictures per second", fps=-1.0)
    with pytest.raises(ClipError, match="one body, not 2"):
        write_motion_clips([moving_body(), moving_body()], tmp_path / "x.csv")
    with pytest.raises(FileError, match="no file of motion"):
        read_motion_clip(tmp_path / "a.gif")
    assert [is_motion(f"a{suffix}") for suffix in (".bvh", ".BVH", ".npz", ".csv", ".glb", ".gif", "")] == [
        True, True, True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["x.npz", "x.csv", "x.glb", "x.bvh", "x.gif", "x"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(FileError, match="No space left") as error:
        write_motion_clips([moving_body(frames=3)], tmp_path / name)
    assert len(str(error.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_authors_travel_with_the_motion(tmp_path: Path) -> None:
    lines = ("A. Author", "CC BY-NC 4.0")
    write_motion_clips([moving_body(frames=4, credits=lines)], tmp_path / "a.npz")
    assert read_motion_clip(tmp_path / "a.npz").credits == lines
    for name in ("b.bvh", "b.gif"):
        convert(tmp_path / "a.npz", tmp_path / name)
        assert (tmp_path / f"{name}.credits.txt").read_text().splitlines() == list(lines)
    write_motion_clips([moving_body(frames=2)], tmp_path / "b.gif")
    assert not (tmp_path / "b.gif.credits.txt").exists()


@pytest.mark.parametrize(
    "names",
    [
        "Hips Head UpperLeg_L UpperLeg_R LowerArm_L LowerArm_R",
        "Hips Spine LeftUpLeg RightUpLeg LeftHand RightHand",
        "root lowerback lfemur rfemur lclavicle rclavicle",
        "mixamorig:Hips mixamorig:Neck mixamorig:LeftArm mixamorig:RightArm mixamorig:LeftLeg mixamorig:RightLeg",
        "pelvis spine_01 calf_l calf_r ball_l ball_r",
        "PELVIS COLLAR LEFT_KNEE RIGHT_KNEE L_ELBOW R_ELBOW",
    ],
)
def test_left_and_right_are_found_by_their_names(names: str) -> None:
    assert sides_of(names.split()) == [0, 0, 1, -1, 1, -1]


def test_bones_of_a_body() -> None:
    body = skeleton()
    bones = bones_of(body)
    heads = [bone for bone in bones if bone.ball and bone.length > 0]
    assert [body.names[bone.joint] for bone in heads] == ["Head"]
    assert heads[0].tip == (0.0, 0.2, 0.0)
    assert {bone.side for bone in bones} == {-1, 0, 1}
    drawn = {(bone.joint, bone.tip) for bone in bones if not bone.ball}
    inner = {(p, tuple(body.offsets[j].tolist())) for j, p in enumerate(body.parents) if p >= 0}
    assert inner <= drawn
    assert all(0.01 < bone.radius < 0.15 for bone in bones)


def near(clip: VideoClip, ink: tuple[int, int, int], slack: float = 12) -> np.ndarray:
    """Where each picture (T, H, W) has a colour."""
    wanted = torch.tensor(ink).view(1, 3, 1, 1)
    return ((clip.frames * 255 - wanted).abs().amax(1) < slack).numpy()


def walker(**options: object) -> MotionClip:
    """A body that keeps its posture and glides along +Z, 1 m a second."""
    still = moving_body(**options)  # type: ignore[arg-type]
    turns = still.rotations[:1].expand_as(still.rotations) * 0 + torch.tensor([1.0, 0, 0, 0]).double()
    time = torch.arange(len(still)).double() / still.fps
    return replace(still, rotations=turns, root=torch.stack([0 * time, 0 * time + 0.95, time], -1))


@pytest.mark.parametrize(
    ("rate", "frames", "drawn", "fps"),
    [(60.0, 121, 61, 30.0), (1 / 0.0333333, 31, 31, 1 / 0.0333333), (120.0, 121, 31, 30.0), (24.0, 25, 25, 24.0)],
)
def test_a_drawing_keeps_real_time(rate: float, frames: int, drawn: int, fps: float) -> None:
    picture = draw(walker(frames=frames, fps=rate), size=(24, 16))
    assert (len(picture), picture.size) == (drawn, (24, 16))
    assert picture.fps == pytest.approx(fps)
    assert picture.alpha is None


def test_a_drawing_at_a_rate_of_its_own() -> None:
    """A camera that stands still sees a body that glides cover equal ways in equal times."""
    clip = walker(frames=61, fps=60.0)
    picture = draw(clip, size=(96, 96), fps=24.0, follow=False)
    assert (len(picture), picture.fps) == (25, 24.0)
    head = near(picture, TRUNKS[0])
    columns = np.array([np.nonzero(frame)[1].mean() for frame in head])
    steps = np.diff(columns)
    assert (steps > 0).all(), "who walks ahead goes to the right"
    assert np.ptp(steps) < 0.6 * steps.mean() + 0.5
    with pytest.raises(ClipError, match="pictures per second"):
        draw(clip, fps=float("nan"))


def test_the_camera_follows_while_the_ground_goes_by() -> None:
    clip = walker(frames=61, fps=30.0)
    picture = draw(clip, size=(128, 128))
    head = [np.argwhere(frame).mean(0) for frame in near(picture, TRUNKS[0])]
    assert np.ptp(np.stack(head), axis=0).max() < 2
    ground = picture.frames[:, :, -12:]
    assert float((ground[0] - ground[5]).abs().max()) > 0.02
    # Tiles are 0.5 m wide here, so that after 1 m the pattern is the same again.
    later = replace(clip, root=clip.root + torch.tensor([0.0, 0.0, 1.0]).double())
    aside = replace(clip, root=clip.root + torch.tensor([0.25, 0.0, 0.0]).double())
    assert float((draw(later[:1], (128, 128)).frames - draw(clip[:1], (128, 128)).frames).abs().max()) <= 1 / 255
    assert float((draw(aside[:1], (128, 128)).frames - draw(clip[:1], (128, 128)).frames).abs().max()) > 0.02


@pytest.mark.parametrize("follow", [True, False])
def test_all_of_the_body_is_in_the_picture(follow: bool) -> None:
    picture = draw([moving_body(1, frames=20), moving_body(2, frames=30)], (64, 96), follow=follow)
    inked = sum(near(picture, ink, 30) for ink in (LEFT, RIGHT, *TRUNKS[:2]))
    assert inked.any((1, 2)).all()
    assert not inked[:, [0, -1]].any()
    assert not inked[:, :, [0, -1]].any()


def test_sides_have_their_colours_and_bodies_theirs() -> None:
    """Seen from its right, a body that faces +Z has its right hand nearer, and its left thigh behind the right one."""
    picture = draw(walker(frames=2), (256, 256))
    left, right = near(picture, LEFT)[0], near(picture, RIGHT)[0]
    assert right.sum() > 200 < left.sum()
    assert np.nonzero(right)[1].mean() < np.nonzero(left)[1].mean(), "the right side is on the left of who faces us"
    assert not near(picture, TRUNKS[1]).any()
    second = replace(walker(frames=2), root=walker(frames=2).root + torch.tensor([1.5, 0, 0]).double())
    crowd = draw([walker(frames=2), second], (256, 256))
    assert near(crowd, TRUNKS[0])[0].sum() > 100 < near(crowd, TRUNKS[1])[0].sum()


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_nearer_hides_what_is_behind_it(order: int) -> None:
    """Two bodies on one line of sight, the second 1 m nearer, or farther."""
    first = walker(frames=1)
    sight = Stage((0, 0), azimuth=-TURN).axes()[2]
    crowd = draw([first, replace(first, root=first.root + order * sight)], (128, 128))
    seen = [int(near(crowd, ink).sum()) for ink in TRUNKS[:2]]
    assert seen[order > 0] > 100
    assert seen[order < 0] == 0


def test_a_body_whose_clip_has_ended_stands_still() -> None:
    short, long = walker(frames=10, fps=30.0), walker(frames=30, fps=30.0)
    held = replace(short, root=torch.cat([short.root, short.root[-1:].expand(20, 3)]), rotations=long.rotations)
    torch.testing.assert_close(draw([short, long], (48, 48)).frames, draw([held, long], (48, 48)).frames)


def test_the_way_on_the_ground_is_drawn() -> None:
    clip = walker(frames=10)
    way = torch.tensor([[0.0, -1.0], [0.5, 1.0], [3.0, 1.0]]).double()
    plain, drawn = draw(clip, (96, 96), follow=False), draw(clip, (96, 96), follow=False, path=way)
    green = [(picture.frames[:, 1] - picture.frames[:, [0, 2]].amax(1) > 0.1).sum() for picture in (plain, drawn)]
    assert int(green[0]) == 0
    assert int(green[1]) > 50


def test_a_drawing_that_would_be_too_large_is_refused_first(tmp_path: Path) -> None:
    write_motion_clips([moving_body(frames=9000)], tmp_path / "a.npz")
    tracemalloc.start()
    refused(tmp_path / "a.npz", "x.gif", "a.npz", "4500 frames of 1024 x 1024", "@0:256", scale=4)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    with pytest.raises(ClipError, match="too small"):
        draw(moving_body(), (8, 256))
    with pytest.raises(ClipError, match="at least"):
        draw([])


def test_pictures_of_all_kinds(tmp_path: Path) -> None:
    write_motion_clips([moving_body(frames=9)], tmp_path / "a.npz")
    convert(tmp_path / "a.npz", tmp_path / "a.png", background=(0.0, 0.0, 0.5))
    convert(tmp_path / "a.npz", tmp_path / "a.webp", scale=2, fps=15.0)
    convert(f"{tmp_path / 'a.npz'}@4", tmp_path / "a.jpg")
    convert(tmp_path / "a.npz", tmp_path / "frames")
    assert [read_clip(tmp_path / name).size for name in ("a.png", "a.webp")] == [(256, 256), (512, 512)]
    assert [len(read_clip(tmp_path / name)) for name in ("a.png", "a.webp", "a.jpg", "frames")] == [5, 3, 1, 5]
    corner = read_clip(tmp_path / "a.png").frames[0, :, 0, 0]
    torch.testing.assert_close(corner, torch.tensor([0.0, 0.0, 0.5]), rtol=0, atol=0.01)


@pytest.fixture
def bandai(tmp_path: Path) -> Path:
    """A real walk, cut to two seconds by the file's own words, and who recorded it."""
    text = (real_data("bandai") / "dataset-2_walk-turn-left_normal_001.bvh").read_text().splitlines()
    at = next(index for index, line in enumerate(text) if line.startswith("Frames:"))
    text[at] = "Frames: 60"
    path = tmp_path / "walk.bvh"
    path.write_text("\n".join(text[: at + 62]) + "\n")
    (tmp_path / "walk.bvh.credits.txt").write_text("Kobayashi et al. 2023, CC BY-NC 4.0\n")
    return path


def test_a_real_walk_through_every_format(bandai: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = read_motion_clip(bandai)
    folder = bandai.parent
    main(["convert", str(bandai), str(folder / "a.bvh")])
    assert "centimetres" in capsys.readouterr().out, "what was made of its units is said"
    main(["convert", str(folder / "a.bvh"), str(folder / "a.npz"), "--quiet"])
    assert not capsys.readouterr().out
    for name, part in (("a.glb", ""), ("a.csv", ""), ("a.gif", "@20:40")):
        convert(f"{folder / 'a.npz'}{part}", folder / name)
        assert (folder / f"{name}.credits.txt").is_file()
    back = read_motion_clip(folder / "a.npz")
    torch.testing.assert_close(back.joints(), source.joints(), rtol=0, atol=1e-6)
    table = np.loadtxt(folder / "a.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 1:].reshape(60, -1, 3), source.joints().numpy(), atol=2e-6)
    picture = read_clip(folder / "a.gif")
    assert len(picture) == 20
    assert picture.fps == pytest.approx(30, rel=1e-3)
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".txt") == [
        "a.bvh", "a.csv", "a.gif", "a.glb", "a.npz", "walk.bvh",
    ]  # fmt: skip


def test_info_of_a_real_walk(bandai: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(bandai), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["joints"], told["frames"], told["fps"], told["seconds"]) == (21, 60, 30.0, 2.0)
    assert 1.25 < told["height_m"] < 1.4
    assert 0.8 < told["root_from_start_to_end_m"] <= told["root_way_m"] < 3
    assert any("centimetres" in note for note in told["notes"])
    assert told["credits"] == ["Kobayashi et al. 2023, CC BY-NC 4.0"]
    main(["info", str(bandai)])
    assert "Hips" in capsys.readouterr().out


def test_options_of_the_command_that_motion_cannot_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_motion_clips([moving_body()], tmp_path / "a.npz")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for words in (["a.npz", "x.bvh", "--fps", "30"], ["a.png", "x.bvh"], ["a.npz", "x.gif", "--fps", "inf"]):
        with pytest.raises(SystemExit) as exit:
            main(["convert", *(str(tmp_path / word) if "." in word else word for word in words)])
        assert exit.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.png"]
    with pytest.raises(ConfigError):
        convert(tmp_path / "a.npz", tmp_path / "x.csv", fps=30.0)


def test_a_single_joint_that_stands_still_can_be_drawn() -> None:
    dot = Skeleton(("dot",), (-1,), torch.zeros(1, 3).double())
    clip = MotionClip(dot, torch.zeros(1, 3).double(), torch.tensor([[[1.0, 0, 0, 0]]]).double())
    assert near(draw(clip, (32, 32)), TRUNKS[0]).any()
