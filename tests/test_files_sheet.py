"""Sheets: TexturePacker's tricks, tags out and in, the LPC layout, Godot resources, JSON not to be trusted."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.clip import VideoClip
from kinema.errors import ClipError, FileError
from kinema.files import convert, read_clip, read_clips
from kinema.files.lpc import CELL, DIRECTIONS, LAYOUT, read_lpc
from kinema.files.sheet import write_sheet
from strangers import aseprite, circle


def texture_packer(path: Path, frames: list[np.ndarray]) -> None:
    """Frames trimmed to their ink, every second one turned 90 degrees clockwise, in a row; no durations, no tags."""
    entries, parts, x = [], [], 0
    height, width = frames[0].shape[:2]
    for i, frame in enumerate(frames):
        rows, columns = np.nonzero(frame[..., 3].any(1))[0], np.nonzero(frame[..., 3].any(0))[0]
        top, left, h, w = rows[0], columns[0], int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        ink = frame[top : top + h, left : left + w]
        turned = i % 2 == 1
        part = np.asarray(Image.fromarray(ink).transpose(Image.Transpose.ROTATE_270)) if turned else ink
        spot = {"x": int(left), "y": int(top), "w": w, "h": h}
        entry: dict[str, Any] = {"filename": f"run/{i:02}.png", "frame": {"x": x, "y": 0, "w": w, "h": h}}
        entry |= {"rotated": turned, "trimmed": True, "spriteSourceSize": spot, "sourceSize": {"w": width, "h": height}}
        entries.append(entry)
        parts.append(part)
        x += part.shape[1]
    sheet = np.zeros((max(part.shape[0] for part in parts), x, 4), np.uint8)
    for entry, part in zip(entries, parts, strict=True):
        at = entry["frame"]["x"]
        sheet[: part.shape[0], at : at + part.shape[1]] = part
    Image.fromarray(sheet).save(path.with_suffix(".png"))
    meta = {"app": "https://www.codeandweb.com/texturepacker", "image": f"{path.stem}.png"}
    path.write_text(json.dumps({"frames": entries, "meta": meta}))


def test_texture_packer_trims_and_turns(tmp_path: Path) -> None:
    frames = circle((20, 34), 8)
    for frame in frames:
        frame[:2, 3:9] = (1, 200, 3, 255)  # so that a turned frame is told from a mirrored one
    texture_packer(tmp_path / "a.json", frames)
    clip = read_clip(tmp_path / "a.json")
    truth = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    assert clip.alpha is not None
    assert torch.equal(clip.alpha, truth[:, 3:])
    assert torch.equal(clip.frames, truth[:, :3] * truth[:, 3:])
    assert clip.fps == 10


@pytest.mark.parametrize(
    ("direction", "order"),
    [
        ("forward", [1, 2, 3, 4]),
        ("reverse", [4, 3, 2, 1]),
        ("pingpong", [1, 2, 3, 4, 3, 2]),
        ("pingpong_reverse", [4, 3, 2, 1, 2, 3]),
    ],
)
def test_tag_directions(tmp_path: Path, direction: str, order: list[int]) -> None:
    sheet = aseprite(tmp_path / "a.json")
    data = json.loads(sheet.read_text())
    data["meta"]["frameTags"] = [{"name": "t", "from": 1, "to": 4, "direction": direction}]
    for index, entry in enumerate(data["frames"].values()):
        entry["duration"] = 100 + 10 * index
    sheet.write_text(json.dumps(data))
    clip, every = read_clip(f"{sheet}#t"), read_clip(sheet)
    assert torch.equal(clip.over(), every.over()[order])
    assert (clip.durations * 1000 / clip.fps).round().tolist() == [100 + 10 * index for index in order]


def test_tags_and_durations_survive_a_sheet(tmp_path: Path) -> None:
    convert(aseprite(tmp_path / "a.json"), tmp_path / "b.json")
    for a, b in zip(read_clips(tmp_path / "a.json"), read_clips(tmp_path / "b.json"), strict=True):
        assert a.labels == b.labels
        assert torch.equal(a.over(), b.over())
        assert a.at.tolist() == b.at.tolist()
        assert a.fps == b.fps


def test_a_sheet_never_replaces_a_picture_of_the_users(tmp_path: Path) -> None:
    aseprite(tmp_path / "a.json")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(FileError, match=r"a\.png"):
        convert(f"{tmp_path / 'a.json'}#walk", tmp_path / "a.tres")
    assert (tmp_path / "a.png").read_bytes() == before
    clip = read_clip(f"{tmp_path / 'a.json'}#walk")
    for _ in range(2):  # its own it may replace
        write_sheet([clip], tmp_path / "b.json")


def test_two_clips_of_one_tag_or_of_two_sizes_make_no_sheet(tmp_path: Path) -> None:
    small, large = VideoClip(torch.zeros(2, 3, 4, 4), name="s"), VideoClip(torch.zeros(2, 3, 5, 4), name="l")
    for clips in ([small, small], [small, large]):
        with pytest.raises(ClipError):
            write_sheet(clips, tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def change(path: Path, **entries: object) -> Path:
    data = json.loads(path.read_text())
    data["meta"] |= {key: value for key, value in entries.items() if key != "frame"}
    if "frame" in entries:
        next(iter(data["frames"].values()))["frame"] = entries["frame"]
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    "image", ["../secret.png", "/etc/secret.png", "..\\secret.png", "sub/../../secret.png", "link.png"]
)
def test_json_may_not_point_outside_its_folder(tmp_path: Path, image: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGBA", (144, 96)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    sheet = change(aseprite(folder / "a.json"), image=image)
    with pytest.raises(FileError, match="outside its folder") as error:
        read_clip(sheet)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "frame",
    [{"x": 130, "y": 0, "w": 24, "h": 32}, {"x": -1, "y": 0, "w": 24, "h": 32}, {"x": 0, "y": 80, "w": 24, "h": 32}],
)
def test_json_may_not_point_outside_its_picture(tmp_path: Path, frame: dict[str, int]) -> None:
    sheet = change(aseprite(tmp_path / "a.json"), frame=frame)
    with pytest.raises(FileError, match="outside the picture") as error:
        read_clip(sheet)
    assert "\n" not in str(error.value)


def lpc_sheet(path: Path) -> np.ndarray:
    """Every filled cell in a colour of its own; the four rows of ``thrust`` stay empty."""
    sheet = np.zeros((21 * CELL, 13 * CELL, 4), np.uint8)
    for place in LAYOUT.values():
        for row in range(place.row, place.row + len(place.directions)):
            for column in range(place.frames if place is not LAYOUT["thrust"] else 0):
                cell = sheet[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
                cell[8:56, 20:44] = (10 * row + 5, 15 * column, 99, 255)
    Image.fromarray(sheet).save(path)
    return sheet


def test_lpc_rows_are_where_the_layout_says(tmp_path: Path) -> None:
    sheet = lpc_sheet(tmp_path / "hero.png")
    clip = read_clip(f"{tmp_path / 'hero.png'}#walk/left")
    assert len(clip) == 9
    assert clip.labels == {"action": "walk", "direction": "left", "tag": "walk/left"}
    truth = sheet[9 * CELL : 10 * CELL].reshape(CELL, 13, CELL, 4).transpose(1, 3, 0, 2)[:9]
    assert torch.equal((clip.frames * 255).round().byte(), torch.from_numpy(truth[:, :3].copy()))
    front = read_lpc(tmp_path / "hero.png", "walk", "front")
    assert torch.equal(front.frames, read_clip(f"{tmp_path / 'hero.png'}#walk/down").frames)
    assert len(read_clip(f"{tmp_path / 'hero.png'}#hurt")) == 6
    names = [clip.labels["tag"] for clip in read_clips(tmp_path / "hero.png")]
    assert names == [f"{a}/{d}" for a in ("spellcast", "walk", "slash", "shoot") for d in DIRECTIONS] + ["hurt/down"]


@pytest.mark.parametrize("tag", ["#fly/left", "#walk/sideways", "#fly", ""])
def test_lpc_names_that_do_not_exist_are_answered_with_those_that_do(tmp_path: Path, tag: str) -> None:
    lpc_sheet(tmp_path / "hero.png")
    with pytest.raises(FileError, match="walk/up") as error:
        read_clip(f"{tmp_path / 'hero.png'}{tag}")
    assert "\n" not in str(error.value)


def test_godot_resource_names_every_region_of_the_picture(tmp_path: Path) -> None:
    lpc_sheet(tmp_path / "hero.png")
    convert(tmp_path / "hero.png", tmp_path / "godot.tres")
    text = (tmp_path / "godot.tres").read_text()
    clips = read_clips(tmp_path / "hero.png")
    assert re.findall(r'"name": &"(.*?)"', text) == [clip.labels["tag"] for clip in clips]
    regions = [tuple(map(int, found)) for found in re.findall(r"Rect2\((\d+), (\d+), (\d+), (\d+)\)", text)]
    used = [int(found) for found in re.findall(r'SubResource\("frame_(\d+)"\)', text)]
    with Image.open(tmp_path / "godot.png") as image:
        sheet = np.asarray(image)
    shown = [sheet[y : y + h, x : x + w] for x, y, w, h in (regions[index] for index in used)]
    truth = torch.cat([clip.over() for clip in clips])
    assert torch.equal(torch.from_numpy(np.stack(shown)[..., :3]).permute(0, 3, 1, 2), (truth * 255).round().byte())
    assert f"load_steps={len(regions) + 2} format=3" in text
    assert 'path="godot.png"' in text
    assert text.count('"loop": true') == len(clips)
    assert text.count("{") == text.count("}")
