"""Networks around appearance by pose (`nn/poses.py`): they learn which step of its cycle a state is, and no more.

The content is the factors of every channel, and behind them, where there are several views, which one it is seen in.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.maths.gaussian import Gaussian
from kinema.nn import basis
from kinema.nn.basis import MOTION, block
from kinema.nn.coordinates import Coordinates
from kinema.nn.dense import LEAK
from kinema.nn.poses import Poses

SURE = -5.0
"""Log-variance of the view in the content's posterior."""
LEAST = 1e-12
"""Squared position of a state that is not at rest."""


class Encoder(nn.Module):
    """The coordinates of a frame to a feature vector, and behind it the coordinates themselves."""

    def __init__(self, coordinates: Coordinates, hidden: int, features: int) -> None:
        super().__init__()
        self.layers = basis.Encoder(coordinates, hidden, features)

    def forward(self, frames: Float[Tensor, "N n"]) -> Float[Tensor, "N h"]:
        return torch.cat([self.layers(frames), frames[..., :-1]], -1)


class Content(nn.Module):
    """q(z | frames): exact, given the poses that the frames are most likely in. Nothing in it learns."""

    def __init__(self, poses: Poses, features: int) -> None:
        super().__init__()
        self.poses, self.features = [poses], features  # in a list: the decoder has it, and saves it once

    @torch.no_grad()
    def forward(self, h: Float[Tensor, "B T h"]) -> Gaussian:
        poses = self.poses[0]
        with torch.autocast(h.device.type, enabled=False):
            coordinates = h[..., self.features :].float().unflatten(-1, (-1, poses.means_per_action.shape[-1]))
            factors, view = poses.content(coordinates)
        mean, logvar = factors.mean.flatten(1), factors.logvar.flatten(1)
        if poses.views == 1:
            return Gaussian(mean, logvar)
        side = marked(view, poses.views).to(mean)
        return Gaussian(torch.cat([mean, side], -1), torch.cat([logvar, torch.full_like(side, SURE)], -1))


class Decoder(nn.Module):
    """Content and positions to the coordinates of each frame.

    Which operator moves tells the action: as much of it is shown as it has of all squared positions. The position
    tells the steps of its cycle; between two of them a frame is part of either.
    """

    def __init__(self, poses: Poses, features: int, state: tuple[int, int]) -> None:
        super().__init__()
        count, d = state
        self.poses = poses
        self.per_action = nn.Parameter(torch.randn(count, d, MOTION) / d**0.5)
        self.step = nn.Sequential(nn.LeakyReLU(LEAK), *block(MOTION, features), nn.Linear(features, poses.steps))

    def forward(self, z: Float[Tensor, "B z"], q: Float[Tensor, "B T K d"]) -> Float[Tensor, "B T n"]:
        step = self.step(torch.einsum("btkd,kdo->btko", q, self.per_action)).softmax(-1)
        power = q.square().sum(-1)
        weight = step * (power / power.sum(-1, keepdim=True).clamp_min(LEAST))[..., None]
        sides = self.poses.views if self.poses.views > 1 else 0
        factors, side = z.split([z.shape[-1] - sides, sides], -1)
        view = side.argmax(-1) if sides else torch.zeros_like(z[:, 0], dtype=torch.long)
        shown = self.poses.shown(factors.unflatten(-1, (-1, self.poses.factors)), view, weight).flatten(2)
        return torch.cat([shown, torch.zeros_like(shown[..., :1])], dim=-1)


def marked(view: Tensor, views: int) -> Float[Tensor, "B V"]:
    """A view as numbers of mean 0 and variance 1, where all views are equally frequent: the greatest is the view's."""
    one = nn.functional.one_hot(view, views).double()
    return (one - 1 / views) / (1 / views * (1 - 1 / views)) ** 0.5
