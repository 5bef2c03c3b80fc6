"""Whether the learned transformation is the true one: section 4.6 and figures 11 to 14 of Resnick et al. (2020).

T_Z warps features from output to input coordinates, so an exact T_Z is the INVERSE of the movement T_X, which is what a
source's `given` tells. ``r2`` is that of a linear regression from T_X to T_Z over all six entries, as in the paper, the
mean over the entries of T_Z that vary; an entry that hardly varies would make it meaningless and is counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.data.pairs import PairSource
from kinema.errors import ConfigError
from kinema.evaluation.scene_errors import floats
from kinema.maths import affine

STILL = 1e-6
"""Variance (canvas units squared) below which an entry of T_Z counts as constant."""
CHUNK = 256


@runtime_checkable
class ReadsTransformations(Protocol):
    """A model that says how the character moved between two frames."""

    def transformation(
        self, first: Float[Tensor, "N 3 H W"], second: Float[Tensor, "N 3 H W"], given: Tensor | None
    ) -> Float[Tensor, "N K 2 3"]:
        """T_Z of K parts; `given` is the truth, for models that are told it."""
        ...


@dataclass(frozen=True, eq=False)
class Transformations:
    """N pairs of frames: what the model read and what truly happened, both as `maths.affine` has it."""

    read: Float[Tensor, "N 2 3"]
    """T_Z; of several parts the mean."""
    true: Float[Tensor, "N 2 3"]
    """The inverse of T_X in canvas coordinates."""


@torch.no_grad()
def read_transformations(
    model: ReadsTransformations, source: PairSource, count: int, seed: int, device: torch.device
) -> Transformations:
    """T_Z of `count` pairs of a source that knows the true movement. Raises ConfigError where it does not."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randint(len(source), (count,), generator=generator)
    rooms = source.rooms(True)[clips]
    start = (torch.rand(count, generator=generator, dtype=torch.float64) * rooms).long()
    read, true = [], []
    for these, begun in _chunks(clips, start):
        batch = source.window(these, begun)
        if batch.given is None:
            raise ConfigError(f"{source.name}: the true transformations are not known; use digits, one in each scene")
        first, second = floats(batch.first, device), floats(batch.second, device)
        read.append(model.transformation(first, second, batch.given.to(device)).mean(1).cpu())
        true.append(batch.given.cpu())
    return Transformations(torch.cat(read), torch.cat(true).float())


def _chunks(clips: Tensor, start: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(clips.split(CHUNK), start.split(CHUNK), strict=True)


def evaluate_transformations(found: Transformations) -> dict[str, float]:
    """r2 on the inverse and on the forward form of T_X, constant entries, and angle and translation compared."""
    angle, shift, singular = affine.parts(found.read.double())
    true_angle, true_shift, _ = affine.parts(found.true.double())
    turned = (angle - true_angle + torch.pi) % (2 * torch.pi) - torch.pi
    forward = affine.invert(found.true.double())
    return {
        "affine/r2 inverse": regression_r2(found.true.flatten(1), found.read.flatten(1)),
        "affine/r2 forward": regression_r2(forward.flatten(1), found.read.flatten(1)),
        "affine/constant entries": float((found.read.flatten(1).double().var(0) < STILL).sum()),
        "affine/angle error, degrees": turned.abs().mean().rad2deg().item(),
        "affine/angle correlation": _correlation(angle, true_angle),
        "affine/shift error, canvas": (shift - true_shift).norm(dim=-1).mean().item(),
        "affine/shift norm correlation": _correlation(shift.norm(dim=-1), true_shift.norm(dim=-1)),
        "affine/greatest singular value": singular[:, 0].mean().item(),
        "affine/pairs": float(len(angle)),
    }


def regression_r2(x: Float[Tensor, "N A"], y: Float[Tensor, "N B"]) -> float:
    """R2 of the least-squares fit of y by x and a constant: the mean over the columns of y that vary; 0 if none."""
    x, y = x.double(), y.double()
    design = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    rest = y - design @ torch.linalg.lstsq(design, y, driver="gelsd").solution
    spread = y.var(0, unbiased=False)
    vary = spread >= STILL
    r2 = 1 - rest.square().mean(0)[vary] / spread[vary]
    return r2.mean().item() if vary.any() else 0.0


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's; 0 where one does not vary."""
    if min(a.std().item(), b.std().item()) < 1e-9:
        return 0.0
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()
