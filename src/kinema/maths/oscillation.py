"""A sampled path as a linear Hamiltonian flow and its linear readout: y(t) = c + sum_k a_k cos(w_k t) + b_k sin(w_k t).

Every such sum is the flow of a positive definite Hamiltonian in normal form (`maths.hamiltonian`, with S = I): mode k
is a harmonic oscillator (q_k, p_k), and the path is a constant and a linear readout of all. Given a period, the
frequencies are whole turns of it, so that the path closes exactly. Otherwise they are found: the one that explains most
of what is left is added (orthogonal least squares: Chen, Billings and Luo 1989), then all are refined by the method of
Levenberg and Marquardt on the variable projection functional, which holds the frequencies alone because the amplitudes
follow from them linearly (Golub and Pereyra 1973; the derivative is Kaufman's of 1975). How many there are is decided
by generalised cross-validation (Golub, Heath and Wahba 1979).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ClipError
from kinema.maths.hamiltonian import NormalForm

FEWEST, MOST = 3, 1024
"""Samples that a path needs and may have."""
MOST_MODES = 32
"""The most frequencies of a path."""
SLOWEST = 0.25
"""Turns that the slowest frequency makes over the samples: slower ones are hardly told from a straight line, and would
need amplitudes far beyond the path."""
STIFFNESS = 1e-4
"""Weight of a path's bending, the mean square of its second derivative by time counted in samples, against the mean
square of what it misses. Of a wave of six samples it takes one part in 10,000; without it few samples with noise are
met by waves that swing far between them."""
EXACT = 1e-8
"""Share of the variance that may be missed at no cost: a ten thousandth of a deviation."""
FINENESS = 4
"""Places at which a frequency is tried for each half turn over the samples."""
SETTLED = 1e-8
"""Share of the objective below which a step gains nothing."""
STEPS = 20
"""The most steps of Levenberg and Marquardt."""
FASTEST = math.pi
"""Radians a sample, beyond which samples cannot tell frequencies apart."""
PATIENCE = 3
"""After how many more frequencies without a better score no more are tried."""


@dataclass(frozen=True, eq=False)
class Oscillation:
    """A Hamiltonian flow of d modes and its readout of N numbers."""

    form: NormalForm
    """One operator in normal form with S = I; frequencies in radians per unit of time."""
    state: Float[Tensor, " n"]
    """The state (q, p) at time `origin`, n = 2d; mode k has the action (q_k^2 + p_k^2) / 2."""
    readout: Float[Tensor, "N n"]
    """From the state to the path; the two columns of a mode have 1 as the sum of their squares."""
    middle: Float[Tensor, " N"]
    """c, about which the path oscillates."""
    origin: float
    """The time of `state`."""

    def states(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T n"]:
        """The state at any real times, rolled from `origin`."""
        return self.form.flow(self.state[None, None], times.double() - self.origin)[0, :, 0]

    def at(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T N"]:
        """The path at any real times, before and after the samples too."""
        return self.middle + self.states(times) @ self.readout.mT

    def plus(self, other: "Oscillation", onto: Float[Tensor, "N m"]) -> "Oscillation":
        """Both flows side by side: to these numbers `onto` adds the M numbers of the other."""
        state = [*self.state.chunk(2), *other.states(torch.tensor([self.origin]))[0].chunk(2)]
        readout = [*self.readout.chunk(2, 1), *(onto @ other.readout).chunk(2, 1)]
        q, p, q_other, p_other = range(4)
        order = (q, q_other, p, p_other)
        return Oscillation(
            _resting(torch.cat([self.form.frequencies[0], other.form.frequencies[0]])),
            torch.cat([state[k] for k in order]),
            torch.cat([readout[k] for k in order], 1),
            self.middle + onto @ other.middle,
            self.origin,
        )


def of_waves(
    frequencies: Float[Tensor, " d"],
    cos: Float[Tensor, "d N"],
    sin: Float[Tensor, "d N"],
    middle: Float[Tensor, " N"],
    origin: float,
) -> Oscillation:
    """middle + sum_k cos_k cos(w_k (t - origin)) + sin_k sin(w_k (t - origin)) as a flow: a cos(wt) + b sin(wt) is read
    from q = r cos(wt), p = -r sin(wt), r^2 = a^2 + b^2."""
    size = (cos.square() + sin.square()).sum(1).sqrt()
    unit = size.clamp_min(torch.finfo(size.dtype).tiny)
    readout = torch.cat([cos, -sin]) / torch.cat([unit, unit])[:, None]
    state = torch.cat([size, torch.zeros_like(size)])
    return Oscillation(_resting(frequencies), state, readout.mT.contiguous(), middle, origin)


def _resting(frequencies: Float[Tensor, " d"]) -> NormalForm:
    """One operator in normal form with S = I."""
    eye = torch.eye(2 * len(frequencies), dtype=torch.float64)[None]
    return NormalForm(eye, eye, frequencies[None])


def fit(
    path: Float[Tensor, "T N"], times: Float[Tensor, " T"], period: float | None = None, stiffness: float = STIFFNESS
) -> Oscillation:
    """The oscillation that is nearest to a path of T samples of N numbers, which share the frequencies; float64.

    `times` increase and need not be even. With `period` the frequencies are 1, 2, ... turns in that time; otherwise
    they are found, none slower than a quarter of a turn over the samples. There are always fewer unknowns of a number
    than samples, but for three samples, which one wave passes through. `stiffness` is the weight on bending.

    Raises ClipError for fewer than 3 samples or more than 1024, for values that are not finite, times that do not
    increase, and for a period shorter than two samples or longer than four times all of them.
    """
    _check(path, times, period)
    problem = _Problem(path.double(), times.double(), stiffness)
    most = min(MOST_MODES, (len(path) - 1) // 2)
    return problem.oscillation(problem.found(most) if period is None else problem.harmonic(period, most))


def _check(path: Float[Tensor, "T N"], times: Float[Tensor, " T"], period: float | None) -> None:
    if not FEWEST <= len(path) <= MOST:
        raise ClipError(f"path: {len(path)} samples; a flow is fitted to {FEWEST} at least and {MOST} at most")
    if not bool(path.isfinite().all()) or not bool(times.isfinite().all()) or not bool((times.diff() > 0).all()):
        raise ClipError("path: its values must be finite, and each sample later than the one before it")
    least, most = 2 * float(times.diff().median()), float(times[-1] - times[0]) / SLOWEST
    if period is not None and not least <= period <= most:
        raise ClipError(f"path: a period of {period:g}; its samples can tell one from {least:g} to {most:g}")


@dataclass(frozen=True, eq=False)
class _Solved:
    """The least-squares solution for some frequencies."""

    frequencies: Float[Tensor, " d"]
    basis: Float[Tensor, "M c"]
    """An orthonormal basis of the columns of the design, penalty rows included."""
    coefficients: Float[Tensor, "c N"]
    rest: Float[Tensor, "M N"]
    """What the design does not explain; its squares are the objective."""

    @property
    def objective(self) -> float:
        return float(self.rest.square().sum())


class _Problem:
    """A path about the middle of its times, in units of its median step."""

    def __init__(self, path: Float[Tensor, "T N"], times: Float[Tensor, " T"], stiffness: float) -> None:
        self.path, self.step, self.stiffness = path, float(times.diff().median()), stiffness
        self.origin = float(times[0] + times[-1]) / 2
        self.times = (times - self.origin) / self.step
        self.slowest = 2 * math.pi * SLOWEST / float(self.times[-1] - self.times[0])

    # --- which frequencies -------------------------------------------------------------------------------------------

    def harmonic(self, period: float, most: int) -> _Solved:
        """Whole turns of the period, up to half a turn a sample."""
        turn = 2 * math.pi * self.step / period
        most = min(most, int(FASTEST / turn + 1e-9))
        every = [self.solve(turn * torch.arange(1, n + 1, dtype=torch.float64)) for n in range(1, most + 1)]
        return min(every, key=lambda solved: self.score(solved, searched=0))

    def found(self, most: int) -> _Solved:
        """Any frequencies, one more at a time."""
        solved, every, scores = self.solve(self.times[:0]), [], []
        while len(every) < most and len(every) - _least(scores) <= PATIENCE:
            solved = self.refined(self.solve(torch.cat([solved.frequencies, self.next(solved)])))
            every.append(solved)
            scores.append(self.score(solved, searched=len(every)))
        return every[_least(scores)]

    def next(self, solved: _Solved) -> Float[Tensor, "1"]:
        """The frequency that would explain most of the rest."""
        count = max(16, math.ceil(FINENESS * float(self.times[-1] - self.times[0])))
        grid = torch.linspace(self.slowest, FASTEST, count, dtype=torch.float64)
        angle = self.times[:, None] * grid
        waves = torch.stack([angle.cos(), angle.sin()], -1).flatten(1)  # (T, 2G)
        samples = len(self.times)
        free = -solved.basis @ (solved.basis[:samples].mT @ waves)
        free[:samples] += waves
        free = free.unflatten(1, (count, 2)).transpose(0, 1)
        gram = free.mT @ free + self.cost(grid).square()[:, None, None] * torch.eye(2, dtype=torch.float64)
        shared = free.mT @ solved.rest
        return grid[(shared * torch.linalg.solve(gram, shared)).sum((1, 2)).argmax()][None]

    def refined(self, solved: _Solved) -> _Solved:
        """The frequencies moved to where the objective is least nearby (Levenberg and Marquardt)."""
        damping = 1e-3
        for _ in range(STEPS):
            slope = self.derivative(solved)
            gram, pull = slope.mT @ slope, slope.mT @ solved.rest.flatten()
            scale = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny)
            move = torch.linalg.solve(gram + damping * scale.diag(), pull)
            tried = self.solve((solved.frequencies - move).clamp(self.slowest, FASTEST))
            before, after = solved.objective, tried.objective
            solved, damping = (tried, damping / 10) if after < before else (solved, damping * 10)
            if before * (1 - SETTLED) < after <= before or damping > 1e6:
                break
        return solved

    def derivative(self, solved: _Solved) -> Float[Tensor, "MN d"]:
        """Of the rest by the frequencies, after Kaufman: what the moved columns have beside the design's own span."""
        w = solved.frequencies
        angle = self.times[:, None] * w
        cos, sin = solved.coefficients[1:].chunk(2)  # (d, N) each
        moved = self.times[:, None, None] * (angle.cos()[..., None] * sin - angle.sin()[..., None] * cos)
        bent = 2 * (self.cost(w) / w)[:, None]
        each = torch.eye(len(w), dtype=torch.float64)[..., None]
        below = torch.cat([each * (bent * cos), each * (bent * sin)])
        change = torch.cat([moved, below]).flatten(1)  # (M, d N)
        beside = change - solved.basis @ (solved.basis.mT @ change)
        return -beside.unflatten(1, (len(w), -1)).transpose(1, 2).flatten(0, 1)

    # --- for given frequencies ---------------------------------------------------------------------------------------

    def cost(self, frequencies: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """The root of what the square of an amplitude costs: the mean square of its second derivative."""
        return math.sqrt(self.stiffness * len(self.times) / 2) * frequencies.square()

    def solve(self, frequencies: Float[Tensor, " d"]) -> _Solved:
        """The amplitudes: least squares with a row of its own for the bending of each."""
        angle = self.times[:, None] * frequencies
        top = torch.cat([self.times.new_ones(len(self.times), 1), angle.cos(), angle.sin()], 1)
        cost = self.cost(frequencies).repeat(2).diag()
        design = torch.cat([top, F.pad(cost, (1, 0))])
        path = F.pad(self.path, (0, 0, 0, len(cost)))
        basis, upper = torch.linalg.qr(design)
        shares = basis.mT @ path
        coefficients = torch.linalg.solve_triangular(upper, shares, upper=True)
        return _Solved(frequencies, basis, coefficients, path - basis @ shares)

    def score(self, solved: _Solved, *, searched: int) -> float:
        """Generalised cross-validation; each frequency that was searched for counts as a number too."""
        samples, numbers = self.path.shape
        missed = float(solved.rest[:samples].square().sum())
        total = float((self.path - self.path.mean(0)).square().sum())
        used = float(solved.basis[:samples].square().sum()) + searched / numbers
        left = max(1 - used / samples, 1e-3)
        return (missed + EXACT * total) / left**2

    def oscillation(self, solved: _Solved) -> Oscillation:
        """The solution as a flow."""
        cos, sin = solved.coefficients[1:].chunk(2)
        return of_waves(solved.frequencies / self.step, cos, sin, solved.coefficients[0], self.origin)


def _least(scores: list[float]) -> int:
    """Where the least of them is; 0 where there are none."""
    return min(range(len(scores)), key=scores.__getitem__, default=0)
