"""Learnable Hamiltonian operators: K of them, each acting on its own subspace of 2d dimensions."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.maths import hamiltonian

MAX_TURNS = 0.6
"""Bound of the frequencies, in turns per frame: beyond half a turn a frame looks like a slower turn the other way."""
MIN_TURNS = 1e-4
"""Least frequency of a definite operator: at zero, which a sigmoid reaches by rounding, M would not be definite."""
MAX_SQUEEZE = 1.0
"""Bound of |r| in S = U1 diag(e^r, e^-r) U2: keeps the condition number of S below e^2."""


class Operator(nn.Module):
    """K operators exp(tH). Every parameter has the operator as its first axis, so that one can be taken from a run."""

    both_ways = True
    """Whether the flow knows the times before the state's own."""

    def __init__(self, count: int, d: int, period: float) -> None:
        """`count` operators of `d` degrees of freedom; their first guess of the cycle is `period` frames."""
        super().__init__()
        self.count, self.d, self.period = count, d, period

    @abstractmethod
    def energy_matrix(self) -> Float[Tensor, "K n n"]:
        """M of each operator, symmetric: H = JM."""

    @abstractmethod
    def propagator(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
        """exp(tH) of each operator at real times, in frames."""

    def snapped(self, period: float) -> "Operator":
        """These operators, sharing their parameters, with the nearest frequencies that close every motion in `period`
        frames.

        Raises ConfigError where the flow is not made of frequencies, or `period` is not a positive number of frames.
        """
        del period
        raise ConfigError(
            f"model.operator {type(self).__name__.lower()}: its flow may grow and has no frequencies to close a loop "
            "with; train with model.operator definite or orthogonal"
        )

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]:
        """The trajectory through `state` (at time 0) at `times`, (T,) or (B, T); always in full precision."""
        with torch.autocast(state.device.type, enabled=False):
            return hamiltonian.flow(self.propagator(times), state.to(self.dtype))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


def _harmonics(count: int, d: int, period: float) -> Float[Tensor, "K d"]:
    """The cycle's harmonics below half a turn a frame, over and over, in turns per frame."""
    below = max(1, math.ceil(period / 2) - 1)
    turns = (1 + torch.arange(d) % below) / period
    return turns.clamp(2 * MIN_TURNS, 0.9 * MAX_TURNS).expand(count, d)


class Symplectic(Operator):
    """H = JM with M any symmetric matrix: the paper's operator. Its flow may diverge, for M need not be definite."""

    def __init__(self, count: int, d: int, period: float) -> None:
        super().__init__(count, d, period)
        # The scale of the official code: each W has Frobenius norm sqrt(2).
        self.w = nn.Parameter(torch.randn(count, 2 * d, 2 * d) * math.sqrt(2) / (2 * d))

    def energy_matrix(self) -> Float[Tensor, "K n n"]:
        return 0.5 * (self.w + self.w.mT)

    def propagator(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
        return hamiltonian.exponential(self.energy_matrix(), times)


class NormalFormOperator(Operator):
    """Operators that are given in normal form, and so have their flow in closed form."""

    @abstractmethod
    def normal_form(self) -> hamiltonian.NormalForm:
        """The frame and the frequencies."""

    def snapped(self, period: float) -> "Snapped":
        return Snapped(self, period)

    def energy_matrix(self) -> Float[Tensor, "K n n"]:
        return self.normal_form().energy_matrix()

    def propagator(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
        return self.normal_form().propagator(times)

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]:
        if times.dim() > 1:
            return super().flow(state, times)
        with torch.autocast(state.device.type, enabled=False):
            return self.normal_form().flow(state.to(self.dtype), times)


class Orthogonal(NormalFormOperator):
    """exp(tH) in Sp(2d) and SO(2d): rotations, in either sense, of an orthonormal frame; M commutes with J."""

    def __init__(self, count: int, d: int, period: float) -> None:
        super().__init__(count, d, period)
        self.a = nn.Parameter(0.3 * torch.randn(count, d, d))
        self.b = nn.Parameter(0.3 * torch.randn(count, d, d))
        self.rate = nn.Parameter((_harmonics(count, d, period) / MAX_TURNS).atanh())

    def normal_form(self) -> hamiltonian.NormalForm:
        u = hamiltonian.unitary(self.a, self.b)
        return hamiltonian.NormalForm(u, u.mT, 2 * math.pi * MAX_TURNS * torch.tanh(self.rate))


class Definite(NormalFormOperator):
    """H = JM with M positive definite by construction: the flow is bounded for ever, and known in closed form."""

    def __init__(self, count: int, d: int, period: float) -> None:
        super().__init__(count, d, period)
        self.a1, self.b1, self.a2, self.b2 = (nn.Parameter(0.3 * torch.randn(count, d, d)) for _ in range(4))
        self.squeeze = nn.Parameter(0.1 * torch.randn(count, d))
        share = (_harmonics(count, d, period) - MIN_TURNS) / (MAX_TURNS - MIN_TURNS)
        self.rate = nn.Parameter(share.logit())

    def normal_form(self) -> hamiltonian.NormalForm:
        u1, u2 = hamiltonian.unitary(torch.stack([self.a1, self.a2]), torch.stack([self.b1, self.b2]))
        frequencies = 2 * math.pi * (MIN_TURNS + (MAX_TURNS - MIN_TURNS) * torch.sigmoid(self.rate))
        return hamiltonian.NormalForm.squeezed(u1, MAX_SQUEEZE * torch.tanh(self.squeeze), u2, frequencies)


class Snapped(NormalFormOperator):
    """The operators of `base` with whole numbers of turns in `period` frames: exp(period H) = I. Nothing is copied.

    The gradient reaches the frame and the state; whole numbers do not follow the learned frequencies.
    """

    def __init__(self, base: NormalFormOperator, period: float) -> None:
        """Raises ConfigError where `period` is not a positive number of frames."""
        if not 0 < period < math.inf:
            raise ConfigError(f"period is {period} frames; a positive number is needed")
        super().__init__(base.count, base.d, period)
        self.base = base

    def normal_form(self) -> hamiltonian.NormalForm:
        return self.base.normal_form().snapped(self.period)

    def snapped(self, period: float) -> "Snapped":
        return self.base.snapped(period)


OPERATORS: dict[str, type[Operator]] = {"definite": Definite, "orthogonal": Orthogonal, "symplectic": Symplectic}
