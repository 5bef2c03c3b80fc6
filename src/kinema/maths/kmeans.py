"""K-means (Lloyd 1982) from centres that are spread by k-means++ (Arthur and Vassilvitskii 2007)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

RUNS, ROUNDS = 8, 50


def fit_centres(x: Float[Tensor, "N n"], count: int, seed: int) -> Float[Tensor, "K n"]:
    """The `count` centres, of several runs, that are nearest to the points in the mean square.

    Raises ValueError for more centres than points.
    """
    if not 1 <= count <= len(x):
        raise ValueError(f"{count} centres for {len(x)} points; 1 to {len(x)} are possible")
    found = [_run(x, count, seed + run) for run in range(RUNS)]
    return min(found, key=lambda centres: distortion(x, centres))


def nearest(x: Float[Tensor, "N n"], centres: Float[Tensor, "K n"]) -> Int[Tensor, " N"]:
    """The centre nearest to each point."""
    return torch.cdist(x, centres).argmin(1)


def distortion(x: Float[Tensor, "N n"], centres: Float[Tensor, "K n"]) -> float:
    """The mean squared distance of the points from the nearest centre."""
    return torch.cdist(x, centres).amin(1).square().mean().item()


def spread_centres(x: Float[Tensor, "N n"], count: int, seed: int) -> Int[Tensor, " K"]:
    """Indices of `count` points far from one another: each is drawn by its squared distance from those before it."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    apart = torch.full_like(x[:, 0], torch.inf)
    for _ in range(count - 1):
        apart = torch.minimum(apart, (x - x[chosen[-1]]).square().sum(1))
        weights = apart if bool(apart.sum() > 0) else torch.ones_like(apart)
        chosen.append(int(torch.multinomial(weights.cpu(), 1, generator=generator)))
    return torch.tensor(chosen, device=x.device)


def _run(x: Float[Tensor, "N n"], count: int, seed: int) -> Float[Tensor, "K n"]:
    centres = x[spread_centres(x, count, seed)]
    for _ in range(ROUNDS):
        share = torch.nn.functional.one_hot(nearest(x, centres), count).to(x.dtype)
        mass = share.sum(0)[:, None]
        moved = torch.where(mass > 0, share.T @ x / mass.clamp(min=1), centres)  # an empty one stays where it is
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres
