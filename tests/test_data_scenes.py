"""Scenes: pairs of one clip within reach, each once; the folder's own frames; mirrored people on one side."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.clip import VideoClip
from kinema.data.scenes import Scenes, ScenesConfig
from kinema.errors import ConfigError, FileError
from kinema.files import read_clip
from real_data import real_data

LENGTHS = {"ada": 5, "bo": 9, "cy": 2, "di": 6, "eve": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Strips of 16 x 16 pixels; every frame of every clip has a colour of its own, and the clip's name is its red."""
    root = tmp_path_factory.mktemp("scenes")
    for j, action in enumerate(("walk", "wave")):
        (root / action).mkdir()
        for i, (name, frames) in enumerate(LENGTHS.items()):
            strip = np.zeros((16, frames, 16, 3), np.uint8)
            strip[..., 0], strip[..., 1] = 20 + 20 * i + 100 * j, 25 * np.arange(frames)[None, :, None]
            Image.fromarray(strip.reshape(16, -1, 3)).save(root / action / f"{name}.png")
    return root


def load(root: Path, split: str = "all", **settings) -> Scenes:
    return Scenes(ScenesConfig(str(root), **settings), split)


@pytest.mark.parametrize("reach", [0, 1, 2, 3, 4, 5, 8, 99])
def test_the_numbers_below_rooms_are_all_pairs_within_reach_once(folder, reach):
    source = load(folder, reach=reach)
    for clip, frames in enumerate(source.frame_counts().tolist()):
        wanted = [(i, j) for i, j in permutations(range(frames), 2) if not reach or abs(i - j) <= reach]
        start = torch.arange(int(source.rooms(False)[clip]))
        first, second, background = source.pair(torch.full_like(start, clip), start)
        assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == wanted
        assert not bool(background.any())


def test_a_pair_is_of_one_clip_and_shows_its_frames(folder):
    source = load(folder, reach=3)
    clips = torch.arange(len(source)).repeat(50)
    start = (torch.rand(len(clips), generator=torch.Generator().manual_seed(0)) * source.rooms(False)[clips]).long()
    batch = source.window(clips, start)
    red, green = batch.first[:, 0, 8, 8].long(), batch.first[:, 1, 8, 8].long()
    assert torch.equal(red, batch.second[:, 0, 8, 8].long())
    assert set(zip(clips.tolist(), red.tolist(), strict=True)) == {
        (clip, int(source.clip_frames(clip)[0, 0, 0, 0])) for clip in range(10)
    }
    apart = (batch.second[:, 1, 8, 8].long() - green).abs()
    assert set(apart.tolist()) == {25, 50, 75}
    assert batch.given is None


def test_a_clip_is_as_it_is_in_its_file(folder):
    source = load(folder)
    for index in range(len(source)):
        clip = read_clip(Path(source.films.headers[index].name))
        assert torch.equal(source.clip_frames(index), (clip.frames * 255).round().byte())
    with pytest.raises(IndexError):
        source.clip_frames(10)


def test_what_is_transparent_is_seen_over_black(tmp_path):
    cells = np.full((8, 24, 4), 200, np.uint8)
    cells[..., 3] = np.repeat([255, 128, 0], 8)
    Image.fromarray(cells).save(tmp_path / "ghost.png")
    assert load(tmp_path).clip_frames(0)[:, 0, 4, 4].tolist() == [200, 100, 0]


def test_held_out_people_and_their_mirrors_do_not_train(tmp_path):
    for person in range(5):
        for twin in "ab":
            Image.fromarray(np.full((8, 32, 3), person, np.uint8)).save(tmp_path / f"person{person}_{twin}.png")
    for settings in ({}, {"seed": 3}, {"test": ("person1", "person4")}):
        train, test = (load(tmp_path, split, identity=r"(person\d+)", **settings) for split in ("train", "test"))
        people = [{int(part.clip_frames(i)[0, 0, 0, 0]) for i in range(len(part))} for part in (train, test)]
        assert not people[0] & people[1]
        assert people[0] | people[1] == set(range(5))
        assert people[1] == {1, 4} or len(people[1]) == 1


def test_people_before_a_wall_are_split_with_their_mirrors():
    settings = {"identity": r"(person\d+)", "test": ("person2", "person7"), "size": 64}
    test = load(real_data("weizmann"), "test", **settings)
    assert len(test) == 16
    assert {Path(header.name).stem for header in test.films.headers} == {f"person{n}_{s}" for n in (2, 7) for s in "ab"}
    assert int(test.frame_counts().min()) >= 51
    by_name = {header.name: i for i, header in enumerate(test.films.headers)}
    first, mirror = (next(i for name, i in by_name.items() if name.endswith(f"bend/person2_{s}.jpg")) for s in "ab")
    apart = test.clip_frames(first).float() - test.clip_frames(mirror).flip(3).float()
    assert float(apart.abs().mean()) < 4  # a mirror picture, but for its own JPEG


def test_a_folder_of_videos(tmp_path):
    pytest.importorskip("av")
    from kinema.files.video import write_video

    (tmp_path / "fashion").mkdir()
    shades = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 3, 48, 32).contiguous()
    for name in ("one", "two"):
        write_video(VideoClip(shades, fps=25.0), tmp_path / "fashion" / f"{name}.mp4")
    source = load(tmp_path, size=24, resize=True)
    assert source.frame_counts().tolist() == [6, 6]
    assert source.fps == pytest.approx(25)
    shown = source.clip_frames(0)[:, :, 12, 12].float().mean(1)
    assert torch.allclose(shown, torch.linspace(0, 255, 6), atol=6)


def test_a_source_is_moved_without_the_one_it_came_from(folder):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source = load(folder, reach=2)
    clips, start = torch.arange(10), torch.ones(10, dtype=torch.int64)
    moved = source.to(device).window(clips.to(device), start.to(device)).to(torch.device("cpu"))
    assert torch.equal(moved.second, source.window(clips, start).second)
    assert source.nbytes() == 2 * sum(LENGTHS.values()) * 3 * 16 * 16


def test_the_test_split_says_where_nobody_is_held_out(tmp_path):
    for name in ("only", "one"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 32, 3), np.uint8)).save(tmp_path / name / f"{name}.png")
    assert load(tmp_path, "test").name == "scenes (nobody held out)"


def test_users_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.reach: -1 frames"):
        ScenesConfig(reach=-1)
    with pytest.raises(ConfigError, match=r"data\.identity"):
        ScenesConfig(identity="(")
    with pytest.raises(ConfigError, match=r"data\.root: no folder is given"):
        Scenes(ScenesConfig(), "all")
    with pytest.raises(FileError, match="there is no such folder"):
        load(tmp_path / "nowhere")
