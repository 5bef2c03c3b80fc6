"""Whether a Hamiltonian flow tells the transformation of frames that it was not fitted to.

Of a clip T_Z is read from the first frame to every other. The flow is fitted to every second frame, the first among
them, and says what T_Z is at those in between; each then moves the first frame's character on the first frame's
background, and is compared with the frame itself. ``per frame`` is the T_Z that was read from the unseen frame: what is
wrong there is the renderer's own error, and no flow is better but by chance. The baselines know what the flow knows.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kinema.data.pairs import PairSource, SceneSource
from kinema.errors import ConfigError
from kinema.evaluation.scene_errors import Pictures, Scored, floats, summary
from kinema.files.transformation import Movement
from kinema.maths import affine
from kinema.models.movement_flow import flowing
from kinema.nn.movements import Movements

LEAST = 6
"""Frames of a clip that is measured: three seen, two between them."""
MOST = 65
"""Frames of a clip, its first ones, that are measured at most."""
NAME = "unseen T_Z, {}"
"""What results are called, with the name of the way that gave the transformation."""
PER_FRAME = "per frame"
"""The way that looks at the unseen frame."""

Way = Callable[[Movement, Float[Tensor, " S"]], Float[Tensor, "S K 2 3"]]
"""From the movement of the seen frames to the matrices at other times."""


@runtime_checkable
class Moves(Protocol):
    """What is asked of a renderer; pictures are float in [0, 1]."""

    def transformation(self, first: Pictures, second: Pictures, given: Tensor | None) -> Float[Tensor, "N K 2 3"]: ...

    def encode_character(self, x: Pictures) -> Tensor: ...

    def encode_background(self, x: Pictures) -> Tensor: ...

    def move(self, character: Tensor, theta: Float[Tensor, "N K 2 3"]) -> Tensor: ...

    def render(self, character: Tensor, background: Tensor) -> Pictures: ...


@runtime_checkable
class Knows(Protocol):
    """A renderer that may know movements like those of a clip."""

    movements: Movements | None


def by_flow(seen: Movement, times: Float[Tensor, " S"], known: Movements | None = None) -> Float[Tensor, "S K 2 3"]:
    """The Hamiltonian flow nearest to the seen frames, or of the known ones the likely one."""
    return flowing(seen, known=known).theta(times)


def by_nearest(seen: Movement, times: Float[Tensor, " S"]) -> Float[Tensor, "S K 2 3"]:
    """The T_Z of the nearest seen frame, of two the earlier."""
    return seen.theta[(times[:, None] - seen.at).abs().argmin(1)]


def by_line(seen: Movement, times: Float[Tensor, " S"]) -> Float[Tensor, "S K 2 3"]:
    """Between the two seen frames in proportion, number by number."""
    after = torch.searchsorted(seen.at, times).clamp(1, len(seen) - 1)
    share = (times - seen.at[after - 1]) / (seen.at[after] - seen.at[after - 1])
    return torch.lerp(seen.theta[after - 1], seen.theta[after], share[:, None, None, None])


def by_rest(seen: Movement, times: Float[Tensor, " S"]) -> Float[Tensor, "S K 2 3"]:
    """No movement at all: what is shown is the first frame."""
    return affine.identity(len(times), seen.parts, dtype=torch.float64)


WAYS: Mapping[str, Way] = {"flow": by_flow, "nearest": by_nearest, "line": by_line, "rest": by_rest}
"""The flow, and the baselines."""


@torch.no_grad()
def evaluate_flow(
    model: Moves, source: PairSource, count: int, seed: int, device: torch.device, ways: Mapping[str, Way] = WAYS
) -> dict[str, float]:
    """Errors of the unseen frames of `count` clips, drawn by `seed`, each clip's mean counting as much as any other's.

    Flat names: ``unseen T_Z, WAY/sse01`` and what else `scene_errors.summary` tells, and the ratio of mean squared
    errors, ``unseen T_Z, WAY/of per frame``. Where the model has learned what movements there are, ``flow`` goes by
    that and ``flow alone`` by the clip alone. Fewer clips are taken where the source has fewer of 6 frames; raises
    ConfigError where it has none.
    """
    if isinstance(model, Knows) and model.movements is not None and "flow" in ways:
        ways = {**ways, "flow": partial(by_flow, known=model.movements), "flow alone": by_flow}
    long = (source.frame_counts() >= LEAST).nonzero()[:, 0].cpu()
    if not len(long):
        told = f"its clips have {int(source.frame_counts().max())} frames at most"
        raise ConfigError(f"{source.name}: {told}; {LEAST} are needed to leave some out, as with data.frames")
    generator = torch.Generator().manual_seed(seed)
    clips = long[torch.randperm(len(long), generator=generator)[:count]]
    grounds = (torch.rand(len(clips), generator=generator) * source.backgrounds).long()
    each = [_errors(model, source, c, b, device, ways) for c, b in zip(clips.split(1), grounds.split(1), strict=True)]
    errors = {NAME.format(name): torch.stack([error[name] for error in each]) for name in (PER_FRAME, *ways)}
    values = {name: torch.full((len(clips),), 3.0 * source.size[0] * source.size[1]) for name in errors}
    scene = isinstance(source, SceneSource)
    movement = source.movement(clips) if scene else torch.zeros_like(clips)
    results = summary(Scored(errors, values, movement), source.movements if scene else (), seed)
    per_frame = max(results[f"{NAME.format(PER_FRAME)}/sse01"], 1e-12)
    for name in ways:
        results[f"{NAME.format(name)}/of per frame"] = results[f"{NAME.format(name)}/sse01"] / per_frame
    return results | {"n/clips, unseen T_Z": float(len(clips))}


def unseen(frames: int) -> Bool[Tensor, " T"]:
    """Which of a clip's frames the flow is not fitted to, and is asked for: every second that lies between two seen."""
    number = torch.arange(frames)
    return (number % 2 == 1) & (number < frames - 1)


def _errors(
    model: Moves, source: PairSource, clip: Tensor, ground: Tensor, device: torch.device, ways: Mapping[str, Way]
) -> dict[str, Tensor]:
    """The sum of squared errors of an unseen frame of one clip, in [0, 1], by the way that gave its T_Z."""
    count = min(int(source.frame_counts()[clip]), MOST)
    steps, which = torch.arange(count), clip.expand(count)
    frames = floats(source.frames(which, steps, ground.expand(count)), device)
    given = source.given(which, torch.zeros_like(steps), steps)
    read = model.transformation(frames[:1], frames, None if given is None else given.to(device))
    hidden, read = unseen(count), read.double().cpu()
    seen = Movement(read[::2], source.size, steps[::2].double(), name=f"{source.name}/{int(clip)}")
    found = {PER_FRAME: read[hidden], **{name: way(seen, steps[hidden].double()) for name, way in ways.items()}}
    character, background = model.encode_character(frames[:1]), model.encode_background(frames[:1])
    errors = {}
    for name, theta in found.items():
        moved = model.move(character.expand(len(theta), *character.shape[1:]), theta.float().to(device))
        shown = model.render(moved, background.expand(len(theta), *background.shape[1:])).float().clamp(0, 1)
        errors[name] = (shown - frames[hidden.to(device)]).square().sum((1, 2, 3)).mean().cpu()
    return errors
