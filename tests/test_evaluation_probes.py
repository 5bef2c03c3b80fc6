import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from factored_doubles import CheatContent, CheatMotion, FactoredNoise, FactoredOracle
from kinema.errors import ClipError
from kinema.evaluation import probes
from kinema.evaluation.probes import (
    by_clip,
    by_identity,
    cluster_interval,
    evaluate_probes,
    linear_probe,
    network_probe,
    probe,
    standardised,
    whole_identities,
)
from toy import Toy

SOURCE = Toy()
IDENTITY = torch.arange(60).repeat_interleave(9)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parts(division):
    return [set(part.tolist()) for part in (division.learned, division.chosen, division.held_out)]


def test_by_identity_parts_no_identity():
    learned, chosen, held_out = parts(by_identity(IDENTITY, 0))
    assert len(learned) + len(chosen) + len(held_out) == len(learned | chosen | held_out) == 540
    who = [{int(IDENTITY[row]) for row in part} for part in (learned, chosen, held_out)]
    assert sum(map(len, who)) == len(set.union(*who))
    assert [len(w) for w in who] == [36, 12, 12]


def test_by_clip_has_every_identity_on_both_sides():
    learned, chosen, held_out = parts(by_clip(IDENTITY, 0))
    assert len(learned | chosen | held_out) == len(learned) + len(chosen) + len(held_out) == 540
    for part, each in ((learned, 5), (chosen, 2), (held_out, 2)):
        assert torch.bincount(IDENTITY[sorted(part)]).tolist() == [each] * 60
    assert parts(by_clip(IDENTITY, 1))[0] != learned


def test_too_few_are_refused():
    with pytest.raises(ClipError, match="2 identities"):
        by_identity(torch.tensor([4, 4, 9]), 0)
    with pytest.raises(ClipError, match="three clips"):
        by_clip(torch.arange(9), 0)
    assert [len(part) for part in parts(by_identity(torch.arange(3), 0))] == [1, 1, 1]


def test_the_linear_probe_is_the_logistic_regression_of_scipy(monkeypatch):
    monkeypatch.setattr(probes, "DECAYS", (0.05,))
    x, y = noise(90, 4).double(), torch.arange(90) % 3
    x[:, 0] += y
    division = by_identity(torch.arange(90), 0)
    known = standardised(x, division.learned).numpy()
    at, label = known[division.learned], y[division.learned].numpy()

    def objective(w):
        w, b = w[:12].reshape(4, 3), w[12:]
        logits = at @ w + b
        top = logits.max(1, keepdims=True)
        normal = top[:, 0] + np.log(np.exp(logits - top).sum(1))
        return (normal - logits[np.arange(len(at)), label]).mean() + 0.025 * (w**2).sum()

    found = minimize(objective, np.zeros(15), tol=1e-10).x
    expected = (known[division.held_out] @ found[:12].reshape(4, 3) + found[12:]).argmax(1)
    assert linear_probe(x, y, 3, division).tolist() == expected.tolist()


def test_probes_find_what_is_there_and_only_the_network_what_is_bent():
    x, division = noise(540, 2), by_identity(IDENTITY, 0)
    straight, bent = (x[:, 0] > 0.2).long(), (x[:, 0] * x[:, 1] > 0).long()
    figures = [probe(x, y, 2, IDENTITY, division, 0) for y in (straight, bent)]
    assert figures[0]["linear"] > 0.95
    assert figures[0]["network"] > 0.95
    assert figures[1]["network"] > 0.9
    assert figures[1]["linear"] < 0.65


@pytest.mark.parametrize("width", [2, 400])
def test_noise_gives_chance_even_in_more_dimensions_than_clips(width):
    labels = torch.arange(540) % 3
    figures = probe(noise(540, width), labels, 3, IDENTITY, by_identity(IDENTITY, 0), 0)
    assert figures["chance"] == pytest.approx(1 / 3)
    assert figures["n"] == 108
    for name in ("linear", "network"):
        assert figures[name] == pytest.approx(1 / 3, abs=0.13)
        assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]


def test_what_marks_the_learned_identities_alone_is_worth_nothing_on_others():
    codes = torch.eye(60)[IDENTITY]  # a code that is the identity's number holds no attribute of a stranger
    attribute = torch.randint(3, (60,), generator=torch.Generator().manual_seed(5))[IDENTITY]
    apart = probe(codes, attribute, 3, IDENTITY, by_identity(IDENTITY, 0), 0)
    mixed = probe(codes, attribute, 3, IDENTITY, by_clip(IDENTITY, 0), 0)
    assert max(apart["linear"], apart["network"]) <= apart["chance"] + 0.15  # 12 identities
    assert min(mixed["linear"], mixed["network"]) == 1.0


def test_chance_is_the_share_of_the_commonest_value():
    labels = (torch.arange(540) % 9 > 6).long()
    figures = probe(torch.zeros(540, 3), labels, 2, IDENTITY, by_identity(IDENTITY, 0), 0)
    assert figures["linear"] == figures["network"] == figures["chance"] == pytest.approx(7 / 9)
    assert figures["identities"] == 12


def test_codes_are_standardised_by_those_learned_from_and_constants_left_out():
    codes = torch.tensor([[0.0, 5.0, 1.0], [2.0, 5.0, 1.0], [10.0, 6.0, 1.0 + 1e-9]])
    shown = standardised(codes, torch.tensor([0, 1]))
    assert shown.tolist() == [[-1, 0, 0], [1, 0, 0], [9, 0, 0]]


def test_the_interval_is_as_wide_as_clusters_are_few():
    right = (torch.arange(40) % 2).double()
    alone = cluster_interval(right.repeat_interleave(9), torch.arange(360), 0)
    together = cluster_interval(right.repeat_interleave(9), torch.arange(40).repeat_interleave(9), 0)
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * (0.25 / 360) ** 0.5, rel=0.1)
    assert together[1] - together[0] == pytest.approx(2 * 1.96 * (0.25 / 40) ** 0.5, rel=0.15)


def test_whole_identities_are_drawn():
    clips = whole_identities(SOURCE, 100, torch.Generator().manual_seed(0))
    taken = SOURCE.identity[clips].unique(return_counts=True)[1]
    assert taken.tolist() == [6] * 17


def found(double):
    return evaluate_probes(double(SOURCE), SOURCE, 216, 0)


def best(results, question):
    return max(results[f"probe/{question}/{name}"] for name in ("linear", "network"))


QUESTIONS = ["content to action", *(f"trajectory to {name}" for name in (*SOURCE.content, "identity"))]


def test_nothing_leaks_from_the_oracle_and_from_noise():
    for double in (FactoredOracle, FactoredNoise):
        results = found(double)
        assert {name.split("/")[1] for name in results} == set(QUESTIONS)
        for question in QUESTIONS:
            assert best(results, question) <= results[f"probe/{question}/chance"] + 0.2, (double, question)


def test_a_content_that_holds_all_tells_the_action():
    results = found(CheatContent)
    assert results["probe/content to action/linear"] == results["probe/content to action/network"] == 1.0


def test_a_motion_that_holds_all_tells_everything_else():
    results = found(CheatMotion)
    for question in QUESTIONS[1:]:
        assert best(results, question) >= 0.95, question
    assert results["probe/content to action/linear"] <= results["probe/content to action/chance"]


def test_answers_are_repeatable_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    x, labels, division = noise(90, 3), torch.arange(90) % 3, by_identity(torch.arange(90), 0)
    first, second = (network_probe(x, labels, 3, division, 7) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
