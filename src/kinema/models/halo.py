"""HALO: content and motion of image sequences, the motion a Hamiltonian flow (Khan & Storkey, NeurIPS 2022).

    z ~ N(0, I)                       content, one for the clip
    q, p ~ N(0, I)                    position and momentum at one frame, in the subspace of the action
    s_t = exp(tH) (q, p)              the motion, at any real time t (eq. 5)
    x_t ~ N(decode(z, q_t), a^2 I)    each frame, from content and position (eq. 4)

The posterior reads the content from the clip, the position from one frame t drawn per clip, the momentum from that
frame and those before it (eq. 6); the trajectory flows both ways from t. Conditional models keep one subspace per
action and leave the others at zero, where a linear flow leaves them; unconditional ones move all blocks at once
(supplement, eq. 9).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from kinema.clip import ClipBatch
from kinema.errors import ConfigError
from kinema.maths import hamiltonian
from kinema.maths.gaussian import Gaussian, negative_log_likelihood
from kinema.models.base import Domain, Losses
from kinema.nn.networks import NETWORKS, Shape
from kinema.nn.operators import OPERATORS
from kinema.nn.priors import PRIORS


@dataclass(frozen=True)
class HaloConfig:
    """What a HALO is made of, and the weights of its objective."""

    operator: str = "definite"
    """Kind of Hamiltonian: definite (bounded for ever), orthogonal (rotations only), symplectic (the paper's)."""
    conditional: bool = True
    """One operator per action, chosen by the label; false: all operators at once, no labels (supplement, eq. 9)."""
    blocks: int = 3
    """Number of operators of an unconditional model; a conditional one has one per action."""
    d: int = 6
    """Degrees of freedom of one operator: its state has d positions and d momenta."""
    content: int = 64
    """Dimension of z."""
    period: float = 8.0
    """First guess of the cycle, in frames; the frequencies are learned from there."""
    network: str = "compact"
    """compact (convolutions), dense (small pictures of figures in one place), paper (supplement, tables 3-5) or
    paper-mnist (tables 6-8)."""
    width: int = 32
    """Channels of the compact network's first convolution."""
    features: int = 256
    """Dimension of a frame's feature vector h."""
    paints: int = 16
    """Colours that the compact decoder mixes."""
    window: int = 2
    """Frames that the momentum is read from: frame t and those before it."""
    content_frames: int = 0
    """Frames, drawn at random, that the content is read from in training; 0: the whole clip, as in the paper."""
    decoded_frames: int = 0
    """Frames, drawn at random, that the likelihood is estimated from in training; 0: all, as in the paper."""
    std: float = 0.1
    """a: standard deviation of a pixel around the decoded mean, on the scale [0, 1]."""
    content_weight: float = 1.0
    """Weight of KL(z). Above 1 it is a bottleneck that keeps the action out of the content."""
    state_weight: float = 1.0
    """Weight of KL(q) and KL(p)."""
    prior: str = "standard"
    """What the state is drawn from: standard, N(0, I) at any one time (the paper's); learned, a Gaussian for each
    action at the beginning of a clip, for clips that begin alike."""
    alone: float = 0.0
    """Share of the clips, in training, whose momentum is read without the frames before t, as for a single picture."""
    action_weight: float = 1.0
    """Weight of the action head's cross-entropy; its gradient stays out of the encoder."""

    def __post_init__(self) -> None:
        for name in ("blocks", "d", "content", "width", "features", "paints", "window"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("std", "period"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; a positive number is needed")


@dataclass(frozen=True)
class Posterior:
    """q(z | x_1:T), and q(q_t | x_t, u), q(p_t | x_{t-w:t}, u) over the d positions of each operator that moves."""

    content: Gaussian
    position: Gaussian
    momentum: Gaussian


class Halo(nn.Module):
    """The model and its ELBO. Frames are float32 in [0, 1], (B, T, C, H, W); times are in frames, float64."""

    def __init__(self, config: HaloConfig, domain: Domain) -> None:
        super().__init__()
        choices = (
            ("operator", config.operator, OPERATORS),
            ("network", config.network, NETWORKS),
            ("prior", config.prior, PRIORS),
        )
        for kind, name, known in choices:
            if name not in known:
                raise ConfigError(f"model.{kind}: no {kind} is called {name!r}; known: {', '.join(known)}")
        self.config, self.domain = config, domain
        self.count = len(domain.actions) if config.conditional else config.blocks
        self.operator = OPERATORS[config.operator](self.count, config.d, config.period)
        self.prior = PRIORS[config.prior](self.count, config.d)
        shape = Shape(
            channels=domain.channels,
            size=domain.size,
            content=config.content,
            operators=self.count,
            d=config.d,
            actions=len(domain.actions),
            conditional=config.conditional,
            window=config.window,
            width=config.width,
            features=config.features,
            paints=config.paints,
        )
        networks = NETWORKS[config.network](shape)
        self.encoder, self.decoder = networks.encoder, networks.decoder
        self.content, self.position, self.momentum = networks.content, networks.position, networks.momentum
        self.action_head = networks.action

    # --- inference -------------------------------------------------------------------------------------------------

    def encode(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T h"]:
        """The feature vector of every frame."""
        return self.encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def state_posterior(
        self, recent: Float[Tensor, "B w h"], action: Int[Tensor, " B"] | None
    ) -> tuple[Gaussian, Gaussian]:
        """Position and momentum of a frame from the features of it (last) and the frames before it (zero if none)."""
        u = None if action is None else functional.one_hot(action, len(self.domain.actions)).to(recent.dtype)
        return self.position(recent[:, -1], u), self.momentum(recent, u)

    def recent(self, h: Float[Tensor, "B T h"], at: Int[Tensor, " B"]) -> Float[Tensor, "B w h"]:
        """The features of the frames at - w + 1 ... at, zero before the clip begins."""
        steps = at[:, None] + torch.arange(1 - self.config.window, 1, device=h.device)
        rows = torch.arange(h.shape[0], device=h.device)[:, None]
        return h[rows, steps.clamp(min=0)] * (steps >= 0)[..., None]

    def infer(
        self, frames: Float[Tensor, "B T C H W"], at: Int[Tensor, " B"], action: Int[Tensor, " B"] | None
    ) -> Posterior:
        """The posterior of a clip, its state taken at frame `at`; a conditional model needs the action."""
        h = self.encode(frames)
        position, momentum = self.state_posterior(self.recent(h, at), action if self.config.conditional else None)
        return Posterior(self.content(h), position, momentum)

    def recognise(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the action seen in each clip."""
        return self.action_head(self.encode(frames))

    def moving(self, action: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """1 for the operators that move: the action's, or all of an unconditional model."""
        if self.config.conditional:
            return functional.one_hot(action, self.count).to(self.operator.dtype)
        return torch.ones(len(action), self.count, dtype=self.operator.dtype, device=action.device)

    def state_gaussian(self, recent: Float[Tensor, "B w h"], action: Int[Tensor, " B"]) -> Gaussian:
        """The posterior of position and momentum of every operator, (B, K, 2d); only what moves means anything."""
        position, momentum = self.state_posterior(recent, action if self.config.conditional else None)
        halves = [
            torch.cat([q.unflatten(1, (-1, self.config.d)), p.unflatten(1, (-1, self.config.d))], dim=-1)
            for q, p in ((position.mean, momentum.mean), (position.logvar, momentum.logvar))
        ]
        mean, logvar = (half.expand(-1, self.count, -1) for half in halves)
        return Gaussian(mean, logvar)

    # --- generation ------------------------------------------------------------------------------------------------

    def flow(self, state: Float[Tensor, "B K n"], times: Float[Tensor, "*B T"]) -> Float[Tensor, "B T K n"]:
        """The trajectory through `state` at `times`, counted from it."""
        return self.operator.flow(state, times)

    def decode(self, z: Float[Tensor, "B z"], states: Float[Tensor, "B T K n"]) -> Float[Tensor, "B T C H W"]:
        """Frames from the content and the positions of a trajectory; momenta only move."""
        return self.decoder(z, states[..., : self.config.d])

    def mean_state(self, h: Float[Tensor, "B T h"], at: int, action: Int[Tensor, " B"]) -> Float[Tensor, "B K n"]:
        """The most likely state at frame `at` of clips with the features `h`."""
        where = torch.full((h.shape[0],), at, device=h.device)
        return self.state_gaussian(self.recent(h, where), action).mean * self.moving(action)[..., None]

    def phase(
        self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"], action: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T K n"]:
        """The states along each clip, unrolled from its middle frame; the action is read from the clip if None."""
        h = self.encode(frames)
        middle = h.shape[1] // 2
        state = self.mean_state(h, middle, self.action_head(h).argmax(1) if action is None else action)
        return self.flow(state, times - times[:, middle : middle + 1])

    def energy(self, states: Float[Tensor, "B T K n"]) -> dict[str, Float[Tensor, "B T K"]]:
        """The energy of each operator, and its potential, kinetic and non-separable parts (supplement, eq. 10-11)."""
        with torch.autocast(states.device.type, enabled=False):
            m = self.operator.energy_matrix()
            return {"total": hamiltonian.energy(states, m), **hamiltonian.energy_terms(states, m)}

    def transfer(
        self,
        content: Float[Tensor, "B A C H W"],
        motion: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        action: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B T C H W"]:
        """The content of one clip with the motion of the other: the operator unrolled from that clip's middle frame."""
        return self.decode(self.content(self.encode(content)).mean, self.phase(motion, times, action))

    def reconstruct(
        self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"], action: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T C H W"]:
        """The clip from the means of its own posterior."""
        return self.transfer(frames, frames, times, action)

    def animate_images(
        self, images: Float[Tensor, "B C H W"], action: Int[Tensor, " B"], times: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T C H W"]:
        """Each image doing an action: the image is the frame at time 0, and no frame is known before it."""
        h = self.encode(images[:, None])
        return self.decode(self.content(h).mean, self.flow(self.mean_state(h, 0, action), times))

    # --- learning --------------------------------------------------------------------------------------------------

    def losses(self, batch: ClipBatch) -> Losses:
        """The negative ELBO of a batch (supplement, eq. 8), in nats per clip, and the action head's cross-entropy."""
        c = self.config
        count, length = batch.frames.shape[:2]
        rows = torch.arange(count, device=batch.frames.device)[:, None]
        at = torch.randint(length, (count,), device=rows.device)
        h = self._encode_some(batch.frames, at)
        action = batch.factors["action"]
        posterior = self.state_gaussian(h[:, : c.window], action)
        content = self.content(h[:, c.window :])
        shown = self._some(count, length, c.decoded_frames, rows.device)
        target = batch.frames[rows, shown].float() / 255
        times = batch.times[rows, shown] - batch.times[rows, at[:, None]]
        state = posterior.sample() * self.moving(action)[..., None]
        prediction = self.decode(content.sample(), self.flow(state, times))
        error = (prediction.float() - target).square().flatten(1).sum(1) * (length / shown.shape[1])
        values = length * target[0, 0].numel()
        logits = self.action_head(h[:, c.window :].detach())
        elapsed = batch.times[rows, at[:, None]] - batch.times[:, :1]
        terms = {
            "likelihood": negative_log_likelihood(error, values, c.std).mean(),
            "kl_content": content.kl().mean(),
            **{name: kl.mean() for name, kl in self._state_kl(posterior, elapsed, action).items()},
            "action": functional.cross_entropy(logits.float(), action),
        }
        state_terms: tuple[str, ...] = ("kl_position", "kl_momentum", "kl_state")
        weights = {"kl_content": c.content_weight, **dict.fromkeys(state_terms, c.state_weight)}
        total = sum(weights.get(name, 1.0) * term for name, term in terms.items() if name != "action")
        terms["mse"] = error.mean() / values
        return Losses(total + c.action_weight * terms["action"], terms)

    def _state_kl(
        self, posterior: Gaussian, elapsed: Float[Tensor, "B 1"], action: Int[Tensor, " B"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """KL of the state's posterior, `elapsed` frames after the clip's beginning, from the prior there."""
        with torch.autocast(elapsed.device.type, enabled=False):
            back = self.operator.propagator(-elapsed)[:, 0]
            full = Gaussian(posterior.mean.to(back.dtype), posterior.logvar.to(back.dtype))
            return self.prior.divergence(full, back, self.moving(action))

    def forward(self, frames: Tensor, times: Tensor, factors: dict[str, Tensor]) -> dict[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        losses = self.losses(ClipBatch(frames, times, factors))
        return {"loss": losses.total, **losses.terms}

    def _some(self, count: int, length: int, wanted: int, device: torch.device) -> Int[Tensor, "B n"]:
        """`wanted` different frames of each clip, drawn at random and in order; all of them where wanted is 0."""
        if not 0 < wanted < length:
            return torch.arange(length, device=device).expand(count, -1)
        return torch.rand(count, length, device=device).topk(wanted, dim=1).indices.sort(dim=1).values

    def _encode_some(self, frames: Tensor, at: Int[Tensor, " B"]) -> Float[Tensor, "B n h"]:
        """Features of the frames that training looks at: the window that ends at `at`, then those of the content."""
        c = self.config
        rows = torch.arange(frames.shape[0], device=frames.device)[:, None]
        window = at[:, None] + torch.arange(1 - c.window, 1, device=frames.device)
        content = self._some(frames.shape[0], frames.shape[1], c.content_frames, frames.device)
        steps = torch.cat([window, content], dim=1)
        h = self.encode(frames[rows, steps.clamp(min=0)].float() / 255)
        known = steps >= 0
        known[:, : c.window - 1] &= torch.rand(len(h), 1, device=h.device) >= c.alone
        return h * known[..., None]
