"""Judges that the rows of a table share: trained on real clips, audited, and kept beside the rows."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kinema.data.source import Source, TruthSource
from kinema.evaluation.paper_judge import PaperJudge
from kinema.evaluation.table import write_whole
from kinema.evaluation.trained_judge import JudgeNetwork, TrainedJudge, audited, fit_judge

JUDGES: Mapping[str, type[JudgeNetwork]] = {"ours": TrainedJudge, "paper": PaperJudge}
"""By what a table calls them."""
AUDITED = 2000
"""Real clips, and true swaps, that a judge is tried on."""


def judge_of(
    kind: str, asked: Mapping[str, Any], train: Source, test: Source, steps: int, folder: Path, refuse: bool
) -> tuple[JudgeNetwork, dict[str, float]]:
    """A judge of `JUDGES`, trained where it is not kept, and its audit, ``KIND judge/real/FACTOR`` and ``swap``.

    `asked` is what decides the data. It is trained on `train` and tried on `test`, the split of the models' test.
    Raises RunError, where `refuse`, for a judge that is not fit to judge.
    """
    words = json.dumps({"kind": kind, "data": dict(asked), "steps": steps}, sort_keys=True, default=str)
    name = f"judge-{kind}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    weights, report = folder / f"{name}.safetensors", folder / f"{name}.json"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if weights.is_file() and report.is_file():
        judge = JUDGES[kind].load(weights).to(device)
        figures = json.loads(report.read_text(encoding="utf-8"))["audit"]
    else:
        judge = fit_judge(train, steps, seed=0, device=device, make=JUDGES[kind])
        figures = audited(judge, test, AUDITED, seed=1, refuse=refuse) if isinstance(test, TruthSource) else {}
        folder.mkdir(parents=True, exist_ok=True)
        judge.save(weights)
        write_whole(report, (json.dumps({"asked": json.loads(words), "audit": figures}, indent=1) + "\n").encode())
    return judge, {f"{kind} judge/{key}": float(value) for key, value in figures.items()}
