"""Swaps of characters that wear what no training character wore: is the unseen layer there, in the new motion?

Every combination of hundreds of sheets cannot be rendered, so a layer is judged alone: the nearest true rendering is
sought among those that differ from the true swap in this one slot. All else is told, the motion too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from kinema.data.lpc_wide import GARMENTS, LpcWide
from kinema.data.lpc_wide_layers import SLOTS
from kinema.errors import ConfigError
from kinema.evaluation.baselines import baselines
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.swap import CPU, draw_pairs, picture_scores, transfer
from kinema.evaluation.windows import Windows, batched
from kinema.models.base import ClipModel

CANDIDATES = 64
"""Renderings that are compared at one time: 25 MB of float32 at 64 pixels."""


@dataclass(frozen=True, eq=False)
class Recognised:
    """What is read off N shown clips, by row of the table R and slot S; NaN where there is nothing to read."""

    right: Float[Tensor, "R N S"]
    """1 where the sheet that is worn was recognised."""
    chance: Float[Tensor, "N S"]
    """How often a blind choice among the candidates is right."""
    hidden: Int[Tensor, " S"]
    """Held-out sheets that are worn and wholly covered by others, which are not judged."""


@torch.no_grad()
def evaluate_held_out(
    model: ClipModel, source: LpcWide, train_source: LpcWide, pairs: int, seed: int, device: torch.device = CPU
) -> dict[str, float]:
    """Scores of `pairs` swaps of random clips of `source`, the test split, and of what needs no model.

    Rows: ``swap`` (B's action read from B by the model), ``swap_true_action`` (the action given),
    ``nearest_character`` (the training character nearest to A, all in their own colours, in A's view, doing B's action)
    and ``copy`` (A as it is). Each has ``mse``, ``psnr`` (dB) and ``ssim`` against the true swap, and
    ``recognised_SLOT``: the share of the held-out sheets worn by A that are recognised, see `recognise_layers`.
    ``recognised_garments`` is over torso, legs and feet, ``recognised`` over all slots: each clip's share, averaged
    over the clips. ``_low`` and ``_high`` are the 95 % interval over pairs of ``psnr`` and of these.
    ``chance/recognised...`` is what a blind choice gives, ``judged/SLOT`` and ``hidden/SLOT`` count held-out sheets. A
    slot in which nobody wears such a sheet is absent.

    Where held-out sheets are worn in training, being of the user's own (``data.own``), ``psnr_own`` is that of the
    pairs whose A wears one of these, ``recognised_own`` the share of these that are recognised, and ``own`` counts the
    pairs.

    Raises ConfigError where `source` is the training split.
    """
    if source.split == "train":
        raise ConfigError(f"{source.name}: nothing held out is worn in its training split; take the test split")
    a, b = draw_pairs(source, pairs, seed)
    truth = batched(source.truth, a.clips, b.clips, b.times())
    shown = {
        "swap": transfer(model, a, b, device),
        "swap_true_action": transfer(model, a, b, device, b.labels("action")),
        "nearest_character": baselines(a, b, train_source.in_own_colours())["nearest_character"].frames(),
        "copy": a.frames(),
    }
    seen = recognise_layers(source, a, b, torch.stack(list(shown.values())), device)
    own = worn_also(source, a, train_source)
    results = {"n": float(pairs)} | ({"own": float(own.any(1).sum())} if bool(own.any()) else {})
    for row, (name, frames) in enumerate(shown.items()):
        pictures, read = picture_scores(frames, truth), shares(seen.right[row])
        if bool(own.any()):
            pictures["psnr_own"] = pictures["psnr"].where(own.any(1), torch.nan)
            read["recognised_own"] = seen.right[row].where(own, torch.nan).nanmean(1)
        scores = {**pictures, **read}
        results |= {f"{name}/{measure}": values.nanmean().item() for measure, values in scores.items()}
        for measure in ("psnr", "psnr_own", *read):
            if measure in scores:
                low, high = interval_over_clips(scores[measure], seed)
                results |= {f"{name}/{measure}_low": low.item(), f"{name}/{measure}_high": high.item()}
    results |= {f"chance/{measure}": values.nanmean().item() for measure, values in shares(seen.chance).items()}
    results |= {f"judged/{slot}": float(n) for slot, n in zip(SLOTS, (~seen.chance.isnan()).sum(0), strict=True)}
    return results | {f"hidden/{slot}": float(n) for slot, n in zip(SLOTS, seen.hidden, strict=True)}


def worn_also(source: LpcWide, a: Windows, others: LpcWide) -> Bool[Tensor, "N S"]:
    """Whether what A wears in each slot is held out, and worn by somebody else as well."""
    worn, theirs = source.held_out(a.clips), others.held_out(torch.arange(len(others)))
    return torch.stack([(worn[slot] > 0) & torch.isin(worn[slot], theirs[slot]) for slot in SLOTS], 1)


def shares(right: Float[Tensor, "N S"]) -> dict[str, Float[Tensor, " N"]]:
    """For each clip the share that is right of its judged slots: one by one, of garments, and of all; NaN for none."""
    parts = {f"recognised_{slot}": right[:, place] for place, slot in enumerate(SLOTS)}
    parts["recognised_garments"] = right[:, [SLOTS.index(slot) for slot in GARMENTS]].nanmean(1)
    parts["recognised"] = right.nanmean(1)
    return {name: values for name, values in parts.items() if not bool(values.isnan().all())}


def recognise_layers(
    source: LpcWide, a: Windows, b: Windows, shown: UInt8[Tensor, "R N T C H W"], device: torch.device = CPU
) -> Recognised:
    """Whether each held-out sheet worn by A is read off R clips that are shown for the swap of A and B.

    The candidates are the true swap as it is and with this slot's sheet exchanged for each other one cut for the same
    sex, those of training included; for the body, each body of that sex. The nearest in squared error over all frames,
    pixels and colours is read. What no candidate changes adds the same to all of their errors, so only the pixels in
    which candidates differ decide. It is right where it looks exactly as the truth does, for two sheets may be hidden
    to the same look. A sheet without which the true swap would look the same is wholly hidden, and not judged.
    """
    there = source.to(device)
    worn = source.held_out(a.clips)
    right = torch.full((*shown.shape[:2], len(SLOTS)), torch.nan)
    chance = torch.full((shown.shape[1], len(SLOTS)), torch.nan)
    hidden = torch.zeros(len(SLOTS), dtype=torch.int64)
    for place, slot in enumerate(SLOTS):
        for pair in worn[slot].nonzero()[:, 0].tolist():
            factors = {name: a.labels(name)[pair : pair + 1] for name in source.content}
            factors["action"] = b.labels("action")[pair : pair + 1]
            values = source.fitting(slot, int(factors["body"]))
            times = b.times()[pair : pair + 1]
            truth, bare = (
                show(there, {**factors, slot: value}, times) for value in (factors[slot], values.new_zeros(1))
            )
            if bool((truth == bare).all()):
                hidden[place] += 1
                continue
            off = shown[:, pair].to(device).int() - truth.int()
            errors, same = zip(
                *(
                    compare(show(there, {**factors, slot: part}, times), truth, off)
                    for part in values.split(CANDIDATES)
                ),
                strict=True,
            )
            alike = torch.cat(same)
            right[:, pair, place] = alike[torch.cat(errors, 1).argmin(1)].float().cpu()
            chance[pair, place] = alike.float().mean().cpu()
    return Recognised(right, chance, hidden)


def show(
    source: LpcWide, factors: Mapping[str, Int[Tensor, " _"]], times: Float[Tensor, "1 T"]
) -> UInt8[Tensor, "K T C H W"]:
    """True renderings at the same times; factors of one value are those of all."""
    count = max(len(value) for value in factors.values())
    return source.render({name: value.expand(count) for name, value in factors.items()}, times.expand(count, -1))


def compare(
    candidates: UInt8[Tensor, "K T C H W"], truth: UInt8[Tensor, "1 T C H W"], off: Int[Tensor, "R T C H W"]
) -> tuple[Float[Tensor, "R K"], Tensor]:
    """How much farther clips, given by their difference from the truth, are from candidates, and which are the truth.

    |x - c|^2 - |x - t|^2 = |c - t|^2 - 2 (x - t).(c - t): small numbers, where single precision is enough.
    """
    change = (candidates.int() - truth.int()).flatten(1).float()
    farther = change.square().sum(1) - 2 * off.flatten(1).float() @ change.T
    return farther, ~change.any(1)
