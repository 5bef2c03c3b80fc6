"""What can be read from a model's codes of real clips, by a linear classifier and by a small network.

A judge sees what the decoder shows; a probe sees what a code holds, shown or not. Each learns on some clips and is
counted on others:

* by identity, no identity on both sides: the content is asked for the motion's factors, the trajectory for the
  content's;
* by clip, every identity on both sides: the trajectory is asked who moves. An identity that was never learned cannot
  be named, so this question has no other division; it may be answered by any attribute that leaks, and says nothing of
  strangers.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from kinema.data.source import Source
from kinema.errors import ClipError
from kinema.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from kinema.evaluation.swap import CPU
from kinema.evaluation.windows import batched, draw_windows, floats
from kinema.models.base import FactoredModel

SHARES = (0.6, 0.8)
"""Where the part that is learned ends, and the part that chooses the weight decay; the rest is held out."""
DECAYS = (3e-1, 3e-2, 3e-3, 3e-4)
"""Weights of half the squared norm of a probe's weights, beside the mean cross-entropy in nats; strongest first."""
HIDDEN, STEPS, RATE = 64, 200, 5e-3
"""Of the network: hidden units, and full-batch steps of Adam at this rate."""
FLAT = 1e-6
"""A coordinate that deviates less than this, beside the largest, counts as constant and is left out."""


@dataclass(frozen=True, eq=False)
class Division:
    """Which clips are learned from, which choose the weight decay, and which are counted."""

    learned: Int[Tensor, " L"]
    chosen: Int[Tensor, " V"]
    held_out: Int[Tensor, " H"]


def by_identity(identity: Int[Tensor, " N"], seed: int) -> Division:
    """A division in which no identity is in two parts; its random shares are those of `SHARES`.

    Raises ClipError for fewer than three identities.
    """
    _, number = identity.unique(return_inverse=True)
    count = int(number.max()) + 1
    if count < 3:
        raise ClipError(f"probes: {count} identities; three at least are needed to hold some out")
    place = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    first = min(max(1, round(SHARES[0] * count)), count - 2)
    second = min(max(first + 1, round(SHARES[1] * count)), count - 1)
    return _divided(place[number].double(), float(first), float(second))


def by_clip(identity: Int[Tensor, " N"], seed: int) -> Division:
    """A division in which every identity's clips are shared out by `SHARES`, at random.

    One clip of an identity is learned from; a second helps to choose; from the third on some are held out. Raises
    ClipError where none is.
    """
    shuffle = torch.randperm(len(identity), generator=torch.Generator().manual_seed(seed))
    _, number, sizes = identity[shuffle].unique(return_inverse=True, return_counts=True)
    order = number.argsort(stable=True)
    rank = torch.arange(len(identity)) - (sizes.cumsum(0) - sizes)[number[order]]
    share = torch.empty(len(identity), dtype=torch.float64)
    share[shuffle[order]] = (rank.double() + 0.5) / sizes[number[order]]
    division = _divided(share, *SHARES)
    if not len(division.held_out):
        raise ClipError("probes: no identity has three clips; one to learn, one to choose and one to count are needed")
    return division


def linear_probe(
    codes: Float[Tensor, "N D"], labels: Int[Tensor, " N"], classes: int, division: Division
) -> Int[Tensor, " H"]:
    """The values read from the held-out codes by logistic regression (L-BFGS), which has no choice but its decay.

    Codes are standardised by those learned from; the weight decay of `DECAYS` with the least cross-entropy on the
    choosing part is taken, each fitted from the one before.
    """
    x, y = standardised(codes, division.learned), labels
    weight = x.new_zeros(x.shape[1], classes, requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    best, answer = math.inf, y[division.held_out]
    for decay in DECAYS:
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, history_size=10, line_search_fn="strong_wolfe")

        def closure(optimiser: torch.optim.LBFGS = optimiser, decay: float = decay) -> Tensor:
            optimiser.zero_grad()
            fit = functional.cross_entropy(x[division.learned] @ weight + bias, y[division.learned])
            loss = fit + 0.5 * decay * weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)  # pyright: ignore[reportArgumentType] - a closure gives a Tensor
        with torch.no_grad():
            logits = x @ weight + bias
            loss = functional.cross_entropy(logits[division.chosen], y[division.chosen]).item()
            if loss < best:
                best, answer = loss, logits[division.held_out].argmax(1)
    return answer


def network_probe(
    codes: Float[Tensor, "N D"], labels: Int[Tensor, " N"], classes: int, division: Division, seed: int
) -> Int[Tensor, " H"]:
    """As `linear_probe`, by a network of one hidden layer (GELU); all decays are learned abreast.

    The decay and the step with the least cross-entropy on the choosing part are taken together.
    """
    x, y = standardised(codes, division.learned).float(), labels
    generator = torch.Generator().manual_seed(seed)
    count, width = len(DECAYS), x.shape[1]
    first = torch.randn(width, HIDDEN, generator=generator) / max(width, 1) ** 0.5
    second = torch.randn(HIDDEN, classes, generator=generator) / HIDDEN**0.5
    sizes = (first, torch.zeros(1, HIDDEN), second, torch.zeros(1, classes))
    parts = [part.repeat(count, 1, 1).to(x.device).requires_grad_() for part in sizes]
    decays = torch.tensor(DECAYS, device=x.device)
    optimiser = torch.optim.Adam(parts, RATE)
    best, answer = math.inf, y[division.held_out]

    def logits(rows: Tensor) -> Float[Tensor, "R n K"]:
        return functional.gelu(x[rows] @ parts[0] + parts[1]) @ parts[2] + parts[3]

    def losses(rows: Tensor) -> Float[Tensor, " R"]:
        return -logits(rows).log_softmax(2)[:, torch.arange(len(rows)), y[rows]].mean(1)

    for step in range(STEPS):
        norms = parts[0].square().sum((1, 2)) + parts[2].square().sum((1, 2))
        optimiser.zero_grad()
        (losses(division.learned) + 0.5 * decays * norms).sum().backward()
        optimiser.step()
        if step % 5 == 4:
            with torch.no_grad():
                reached = losses(division.chosen)
                if reached.min().item() < best:
                    best = reached.min().item()
                    answer = logits(division.held_out)[int(reached.argmin())].argmax(1)
    return answer


def standardised(codes: Float[Tensor, "N D"], learned: Int[Tensor, " L"]) -> Float[Tensor, "N D"]:
    """Codes with mean 0 and deviation 1 over those learned from, in double precision; constant ones become 0."""
    x = codes.double()
    centre, deviation = x[learned].mean(0), x[learned].std(0, correction=0)
    told = deviation > FLAT * deviation.max() if deviation.numel() else deviation > 0
    return torch.where(told, (x - centre) / torch.where(told, deviation, 1.0), 0.0)


def probe(
    codes: Float[Tensor, "N D"],
    labels: Int[Tensor, " N"],
    classes: int,
    identity: Int[Tensor, " N"],
    division: Division,
    seed: int,
) -> dict[str, float]:
    """``linear`` and ``network``: accuracy on the held-out clips; ``chance``: the share of the commonest value.

    Chance counts all clips, held out or not: what the best constant answer can expect, which the few held-out
    identities alone would tell too uncertainly. The intervals (``_low``, ``_high``) resample identities, as the clips
    of one are answered alike: ``n`` counts the held-out clips, but ``identities`` is what an attribute's figures rest
    on.
    """
    told, who = labels[division.held_out], identity[division.held_out]
    answers = {
        "linear": linear_probe(codes, labels, classes, division),
        "network": network_probe(codes, labels, classes, division, seed),
    }
    results = {
        "n": float(len(told)),
        "identities": float(len(who.unique())),
        "chance": labels.bincount().max().item() / len(labels),
    }
    for name, answer in answers.items():
        right = (answer == told).double().cpu()
        low, high = cluster_interval(right, who, seed)
        results |= {name: right.mean().item(), f"{name}_low": low, f"{name}_high": high}
    return results


def cluster_interval(values: Float[Tensor, " N"], cluster: Int[Tensor, " N"], seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean of values that come in clusters, from resampled clusters (Efron 1979)."""
    _, number = cluster.unique(return_inverse=True)
    sums = values.new_zeros(int(number.max()) + 1).index_add_(0, number, values)
    sizes = number.bincount().to(values)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(sums), (RESAMPLES, len(sums)), generator=generator)
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = means.quantile(torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).to(means)).tolist()
    return low, high


@torch.no_grad()
def evaluate_probes(
    model: FactoredModel, source: Source, count: int, seed: int, device: torch.device = CPU
) -> dict[str, float]:
    """Probes of the codes of about `count` clips of `source`, the test split: whole identities drawn at random.

    ``probe/content to FACTOR/...`` for every factor that is not content, ``probe/trajectory to FACTOR/...`` for every
    content factor, both by identity, and ``probe/trajectory to identity/...`` by clip, left out where identities have
    fewer than three clips. Each has the figures of `probe`. The trajectory is the whole state at all frames of a
    window, which begins where `draw_windows` may; the action is read by the model. Raises ClipError for fewer than
    three identities.
    """
    generator = torch.Generator().manual_seed(seed)
    clips = whole_identities(source, count, generator)
    windows = draw_windows(source, clips, generator)

    def both(frames: Tensor, times: Tensor) -> Tensor:
        z, states = model.codes(floats(frames).to(device), times.to(device), None)
        return torch.cat([states.flatten(1).double(), z.double()], 1)  # content last: its size is known below

    sample = model.codes(floats(windows.frames()[:1]).to(device), windows.elapsed()[:1].to(device), None)[0]
    codes = batched(both, windows.frames(), windows.elapsed())
    trajectory, content = codes.tensor_split([codes.shape[1] - sample.shape[1]], 1)
    _, who = source.identity.cpu()[clips].unique(return_inverse=True)
    apart = by_identity(who, seed)
    questions = [("content", content, name) for name in source.factors if name not in source.content]
    questions += [("trajectory", trajectory, name) for name in source.content]
    results: dict[str, float] = {}

    def ask(name: str, codes: Tensor, labels: Tensor, classes: int, division: Division) -> None:
        with torch.enable_grad():
            figures = probe(codes, labels, classes, who, division, seed)
        results.update({f"probe/{name}/{key}": value for key, value in figures.items()})

    for code, values, name in questions:
        ask(f"{code} to {name}", values, windows.labels(name), len(source.factors[name]), apart)
    if int(who.bincount().max()) >= 3:
        ask("trajectory to identity", trajectory, who, int(who.max()) + 1, by_clip(who, seed))
    return results


def whole_identities(source: Source, count: int, generator: torch.Generator) -> Int[Tensor, " B"]:
    """All clips of as many random identities as come nearest to `count` clips, three at least where there are."""
    _, who, sizes = source.identity.cpu().unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(sizes), generator=generator)
    reached = sizes[order].cumsum(0)
    wanted = min(len(sizes), max(3, int((reached - count).abs().argmin()) + 1))
    taken = torch.zeros(len(sizes), dtype=torch.bool)
    taken[order[:wanted]] = True
    return torch.nonzero(taken[who])[:, 0]


def _divided(place: Float[Tensor, " N"], first: float, second: float) -> Division:
    parts = (place < first, (place >= first) & (place < second), place >= second)
    return Division(*(torch.nonzero(part)[:, 0] for part in parts))
