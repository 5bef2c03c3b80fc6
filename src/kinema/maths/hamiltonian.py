"""Linear Hamiltonian mechanics: energies, operators in normal form, and their flow in closed form.

The state is s = (q, p), positions first, last axis 2d. With a symmetric M the energy is E = s'Ms / 2 and the motion
ds/dt = H s with H = JM, J = [[0, I], [-I, 0]], so that s(t) = exp(tH) s(0) (Khan & Storkey 2022, section 3).

The flow needs no solver where H is in normal form. Williamson's theorem: every positive definite M is
M = S^-T diag(w, w) S^-1 with S symplectic and w > 0, and then exp(tH) = S R(wt) S^-1, where R turns each pair
(q_i, p_i) by the angle w_i t. Euler's (Bloch-Messiah) decomposition writes S = U1 diag(e^r, e^-r) U2 with U1, U2 both
orthogonal and symplectic, that is unitary matrices in real form; those come from Cayley's transform. See de Gosson,
"Symplectic Geometry and Quantum Mechanics", 2006, sections 2.2 and 8.3.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


def symplectic_form(d: int, *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """J = [[0, I], [-I, 0]], (2d, 2d)."""
    j = torch.zeros(2 * d, 2 * d, dtype=dtype, device=device)
    j[:d, d:] = torch.eye(d, dtype=dtype, device=device)
    j[d:, :d] = -torch.eye(d, dtype=dtype, device=device)
    return j


def generator(m: Float[Tensor, "*K n n"]) -> Float[Tensor, "*K n n"]:
    """H = JM: the rows of M that belong to p move to q, those of q, negated, to p."""
    mq, mp = m.chunk(2, dim=-2)
    return torch.cat([mp, -mq], dim=-2)


def energy(state: Float[Tensor, "*B K n"], m: Float[Tensor, "K n n"]) -> Float[Tensor, "*B K"]:
    """E = s'Ms / 2 of each operator (supplement, eq. 10)."""
    return 0.5 * torch.einsum("...ki,kij,...kj->...k", state, m, state)


def energy_terms(state: Float[Tensor, "*B K n"], m: Float[Tensor, "K n n"]) -> dict[str, Float[Tensor, "*B K"]]:
    """Potential q'Aq/2, kinetic p'Cp/2 and non-separable q'Bp energy of M = [[A, B], [B', C]] (supplement, eq. 11)."""
    d = m.shape[-1] // 2
    q, p = state[..., :d], state[..., d:]
    return {
        "potential": 0.5 * torch.einsum("...ki,kij,...kj->...k", q, m[:, :d, :d], q),
        "kinetic": 0.5 * torch.einsum("...ki,kij,...kj->...k", p, m[:, d:, d:], p),
        "nonseparable": torch.einsum("...ki,kij,...kj->...k", q, m[:, :d, d:], p),
    }


def unitary(a: Float[Tensor, "*K d d"], b: Float[Tensor, "*K d d"]) -> Float[Tensor, "*K n n"]:
    """The orthogonal symplectic matrix (I + X)^-1 (I - X) of X = [[A, B], [-B, A]], A = skew(a), B = sym(b).

    Any real `a`, `b` are allowed: their entries are softly bounded (|X_ij| < 3), so that the inverse stays well
    conditioned and the result orthogonal to rounding, whatever training does to them.
    """
    a, b = (1.5 * torch.tanh(torch.stack([a, b]) / 3)).unbind()
    a, b = a - a.mT, b + b.mT
    x = torch.cat([torch.cat([a, b], dim=-1), torch.cat([-b, a], dim=-1)], dim=-2)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return torch.linalg.solve(eye + x, eye - x)


@dataclass(frozen=True)
class NormalForm:
    """K Hamiltonian operators given by their symplectic frame S and their frequencies w (radians per frame)."""

    frame: Float[Tensor, "K n n"]
    """S, symplectic."""
    inverse: Float[Tensor, "K n n"]
    """S^-1."""
    frequencies: Float[Tensor, "K d"]
    """w: all positive means that M is positive definite."""

    @classmethod
    def squeezed(
        cls, u1: Tensor, r: Float[Tensor, "K d"], u2: Tensor, frequencies: Float[Tensor, "K d"]
    ) -> "NormalForm":
        """S = U1 diag(e^r, e^-r) U2, whose inverse needs no solve: the factors of it are transposes."""
        z = torch.cat([r, -r], dim=-1).exp()
        return cls((u1 * z[:, None, :]) @ u2, (u2.mT / z[:, None, :]) @ u1.mT, frequencies)

    def energy_matrix(self) -> Float[Tensor, "K n n"]:
        """M = S^-T diag(w, w) S^-1."""
        w = torch.cat([self.frequencies, self.frequencies], dim=-1).to(self.frame.dtype)
        return (self.inverse.mT * w[:, None, :]) @ self.inverse

    def snapped(self, period: float) -> "NormalForm":
        """The operators whose frequencies are the nearest whole numbers of turns in `period` frames: exp(period H) = I.

        No frequency comes to rest: it makes one turn at least, in its own sense. The new frequencies are in double
        precision whatever the frame's, so that after thousands of periods the motion still closes.
        """
        turns = self.frequencies.double() * (period / (2 * math.pi))
        whole = turns.round().abs().clamp(min=1).copysign(turns)
        return replace(self, frequencies=whole * (2 * math.pi / period))

    def propagator(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
        """exp(tH) = S R(wt) S^-1 at any real times.

        Angles and waves are computed in double precision, whatever the precision of the rest: at t = 100,000 single
        precision would leave two digits of it. Written out, exp(tH) is a sum of cos(w_i t) and sin(w_i t), each times
        one constant matrix, so that all times together are one matrix product.
        """
        waves = self.waves(times)
        (sq, sp), (iq, ip) = self.frame.mT.chunk(2, dim=-2), self.inverse.chunk(2, dim=-2)
        cosine = sq[..., :, None] * iq[..., None, :] + sp[..., :, None] * ip[..., None, :]
        sine = sq[..., :, None] * ip[..., None, :] - sp[..., :, None] * iq[..., None, :]
        basis = torch.cat([cosine, sine], dim=-3).flatten(-2)  # (K, 2d, n n)
        every = waves.flatten(0, -3).transpose(0, 1) @ basis
        return every.transpose(0, 1).unflatten(-1, self.frame.shape[-2:]).reshape(*times.shape, *self.frame.shape)

    def waves(self, times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n"]:
        """cos(w_i t), then sin(w_i t)."""
        angle = times.double()[..., None, None] * self.frequencies.double()
        return torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.frame.dtype)

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, " T"]) -> Float[Tensor, "B T K n"]:
        """exp(tH) s at times that all clips share, without exp(tH): each state has its amplitudes of the 2d waves."""
        q, p = (self.inverse @ state[..., None])[..., None, :, 0].chunk(2, dim=-1)
        sq, sp = self.frame.chunk(2, dim=-1)
        amplitudes = torch.cat([sq * q + sp * p, sq * p - sp * q], dim=-1)  # (B, K, n, 2d)
        batch, count, n, _ = amplitudes.shape
        every = self.waves(times).transpose(0, 1) @ amplitudes.permute(1, 3, 0, 2).reshape(count, n, batch * n)
        return every.view(count, -1, batch, n).permute(2, 1, 0, 3)


def exponential(m: Float[Tensor, "K n n"], times: Float[Tensor, "*T"]) -> Float[Tensor, "*T K n n"]:
    """exp(tJM) for any symmetric M, by scaling and squaring; grows without bound unless M is definite."""
    return torch.matrix_exp(times.to(m.dtype)[..., None, None, None] * generator(m))


def flow(propagator: Float[Tensor, "*T K n n"], state: Float[Tensor, "B K n"]) -> Float[Tensor, "B T K n"]:
    """The trajectory exp(tH) s; `propagator` is shared by the batch, (T, K, n, n), or each clip's, (B, T, K, n, n)."""
    if propagator.dim() == 5:
        return (propagator @ state[:, None, :, :, None])[..., 0]
    steps, count, n, _ = propagator.shape
    # One matrix product for the whole batch and all times.
    every = state.transpose(0, 1) @ propagator.permute(1, 3, 0, 2).reshape(count, n, steps * n)
    return every.view(count, -1, steps, n).permute(1, 2, 0, 3)
