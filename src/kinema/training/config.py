"""Settings of the training loop."""

from dataclasses import dataclass

from kinema.errors import ConfigError


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how fast, how often. One step is one batch on every device."""

    steps: int = 2000
    """Optimizer steps of the whole run."""
    batch: int = 32
    """Clips per step and device."""
    learning_rate: float = 1e-3
    """Peak step size of Adam."""
    warmup: int = 50
    """Steps in which the learning rate rises from zero."""
    cosine: bool = True
    """Whether the learning rate falls to zero along a cosine; false: it stays at its peak, as in the paper."""
    momentum: float = 0.9
    """Adam's beta_1."""
    gradient_norm: float = 1000.0
    """Gradients are scaled down to this norm, in nats per unit; 0: never."""
    seed: int = 0
    """Seed of the weights, of the order of clips and of every draw."""
    precision: str = "auto"
    """auto: bf16-mixed on a GPU, 32-true on a CPU; or any precision of Lightning Fabric."""
    compile: bool = True
    """Compile encoder and decoder, on a GPU only."""
    log_every: int = 20
    """Steps between two lines of metrics.jsonl."""
    checkpoint_every: int = 500
    """Steps between two checkpoints."""
    picture_every: int = 500
    """Steps between two pictures in report/; 0: none."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}; at least 1 is needed")
        if self.learning_rate <= 0:
            raise ConfigError(f"training.learning_rate is {self.learning_rate}; a positive number is needed")
