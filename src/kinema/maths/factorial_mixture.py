"""Points that are sums: one vector of each of several small sets, and noise (Ghahramani 1995, factorial learning).

    x = mean + sum_g centres[g, k_g] + e,    k_g ~ weights[g], each on its own,    e ~ N(0, S)

G sets of K vectors stand for K^G points with G K vectors, as a palette, a hat and a coat stand for all who may wear
them. Fitted by expectation maximisation in the mean field, cooled slowly (Ueda and Nakano 1998), from several
beginnings; then two sets at a time are begun anew, and what raises the bound is kept.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

POINTS = 1500
"""Points that a mixture is fitted to, at most: the first ones."""
HOT, COLD = 1.0, 0.003
"""The first and the last temperature, in mean variances of a dimension."""
STEPS, MENDED, ROUNDS = 30, 20, 3
"""Temperatures of a fit and of a mended one, and rounds at each."""
BEGINNINGS, MENDINGS = 8, 60
STIR = 1e-3
"""Noise on the centres after each round, in deviations: two that lie together part when it grows colder."""
ACTIVE = 1e-3
"""Dimensions of less variance than this share of the greatest have no part in the search."""


@dataclass(frozen=True)
class FactorialMixture:
    """The sets, each with its weights, around a common mean; the noise as a lower triangular factor of S."""

    weights: Float[Tensor, "G K"]
    centres: Float[Tensor, "G K n"]
    mean: Float[Tensor, " n"]
    factor: Float[Tensor, "n n"]

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "N n"]:
        """`count` draws, made by `generator` on its device and brought to that of the mixture."""
        chosen = self.weights.cpu().double().multinomial(count, replacement=True, generator=generator)
        noise = torch.randn(count, len(self.mean), generator=generator).to(self.mean)
        sets = torch.arange(len(chosen), device=self.mean.device)[:, None]
        together = self.centres[sets, chosen.to(self.mean.device)].sum(0)
        return self.mean + together + noise @ self.factor.mT


@dataclass(frozen=True)
class _State:
    """A fit on its way: what each point takes from each set, q (N, G K), and what follows from it."""

    q: Tensor
    centres: Tensor
    bound: float = -math.inf


def fit_factorial(
    x: Float[Tensor, "N n"], variance: Float[Tensor, " n"], sets: int, values: int, seed: int
) -> tuple[FactorialMixture, float]:
    """The mixture of `sets` sets of `values` vectors found for points x, and a bound on how well it does, in nats.

    The points are known to within `variance` of each dimension: the bound is one on the mean log density of points
    N(x, diag variance), over the dimensions that vary, so that nothing is gained by describing x more finely than it is
    known. It tells which number of sets describes them best. Raises ValueError for fewer points than vectors.
    """
    if len(x) < sets * values:
        raise ValueError(f"{sets} sets of {values} vectors for {len(x)} points; fewer vectors are needed")
    x, variance = x[:POINTS].double(), variance.double()
    mean = x.mean(0)
    spread = (x - mean).square().mean(0)
    active = spread > ACTIVE * spread.max()
    scale = spread[active].mean().sqrt().clamp(min=1e-12)
    search = _Search((x - mean)[:, active] / scale, variance[active] / scale**2, sets, values, seed)
    best = search.run()
    centres = _centres(best.q, x - mean, sets)
    cov = _noise(best.q, centres, x - mean, sets)
    weights = best.q.mean(0).view(sets, values)
    factor = torch.linalg.cholesky(cov + 1e-9 * torch.eye(len(mean), dtype=x.dtype, device=x.device))
    bound = best.bound - int(active.sum()) * math.log(scale)
    return FactorialMixture(weights, centres.view(sets, values, -1), mean, factor), bound


class _Search:
    """The search for the mixture of centred points of variance about 1."""

    def __init__(self, x: Tensor, variance: Tensor, sets: int, values: int, seed: int) -> None:
        self.x, self.variance, self.sets, self.values = x, variance, sets, values
        self.generator = torch.Generator(x.device).manual_seed(seed)

    def run(self) -> _State:
        everything = list(range(self.sets))
        nothing = _State(self.x.new_zeros(len(self.x), self.sets * self.values), self._random(self.sets))
        found = [self._cooled(self._anew(nothing, everything), STEPS) for _ in range(BEGINNINGS)]
        best = max(found, key=lambda state: state.bound)
        for _ in range(MENDINGS if self.sets > 1 else 0):
            two = torch.randperm(self.sets, generator=self.generator, device=self.x.device)[:2].tolist()
            mended = self._cooled(self._anew(best, two), MENDED)
            best = max(best, mended, key=lambda state: state.bound)
        return best

    def _random(self, sets: int) -> Tensor:
        shape = (sets * self.values, self.x.shape[1])
        return 0.3 * torch.randn(shape, generator=self.generator, dtype=self.x.dtype, device=self.x.device)

    def _anew(self, state: _State, which: list[int]) -> _State:
        q, centres = state.q.clone(), state.centres.clone()
        for index in which:
            own = self._own(index)
            q[:, own], centres[own] = 1 / self.values, self._random(1)
        return _State(q, centres)

    def _own(self, index: int) -> slice:
        return slice(index * self.values, (index + 1) * self.values)

    def _cooled(self, state: _State, steps: int) -> _State:
        q, centres = state.q, state.centres
        for step in range(steps):
            temperature = HOT * (COLD / HOT) ** (step / (steps - 1))
            for _ in range(ROUNDS):
                self._expect(q, centres, temperature)
                centres = _centres(q, self.x, self.sets)
                noise = torch.randn(centres.shape, generator=self.generator, dtype=q.dtype, device=q.device)
                centres = centres + STIR * noise
        return _State(q, centres, self._bound(q))

    def _expect(self, q: Tensor, centres: Tensor, temperature: float) -> None:
        """Each set in turn, given what is taken from the others; weights count for more as it grows colder."""
        together = q @ centres
        for index in range(self.sets):
            own = self._own(index)
            apart = self.x - together + q[:, own] @ centres[own]
            distance = centres[own].square().sum(1) - 2 * apart @ centres[own].mT
            prior = q[:, own].mean(0).clamp(min=1e-9).log() * min(1.0, 10 * COLD / temperature)
            q[:, own] = (prior - distance / (2 * temperature)).softmax(1)
            together = self.x - apart + q[:, own] @ centres[own]

    def _bound(self, q: Tensor) -> float:
        cov = _noise(q, _centres(q, self.x, self.sets), self.x, self.sets) + self.variance.diag()
        n = self.x.shape[1]
        gaussian = -0.5 * (torch.logdet(cov) + n * (1 + math.log(2 * math.pi)))
        return float(gaussian - torch.special.entr(q.mean(0)).sum() + torch.special.entr(q).sum(1).mean())


def _moments(q: Float[Tensor, "N m"], sets: int) -> Float[Tensor, "m m"]:
    """The mean-field second moment of the choices: two of the same set never go together."""
    blocks = q.shape[1] // sets
    same = torch.block_diag(*q.new_ones(sets, blocks, blocks))
    return torch.where(same > 0, q.sum(0).diag(), q.mT @ q)


def _centres(q: Float[Tensor, "N m"], x: Float[Tensor, "N n"], sets: int) -> Float[Tensor, "m n"]:
    """The vectors that explain the points best; the least ones, for a shift between two sets changes no sum."""
    moments = _moments(q, sets)
    return torch.linalg.solve(moments + STIR * torch.eye(len(moments), dtype=q.dtype, device=q.device), q.mT @ x)


def _noise(q: Tensor, centres: Tensor, x: Tensor, sets: int) -> Float[Tensor, "n n"]:
    """The mean of (x - sum) (x - sum)' under the choices."""
    cross = x.mT @ q @ centres
    return (x.mT @ x - cross - cross.mT + centres.mT @ _moments(q, sets) @ centres) / len(x)
