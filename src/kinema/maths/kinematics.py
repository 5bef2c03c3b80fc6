"""Forward kinematics: where the joints of a tree are, given how each is turned.

A skeleton is `parents` (-1 for the root, which comes first; a parent before its children) and `offsets`, where each
joint sits in its parent's frame. World rotations and positions follow the tree:
``R_j = R_parent L_j`` and ``x_j = x_parent + R_parent o_j``.

All joints equally far from the root are worked on together, so there are as many steps as the longest chain has bones.
Inside, the axes are (joint, column, component, batch): the batch is long, and innermost is where that is fast.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.maths.rotation import six_columns, to_matrix


def forward_kinematics(
    local: Float[Tensor, "*B J 3 3"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> tuple[Float[Tensor, "*B J 3 3"], Float[Tensor, "*B J 3"]]:
    """World rotations and positions of all joints, from the local rotations and the root's position.

    The root's offset is not used: its position is given. Units are those of `root` and `offsets`.
    """
    inside = local.movedim((-3, -1, -2), (0, 1, 2)).reshape(len(parents), 3, 3, -1)
    turned, places = _follow(inside, root, offsets, parents, set(range(len(parents))))
    return turned.reshape(-1, 3, 3, *root.shape[:-1]).movedim((0, 1, 2), (-3, -1, -2)), places


def positions(
    local: Float[Tensor, "*B J 3 3"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """`forward_kinematics` without the rotations, which saves turning the joints that carry nothing."""
    inside = local.movedim((-3, -1, -2), (0, 1, 2)).reshape(len(parents), 3, 3, -1)
    return _follow(inside, root, offsets, parents, set(parents))[1]


def positions_of_six(
    six: Float[Tensor, "*B J 6"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """`positions` of rotations given as six numbers, without making their matrices."""
    inside = six.movedim((-2, -1), (0, 1)).reshape(len(parents), 6, -1).contiguous()
    columns = six_columns(inside.movedim(1, -1))
    return _follow(torch.stack([own.movedim(-1, 1) for own in columns], 1), root, offsets, parents, set(parents))[1]


def joint_positions(
    rotations: Float[Tensor, "*B J 4"],
    root: Float[Tensor, "*B 3"],
    offsets: Float[Tensor, "J 3"],
    parents: Sequence[int],
) -> Float[Tensor, "*B J 3"]:
    """Positions of all joints, from local unit quaternions."""
    return positions(to_matrix(rotations), root, offsets, parents)


def layers(parents: Sequence[int]) -> list[list[int]]:
    """The joints by their number of bones to the root: the root alone, its children, theirs."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[joint for joint, own in enumerate(depth) if own == level] for level in range(max(depth) + 1)]


def _follow(
    local: Float[Tensor, "J 3 3 N"], root: Tensor, offsets: Tensor, parents: Sequence[int], carriers: set[int]
) -> tuple[Float[Tensor, "C 3 3 N"], Float[Tensor, "*B J 3"]]:
    """World rotations of the `carriers`, in the order of the joints, and the positions of all."""
    turned, places = [local[:1]], [root.movedim(-1, 0).reshape(1, 3, -1)]
    above, carried, order = [0], [0], [0]  # the joints whose rotations stand last in `turned`; of all of `turned`; met
    for layer in layers(parents)[1:]:
        level = order[len(order) - len(places[-1]) :]
        x, y, z = _take(turned[-1], [above.index(parents[joint]) for joint in layer]).unbind(1)
        a, b, c = offsets[layer][..., None, None].unbind(1)
        begin = _take(places[-1], [level.index(parents[joint]) for joint in layer])
        places.append(begin.addcmul(x, a).addcmul(y, b).addcmul(z, c))
        order += layer
        above = [joint for joint in layer if joint in carriers]
        kept = [layer.index(joint) for joint in above]
        x, y, z = (_take(column, kept)[:, None] for column in (x, y, z))
        a, b, c = _take(local, above)[:, :, :, None].unbind(2)
        turned.append((x * a).addcmul(y, b).addcmul(z, c))
        carried += above
    rows = torch.cat(places).reshape(-1, 3, *root.shape[:-1]).movedim(1, -1)
    places_of_all = _take(rows, [order.index(joint) for joint in range(len(order))]).movedim(0, -2)
    return _take(torch.cat(turned), [carried.index(joint) for joint in sorted(carried)]), places_of_all


def _take(rows: Tensor, which: list[int]) -> Tensor:
    """Rows of a tensor, itself where they are all of it in order."""
    return rows if which == list(range(len(rows))) else rows[which]
