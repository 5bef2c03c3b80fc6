"""Every measure of a renderer on held-out pairs, its table, and the page of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.data.pairs import PairSource, SceneSource
from kinema.data.scenes import Scenes
from kinema.evaluation import scene_pictures
from kinema.evaluation.report import Section, losses, page
from kinema.evaluation.scene_affine import ReadsTransformations, evaluate_transformations, read_transformations
from kinema.evaluation.scene_alpha import CutsOut, evaluate_alpha
from kinema.evaluation.scene_errors import Separates, evaluate_scenes, floats
from kinema.evaluation.scene_examples import draw_examples
from kinema.evaluation.scene_flow import LEAST, Moves, evaluate_flow
from kinema.evaluation.swept import swept
from kinema.evaluation.table import rows, write_whole

FEW = 32
"""Frames of a film whose backgrounds are looked at, and clips whose unseen frames are told by a flow."""


def evaluate_pairs(model: Any, test: PairSource, seed: int, count: int, device: torch.device) -> dict[str, float]:
    """Manipulations against the truth where the source knows it, else what the user's own clips can tell."""
    if not isinstance(test, SceneSource):
        return evaluate_films(model, test, device) if isinstance(test, Scenes) else {}
    examples = draw_examples(test, count, seed)
    results = evaluate_scenes(model, examples, device, seed)
    separates, moves, reads = (
        isinstance(model, kind) for kind in (CutsOut, Moves, ReadsTransformations)
    )  # a rival: none
    if separates:
        results |= evaluate_alpha(model, examples, device, seed)
    if moves and bool((test.frame_counts() >= LEAST).any()):
        results |= evaluate_flow(model, test, FEW, seed, device)
    one = torch.zeros(1, dtype=torch.int64)
    if reads and test.given(one, one, one + 1) is not None:
        results |= evaluate_transformations(read_transformations(model, test, 4 * count, seed, device))
    return results


@torch.no_grad()
def evaluate_films(model: Any, test: Scenes, device: torch.device) -> dict[str, float]:
    """The background rendered alone, against the temporal median, on the pixels that limbs sweep (`swept`).

    ``swept/psnr`` is of the render, ``swept/psnr, input`` of the frame that it was made of, both over those pixels of
    all clips and of frames spread over each clip; ``reconstruction/psnr`` is of the last of these frames made of the
    first. Clips in which nothing is swept do not count.
    """
    squares = torch.zeros(3, dtype=torch.float64)
    values = torch.zeros(2, dtype=torch.float64)
    for index in range(len(test)):
        film = test.clip_frames(index)
        median, mask = swept(film)
        chosen = film[torch.linspace(0, len(film) - 1, min(FEW, len(film))).long()]
        frames, truth = floats(chosen, device), floats(median[None], device)
        made = model.solo_background(frames)
        last = model.compose(frames[:1], frames[:1], frames[-1:], frames[:1])
        squares += torch.tensor(
            [_squares(made - truth, mask), _squares(frames - truth, mask), float((last - frames[-1:]).square().sum())]
        )
        values += torch.tensor([3.0 * len(frames) * float(mask.sum()), float(last.numel())])
    render, given, again = squares.tolist()
    return {
        "swept/psnr": _psnr(render, values[0].item()),
        "swept/psnr, input": _psnr(given, values[0].item()),
        "reconstruction/psnr": _psnr(again, values[1].item()),
        "n/clips": float(len(test)),
    }


def _squares(difference: Float[Tensor, "T 3 H W"], mask: Tensor) -> float:
    return float((difference.square() * mask.to(difference.device)).sum())


def _psnr(squares: float, values: float) -> float:
    return -10 * torch.tensor(squares / max(values, 1.0)).clamp(min=1e-10).log10().item()


SUMMARY = (
    *(f"{name}/{scale}" for name in ("background", "no object") for scale in ("mse255", "psnr")),
    "background/of no object",
    *(f"{name}/{scale}" for name in ("transformation", "video frames") for scale in ("mse255", "psnr")),
    "transformation/of video frames",
    *(f"{name}/sse01" for name in ("background only", "character only")),
    *(f"{name}/of {name}, copy" for name in ("background only", "character only")),
    *(f"{name}/psnr" for name in ("reconstruction", "combined", "bare", "solo", "solo, free pixels")),
    *(f"affine/{name}" for name in ("r2 inverse", "r2 forward", "constant entries", "angle error, degrees")),
    "alpha/iou",
    *(f"unseen T_Z, {name}/of per frame" for name in ("flow", "line", "rest")),
    *(f"swept/{name}" for name in ("psnr", "psnr, input")),
)
"""What a table of one run shows, where it was measured."""


def chosen(results: Mapping[str, float]) -> dict[str, float]:
    """The results that `SUMMARY` names."""
    return {name: results[name] for name in SUMMARY if name in results}


def write_scene_report(
    directory: Path,
    model: Any,
    test: PairSource,
    title: str,
    records: Sequence[Mapping[str, float | int]],
    results: Mapping[str, float],
    seed: int,
    device: torch.device,
) -> Path:
    """Writes ``directory/index.html`` and its pictures, each whole or not at all, and returns the page's path."""
    sections: list[Section | None] = [_table(chosen(results)), losses(records)]
    if isinstance(test, SceneSource):
        examples = draw_examples(test, scene_pictures.SHOWN, seed)
        panel = scene_pictures.manipulations(model, examples, device)
        text = "What the model is given, and under each manipulation's result what it should show."
        sections.append(Section("Manipulations", text, "manipulations.png", panel))
        frames = examples.frames["1i"]
    else:
        generator = torch.Generator().manual_seed(seed)
        clips = torch.randint(len(test), (scene_pictures.SHOWN,), generator=generator)
        frames = test.frames(clips, torch.zeros_like(clips), torch.zeros_like(clips))
    if isinstance(model, Separates):
        text = "Frames, and what is decoded of the background's and of the character's features alone."
        sections.append(Section("The codes alone", text, "solo.png", scene_pictures.solo(model, frames, device)))
    shown = [section for section in sections if section is not None]
    for section in shown:
        if section.picture:
            write_whole(directory / section.name, section.picture)
    target = directory / "index.html"
    write_whole(target, page(title, shown, test.credits).encode())
    return target


def _table(results: Mapping[str, float]) -> Section | None:
    if not results:
        return None
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in rows(results)[1:])
    return Section(
        "Summary", "Held-out clips; sse01 is per image in [0, 1], PSNR in dB.", body=f"<table>{lines}</table>"
    )
