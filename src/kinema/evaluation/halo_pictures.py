"""Pictures of HALO's tables: swaps, one image doing every action, drawn motions and contents, energies over time."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from kinema.data.source import Source, TruthSource
from kinema.errors import ConfigError
from kinema.evaluation import pictures
from kinema.evaluation.swap import draw_pairs
from kinema.evaluation.windows import Windows, draw_windows, floats, pixels
from kinema.models.halo import Halo

SHOWN = 3
"""Clips or pairs of a picture."""
LONG = 64
"""Frames of the energies."""


@torch.no_grad()
def halo_pictures(models: Mapping[str, Halo], source: Source, seed: int) -> dict[str, bytes]:
    """PNG files by name: `swaps` of all models, and for each its actions, drawn clips and energies.

    `swaps`, `actions-MODEL`, `drawn-MODEL`, `blocks-MODEL` (unconditional), `energy-MODEL` (Hamiltonian).
    """
    made = {"swaps.png": swaps(models, source, seed)}
    for name, model in models.items():
        slug = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
        made[f"actions-{slug}.png"] = actions(model, source, seed)
        made[f"drawn-{slug}.png"] = drawn(model, source, seed)
        try:
            made[f"energy-{slug}.png"] = energies(model, source, seed)
        except ConfigError:  # dynamics without energy have no such picture
            continue
    return made


def swaps(models: Mapping[str, Halo], source: Source, seed: int) -> bytes:
    """Figures 5 and 6: for each pair A and B as they are, A moving as B by each model, and the truth."""
    a, b = draw_pairs(source, SHOWN, seed)
    rows: list[tuple[str, Tensor]] = []
    for pair in range(SHOWN):
        rows += [("content", a.frames()[pair]), ("motion", b.frames()[pair])]
        for name, model in models.items():
            x, y = floats(a.frames()[pair : pair + 1]), floats(b.frames()[pair : pair + 1])
            rows.append((name, pixels(model.transfer(x, y, b.elapsed()[pair : pair + 1]))[0]))
        if isinstance(source, TruthSource):
            rows.append(("truth", source.truth(a.clips, b.clips, b.times())[pair]))
    return _grid(rows, source)


def actions(model: Halo, source: Source, seed: int) -> bytes:
    """Figure 4: each of a few first frames doing every action."""
    windows = _some(source, seed)
    times = windows.elapsed()[:1]
    rows: list[tuple[str, Tensor]] = []
    for clip in windows.frames():
        rows.append(("clip", clip))
        for index, action in enumerate(model.domain.actions):
            shown = model.animate_images(floats(clip[None, 0]), torch.tensor([index]), times)[0]
            rows.append((action, pixels(shown)))
    return _grid(rows, source)


def drawn(model: Halo, source: Source, seed: int) -> bytes:
    """Real content with drawn motions, then real motions with drawn contents."""
    windows, generator = _some(source, seed), torch.Generator().manual_seed(seed)
    frames, times, names = floats(windows.frames()), windows.elapsed(), model.domain.actions
    action = (model.recognise(frames).argmax(1) + 1) % len(names)
    moved = pixels(model.with_prior_motion(frames, action, times, generator))
    dressed = pixels(model.with_sampled_content(frames, times, None, generator))
    rows: list[tuple[str, Tensor]] = []
    for clip in range(len(frames)):
        told = names[int(action[clip])] if model.config.one_moves else "drawn"
        rows += [("clip", windows.frames()[clip]), (f"motion: {told}", moved[clip]), ("drawn content", dressed[clip])]
    return _grid(rows, source)


def energies(model: Halo, source: Source, seed: int) -> bytes:
    """The supplement's figure 3: total, potential, kinetic and non-separable energy of one image's motions.

    Raises ConfigError for dynamics that have no energy.
    """
    first = floats(_some(source, seed).frames()[:1])
    times = torch.arange(LONG, dtype=torch.float64)
    names = model.domain.actions if model.config.one_moves else [str(k) for k in range(model.count)]
    parts: dict[str, list[Tensor]] = {}
    h = model.encode(first)
    for index in range(len(names)):
        action = torch.tensor([index if model.config.one_moves else 0])
        states = model.flow(model.mean_state(h, model.anchor(0, h.shape[1]), action), times[None])
        for part, values in model.energy(states).items():
            parts.setdefault(part, []).append(values[0, :, index])
    columns = {part: torch.stack(values, 1) for part, values in parts.items()}
    return pictures.figure_png(pictures.energy_over_time(times, columns, list(names)))


def _some(source: Source, seed: int) -> Windows:
    generator = torch.Generator().manual_seed(seed)
    return draw_windows(source, torch.randint(len(source), (SHOWN,), generator=generator), generator)


def _grid(rows: list[tuple[str, Tensor]], source: Source) -> bytes:
    return pictures.png(pictures.clip_grid(rows, pictures.magnification(source.size, 64)))
