"""LSTM-3LR: three layers of LSTM between the frames and a linear layer (Fragkiadaki et al., ICCV 2015)."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.motion_base import MotionDomain
from kinema.models.rivals.autoregressive import Recurrent, RecurrentConfig


@dataclass(frozen=True)
class Lstm3lrConfig(RecurrentConfig):
    """The sizes of the paper are the defaults."""

    layers: int = 3
    """Layers of LSTM."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise ConfigError(f"model.layers is {self.layers}; at least 1 is needed")


class Lstm3lr(Recurrent):
    """Frames straight into a stack of LSTM layers, and straight out again."""

    def __init__(self, config: Lstm3lrConfig, domain: MotionDomain) -> None:
        super().__init__(config, domain)
        features = self.scale.features
        self.recurrent = nn.LSTM(features, config.units, config.layers, batch_first=True)
        self.out = nn.Linear(config.units, features)

    def network(self, features: Float[Tensor, "B T F"], memory: Any) -> tuple[Float[Tensor, "B T F"], Any]:
        hidden, memory = self.recurrent(features, memory)
        return self.out(hidden), memory
