"""What a treatment does, whoever gets it: the fixed-effects regression of panel data, by what varies within a person.

    y = person + effect + e

Persons who got one treatment alone say nothing of it, for their own effect explains them: what treatments do is told by
those who got several (the within transformation; Wooldridge, Econometric Analysis of Cross Section and Panel Data,
chapter 10). Where nobody tells two groups of treatments apart, their effects are the smallest that fit.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def within(values: Float[Tensor, "N n"], group: Int[Tensor, " N"]) -> Float[Tensor, "N n"]:
    """What is left of the values when each group's mean is taken away."""
    count = group.bincount(minlength=int(group.max()) + 1).clamp_min(1).to(values)[:, None]
    total = values.new_zeros(len(count), values.shape[1]).index_add(0, group, values)
    return values - (total / count)[group]


def fixed_effects(
    values: Float[Tensor, "N n"], person: Int[Tensor, " N"], treatment: Int[Tensor, " N"], treatments: int
) -> Float[Tensor, "k n"]:
    """The effect of each of `treatments`, least squares; a treatment that nobody got has none. Means are theirs to
    share: they are zero over treatments that can be compared."""
    got = functional.one_hot(treatment, treatments).double()
    effects = torch.linalg.pinv(within(got, person), rtol=1e-9) @ within(values.double(), person)
    return effects.to(values)
