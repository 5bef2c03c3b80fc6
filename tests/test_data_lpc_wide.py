"""Characters of a whole folder of LPC sheets: pictures against Pillow's pasting, what is held out, what is left out.

The folder of the tests is drawn at random, some sheets translucent; the real one is looked at where it is at hand.
"""

import itertools
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.data import lpc_wide_layers
from kinema.data.lpc_wide import LpcWide, LpcWideConfig
from kinema.data.lpc_wide_layers import find_sheets
from kinema.data.registry import build_source, config_class
from kinema.errors import ClipError, ConfigError, FileError
from real_data import real_data

SLOTS = ("body", "feet", "legs", "torso", "hair")
ROWS = {"spellcast": (1, 2, 3), "walk": (9, 10, 11), "slash": (13, 14, 15)}
COLUMNS = {
    "walk": (8, 1, 2, 3, 4, 5, 6, 7),
    "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}
WAYS = ("left", "front", "right")
PARTS = {
    "male": [
        *(f"body/male/{name}.png" for name in ("dark", "light", "orc")),
        *(f"hair/male/{style}/{tint}.png" for style in ("bangs", "mohawk", "plain") for tint in ("black", "blue")),
        *(f"torso/{name}_male.png" for name in ("chain/mail", "gold/chest", "leather/chest")),
        *(f"legs/pants/male/{tint}_pants_male.png" for tint in ("red", "teal", "white")),
        "formal_male_no_th-sh/pants.png",
        *(f"feet/shoes/male/{tint}_shoes_male.png" for tint in ("black", "brown", "maroon")),
    ],
    "female": [
        *(f"body/female/{name}.png" for name in ("dark", "light", "orc")),
        *(f"hair/female/{style}/{tint}.png" for style in ("bangs", "page", "plain") for tint in ("black", "blue")),
        *(f"torso/{name}_female.png" for name in ("chain/mail", "gold/chest", "leather/chest")),
        "torso/robes_female_no_th-sh/dark gray.png",
        *(f"legs/pants/female/{tint}_pants_female.png" for tint in ("red", "teal", "white")),
    ],
}
"""What can be worn; there are no shoes for women, who go barefoot."""
USELESS = ["body/male/eyes/blue.png", "torso/back/cape_female.png", "torso/gold/arms_male.png", "weapons/bow.png"]
TRANSLUCENT = ("body/male/orc.png", "hair/female/page/blue.png", "torso/leather/chest_male.png")
CYCLE = torch.arange(8)
FEW = {"characters": 40, "test": 24, "held_hair": 1, "held_garments": 3, "held_bodies": 1}
AUTHORS = "Names by layer.\n\nAda of the Sheets\n-----------------\nhair\n\nBob\n---\nrobes\n"


def draw_sheet(rng: np.random.Generator, translucent: bool) -> Image.Image:
    """Blocks of 3 x 5 pixels of 40 random colours, most of them clear; each sheet has its own box in the cells."""
    palette = rng.integers(0, 256, (40, 4), dtype=np.uint8)
    palette[:, 3] = palette[:, 3] if translucent else 255
    cells = palette[rng.integers(0, 40, (21, 22, 13, 13))].repeat(3, axis=1).repeat(5, axis=3)[:, :64, :, :64]
    clear = (rng.random((21, 22, 13, 13)) < 0.5).repeat(3, axis=1).repeat(5, axis=3)[:, :64, :, :64]
    low, high = rng.integers(0, 24, 2), rng.integers(40, 64, 2)
    outside = np.ones((64, 64), bool)
    outside[low[0] : high[0], low[1] : high[1]] = False
    sheet = np.where((clear | outside[None, :, None])[..., None], np.uint8(0), cells)
    return Image.fromarray(sheet.reshape(1344, 832, 4))


def write_folder(root: Path) -> Path:
    """A folder of sheets that anybody can make, and what must be left out of it."""
    rng = np.random.default_rng(0)
    for path in [*PARTS["male"], *PARTS["female"], *USELESS]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(rng, path in TRANSLUCENT).save(root / path, compress_level=1)
    Image.new("RGBA", (128, 128)).save(root / "hair/male/plain/small.png")
    draw_sheet(rng, False).save(root / "legs/pants/sarong.png", compress_level=1)
    (root / "AUTHORS.txt").write_text(AUTHORS, encoding="utf-8-sig")
    return root


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="module")
def splits(drawn) -> dict[str, LpcWide]:
    config = LpcWideConfig(str(drawn), **FEW)
    return {split: LpcWide(config, split) for split in ("train", "test", "all")}


@lru_cache(maxsize=64)
def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGBA")


def pasted(root: Path, worn: list[str], action: str, way: str) -> np.ndarray:
    """The 8 frames (8, 3, 64, 64) of these sheets by Pillow."""
    row = ROWS[action][WAYS.index(way)]
    frames = []
    for column in COLUMNS[action]:
        picture = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
        for name in worn:
            layer = opened(root / f"{name}.png").crop((column * 64, row * 64, column * 64 + 64, row * 64 + 64))
            picture.paste(layer, (0, 0), layer)
        frames.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
    return np.stack(frames)


def worn_in(source: LpcWide, clip: int) -> list[str]:
    names = [source.factors[slot][int(source.labels[slot][clip])] for slot in SLOTS]
    return [name for name in names if name != "none"]


def check_pictures(source: LpcWide, root: Path, clips: list[int]) -> None:
    shown = source.frames(torch.tensor(clips), CYCLE.expand(len(clips), -1))
    for clip, frames in zip(clips, shown, strict=True):
        action, way = (source.factors[name][int(source.labels[name][clip])] for name in ("action", "direction"))
        np.testing.assert_array_equal(frames.numpy(), pasted(root, worn_in(source, clip), action, way))


def test_pictures_are_those_of_pillow(splits, drawn) -> None:
    source = splits["all"]
    clips = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:40].tolist()
    assert any(f"{name}.png" in TRANSLUCENT for clip in clips for name in worn_in(source, clip))
    check_pictures(source, drawn, clips)


def test_sheets_of_the_real_folder() -> None:
    sheets, left_out = find_sheets(real_data("lpc"))
    assert [sum(sheet.slot == slot for sheet in sheets) for slot in SLOTS] == [19, 17, 15, 47, 754]
    assert left_out == {"no slot of ours": 247}
    assert len({sheet.unit for sheet in sheets if sheet.slot == "hair"}) == 14


@pytest.mark.slow
def test_pictures_of_the_real_folder_are_those_of_pillow() -> None:
    root = real_data("lpc")
    source = LpcWide(LpcWideConfig(str(root)), "all")
    check_pictures(source, root, list(range(0, len(source), 1801)))
    assert len(source) == 9 * 2400
    assert source.nbytes() < 100 * 2**20
    for slot in SLOTS:  # nobody goes naked
        assert bool((source.labels[slot] > 0).all())


def test_half_the_size_is_the_mean_of_four_pixels(splits, drawn) -> None:
    small = LpcWide(LpcWideConfig(str(drawn), size=32, **FEW), "test")
    clips = torch.tensor([0, 50, 101])
    large = splits["test"].frames(clips, CYCLE.expand(3, -1)).double()
    mean = large.unflatten(-1, (32, 2)).unflatten(-3, (32, 2)).mean((-3, -1))
    assert torch.equal(small.frames(clips, CYCLE.expand(3, -1)).double(), (mean + 0.5).floor())


def test_everybody_wears_their_own_cut(splits) -> None:
    source = splits["all"]
    for clip in range(0, len(source), 9):
        sexes = {"female" if "female" in name else "male" for name in worn_in(source, clip)}
        assert len(sexes) == 1
        assert len(worn_in(source, clip)) == (4 if sexes == {"female"} else 5)


def unit(slot: str, name: str) -> str:
    """What is held out together, said once more: the style of hair, the name without the sex of all else."""
    parts = name.split("/")
    if slot == "hair":
        return parts[2]
    return "/".join(part.replace("_female", "").replace("_male", "") for part in parts if "male" not in part[:6])


def test_no_training_character_wears_what_is_held_out(splits) -> None:
    train, test = splits["train"], splits["test"]
    held = test.held_out(torch.arange(len(test)))
    assert all(bool((value == 0).all()) for value in train.held_out(torch.arange(len(train))).values())
    assert bool(torch.stack([value > 0 for value in held.values()]).any(0).all())
    for slot in SLOTS:
        trained = {unit(slot, train.factors[slot][value]) for value in train.labels[slot].tolist() if value}
        unseen = {unit(slot, test.factors[slot][value]) for value in held[slot].tolist() if value}
        assert unseen
        assert not unseen & trained
        other = test.labels[slot][held[slot] == 0].tolist()
        assert not {unit(slot, test.factors[slot][value]) for value in other if value} & unseen


def test_each_layer_is_held_out_in_both_sexes(splits) -> None:
    source = splits["test"]
    styles = {
        name.split("/")[2] for name, held in zip(source.factors["hair"], source.held["hair"], strict=True) if held
    }
    assert len(styles) == 1
    for slot, count in (("body", 1), ("feet", 1), ("legs", 1), ("torso", 1)):
        names = [name for name, held in zip(source.factors[slot], source.held[slot], strict=True) if held]
        assert len({unit(slot, name) for name in names}) == count
        whole = [name for name in source.factors[slot][1:] if unit(slot, name) in {unit(slot, held) for held in names}]
        assert names == whole


def test_the_seed_decides(drawn, splits) -> None:
    again, other = (LpcWide(LpcWideConfig(str(drawn), seed=seed, **FEW), "test") for seed in (0, 1))
    assert all(torch.equal(again.labels[slot], splits["test"].labels[slot]) for slot in SLOTS)
    assert not all(torch.equal(again.labels[slot], other.labels[slot]) for slot in SLOTS)
    assert any(not torch.equal(again.held[slot], other.held[slot]) for slot in SLOTS)


def test_splits_are_the_parts_of_all(splits) -> None:
    parts = [splits[name].identity for name in ("train", "test")]
    assert torch.equal(torch.cat(parts), splits["all"].identity)
    assert [len(part) for part in parts] == [9 * 40, 9 * 24]
    looks = torch.stack([splits["all"].labels[slot] for slot in SLOTS], 1)[::9]
    assert len(looks.unique(dim=0)) == 64
    assert splits["train"].layers is splits["test"].layers


@pytest.mark.parametrize("directed", [False, True])
def test_truth_is_one_appearance_in_another_motion(drawn, directed: bool) -> None:
    source = LpcWide(LpcWideConfig(str(drawn), directed=directed, **FEW), "test")
    content, motion = torch.tensor([4, 100, 13]), torch.tensor([33, 7, 200])
    times = torch.arange(5, 12).expand(3, -1).double()
    shown = source.truth(content, motion, times)
    for place, (a, b) in enumerate(zip(content.tolist(), motion.tolist(), strict=True)):
        action = list(COLUMNS)[b % 9 // 3]
        way = WAYS[(b if directed else a) % 3]
        expected = pasted(drawn, worn_in(source, a), action, way)[[5, 6, 7, 0, 1, 2, 3]]
        np.testing.assert_array_equal(shown[place].numpy(), expected)
    assert ("direction" in source.factors) is not directed
    assert len(source.actions) == (9 if directed else 3)


def test_times_between_frames_are_refused(splits) -> None:
    with pytest.raises(ClipError, match="whole times"):
        splits["test"].truth(torch.tensor([0]), torch.tensor([1]), torch.tensor([[0.5]]).double())


def test_a_clip_says_what_is_worn_and_whom_to_thank(splits) -> None:
    clip = splits["test"][-1]
    assert clip.labels["body"].startswith("body/")
    assert clip.labels["action"] == "slash"
    assert clip.name == "lpc-wide/00063/slash/right"
    assert clip.credits[:2] == ("Ada of the Sheets", "Bob")
    assert "CC-BY-SA" in clip.credits[2]


def test_what_is_left_out_is_counted(drawn, splits) -> None:
    sheets, left_out = find_sheets(drawn)
    assert left_out == {"no slot of ours": 4, "not 832 x 1344 pixels": 1, "no sex in its path": 1}
    assert {sheet.path for sheet in sheets} == {*PARTS["male"], *PARTS["female"]}
    assert splits["train"].left_out == left_out


def test_fitting_sheets_are_of_the_sex_of_the_body(splits) -> None:
    source = splits["test"]
    for body, slot in itertools.product((1, 4), ("body", "hair", "feet")):
        sex = source.factors["body"][body].split("/")[1]
        values = [source.factors[slot][value] for value in source.fitting(slot, body).tolist()]
        assert values == [name for name in source.factors[slot] if f"/{sex}/" in name]


def test_memory_is_known_before_it_is_taken(drawn, monkeypatch) -> None:
    monkeypatch.setattr(lpc_wide_layers, "MOST_BYTES", 10**6)
    monkeypatch.setattr(lpc_wide_layers, "trim", lambda *_: pytest.fail("a sheet was read"))
    with pytest.raises(FileError, match=r"sheets may need \d+ MB"):
        LpcWide(LpcWideConfig(str(drawn), **FEW), "train")


def test_registry_knows_it(drawn) -> None:
    assert config_class("lpc-wide") is LpcWideConfig
    assert len(build_source("lpc-wide", LpcWideConfig(str(drawn), **FEW), "test")) == 216


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 48}, "data.size: 48 pixels; 64 or 32"),
        ({"characters": 0}, "data.characters: 0"),
        ({"held_hair": -1}, "data.held_hair -1"),
        ({"held_hair": 0, "held_garments": 0, "held_bodies": 0}, "one must be above"),
        ({"held_hair": 9}, "9 of hair cannot be held out; "),
        ({"held_bodies": 3}, "3 of body cannot be held out; 2 can"),
        ({"characters": 2000}, "different characters"),
        ({"seed": -1}, "data.seed"),
    ],
)
def test_impossible_settings_are_one_line(drawn, monkeypatch, options: dict[str, int], says: str) -> None:
    monkeypatch.setattr("kinema.data.lpc_wide.TRIES", 1)
    with pytest.raises(ConfigError) as caught:
        LpcWide(LpcWideConfig(str(drawn), **{**FEW, **options}), "train")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_split_is_refused(drawn) -> None:
    with pytest.raises(ConfigError, match="no split 'val'"):
        LpcWide(LpcWideConfig(str(drawn), **FEW), "val")


def test_sheets_of_ones_own_train_alone_and_test_no_more(drawn) -> None:
    plain = LpcWide(LpcWideConfig(str(drawn), **FEW), "test")
    config = LpcWideConfig(str(drawn), **{**FEW, "own": 3})
    train, test = LpcWide(config, "train"), LpcWide(config, "test")
    assert len(train) == 27
    for slot in SLOTS:
        assert torch.equal(torch.cat([train.labels[slot], test.labels[slot]]), plain.labels[slot])
    assert torch.equal(torch.cat([train.identity, test.identity]), plain.identity)
    clips = torch.arange(len(train))
    worn = torch.stack(list(train.held_out(clips).values()))
    assert (worn > 0).any(0).all()


def test_folders_that_are_none_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("KINEMA_DATA", raising=False)
    with pytest.raises(FileError, match="environment variable is not set"):
        LpcWide(LpcWideConfig(**FEW), "train")
    with pytest.raises(FileError, match=r"AUTHORS\.txt"):
        LpcWide(LpcWideConfig(str(tmp_path), **FEW), "train")
    (tmp_path / "AUTHORS.txt").write_text(AUTHORS)
    with pytest.raises(FileError, match="holds no body"):
        LpcWide(LpcWideConfig(str(tmp_path), **FEW), "train")


def test_too_many_colours_and_damage_are_named(drawn, tmp_path) -> None:
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    noise = np.random.default_rng(0).integers(0, 256, (1344, 832, 4), dtype=np.uint8)
    Image.fromarray(noise).save(root / "legs/pants/male/red_pants_male.png", compress_level=1)
    with pytest.raises(FileError, match=r"red_pants_male.png: \d+ colours; a sheet may have 255"):
        LpcWide(LpcWideConfig(str(root), **FEW), "train")
    (root / "legs/pants/male/red_pants_male.png").write_bytes(b"no picture")
    with pytest.raises(FileError, match="red_pants_male"):
        LpcWide(LpcWideConfig(str(root), **FEW), "train")


@pytest.fixture(scope="module")
def recoloured(drawn) -> LpcWide:
    return LpcWide(LpcWideConfig(str(drawn), **FEW, recoloured=0.5), "train")


def test_who_is_not_recoloured_is_drawn_as_before(recoloured, splits) -> None:
    plain, steps = splits["train"], CYCLE.expand(len(recoloured), -1)
    every = torch.arange(len(plain))
    changed = (recoloured.frames(every, steps) != plain.frames(every, steps)).flatten(1).any(1)
    assert torch.equal(changed, recoloured.variant > 0)
    assert 0.25 < changed.double().mean() < 0.75
    assert torch.equal(changed[::9].repeat_interleave(9), changed)  # all clips of a character or none


def test_recoloured_pictures_are_those_of_pillow_with_each_colour_exchanged(recoloured, drawn, tmp_path) -> None:
    root = tmp_path / "sheets"
    chosen = [clip for clip in range(0, len(recoloured), 10) if int(recoloured.variant[clip])][:6]
    for clip in chosen:
        for slot, layers in zip(SLOTS, recoloured.layers, strict=True):
            value = int(recoloured.labels[slot][clip])
            if value:
                name = f"{recoloured.factors[slot][value]}.png"
                palettes = layers.palette[[0, int(recoloured.variant[clip])], value].numpy()
                exchange(drawn / name, root / f"{clip}" / name, dict(zip(*palettes.tolist(), strict=True)))
        shown = recoloured.frames(torch.tensor([clip]), CYCLE[None])[0].numpy()
        action, way = (recoloured.factors[name][int(recoloured.labels[name][clip])] for name in ("action", "direction"))
        np.testing.assert_array_equal(shown, pasted(root / f"{clip}", worn_in(recoloured, clip), action, way))
        one = torch.tensor([clip])
        np.testing.assert_array_equal(recoloured.truth(one, one, CYCLE[None].double())[0].numpy(), shown)


def test_every_palette_of_every_sheet_is_another(recoloured) -> None:
    for layers in recoloured.layers:
        drawn = layers.palette[1:, 1:].flatten(0, 1)
        assert len(drawn.unique(dim=0)) == len(drawn)


def test_nobody_is_recoloured_in_their_own_colours(recoloured, splits) -> None:
    every, steps = torch.arange(len(recoloured)), CYCLE.expand(len(recoloured), -1)
    assert torch.equal(recoloured.in_own_colours().frames(every, steps), splits["train"].frames(every, steps))
    assert bool(recoloured.variant.any())


def exchange(source: Path, target: Path, colours: dict[int, int]) -> None:
    """A sheet with each RGBA, as one number, exchanged."""
    old = np.asarray(Image.open(source)).copy().view(np.int32)
    old[old.view(np.uint8).reshape(*old.shape[:2], 4)[..., 3] == 0] = 0
    values, which = np.unique(old, return_inverse=True)
    new = np.array([colours[int(value)] for value in values], np.int32)[which].reshape(old.shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(new.view(np.uint8).reshape(*old.shape[:2], 4)).save(target)


def test_those_who_test_wear_their_own_colours(drawn, splits) -> None:
    test = LpcWide(LpcWideConfig(str(drawn), **FEW, recoloured=1.0), "test")
    every = torch.arange(len(test))
    assert torch.equal(
        test.frames(every, CYCLE.expand(len(test), -1)), splits["test"].frames(every, CYCLE.expand(len(test), -1))
    )


def test_a_share_of_the_characters_is_asked_for(drawn) -> None:
    with pytest.raises(ConfigError, match=r"data\.recoloured: 1\.5; a share"):
        LpcWideConfig(str(drawn), recoloured=1.5)
