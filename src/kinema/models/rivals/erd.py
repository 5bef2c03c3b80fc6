"""ERD, encoder - recurrent - decoder (Fragkiadaki et al., ICCV 2015): LSTM layers between networks of single frames."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.motion_base import MotionDomain
from kinema.models.rivals.autoregressive import Recurrent, RecurrentConfig


@dataclass(frozen=True)
class ErdConfig(RecurrentConfig):
    """The sizes of the paper are the defaults."""

    layers: int = 2
    """Layers of LSTM."""
    encoder: int = 500
    """Units of the encoder's two layers: rectified, then linear."""
    decoder: int = 500
    """Units of the decoder's first layer, rectified."""
    narrow: int = 100
    """Units of the decoder's second layer, rectified; a linear one puts out the frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("layers", "encoder", "decoder", "narrow"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")


class Erd(Recurrent):
    """Each frame is encoded, the LSTM layers carry it on, and each frame is decoded.

    Where the paper leaves the layers' kinds open they are those of Jain et al. (2016), who trained it anew.
    """

    def __init__(self, config: ErdConfig, domain: MotionDomain) -> None:
        super().__init__(config, domain)
        c, features = config, self.scale.features
        self.encoder = nn.Sequential(nn.Linear(features, c.encoder), nn.ReLU(), nn.Linear(c.encoder, c.encoder))
        self.recurrent = nn.LSTM(c.encoder, c.units, c.layers, batch_first=True)
        self.decoder = nn.Sequential(
            nn.Linear(c.units, c.decoder),
            nn.ReLU(),
            nn.Linear(c.decoder, c.narrow),
            nn.ReLU(),
            nn.Linear(c.narrow, features),
        )

    def network(self, features: Float[Tensor, "B T F"], memory: Any) -> tuple[Float[Tensor, "B T F"], Any]:
        hidden, memory = self.recurrent(self.encoder(features), memory)
        return self.decoder(hidden), memory
