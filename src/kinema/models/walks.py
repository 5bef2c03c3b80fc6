"""From a control signal to bodies in the world: what `synthesize` does, block by block."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError
from kinema.maths import rotation, trajectory
from kinema.maths.foot_lock import Leg, lock_rotations
from kinema.maths.inverse_kinematics import positions_to_rotations
from kinema.maths.sway import sway
from kinema.models.motion_base import MotionDomain
from kinema.motion import Motion, MotionClip

MARGIN = 4.0
"""Seconds of motion on either side of a frame that may have a say in where its body is and how its feet are held."""
BLOCK = 40.0
"""Seconds of motion that are made at once."""


@runtime_checkable
class Streaming(Protocol):
    """A model that can be asked for motion bit by bit."""

    def stream(
        self,
        control: Float[Tensor, "B T 3"],
        start: Motion | None,
        factors: Mapping[str, Tensor],
        generator: torch.Generator,
        block: int,
    ) -> Iterator[Motion]:
        """The motion of `generate`, in pieces of about `block` frames."""
        ...


@dataclass(frozen=True, eq=False)
class Asked:
    """What bodies are asked to do."""

    control: Float[Tensor, "T 3"]
    """Sideways and forward in m/s, turn in rad/s, float64."""
    start: Float[Tensor, "3"]
    """Where the path begins, in metres."""
    heading: Float[Tensor, ""]
    """Heading at the beginning, in radians."""
    seed: Motion | None = None
    """The first frames of a clip that the bodies are to begin like, (S, ...)."""
    labels: Mapping[str, int] | None = None
    """Index of the action and of the style, where they are asked for."""
    samples: int = 1
    """Number of bodies, each a draw of its own."""
    lock: bool = False
    """Whether feet that stand are held where they stand."""


def walk(model: Any, asked: Asked, generator: torch.Generator) -> Iterator[list[MotionClip]]:
    """The bodies, in blocks of frames one after the other; each block holds a clip for every body.

    Raises ClipError where feet are to be held and the model does not know its skeleton's legs.
    """
    domain: MotionDomain = model.domain
    if asked.lock and len(domain.legs) != 2:
        raise ClipError("foot lock: this run does not know its skeleton's legs; train it anew")
    margin = round(MARGIN * domain.fps)
    path, heading = trajectory.integrate(asked.control, domain.fps, asked.start, asked.heading)
    total, done, low = len(asked.control), 0, 0
    kept: Motion | None = None
    for piece in _pieces(model, asked, generator):
        kept = piece if kept is None else _joined(kept, piece)
        high = min(total, low + kept.control.shape[1])
        ready = high if high == total else high - margin
        if ready <= done:
            continue
        window = slice(low, high)
        bodies = place(domain, kept[:, : high - low], asked, path[window], heading[window], asked.control[window])
        yield [body[done - low : ready - low] for body in bodies]
        done = ready
        keep = max(0, done - margin)
        kept, low = kept[:, keep - low :], keep


def place(
    domain: MotionDomain,
    motion: Motion,
    asked: Asked,
    path: Float[Tensor, "T 3"],
    heading: Float[Tensor, " T"],
    control: Float[Tensor, "T 3"],
) -> list[MotionClip]:
    """The bodies of a window in the world, on the asked path with the sway of their own gait."""
    motion = motion.map(Tensor.double)
    count, skeleton = len(motion.control), domain.skeleton
    own = motion.control
    where, facing = sway(
        control.expand(count, -1, -1), own, domain.fps, path[0].expand(count, -1), heading[0].expand(count)
    )
    if motion.rotations is None:
        local = positions_to_rotations(motion.joints, skeleton.offsets, skeleton.parents)
    else:
        local = rotation.from_matrix(rotation.from_six(motion.rotations))
    root = trajectory.to_world(motion.joints[:, :, :1], where, facing)[:, :, 0]
    turned = rotation.multiply(rotation.about_y(facing), local[:, :, 0])
    local = torch.cat([turned[:, :, None], local[:, :, 1:]], 2)
    if asked.lock and motion.contacts is not None:
        local = _held(domain, local, root, motion.contacts)
    return [MotionClip(skeleton, root[k], local[k], domain.fps, name=f"walk {k}") for k in range(count)]


def _held(domain: MotionDomain, local: Tensor, root: Tensor, contacts: Tensor) -> Tensor:
    """The rotations with standing feet held. The floor is at height 0: so it is in what the model learned."""
    skeleton, legs = domain.skeleton, [Leg(*joints) for joints in domain.legs]
    return lock_rotations(local, root, skeleton.offsets, skeleton.parents, contacts, legs, domain.fps)


def _pieces(model: Any, asked: Asked, generator: torch.Generator) -> Iterator[Motion]:
    """What the model makes of the asked control, piece by piece where it can."""
    control = asked.control.float().expand(asked.samples, -1, -1)
    seed = None if asked.seed is None else asked.seed.map(lambda x: x.float().expand(asked.samples, *x.shape))
    factors = {name: torch.full((asked.samples,), value) for name, value in (asked.labels or {}).items()}
    block = round(BLOCK * model.domain.fps)
    if isinstance(model, Streaming):
        return model.stream(control, seed, factors, generator, block)
    return iter([model.generate(control.shape[1], control, seed, factors, generator)])


def _joined(a: Motion, b: Motion) -> Motion:
    def both(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else torch.cat([x, y], 1)

    joints, control = torch.cat([a.joints, b.joints], 1), torch.cat([a.control, b.control], 1)
    return Motion(joints, control, both(a.rotations, b.rotations), both(a.contacts, b.contacts))


def joined(blocks: Sequence[list[MotionClip]]) -> list[MotionClip]:
    """The clips of all blocks, end to end."""
    first = blocks[0]
    return [
        MotionClip(
            body.skeleton,
            torch.cat([block[k].root for block in blocks]),
            torch.cat([block[k].rotations for block in blocks]),
            body.fps,
            name=body.name,
        )
        for k, body in enumerate(first)
    ]
