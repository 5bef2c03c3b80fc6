"""How each kind of model is measured and shown: the table and the report of pictures, and those of motion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from rich.console import RenderableType

from kinema.data.lpc_wide import LpcWide
from kinema.data.motions import MotionSource
from kinema.data.pairs import PairSource
from kinema.data.source import Source
from kinema.evaluation.evaluate import evaluate
from kinema.evaluation.held_out import evaluate_held_out
from kinema.evaluation.motion_clips import FRAMES, TestClips
from kinema.evaluation.motion_protocol import evaluate_motion
from kinema.evaluation.motion_report import write_motion_report
from kinema.evaluation.motion_tables import motion_table
from kinema.evaluation.reconstruction import evaluate_reconstruction
from kinema.evaluation.report import write_report
from kinema.evaluation.scene_evaluate import chosen, evaluate_pairs, write_scene_report
from kinema.evaluation.table import NO_PAPER, PAPER, table


@dataclass(frozen=True)
class Told:
    """What a report tells besides what it measures itself."""

    title: str
    source: str
    """Name of the source of clips."""
    records: Sequence[Mapping[str, float | int]]
    """The lines of metrics.jsonl."""
    results: Mapping[str, float]
    """What `measure` gave, or nothing."""
    seed: int
    """Of the choice of clips that are shown."""


@runtime_checkable
class Evaluator(Protocol):
    """What the verbs ask of a kind of models."""

    def measure(
        self, model: Any, test: Any, train: Any, seed: int, count: int, device: torch.device
    ) -> dict[str, float]:
        """Every measure of a model on held-out clips, as one flat dict."""
        ...

    def table(self, results: Mapping[str, float], source: str) -> RenderableType:
        """The measures for the terminal, beside the published row where there is one for the source."""
        ...

    def report(self, directory: Path, model: Any, test: Any, told: Told, device: torch.device) -> None:
        """A page with pictures in `directory`, each file whole or not at all."""
        ...


class OfPictures:
    """HALO: swaps against the true swap, reconstruction, long rollouts."""

    papers: Mapping[str, Mapping[str, float]] = {"lpc": PAPER}
    """The published figures that are about a source's data."""

    def measure(
        self, model: Any, test: Source, train: Source, seed: int, count: int, device: torch.device
    ) -> dict[str, float]:
        if isinstance(test, LpcWide) and isinstance(train, LpcWide):  # too many looks to compare a clip with each
            found = evaluate_held_out(model, test, train, count, seed, device)
            return {"n": float(count), **found, **evaluate_reconstruction(model, test, count, seed, device)}
        return evaluate(model, test, train, seed, count, device=device)

    def table(self, results: Mapping[str, float], source: str) -> RenderableType:
        return table(results, self.papers.get(source, NO_PAPER))

    def report(self, directory: Path, model: Any, test: Source, told: Told, device: torch.device) -> None:
        paper = self.papers.get(told.source, NO_PAPER)
        write_report(directory, model, test, told.records, told.results, told.seed, told.title, paper, device)


class OfMotion:
    """Locomotion: errors at the published frames, feet, paths, spread."""

    def measure(
        self, model: Any, test: MotionSource, train: MotionSource, seed: int, count: int, device: torch.device
    ) -> dict[str, float]:
        del train, count, device  # all test clips are measured, by a model that a processor serves as fast
        return evaluate_motion(model, clips_of(model.cpu(), test), seed=seed)

    def table(self, results: Mapping[str, float], source: str) -> RenderableType:
        del source
        return motion_table(results)

    def report(self, directory: Path, model: Any, test: MotionSource, told: Told, device: torch.device) -> None:
        clips = clips_of(model, test)
        write_motion_report(directory, model.cpu(), clips, told.title, told.records, told.results, told.seed)
        model.to(device)


class OfPairs:
    """The renderer: manipulations of held-out scenes against the truth, and what each code holds alone."""

    def measure(
        self, model: Any, test: PairSource, train: PairSource, seed: int, count: int, device: torch.device
    ) -> dict[str, float]:
        del train
        return evaluate_pairs(model, test, seed, count, device)

    def table(self, results: Mapping[str, float], source: str) -> RenderableType:
        del source
        return table(chosen(results))

    def report(self, directory: Path, model: Any, test: PairSource, told: Told, device: torch.device) -> None:
        write_scene_report(directory, model, test, told.title, told.records, told.results, told.seed, device)


def clips_of(model: Any, test: MotionSource) -> TestClips:
    """The openings of a source's clips."""
    return TestClips.of(test.openings(FRAMES), model.domain)


EVALUATORS: dict[str, Evaluator] = {"pictures": OfPictures(), "pairs": OfPairs(), "motion": OfMotion()}
"""By what a family learns from."""
