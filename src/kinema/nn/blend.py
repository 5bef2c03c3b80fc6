"""People between people: clips moved towards the mean frame of another one, where those who can be seen are few."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def towards_another(
    means: tuple[Float[Tensor, "B *n"], ...], group: Int[Tensor, " B"], share: float
) -> tuple[Float[Tensor, "B 1 *n"], ...]:
    """What is to be added to all frames of clips: for a `share` of the clips a random part of the way to the mean frame
    of another clip of the same `group`, and nothing for the others.

    `means` are the mean frames of each clip and of the one that its content is read from: both are moved alike, towards
    the same other person.
    """
    other = (group == group[:, None]).float().multinomial(1)[:, 0]
    part, blended = torch.rand(2, len(group), device=group.device)
    way = part * (blended < share)
    return tuple((way.view(-1, *[1] * (mean.ndim - 1)) * (mean[other] - mean))[:, None] for mean in means)
