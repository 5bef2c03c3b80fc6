"""The dynamics that HALO is compared with: linear, recurrent, and a positional encoding (supplement, section 3.3).

Each takes the place of the Hamiltonian operators and nothing else: the same state (K, 2d) comes in, positions first,
and the same positions go to the decoder. They know one direction of time and whole steps: the state is read at a
clip's first frame, and between two steps the trajectory is drawn straight.
"""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ClipError
from kinema.nn.operators import OPERATORS, Operator


class Forward(nn.Module):
    """Dynamics that run forwards from the first frame. Every parameter has the operator as its first axis."""

    both_ways = False

    def __init__(self, count: int, d: int, period: float) -> None:
        """`count` subspaces of `d` positions and `d` momenta; `period` is the cycle, in frames."""
        super().__init__()
        self.count, self.d, self.period = count, d, period

    @abstractmethod
    def steps(self, state: Float[Tensor, "B K n"], last: int) -> Float[Tensor, "B S K n"]:
        """The states after 0, 1, ..., `last` steps."""

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]:
        """The trajectory through `state` (at time 0) at `times`, (T,) or (B, T), none of them below 0.

        Raises ClipError for a time below 0: there is no way back.
        """
        if float(times.min()) < 0:
            raise ClipError("this model's dynamics run forwards only; times from 0 on are needed")
        with torch.autocast(state.device.type, enabled=False):
            known = self.steps(state.to(self.dtype), math.ceil(float(times.max())))
            # What does not move stays at zero, as under a linear flow.
            known = known * (state != 0).any(-1)[:, None, :, None]
        times = times.expand(state.shape[0], -1)
        before = times.floor().long()
        share = (times - before).to(known.dtype)[..., None, None]
        rows = torch.arange(len(known), device=known.device)[:, None]
        first = known[rows, before]
        return first + share * (known[rows, (before + 1).clamp(max=known.shape[1] - 1)] - first)

    def propagator(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
        """The identity: the state is always that of the first frame."""
        eye = torch.eye(2 * self.d, dtype=self.dtype, device=times.device)
        return eye.expand(*times.shape, self.count, -1, -1)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


class Linear(Forward):
    """h_1 = s_1, h_t = A s_1 + B h_(t-1) + b, with A, B and b of each action (supplement, eq. 12).

    The paper writes s_(t-1) without saying what it is after the first step. Read as the state that was inferred, it
    holds the other reading, h_t = (A + B) h_(t-1) + b, as the case A = 0.
    """

    def __init__(self, count: int, d: int, period: float) -> None:
        super().__init__(count, d, period)
        n = 2 * d
        # Near the identity: a trajectory that stands still first, neither vanishing nor growing.
        self.b_matrix = nn.Parameter(torch.eye(n) + 0.1 * torch.randn(count, n, n))
        self.a_matrix = nn.Parameter(0.1 * torch.randn(count, n, n))
        self.bias = nn.Parameter(torch.zeros(count, n))

    def steps(self, state: Float[Tensor, "B K n"], last: int) -> Float[Tensor, "B S K n"]:
        drive = torch.einsum("kij,bkj->bki", self.a_matrix, state) + self.bias
        states = [state]
        for _ in range(last):
            states.append(torch.einsum("kij,bkj->bki", self.b_matrix, states[-1]) + drive)
        return torch.stack(states, dim=1)


class Recurrent(Forward):
    """A gated recurrent unit (Cho et al. 2014) for each action, told the inferred state at every step."""

    def __init__(self, count: int, d: int, period: float, hidden: int = 64) -> None:
        super().__init__(count, d, period)
        n = 2 * d
        self.enter = nn.Parameter(torch.randn(count, hidden, n) / n**0.5)
        self.told = nn.Parameter(torch.randn(count, 3, hidden, n) / n**0.5)
        self.kept = nn.Parameter(torch.randn(count, 3, hidden, hidden) / hidden**0.5)
        self.bias = nn.Parameter(torch.zeros(count, 3, hidden))
        self.leave = nn.Parameter(torch.randn(count, n, hidden) / hidden**0.5)

    def steps(self, state: Float[Tensor, "B K n"], last: int) -> Float[Tensor, "B S K n"]:
        told = torch.einsum("kghn,bkn->bkgh", self.told, state) + self.bias
        h = torch.einsum("khn,bkn->bkh", self.enter, state).tanh()
        hidden = [h]
        for _ in range(last):
            reset, update = (
                (told[:, :, gate] + torch.einsum("khj,bkj->bkh", self.kept[:, gate], h)).sigmoid() for gate in (0, 1)
            )
            fresh = (told[:, :, 2] + reset * torch.einsum("khj,bkj->bkh", self.kept[:, 2], h)).tanh()
            h = update * h + (1 - update) * fresh
            hidden.append(h)
        return torch.einsum("knh,bskh->bskn", self.leave, torch.stack(hidden, dim=1))


class Positional(Forward):
    """The phase of a frame moves on at a fixed rate; its sines and cosines are the motion (supplement, eq. 13).

    phi_t = tanh(s_1) + t / period, from the first coordinate of the state; q = (sin 2^k phi, cos 2^k phi) for
    k = 1 ... d/2. Nothing in it is learned but where a picture is in its cycle.
    """

    octaves: Tensor
    """2^k."""

    def __init__(self, count: int, d: int, period: float) -> None:
        super().__init__(count, d, period)
        self.register_buffer("octaves", 2.0 ** torch.arange(1, (d + 1) // 2 + 1))

    @property
    def dtype(self) -> torch.dtype:
        return self.octaves.dtype

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]:
        times = times.expand(state.shape[0], -1).to(self.dtype)
        phase = state[..., 0].to(self.dtype).tanh()[:, None] + times[..., None] / self.period
        angle = phase[..., None] * self.octaves
        q = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[..., : self.d]
        return torch.cat([q, torch.zeros_like(q)], dim=-1) * (state != 0).any(-1)[:, None, :, None]

    def steps(self, state: Float[Tensor, "B K n"], last: int) -> Float[Tensor, "B S K n"]:
        return self.flow(state, torch.arange(last + 1, dtype=torch.float64, device=state.device))


RIVALS: dict[str, type[Forward]] = {"linear": Linear, "rnn": Recurrent, "positional": Positional}
DYNAMICS: dict[str, type[Operator] | type[Forward]] = {**OPERATORS, **RIVALS}
"""Everything that can move a state, by name."""
