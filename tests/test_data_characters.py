"""The 672 characters: pictures against Pillow's pasting, the split, weapons, backgrounds, sway, who is exchanged.

The tables here state the set once more, independently of the package. Most tests run on sheets drawn at random, some
of them translucent; what only real drawings show is tested where these are at hand.
"""

from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.data.characters import Characters, CharactersConfig
from kinema.data.characters_sheets import SHEETS, character_splits
from kinema.data.lpc_layers import read_layers
from kinema.data.splits import read_split, write_split
from kinema.errors import ConfigError, FileError
from real_data import real_data

TONES = ("light", "dark", "dark2", "darkelf", "darkelf2", "tanned", "tanned2")
HAIR = ("plain/blonde", "messy1/raven", "longhawk/green")
BOW = ("weapons/right hand/either/bow.png", "weapons/left hand/either/arrow.png")
TRANSLUCENT = ("tanned2.png", "green.png", "torso/leather/chest_female.png", "golden_greaves_male.png", "arrow.png")
FIRST_ROW = {"spellcast": 0, "thrust": 4, "walk": 8, "slash": 12, "shoot": 16}
FRAMES = (7, 8, 9, 6, 13)
AUTHORS = "Names by layer.\n\nAda of the Sheets\n-----------------\n{works}\n\nNobody Used\n-----------\nwings\nrobe\n"


def wardrobe(sex: str, body: int, arm: int, hair: int, armor: int, greaves: int, weapon: int) -> list[str]:
    """The sheets that a character wears, the lowest first."""
    return [
        f"body/{sex}/{TONES[body]}.png",
        f"feet/shoes/{sex}/brown_shoes_{sex}.png",
        f"legs/armor/{sex}/{('metal_pants', 'golden_greaves')[greaves]}_{sex}.png",
        f"torso/{('leather', 'plate')[armor]}/chest_{sex}.png",
        *([f"torso/plate/arms_{sex}.png"] if arm else []),
        f"hair/{sex}/{HAIR[hair]}.png",
        *((f"weapons/right hand/{sex}/spear_{sex}.png",) if weapon else BOW),
    ]


WARDROBES = [wardrobe(*choice) for choice in product(("male", "female"), *map(range, (7, 2, 3, 2, 2, 2)))]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder of sheets that anybody can make: small blocks of random colours, most of them clear."""
    root, rng = tmp_path_factory.mktemp("characters"), np.random.default_rng(0)
    for path in sorted({path for worn in WARDROBES for path in worn}):
        blocks = rng.integers(0, 256, (192, 104, 4), dtype=np.uint8)
        solid = blocks[..., 3] if path.endswith(TRANSLUCENT) else np.uint8(255)
        blocks[..., 3] = np.where(rng.random(blocks.shape[:2]) < 0.2, solid, 0)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(blocks.repeat(7, axis=0).repeat(8, axis=1))
        picture.save(root / path, compress_level=1)
    works = sorted({entry for sheet in SHEETS for entry in sheet.entries})
    (root / "AUTHORS.txt").write_text(AUTHORS.format(works="\n".join(works)), encoding="utf-8-sig")
    return root


@pytest.fixture(scope="module", params=["drawn", "real"])
def root(request) -> Path:
    return request.getfixturevalue("drawn") if request.param == "drawn" else real_data("lpc")


@pytest.fixture(scope="module", autouse=True)
def read_once():
    """Sheets are decoded once for all the sources of these tests."""
    kept = {}

    def read(paths, cells):
        key = (*paths, cells.tobytes())
        if key not in kept:
            kept[key] = read_layers(paths, cells)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kinema.data.characters.read_layers", read)
        yield


@lru_cache(maxsize=20)
def load(root: Path | str, split: str = "val", **settings) -> Characters:
    return Characters(CharactersConfig(str(root), **settings), split)


@lru_cache(maxsize=64)
def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGBA")


def pasted(root: Path, number: int, motion: int, step: int, canvas: torch.Tensor, move: int = 0) -> np.ndarray:
    """A frame by Pillow: layer after layer on the canvas (3, H, W), whose middle is the cell's middle."""
    picture = Image.fromarray(canvas.permute(1, 2, 0).numpy())
    row = (0, 4, 8, 12, 16)[motion // 4] + motion % 4
    inset = (64 - picture.width) // 2
    for path in WARDROBES[number]:
        cell = (step * 64 + inset, row * 64 + inset, step * 64 + 64 - inset, row * 64 + 64 - inset)
        layer = opened(root / path).crop(cell)
        picture.paste(layer, (move, 0), layer)
    return np.asarray(picture).transpose(2, 0, 1)


def some(source: Characters, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clips, steps and backgrounds."""
    rng = torch.Generator().manual_seed(seed)
    clips = torch.randint(len(source), (count,), generator=rng)
    steps = (torch.rand(count, generator=rng) * source.frame_counts()[clips]).long()
    return clips, steps, torch.randint(source.backgrounds, (count,), generator=rng)


@pytest.mark.parametrize("size", [64, 60])
@pytest.mark.parametrize("backgrounds", [0, 7])
def test_frames_are_what_pillow_pastes(root, size, backgrounds):
    source = load(root, size=size, backgrounds=backgrounds)
    clips, steps, background = some(source, 60, 1)
    frames, canvas = source.frames(clips, steps, background), source.canvas(background)
    for i, clip in enumerate(clips.tolist()):
        wanted = pasted(root, int(source.identity[clip]), clip % 20, int(steps[i]), canvas[i])
        assert np.array_equal(frames[i], wanted), clip


def test_every_character_exists_and_wears_what_it_should(root):
    source = load(root, "all", animations=("walk",))
    assert len(WARDROBES) == len({tuple(worn) for worn in WARDROBES}) == 672
    assert source.identity[::4].tolist() == list(range(672))
    numbers = torch.arange(0, 672, 5)
    frames = source.frames(numbers * 4 + 2, torch.zeros_like(numbers), torch.zeros_like(numbers))
    black = torch.zeros(3, 64, 64, dtype=torch.uint8)
    for number, frame in zip(numbers.tolist(), frames, strict=True):
        assert np.array_equal(frame, pasted(root, number, 10, 0, black)), number
    labels = torch.stack([source.labels[name][::4] for name in list(source.factors)[:7]], dim=1)
    assert labels.tolist() == [list(choice) for choice in product(*map(range, (2, 7, 2, 3, 2, 2, 2)))]


def test_clips_have_the_frames_of_their_animation(drawn):
    source = load(drawn)
    assert len(source) == 72 * 20
    assert source.movements == tuple(FIRST_ROW)
    assert torch.equal(source.frame_counts(), torch.tensor(FRAMES)[source.movement(torch.arange(len(source)))])
    assert int(source.rooms(False).sum()) == 72 * 4 * sum(count * (count - 1) for count in FRAMES)
    assert source.given(*some(source, 5, 2)) is None


def test_a_choice_of_animations_shows_the_same(drawn):
    all_, two = load(drawn), load(drawn, animations=("shoot", "thrust"))
    clips = torch.arange(len(two))
    steps, nowhere = clips % 6, torch.zeros_like(clips)
    same = clips // 8 * 20 + torch.where(clips % 8 < 4, 16 + clips % 4, 4 + clips % 4)
    assert torch.equal(two.frames(clips, steps, nowhere), all_.frames(same, steps, nowhere))
    assert torch.equal(two.labels["animation"], all_.labels["animation"][same])
    assert two.movements == ("shoot", "thrust")


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_splits_part_characters_and_keep_twins_together(seed):
    ends, middle = character_splits(seed)
    parts = [set(map(int, part)) for part in (middle.train, middle.test, ends.test)]
    assert [len(part) for part in parts] == [500, 72, 100]
    assert set.union(*parts) == set(range(672))
    assert all(number ^ 1 in part for part in parts for number in part)
    assert set(ends.train) == {*middle.train, *middle.test}


def test_the_published_split(tmp_path):
    pairs = np.random.default_rng(0).permutation(336)
    for split, chosen in zip(character_splits(0), (pairs[:50], pairs[50:86]), strict=True):
        write_split(tmp_path / "split.json", split)
        assert read_split(tmp_path / "split.json") == split
        assert [int(name) for name in split.test] == sorted([*(2 * chosen), *(2 * chosen + 1)])


def test_every_real_frame_has_ink_and_weapons_are_seen_in_their_animations_only():
    source = load(real_data("lpc"), "test")
    for who in range(0, 100, 10):
        motion = torch.arange(20).repeat_interleave(torch.tensor(FRAMES).repeat_interleave(4))
        steps = torch.cat([torch.arange(count) for count in FRAMES for _ in range(4)])
        bow, spear = who * 20 + motion, (who + 1) * 20 + motion
        assert torch.equal(source.identity[bow] + 1, source.identity[spear])
        shown = [source.frames(clips, steps, torch.zeros_like(steps)) for clips in (bow, spear)]
        assert (shown[0].amax(1) > 0).flatten(1).sum(1).min() > 300
        differ = (shown[0] != shown[1]).flatten(1).any(1)
        assert torch.equal(differ, torch.isin(source.movement(bow), torch.tensor([1, 2, 4])))


@pytest.mark.parametrize("settings", [{}, {"size": 60}, {"size": 32}, {"sway": 9}, {"size": 32, "sway": 5}])
def test_the_canvas_is_bare_where_the_mask_is_and_covered_where_it_is_full(drawn, settings):
    source = load(drawn, backgrounds=5, **settings)
    clips, steps, background = some(source, 50, 3)
    mask = source.mask(clips, clips, steps)
    frames, canvas = source.frames(clips, steps, background), source.canvas(background)
    assert 0 <= float(mask.min()) < float(mask.max()) <= 1
    assert bool((frames == canvas)[(mask == 0).expand_as(frames)].all())
    other = source.frames(clips, steps, (background + 1) % 5)
    assert bool((frames == other)[(mask == 1).expand_as(frames)].all())
    if source.size[0] == 32:
        return  # a pixel may mean an edge of the character and one of a diamond: they do not multiply
    # Between: two canvases are seen through the character as far apart as it is clear.
    seen = frames.float() - other.float()
    clear = (1 - mask) * (canvas.float() - source.canvas((background + 1) % 5).float())
    assert float((seen - clear).abs().max()) <= 4  # a rounding for each soft layer


def test_the_same_frame_whichever_batch_asks(drawn):
    source = load(drawn, backgrounds=5, sway=9)
    clips, steps, background = some(source, 40, 4)
    frames = source.frames(clips, steps, background)
    for i in range(0, 40, 7):
        assert torch.equal(source.frames(clips[i : i + 1], steps[i : i + 1], background[i : i + 1])[0], frames[i])
    assert torch.equal(source.frames(clips.flip(0), steps.flip(0), background.flip(0)).flip(0), frames)
    assert torch.equal(source.frames(clips, steps + source.frame_counts()[clips], background), frames)
    everybody = load(drawn, "all", sway=9)
    same = source.identity[clips] * 20 + clips % 20
    bare = torch.full_like(clips, -1)
    shown, moved = everybody.frames(same, steps, bare), source.frames(clips, steps, bare)
    inked = (everybody.mask(same, same, steps) == 1).expand_as(shown)
    assert torch.equal(shown[inked], moved[inked])  # the same places in every split, on black as on gray


def test_sway_moves_the_character_and_not_the_background(root):
    source = load(root, backgrounds=3, sway=20)
    clips, steps, background = some(source, 60, 5)
    frames, canvas, moves = source.frames(clips, steps, background), source.canvas(background), []
    for i, clip in enumerate(clips.tolist()):
        number, motion, step = int(source.identity[clip]), clip % 20, int(steps[i])
        at = [np.array_equal(frames[i], pasted(root, number, motion, step, canvas[i], m)) for m in range(-20, 21)]
        assert sum(at) == 1
        moves.append(at.index(True) - 20)
    assert len(set(moves)) > 20
    assert abs(np.mean(moves)) < 4 * 11.8 / np.sqrt(60)  # the deviation of a uniform number from -20 to 20 is 11.8
    assert np.std(moves) > 9


def test_steady_characters_do_not_sway(root):
    source, still = load(root, backgrounds=3, sway=20), load(root, backgrounds=3)
    clips, steps = torch.arange(12), torch.arange(12) % 5
    ground = torch.arange(12) % 3
    assert torch.equal(source.steady().frames(clips, steps, ground), still.frames(clips, steps, ground))
    assert not torch.equal(source.frames(clips, steps, ground), still.frames(clips, steps, ground))
    assert source.config.sway == 20, "the source itself is as it was"


def test_sway_differs_between_the_frames_of_a_clip_and_between_seeds(drawn):
    places = []
    for seed in (0, 1):
        source = load(drawn, "all", sway=8, seed=seed, animations=("shoot",))
        clips = torch.arange(0, 4 * 200, 4)
        places.append(torch.stack([source.offsets(clips, torch.full_like(clips, step)) for step in range(13)], dim=1))
        counts = places[-1].flatten().add(8).bincount(minlength=17)
        assert float(((counts - 2600 / 17) ** 2 / (2600 / 17)).sum()) < 39.3  # chi-squared, 16 degrees, p = .001
        assert bool((places[-1] != places[-1][:, :1]).any(1).all())
    assert float((places[0] == places[1]).float().mean()) < 0.1


def test_a_rendering_has_the_looks_of_one_clip_and_the_place_of_the_other(drawn):
    source = load(drawn, backgrounds=4, sway=7)
    (clips, _, background), (motion, steps, _) = some(source, 30, 6), some(source, 30, 7)
    shown, canvas = source.render(clips, motion, steps, background), source.canvas(background)
    moves = source.offsets(motion, steps).tolist()
    for i in range(30):
        number = int(source.identity[clips[i]])
        wanted = pasted(drawn, number, int(motion[i]) % 20, int(steps[i]), canvas[i], moves[i])
        assert np.array_equal(shown[i], wanted)


def test_half_the_size_is_the_mean_of_four(drawn):
    whole, half = load(drawn), load(drawn, size=32)
    clips, steps, background = some(whole, 30, 8)
    boxes = whole.frames(clips, steps, background).double().view(30, 3, 32, 2, 32, 2)
    assert torch.equal(half.frames(clips, steps, background), (boxes.mean((3, 5)) + 0.5).floor().byte())
    mask = whole.mask(clips, clips, steps).view(30, 1, 32, 2, 32, 2).mean((3, 5))
    torch.testing.assert_close(half.mask(clips, clips, steps), mask)


def test_backgrounds_belong_to_their_split_and_none_is_the_bare_canvas(drawn):
    source, nobody, all_ = load(drawn, backgrounds=7), torch.tensor([-1]), torch.arange(7)
    sets = source.canvas(all_), load(drawn, "test", backgrounds=7, animations=("walk",)).canvas(all_)
    assert not bool((sets[0][:, None] == sets[1]).flatten(2).all(2).any())
    assert source.bare == (128, 128, 128)
    assert bool((source.canvas(nobody) == 128).all())
    assert load(drawn).bare == (0, 0, 0)
    assert load(drawn).backgrounds == 1
    assert bool((load(drawn).canvas(torch.tensor([0, -1])) == 0).all())
    assert int(source.rooms(False)[0]) == 7 * 6 * 7
    with pytest.raises(ConfigError, match="no split 'all'"):
        load(drawn, "all", backgrounds=2, animations=("walk",))


def test_exchanges_change_what_they_say(drawn):
    source = load(drawn)
    clips = torch.full((5000,), 345)
    draw = torch.rand(5000, generator=torch.Generator().manual_seed(9))
    draw[:2] = torch.tensor([0.0, 1 - 2**-24])
    others = source.another_character(clips, draw)
    assert set((others % 20).tolist()) == {345 % 20}
    twins = {345 // 20, 345 // 20 ^ 1}
    assert set((others // 20).tolist()) == set(range(72)) - twins
    moved = source.another_motion(clips, draw)
    assert set(moved.tolist()) == {345 // 20 * 20 + motion for motion in range(20)} - {345}
    assert int(moved.bincount().max()) < 5000 / 19 * 1.4


def test_a_source_is_moved_without_the_one_it_came_from(drawn):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source = load(drawn, backgrounds=5, sway=9)
    clips, steps, _ = some(source, 20, 10)
    moved, starts = source.to(device), steps * 5
    for index in (clips, clips.to(device)):
        start = starts.to(index.device)
        assert torch.equal(moved.window(index, start).first.cpu(), source.window(clips, starts).first)
    assert source.worn.device.type == "cpu"


def test_credits_name_the_authors_of_what_is_worn(drawn, tmp_path):
    author, licence = load(drawn).credits
    assert author.startswith("Ada of the Sheets: ")
    assert "spear" in author
    assert "CC-BY-SA 3.0" in licence


def test_credits_of_the_real_sheets():
    *credits, _ = load(real_data("lpc"), "test").credits
    drew = dict(line.split(": ", 1) for line in credits)
    assert {"Johannes Sjölund", "Matthew Krohn", "Luke Mehl", "Joe White", "Manuel Riecke"} <= set(drew)
    assert drew["Manuel Riecke"] == "messy1; longhawk"
    assert "Daniel Eddeland" not in drew


def test_what_is_missing_is_named_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"body/male/light\.png: there is no such file") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("KINEMA_DATA", raising=False)
    with pytest.raises(FileError, match="environment variable is not set"):
        load("")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 48}, "data.size: 48 pixels; 64, 60, 32 are possible"),
        ({"backgrounds": -1}, "data.backgrounds: -1"),
        ({"sway": 30, "size": 60}, "data.sway: 30 pixels; 0 to 29"),
        ({"animations": ("walk", "hurt")}, "'hurt' is unknown"),
        ({"animations": ("walk", "walk")}, "one twice"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        CharactersConfig(**settings)


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="no split 'tests'; there are train, val, test, all"):
        Characters(CharactersConfig(), "tests")
