"""Held-out layers: an oracle recognises all, a blind choice as many as chance, and who knows training alone none."""

import dataclasses

import pytest
import torch

from evaluation_doubles import Noise, Oracle
from kinema.data.lpc_wide import LpcWide, LpcWideConfig
from kinema.errors import ConfigError
from kinema.evaluation.held_out import evaluate_held_out, recognise_layers, shares
from kinema.evaluation.swap import draw_pairs
from test_data_lpc_wide import FEW, SLOTS, write_folder

PAIRS = 40


class Blind(Oracle):
    """The true swap, but every layer is one of those that fit, drawn blindly."""

    def transfer(self, content, motion, times, action=None):
        (a, _), (b, start) = self.identify(content), self.identify(motion)
        generator = torch.Generator().manual_seed(1)
        labels = {name: value[a].clone() for name, value in self.source.labels.items()}
        bodies = labels["body"].clone()
        for slot in SLOTS:
            for place, body in enumerate(bodies.tolist()):
                fitting = self.source.fitting(slot, body)
                if len(fitting):
                    labels[slot][place] = fitting[torch.randint(len(fitting), (), generator=generator)]
        return self.source.render(labels | {"action": self.source.labels["action"][b]}, start[:, None] + times) / 255


class OneWrong(Oracle):
    """The true swap, but everybody's trousers are another pair."""

    def transfer(self, content, motion, times, action=None):
        (a, _), (b, start) = self.identify(content), self.identify(motion)
        labels = {name: value[a].clone() for name, value in self.source.labels.items()}
        for place, body in enumerate(labels["body"].tolist()):
            others = self.source.fitting("legs", body)
            labels["legs"][place] = others[others != labels["legs"][place]][0]
        return self.source.render(labels | {"action": self.source.labels["action"][b]}, start[:, None] + times) / 255


class NearestTrained(Oracle):
    """The cheat: the training character that looks most like A, doing what B does."""

    def __init__(self, source, training):
        super().__init__(source)
        self.training = training

    def transfer(self, content, motion, times, action=None):
        b, start = self.identify(motion)
        clips = torch.arange(len(self.training))
        known = self.training.frames(clips, torch.arange(8).expand(len(clips), -1)).flatten(1).float() / 255
        shown = []
        for clip, moved in zip(content, b.tolist(), strict=True):
            farther = torch.cdist(clip.flatten()[None], known)[0]
            farther[self.training.labels["action"] != self.source.labels["action"][moved]] = torch.inf
            shown.append(int(farther.argmin()))
        steps = (start[:, None] + times).long()
        return self.training.frames(torch.tensor(shown), steps).float() / 255


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[LpcWide, LpcWide]:
    root = write_folder(tmp_path_factory.mktemp("wide"))
    config = LpcWideConfig(str(root), size=32, **{**FEW, "characters": 24, "test": 20})
    return LpcWide(config, "train"), LpcWide(config, "test")


def scores(model, splits) -> dict[str, float]:
    train, test = splits
    return evaluate_held_out(model, test, train, PAIRS, seed=0)


@pytest.fixture(scope="module")
def best(splits) -> dict[str, float]:
    return scores(Oracle(splits[1]), splits)


def test_oracle_recognises_everything(best) -> None:
    for measure in ("recognised", "recognised_garments", *(f"recognised_{slot}" for slot in SLOTS)):
        assert best[f"swap/{measure}"] == best[f"swap_true_action/{measure}"] == 1.0
        assert best[f"swap/{measure}_low"] == 1.0
        assert 0 < best[f"chance/{measure}"] < 0.5
    assert best["swap/psnr"] == 100.0
    assert best["swap/mse"] == 0.0
    assert best["n"] == PAIRS
    assert sum(best[f"judged/{slot}"] for slot in SLOTS) >= PAIRS


def test_blind_choice_is_right_as_often_as_chance(splits) -> None:
    blind = scores(Blind(splits[1]), splits)
    assert abs(blind["swap/recognised"] - blind["chance/recognised"]) < 0.12
    assert blind["swap/recognised_low"] < blind["chance/recognised"] < blind["swap/recognised_high"]


def test_noise_recognises_little(splits) -> None:
    noise = scores(Noise(splits[1]), splits)
    assert noise["swap/recognised"] < 0.6
    assert noise["swap/psnr"] < 12


def test_who_knows_training_characters_alone_recognises_nothing(splits, best) -> None:
    cheat = scores(NearestTrained(splits[1], splits[0]), splits)
    assert cheat["swap/recognised"] < 0.15
    assert cheat["swap/recognised_high"] < cheat["chance/recognised"]
    assert best["nearest_character/recognised"] < 0.1
    assert best["copy/psnr"] < 30


def test_each_slot_is_judged_by_itself(splits) -> None:
    wrong = scores(OneWrong(splits[1]), splits)
    assert wrong["swap/recognised_legs"] == 0.0
    assert all(wrong[f"swap/recognised_{slot}"] == 1.0 for slot in SLOTS if slot != "legs")
    assert wrong["swap/recognised_garments"] < wrong["swap/recognised"] < 1.0


def test_a_sheet_is_read_as_by_comparing_every_candidate(splits) -> None:
    source = splits[1]
    a, b = draw_pairs(source, 12, seed=3)
    shown = torch.randint(0, 256, (1, *a.frames().shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    seen = recognise_layers(source, a, b, shown)
    judged = 0
    for pair, clip in enumerate(a.clips.tolist()):
        for place, slot in enumerate(SLOTS):
            worn = int(source.labels[slot][clip])
            if not source.held[slot][worn]:
                assert seen.right[0, pair, place].isnan()
                continue
            errors = []
            for value in source.fitting(slot, int(source.labels["body"][clip])).tolist():
                labels = {name: source.labels[name][clip : clip + 1] for name in source.content} | {
                    "action": b.labels("action")[pair : pair + 1],
                    slot: torch.tensor([value]),
                }
                candidate = source.render(labels, b.times()[pair : pair + 1])[0]
                errors.append(((candidate.double() - shown[0, pair].double()).square().sum().item(), value))
            assert seen.right[0, pair, place] == float(min(errors)[1] == worn)
            assert seen.chance[pair, place] == pytest.approx(1 / len(errors))
            judged += 1
    assert judged >= 12


def test_hidden_sheets_are_not_judged(splits) -> None:
    source = splits[1]
    a, b = draw_pairs(source, 12, seed=0)
    covered = source.to(torch.device("cpu"))
    body = source.layers[0]
    covered.layers = (body, *(dataclasses.replace(part, palette=part.palette * 0) for part in source.layers[1:]))
    held = {slot: value > 0 for slot, value in source.held_out(a.clips).items()}
    seen = recognise_layers(covered, a, b, a.frames()[None])
    assert seen.hidden.tolist() == [0, *(int(held[slot].sum()) for slot in SLOTS[1:])]
    assert bool(seen.right[0, :, 1:].isnan().all())
    assert bool((seen.right[0, :, 0].isnan() == ~held["body"]).all())


def test_shares_count_each_clip_once() -> None:
    nan = torch.nan
    right = torch.tensor([[1.0, 0.0, nan, nan, nan], [nan, nan, nan, nan, 1.0], [nan, 1.0, 0.0, nan, nan]])
    read = shares(right)
    assert read["recognised"].tolist() == [0.5, 1.0, 0.5]
    assert read["recognised_garments"].nan_to_num(9).tolist() == [0.0, 9.0, 0.5]
    assert "recognised_torso" not in read
    assert "recognised_hair" in read


def test_training_split_is_refused(splits) -> None:
    with pytest.raises(ConfigError, match="take the test split"):
        evaluate_held_out(Oracle(splits[0]), splits[0], splits[0], 2, 0)


def test_sheets_of_ones_own_are_scored_apart(splits, best, tmp_path_factory) -> None:
    assert not any("own" in name for name in best)
    root = write_folder(tmp_path_factory.mktemp("own"))
    config = LpcWideConfig(str(root), size=32, **{**FEW, "characters": 24, "test": 20, "own": 3})
    train, test = LpcWide(config, "train"), LpcWide(config, "test")
    results = scores(Oracle(test), (train, test))
    worn = {slot: set(value[value > 0].tolist()) for slot, value in train.held_out(torch.arange(len(train))).items()}
    a, _ = draw_pairs(test, PAIRS, 0)
    mine = [
        any(int(test.labels[slot][clip]) in worn[slot] for slot in SLOTS if int(test.labels[slot][clip]))
        for clip in a.clips.tolist()
    ]
    assert 0 < sum(mine) < PAIRS
    assert results["own"] == sum(mine)
    assert results["swap/recognised_own"] == 1.0
    assert results["swap/psnr_own"] == results["swap/psnr_own_low"] == 100.0
    blind = scores(Blind(test), (train, test))
    assert blind["swap/recognised_own"] < 0.6
    assert abs(blind["copy/psnr_own"] - blind["copy/psnr"]) > 0
