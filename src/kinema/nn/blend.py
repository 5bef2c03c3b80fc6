"""People between people: clips moved towards the mean frame of another one, where those who can be seen are few."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def towards_another(mean: Float[Tensor, "B *n"], action: Int[Tensor, " B"], share: float) -> Float[Tensor, "B *n"]:
    """What is to be added to the frames of each clip, whose mean frame is `mean`: for a `share` of the clips a random
    part of the way to that of another clip of the same action, and nothing for the others."""
    other = (action == action[:, None]).float().multinomial(1)[:, 0]
    part, blended = torch.rand(2, len(mean), device=mean.device)
    return (part * (blended < share)).view(-1, *[1] * (mean.ndim - 1)) * (mean[other] - mean)
