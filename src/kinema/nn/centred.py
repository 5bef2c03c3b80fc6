"""What goes with an action, whoever does it, belongs to the motion: it is taken from the content and given to the
action that is shown. Ours.

Content is read from the very frames that do an action, and what all who do it have in common stays in it: a ghost of
bent backs and raised arms. Once training is over this is known: the effect of each action on the contents of those who
do several (`maths/effects.py`). It is what an action adds to anybody, so somebody in white who is to bend leaves white
where the mean of all clothes is taken away, and bends in the mean of all clothes: hence a share of it may be best.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.maths.effects import fixed_effects
from kinema.maths.gaussian import Gaussian

LEAST = 1e-12
"""Squared length of a state that is not at rest."""


class Centres(nn.Module):
    """A share of each action's effect on contents; zero before `fit`."""

    per_action: Tensor

    def __init__(self, share: float, actions: int, content: int) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("per_action", torch.zeros(actions, content))

    def fit(self, codes: Float[Tensor, "N z"], person: Int[Tensor, " N"], action: Int[Tensor, " N"]) -> None:
        """Find them from contents as they were read, who is seen and what they do."""
        self.per_action.copy_(self.share * fixed_effects(codes, person, action, len(self.per_action)))

    def forward(self, states: Float[Tensor, "B T K n"]) -> Float[Tensor, "B z"]:
        """What goes with the action of a trajectory; of several at once, by their shares of all squared states."""
        power = states.square().sum((1, 3)).to(self.per_action.dtype)
        return power / power.sum(-1, keepdim=True).clamp_min(LEAST) @ self.per_action


class CentredContent(nn.Module):
    """q(z | frames) without what goes with the action that is seen in them; in training with it."""

    def __init__(self, read: nn.Module, centres: Centres, action_head: nn.Module) -> None:
        super().__init__()
        self.read = read
        self.others = [centres, action_head]  # in a list: the model has them already, and saves them once

    def forward(self, h: Float[Tensor, "B T h"]) -> Gaussian:
        content = self.read(h)
        if self.training:
            return content
        centres, action_head = self.others
        return Gaussian(content.mean - centres.per_action[action_head(h).argmax(1)], content.logvar)
