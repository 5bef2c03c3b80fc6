"""HALO: content and motion of image sequences, the motion a Hamiltonian flow (Khan & Storkey, NeurIPS 2022).

    z ~ N(0, I)                       content, one for the clip
    q, p ~ N(0, I)                    position and momentum at one frame, in the subspace of the action
    s_t = exp(tH) (q, p)              the motion, at any real time t (eq. 5)
    x_t ~ N(decode(z, q_t), a^2 I)    each frame, from content and position (eq. 4)

The posterior reads the content from the clip, the position from one frame t drawn per clip, the momentum from that
frame and those before it (eq. 6); the trajectory flows both ways from t. Conditional models keep one subspace per
action and leave the others at zero, where a linear flow leaves them; unconditional ones move all blocks at once
(supplement, eq. 9), or, not in the paper, one for each of the actions that they find without labels.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from kinema.clip import ClipBatch
from kinema.data.coordinates import CoordinateBatch
from kinema.errors import ConfigError
from kinema.maths import hamiltonian
from kinema.maths.gaussian import Gaussian, negative_log_likelihood
from kinema.models.base import Domain, Losses
from kinema.models.halo_config import HaloConfig
from kinema.models.halo_drawing import Drawing
from kinema.models.halo_preparing import Preparing
from kinema.nn.blend import towards_another
from kinema.nn.density import Density, Parts
from kinema.nn.found_actions import FoundActions
from kinema.nn.networks import NETWORKS, Shape
from kinema.nn.operators import Operator
from kinema.nn.priors import PRIORS
from kinema.nn.rivals import DYNAMICS, Forward


@dataclass(frozen=True)
class Posterior:
    """q(z | x_1:T), and q(q_t | x_t, u), q(p_t | x_{t-w:t}, u) over the d positions of each operator that moves."""

    content: Gaussian
    position: Gaussian
    momentum: Gaussian


class Halo(Drawing, Preparing):
    """The model and its ELBO. Frames are float32 in [0, 1], (B, T, C, H, W); times are in frames, float64."""

    def __init__(self, config: HaloConfig, domain: Domain) -> None:
        super().__init__()
        choices = (
            ("operator", config.operator, DYNAMICS),
            ("network", config.network, NETWORKS),
            ("prior", config.prior, PRIORS),
        )
        for kind, name, known in choices:
            if name not in known:
                raise ConfigError(f"model.{kind}: no {kind} is called {name!r}; known: {', '.join(known)}")
        self.found = FoundActions(config.found_actions) if config.found_actions else None
        if self.found is not None:
            domain = replace(domain, actions=tuple(f"found {k}" for k in range(config.found_actions)))
        self.config, self.domain = config, domain
        self.std = config.std
        self.count = len(domain.actions) if config.one_moves else config.blocks
        self.operator: Operator | Forward = DYNAMICS[config.operator](self.count, config.d, config.period)
        if config.closed and isinstance(self.operator, Operator):
            self.operator = self.operator.snapped(config.period)
        if config.state_everywhere and not self.operator.both_ways:
            raise ConfigError(
                f"model.state_everywhere: {config.operator} runs forwards only; take a Hamiltonian operator"
            )
        self.prior = PRIORS[config.prior](self.count, config.d)
        shape = Shape(
            channels=domain.channels,
            size=domain.size,
            content=config.content,
            operators=self.count,
            d=config.d,
            actions=len(domain.actions),
            conditional=config.one_moves,
            window=config.window,
            width=config.width,
            features=config.features,
            paints=config.paints,
            components=config.components,
            rank=config.rank,
            asked=config.asked,
            views=config.views,
            period=config.period,
            noise=config.content_noise,
        )
        networks = NETWORKS[config.network](shape)
        self.encoder, self.decoder, self.coordinates = networks.encoder, networks.decoder, networks.coordinates
        self.content, self.position, self.momentum = networks.content, networks.position, networks.momentum
        self.action_head = networks.action
        self.contents: Density | Parts | None = None
        if config.content_parts:
            self.contents = Parts(config.content_parts, config.content_values, config.content)
        elif config.content_components:
            self.contents = Density(1, config.content_components, config.content)
        groups, width = (self.count, 2 * config.d) if config.one_moves else (1, 2 * config.d * self.count)
        self.starts = Density(groups, config.state_components, width) if config.state_components else None

    # --- inference -------------------------------------------------------------------------------------------------

    def encode(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T h"]:
        """The feature vector of every frame."""
        return self.features(self.coordinates.enter(frames))

    def features(self, frames: Float[Tensor, "B T *n"]) -> Float[Tensor, "B T h"]:
        """The feature vector of every frame, given in the coordinates of the networks."""
        return self.encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def known(self, frames: Tensor) -> Float[Tensor, "B T *n"]:
        """Training frames in the coordinates of the networks: uint8 pixels are brought there, others are there."""
        return frames if frames.is_floating_point() else self.coordinates.enter(frames.float() / 255)

    def state_posterior(
        self, recent: Float[Tensor, "B w h"], action: Int[Tensor, " B"] | None
    ) -> tuple[Gaussian, Gaussian]:
        """Position and momentum of a frame from the features of it (last) and the frames before it (zero if none)."""
        u = None if action is None else functional.one_hot(action, len(self.domain.actions)).to(recent.dtype)
        return self.position(recent[:, -1], u), self.momentum(recent, u)

    def anchor(self, first: int, after: int) -> int:
        """The frame of the frames first ... after - 1 whose state is read: the middle, or where all motion begins."""
        return (first + after) // 2 if self.operator.both_ways else first

    def window_steps(self, at: Int[Tensor, "*n"]) -> Int[Tensor, "*n w"]:
        """The frames that the momentum at frame `at` is read from, that frame last: those before it, or, where the
        motion runs forwards only and is read at its first frame, those after it."""
        way = 1 if self.operator.both_ways else -1
        return at[..., None] + way * torch.arange(1 - self.config.window, 1, device=at.device)

    def recent(self, h: Float[Tensor, "B T h"], at: Int[Tensor, "B *n"]) -> Float[Tensor, "B *n w h"]:
        """The features of the frames `window_steps` of each clip, zero outside it."""
        steps, last = self.window_steps(at), h.shape[1] - 1
        rows = torch.arange(h.shape[0], device=h.device).view(-1, *(1 for _ in at.shape))
        return h[rows, steps.clamp(0, last)] * ((steps >= 0) & (steps <= last))[..., None]

    def infer(
        self, frames: Float[Tensor, "B T C H W"], at: Int[Tensor, " B"], action: Int[Tensor, " B"] | None
    ) -> Posterior:
        """The posterior of a clip, its state taken at frame `at`; a conditional model needs the action."""
        h = self.encode(frames)
        position, momentum = self.state_posterior(self.recent(h, at), action if self.config.one_moves else None)
        return Posterior(self.content(h), position, momentum)

    def recognise(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the action seen in each clip; where actions were found, of these."""
        return self._action_seen(frames, None)

    def _action_seen(self, frames: Tensor, h: Tensor | None) -> Float[Tensor, "B K"]:
        """The same, where the features `h` of the frames may be at hand."""
        if self.found is not None and frames.shape[1] > 1:
            return self.found(frames)
        return self.action_head(self.encode(frames) if h is None else h)

    def moving(self, action: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """1 for the operators that move: the action's, or all of an unconditional model."""
        if self.config.one_moves:
            return functional.one_hot(action, self.count).to(self.operator.dtype)
        return torch.ones(len(action), self.count, dtype=self.operator.dtype, device=action.device)

    def state_gaussian(self, recent: Float[Tensor, "B w h"], action: Int[Tensor, " B"]) -> Gaussian:
        """The posterior of position and momentum of every operator, (B, K, 2d); only what moves means anything."""
        position, momentum = self.state_posterior(recent, action if self.config.one_moves else None)
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

    def mean_state(self, h: Float[Tensor, "B T h"], at: int, action: Int[Tensor, " B"]) -> Float[Tensor, "B K n"]:
        """The most likely state at frame `at` of clips with the features `h`."""
        where = torch.full((h.shape[0],), at, device=h.device)
        return self.state_gaussian(self.recent(h, where), action).mean * self.moving(action)[..., None]

    def state_read(
        self,
        h: Float[Tensor, "B T h"],
        times: Float[Tensor, "#B T"],
        at: int,
        action: Int[Tensor, " B"],
        within: tuple[int, int] | None = None,
    ) -> Float[Tensor, "B K n"]:
        """The state at frame `at` of clips whose frames are at `times`: the most likely one as it is read there or,
        with `model.state_everywhere`, the mean of those that are read at each of the frames `within`, first and after
        the last (all of them if None), which the flow carries there: what one frame leaves open, the others tell."""
        if not self.config.state_everywhere:
            return self.mean_state(h, at, action)
        frames = torch.arange(*(within or (0, h.shape[1])), device=h.device)
        recent = self.recent(h, frames.expand(len(h), -1)).flatten(0, 1)
        doing = action.repeat_interleave(len(frames))
        read = self.state_gaussian(recent, doing).mean * self.moving(doing)[..., None]
        elapsed = (times[:, at : at + 1] - times[:, frames]).expand(len(h), -1).reshape(-1, 1)
        return self.flow(read, elapsed)[:, 0].unflatten(0, (len(h), -1)).mean(1)

    def phase(
        self,
        frames: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        action: Int[Tensor, " B"] | None = None,
        wanted: Float[Tensor, "B U"] | None = None,
    ) -> Float[Tensor, "B U K n"]:
        """The states of each clip at `wanted` times (its own if None), unrolled from its `anchor`; the action is read
        from the clip if None."""
        h = self.encode(frames)
        at = self.anchor(0, h.shape[1])
        action = self._action_seen(frames, h).argmax(1) if action is None else action
        state = self.state_read(h, times, at, action)
        return self.flow(state, (times if wanted is None else wanted) - times[:, at : at + 1])

    def energy(self, states: Float[Tensor, "B T K n"]) -> dict[str, Float[Tensor, "B T K"]]:
        """The energy of each operator, and its potential, kinetic and non-separable parts (supplement, eq. 10-11).

        Raises ConfigError for dynamics that have no energy.
        """
        if not isinstance(self.operator, Operator):
            raise ConfigError(f"model.operator {self.config.operator} is no Hamiltonian: it has no energy")
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
        """The content of one clip with the motion of the other: the operator unrolled from that clip's `anchor`."""
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

    def anneal(self, share: float) -> None:
        """The settings of a moment of training, of which `share` is done."""
        first, last = self.config.std, self.config.std_last or self.config.std
        self.std = first ** (1 - share) * last**share

    def losses(self, batch: ClipBatch | CoordinateBatch) -> Losses:
        """The negative ELBO of a batch (supplement, eq. 8), in nats per clip, and the action head's cross-entropy."""
        c = self.config
        count, length = batch.frames.shape[:2]
        rows = torch.arange(count, device=batch.frames.device)[:, None]
        at = torch.randint(length if self.operator.both_ways else 1, (count,), device=rows.device)
        action = batch.factors["action"]
        elsewhere = batch if batch.companion is None else batch.companion
        offsets = self._blend(batch, elsewhere)
        h = self._encode_some(batch.frames, at, elsewhere.frames, offsets)
        posterior = self.state_gaussian(h[:, : c.window], action)
        content = self.content(h[:, c.window :])
        shown = self._some(count, length, c.decoded_frames, rows.device)
        target = self.known(batch.frames[rows, shown]) + offsets[0]
        times = batch.times[rows, shown] - batch.times[rows, at[:, None]]
        state = posterior.sample() * self.moving(action)[..., None]
        prediction = self.decoder(content.sample(), self.flow(state, times)[..., : c.d])
        error = (prediction.float() - target).square().flatten(1).sum(1) * (length / shown.shape[1])
        values = length * self.domain.channels * math.prod(self.domain.size)
        logits = self.action_head(h[:, c.window :].detach())
        elapsed = batch.times[rows, at[:, None]] - batch.times[:, :1]
        terms = {
            "likelihood": negative_log_likelihood(error, values, self.std).mean(),
            "kl_content": content.kl().mean(),
            **{name: kl.mean() for name, kl in self._state_kl(posterior, elapsed, action).items()},
            "action": functional.cross_entropy(logits.float(), elsewhere.factors["action"]),
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

    def forward(self, frames: Tensor, times: Tensor, factors: dict[str, Tensor], *companion: Any) -> dict[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        kind: Any = CoordinateBatch if frames.is_floating_point() else ClipBatch
        losses = self.losses(kind(frames, times, factors, kind(*companion) if companion else None))
        return {"loss": losses.total, **losses.terms}

    def _some(self, count: int, length: int, wanted: int, device: torch.device) -> Int[Tensor, "B n"]:
        """`wanted` different frames of each clip, drawn at random and in order; all of them where wanted is 0."""
        if not 0 < wanted < length:
            return torch.arange(length, device=device).expand(count, -1)
        return torch.rand(count, length, device=device).topk(wanted, dim=1).indices.sort(dim=1).values

    def _blend(self, batch: Any, elsewhere: Any) -> tuple[Tensor | float, ...]:
        """What is added to all frames of each clip, (B, 1, ...), and to those that its content is read from."""
        if not self.config.blend:
            return 0.0, 0.0
        doing = batch.factors["action"] * len(self.domain.actions) + elsewhere.factors["action"]
        means = (self.coordinates.middle(self.known(b.frames)) for b in (batch, elsewhere))
        return towards_another(tuple(means), doing, self.config.blend)

    def _encode_some(
        self, frames: Tensor, at: Int[Tensor, " B"], there: Tensor, offsets: tuple[Tensor | float, ...] = (0.0, 0.0)
    ) -> Float[Tensor, "B n h"]:
        """Features of the frames that training looks at: the window that ends at `at`, then some of the frames `there`,
        the same or another clip's, that the content is read from; each moved by its own of the `offsets`."""
        c = self.config
        rows = torch.arange(frames.shape[0], device=frames.device)[:, None]
        window, last = self.window_steps(at), frames.shape[1] - 1
        if c.closed and last + 1 == c.period:
            # The window is one cycle: its last frame comes before its first. Of half the clips that is not known, as
            # it is not where a clip begins.
            window = torch.where(torch.rand(len(at), 1, device=at.device) < 0.5, window % (last + 1), window)
        content = self._some(there.shape[0], there.shape[1], c.content_frames, frames.device)
        seen, read = self.known(frames[rows, window.clamp(0, last)]), self.known(there[rows, content])
        if c.content_noise:
            read = read + c.content_noise * torch.randn_like(read)
        h = self.features(torch.cat([seen + offsets[0], read + offsets[1]], dim=1))
        known = torch.cat([(window >= 0) & (window <= last), torch.ones_like(content, dtype=torch.bool)], dim=1)
        known[:, : c.window - 1] &= torch.rand(len(h), 1, device=h.device) >= c.alone
        return h * known[..., None]
