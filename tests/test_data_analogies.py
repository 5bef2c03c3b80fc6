"""Quadruples: each picture is what its corner says, all are drawn alike often, and sources that have none say so."""

import pytest
import torch

from kinema.data.analogies import OTHERS, Analogies, attributes
from kinema.data.characters import Characters, CharactersConfig
from kinema.data.moving_digits import MovingDigits, MovingDigitsConfig
from kinema.data.pairs import PairSource
from kinema.errors import ConfigError
from kinema.training.loop import draw_batch
from kinema.training.sampler import StepSampler
from real_data import real_data
from scene_doubles import SHADES, Squares

CPU = torch.device("cpu")


def drawn(source, step=0, batch=256, seed=0, elsewhere=False):
    analogies = Analogies(source, elsewhere)
    return draw_batch(analogies, StepSampler(len(analogies), batch, seed), step, True, CPU)


def inked(pictures):
    """Where a square is, and its colour."""
    masks = ~(pictures == pictures[:, :, :1, :1]).all(1)  # no square of these reaches the corner
    return masks, (pictures * masks[:, None]).flatten(2).amax(2)


def corner_free(batch):
    """The examples none of whose squares lies in the upper left corner."""
    shown = torch.stack([batch.a, batch.b, batch.c, batch.d])
    colours = torch.tensor(SHADES, dtype=torch.uint8)
    return ~(shown[:, :, None, :, 0, 0] == colours[:, :]).all(3).any(2).any(0)


@pytest.mark.parametrize("backgrounds", [1, 3])
def test_every_corner_shows_what_it_should(backgrounds):
    batch = drawn(Squares(backgrounds=backgrounds))
    keep = corner_free(batch)
    assert keep.sum() > 100
    (a, ca), (b, cb), (c, cc), (d, cd) = (inked(x[keep]) for x in (batch.a, batch.b, batch.c, batch.d))
    assert torch.equal(ca, cb)
    assert torch.equal(cc, cd)
    assert bool((ca != cc).any(1).any())
    for one, other in ((a, c), (b, d)):  # the same upper left corner, whatever the height
        assert torch.equal(one.flatten(1).int().argmax(1), other.flatten(1).int().argmax(1))
    same = (batch.character == batch.other).all(1)
    assert not bool(same.any()), "the other character is another"
    shades = torch.tensor(SHADES, dtype=torch.uint8)
    assert torch.equal(shades[batch.character[keep, 0]], ca)
    assert torch.equal(shades[batch.other[keep, 0]], cc)
    canvases = torch.stack([x[keep][:, :, 0, 0] for x in (batch.a, batch.b, batch.c, batch.d)])
    assert bool((canvases == canvases[:1]).all())


def test_another_background_for_c_and_d():
    batch = drawn(Squares(backgrounds=3), elsewhere=True)
    keep = corner_free(batch)
    a, b, c, d = (x[keep][:, :, 0, 0] for x in (batch.a, batch.b, batch.c, batch.d))
    assert torch.equal(a, b)
    assert torch.equal(c, d)
    assert bool((a != c).any(1).all())
    assert len(torch.cat([a, c], 1).unique(dim=0)) == 6, "every ordered couple of three backgrounds"
    alone = drawn(Squares(), elsewhere=True)
    assert torch.equal(alone.c, drawn(Squares()).c), "with one background there is nowhere else"


def test_a_draw_is_a_function_of_seed_and_step():
    source = Squares(backgrounds=2)
    first, again = drawn(source, 3), drawn(source, 3)
    assert all(torch.equal(x, y) for x, y in zip(first.inputs(), again.inputs(), strict=True))
    assert not torch.equal(first.a, drawn(source, 4).a)
    assert not torch.equal(first.c, drawn(source, 3, seed=1).c)


def test_all_others_and_all_pairs_are_drawn_alike_often():
    source = Squares()
    analogies = Analogies(source)
    clips = torch.full((20_000,), 4)
    start = (torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 20 * OTHERS).long()
    batch = analogies.window(clips, start)
    assert int(analogies.rooms(True)[4]) == 20 * OTHERS
    who = (2 * batch.other[:, 0] + batch.other[:, 1]).unique(return_counts=True)[1]
    pairs = torch.cat([batch.a, batch.b], 1).flatten(1).unique(dim=0, return_counts=True)[1]
    for counts, kinds, limit in ((who, 5, 18.5), (pairs, 20, 43.8)):  # chi-squared, p = .001
        assert len(counts) == kinds
        assert float(((counts - 20_000 / kinds) ** 2 / (20_000 / kinds)).sum()) < limit


def test_attributes_tell_characters_apart():
    source = Squares()
    assert attributes(source) == {"colour": 4, "height": 2}
    source.labels = {**source.labels, "height": torch.zeros_like(source.identity)}
    assert attributes(source) == {"colour": 4}, "what all share tells nothing"


def test_digits_have_analogies_and_no_attributes():
    source = MovingDigits(MovingDigitsConfig(size=32, backgrounds=4, videos=64), "train")
    batch = drawn(source, batch=8)
    assert batch.character.shape == (8, 0)
    assert not torch.equal(batch.a, batch.c)


def test_characters_know_theirs():
    source = Characters(CharactersConfig(str(real_data("lpc")), size=32), "test")
    assert attributes(source) == {"sex": 2, "body": 7, "arm": 2, "hair": 3, "armor": 2, "greaves": 2, "weapon": 2}
    analogies = Analogies(source)
    clips = torch.tensor([0, 21, 45])
    batch = analogies.window(clips, analogies.rooms(True)[clips] - 1)
    last = source.frame_counts()[clips] - 1
    other = source.another_character(clips, torch.full((3,), 1 - 0.5 / OTHERS, dtype=torch.float64))
    here = torch.zeros_like(clips)
    for shown, who, step in (
        (batch.a, clips, last),
        (batch.b, clips, last - 1),
        (batch.c, other, last),
        (batch.d, other, last - 1),
    ):
        assert torch.equal(shown, source.render(who, clips, step, here))
    known = torch.stack([source.labels[name] for name in attributes(source)], 1)
    assert torch.equal(batch.other, known[other])


def test_films_have_no_analogies():
    class Film(PairSource):
        name = "film"

        def frame_counts(self):
            return torch.tensor([2])

        def frames(self, clips, steps, background):
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"film: analogies need .* set data.source to characters or digits"):
        Analogies(Film())
