"""LPC sprites: pictures against Pillow's pasting, the published split, swaps, what is said of folders that lack sheets.

The tables here state the set once more, independently of the package. The tests run on sheets drawn at random, some of
them translucent, and on the real ones where they are at hand.
"""

import json
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.data.lpc import FACTORS, LpcConfig, LpcSprites
from kinema.data.lpc_characters import SHEETS, lpc_split
from kinema.data.splits import read_split, write_split
from kinema.errors import ClipError, ConfigError, FileError
from real_data import real_data

SKINS = [f"body/male/{name}.png" for name in ("light", "tanned2", "darkelf", "darkelf2", "dark", "dark2")]
BOTTOMS = [
    "legs/pants/male/white_pants_male.png",
    "legs/armor/male/golden_greaves_male.png",
    "legs/pants/male/red_pants_male.png",
    "legs/armor/male/metal_pants_male.png",
    "legs/pants/male/teal_pants_male.png",
    "formal_male_no_th-sh/pants.png",
]
TOPS = [
    ["torso/shirts/longsleeve/male/maroon_longsleeve.png"],
    ["torso/shirts/longsleeve/male/teal_longsleeve.png"],
    ["torso/shirts/longsleeve/male/white_longsleeve.png"],
    ["torso/plate/chest_male.png"],
    ["torso/leather/chest_male.png"],
    ["formal_male_no_th-sh/shirt.png", "formal_male_no_th-sh/tie.png"],
]
HAIR = [
    f"hair/male/{name}.png"
    for name in (
        "messy2/green2",
        "longknot/blue2",
        "messy1/light-blonde",
        "bangs/white",
        "plain/ruby-red",
        "jewfro/purple",
    )
]
SHOES = "feet/armor/male/golden_boots_male.png"
ROWS = {"spellcast": (1, 2, 3), "walk": (9, 10, 11), "slash": (13, 14, 15)}
COLUMNS = {
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
TRANSLUCENT = (SKINS[1], BOTTOMS[2], TOPS[3][0], TOPS[5][1], HAIR[4])
CYCLE = torch.arange(8)
AUTHORS = "Names by layer.\n\nAda of the Sheets\n-----------------\n{works}\n\nNobody Used\n-----------\nwings\nrobe\n"


def draw_sheet(rng: np.random.Generator, translucent: bool) -> Image.Image:
    """Blocks of 3 x 5 pixels of random colours, most of them clear, the others opaque or anything between."""
    blocks = rng.integers(0, 256, (448, 167, 4), dtype=np.uint8)
    solid = blocks[..., 3] if translucent else np.uint8(255)
    blocks[..., 3] = np.where(rng.random(blocks.shape[:2]) < 0.3, solid, 0)
    return Image.fromarray(blocks.repeat(3, axis=0).repeat(5, axis=1)[:, :832].copy())


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder of sheets that anybody can make."""
    root, rng = tmp_path_factory.mktemp("sheets"), np.random.default_rng(0)
    for path in [*SKINS, *BOTTOMS, *[path for worn in TOPS for path in worn], *HAIR, SHOES]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(rng, path in TRANSLUCENT).save(root / path, compress_level=1)
    works = sorted({entry for sheet in SHEETS for entry in sheet.entries})
    (root / "AUTHORS.txt").write_text(AUTHORS.format(works="\n".join(works)), encoding="utf-8-sig")
    return root


@pytest.fixture(scope="module", params=["drawn", "real"])
def root(request) -> Path:
    return request.getfixturevalue("drawn") if request.param == "drawn" else real_data("lpc")


@pytest.fixture(scope="module")
def everybody(root) -> LpcSprites:
    return LpcSprites(LpcConfig(str(root), lazy=True), "all")


@pytest.fixture(scope="module")
def tested(drawn) -> LpcSprites:
    return LpcSprites(LpcConfig(str(drawn), lazy=True), "test")


@lru_cache(maxsize=32)
def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGBA")


def pasted(root: Path, character: int, action: str, direction: str) -> np.ndarray:
    """The 8 frames (8, 3, 64, 64) of a character by Pillow."""
    skin, bottom, top, hair = character // 216, character // 36 % 6, character // 6 % 6, character % 6
    row = ROWS[action][("left", "front", "right").index(direction)]
    frames = []
    for column in COLUMNS[action]:
        picture = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
        for path in [SKINS[skin], BOTTOMS[bottom], *TOPS[top], HAIR[hair], SHOES]:
            layer = opened(root / path).crop((column * 64, row * 64, column * 64 + 64, row * 64 + 64))
            picture.paste(layer, (0, 0), layer)
        frames.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
    return np.stack(frames)


def some(source: LpcSprites, count: int, seed: int) -> torch.Tensor:
    return torch.randint(len(source), (count,), generator=torch.Generator().manual_seed(seed))


def cycles(source: LpcSprites, clips: torch.Tensor) -> torch.Tensor:
    return source.frames(clips, CYCLE.expand(len(clips), 8))


def test_pictures_are_what_pillow_pastes(root, everybody):
    clips = torch.cat([some(everybody, 40, 1), torch.arange(9) + 9 * (3 * 6), torch.arange(9) + 9 * (5 * 6)])
    for clip, frames in zip(clips.tolist(), cycles(everybody, clips), strict=True):
        character, motion = divmod(clip, 9)
        action, direction = ("walk", "spellcast", "slash")[motion // 3], ("left", "front", "right")[motion % 3]
        assert np.array_equal(frames, pasted(root, character, action, direction)), clip


def test_every_value_shows_in_the_first_frame_of_some_view(root):
    # The test above meets each sheet only by chance.
    source = LpcSprites(LpcConfig(str(root), lazy=True), "all")
    numbers = torch.cat([torch.arange(6) * unit for unit in (1, 6, 36, 216)])
    for number, frame in zip(numbers.tolist(), source.frames(9 * numbers, torch.zeros(24, 1).long()), strict=True):
        assert np.array_equal(frame[0], pasted(root, number, "walk", "left")[0]), number


def test_steps_and_times_are_taken_modulo_the_cycle(tested):
    clips = some(tested, 5, 2)
    window = tested.window(clips, torch.full((5,), 6))
    assert torch.equal(window.frames, cycles(tested, clips).roll(-6, dims=1))
    factors = {name: value[clips] for name, value in tested.labels.items()}
    times = torch.tensor([-1.0, 8.0, 21.0]).double().expand(5, 3)
    assert torch.equal(tested.render(factors, times), cycles(tested, clips)[:, [7, 0, 5]])


def test_the_split_is_numpys_and_parts_characters(drawn, tested):
    order = np.random.RandomState(423).permutation(1296)
    train = LpcSprites(LpcConfig(str(drawn), lazy=True), "train")
    assert len(train) == 9000
    assert len(tested) == 2664
    assert train.identity[::9].tolist() == sorted(order[:1000].tolist())
    assert tested.identity[::9].tolist() == sorted(order[1000:].tolist())


def test_the_split_is_the_one_that_can_be_kept_as_a_file(tmp_path):
    split = lpc_split()
    write_split(tmp_path / "lpc.json", split)
    assert read_split(tmp_path / "lpc.json") == split
    assert (len(split.train), len(split.test)) == (1000, 296)
    assert split.sha256 == "75b79d1218b27fbdf5d619daae49b4e6008405d0f8dfadb81904e9a38cd6207e"


def test_clips_are_numbered_by_character_action_and_direction(tested):
    for clip in (0, 1, 3, 9, 1234, 2663):
        values = {name: int(value[clip]) for name, value in tested.labels.items()}
        number = ((values["skin"] * 6 + values["bottom"]) * 6 + values["top"]) * 6 + values["hair"]
        assert number == int(tested.identity[clip])
        assert 3 * values["action"] + values["direction"] == clip % 9
    assert [len(FACTORS[name]) for name in tested.factors] == [6, 6, 6, 6, 3, 3]
    assert tested.actions == ("walk", "spellcast", "slash")


def test_a_swap_keeps_appearance_and_direction_and_takes_the_action(tested):
    a, b = some(tested, 20, 3), some(tested, 20, 4)
    times = CYCLE.double().expand(20, 8)
    assert torch.equal(tested.truth(a, a, times), cycles(tested, a))
    twin = a - a % 9 + b % 9 // 3 * 3 + a % 3
    assert torch.equal(tested.truth(a, b, times), cycles(tested, twin))
    assert not torch.equal(twin, a)


def test_times_between_frames_are_refused(tested):
    clips = torch.tensor([0])
    with pytest.raises(ClipError, match="whole times only") as caught:
        tested.truth(clips, clips, torch.tensor([[0.0, 0.5]]).double())
    assert "\n" not in str(caught.value)


def test_half_the_size_is_the_mean_of_four_rounded(drawn, tested):
    small = LpcSprites(LpcConfig(str(drawn), size=32, lazy=True), "test")
    clips = some(tested, 30, 5)
    boxes = cycles(tested, clips).double().view(30, 8, 3, 32, 2, 32, 2)
    assert torch.equal(cycles(small, clips), (boxes.mean((4, 6)) + 0.5).floor().byte())
    assert small.size == small[0].size == (32, 32)


def test_frames_composed_beforehand_are_those_composed_on_demand(everybody):
    members = torch.cat([torch.arange(30), some(everybody, 30, 6).div(9, rounding_mode="floor").sort().values])
    wanted = cycles(everybody, (members[:, None] * 9 + torch.arange(9)).flatten())
    assert torch.equal(everybody.compose_all(members), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
def test_an_eager_source_shows_what_a_lazy_one_does(root, size):
    eager, lazy = (LpcSprites(LpcConfig(str(root), size, lazy), "test") for lazy in (False, True))
    for clips in torch.arange(len(lazy)).split(333):
        assert torch.equal(cycles(eager, clips), cycles(lazy, clips))
    clips = some(lazy, 200, 6)
    steps = torch.randint(-9, 30, (200, 3), generator=torch.Generator().manual_seed(7))
    assert torch.equal(eager.frames(clips, steps), lazy.frames(clips, steps))
    factors = {name: value[clips] for name, value in lazy.labels.items()} | {"skin": torch.full((200,), 2)}
    assert torch.equal(eager.render(factors, steps.double()), lazy.render(factors, steps.double()))
    assert eager.nbytes() - lazy.nbytes() == 296 * 72 * 3 * size * size


def test_a_source_is_moved_without_the_one_it_came_from(tested):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    moved, clips = tested.to(device), some(tested, 20, 8)
    assert torch.equal(cycles(moved, clips).cpu(), cycles(tested, clips))
    times = CYCLE.double().expand(20, 8)
    assert torch.equal(moved.truth(clips, clips.flip(0), times).cpu(), tested.truth(clips, clips.flip(0), times))
    assert tested.identity.device.type == "cpu"


def test_items_show_the_same_as_windows(tested):
    clip, window = tested[1234], tested.window(torch.tensor([1234]), torch.tensor([0]))
    assert torch.equal((clip.frames * 255).round().byte(), window.frames[0])
    for name, value in window.factors.items():
        assert clip.labels[name] == FACTORS[name][int(value[0])]
    assert clip.name == f"lpc/{int(tested.identity[1234]):04d}/{clip.labels['action']}/{clip.labels['direction']}"
    assert clip.credits == tested.credits
    with pytest.raises(IndexError):
        tested[len(tested)]


def test_credits_name_the_authors_of_what_is_worn_and_the_licence(drawn, tested, tmp_path):
    author, licence = tested.credits
    assert author.startswith("Ada of the Sheets: ")
    assert "Jewfro Hair" in author
    assert "CC-BY-SA 3.0" in licence
    assert "GPL 3.0" in licence
    other = without(drawn, tmp_path, "AUTHORS.txt")
    (other / "AUTHORS.txt").write_text(AUTHORS.format(works="plate (m)"))
    credits = LpcSprites(LpcConfig(str(other), lazy=True), "test").credits
    assert credits == ("Ada of the Sheets", "Nobody Used", licence)


def test_credits_of_the_real_sheets():
    *credits, _ = LpcSprites(LpcConfig(str(real_data("lpc")), lazy=True), "test").credits
    drew = dict(line.split(": ", 1) for line in credits)
    assert list(drew) == [
        "Johannes Sjölund",
        "Marcel van de Steeg",
        "Manuel Riecke",
        "Thane Brimhall",
        "Stephen Challener (AKA Redshrike)",
        "Shaun Williams",
        "Joe White",
        "Mark Weyer",
        "JaidynReiman",
        "Nila122",
    ]
    assert drew["Manuel Riecke"] == "messy1; messy2; bangs"


def without(root: Path, folder: Path, path: str) -> Path:
    """A folder of the same sheets but one file."""
    copy = folder / "copy"
    shutil.copytree(root, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    (copy / path).unlink()
    return copy


@pytest.mark.parametrize("path", [SKINS[0], TOPS[5][1], SHOES, "AUTHORS.txt"])
def test_a_missing_file_is_named_in_one_line(drawn, tmp_path, path):
    folder = without(drawn, tmp_path, path)
    with pytest.raises(FileError, match="Universal LPC Spritesheet") as caught:
        LpcSprites(LpcConfig(str(folder)), "train")
    assert str(caught.value).startswith(f"{folder / path}: ")
    assert "\n" not in str(caught.value)


def test_the_first_missing_sheet_is_named(tmp_path):
    with pytest.raises(FileError, match=r"body/male/light\.png: there is no such file"):
        LpcSprites(LpcConfig(str(tmp_path)), "train")


def test_a_picture_that_is_no_sheet_is_refused(drawn, tmp_path):
    folder = without(drawn, tmp_path, HAIR[3])
    Image.new("RGBA", (64, 64)).save(folder / HAIR[3])
    with pytest.raises(FileError, match=r"white\.png: 64 x 64 pixels; an LPC sheet has 832 x 1344"):
        LpcSprites(LpcConfig(str(folder)), "train")
    (folder / HAIR[3]).write_bytes((drawn / HAIR[3]).read_bytes()[:5000])
    with pytest.raises(FileError, match=r"white\.png: damaged"):
        LpcSprites(LpcConfig(str(folder)), "train")


def test_the_folder_is_found_by_the_environment(drawn, tmp_path, monkeypatch):
    (tmp_path / "lpc").symlink_to(drawn)
    monkeypatch.setenv("KINEMA_DATA", str(tmp_path))
    assert len(LpcSprites(LpcConfig(lazy=True), "test")) == 2664
    assert len(LpcSprites(LpcConfig("$KINEMA_DATA/lpc", lazy=True), "test")) == 2664
    monkeypatch.setenv("KINEMA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match="nowhere/lpc: there is no such folder"):
        LpcSprites(LpcConfig(), "test")
    monkeypatch.delenv("KINEMA_DATA")
    with pytest.raises(FileError, match="environment variable is not set") as caught:
        LpcSprites(LpcConfig(), "test")
    assert "\n" not in str(caught.value)


def test_other_sizes_and_splits_are_refused():
    with pytest.raises(ConfigError, match="size is 48 pixels; 64 or 32 are possible"):
        LpcConfig(size=48)
    with pytest.raises(ConfigError, match="no split 'validation'; there are train, test, all"):
        LpcSprites(LpcConfig(), "validation")


MEASURE = """
import json, re, sys, time
from PIL import Image, PngImagePlugin
from kinema.data.lpc import LpcConfig, LpcSprites
import torch
# Of this program alone: ru_maxrss would begin with the memory of the process that started it.
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1000
before, began = peak(), time.process_time()
source = LpcSprites(LpcConfig(sys.argv[1], lazy=sys.argv[2] == "lazy"), "all")
seconds = time.process_time() - began
source.window(torch.arange(0, 3200, 100), torch.zeros(32, dtype=torch.int64))
print(json.dumps({"before": before, "peak": peak(), "seconds": seconds}))
"""


def measured(root: Path, mode: str) -> dict[str, float]:
    """CPU seconds to make all clips, and the memory of the process in MB."""
    command = [sys.executable, "-c", MEASURE, str(root), mode]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_lazy_sprites_take_little_memory(drawn):
    used = measured(drawn, "lazy")
    assert used["peak"] - used["before"] <= 200


@pytest.mark.slow
def test_all_clips_are_composed_in_seconds_and_within_two_gigabytes():
    used = measured(real_data("lpc"), "eager")
    assert used["peak"] <= 2000
    assert used["seconds"] <= 10  # of CPU: 5 s on two cores
