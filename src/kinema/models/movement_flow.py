"""A movement driven by a Hamiltonian flow: tempo, reversal, loops and any frame rate of matrices read from a clip.

The flow is fitted to the six numbers of each matrix as they are. A steady turn about any point makes every one of them
a pure wave, as a swing of the place or a change of size does too; a matrix logarithm would make the turn a ramp that
jumps where a half turn is complete, and has no value for matrices that mirror or flatten. The numbers are also of one
scale: each moves a corner of the canvas by at most itself, in canvas units.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.clip import VideoClip
from kinema.errors import ClipError
from kinema.files.transformation import Movement
from kinema.maths import oscillation
from kinema.maths.oscillation import Oscillation
from kinema.models.tempo import Playback, Timeline
from kinema.nn.movements import Movements


@dataclass(frozen=True, eq=False)
class Flow:
    """A movement that is known at every time."""

    source: Movement
    """What the flow was fitted to: its canvas, parts and labels are the flow's."""
    oscillation: Oscillation
    """Of the six numbers of all parts, row by row, in frames of the source."""

    def theta(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T K 2 3"]:
        """The matrices at any real times of the source, in frames."""
        return self.oscillation.at(times).unflatten(1, (self.source.parts, 2, 3))

    def movement(self, line: Timeline) -> Movement:
        """The movement at the times of a timeline, as a clip of that rate."""
        return replace(self.source, theta=self.theta(line.at), times=line.shown, end=line.end, fps=line.fps)

    def played(self, playback: Playback, frames: int | None = None) -> Movement:
        """The movement over the source's time, played as asked for; beyond it, where `frames` lead there, it goes on.

        Raises ConfigError as `Playback.of_clip`.
        """
        return self.movement(playback.of_clip(_clock(self.source), frames))

    def missed(self) -> float:
        """How far the flow is from the source at its own frames: the most pixels by which a corner of the canvas is."""
        corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)], dtype=torch.float64)
        away = (self.theta(self.source.at) - self.source.theta) @ corners.T
        height, width = self.source.size
        return float((away * torch.tensor([[width / 2], [height / 2]])).norm(dim=-2).max())


def flowing(movement: Movement, period: float | None = None, known: Movements | None = None) -> Flow:
    """The flow that is nearest to a movement; all parts share its frequencies. Where movements like it are `known`, it
    is the likely one of these.

    With `period`, in frames of the movement, it closes exactly after that time. Raises ClipError for fewer than 3
    frames or more than 1024, and for a period that so many frames cannot tell.
    """
    if not oscillation.FEWEST <= len(movement) <= oscillation.MOST:
        told = f"a flow needs from {oscillation.FEWEST} to {oscillation.MOST}"
        raise ClipError(f"{movement.name}: a movement of {_counted(len(movement))}; {told}, such as FILE@I:J")
    try:
        likely = known.flow(movement.theta, movement.at) if known is not None and period is None else None
        if likely is not None:
            return Flow(movement, likely)
        return Flow(movement, oscillation.fit(movement.theta.flatten(1), movement.at, period))
    except ClipError as error:
        raise ClipError(f"{movement.name}: {str(error).removeprefix('path: ')}") from error


def duration(movement: Movement) -> float:
    """From the first frame's beginning to the last one's end, in frames: the loop of a movement that begins anew."""
    return movement.until - float(movement.at[0])


def _clock(movement: Movement) -> VideoClip:
    """The times of a movement as those of a clip, whose pictures nobody sees."""
    blank = torch.zeros(len(movement), 1, 1, 1)
    return VideoClip(blank, times=movement.at, end=movement.until, fps=movement.fps, name=movement.name)


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"
