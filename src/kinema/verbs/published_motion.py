"""Tables 1 and 2 of the VAE-LSTM, and what its parts and ours are good for."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from kinema.data.registry import build_source
from kinema.evaluation.families import clips_of
from kinema.evaluation.motion_protocol import DRAWS, evaluate_motion
from kinema.evaluation.motion_report import table_pictures
from kinema.evaluation.motion_tables import rows_ablation, rows_table1, rows_table2
from kinema.models.rivals.simple import ConstantControl, MeanPose, SimpleConfig, ZeroVelocity
from kinema.training.recipe import Recipe
from kinema.verbs.published import CLIPS, Measured, Published, Row

QUICK_DRAWS, QUICK_CLIPS = 4, 40


@lru_cache(maxsize=2)
def _motion_test(source: str, data: Any) -> Any:
    """The test split; reading motion capture takes a while, and all rows have the same."""
    return build_source(source, data, "test")


def motion_clips(model: Any, recipe: Recipe, quick: bool) -> Any:
    """The test clips of a recipe; the first of them with --quick."""
    clips = clips_of(model, _motion_test(recipe.source, recipe.data))
    return clips[torch.arange(min(len(clips), QUICK_CLIPS))] if quick else clips


def measure_motion(model: Any, recipe: Recipe, quick: bool, folder: Path) -> dict[str, float]:
    """`evaluate_motion` on the test clips of a recipe."""
    del folder
    clips = motion_clips(model, recipe, quick)
    results = evaluate_motion(model, clips, draws=QUICK_DRAWS if quick else DRAWS)
    return results | {CLIPS: float((clips.motion.joints.double().sum((2, 3)) * clips.valid).sum())}


def motion_pictures(kind: str) -> Callable[[Mapping[str, Measured], bool], Mapping[str, bytes]]:
    """The pictures of a table of ``pose`` or ``motion_predicted`` errors."""

    def made(rows: Mapping[str, Measured], quick: bool) -> Mapping[str, bytes]:
        first = next(iter(rows.values()))
        clips = motion_clips(first.model, first.recipe, quick)
        models = {name: row.model for name, row in rows.items()}
        return table_pictures(models, clips, kind, QUICK_DRAWS if quick else DRAWS, seed=0)

    return made


SMALL = {"training.steps": "160", "training.batch": "16", "model.units": "128"}
"""A recurrent rival with --quick."""
MOTION_ROWS = (
    Row("Kinema", "locomotion", quick={"training.steps": "240", "training.batch": "16"}),
    Row("VAE-LSTM", "locomotion-paper", quick={"training.steps": "160", "training.batch": "16"}),
    Row("ERD", "erd", quick=SMALL),
    Row("LSTM-3LR", "lstm-3lr"),
    Row("cRBM CD-1", "crbm-cd1"),
    Row("cRBM CD-15", "crbm-cd15"),
    Row("constant control", "locomotion", rule=partial(ConstantControl, SimpleConfig()), quick={}),
    Row("zero velocity", "locomotion", rule=partial(ZeroVelocity, SimpleConfig())),
    Row("mean pose", "locomotion", rule=partial(MeanPose, SimpleConfig()), quick={}),
)
MOTION_PAPER = (
    "Habibie, Holden, Schwarz, Yearsley and Komura: A Recurrent Variational Autoencoder for Human Motion Synthesis"
)
MOTION_TABLES: dict[str, Published] = {
    "motion-table1": Published(
        f"Motion error on held-out clips, after table 1 of {MOTION_PAPER} (BMVC 2017).",
        MOTION_ROWS,
        rows_table1,
        motion_pictures("motion_predicted"),
        measure_motion,
    ),
    "motion-table2": Published(
        f"Pose error on held-out clips, after table 2 of {MOTION_PAPER} (BMVC 2017).",
        MOTION_ROWS,
        rows_table2,
        motion_pictures("pose"),
        measure_motion,
    ),
    "motion-ablation": Published(
        "What each part of the model is good for, on held-out clips.",
        (
            MOTION_ROWS[0],
            MOTION_ROWS[1],
            Row("paper, vanilla LSTM cell", "locomotion-paper", {"model.cell": "lstm"}),
            Row("paper, unrolled", "locomotion-paper", {"model.unroll": "true"}),
            Row("paper, z at every step", "locomotion-paper", {"model.latent": "each"}),
            Row("Kinema, causal", "locomotion", {"model.causal": "true"}),
            Row("Kinema, positions", "locomotion", {"model.pose": "positions"}),
            Row("Kinema, no labels", "locomotion", {"model.labels": "false"}),
            Row("Kinema, never smoothed", "locomotion", {"model.smooth": "0"}),
            MOTION_ROWS[-1],
        ),
        rows_ablation,
        motion_pictures("pose"),
        measure_motion,
    ),
}
"""By name."""
