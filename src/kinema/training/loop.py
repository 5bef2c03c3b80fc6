"""The training loop: Lightning Fabric for devices and precision, the order of things our own.

Everything random is a function of (seed, step, rank), so that a run killed at any moment and resumed ends in the same
weights, bit for bit on a CPU.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from kinema.data.windows import Batch, WindowSource
from kinema.errors import KinemaError
from kinema.training.checkpoint import load_checkpoint, save_checkpoint
from kinema.training.config import TrainingConfig
from kinema.training.metrics_log import MetricsLog
from kinema.training.sampler import StepSampler, fold


@dataclass(frozen=True)
class Progress:
    """What a callback is told after a step whose losses were read."""

    step: int
    """Steps done."""
    steps: int
    """Steps of the whole run."""
    terms: dict[str, float]
    """Losses of this step, by name."""


@runtime_checkable
class Scheduled(Protocol):
    """A model whose objective changes in the course of training."""

    def anneal(self, share: float) -> None:
        """Take the settings of a moment of training, of which `share` is done: a function of it alone."""
        ...


Callback = Callable[[Progress, nn.Module], None]
SMALLER = "begin anew with a smaller training.learning_rate"


def train(
    model: nn.Module,
    source: WindowSource,
    config: TrainingConfig,
    run: Path,
    callbacks: tuple[Callback, ...] = (),
    fabric: Fabric | None = None,
) -> nn.Module:
    """Train `model` on `source`, resuming from `run`/state where a checkpoint is; the trained model, in eval mode.

    Raises KinemaError where the loss or a weight stops being finite, RunError where the checkpoint is damaged,
    FileError where the disk is full.
    """
    fabric = fabric or make_fabric(config)
    prepare_device(model, fabric, config)
    adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)
    wrapped, optimizer = fabric.setup(model, adam)
    # Read only now, so that the moments come to the device on which the weights are.
    done = load_checkpoint(run / "state", model, adam)
    log = MetricsLog(run / "metrics.jsonl", done) if fabric.is_global_zero else None
    source = _on_device(source, fabric.device)
    sampler = StepSampler(len(source), config.batch, config.seed, fabric.global_rank, fabric.world_size)
    model.train()
    for step in range(done, config.steps):
        _set_rate(optimizer, config, step)
        torch.manual_seed(fold(config.seed, step, fabric.global_rank))
        if isinstance(model, Scheduled):
            model.anneal(step / config.steps)
        batch = draw_batch(source, sampler, step, config.random_start, fabric.device)
        optimizer.zero_grad(set_to_none=True)
        terms: dict[str, Tensor] = wrapped(*batch.inputs())
        fabric.backward(terms["loss"])
        if config.gradient_norm:
            fabric.clip_gradients(wrapped, optimizer, max_norm=config.gradient_norm, error_if_nonfinite=False)
        optimizer.step()
        last = step + 1 == config.steps
        if last or (step + 1) % config.log_every == 0:
            progress = Progress(step + 1, config.steps, _read(terms, step))
            if log is not None:
                log.write({"step": progress.step, **progress.terms})
                for callback in callbacks:
                    callback(progress, model)
        if fabric.is_global_zero and (last or (step + 1) % config.checkpoint_every == 0):
            _check_weights(model, step)
            save_checkpoint(run / "state", step + 1, model, adam)
    return model.eval()


def make_fabric(config: TrainingConfig) -> Fabric:
    """The devices that torchrun or Slurm started, or the one at hand."""
    precision: Any = config.precision
    if precision == "auto":
        precision = "bf16-mixed" if torch.cuda.is_available() else "32-true"
    accelerator, devices = ("cuda", "auto") if torch.cuda.is_available() else ("cpu", 1)
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)
    fabric.launch()
    return fabric


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The step size of step `step`: a linear rise, then a cosine to zero at the last step."""
    rise = min(1.0, (step + 1) / (config.warmup + 1))
    fall = 0.5 * (1 + math.cos(math.pi * step / config.steps)) if config.cosine else 1.0
    return config.learning_rate * rise * fall


def _set_rate(optimizer: Any, config: TrainingConfig, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)


def prepare_device(model: nn.Module, fabric: Fabric, config: TrainingConfig) -> None:
    """Channels-last and compiled networks where they pay: on a GPU."""
    if fabric.device.type != "cuda":
        return
    torch.set_float32_matmul_precision("high")
    for name in ("encoder", "decoder"):
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            part.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] -- torch does not type it
            if config.compile:
                part.compile()


def _on_device(source: WindowSource, device: torch.device) -> WindowSource:
    """The source with its frames on the device, where they take less than half of its free memory."""
    if device.type != "cuda":
        return source
    free, _ = torch.cuda.mem_get_info(device)
    return source.to(device) if source.nbytes() < free / 2 else source


def draw_batch(source: WindowSource, sampler: StepSampler, step: int, anywhere: bool, device: torch.device) -> Batch:
    """The batch of a step: windows begun where the source allows it, `anywhere` or at their beginning."""
    rooms = source.rooms(anywhere)
    clips = sampler.clips(step).to(rooms.device, non_blocking=True)  # where the frames are: nothing waits for a copy
    return source.window(clips, sampler.draw(step, rooms[clips])).to(device)


def _read(losses: dict[str, Tensor], step: int) -> dict[str, float]:
    terms = {name: float(value.detach()) for name, value in losses.items()}
    if not math.isfinite(terms["loss"]):
        raise KinemaError(f"step {step + 1}: the loss is not finite; {SMALLER}")
    return terms


def _check_weights(model: nn.Module, step: int) -> None:
    """A checkpoint of weights that are lost would replace the last good one."""
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise KinemaError(f"step {step + 1}: a weight is not finite; {SMALLER}")
