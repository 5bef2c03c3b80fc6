"""All measures of a clip model as one flat dict."""

import torch

from kinema.data.source import Source, TruthSource
from kinema.evaluation.judge import Judge, NearestRendering
from kinema.evaluation.reconstruction import evaluate_reconstruction
from kinema.evaluation.swap import CPU, evaluate_swaps
from kinema.evaluation.unlabelled import without_labels
from kinema.models.base import ClipModel


def evaluate(
    model: ClipModel,
    test_source: Source,
    train_source: Source,
    seed: int,
    pairs: int,
    judge: Judge | None = None,
    device: torch.device = CPU,
) -> dict[str, float]:
    """Every measure that the test split allows, on `pairs` random clips or pairs of clips (``n``).

    A source that knows the true swap gives all of `evaluate_swaps`, judged by `judge` (the nearest true rendering where
    none is given) and `evaluate_reconstruction`; any other source gives the latter alone.
    """
    results = {"n": float(pairs)}
    model = without_labels(model)
    if isinstance(test_source, TruthSource):
        judge = judge or NearestRendering(test_source)
        results |= evaluate_swaps(model, test_source, train_source, pairs, seed, judge, device)
    return results | evaluate_reconstruction(model, test_source, pairs, seed, device)
