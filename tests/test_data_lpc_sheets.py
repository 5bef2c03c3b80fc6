"""A user's own LPC sheets: pictures against Pillow's pasting, what is left empty, who is held out, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.data.lpc_sheets import Sheets, SheetsConfig
from kinema.errors import ConfigError, FileError
from kinema.files.credits import write_credits
from kinema.verbs.train import evaluate, train
from test_data_lpc_wide import write_folder

ROWS = {"walk": (9, 10, 11), "spellcast": (1, 2, 3), "slash": (13, 14, 15)}
"""The rows of the left, the front and the right, from 0; actions in the order of `factors`."""
COLUMNS = {"walk": (8, 1, 2, 3, 4, 5, 6, 7), "spellcast": (0, 1, 2, 3, 4, 5, 4, 6), "slash": (0, 1, 2, 3, 4, 5, 4, 0)}
CELL = 64


def sheet(path: Path, actions: tuple[str, ...] = ("walk", "spellcast", "slash"), seed: int = 0) -> Image.Image:
    """A sheet whose pixels are drawn at random, opaque or not, in the rows of these actions."""
    drawn = np.random.default_rng(seed)
    pixels = drawn.integers(0, 256, (1344, 832, 4), dtype=np.uint8)
    pixels[..., 3] = drawn.choice([0, 90, 255], pixels.shape[:2])
    kept = np.zeros((21, 1, 1, 1, 1), dtype=np.uint8)
    kept[[row for action in actions for row in ROWS[action]]] = 1
    pixels = (pixels.reshape(21, CELL, 13, CELL, 4) * kept).reshape(1344, 832, 4)
    picture = Image.fromarray(pixels, "RGBA")
    picture.save(path)
    return picture


def cells(picture: Image.Image, action: str, way: int) -> torch.Tensor:
    """The cycle as Pillow pastes it on black (8, 3, 64, 64)."""
    frames = []
    for column in COLUMNS[action]:
        left, top = column * CELL, ROWS[action][way] * CELL
        layer, black = picture.crop((left, top, left + CELL, top + CELL)), Image.new("RGBA", (CELL, CELL), "black")
        black.paste(layer, (0, 0), layer)
        frames.append(np.asarray(black)[..., :3].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(frames))


def test_every_cycle_is_as_pillow_pastes_it(tmp_path) -> None:
    pictures = [sheet(tmp_path / f"{name}.png", seed=place) for place, name in enumerate(("ann", "bob"))]
    source = Sheets(SheetsConfig(str(tmp_path)), "all")
    assert len(source) == 18
    for place in range(len(source)):
        character, motion = divmod(place, 9)
        action, way = tuple(COLUMNS)[motion // 3], motion % 3
        expected = cells(pictures[character], action, way)
        shown = source.frames(torch.tensor([place]), torch.arange(-3, 11)[None])[0]
        assert torch.equal(shown, expected[torch.arange(-3, 11) % 8])
        clip = source[place]
        assert clip.labels == {"action": action, "direction": ("left", "front", "right")[way]}
        assert clip.name == f"{('ann', 'bob')[character]}/{action}/{clip.labels['direction']}"
        assert torch.equal((clip.frames * 255).round().to(torch.uint8), expected)
    assert source.identity.tolist() == [0] * 9 + [1] * 9
    small = Sheets(SheetsConfig(str(tmp_path), size=32), "all").frames(torch.tensor([5]), torch.tensor([[2]]))[0, 0]
    means = cells(pictures[0], "spellcast", 2)[2].double().unflatten(1, (32, 2)).unflatten(3, (32, 2)).mean((2, 4))
    assert float((small.double() - means).abs().max()) <= 0.5


def test_what_is_left_empty_is_no_clip(tmp_path) -> None:
    path = tmp_path / "walker.png"
    picture = sheet(path, ("walk", "slash"))
    hole = (3 * CELL, 14 * CELL, 4 * CELL, 15 * CELL)  # one frame of the slash from the front
    picture.paste((0, 0, 0, 0), hole)
    picture.save(path)
    source = Sheets(SheetsConfig(str(path)), "train")
    assert source.labels["action"].tolist() == [0, 0, 0, 2, 2]
    assert source.labels["direction"].tolist() == [0, 1, 2, 0, 2]
    assert source.actions == ("walk", "spellcast", "slash")
    assert source.name == "sheets (nobody held out)"
    assert len(Sheets(SheetsConfig(str(path)), "test")) == len(source)


def test_characters_are_held_out_whole(tmp_path) -> None:
    for place in range(5):
        sheet(tmp_path / f"hero{place}.png", seed=place)
    drawn = {split: set(Sheets(SheetsConfig(str(tmp_path)), split).identity.tolist()) for split in ("train", "test")}
    assert [len(drawn[split]) for split in ("train", "test")] == [4, 1]
    assert not drawn["train"] & drawn["test"]
    chosen = Sheets(SheetsConfig(str(tmp_path), test=("hero3", "hero1")), "test")
    assert sorted(set(chosen.identity.tolist())) == [1, 3]
    assert chosen.name == "sheets"


def test_authors_travel_along(tmp_path) -> None:
    sheet(tmp_path / "ann.png")
    write_credits(["Ann, CC-BY 4.0"], tmp_path / "ann.png")
    assert Sheets(SheetsConfig(str(tmp_path)), "all")[0].credits == ("Ann, CC-BY 4.0",)


def test_what_is_no_sheet_is_refused(tmp_path) -> None:
    def refused(kind: type[Exception], message: str, root: object, split: str = "all", **settings: object) -> None:
        with pytest.raises(kind, match=message):
            Sheets(SheetsConfig(str(root), **settings), split)  # pyright: ignore[reportArgumentType]

    with pytest.raises(ConfigError, match="no folder is given"):
        Sheets(SheetsConfig(), "all")
    refused(FileError, "there is no such folder or file", tmp_path / "none")
    refused(FileError, "holds no .png file", tmp_path)
    empty = tmp_path / "empty.png"
    Image.new("RGBA", (832, 1344)).save(empty)
    refused(FileError, "empty.png: none of walk, spellcast, slash is drawn", empty)
    small = tmp_path / "small.png"
    Image.new("RGBA", (64, 64), "red").save(small)
    refused(FileError, "small.png: 64 x 64 pixels; an LPC sheet has 832 x 1344", small)
    good = tmp_path / "good.png"
    sheet(good)
    refused(ConfigError, "no split 'valid'; there are train, test, all", good, "valid")
    refused(ConfigError, "nobody is called 'eve'; known: good", good, test=("eve",))
    refused(ConfigError, "data.size: 48 pixels", good, size=48)


SMALL = {
    "data.size": "32",
    "data.characters": "40",
    "data.test": "24",
    "data.held_hair": "1",
    "data.recoloured": "0",
    "model.components": "64",
    "model.content": "51",
    "model.features": "32",
    "training.steps": "2",
    "training.batch": "4",
}


def test_a_run_on_layers_is_fine_tuned_on_a_sheet_that_walks(tmp_path) -> None:
    run, mine, heroes = tmp_path / "run", tmp_path / "mine.yaml", tmp_path / "heroes"
    train(
        "halo-lpc-wide",
        out=str(run),
        quiet=True,
        options={**SMALL, "data.root": str(write_folder(tmp_path / "layers")), "data.held_garments": "3"},
    )
    heroes.mkdir()
    sheet(heroes / "ann.png", ("walk",))
    mine.write_text(
        f"data: {{source: sheets, root: {heroes}}}\ntraining: {{steps: 2, batch: 2, random_start: false}}\n"
    )
    tuned = train(str(mine), out=str(tmp_path / "tuned"), from_run=str(run), quiet=True)
    results = evaluate(str(tuned), pairs=3, quiet=True)
    assert results["n"] == 3
    assert all(np.isfinite(value) for value in results.values())
