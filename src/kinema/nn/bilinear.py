"""Networks that carry appearance: content is what a frame's own principal components say, moved to a pose they share.

Given the pose, every frame is linear in the content and the content linear in every frame (bilinear models of style and
content: Tenenbaum and Freeman 2000), so clothes and people that training has not seen are shown as they are, not as the
nearest that it has. Which linear map it is, a network tells: gains on `rank` directions, from the frame on the way in,
from the state and what little is asked of the content on the way out. Both ways begin as the identity: what is shown is
what was seen. All channels of a frame share the map: what moves moves alike in all of them, whatever its colour.

The content is in units of the components' deviations, so that N(0, I) is what the training frames are.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths.gaussian import Gaussian
from kinema.nn import basis
from kinema.nn.basis import MOTION, WHITE, block
from kinema.nn.coordinates import Coordinates
from kinema.nn.dense import LEAK

NARROW = -5.0
"""Log-variance of the content's posterior at the beginning."""


class Encoder(nn.Module):
    """The coordinates of a frame to a feature vector, and behind it the coordinates themselves, in deviations."""

    def __init__(self, coordinates: Coordinates, hidden: int, features: int) -> None:
        super().__init__()
        self.scale = [coordinates]  # in a list: the model has it already, and saves it once
        self.layers = basis.Encoder(coordinates, hidden, features)

    def forward(self, frames: Float[Tensor, "N n"]) -> Float[Tensor, "N h"]:
        return torch.cat([self.layers(frames), frames[..., :-1] / self.scale[0].spread], -1)


class Beside(nn.Module):
    """A head that reads the feature vector alone."""

    def __init__(self, features: int, head: nn.Module) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, h: Tensor, *given: Tensor | None) -> Gaussian | Tensor:
        return self.head(h[..., : self.features], *given)


class Moved(nn.Module):
    """x + wide(gain * narrow(x)) of each of some channels: a linear map of so low a rank, chosen by its gains; the
    identity at the beginning."""

    def __init__(self, count: int, rank: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(count, rank, bias=False)
        self.wide = nn.Linear(rank, count, bias=False)
        nn.init.zeros_(self.wide.weight)

    def forward(self, x: Float[Tensor, "*#B m"], gain: Float[Tensor, "*#B r"]) -> Float[Tensor, "*#B m"]:
        apart = x.unflatten(-1, (-1, self.narrow.in_features))
        return (apart + self.wide(gain[..., None, :] * self.narrow(apart))).flatten(-2)


class Content(nn.Module):
    """q(z | frames): each frame's own coordinates, moved to the common pose, and averaged."""

    def __init__(self, coordinates: Coordinates, features: int, rank: int, asked: int) -> None:
        """`asked` numbers of the features are known to the gains: enough for a pose, too few for clothes; 0: all."""
        super().__init__()
        self.scale, self.features = [coordinates], features
        self.gain = nn.Sequential(*(block(features, asked) if asked else ()), nn.Linear(asked or features, rank))
        self.moved = Moved(len(coordinates.components), rank)
        self.logvar = nn.Parameter(torch.full((coordinates.count,), NARROW))

    def forward(self, h: Float[Tensor, "B T h"]) -> Gaussian:
        even = self.scale[0].spread ** WHITE
        seen = self.moved(h[..., self.features :] * even, self.gain(h[..., : self.features]))
        mean = seen.mean(1) / even
        return Gaussian(mean, self.logvar.clamp(-12, 4).expand_as(mean))


class Decoder(nn.Module):
    """Content and positions to the coordinates of each frame."""

    def __init__(self, coordinates: Coordinates, features: int, rank: int, asked: int, state: tuple[int, int]) -> None:
        """`asked` numbers of the content are known to the gains; 0: they go by the state alone."""
        super().__init__()
        count, d = state
        self.scale = [coordinates]
        self.per_action = nn.Parameter(torch.randn(count, d, MOTION) / d**0.5)
        self.asked = nn.Sequential(*block(coordinates.count, asked), nn.Linear(asked, MOTION)) if asked else None
        self.pose = nn.Sequential(nn.LeakyReLU(LEAK), *block(MOTION, features), *block(features, features))
        self.gain = nn.Linear(features, rank)
        self.shift = nn.Linear(features, coordinates.count)
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)
        self.moved = Moved(len(coordinates.components), rank)

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T n"]:
        even = self.scale[0].spread ** WHITE
        carried = (z * even)[:, None]
        told = torch.einsum("btkd,kdo->bto", q, self.per_action)
        pose = self.pose(told if self.asked is None else told + self.asked(carried))
        shown = self.moved(carried, self.gain(pose)) + self.shift(pose)
        return torch.cat([shown * even, torch.zeros_like(shown[..., :1])], dim=-1)
