"""Pictures to vectors and back, of the renderer's residual blocks, with dense layers where it has feature maps.

The layers are ours. What they share with those of Reed et al. (NIPS 2015) is that the code of a picture is a vector.
"""

from jaxtyping import Float
from torch import Tensor, nn

from kinema.nn.scene import SLOPE, Norm, Residual


class VectorEncoder(nn.Sequential):
    """Pictures (B, 3, H, W), sides multiples of 4, to codes (B, units)."""

    def __init__(self, size: tuple[int, int], width: int, features: int, hidden: int, units: int) -> None:
        """`size` is H and W; `features` the channels of the quarter-size maps that the dense layers see."""
        super().__init__(
            nn.Conv2d(3, width, 4, 2, 1),
            Residual(width, "zeros"),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            Residual(2 * width, "zeros"),
            Residual(2 * width, "zeros"),
            Norm(2 * width),
            nn.Conv2d(2 * width, features, 1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(features * places(size), hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, units),
        )


class VectorDecoder(nn.Module):
    """Codes (B, units) to pictures (B, 3, H, W) in [0, 1]."""

    def __init__(self, size: tuple[int, int], width: int, features: int, hidden: int, units: int) -> None:
        super().__init__()
        self.shape = (features, size[0] // 4, size[1] // 4)
        self.dense = nn.Sequential(
            nn.Linear(units, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, features * places(size)),
            nn.LeakyReLU(SLOPE),
        )
        self.maps = nn.Sequential(
            nn.Conv2d(features, 2 * width, 1),
            Residual(2 * width, "zeros"),
            Residual(2 * width, "zeros"),
            Norm(2 * width),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            Residual(width, "zeros"),
            Norm(width),
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            Norm(width),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, code: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 H W"]:
        return self.maps(self.dense(code).unflatten(1, self.shape))


def places(size: tuple[int, int]) -> int:
    """Of a map of a quarter of that height and width."""
    return size[0] // 4 * (size[1] // 4)
