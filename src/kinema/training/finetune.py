"""Starting a model from another: what both know is copied, action by action where the actions differ."""

from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import RunError


def adopt(model: Any, base: nn.Module, actions: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Give `model` the weights of `base`.

    Parameters whose first axis is the action are copied by the action's name; an action that `base` does not know
    starts as its first one. Raises RunError where anything else differs in shape.
    """
    rows = [known.index(name) if name in known else 0 for name in actions]
    weights = base.state_dict()
    for name, value in model.state_dict().items():
        given: Tensor | None = weights.get(name)
        if (
            given is not None
            and is_per_action(name, getattr(model.config, "one_moves", False))
            and given.shape[:1] == (len(known),)
        ):
            given = given[torch.tensor(rows)]
        if given is None or given.shape != value.shape:
            raise RunError(
                f"the run to start from has no {name} of shape {tuple(value.shape)}; its settings must agree"
            )
        value.copy_(given)


def is_per_action(name: str, conditional: bool) -> bool:
    """Whether a parameter has the action as its first axis: the operators of an unconditional model belong to none."""
    of_a_head = name.endswith("per_action") and (conditional or name.startswith("action_head."))
    return of_a_head or (conditional and name.startswith("operator."))
