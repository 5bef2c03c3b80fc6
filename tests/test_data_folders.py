import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.clip import VideoClip
from kinema.data.folders import FolderClips, FolderConfig, drawn_test
from kinema.data.splits import split_identities
from kinema.data.store import FrameStore
from kinema.errors import ConfigError, KinemaError
from kinema.files import read_clip
from kinema.files.fit import pad_to
from kinema.training.recipe import build_recipe, override
from strangers import GIF_DELAYS, aseprite, gif, strip48

PEOPLE = ("ada", "bo", "cy", "di", "eve")


def strip(path: Path, frames: int = 6, side: int = 16, colour: tuple[int, ...] = (200, 90, 40, 255)) -> Path:
    """A strip of squares in which a bright column moves to the right over one colour; RGBA."""
    cells = np.full((side, frames, side, 4), colour, np.uint8)
    for i in range(frames):
        cells[:, i, i % side] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells.reshape(side, frames * side, 4)).save(path)
    return path


def numbered(folder: Path, frames: int) -> Path:
    """A folder of 12 x 20 pictures (width x height), each of a gray of its own."""
    folder.mkdir(parents=True)
    for i in range(frames):
        Image.fromarray(np.full((20, 12, 3), 10 + 5 * i, np.uint8)).save(folder / f"{i}.png")
    return folder


def people(root: Path, actions: tuple[str, ...] = ("walk", "wave"), names: tuple[str, ...] = PEOPLE) -> Path:
    """Everybody doing everything, each clip of a length and a colour of its own."""
    for i, name in enumerate(names):
        for j, action in enumerate(actions):
            strip(root / action / f"{name}.png", frames=4 + i + j, colour=(20 * i, 90 * j, 70, 255))
    return root


def load(root: Path, split: str = "all", **settings) -> FolderClips:
    return FolderClips(FolderConfig(root=str(root), **settings), split)


def named(source: FolderClips, end: str) -> int:
    """The number of the clip whose name ends so."""
    (index,) = [i for i in range(len(source)) if source[i].name.endswith(end)]
    return index


def over_black(clip: VideoClip, side: int) -> torch.Tensor:
    """The clip by itself, as bytes in the middle of a square frame."""
    return (pad_to(clip, (side, side))[0].over() * 255).round().to(torch.uint8)


def test_the_store_gathers_what_a_loop_gathers():
    rng = torch.Generator().manual_seed(0)
    counts = [3, 1, 7, 4]
    clips = [torch.randint(0, 256, (n, 3, 2, 5), generator=rng, dtype=torch.uint8) for n in counts]
    starts = [(torch.rand(n, generator=rng, dtype=torch.float64) + 0.1).cumsum(0) for n in counts]
    starts = [time - time[0] for time in starts]
    durations = [float(time[-1]) + 0.75 for time in starts]
    store = FrameStore.of(clips, starts, durations)
    which = torch.tensor([2, 0, 3, 1, 2])
    steps = torch.randint(-9, 20, (5, 6), generator=rng)
    looped, held = store.frames(which, steps, loop=True), store.frames(which, steps)
    turns, stands = store.times(which, steps, loop=True), store.times(which, steps)
    for b, clip in enumerate(which.tolist()):
        for t, step in enumerate(steps[b].tolist()):
            turn, inside = divmod(step, counts[clip])
            assert torch.equal(looped[b, t], clips[clip][inside])
            assert float(turns[b, t]) == pytest.approx(float(starts[clip][inside]) + turn * durations[clip])
            still = min(max(step, 0), counts[clip] - 1)
            assert torch.equal(held[b, t], clips[clip][still])
            assert float(stands[b, t]) == float(starts[clip][still])
    assert store.nbytes() == sum(counts) * 3 * 2 * 5


def test_a_folder_for_each_action_with_files_and_folders_of_frames(tmp_path):
    (tmp_path / "walk").mkdir()
    gif(tmp_path / "walk" / "ada.gif")
    numbered(tmp_path / "walk" / "bo.v2", frames=12)
    strip(tmp_path / "wave" / "ada.strip.png")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "notes.txt").write_text("no clip")
    source = load(tmp_path)
    assert source.actions == ("walk", "wave")
    assert source.identities == ("ada", "bo.v2")
    assert source.content == ()
    assert {source[i].name.removeprefix(f"{tmp_path}/"): source[i].labels["action"] for i in range(3)} == {
        "walk/ada.gif": "walk",
        "walk/bo.v2": "walk",
        "wave/ada.strip.png": "wave",
    }
    assert source.labels["action"].tolist() == [source.actions.index(source[i].labels["action"]) for i in range(3)]
    assert [source.identities[i] for i in source.identity] == ["ada", "bo.v2", "ada"]
    assert source.frame_counts().tolist() == [10, 12, 6]
    bo = source[named(source, "bo.v2")]
    assert (bo.frames[:, 0, 16, 16] * 255).round().tolist() == [10 + 5 * i for i in range(12)]  # 2 before 10


def test_a_flat_folder_is_one_action_called_as_it_is(tmp_path, monkeypatch):
    for name in PEOPLE:
        strip(tmp_path / "dance" / f"{name}.png")
    monkeypatch.chdir(tmp_path / "dance")
    source = load(Path("."))
    assert source.actions == ("dance",)
    assert source.identities == PEOPLE


def test_tags_of_a_sheet_are_actions(tmp_path):
    sheet = aseprite(tmp_path / "hero.json")
    source = load(sheet)
    assert source.actions == ("jump", "walk")
    assert source.identities == ("hero",)
    walk = named(source, "hero.json#walk")
    assert torch.equal(
        source.frames(torch.tensor([walk]), torch.arange(8)[None])[0], over_black(read_clip(f"{sheet}#walk"), 32)
    )


def test_sheets_in_a_flat_folder_give_their_tags_and_not_their_pictures(tmp_path):
    aseprite(tmp_path / "hero.json")
    villain = aseprite(tmp_path / "villain.json")
    (tmp_path / "villain.png").rename(tmp_path / "packed.png")
    villain.write_text(villain.read_text().replace("villain.png", "packed.png"))
    source = load(tmp_path)
    assert source.identities == ("hero", "villain")
    assert source.actions == ("jump", "walk")
    assert len(source) == 4


def test_rows_of_an_lpc_sheet_are_actions(tmp_path):
    sheet = np.zeros((1344, 832, 4), np.uint8)
    for row in (8, 9, 12):
        sheet[row * 64 + 20 : row * 64 + 40, :, 0] = sheet[row * 64 + 20 : row * 64 + 40, :, 3] = 255
    Image.fromarray(sheet).save(tmp_path / "elf.png")
    source = load(tmp_path / "elf.png")
    assert source.actions == ("slash", "walk")
    assert [source[i].labels["direction"] for i in range(3)] == ["up", "left", "up"]
    assert source.identities == ("elf",)


@pytest.mark.parametrize("seed", range(6))
def test_splits_never_part_an_identity(tmp_path, seed):
    names = tuple(f"person{i}_{side}" for i in range(6) for side in "ab")
    people(tmp_path, names=names)
    train, test, every = (
        load(tmp_path, split, identity=r"(person\d)_", seed=seed) for split in ("train", "test", "all")
    )
    assert every.identities == tuple(f"person{i}" for i in range(6))
    assert test.held_out
    assert not set(train.identity.tolist()) & set(test.identity.tolist())
    assert len(test.identity.unique()) == 1
    parts = [{clip.name for clip in map(source.__getitem__, range(len(source)))} for source in (train, test, every)]
    assert len(parts[1]) == 4
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == parts[2]
    for source in (train, test):
        clips = [source[i] for i in range(len(source))]
        assert all(every.identities[who] in clip.name for who, clip in zip(source.identity, clips, strict=True))


def test_the_whole_match_is_the_identity_where_there_is_no_group(tmp_path):
    source = load(people(tmp_path), identity=r"^w\w|e$")  # the path begins with the action
    assert source.identities == ("wa",)


def test_identities_held_out_by_name(tmp_path):
    people(tmp_path)
    train, test = (load(tmp_path, split, test=("bo", "eve")) for split in ("train", "test"))
    assert {test.identities[i] for i in test.identity} == {"bo", "eve"}
    assert {train.identities[i] for i in train.identity} == {"ada", "cy", "di"}


@pytest.mark.parametrize("seed", range(4))
def test_the_draw_is_that_of_splits_where_everybody_does_everything(seed):
    _, test = split_identities(23, 4, seed)
    assert sorted(drawn_test(np.ones((23, 3), dtype=bool), seed)) == test.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_the_draw_leaves_every_action_in_training(seed):
    rng = np.random.default_rng(seed)
    shown = rng.random((12, 5)) < 0.25
    shown[rng.integers(12), ~shown.any(axis=0)] = True
    test = drawn_test(shown, seed)
    assert len(test) <= 2
    left = np.delete(shown, test, axis=0)
    assert left.any(axis=0).all()
    spare = [i for i in range(12) if i not in test and (np.delete(shown, [*test, i], axis=0)).any(axis=0).all()]
    assert len(test) == 2 or not spare


@pytest.mark.parametrize("seed", range(4))
def test_two_who_share_an_action_with_nobody_else_are_not_both_drawn(seed):
    shown = np.zeros((10, 9), dtype=bool)
    shown[range(10), [*range(8), 8, 8]] = True
    assert drawn_test(shown, seed) in ([8], [9])


@pytest.mark.parametrize("files", [("walk/ada.png", "wave/ada.png"), ("walk/ada.png", "wave/bo.png")])
def test_where_nobody_can_be_held_out_the_test_is_the_training(tmp_path, files):
    for file in files:
        strip(tmp_path / file)
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert not test.held_out
    assert "nobody held out" in test.name
    assert [train[i].name for i in range(2)] == [test[i].name for i in range(2)]


def test_a_training_window_shows_the_frames_of_the_file(tmp_path):
    source = load(people(tmp_path), "train", length=9, stride=2)
    clips, start = torch.arange(len(source)), torch.arange(len(source)) % source.frame_counts()
    batch = source.window(clips, start)
    for b, first in enumerate(start.tolist()):
        alone = over_black(read_clip(source[b].name), 16)
        rows = [(first + 2 * i) % len(alone) for i in range(9)]
        assert torch.equal(batch.frames[b], alone[rows])
        assert batch.times[b].tolist() == [2.0 * i for i in range(9)]
        assert source.actions[int(batch.factors["action"][b])] == source[b].labels["action"]


def test_windows_of_clips_that_are_no_loops_stay_inside(tmp_path):
    strip(tmp_path / "walk" / "ada.png", frames=11)
    source = load(tmp_path, loop=False, length=4, stride=3)
    assert not source.periodic
    assert source.span == 10
    batch = source.window(torch.tensor([0, 0]), torch.tensor([0, 1]))
    alone = over_black(read_clip(tmp_path / "walk" / "ada.png"), 16)
    assert torch.equal(batch.frames, torch.stack([alone[[0, 3, 6, 9]], alone[[1, 4, 7, 10]]]))


def test_times_of_irregular_clips_are_real_and_go_on_around_the_loop(tmp_path):
    gif(tmp_path / "ada.gif")
    source = load(tmp_path, length=25)
    assert source.fps == 10
    begins = np.concatenate([[0], np.cumsum(np.tile(GIF_DELAYS, 4))]) / 100  # frames of 100 ms
    absolute = source.times(torch.tensor([0]), torch.arange(7, 32)[None])
    assert absolute[0].tolist() == pytest.approx(begins[7:32].tolist())
    window = source.window(torch.tensor([0]), torch.tensor([7]))
    assert window.times[0].tolist() == pytest.approx((begins[7:32] - begins[7]).tolist())
    assert bool((window.times.diff() > 0).all())
    assert source[0].at.tolist() == pytest.approx(begins[:10].tolist())
    assert source[0].duration == pytest.approx(begins[10])


def test_clips_of_other_sizes_lie_in_the_middle_of_the_largest_ones_frame(tmp_path):
    strip48(tmp_path / "big.png")
    gif(tmp_path / "gif.gif")
    numbered(tmp_path / "walk" / "tall", frames=3)
    source = load(tmp_path)
    assert source.size == (48, 48)
    for file in ("big.png", "gif.gif", "walk/tall"):
        clip = read_clip(tmp_path / file)
        index = named(source, file)
        shown = source.frames(torch.tensor([index]), torch.arange(len(clip))[None])[0]
        assert torch.equal(shown, over_black(clip, 48))
        assert torch.allclose(source[index].frames, over_black(clip, 48) / 255)


def test_the_frame_is_a_multiple_of_eight(tmp_path):
    numbered(tmp_path / "walk" / "ada", frames=3)
    assert load(tmp_path).size == (24, 24)
    assert load(tmp_path, size=30).size == (30, 30)


def test_resize_fills_the_frame(tmp_path):
    strip48(tmp_path / "big.png")
    strip(tmp_path / "small.png", side=8)
    source = load(tmp_path, size=16, resize=True)
    small = read_clip(tmp_path / "small.png").frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.allclose(source[named(source, "small.png")].frames, small, atol=1e-6)
    assert source[named(source, "big.png")].size == (16, 16)


def test_alpha_is_premultiplied_for_training_and_straight_in_clips(tmp_path):
    strip(tmp_path / "ghost.png", colour=(200, 90, 40, 128))
    strip(tmp_path / "solid.png", side=8)
    source = load(tmp_path, alpha=True)
    assert source.channels == 4
    ghost, solid = named(source, "ghost.png"), named(source, "solid.png")
    assert source.frames(torch.tensor([ghost]), torch.tensor([[0]]))[0, 0, :, 3, 9].tolist() == [100, 45, 20, 128]
    frame = source.frames(torch.tensor([solid]), torch.tensor([[0]]))[0, 0]
    assert frame[:, 8, 8].tolist() == [200, 90, 40, 255]
    assert frame[:, 0, 0].tolist() == [0, 0, 0, 0]
    clip, alone = source[ghost], read_clip(tmp_path / "ghost.png")
    assert clip.alpha is not None
    assert torch.equal(clip.alpha, alone.alpha)
    assert torch.allclose(clip.frames, alone.frames, atol=1.5 / 255)
    black = load(tmp_path).frames(torch.tensor([ghost]), torch.tensor([[0]]))[0, 0, :, 3, 9]
    assert black.tolist() == [100, 45, 20]


def test_fps_is_the_median_and_credits_are_merged(tmp_path):
    for name, wait in (("a", 50), ("b", 100), ("c", 40)):
        frames = [Image.fromarray(np.full((8, 8), 40 * i, np.uint8)) for i in range(4)]
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:], duration=wait)
    (tmp_path / "a.gif.credits.txt").write_text("Ada, CC0\nBo, CC-BY\n")
    (tmp_path / "c.gif.credits.txt").write_text("Bo, CC-BY\nCy, MIT\n")
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert train.fps == test.fps == 20
    assert train.credits == test.credits == ("Ada, CC0", "Bo, CC-BY", "Cy, MIT")
    assert load(tmp_path)[0].credits == ("Ada, CC0", "Bo, CC-BY")


def test_a_moved_source_is_the_same(tmp_path):
    source = load(people(tmp_path))
    moved = source.to(torch.device("cpu"))
    which, steps = torch.tensor([1, 4]), torch.tensor([[0, 9], [3, 1]])
    assert torch.equal(moved.frames(which, steps), source.frames(which, steps))
    assert source.nbytes() == int(source.frame_counts().sum()) * 3 * 16 * 16


def test_the_options_of_the_command_make_the_config():
    options = {"data.root": "my/clips", "data.identity": r"(person\d+)", "data.test": "[ada, bo]", "data.loop": "false"}
    recipe = build_recipe(override({"data": {"source": "clips"}}, options), "mine")
    assert recipe.data == FolderConfig(root="my/clips", identity=r"(person\d+)", test=("ada", "bo"), loop=False)


def test_the_root_may_name_an_environment_variable(tmp_path, monkeypatch):
    strip(tmp_path / "walk" / "ada.png")
    monkeypatch.setenv("CLIPS_OF_MINE", str(tmp_path))
    assert load(Path("$CLIPS_OF_MINE/walk")).actions == ("walk",)


def still(root: Path) -> None:
    Image.new("RGB", (16, 16), (9, 9, 9)).save(root / "walk" / "still.png")


def cut_short(root: Path) -> None:
    path = gif(root / "walk" / "cut.gif")
    path.write_bytes(path.read_bytes()[:200])


def own_action(root: Path) -> None:
    strip(root / "swim" / "ada.png")


def not_a_sheet(root: Path) -> None:
    (root / "walk" / "list.json").write_text("[1, 2]")


def nothing(root: Path) -> None:
    shutil.rmtree(root)
    (root / "walk").mkdir(parents=True)


def nested(root: Path) -> None:
    strip(root / "walk" / "cy" / "fast" / "one.png")


@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (shutil.rmtree, {}, r"there is no such folder or file; data.root is a folder of ACTION/clip.gif"),
        (nothing, {}, r"holds no clips; data.root is a folder of ACTION/clip.gif"),
        (None, {"root": ""}, r"data.root: no folder is given; data.root is a folder"),
        (still, {}, r"walk/still.png: one frame, which shows no motion; two are needed"),
        (
            None,
            {"size": 8},
            r"walk/ada.png: 16 x 16 pixels .* exceed data.size 8; --data.size 16 .* --data.resize true",
        ),
        (None, {"resize": True}, r"data.resize: needs the size .* --data.size"),
        (None, {"identity": "(ada"}, r"data.identity: '\(ada' is no regex .*; one is \(person"),
        (None, {"identity": "(ada)"}, r"walk/bo.png: data.identity '\(ada\)' is not found in 'walk/bo'"),
        (None, {"test": ("zoe",)}, r"data.test: nobody is called 'zoe'; known: ada, bo, cy, di, eve$"),
        (
            own_action,
            {"test": ("ada",)},
            r"data.test: ada cannot be held out, as action 'swim' is shown by nobody else",
        ),
        (
            None,
            {"loop": False},
            r"ada.png: 4 frames, but data.length 8 with data.stride 1 needs 8; at most data.length 4 fits",
        ),
        (
            None,
            {"loop": False, "length": 3, "stride": 3},
            r"4 frames, but data.length 3 with data.stride 3 needs 7; at most data.length 2 or data.stride 1 fits",
        ),
        (
            None,
            {"loop": False, "length": 5, "stride": 7},
            r"4 frames, .* needs 29; at most data.length 4 with data.stride 1 fits",
        ),
        (None, {"length": 0}, r"data.length: 0 is too small; at least 1"),
        (cut_short, {}, r"walk/cut.gif: damaged, cut short"),
        (not_a_sheet, {}, r"walk/list.json: damaged, cut short or not what its name says"),
        (nested, {}, r"walk/cy: holds no pictures; a folder of numbered"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, spoil: Callable[[Path], None] | None, settings: dict, message: str
) -> None:
    root = people(tmp_path / "clips")
    if spoil is not None:
        spoil(root)
    with pytest.raises(KinemaError, match=message) as caught:
        FolderClips(FolderConfig(**{"root": str(root), **settings}), "train")
    assert "\n" not in str(caught.value)


def test_what_an_error_says_would_fit_fits(tmp_path):
    strip(tmp_path / "ada.png", frames=13)
    for length, stride in ((7, 2), (3, 6), (13, 1)):
        assert load(tmp_path, loop=False, length=length, stride=stride).span == 13
    for length, stride in ((8, 2), (3, 7), (14, 1)):
        with pytest.raises(KinemaError, match="13 frames"):
            load(tmp_path, loop=False, length=length, stride=stride)


def test_at_most_ten_names_are_listed(tmp_path):
    people(tmp_path, actions=("walk",), names=tuple(f"p{i:02}" for i in range(14)))
    with pytest.raises(ConfigError, match=r"known: p00, .*, p09, \.\.\.$"):
        load(tmp_path, test=("q",))


def test_an_unknown_split(tmp_path):
    with pytest.raises(ConfigError, match="no split 'dev'; there are train, test, all"):
        load(people(tmp_path), "dev")


@pytest.fixture(scope="module")
def weizmann() -> Path:
    path = Path(os.environ.get("KINEMA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "weizmann"
    if not path.is_dir():
        pytest.skip(f"no {path}: set KINEMA_DATA to the folder of real data")
    return path


def test_real_people_and_their_mirror_images_stay_together(weizmann, tmp_path):
    for action in ("jack", "bend"):
        (tmp_path / action).mkdir()
        for name in ("person1_a", "person1_b", "person3_a", "person3_b"):
            (tmp_path / action / f"{name}.jpg").symlink_to(weizmann / action / f"{name}.jpg")
    train, test = (load(tmp_path, split, identity=r"(person\d+)", loop=False, stride=3) for split in ("train", "test"))
    assert train.identities == ("person1", "person3")
    assert len(train) == len(test) == 4
    assert train.size == (64, 64)
    start = train.frame_counts() - train.span
    batch = train.window(torch.arange(4), start)
    for b in range(4):
        with Image.open(train[b].name) as image:
            picture = np.asarray(image.convert("RGB"))
        first = int(start[b])
        cells = [picture[:, 64 * i : 64 * (i + 1)] for i in range(first, first + train.span, 3)]
        assert np.array_equal(batch.frames[b].permute(0, 2, 3, 1).numpy(), np.stack(cells))


@pytest.mark.slow
def test_all_real_people_are_read(weizmann):
    source = load(weizmann, identity=r"(person\d+)")
    assert len(source) == 72
    assert source.actions == ("bend", "jack", "wave1", "wave2")
    assert len(source.identities) == 9
    assert (int(source.frame_counts().min()), int(source.frame_counts().max())) == (51, 146)
