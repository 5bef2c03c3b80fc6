"""Settings of the training loop."""

import math
from dataclasses import dataclass

from kinema.errors import ConfigError

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")
LEAST = {"steps": 1, "batch": 1, "log_every": 1, "checkpoint_every": 1, "picture_every": 0, "warmup": 0}
"""The least value of each count."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how fast, how often. One step is one batch on every device."""

    steps: int = 2000
    """Optimizer steps of the whole run."""
    batch: int = 32
    """Clips per step and device."""
    random_start: bool = True
    """Whether windows of clips that are cycles begin anywhere in them; false: at the first frame, as in the paper."""
    learning_rate: float = 1e-3
    """Peak step size of Adam."""
    warmup: int = 50
    """Steps in which the learning rate rises from zero."""
    cosine: bool = True
    """Whether the learning rate falls to zero along a cosine; false: it stays at its peak, as in the paper."""
    beta1: float = 0.9
    """Adam's decay of the mean gradient, per step."""
    beta2: float = 0.99
    """Adam's decay of the mean square of the gradient, per step; the paper's runs have 0.999."""
    gradient_norm: float = 1000.0
    """Gradients are scaled down to this norm, in nats per unit; 0: never."""
    seed: int = 0
    """Seed of the weights, of the order of clips and of every draw."""
    precision: str = "auto"
    """auto: bf16-mixed on a GPU, 32-true on a CPU; or 32-true, bf16-mixed, 16-mixed, bf16-true, 64-true."""
    compile: bool = True
    """Compile encoder and decoder, on a GPU only."""
    half: bool = False
    """Store the finished weights in 16 bits, at half the size; they are read back as 32."""
    log_every: int = 20
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: int = 500
    """Steps between two checkpoints."""
    picture_every: int = 500
    """Steps between two pictures in report/; 0: none."""

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"training.{name} is {getattr(self, name)}; at least {least} is needed")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"training.learning_rate is {self.learning_rate}; a positive number is needed")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}; a number from 0 to below 1 is needed")
        if not self.gradient_norm >= 0:
            raise ConfigError(
                f"training.gradient_norm is {self.gradient_norm}; 0 (never) or a positive number is needed"
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(f"training.precision is {self.precision}; known: {', '.join(PRECISIONS)}")
