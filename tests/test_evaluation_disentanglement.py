import math

import pytest
import torch
from torch.testing import assert_close

from factored_doubles import (
    CheatContent,
    CheatMotion,
    Collapsed,
    ExactJudge,
    FactoredNoise,
    FactoredOracle,
    HalfLeak,
    OwnAction,
    Pasted,
    Static,
)
from kinema.errors import ClipError, RunError
from kinema.evaluation.disentanglement import (
    UNCONDITIONAL,
    balanced_clips,
    evaluate_disentanglement,
    leakage_card,
    other_clips,
    passes,
    stratified_means,
)
from toy import Toy

SOURCE = Toy()
JUDGE = ExactJudge(SOURCE)
COUNT = 216
MANY = 2160  # so that chance is known to within .01


def scores(double, count=COUNT):
    return evaluate_disentanglement(double(SOURCE), SOURCE, JUDGE, count, 0)


@pytest.fixture(scope="module")
def oracle():
    return scores(FactoredOracle, MANY)


def failed(results, **options):
    return {name for name, passed in passes(results, **options).items() if not passed}


def test_the_oracle_passes_all(oracle):
    assert failed(oracle) == set()
    for direction in ("prior motion", "real motion"):
        for name in ("action", "motion", "identity", *(f"kept {n}" for n in SOURCE.content)):
            assert oracle[f"{direction}/{name}"] == oracle[f"{direction}/{name}_low"] == 1.0
        assert oracle[f"{direction}/replaced action"] == pytest.approx(1 / 3, abs=1e-6)  # fed in apart from the own
        assert oracle[f"{direction}/n"] == MANY
    assert oracle["real motion/mse"] == 0
    assert oracle["real motion/ssim"] == pytest.approx(1)
    assert oracle["prior motion/H(y|x)"] == pytest.approx(0, abs=1e-9)
    assert oracle["prior motion/H(y)"] == pytest.approx(math.log(6))
    assert oracle["prior motion/H(y)_low"] == pytest.approx(math.log(6))  # balanced in every resample
    assert oracle["prior motion/IS"] == pytest.approx(6)
    assert oracle["sampled content/chance shape"] == pytest.approx(1 / 3)
    assert all(isinstance(value, float) for value in oracle.values())


def test_everything_in_content_fails():
    results = scores(CheatContent)
    assert results["prior motion/replaced action"] == results["prior motion/identity"] == 1.0
    for direction in ("prior motion", "real motion"):
        assert results[f"{direction}/action"] == pytest.approx(1 / 3, abs=1e-6)
    assert results["sampled content/action"] == pytest.approx(1 / 3, abs=0.12)
    assert results["prior motion/motion"] == pytest.approx(1 / 3, abs=1e-6)  # the direction is right
    wanted = {"prior motion/action", "real motion/action", "sampled content/action"}
    assert wanted <= failed(results)
    assert wanted - {"prior motion/action"} <= failed(results, bars=UNCONDITIONAL)


def test_everything_in_motion_fails():
    results = scores(CheatMotion)
    for direction in ("prior motion", "real motion", "sampled content"):
        assert results[f"{direction}/action"] == 1.0  # each accuracy alone is fooled
    assert results["real motion/kept colour"] == pytest.approx(1 / 4, abs=0.12)
    assert results["real motion/motion"] == pytest.approx(1 / 2, abs=0.12)  # the action is right
    assert results["sampled content/replaced colour"] == 1.0
    assert results["sampled content/H(y) colour"] == pytest.approx(math.log(4))
    for name in SOURCE.content:
        wanted = {f"{d}/kept {name}" for d in ("prior motion", "real motion")} | {f"sampled content/replaced {name}"}
        assert wanted <= failed(results)
        assert wanted - {f"prior motion/kept {name}"} <= failed(results, bars=UNCONDITIONAL)


def test_noise_fails_everywhere():
    results = scores(FactoredNoise)
    assert {"prior motion/action", "real motion/psnr", "sampled content/action"} <= failed(results)
    assert {f"real motion/kept {name}" for name in ("colour", "shape", "ground")} <= failed(results)


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (Collapsed, {f"sampled content/H(y) {name}" for name in SOURCE.content}),
        (Static, {"prior motion/action", "real motion/action"}),
        (OwnAction, {"prior motion/action"}),
        (Pasted, {"real motion/kept colour", "real motion/kept shape", "real motion/kept direction"}),
        (HalfLeak, {f"sampled content/replaced {name}" for name in SOURCE.content}),
    ],
)
def test_a_lesser_cheat_is_caught(cheat, caught_by):
    assert caught_by <= failed(scores(cheat))


def test_a_collapsed_content_is_at_chance_and_so_needs_the_diversity_rule():
    results = scores(Collapsed)
    for name in SOURCE.content:
        assert results[f"sampled content/replaced {name}"] == pytest.approx(results[f"sampled content/chance {name}"])
        assert results[f"sampled content/H(y) {name}"] == pytest.approx(0)


def test_a_judge_in_doubt_costs_entropy():
    class Doubting:
        def probabilities(self, frames):
            return {n: 0.9 * p + 0.1 / p.shape[1] for n, p in JUDGE.probabilities(frames).items()}

    results = evaluate_disentanglement(FactoredOracle(SOURCE), SOURCE, Doubting(), COUNT, 0)
    sure, rest = 0.9 + 0.1 / 6, 0.1 / 6
    expected = -sure * math.log(sure) - 5 * rest * math.log(rest)
    assert results["prior motion/H(y|x)"] == pytest.approx(expected, rel=1e-5)
    assert results["prior motion/IS"] == pytest.approx(6 * math.exp(-expected), rel=1e-5)
    assert {"prior motion/H(y|x)", "prior motion/IS", "sampled content/H(y|x) colour"} <= failed(results)


def test_nan_passes_nothing(oracle):
    assert not any(passes({k: v if "chance" in k or "classes" in k else math.nan for k, v in oracle.items()}).values())


def test_the_card_has_both_sides_of_each_direction(oracle):
    card = leakage_card(oracle)
    assert [(r.factor, r.kept) for r in card if r.direction == "sampled content"] == [
        ("action", True),
        *((name, False) for name in SOURCE.content),
    ]
    for direction in ("prior motion", "real motion"):
        rows = [r for r in card if r.direction == direction]
        assert {(r.factor, r.kept) for r in rows} == {
            ("action", True),
            ("action", False),
            *((name, True) for name in SOURCE.content),
        }
    assert all(abs(r.value - r.ideal) < 0.02 for r in card)
    leaking = leakage_card(scores(CheatMotion))
    assert any(not r.kept and r.value - r.ideal > 0.6 for r in leaking)


@pytest.mark.parametrize("count", [36, 48, 100, 216, 500])
def test_clips_and_actions_fed_in_are_balanced_and_independent(count):
    clips, fed = balanced_clips(SOURCE, count, torch.Generator().manual_seed(count))
    own, way = (SOURCE.labels[name][clips] for name in ("action", "direction"))
    views, fed_views, both = (
        x.bincount(minlength=n) for x, n in ((own * 2 + way, 6), (fed * 2 + way, 6), (own * 3 + fed, 9))
    )
    assert len(clips) == count
    assert views.max() - views.min() <= 1
    assert fed_views.max() - fed_views.min() <= 1  # a last, incomplete round favours no action
    assert both.max() - both.min() <= 2
    assert clips.bincount().max() == math.ceil(count / 216)  # none twice before all have been


def test_the_other_clip_does_the_action_and_is_of_another_identity():
    clips, fed = balanced_clips(SOURCE, 200, torch.Generator().manual_seed(1))
    others = other_clips(SOURCE, clips, fed, torch.Generator().manual_seed(2))
    assert torch.equal(SOURCE.labels["action"][others], fed)
    assert (SOURCE.identity[others] != SOURCE.identity[clips]).all()
    assert len(others.unique()) > 100


def test_one_clip_of_an_action_cannot_be_swapped():
    class Alone(Toy):
        def __init__(self):
            super().__init__()
            keep = torch.tensor([0, 2, 4])
            self.labels = {name: values[keep] for name, values in self.labels.items()}
            self.identity = self.identity[keep]

    clips, fed = torch.arange(3), Alone().labels["action"]
    with pytest.raises(ClipError, match="one clip alone"):
        other_clips(Alone(), clips, fed, torch.Generator())


def test_a_source_of_directed_actions_judges_them_all():
    class Directed(Toy):
        factors = {  # noqa: RUF012
            **{name: Toy.factors[name] for name in ("colour", "shape", "ground")},
            "action": tuple(f"{a} {d}" for a in Toy.factors["action"] for d in Toy.factors["direction"]),
        }
        content = ("colour", "shape", "ground")

        def render(self, factors, times):
            apart = {"action": factors["action"] // 2, "direction": factors["action"] % 2}
            return super().render({**factors, **apart}, times)

    class DirectedJudge:
        def probabilities(self, frames):
            seen = JUDGE.probabilities(frames)
            return {**seen, "action": seen["motion"]}

    source = Directed()
    results = evaluate_disentanglement(FactoredOracle(source), source, DirectedJudge(), COUNT, 0)
    assert results["prior motion/action"] == results["prior motion/motion"] == results["sampled content/action"] == 1.0
    assert results["prior motion/chance action"] == pytest.approx(1 / 6)
    assert results["prior motion/IS"] == pytest.approx(6)
    assert "prior motion/kept direction" not in results


def test_a_judge_without_the_joint_head_is_refused():
    class Old:
        def probabilities(self, frames):
            return {n: p for n, p in JUDGE.probabilities(frames).items() if n != "motion"}

    with pytest.raises(RunError, match="motion"):
        evaluate_disentanglement(FactoredOracle(SOURCE), SOURCE, Old(), 12, 0)


def test_stratified_means_stay_within_their_strata():
    values = torch.tensor([[1.0], [3.0], [10.0], [30.0], [50.0]], dtype=torch.float64)
    strata = torch.tensor([0, 0, 1, 1, 1])
    means = stratified_means(values, strata, 0, 20000)[:, 0]
    variance = (2 * 1.0 + 3 * values[2:].var(correction=0).item()) / 25
    assert means.mean().item() == pytest.approx(94 / 5, abs=0.15)
    assert means.var().item() == pytest.approx(variance, rel=0.05)
    alone = stratified_means(values, torch.arange(5), 0, 10)[:, 0]
    assert_close(alone, torch.full_like(alone, 94 / 5))
