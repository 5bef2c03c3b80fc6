"""Which operators move: those of an action, of several actions at once, or one alone (supplement, figure 2)."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.errors import ClipError, ConfigError
from kinema.models.halo import Halo


def action_index(model: Halo, action: str) -> Int[Tensor, "1"]:
    """The index of an action's name, on the model's device; ClipError lists the known ones."""
    known = model.domain.actions
    if action not in known:
        raise ClipError(f"action {action!r} is unknown to this run; it knows {', '.join(known)}")
    return torch.tensor([known.index(action)], device=next(model.parameters()).device)


def parse_actions(text: str, known: tuple[str, ...]) -> dict[str, float]:
    """Each action's weight in ``walk``, ``walk+slash`` or ``walk*0.7+slash*0.3``; names may hold + and * themselves.

    Raises ClipError for an unknown action, ConfigError for a weight that is not positive or an action named twice.
    """
    if text in known:
        return {text: 1.0}
    weights: dict[str, float] = {}
    for part in text.split("+"):
        name, star, number = (part, "", "") if part in known else part.rpartition("*")
        name = name.strip() if star else part.strip()
        if name not in known:
            raise ClipError(f"action {name!r} is unknown to this run; it knows {', '.join(known)}")
        if name in weights:
            raise ConfigError(f"--action {text}: {name} is named twice; give it one weight, such as {name}*0.5")
        weights[name] = _weight(text, number) if star else 1.0
    return weights


def _weight(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"--action {text}: {number or 'nothing'} is no weight; positive numbers are, as in walk*0.7")
    return value


def doing(model: Halo, action: str | None, block: int | None) -> Mapping[str, float]:
    """The weights of the actions that a picture is to do; empty for a model whose operators move without one.

    In a conditional model operator k is action k, and `block` alone names it. Raises ClipError for an unknown action,
    ConfigError for what does not go together.
    """
    check_block(model, block)
    known = model.domain.actions
    if model.config.one_moves:
        if action is None and block is None:
            raise ConfigError(f"--action is missing; this run knows {', '.join(known)}")
        if action is None:
            return {known[block or 0]: 1.0}
        weights = parse_actions(action, known)
        if block is not None and known[block] not in weights:
            raise ConfigError(f"--block {block} is {known[block]}, which --action {action} does not move")
        return weights
    if action is not None and action not in known and ("+" in action or "*" in action):
        raise ConfigError(
            f"--action {action}: actions cannot be composed by name, for all operators of this run move in each; "
            f"--block 0 to {model.count - 1} moves one alone"
        )
    if action is not None:
        action_index(model, action)
    return {} if action is None else {action: 1.0}


def check_block(model: Halo, block: int | None) -> None:
    """Raises ConfigError for an operator that there is not."""
    if block is None or 0 <= block < model.count:
        return
    names = [f"{k} {name}" for k, name in enumerate(model.domain.actions)]
    there = f"{', '.join(names)}" if model.config.one_moves else f"0 to {model.count - 1}"
    raise ConfigError(f"--block {block}: no such operator; this run has {there}")


def composed_state(model: Halo, h: Float[Tensor, "1 1 h"], weights: Mapping[str, float]) -> Float[Tensor, "1 K n"]:
    """The state that a picture has in each of the actions, times their weights: each lies in its own subspace."""
    if not weights:
        return model.mean_state(h, 0, action_index(model, model.domain.actions[0]))
    states = [weight * model.mean_state(h, 0, action_index(model, name)) for name, weight in weights.items()]
    return torch.stack(states).sum(0)


def held(
    states: Float[Tensor, "1 T K n"], still: Float[Tensor, "1 K n"], block: int | None
) -> Float[Tensor, "1 T K n"]:
    """The trajectory in which only operator `block` moves; the others keep the state `still`. All move for None."""
    if block is None:
        return states
    moves = torch.arange(states.shape[2], device=states.device) == block
    return torch.where(moves[:, None], states, still[:, None])
