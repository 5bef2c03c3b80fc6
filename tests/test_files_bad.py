"""Bad files: one line that names the file, and nothing left behind."""

import json
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.clip import VideoClip
from kinema.errors import ClipError, FileError, KinemaError
from kinema.files import convert, read_clip, write_clip
from kinema.files.strip import read_strip
from strangers import aseprite, circle, gif, phone_mp4, strip48


def refused(spec: Path | str, *words: str) -> None:
    """Converting `spec` fails with one line that holds the words and leaves nothing behind."""
    folder = Path(str(spec).partition("#")[0].partition("@")[0]).parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(KinemaError) as error:
        convert(spec, folder / "out.gif")
    text = str(error.value)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text
    assert sorted(folder.rglob("*")) == before


def webp(path: Path) -> Path:
    frames = [Image.fromarray(frame) for frame in circle((32, 32), 8)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    return path


def apng(path: Path) -> Path:
    frames = [Image.fromarray(frame) for frame in circle((32, 32), 8)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def jpeg(path: Path) -> Path:
    Image.fromarray(circle((64, 64), 1, alpha=False)[0][..., :3]).save(path)
    return path


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (gif, "a.gif"), (strip48, "a.png"), (apng, "b.png"), (webp, "a.webp"), (jpeg, "a.jpg"), (phone_mp4, "a.mp4"),
        (aseprite, "a.json"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_files_cut_short(tmp_path: Path, make: Callable[[Path], Path], name: str, share: float) -> None:
    data = make(tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    refused(tmp_path / name, name)


@pytest.mark.parametrize("cut", [1, 8, 12])
def test_a_png_without_its_last_bytes(tmp_path: Path, cut: int) -> None:
    data = strip48(tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:-cut])
    refused(tmp_path / "a.png", "a.png")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.jpg", "a.mp4", "a.webm", "a.json"])
def test_noise_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    refused(tmp_path / name, name)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.jpg", "a.mp4", "a.json", "a", "a.xyz"])
def test_missing_files(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, name, "no such file")


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"?")
    refused(tmp_path / "a.xyz", "'.xyz'", ".gif", ".webp", ".json")
    with pytest.raises(FileError, match=r"\.gif"):
        write_clip(VideoClip(torch.zeros(1, 3, 2, 2)), tmp_path / "b.xyz")


def test_folder_of_frames_of_different_sizes_names_the_odd_one(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, size in enumerate([(8, 8), (8, 8), (9, 8)]):
        Image.new("RGB", size).save(folder / f"{index}.png")
    refused(folder, "2.png", "9 x 8", "8 x 8")


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    refused(tmp_path / "frames", "no pictures")


def test_folder_in_the_order_of_its_numbers_and_never_mixed(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(12):
        Image.new("RGB", (2, 2), (index, 0, 0)).save(folder / f"frame{index}.png")
    clip = read_clip(folder)
    assert (clip.frames[:, 0, 0, 0] * 255).round().tolist() == list(range(12))
    with pytest.raises(FileError, match="already holds files"):
        write_clip(clip, folder)


def png_header(width: int, height: int, frames: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    control = b"".join(
        chunk(b"fcTL", struct.pack(">5I2H2B", i, width, height, 0, 0, 1, 10, 0, 0)) for i in range(frames)
    )
    parts = [chunk(b"IHDR", struct.pack(">II5B", width, height, 8, 6, 0, 0, 0))]
    parts += [chunk(b"acTL", struct.pack(">II", frames, 0)) + control] if frames else []
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b"")])


def gif_header(width: int, height: int, frames: int) -> bytes:
    frame = b"," + struct.pack("<4HB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6) + frame * frames + b";"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", png_header(60000, 60000)),
        ("b.png", png_header(4000, 4000, frames=2000)),
        ("a.gif", gif_header(65535, 65535, 1)),
        ("b.gif", gif_header(2000, 2000, 5000)),
    ],
)
def test_decompression_bombs_are_refused_from_their_headers(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    tracemalloc.start()
    refused(tmp_path / name, name, "too many")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_sheet_is_no_way_around_the_limit(tmp_path: Path) -> None:
    sheet = aseprite(tmp_path / "a.json")
    data = json.loads(sheet.read_text())
    for entry in data["frames"].values():
        entry["sourceSize"] = {"w": 50000, "h": 50000}
    sheet.write_text(json.dumps(data))
    refused(sheet, "too many")


def test_unknown_tag_lists_the_known(tmp_path: Path) -> None:
    aseprite(tmp_path / "a.json")
    refused(f"{tmp_path / 'a.json'}#swim", "swim", "walk", "jump")
    gif(tmp_path / "a.gif")
    refused(f"{tmp_path / 'a.gif'}#walk", "no tags")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"frames": []}',
        '{"frames": [1]}',
        '{"frames": [{}], "meta": 5}',
        '{"frames": [{"frame": {"x": "a"}}]}',
    ],
)
def test_json_that_is_no_sheet(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    refused(tmp_path / "a.json", "a.json")


def test_frames_that_a_clip_does_not_have(tmp_path: Path) -> None:
    gif(tmp_path / "a.gif")
    refused(f"{tmp_path / 'a.gif'}@30", "a.gif")
    phone_mp4(tmp_path / "a.mp4")
    refused(f"{tmp_path / 'a.mp4'}@30:40", "a.mp4")


def test_strip_that_is_no_whole_number_of_cells_says_what_would_be(tmp_path: Path) -> None:
    Image.new("RGBA", (100, 48)).save(tmp_path / "a.strip.png")
    refused(tmp_path / "a.strip.png", "100 x 48", "96 wide")
    Image.new("RGBA", (100, 48)).save(tmp_path / "a.png")
    assert len(read_strip(tmp_path / "a.png", cell=(25, 48))) == 4


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.json", "x.tres", "x.mp4", "x.jpg", "x.strip.png", "x"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(FileError, match="No space left") as error:
        write_clip(VideoClip(torch.zeros(3, 3, 8, 8)), tmp_path / name)
    assert len(str(error.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for name in ("x.gif", "x.mp4", "x"):
        with pytest.raises(FileError, match="cannot be written"):
            write_clip(VideoClip(torch.zeros(3, 3, 8, 8)), tmp_path / "nowhere" / name)


def test_formats_that_go_one_way_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.tres").write_text("")
    refused(tmp_path / "a.tres", "only written")


def test_video_without_pyav_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phone_mp4(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    refused(tmp_path / "a.mp4", "pip install 'kinema[video]'")


def test_scale_below_one(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="scale"):
        write_clip(VideoClip(torch.zeros(1, 3, 2, 2)), tmp_path / "x.gif", scale=0)
