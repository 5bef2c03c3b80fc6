"""The report of a run: one page with its pictures beside it, to be opened from disk without a network or scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.errors import ConfigError
from kinema.evaluation import pictures
from kinema.evaluation.reconstruction import reconstruct
from kinema.evaluation.swap import CPU, draw_pairs, transfer
from kinema.evaluation.table import NO_PAPER, rows, write_whole
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import ClipModel, Domain

CLIPS = 6
"""Clips or pairs of clips that a picture shows."""
LONG = 2
"""How many windows long an animation of one image is."""


@runtime_checkable
class Hamiltonian(Protocol):
    """A model whose states can be looked at: D = 2d positions and momenta for each of K operators."""

    domain: Domain

    def phase(self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"]) -> Float[Tensor, "B T K D"]:
        """The states along each clip."""
        ...

    def energy(self, states: Float[Tensor, "B T K D"]) -> Mapping[str, Float[Tensor, "B T K"]]:
        """The energy of each operator at those states and the parts that it is the sum of, by name."""
        ...


@torch.no_grad()
def write_report(
    directory: Path,
    model: ClipModel,
    source: Source,
    records: Sequence[Mapping[str, float | int]],
    results: Mapping[str, float],
    seed: int,
    title: str = "Kinema report",
    paper: Mapping[str, float] = NO_PAPER,
    device: torch.device = CPU,
) -> Path:
    """Writes ``directory/index.html`` and its pictures, each whole or not at all, and returns the page's path.

    `source` is the test split, `records` the lines of metrics.jsonl, `results` what `evaluate` gave (either may be
    empty). True swaps are shown where the source knows them, phase space where the model is `Hamiltonian`.
    """
    generator = torch.Generator().manual_seed(seed)
    windows = draw_windows(source, torch.randperm(len(source), generator=generator)[:CLIPS], generator)
    sections = [
        _table(results, paper),
        losses(records),
        _reconstructions(model, windows, device),
        _swaps(model, source, seed, device),
        _actions(model, windows, device),
        *(_phase_space(model, source, seed, device) if isinstance(model, Hamiltonian) else []),
    ]
    shown = [section for section in sections if section is not None]
    for section in shown:
        if section.picture:
            write_whole(directory / section.name, section.picture)
    target = directory / "index.html"
    write_whole(target, page(title, shown, source.credits).encode())
    return target


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, a sentence, and a picture or other HTML below it."""

    heading: str
    text: str
    name: str = ""
    """The picture's file name."""
    picture: bytes = b""
    """The picture's content, empty where there is none."""
    kind: str = "pixels"
    """How a picture is shown: ``pixels`` are never smoothed, a ``diagram`` is."""
    body: str = ""
    """HTML in the place of a picture."""

    def html(self) -> str:
        image = f'<img class="{self.kind}" src="{self.name}" alt="{escape(self.heading)}">' if self.picture else ""
        return f"<section><h2>{escape(self.heading)}</h2><p>{escape(self.text)}</p>{image}{self.body}</section>"


def _table(results: Mapping[str, float], paper: Mapping[str, float]) -> Section | None:
    if not results:
        return None
    heading, *lines = rows(results, paper)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return Section("Summary", "Held-out clips. MSE, PSNR (dB) and SSIM are of values in [0, 1].", body=table)


def losses(records: Sequence[Mapping[str, float | int]]) -> Section | None:
    if not any(len(record) > 1 for record in records):
        return None
    content = pictures.figure_png(pictures.loss_curves(records))
    return Section("Loss curves", "Every term that training logs, by step.", "losses.png", content, "diagram")


def _reconstructions(model: ClipModel, windows: Windows, device: torch.device) -> Section:
    lines = []
    for original, again in zip(windows.frames(), reconstruct(model, windows, device), strict=True):
        lines += [("original", original), ("model", again)]
    content = pictures.png(pictures.clip_grid(lines, pictures.magnification(windows.source.size, 64)))
    text = "Clips of the test split and, below each, the clip that the model makes of its codes."
    return Section("Originals and reconstructions", text, "reconstructions.png", content)


def _swaps(model: ClipModel, source: Source, seed: int, device: torch.device) -> Section:
    a, b = draw_pairs(source, CLIPS, seed)
    columns = [("content A", a.frames()), ("motion B", b.frames()), ("swap", transfer(model, a, b, device))]
    if isinstance(source, TruthSource):
        columns.append(("true swap", batched(source.truth, a.clips, b.clips, b.times())))
    content = pictures.animated_png(pictures.moving_grid(columns, pictures.magnification(source.size)), source.fps)
    text = "The content of A with the motion of B; the model reads the action from B itself."
    return Section("Swaps", text, "swaps.png", content)


def _actions(model: ClipModel, windows: Windows, device: torch.device) -> Section:
    source, count = windows.source, len(windows.clips)
    images = windows.frames()[:, 0]
    times = source.stride * torch.arange(LONG * source.length, dtype=torch.float64).expand(count, -1).to(device)
    columns = [("image", images[:, None].expand(-1, times.shape[1], -1, -1, -1))]
    for index, name in enumerate(model.domain.actions):
        action = torch.full((count,), index, device=device)
        columns.append((name, pixels(model.animate_images(floats(images).to(device), action, times)).cpu()))
    content = pictures.animated_png(pictures.moving_grid(columns, pictures.magnification(source.size)), source.fps)
    return Section("Every action from one image", "The model sees only the image on the left.", "actions.png", content)


def _phase_space(model: Hamiltonian, source: Source, seed: int, device: torch.device) -> list[Section]:
    _, windows = draw_pairs(source, len(source.actions), seed)  # B is one clip of each action
    states = model.phase(floats(windows.frames()).to(device), windows.elapsed().to(device)).cpu()
    clips, _, count, _ = states.shape
    names = list(model.domain.actions) if count == len(model.domain.actions) else [str(k + 1) for k in range(count)]
    lines = {source.actions[label]: states[row] for row, label in enumerate(windows.labels("action").tolist())}
    portrait = pictures.phase_portrait(lines, names)
    text = "First position and momentum of each operator along one clip of each action; a dot marks the beginning."
    section = Section("Phase portrait", text, "phase.png", pictures.figure_png(portrait), "diagram")
    try:
        energies = model.energy(states.to(device))
    except ConfigError:  # dynamics that know none
        return [section]
    own = {
        part: torch.stack([values[k % clips, :, k] for k in range(count)], 1).cpu() for part, values in energies.items()
    }
    energy = pictures.energy_over_time(windows.elapsed()[0], own, names)
    return [
        section,
        Section("Energy over time", "Along one clip.", "energy.png", pictures.figure_png(energy), "diagram"),
    ]


def page(title: str, sections: Sequence[Section], credits: Sequence[str]) -> str:
    about = "".join(f"<li>{escape(line)}</li>" for line in credits)
    footer = f"<footer><h2>Credits</h2><ul>{about}</ul></footer>" if credits else ""
    content = "\n".join(section.html() for section in sections)
    return PAGE.format(title=escape(title), style=STYLE, content=content, footer=footer)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{content}
{footer}
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --line: #d8d8dc; --faint: #666; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.2rem; }
p { margin: 0 0 0.8rem; color: var(--faint); }
section { overflow-x: auto; }
img { border: 1px solid var(--line); border-radius: 6px; background: white; }
img.pixels { image-rendering: pixelated; }
img.diagram { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 1.2rem 0.15rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
footer { font-size: 0.85rem; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3a40; --faint: #a0a0a8; } }
"""
