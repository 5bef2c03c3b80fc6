"""Forward kinematics: where the joints of a tree are, given how each is turned.

A skeleton is `parents` (-1 for the root, which comes first; a parent before its children) and `offsets`, where each
joint sits in its parent's frame. World rotations and positions follow the tree:
``R_j = R_parent L_j`` and ``x_j = x_parent + R_parent o_j``.

Everything is elementwise on columns of the rotations, whatever the layout in memory, so it is fastest where the axis of
time is innermost: a tensor (..., J, 3, 3, T) seen as (..., T, J, 3, 3).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.maths.rotation import six_columns, to_matrix

Columns = tuple[Tensor, Tensor, Tensor]
"""A rotation as its three columns, each (..., 3)."""


def forward_kinematics(
    local: Float[Tensor, "*B J 3 3"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> tuple[Float[Tensor, "*B J 3 3"], Float[Tensor, "*B J 3"]]:
    """World rotations and positions of all joints, from the local rotations and the root's position.

    The root's offset is not used: its position is given. Units are those of `root` and `offsets`.
    """
    turned, places = _follow(_columns(local), root, offsets, parents, set(range(len(parents))))
    return torch.stack([torch.stack(turned[j], -1) for j in range(len(parents))], -3), torch.stack(places, -2)


def positions(
    local: Float[Tensor, "*B J 3 3"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """`forward_kinematics` without the rotations, which saves turning the joints that carry nothing."""
    return torch.stack(_follow(_columns(local), root, offsets, parents, set(parents))[1], -2)


def positions_of_six(
    six: Float[Tensor, "*B J 6"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """`positions` of rotations given as six numbers, without making their matrices."""
    x, y, z = (column.unbind(-2) for column in six_columns(six))
    return torch.stack(_follow(list(zip(x, y, z, strict=True)), root, offsets, parents, set(parents))[1], -2)


def joint_positions(
    rotations: Float[Tensor, "*B J 4"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """Positions of all joints, from local unit quaternions."""
    return positions(to_matrix(rotations), root, offsets, parents)


def _columns(local: Float[Tensor, "*B J 3 3"]) -> list[Columns]:
    """The columns of every joint's rotation."""
    columns = [own.unbind(-1) for own in local.unbind(-3)]
    return [(x, y, z) for x, y, z in columns]


def _follow(
    local: Sequence[Columns], root: Tensor, offsets: Tensor, parents: Sequence[int], wanted: set[int]
) -> tuple[dict[int, Columns], list[Tensor]]:
    """World rotations of the `wanted` joints, and the positions of all."""
    turned: dict[int, Columns] = {}
    places: list[Tensor] = []
    for joint, (parent, columns) in enumerate(zip(parents, local, strict=True)):
        if parent < 0:
            turned[joint] = columns
            places.append(root)
            continue
        above = turned[parent]
        places.append(places[parent] + _combine(above, offsets[joint].unsqueeze(-1).unbind(0)))
        if joint in wanted:
            x, y, z = (_combine(above, column.split(1, -1)) for column in columns)
            turned[joint] = (x, y, z)
    return turned, places


def _combine(columns: Columns, parts: Sequence[Tensor]) -> Tensor:
    """The sum of the columns, each taken `parts` (..., 1) times: a matrix times a vector."""
    return columns[0] * parts[0] + columns[1] * parts[1] + columns[2] * parts[2]
