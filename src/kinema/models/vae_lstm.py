"""The recurrent VAE of the paper (Habibie et al., BMVC 2017): motion from a control signal, drawn on a canvas.

    z_t ~ q(z_t | x)                          posterior, 15 latents a second from convolutions over the joints
    h_t = convolutions over the control       what the user asks for
    i = s(W_ic s_t + W_ih h_t)                input gate, eq. 7
    f = s(W_fc s_t + W_fh h_t)                forget gate, eq. 8
    c_t = ELU(f * W_c s_t + i * W_h h_t)      cell state, eq. 9: no output gate, and the canvas is c
    x = deconvolution of the canvas           63 joint coordinates and 3 controls

In training s_t is the latent z_t, so the steps do not depend on one another; at test time s_t is c_(t-1), begun from
z_1 (algorithm 1). `unroll` closes that gap, which the paper leaves open: training then runs as testing does. Where
paper and released code disagree, docs/papers/locomotion.md says what is done here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.motions import Moving
from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.models.base import Losses
from kinema.models.motion_base import MotionDomain, MotionNetwork
from kinema.motion import Motion, MotionBatch
from kinema.nn.motion_scale import MotionScale

POOL = 4
"""Frames per latent: two poolings by two."""
KERNEL = 25


@dataclass(frozen=True)
class VaeLstmConfig:
    """What the paper's model is made of, and the weights of its objective."""

    cell: str = "modified"
    """modified (eq. 7-9) or lstm (the vanilla cell of the paper's ablation, fed z_t and h_t)."""
    unroll: bool = False
    """Whether training runs the recurrence from z_1, as testing does; false: s_t = z_t, as in the paper."""
    latent: str = "first"
    """What a test draws: first (z_1 alone, algorithm 1) or each (a latent at every step)."""
    width: int = 128
    """Dimension of z, h and c."""
    dropout: float = 0.2
    """Share of inputs dropped before every convolution."""
    kl: float = 1.0
    """Weight of the KL term, a mean over latents and steps; 1.0 makes the objective an ELBO of unit variance."""
    l1: float = 0.1
    """Weight of the mean over parameter tensors of their mean absolute value."""

    def __post_init__(self) -> None:
        for name, known in (("cell", CELLS), ("latent", LATENTS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"model.{name} is {getattr(self, name)!r}; known: {', '.join(known)}")


class ModifiedCell(nn.Module):
    """Equations 7 to 9. The gates read the same state as the cell does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(width, 3 * width)
        self.of_control = nn.Linear(width, 3 * width)

    def step(self, state: Float[Tensor, "*B W"], control: Float[Tensor, "*B W3"]) -> Float[Tensor, "*B W"]:
        """c_t from s_t and what `of_control` made of h_t."""
        i, f, old = self.of_state(state).chunk(3, -1)
        ih, fh, new = control.chunk(3, -1)
        return functional.elu(torch.sigmoid(f + fh) * old + torch.sigmoid(i + ih) * new)

    def forced(self, z: Float[Tensor, "B N W"], h: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """The canvas with s_t = z_t: every step at once."""
        return self.step(z, self.of_control(h))

    def rolled(self, z: Float[Tensor, "B N W"], h: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """The canvas with s_1 = z_1 and s_t = c_(t-1) (algorithm 1)."""
        asked, state = self.of_control(h), z[:, 0]
        canvas = []
        for t in range(h.shape[1]):
            state = self.step(state, asked[:, t])
            canvas.append(state)
        return torch.stack(canvas, 1)


class VanillaCell(nn.Module):
    """An ordinary LSTM over (z_t, h_t); its hidden state is the canvas."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * width, width, batch_first=True)

    def forced(self, z: Float[Tensor, "B N W"], h: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        return self.lstm(torch.cat([z, h], -1))[0]

    def rolled(self, z: Float[Tensor, "B N W"], h: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """With z_1 at the first step and nothing after it."""
        first = torch.cat([z[:, :1], torch.zeros_like(z[:, 1:])], 1)
        return self.forced(first, h)


CELLS = {"modified": ModifiedCell, "lstm": VanillaCell}
LATENTS = {"first": "rolled", "each": "forced"}
"""Which way of running the cell each choice of test latents needs."""


class VaeLstm(MotionNetwork):
    """The paper's model. Output frame t depends on the control up to 75 frames later: it is not causal."""

    def __init__(self, config: VaeLstmConfig, domain: MotionDomain) -> None:
        super().__init__()
        if domain.length % POOL:
            raise ConfigError(f"data.length is {domain.length}; a multiple of {POOL} frames is needed")
        self.config, self.domain = config, domain
        self.scale = MotionScale(len(domain.names))
        joints, width = 3 * len(domain.names), config.width
        self.posterior = encoder(joints, 64, 2 * width, config.dropout)
        self.control_encoder = encoder(3, 64, width, config.dropout)
        self.cell = CELLS[config.cell](width)
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Dropout(config.dropout),
            nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2),
            nn.ELU(),
            nn.Upsample(scale_factor=2),
            nn.Dropout(config.dropout),
            nn.Conv1d(width, joints + 3, KERNEL, padding=KERNEL // 2),  # linear: the code's ELU could not go below -1
        )

    def fit(self, source: Moving) -> None:
        self.scale.fit(source.motions())

    def infer(self, features: Float[Tensor, "B T F"]) -> Gaussian:
        """q(z | x) of normalised features, (B, T / 4, width); the joints alone are read."""
        mean, log_std = self.posterior(features[..., :-3].mT).mT.chunk(2, -1)
        return Gaussian(mean, 2 * log_std)

    def encode_control(self, control: Float[Tensor, "B T 3"]) -> Float[Tensor, "B N W"]:
        return self.control_encoder((control / self.scale.control_std).mT).mT

    def decode(self, canvas: Float[Tensor, "B N W"]) -> Float[Tensor, "B T F"]:
        """Normalised features of the frames."""
        return self.decoder(canvas.mT).mT

    def losses(self, batch: MotionBatch) -> Losses:
        features = self.scale.encode(batch.motion)
        posterior = self.infer(features)
        z, h = posterior.sample(), self.encode_control(batch.motion.control)
        made = self.decode(self.cell.rolled(z, h) if self.config.unroll else self.cell.forced(z, h))
        reconstruction = (made - features).square().mean()
        kl = posterior.kl().mean() / self.config.width
        sparse = torch.stack([weight.abs().mean() for weight in self.parameters()]).mean()
        total = reconstruction + self.config.kl * kl + self.config.l1 * sparse
        return Losses(total, {"reconstruction": reconstruction, "kl": kl, "l1": sparse})

    @torch.no_grad()
    def generate(
        self,
        frames: int,
        control: Float[Tensor, "B T 3"] | None,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Motion:
        """Algorithm 1. z_1 is drawn from the posterior of the start frames, or from N(0, I) where there are none.

        z_1 sees 40 frames; those after `start` are taken to be like its last one, so that nothing is seen in advance.
        """
        del factors
        if control is None:
            raise ConfigError("vae-lstm: a control signal is needed; this model does not predict it")
        more = -frames % POOL
        h = self.encode_control(functional.pad(control.mT, (0, more), mode="replicate").mT)
        shape = (len(h), h.shape[1], self.config.width)
        z = torch.randn(shape, generator=generator, device=generator.device).to(h)
        if start is not None:
            seen = self.scale.encode(start)
            seen = torch.cat([seen, seen[:, -1:].expand(-1, 2 * KERNEL - seen.shape[1] % 2, -1)], 1)
            first = self.infer(seen)
            z = torch.cat([first.mean[:, :1] + (first.logvar[:, :1] / 2).exp() * z[:, :1], z[:, 1:]], 1)
        canvas = getattr(self.cell, LATENTS[self.config.latent])(z, h)
        return self.scale.decode(self.decode(canvas)[:, :frames])


def encoder(channels: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    """Two blocks of convolution, ELU and max-pooling by two (eq. 6): (B, channels, T) to (B, out, T / 4)."""
    layers: list[nn.Module] = []
    for before, after in ((channels, hidden), (hidden, out)):
        convolution = nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2)
        layers += [nn.Dropout(dropout), convolution, nn.MaxPool1d(2), nn.ELU()]
    return nn.Sequential(*layers)
