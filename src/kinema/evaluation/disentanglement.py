"""Does a model keep content and motion apart? Both directions of replacing one of them, and the card that sums it up.

``prior motion``: the content of a real clip, a motion drawn for an action (the HALO paper's direction).
``real motion``: the content of a real clip, the motion of another real clip, its action read by the model.
``sampled content``: the motion of a real clip, a content that is drawn (C-DSVAE's direction).

Accuracy, entropies and score of one direction say nothing of another: the truth of ``sampled content`` is balanced by
whoever chose the clips, and a model that keeps everything in its motion is perfect there until one looks at what was to
be replaced. So every direction has the factors that it must keep, against the truth, and those that it must lose,
against chance.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.errors import ClipError, RunError
from kinema.evaluation.bootstrap import CONFIDENCE, RESAMPLES, interval_over_clips
from kinema.evaluation.metrics import inception_score, inter_entropy, intra_entropy
from kinema.evaluation.swap import CPU, picture_scores, transfer
from kinema.evaluation.trained_judge import MOTION, OpinionJudge, attributes, motion_index, motion_names
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import FactoredModel

PRIOR_MOTION, REAL_MOTION, SAMPLED_CONTENT = "prior motion", "real motion", "sampled content"
Opinions = Mapping[str, Float[Tensor, "B _"]]
Scores = dict[str, Float[Tensor, " B"]]
"""One value for each clip, whose mean is the measure."""


@dataclass(frozen=True)
class Bars:
    """What a model must reach. Entropies count in shares of ln K, scores in shares of K, for K classes."""

    prior: bool = True
    """Whether an action can be asked for, so that drawn motions have a truth."""
    prior_action: float = 0.999
    prior_given: float = 0.006
    """Most H(y|x) of drawn motions, in nats."""
    prior_between: float = 0.99967
    """Least H(y) of drawn motions: 2.1965 of ln 9."""
    prior_score: float = 0.9933
    """Least IS of drawn motions: 8.94 of 9."""
    kept: float = 0.995
    real_action: float = 0.99
    psnr: float = 36.0
    """Against the true swap, in dB."""
    ssim: float = 0.99
    sampled_action: float = 0.9995
    replaced: float = 0.02
    """Greatest distance of a replaced factor from chance."""
    drawn_between: float = 0.949
    """Least H(y) of a drawn factor: 1.70 of ln 6."""
    drawn_given: float = 0.05
    """Most H(y|x) of a drawn factor, in nats."""


CONDITIONAL = Bars()
UNCONDITIONAL = Bars(prior=False, sampled_action=0.99, replaced=0.03)
"""For models that are told no action: what is drawn has no label to be measured against."""


def passes(results: Mapping[str, float], bars: Bars = CONDITIONAL) -> dict[str, bool]:
    """For each measure of `evaluate_disentanglement` that has a bar, whether it is reached; NaN reaches none.

    A model keeps content and motion apart where all are. Each bar can be reached by a cheat alone, which is why none
    counts without the others.
    """
    content = [n.removeprefix(f"{REAL_MOTION}/") for n in results if n.startswith(f"{REAL_MOTION}/kept ")]
    content = [name.removeprefix("kept ") for name in content if not name.endswith(("_low", "_high"))]
    verdicts: dict[str, bool] = {}

    def least(name: str, bar: float) -> None:
        verdicts[name] = results[name] >= bar

    def most(name: str, bar: float) -> None:
        verdicts[name] = results[name] <= bar

    if bars.prior:
        classes = results[f"{PRIOR_MOTION}/classes"]
        least(f"{PRIOR_MOTION}/action", bars.prior_action)
        most(f"{PRIOR_MOTION}/H(y|x)", bars.prior_given)
        least(f"{PRIOR_MOTION}/H(y)", bars.prior_between * math.log(classes))
        least(f"{PRIOR_MOTION}/IS", bars.prior_score * classes)
    for direction in (PRIOR_MOTION, REAL_MOTION) if bars.prior else (REAL_MOTION,):
        for name in content:
            least(f"{direction}/kept {name}", bars.kept)
    least(f"{REAL_MOTION}/action", bars.real_action)
    for name, bar in (("psnr", bars.psnr), ("ssim", bars.ssim)):
        if f"{REAL_MOTION}/{name}" in results:
            least(f"{REAL_MOTION}/{name}", bar)
    least(f"{SAMPLED_CONTENT}/action", bars.sampled_action)
    for name in content:
        chance = results[f"{SAMPLED_CONTENT}/chance {name}"]
        replaced = f"{SAMPLED_CONTENT}/replaced {name}"
        verdicts[replaced] = abs(results[replaced] - chance) <= bars.replaced
        least(f"{SAMPLED_CONTENT}/H(y) {name}", bars.drawn_between * math.log(1 / chance))
        most(f"{SAMPLED_CONTENT}/H(y|x) {name}", bars.drawn_given)
    return verdicts


@dataclass(frozen=True)
class CardRow:
    """One line of the two-sided leakage card."""

    direction: str
    factor: str
    kept: bool
    """Whether the factor was to be kept; otherwise it was to be lost."""
    value: float
    """How often it is that of the real clip that it could have been taken from."""
    ideal: float
    """1 for a factor to be kept, chance for one to be lost."""


def leakage_card(results: Mapping[str, float]) -> list[CardRow]:
    """What each direction had to keep and to lose, from the results of `evaluate_disentanglement`."""
    card = []
    for direction in (PRIOR_MOTION, REAL_MOTION, SAMPLED_CONTENT):
        card.append(CardRow(direction, "action", True, results[f"{direction}/action"], 1.0))
        for name, value in results.items():
            where, _, measure = name.partition("/")
            kind, _, factor = measure.partition(" ")
            if where == direction and kind in ("kept", "replaced") and not factor.endswith(("_low", "_high")):
                ideal = 1.0 if kind == "kept" else results[f"{direction}/chance {factor}"]
                card.append(CardRow(direction, factor, kind == "kept", value, ideal))
    return card


@torch.no_grad()
def evaluate_disentanglement(
    model: FactoredModel,
    source: Source,
    judge: OpinionJudge,
    count: int,
    seed: int,
    device: torch.device = CPU,
    directions: Sequence[str] = (PRIOR_MOTION, REAL_MOTION, SAMPLED_CONTENT),
) -> dict[str, float]:
    """Both directions of `source`, the test split, on `count` real clips each, as ``DIRECTION/MEASURE``.

    The real clips are balanced over their action and direction, the actions fed in over the clips and apart from the
    clips' own; all clips are used once before one is used again. Every measure has the ends of its 95 % interval over
    clips (``_low``, ``_high``), every direction its ``n``. Intervals of a measure that no clip misses have no width;
    for the n clips that were seen 3 / n is the usual bound on the share of misses.

    ``prior motion`` and ``real motion``: ``action`` (accuracy against the action fed in, or against the motion's own),
    ``motion`` (with the direction, where that is the content's), ``kept FACTOR`` of the content, ``identity`` (all
    attributes together), and ``replaced action``: how often the content clip's own action is seen, with ``chance
    action``. ``prior motion`` also has ``H(y|x)``, ``H(y)`` (nats) and ``IS`` over the joint ``classes``, and ``real
    motion`` has ``mse``, ``psnr`` (dB) and ``ssim`` against the true swap where the source knows it.

    ``sampled content``: ``action`` (accuracy against the clip's own), ``replaced FACTOR``: how often the motion clip's
    own value is seen, with ``chance FACTOR``; ``H(y|x) FACTOR``, ``H(y) FACTOR`` and ``IS FACTOR`` of what was drawn.

    Chance is 1 / values. It is what any content agrees in that is independent of clips balanced over that factor,
    whatever its own distribution; the share of the most frequent value would let a model that always draws the same
    move its own bar. Such a model is at chance here, and is caught by ``H(y)``.

    `directions` leaves some out. Pictures are rounded to 8 bits, as in a file. Raises RunError for a judge without the
    joint head, ClipError where an action is done by one clip alone.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen, action = balanced_clips(source, count, generator)
    real = draw_windows(source, chosen, generator)
    other = draw_windows(source, other_clips(source, chosen, action, generator), generator)

    def prior(frames: Tensor, times: Tensor, action: Tensor) -> Tensor:
        given = floats(frames).to(device), action.to(device), times.to(device)
        return pixels(model.with_prior_motion(*given, generator))

    def sampled(frames: Tensor, times: Tensor) -> Tensor:
        return pixels(model.with_sampled_content(floats(frames).to(device), times.to(device), None, generator))

    def judged(frames: UInt8[Tensor, "B T C H W"]) -> Opinions:
        opinions = judge.probabilities(frames)
        if MOTION not in opinions:
            raise RunError(f"judge: it has no head {MOTION!r}; one fitted by fit_judge to this source has")
        return opinions

    results: dict[str, float] = {}
    if PRIOR_MOTION in directions:
        seen = judged(batched(prior, real.frames(), real.elapsed(), action))
        results |= _summary(PRIOR_MOTION, _content_scores(real, action, seen), seed)
        results |= _spread(PRIOR_MOTION, seen[MOTION], motion_index(source, action, chosen), seed)
    if REAL_MOTION in directions:
        swapped = transfer(model, real, other, device)
        scores = _content_scores(real, action, judged(swapped))
        if isinstance(source, TruthSource):
            truth = batched(source.truth, real.clips, other.clips, other.times())
            scores |= picture_scores(swapped, truth)
        results |= _summary(REAL_MOTION, scores, seed)
    if SAMPLED_CONTENT in directions:
        seen = judged(batched(sampled, real.frames(), real.elapsed()))
        results |= _summary(SAMPLED_CONTENT, _motion_scores(real, seen), seed)
        for name in source.content:
            results |= _spread(SAMPLED_CONTENT, seen[name], torch.zeros_like(chosen), seed, f" {name}")
    for direction, lost in ((PRIOR_MOTION, ["action"]), (REAL_MOTION, ["action"]), (SAMPLED_CONTENT, source.content)):
        if direction not in directions:
            continue
        results |= {f"{direction}/chance {name}": 1 / len(source.factors[name]) for name in lost}
        results[f"{direction}/n"] = float(count)
    return results | {f"{PRIOR_MOTION}/classes": float(len(motion_names(source)))}


def balanced_clips(
    source: Source, count: int, generator: torch.Generator
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Random clips, every action and direction equally often (to within one), and an action to feed in for each.

    The actions fed in are equally frequent (to within one) among the clips of any one action and direction, so that
    they say nothing of the clip's own.
    """
    rounds = math.ceil(count / len(source))
    clips = torch.cat([torch.randperm(len(source), generator=generator) for _ in range(rounds)])
    own = source.labels["action"].cpu()[clips]
    view = motion_index(source, own, clips)
    order = view.argsort(stable=True)
    sizes = view.bincount()
    rank = torch.empty_like(view)
    rank[order] = torch.arange(len(view)) - (sizes.cumsum(0) - sizes)[view[order]]
    taken = rank.argsort(stable=True)[:count]
    # Counted from another action in each view, so that a last, incomplete round favours none.
    first = own + view % max(1, len(motion_names(source)) // len(source.actions))
    return clips[taken], ((rank + first) % len(source.actions))[taken]


def other_clips(
    source: Source, clips: Int[Tensor, " B"], action: Int[Tensor, " B"], generator: torch.Generator
) -> Int[Tensor, " B"]:
    """For each clip a random one that does the action, of another identity where there is one, else another clip.

    Raises ClipError where no other clip does the action.
    """
    actions, identity = source.labels["action"].cpu(), source.identity.cpu()
    everyone = torch.arange(len(source))

    def draw(clips: Tensor, action: Tensor) -> Tensor:
        doing = actions == action[:, None]
        strangers = doing & (identity != identity[clips][:, None])
        others = doing & (everyone != clips[:, None])
        allowed = torch.where(strangers.any(1, keepdim=True), strangers, others)
        if not bool(allowed.any(1).all()):
            raise ClipError(f"{source.name}: an action is done by one clip alone; two are needed to swap motions")
        return allowed.float().multinomial(1, generator=generator)[:, 0]

    return batched(draw, clips, action)


def _content_scores(real: Windows, action: Int[Tensor, " B"], seen: Opinions) -> Scores:
    """Of clips that have the content of `real` and do `action`."""
    read = {name: opinion.argmax(1) for name, opinion in seen.items()}
    kept = {name: read[name] == real.labels(name) for name in real.source.content}
    right = {
        "action": read["action"] == action,
        "motion": read[MOTION] == motion_index(real.source, action, real.clips),
        **{f"kept {name}": values for name, values in kept.items()},
        "identity": torch.stack([kept[name] for name in attributes(real.source)]).all(0),
        "replaced action": read["action"] == real.labels("action"),
    }
    return {name: values.float() for name, values in right.items()}


def _motion_scores(real: Windows, seen: Opinions) -> Scores:
    """Of clips that have the motion of `real` and a content that was drawn."""
    replaced = {f"replaced {name}": (seen[name].argmax(1) == real.labels(name)).float() for name in real.source.content}
    return {"action": (seen["action"].argmax(1) == real.labels("action")).float(), **replaced}


def _summary(direction: str, scores: Scores, seed: int) -> dict[str, float]:
    """The mean of each measure and its interval."""
    values = torch.stack(list(scores.values()), 1)
    columns = zip(scores, values.mean(0), *interval_over_clips(values, seed), strict=True)
    return {
        f"{direction}/{name}{end}": float(value)
        for name, *figures in columns
        for end, value in zip(("", "_low", "_high"), figures, strict=True)
    }


def _spread(
    direction: str, opinion: Float[Tensor, "N K"], strata: Int[Tensor, " N"], seed: int, of: str = ""
) -> dict[str, float]:
    """H(y|x), H(y) and IS, and their intervals from clips resampled within `strata`.

    The classes fed in are balanced on purpose; resampling them freely would put the whole interval below the estimate.
    """
    measures: dict[str, Callable[[Tensor], Tensor]] = {
        "H(y|x)": intra_entropy,
        "H(y)": inter_entropy,
        "IS": inception_score,
    }
    exact = opinion.double()
    sums = torch.cat([exact, torch.special.entr(exact).sum(1, keepdim=True)], 1)
    means = stratified_means(sums, strata, seed)
    within, between = means[:, -1], torch.special.entr(means[:, :-1]).sum(1)
    tail = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)
    ends = {"H(y|x)": within, "H(y)": between, "IS": (between - within).exp()}
    results = {}
    for name, measure in measures.items():
        low, high = ends[name].quantile(tail).tolist()
        results[f"{direction}/{name}{of}"] = measure(exact).item()
        results |= {f"{direction}/{name}{of}_low": low, f"{direction}/{name}{of}_high": high}
    return results


def stratified_means(
    values: Float[Tensor, "N M"], strata: Int[Tensor, " N"], seed: int, resamples: int = RESAMPLES
) -> Float[Tensor, "R M"]:
    """The means of resampled rows, every row replaced by one of its own stratum (Efron and Tibshirani 1993, ch. 8)."""
    order = strata.argsort(stable=True)
    _, place, sizes = strata[order].unique_consecutive(return_inverse=True, return_counts=True)
    first, size = (sizes.cumsum(0) - sizes)[place], sizes[place]
    generator = torch.Generator().manual_seed(seed)
    means = []
    for part in torch.arange(resamples).split(100):  # 100 resamples of 20,000 clips are 50 MB
        draw = torch.rand(len(part), len(values), generator=generator, dtype=torch.float64)
        chosen = first + (draw * size).long()
        weights = torch.zeros_like(draw).scatter_add_(1, chosen, torch.ones_like(draw))
        means.append(weights @ values[order] / len(values))
    return torch.cat(means)
