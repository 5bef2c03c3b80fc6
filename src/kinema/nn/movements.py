"""Which movements there are: a density of the states of one linear Hamiltonian flow, learned from training clips. Ours.

A few frames of a movement leave open what lies between them; who has seen others walk knows more. The matrices of a
movement are told apart into where the body is and how the limbs go about it, and both are

    y(t) = c + sum_k a_k cos(w_k t) + b_k sin(w_k t),    (c, a, b) = mean + basis @ s,

where the frequencies are whole turns of twice the longest training clip, and s is the state of a mixture of Gaussians.
Given frames, the posterior of s is such a mixture again (Bishop 2006, section 2.3.3, for each component), and the flow
through its mean tells the movement at all times. Whoever walks may go anywhere besides: where the body's places are
not of the known ones, the limbs are told by the limbs, and the body has a flow of its own.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.maths import oscillation
from kinema.maths.mixture import fit_mixture
from kinema.maths.oscillation import Oscillation

MODES = 32
"""Frequencies, of which those up to half a turn a frame are used."""
STATE = 48
"""Principal components of what the flow reads out: numbers of the state."""
NOISE = 1e-3
"""Least standard deviation, in canvas units, of a number of a matrix about the flow."""
BEYOND = 2.0
"""A movement is not of the known ones where it is so many times as far from all of them as the farthest that was."""


def limbs_and_body(theta: Float[Tensor, "T K 2 3"]) -> tuple[Float[Tensor, "T N"], Float[Tensor, "T 2"]]:
    """The numbers of all matrices, N = 6 K, without the place of the first part, and that place."""
    body = theta[:, 0, :, 2]
    shifted = torch.cat([torch.zeros_like(theta[..., :2]), body[:, None, :, None].expand_as(theta[..., 2:])], -1)
    return (theta - shifted).flatten(1), body


class Movements(nn.Module):
    """The density; buffers, saved with the model. Nothing is known before `fit`."""

    period: Tensor
    noise: Tensor
    reach: Tensor
    mean: Tensor
    basis: Tensor
    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, components: int, parts: int) -> None:
        super().__init__()
        self.limbs = 6 * parts
        width = (1 + 2 * MODES) * (self.limbs + 2)
        for name, shape in {
            "period": (),
            "noise": (),
            "reach": (2,),
            "mean": (width,),
            "basis": (width, STATE),
        }.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, STATE))
        self.register_buffer("factors", torch.eye(STATE).repeat(components, 1, 1))

    @torch.no_grad()
    def fit(self, movements: Sequence[Float[Tensor, "_T K 2 3"]], seed: int) -> None:
        """Learn from movements with a matrix for each frame 0, 1, 2, ...; of fewer than components each is one."""
        paths = [torch.cat(limbs_and_body(theta.double()), 1) for theta in movements]
        self.period.fill_(2 * max(map(len, paths)))
        waves = torch.stack([self._waves(path).flatten() for path in paths])
        mean = waves.mean(0)
        basis = torch.linalg.svd(waves - mean, full_matrices=False).Vh[:STATE].mT
        basis = functional.pad(basis, (0, STATE - basis.shape[1]))
        states = (waves - mean) @ basis
        count = min(len(self.weights), len(paths))
        found = fit_mixture(states, count, seed)
        self.mean.copy_(mean)
        self.basis.copy_(basis)
        for name in ("weights", "means", "factors"):
            getattr(self, name)[:count] = getattr(found, name)
        self.weights[count:] = 0
        rest = torch.cat([path - self._at(_frames(path), state) for path, state in zip(paths, states, strict=True)])
        self.noise.copy_(rest.square().mean().sqrt().clamp_min(NOISE))
        for which, numbers in enumerate((self.limbs + 2, self.limbs)):
            far = [self._posterior(path[::2, :numbers], _frames(path)[::2])[1] for path in paths]
            self.reach[which] = BEYOND * torch.stack(far).max()

    @torch.no_grad()
    def flow(self, theta: Float[Tensor, "T K 2 3"], times: Float[Tensor, " T"]) -> Oscillation | None:
        """The likely flow of a movement that has these matrices at these times; None where it is not of the known ones.

        Known movements begin with the first frame of a clip, and so do those that are told by them.
        """
        if not float(self.period) or theta[0].numel() != self.limbs:
            return None
        limbs, body = limbs_and_body(theta.double())
        begun = times.double() - times[0]
        onto = torch.zeros(len(theta[0]), 2, 3, 2, dtype=torch.float64)
        onto[:, 0, 2, 0] = onto[:, 1, 2, 1] = 1  # the third number of either row of a matrix is a place
        onto = onto.flatten(0, 2)
        whole = torch.cat([limbs, body], 1)
        for numbers, reach in zip((whole.shape[1], self.limbs), self.reach, strict=True):
            state, far = self._posterior(whole[:, :numbers], begun)
            if far <= reach:
                break
        else:
            return None
        waves = self._amplitudes(state)
        told = self._flow(waves[:, : self.limbs] + waves[:, self.limbs :] @ onto.mT, float(times[0]))
        left = body - self._at(begun, state)[:, self.limbs :]
        return told.plus(oscillation.fit(left, times), onto)

    # --- the flow and its states -------------------------------------------------------------------------------------

    def _frequencies(self) -> Float[Tensor, " d"]:
        """In radians a frame."""
        return 2 * math.pi / self.period.double() * torch.arange(1, MODES + 1, device=self.period.device)

    def _design(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T w"]:
        """What each amplitude adds at these times; frames tell no frequencies above half a turn each."""
        w = self._frequencies()
        angle = times.to(w)[:, None] * w
        told = w <= oscillation.FASTEST * (1 + 1e-6)
        return torch.cat([torch.ones_like(angle[:, :1]), angle.cos() * told, angle.sin() * told], 1)

    def _waves(self, path: Float[Tensor, "T N"]) -> Float[Tensor, "w N"]:
        """The amplitudes through a path, of those that bend least."""
        design = self._design(_frames(path))
        bent = torch.cat([design.new_zeros(1), *2 * [self._frequencies().square()]])
        cost = oscillation.STIFFNESS * len(path) * bent.square() + 1e-9
        return torch.linalg.solve(design.mT @ design + cost.diag(), design.mT @ path)

    def _amplitudes(self, state: Float[Tensor, " n"]) -> Float[Tensor, "w N"]:
        return (self.mean.double() + self.basis.double() @ state).unflatten(0, (-1, self.limbs + 2))

    def _flow(self, waves: Float[Tensor, "w N"], origin: float) -> Oscillation:
        """The flow that begins at `origin` with these amplitudes."""
        middle, cos, sin = waves.split([1, MODES, MODES])
        return oscillation.of_waves(self._frequencies(), cos, sin, middle[0], origin)

    def _at(self, times: Float[Tensor, " T"], state: Float[Tensor, " n"]) -> Float[Tensor, "T N"]:
        return self._design(times) @ self._amplitudes(state)

    def _posterior(self, path: Float[Tensor, "T N"], times: Float[Tensor, " T"]) -> tuple[Tensor, Tensor]:
        """The mean state given a path of the limbs, or of these and the body, and how far that is from the component
        which tells it best: the mean square of its numbers in deviations."""
        precision = 1 / self.noise.double().square()
        basis = self.basis.double().unflatten(0, (-1, self.limbs + 2))[:, : path.shape[1]]
        seen = torch.einsum("tw,wnk->tnk", self._design(times), basis).flatten(0, 1)  # from a state to what was seen
        means, factors = self.means.double(), self.factors.double()
        here = (path - self._at(times, means.new_zeros(STATE))[:, : path.shape[1]]).flatten()
        off = here - means @ seen.mT  # (C, T N)
        inner = torch.cholesky_inverse(factors) + precision * seen.mT @ seen
        pull = precision * off @ seen  # (C, n)
        moved = torch.linalg.solve(inner, pull)
        apart = precision * off.square().sum(1) - (pull * moved).sum(1)
        volume = inner.logdet() + 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1)
        share = (self.weights.double().log() - (apart + volume) / 2).softmax(0)
        return share @ (means + moved), apart[share.argmax()] / path.numel()


def _frames(path: Float[Tensor, "T N"]) -> Float[Tensor, " T"]:
    """When each frame of a path begins."""
    return torch.arange(len(path), dtype=torch.float64, device=path.device)
