"""Models that make a motion frame by frame, and how recurrent networks are trained for it (Fragkiadaki et al. 2015).

A frame is the pose and the control that carries it on, both normalised (`MotionScale`). Each model predicts the next
frame from those so far; what it predicts is fed back, its control overwritten where the true one is known.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.base import Losses
from kinema.models.motion_base import MotionDomain
from kinema.models.rivals import Rival
from kinema.motion import Motion, MotionBatch


class Autoregressive(Rival):
    """A rival that predicts one frame after another."""

    @abstractmethod
    def warm_up(self, past: Float[Tensor, "B S F"], generator: torch.Generator) -> tuple[Float[Tensor, "B F"], Any]:
        """The prediction of frame S from the frames before it, and what the model remembers of them."""

    @abstractmethod
    def advance(
        self, frame: Float[Tensor, "B F"], memory: Any, generator: torch.Generator
    ) -> tuple[Float[Tensor, "B F"], Any]:
        """The prediction of the frame after `frame`, and the memory with `frame` in it."""

    @torch.no_grad()
    def generate(
        self,
        frames: int,
        control: Float[Tensor, "B T 3"] | None,
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> Motion:
        """Motions of `frames` frames that begin with `start` as it is, or else with the training clips' mean pose.

        All frames of `start` are read before the first prediction. Where `control` is given, every frame that is fed
        back carries the true one; the motion's own control is what the model predicted, from the frame after `start`
        on. Labels are not used. Raises ClipError as `opening` does.
        """
        del factors
        known = self.opening(frames, control, start)
        past = self.scale.encode(known)
        if control is not None:
            past = self.overwrite(past, control[:, : past.shape[1]])
        predictions = [past[:, :0]]
        frame, memory = None, None
        for t in range(past.shape[1], frames):
            if frame is None:
                frame, memory = self.warm_up(past, generator)
            else:
                fed = frame if control is None else self.overwrite(frame, control[:, t - 1])
                frame, memory = self.advance(fed, memory, generator)
            predictions.append(frame[:, None])
        made = self.scale.decode(torch.cat(predictions, 1))
        return Motion(torch.cat([known.joints, made.joints], 1), torch.cat([known.control, made.control], 1))

    def overwrite(self, frames: Float[Tensor, "*B F"], control: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B F"]:
        """The frames with this control, in m/s and rad/s, in place of their own."""
        return torch.cat([frames[..., :-3], (control / self.scale.control_std).to(frames.dtype)], -1)


@dataclass(frozen=True)
class RecurrentConfig:
    """How ERD and LSTM-3LR are trained, and what their last layer puts out."""

    units: int = 1000
    """Units of each LSTM layer."""
    window: int = 100
    """Frames through which the gradient runs, begun anywhere in the valid part of a clip."""
    noise_first: float = 0.01
    """Standard deviation of the noise on the inputs at the first step, as a share of each channel's own."""
    noise_last: float = 0.7
    """The same at step `noise_steps` and after it; in between it grows along a straight line."""
    noise_steps: int = 3300
    """Training steps over which the noise grows. The schedule that Jain et al. (2016) print for both networks has 0.01
    at step 250, 0.1 at 1000, 0.3 at 2000 and 0.7 at 3300. A shorter run wants fewer."""
    residual: bool = False
    """Whether the network puts out the change since the last frame (Martinez et al. 2017), not the frame itself."""

    def __post_init__(self) -> None:
        for name in ("units", "window", "noise_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")
        if not 0 <= self.noise_first <= self.noise_last:
            raise ConfigError(
                f"model.noise_first is {self.noise_first} and model.noise_last {self.noise_last}; noise grows from 0 on"
            )


class Recurrent(Autoregressive):
    """A recurrent network that predicts the next frame, trained on noisy inputs so that it can live with its errors.

    The loss is the squared error of one-step predictions along a window of true frames, spoiled by Gaussian noise that
    grows in the course of training: Fragkiadaki et al. (ICCV 2015) found that without it the motion dies or explodes.
    """

    steps: Tensor

    def __init__(self, config: RecurrentConfig, domain: MotionDomain) -> None:
        super().__init__(domain)
        self.config = config
        # Saved with the weights, so that a resumed run goes on with the noise that it had.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def network(self, features: Float[Tensor, "B T F"], memory: Any) -> tuple[Float[Tensor, "B T F"], Any]:
        """What the network puts out after each frame, and its state after the last one; None is the state at rest."""

    def predict(self, features: Float[Tensor, "B T F"], memory: Any = None) -> tuple[Float[Tensor, "B T F"], Any]:
        """For each frame the prediction of the next one, and the state of the network after the last."""
        out, memory = self.network(features, memory)
        return (features + out if self.config.residual else out), memory

    def warm_up(self, past: Float[Tensor, "B S F"], generator: torch.Generator) -> tuple[Float[Tensor, "B F"], Any]:
        del generator
        predicted, memory = self.predict(past)
        return predicted[:, -1], memory

    def advance(
        self, frame: Float[Tensor, "B F"], memory: Any, generator: torch.Generator
    ) -> tuple[Float[Tensor, "B F"], Any]:
        del generator
        predicted, memory = self.predict(frame[:, None], memory)
        return predicted[:, -1], memory

    def noise(self) -> Float[Tensor, ""]:
        """Standard deviation of the noise at the present step, as a share of each channel's own."""
        c = self.config
        return c.noise_first + (c.noise_last - c.noise_first) * (self.steps / c.noise_steps).clamp(max=1)

    def losses(self, batch: MotionBatch) -> Losses:
        """Mean squared error of the next frame over all normalised channels and all frames that are not padding.

        In training the inputs are noisy, and the step is counted.
        """
        at, valid = random_windows(batch.valid, self.config.window + 1)
        rows = torch.arange(len(at), device=at.device)[:, None]
        frames = self.scale.encode(batch.motion)[rows, at]
        inputs, targets = frames[:, :-1], frames[:, 1:]
        noise = self.noise()
        if self.training:
            inputs = inputs + noise * self.scale.feature_std * torch.randn_like(inputs)
            self.steps += 1
        error = (self.predict(inputs)[0] - targets).square() * valid[:, 1:, None]
        count = valid[:, 1:].sum().clamp(min=1)
        mse = error.mean(-1).sum() / count
        terms = {
            "mse": mse,
            "pose": error[..., :-3].mean(-1).sum() / count,
            "control": error[..., -3:].mean(-1).sum() / count,
            "noise": noise,
        }
        return Losses(mse, terms)


def random_windows(valid: Bool[Tensor, "B T"], length: int) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Frame numbers of a window of `length` frames inside the valid part of each clip, and which of them are valid.

    The valid part is one stretch. Where it is shorter than `length`, the window begins with it and the rest is not
    valid. Drawn from torch's global generator.
    """
    length = min(length, valid.shape[1])
    count = valid.sum(1)
    room = (count - length).clamp(min=0)
    drawn = (torch.rand(len(valid), device=valid.device) * (room + 1)).long().clamp(max=room)
    steps = drawn[:, None] + torch.arange(length, device=valid.device)
    at = valid.int().argmax(1, keepdim=True) + steps
    return at.clamp(max=valid.shape[1] - 1), steps < count[:, None]
