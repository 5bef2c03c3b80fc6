"""The reader of MUG, on a tree of its shape: which takes are found, how pictures are framed, who is held out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.data.mug import ACTIONS, Mug, MugConfig, find_takes
from kinema.errors import ConfigError, FileError

SUBJECTS = ("001", "002", "010", "020", "033", "034")


def take(folder: Path, frames: int = 16, grey: int = 100, side: int = 32) -> None:
    """Numbered JPEGs; frame n has the grey level `grey` + n in all places."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(frames):
        # Without leading zeros, so that sorting by letters would put img_10 before img_9.
        Image.fromarray(np.full((side, side, 3), grey + n, np.uint8)).save(folder / f"img_{n}.jpg", quality=95)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mug")
    for i, subject in enumerate(SUBJECTS):
        for j, action in enumerate(ACTIONS):
            take(root / subject / action / "take000", frames=16 + j, grey=40 + 20 * i + j)
    take(root / "001" / "happiness" / "take001", frames=17)
    take(root / "002" / "anger", frames=18, grey=11)  # directly in the expression's folder, beside a take
    take(root / "010" / "session1" / "Fear" / "take000", frames=19, grey=12)
    take(root / "001" / "neutral" / "take000")
    take(root / "020" / "sadness" / "take009", frames=14)
    (root / "001" / "happiness" / "Thumbs.db").write_bytes(b"")
    (root / "readme.txt").write_text("no pictures")
    return root


def load(root: Path, split: str = "all", **settings) -> Mug:
    return Mug(MugConfig(root=str(root), **{"size": 16, **settings}), split)


def test_every_take_is_found_wherever_it_lies(tree):
    source = load(tree)
    assert len(source) == 6 * 6 + 3
    found = {clip.folder.relative_to(tree).as_posix(): clip.action for clip in source.takes}
    assert found["002/anger"] == "anger"
    assert found["010/session1/Fear/take000"] == "fear"
    assert {"001/happiness/take000", "001/happiness/take001"} <= set(found)
    assert source.factors["action"] == ACTIONS
    assert source.factors["subject"] == SUBJECTS
    for name, action in found.items():
        assert name.lower().split("/")[-1 if name.count("/") == 1 else -2] == action


def test_what_is_left_out_is_told_with_the_reason(tree):
    left_out = load(tree).left_out
    assert set(left_out) == {"001/neutral/take000", "020/sadness/take009"}
    assert "anger" in left_out["001/neutral/take000"]
    assert left_out["020/sadness/take009"] == "14 frames, of which a window needs 15"
    assert "020/sadness/take009" not in load(tree, length=7).left_out


def test_frames_come_in_the_order_of_their_numbers(tree):
    source = load(tree)
    for index in range(len(source)):
        clip = source[index]
        level = (clip.frames * 255).mean((1, 2, 3))
        torch.testing.assert_close(level.diff(), torch.ones(len(clip) - 1), rtol=0, atol=1.01)
        assert len(clip) == int(source.frame_counts()[index])
    (direct,) = [i for i in range(len(source)) if source.takes[i].folder == tree / "002" / "anger"]
    window = source.window(torch.tensor([direct]), torch.tensor([3]))
    assert window.times[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    shown = window.frames[0].float().mean((1, 2, 3))
    torch.testing.assert_close(shown, 14.0 + 2 * torch.arange(8), rtol=0, atol=1.01)
    assert int(source.rooms(anywhere=True)[direct]) == 4
    assert source[direct].labels == {"subject": "002", "action": "anger"}
    assert "licensed" in source[direct].credits[0]


def test_subjects_are_parted_by_the_seed_whatever_the_order_on_the_disk(tree, monkeypatch):
    train, test = load(tree, "train"), load(tree, "test")
    assert not set(train.identity.tolist()) & set(test.identity.tolist())
    assert len(train) + len(test) == 39
    assert len(set(test.identity.tolist())) == 1
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(sorted(listed(self))))
    backwards = load(tree, "test")
    assert [t.folder for t in backwards.takes] == [t.folder for t in test.takes]
    assert torch.equal(backwards.store.pixels, test.store.pixels)
    monkeypatch.undo()
    chosen = {tuple(load(tree, "test", seed=seed).identity.unique().tolist()) for seed in range(12)}
    assert len(chosen) > 2


def test_named_subjects_are_held_out(tree):
    test = load(tree, "test", test=("010", "034"))
    assert {take.subject for take in test.takes} == {"010", "034"}
    with pytest.raises(ConfigError, match="nobody is called '11'"):
        load(tree, test=("11",))


def test_the_crop_is_the_square_in_the_middle_of_the_face(tmp_path):
    picture = np.zeros((400, 800, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, 800)[None, :]
    picture[..., 1] = np.linspace(0, 255, 400)[:, None]
    for subject in ("a", "b"):
        folder = tmp_path / subject / "anger"
        folder.mkdir(parents=True)
        for n in range(2):
            Image.fromarray(picture).save(folder / f"{n}.jpg", quality=100, subsampling=0)
    source = load(tmp_path, length=2, stride=1, size=16, crop=(0.25, 0.5, 0.75, 1.0))
    # 400 wide and 200 high: the square is 200, from 300 to 500 across and from 200 to 400 down.
    middle = (torch.arange(16) + 0.5) / 16
    red, green, blue = source.store.pixels[0].float()
    torch.testing.assert_close(red, ((300 + 200 * middle) / 800 * 255).expand(16, 16), rtol=0, atol=3)
    torch.testing.assert_close(green, ((200 + 200 * middle) / 400 * 255)[:, None].expand(16, 16), rtol=0, atol=3)
    assert blue.max() <= 3


def test_memory_is_checked_before_a_picture_is_decoded(tree, monkeypatch):
    monkeypatch.setattr("kinema.data.mug.read_frame", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ConfigError, match=r"frames of 64 x 64 take .* GiB, and memory is 0\.001"):
        load(tree, size=64, memory=0.001)


def test_folders_and_pictures_that_are_not_right_are_told_in_one_line(tree, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.root"):
        Mug(MugConfig(), "train")
    with pytest.raises(FileError, match="environment variable"):
        Mug(MugConfig(root="$NO_SUCH_PLACE/mug"), "train")
    with pytest.raises(FileError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileError, match="holds no take"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="train, test, all"):
        load(tree, "val")
    for subject in ("a", "b"):
        take(tmp_path / subject / "anger", frames=15)
    (tmp_path / "a" / "anger" / "img_3.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(FileError, match=r"img_3\.jpg.*damaged") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_lone_subject_cannot_be_split(tmp_path):
    take(tmp_path / "001" / "anger")
    with pytest.raises(ConfigError, match="nobody can be held out"):
        load(tmp_path, "train")


def test_moving_keeps_everything(tree):
    source = load(tree, "test")
    moved = source.to(torch.device("cpu"))
    clips, start = torch.tensor([0, 2]), torch.tensor([1, 0])
    assert torch.equal(moved.window(clips, start).frames, source.window(clips, start).frames)
    assert source.nbytes() == int(source.frame_counts().sum()) * 3 * 256
    takes, _ = find_takes(tree, 15)
    assert len(takes) == 39


@pytest.mark.parametrize("wrong", [{"size": 4}, {"stride": 0}, {"crop": (0.5, 0.0, 0.4, 1.0)}, {"memory": 0.0}])
def test_settings_that_are_not_possible_are_refused(wrong):
    with pytest.raises(ConfigError, match="mug"):
        MugConfig(**wrong)
