"""Human motion from a control signal: the recurrent VAE as we build it, after Habibie et al. (BMVC 2017).

    h_t = convolutions over the control         what is asked for, 15 steps a second
    e   = the first four frames, or nothing     whose motion is to be continued
    u   = labels (action, style), or nothing
    g   ~ p(g | e, u, h_1)                      what stays: the manner of the clip
    z_t ~ p(z_t | h)                            what changes, at every step
    c_t = GRU(c_(t-1), h_t, z_t, [e, u, g])     the canvas, begun from [e, u, g]
    x   = deconvolution of (canvas, h)          rotations, root height, control, contacts of 60 frames a second

It differs from the paper (`vae_lstm`) in this: the recurrence runs in training as it does in use; priors are learned
and conditional, so that what start frames and labels tell is not drawn again; a latent of the clip is held for all
steps, so that draws stay different; the output is linear and is made of rotations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.motions import Moving
from kinema.errors import ConfigError
from kinema.maths import trajectory
from kinema.maths.gaussian import Gaussian
from kinema.maths.sway import carried
from kinema.models.base import Losses
from kinema.models.motion_base import MotionDomain, MotionNetwork
from kinema.motion import Motion, MotionBatch
from kinema.nn.motion import POSES, STRIDE, StepEncoder, TimeConv, Unfold
from kinema.nn.motion_scale import MotionScale

SEED = 4
"""Start frames that the model looks at."""
CONTEXT = 3
"""Steps of the canvas on either side that a frame may depend on."""


@dataclass(frozen=True)
class LocomotionConfig:
    """What the model is made of, and the weights of its objective."""

    pose: str = "rotations"
    """What is put out: rotations (bones keep their length) or positions (data without rotations)."""
    causal: bool = False
    """Whether a step depends on the control up to its own frames alone, for live use; else on 0.8 s more."""
    width: int = 128
    """Channels of the encoders."""
    hidden: int = 256
    """Dimension of the canvas c."""
    clip_latent: int = 32
    """Dimension of g."""
    step_latent: int = 8
    """Dimension of z_t."""
    labels: bool = True
    """Whether action and style are conditions; each is hidden from the model for half of the clips in training."""
    no_start: float = 0.3
    """Share of training clips whose start frames are hidden."""
    smooth: float = 0.4
    """Share of training steps in which the control is smoothed, as a drawn path is."""
    kl: float = 0.012
    """Weight of the KL divergences, in centimetres per nat."""
    rotation: float = 12.0
    """Weight of the rotations' mean absolute error, in centimetres per unit of six numbers."""
    control: float = 0.6
    """Weight of the error of the control put out, in centimetres per standard deviation."""
    contact: float = 0.6
    """Weight of the cross-entropy of the contacts, in centimetres per nat."""
    velocity: float = 0.06
    """Weight of the joints' velocities, in seconds: centimetres per cm/s."""
    skate: float = 0.03
    """Weight of the toes' velocities over the ground, in seconds; four times as much where a foot stands."""

    def __post_init__(self) -> None:
        if self.pose not in POSES:
            raise ConfigError(f"model.pose is {self.pose!r}; known: {', '.join(POSES)}")
        for name in ("width", "hidden", "clip_latent", "step_latent"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")


@dataclass(frozen=True, eq=False)
class Condition:
    """What the motion depends on besides the latents."""

    control: Float[Tensor, "B W N"]
    """h: features of the control at every step."""
    static: Float[Tensor, "B S"]
    """e and u: start frames and labels."""


@dataclass(frozen=True, eq=False)
class Latents:
    """The distributions of g and of z_1 .. z_N."""

    clip: Gaussian
    """(B, clip_latent)"""
    steps: Gaussian
    """(B, N, step_latent)"""

    def sample(self) -> tuple[Tensor, Tensor]:
        """A reparametrised draw of g and z."""
        return self.clip.sample(), self.steps.sample()


class Locomotion(MotionNetwork):
    """The model; see the module's text."""

    def __init__(self, config: LocomotionConfig, domain: MotionDomain) -> None:
        super().__init__()
        if domain.length % STRIDE:
            raise ConfigError(f"data.length is {domain.length}; a multiple of {STRIDE} frames is needed")
        self.config, self.domain = config, domain
        skeleton, width, causal = domain.skeleton, config.width, config.causal
        self.scale, self.pose = MotionScale(len(skeleton)), POSES[config.pose](skeleton)
        features = self.scale.features
        values = {"action": domain.actions, "style": domain.styles} if config.labels else {}
        self.values = {name: len(known) for name, known in values.items() if len(known) > 1}
        self.labels = nn.ModuleDict({name: nn.Embedding(n + 1, 16) for name, n in self.values.items()})
        self.control_encoder = StepEncoder(3, 64, width, causal)
        self.seed = nn.Sequential(nn.Linear(SEED * features, 256), nn.ELU(), nn.Linear(256, 64))
        self.no_seed = nn.Parameter(torch.zeros(64))
        static = 64 + 16 * len(self.values)
        self.posterior = StepEncoder(features, width, width)
        self.posterior_clip = small(nn.Linear(2 * width, 2 * config.clip_latent))
        self.posterior_steps = small(nn.Conv1d(width, 2 * config.step_latent, 1))
        hidden = nn.Linear(width + static, 128)
        self.prior_clip = nn.Sequential(hidden, nn.ELU(), small(nn.Linear(128, 2 * config.clip_latent)))
        self.prior_steps = small(nn.Conv1d(width, 2 * config.step_latent, 1))
        static += config.clip_latent
        self.begin = nn.Sequential(nn.Linear(static, config.hidden), nn.ELU(), nn.Linear(config.hidden, config.hidden))
        self.recurrence = nn.GRU(width + config.step_latent + static, config.hidden, batch_first=True)
        self.mix = TimeConv(config.hidden + width, config.hidden, 3, causal=causal)
        self.frames = small(Unfold(config.hidden, self.pose.channels + 5, causal))

    def fit(self, source: Moving) -> None:
        """Scales of the features and of the pose's channels, from the training split and its mirror image."""
        self.scale.fit(source.motions())
        motions = list(source.motions())
        self.pose.fit(motions[0] if len(motions) == 1 else _joined(motions[0], motions[1]))

    def _with_labels(self, seed: Float[Tensor, "B S"], labels: Mapping[str, Tensor]) -> Float[Tensor, "B E"]:
        return torch.cat([seed, *[self.labels[name](labels[name]) for name in self.values]], -1)

    def prior(self, given: Condition) -> Latents:
        clip = self.prior_clip(torch.cat([given.control[..., 0], given.static], -1))
        return Latents(_gaussian(clip), _gaussian(self.prior_steps(given.control).mT))

    def infer(self, features: Float[Tensor, "B T F"]) -> Latents:
        """The posterior of the latents, given a whole window of normalised features."""
        h = self.posterior(features.mT)
        clip = self.posterior_clip(torch.cat([h.mean(-1), h[..., 0]], -1))
        return Latents(_gaussian(clip), _gaussian(self.posterior_steps(h).mT))

    def roll(
        self, given: Condition, g: Float[Tensor, "B G"], z: Float[Tensor, "B N Z"], state: Tensor | None = None
    ) -> tuple[Float[Tensor, "B N C"], Tensor]:
        """The canvas, and the state after its last step, from which `state` lets it go on."""
        static = torch.cat([given.static, g], -1)
        begun = self.begin(static)[None] if state is None else state
        held = static[:, None].expand(-1, z.shape[1], -1)
        return self.recurrence(torch.cat([given.control.mT, z, held], -1), begun)

    def decode(self, canvas: Float[Tensor, "B N C"], control: Float[Tensor, "B W N"]) -> Motion:
        """The frames of a canvas; contacts as logits."""
        rows = self.frames(functional.elu(self.mix(torch.cat([canvas.mT, control], 1))))
        joints, rotations = self.pose(rows[:, :-5])
        return Motion(joints, rows[:, -5:-2].mT * self.scale.control_std, rotations, rows[:, -2:].mT)

    def losses(self, batch: MotionBatch) -> Losses:
        motion, config = batch.motion, self.config
        count, device = len(motion.control), motion.control.device
        features = self.scale.encode(motion)
        control = motion.control
        if torch.rand(()) < config.smooth:
            control = trajectory.smooth(control, float(torch.empty(()).uniform_(0.1, 0.6)) * self.domain.fps)
        hidden = torch.rand(count, 1, device=device) < config.no_start
        seed = torch.where(hidden, self.no_seed, self.seed(features[:, :SEED].flatten(1)))
        told = self._with_labels(seed, self._told(batch.factors, count, device))
        given = Condition(self.control_encoder((control / self.scale.control_std).mT), told)
        posterior, prior = self.infer(features), self.prior(given)
        made = self.decode(self.roll(given, *posterior.sample())[0], given.control)
        terms = self._errors(made, motion, batch.valid) | {
            "kl clip": posterior.clip.kl(prior.clip).mean(),
            "kl steps": posterior.steps.kl(prior.steps).sum(-1).mean(),
        }
        kl = terms["kl clip"] + terms["kl steps"]
        weighted = [weight * terms[name] for name in WEIGHTED if (weight := getattr(config, name)) and name in terms]
        total = terms["position"] + torch.stack(weighted).sum() + config.kl * kl
        return Losses(total, terms)

    def _errors(self, made: Motion, true: Motion, valid: Tensor) -> dict[str, Tensor]:
        """How far what was made is from the truth, where the clip is real."""
        fps, toes = self.domain.fps, list(self.domain.toes)
        some, pairs = valid.float(), (valid[:, 1:] & valid[:, :-1]).float()

        def mean(values: Float[Tensor, "B T"], weight: Tensor = some) -> Tensor:
            return (values * weight).sum() / weight.sum().clamp_min(1)

        assert true.contacts is not None
        assert made.contacts is not None
        away = made.joints - true.joints
        slide = carried(made.joints[:, :, toes], made.control, fps) - carried(
            true.joints[:, :, toes], true.control, fps
        )
        still = (1 + 3 * true.contacts[:, 1:]) * _length(slide)
        terms = {
            "position": 100 * mean(_length(away).mean(-1)),
            "control": mean(((made.control - true.control) / self.scale.control_std).abs().mean(-1)),
            "velocity": 100 * fps * mean(_length(away.diff(dim=1)).mean(-1), pairs),
            "skate": 100 * mean(still.mean(-1), pairs),
            "contact": mean(
                functional.binary_cross_entropy_with_logits(made.contacts, true.contacts, reduction="none").mean(-1)
            ),
        }
        if made.rotations is not None and true.rotations is not None:
            terms["rotation"] = mean((made.rotations - true.rotations).abs().mean((-1, -2)))
        return terms

    def _told(self, factors: Mapping[str, Tensor], count: int, device: torch.device) -> dict[str, Tensor]:
        """The known labels, each put at its last value, which says nothing, for half of the clips in training."""
        told: dict[str, Tensor] = {}
        for name, values in self.values.items():
            unknown = torch.full((count,), values, device=device)
            hide = torch.rand(count, device=device) < (0.5 if self.training else 0.0)
            told[name] = torch.where(hide, unknown, factors[name]) if name in factors else unknown
        return told

    @torch.no_grad()
    def generate(
        self,
        frames: int,
        control: Float[Tensor, "B T 3"] | None,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Motion:
        """A motion that does what the control asks; see `MotionModel`. Of `start` the first 4 frames are seen."""
        if control is None:
            raise ConfigError("locomotion: a control signal is needed; the model does not continue by itself")
        pieces = list(self.stream(control, start, factors, generator))
        whole = [torch.cat(parts, 1) for parts in zip(*map(_parts, pieces), strict=True)]
        return _motion(whole)[:, :frames]

    def stream(
        self,
        control: Float[Tensor, "B T 3"],
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
        block: int = 2400,
    ) -> Iterator[Motion]:
        """The motion of `generate` in pieces of `block` frames, in memory that does not grow with their number.

        Each piece is made from its own control, what a step sees of its neighbours', and the state of the recurrence.
        """
        control = functional.pad(control.mT, (0, -control.shape[1] % STRIDE), mode="replicate").mT
        steps, size = control.shape[1] // STRIDE, max(1, block // STRIDE)
        with torch.inference_mode():
            static = self.static(control, start, factors)
        g: Tensor | None = None
        state: Tensor | None = None
        canvas, done = control.new_zeros(len(control), 0, self.config.hidden), 0
        for first in range(0, steps, size):
            last = min(first + size, steps)
            low, high = max(0, first - CONTEXT), min(steps, last + (0 if self.config.causal else CONTEXT))
            with torch.inference_mode():  # not around the yield, where it would leak
                h = self._control_features(control, low, high)
                canvas = canvas[:, canvas.shape[1] - (done - low) :]
                if high > done:  # the last block may lie within what the one before it has seen
                    given = Condition(h[..., done - low :], static)
                    prior = self.prior(given)
                    g = prior.clip.draw(generator) if g is None else g
                    new, state = self.roll(given, g, prior.steps.draw(generator), state)
                    canvas, done = torch.cat([canvas, new], 1), high
                made = self.decode(canvas, h)[:, (first - low) * STRIDE : (last - low) * STRIDE]
            assert made.contacts is not None
            yield Motion(made.joints, made.control, made.rotations, made.contacts.sigmoid())

    def _control_features(self, control: Float[Tensor, "B T 3"], low: int, high: int) -> Float[Tensor, "B W N"]:
        """h of the steps `low` to `high` - 1, the same as those of the whole signal."""
        reach = self.control_encoder.reach + 1
        begin, end = max(0, low - reach), high + reach
        seen = control[:, begin * STRIDE : end * STRIDE] / self.scale.control_std
        return self.control_encoder(seen.mT)[..., low - begin : high - begin]

    def static(self, control: Tensor, start: Motion | None, factors: Mapping[str, Tensor]) -> Float[Tensor, "B S"]:
        """Start frames, if there are at least 4, and labels, if they are known."""
        seed = self.no_seed.expand(len(control), -1)
        if start is not None and start.control.shape[1] >= SEED:
            seed = self.seed(self.scale.encode(start[:, :SEED]).flatten(1))
        return self._with_labels(seed, self._told(factors, len(control), control.device))


WEIGHTED = ("rotation", "control", "contact", "velocity", "skate")
"""Terms of the objective that have a weight of the same name; the position's is 1 per centimetre."""


def small(layer: nn.Module) -> nn.Module:
    """The layer with a tenth of its weights: what it puts out begins near its mean."""
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(0.1)
    return layer


def _gaussian(numbers: Tensor) -> Gaussian:
    mean, logvar = numbers.chunk(2, -1)
    return Gaussian(mean, logvar.clamp(-12, 6))


def _length(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B"]:
    """The length of vectors, with a gradient at zero."""
    return (v.square().sum(-1) + 1e-12).sqrt()


def _joined(a: Motion, b: Motion) -> Motion:
    rotations = None if a.rotations is None or b.rotations is None else torch.cat([a.rotations, b.rotations])
    return Motion(torch.cat([a.joints, b.joints]), torch.cat([a.control, b.control]), rotations)


def _parts(motion: Motion) -> list[Tensor]:
    parts = (motion.joints, motion.control, motion.contacts, motion.rotations)
    return [part for part in parts if part is not None]


def _motion(parts: list[Tensor]) -> Motion:
    joints, control, contacts, *rotations = parts
    return Motion(joints, control, rotations[0] if rotations else None, contacts)
