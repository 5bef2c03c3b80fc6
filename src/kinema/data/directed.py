"""Directions as part of what is kept, or as part of the action: the two readings of a sprite's nine motions."""

from collections.abc import Mapping

from jaxtyping import Int
from torch import Tensor

Factors = Mapping[str, tuple[str, ...]]


def factors_of(factors: Factors, attributes: tuple[str, ...], directed: bool) -> tuple[Factors, tuple[str, ...]]:
    """The factors of a source, and those of them that a swap keeps.

    `factors` ends with ``action`` and ``direction``. Where `directed`, both become one action for each pair, the
    direction fastest ("walk left", ...), as the judges of nine classes count them (Bai et al. 2021).
    """
    if not directed:
        return factors, (*attributes, "direction")
    pairs = tuple(f"{action} {way}" for action in factors["action"] for way in factors["direction"])
    return {**{name: factors[name] for name in attributes}, "action": pairs}, attributes


def labels_of(motion: Int[Tensor, " N"], ways: int, directed: bool) -> dict[str, Int[Tensor, " N"]]:
    """The labels of motions that are numbered `ways` action + direction."""
    return {"action": motion} if directed else {"action": motion // ways, "direction": motion % ways}
