"""synthesize: a drawn path, or a control signal, walked and run by one body or many."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from kinema.data.representation import encode, resample
from kinema.data.roles import find_roles
from kinema.errors import ClipError, ConfigError
from kinema.files.bvh_motion import write_motion_blocks
from kinema.files.credits import write_credits
from kinema.files.motion_formats import read_motion_clip, write_motion_clips
from kinema.files.path import DrawnPath, read_controls, read_path
from kinema.maths import trajectory
from kinema.maths.trajectory import PathStyle
from kinema.models.motion_base import MotionDomain
from kinema.models.walks import Asked, joined, walk
from kinema.motion import Motion, MotionClip
from kinema.training.run import Run, load_run

SEED_FRAMES = 4
"""Frames of a start clip that are looked at."""
APART = 1.0
"""Metres between the bodies of a crowd."""
LONG = 600.0
"""Seconds of motion beyond which one body's BVH is written in blocks."""
ROUND, HEADING_SIGMA, TURN = 1.0, 0.33, 1.5
"""How a corner is taken: rounded over so many metres of the line, at no more than so many radians per second."""


def synthesize(
    run: str,
    *,
    out: str,
    path: str | None = None,
    controls: str | None = None,
    scale: float | None = None,
    speed: float = 1.2,
    start: str | None = None,
    action: str | None = None,
    style: str | None = None,
    samples: int = 1,
    lock: bool = False,
    seed: int = 0,
    quiet: bool = False,
) -> list[MotionClip]:
    """Let a body walk or run along a path.

    The body stays on the path and sways about it as its gait does. Positions are metres; +Z is ahead, +X to the left.
    A BVH of more than ten minutes is written as it is made, in memory that does not grow, and no clips are returned.

    Args:
        run: A run of the family locomotion, or builtin:gait.
        out: Where to write: .bvh, .npz or .csv for one body, .glb for many, or a picture such as .gif or .mp4.
        path: The line to follow: a CSV with the columns x,z[,speed], or an SVG, whose first line is taken.
        controls: A CSV with the columns forward,sideways (m/s) and turn (deg/s), left positive, in place of a path.
        scale: Metres per unit of the path's file; an SVG needs it.
        speed: Metres per second along a path that does not say its speeds.
        start: A clip that the motion begins like: FILE.bvh, of which FILE.bvh@I: begins at frame I.
        action: What to do, where the run knows actions; `kinema info RUN` lists them.
        style: In which manner, where the run knows styles.
        samples: How many bodies, each a draw of its own.
        lock: Hold feet where they stand.
        seed: Of the draws.
        quiet: Print nothing.
    """
    if samples < 1:
        raise ConfigError(f"--samples {samples}: at least 1 is needed")
    if (path is None) == (controls is None):
        raise ConfigError("synthesize: give either --path FILE or --controls FILE")
    loaded = load_run(run)
    domain = loaded.domain
    if not isinstance(domain, MotionDomain):
        raise ConfigError(f"{run}: a run of the family {loaded.recipe.family}; this verb needs one of locomotion")
    asked, line = _asked(domain, path, controls, scale, speed)
    asked = replace(
        asked,
        seed=None if start is None else _seed(domain, start),
        labels=_labels(domain, action=action, style=style),
        samples=samples,
        lock=lock,
    )
    told = Told(line)
    blocks = told.listening(walk(loaded.model, asked, torch.Generator().manual_seed(seed)))
    clips: list[MotionClip] = []
    if len(asked.control) > LONG * domain.fps and samples == 1 and Path(out).suffix.lower() == ".bvh":
        write_motion_blocks((block[0] for block in blocks), len(asked.control), Path(out))
        write_credits(loaded.credits, Path(out))
    else:
        clips = joined(list(blocks))
        clips = [replace(body, credits=loaded.credits, name=f"{Path(out).stem} {k}") for k, body in enumerate(clips)]
        write_motion_clips(_spread(clips, float(asked.heading)), out)
    if not quiet:
        told.show(loaded, asked)
    return clips


def _asked(
    domain: MotionDomain, path: str | None, controls: str | None, scale: float | None, speed: float
) -> tuple[Asked, DrawnPath | None]:
    """The control that a file asks for, and the drawn line where it is one."""
    if path is not None:
        drawn = read_path(Path(path), scale)
        style = PathStyle(speed=speed, radius=ROUND, heading_sigma=HEADING_SIGMA, turn=TURN)
        places, heading = trajectory.follow(drawn.points, drawn.speed, domain.fps, style)
        control = trajectory.differentiate(places, heading, domain.fps)
        return Asked(control, places[0], heading[0]), drawn
    control = read_controls(Path(str(controls)), domain.fps)
    return Asked(control, torch.zeros(3).double(), torch.zeros(()).double()), None


def _seed(domain: MotionDomain, start: str) -> Motion:
    """The beginning of a start clip, as the model sees it. Raises ClipError where its skeleton is another."""
    clip = resample(read_motion_clip(start), domain.fps)
    if not clip.skeleton.same_as(domain.skeleton, 0.01):
        raise ClipError(
            f"{start}: its skeleton is not that of the run ({len(domain.names)} joints, {domain.names[0]}, ...)"
        )
    if len(clip) < SEED_FRAMES:
        raise ClipError(f"{start}: {len(clip)} frames; at least {SEED_FRAMES} are needed")
    return encode(clip, find_roles(clip.skeleton, pose=clip.joints()[0])).motion[:SEED_FRAMES]


def _labels(domain: MotionDomain, **asked: str | None) -> Mapping[str, int]:
    """The indices of the asked action and style. Raises ConfigError for one that the run does not know."""
    found = {}
    for name, value in asked.items():
        known = domain.actions if name == "action" else domain.styles
        if value is not None and value not in known:
            raise ConfigError(f"--{name} {value}: this run knows {', '.join(known) or 'none'}")
        if value is not None:
            found[name] = known.index(value)
    return found


class Told:
    """What is said of a walk: how near the bodies stayed to a drawn line, and what no training data holds."""

    def __init__(self, line: DrawnPath | None) -> None:
        self.line = line
        self.sum, self.count, self.most = 0.0, 0, 0.0

    def listening(self, blocks: Iterator[list[MotionClip]]) -> Iterator[list[MotionClip]]:
        """The blocks, each measured as it passes."""
        for block in blocks:
            for body in block if self.line is not None else ():
                away = trajectory.distance_to_path(body.root[:, [0, 2]], self.line.points)  # pyright: ignore[reportOptionalMemberAccess]
                self.sum, self.count = self.sum + float(away.sum()), self.count + len(away)
                self.most = max(self.most, float(away.max()))
            yield block

    def show(self, loaded: Run, asked: Asked) -> None:
        """Print it."""
        console, seconds = Console(), len(asked.control) / loaded.domain.fps
        console.print(f"{asked.samples} x {seconds:.1f} s")
        if self.line is not None:
            for note in self.line.notes:
                console.print(note)
            mean = 100 * self.sum / self.count
            console.print(f"distance from the line: mean {mean:.1f} cm, greatest {100 * self.most:.1f} cm")
        for text in warnings(loaded.model, asked.control):
            console.print(f"[yellow]{text}[/yellow]")


def warnings(model: torch.nn.Module, control: Float[Tensor, "T 3"]) -> list[str]:
    """What of a control lies outside of what 99 % of the training data do, in words."""
    low, high = model.get_submodule("scale").get_buffer("control_range").double()
    rates = torch.tensor([1.0, 1.0, 180 / torch.pi]).double()
    texts = []
    for k, (name, unit) in enumerate((("sideways", "m/s"), ("forward", "m/s"), ("turn", "deg/s"))):
        outside = (control[:, k] < low[k]) | (control[:, k] > high[k])
        if bool(outside.any()):
            worst = control[(control[:, k] - (low[k] + high[k]) / 2).abs().argmax(), k] * rates[k]
            share = 100 * outside.double().mean()
            known = f"{low[k] * rates[k]:.2f} to {high[k] * rates[k]:.2f}"
            texts.append(
                f"{name} reaches {worst:.2f} {unit}; the training data knows {known}, {share:.0f} % are outside"
            )
    return texts


def _spread(clips: list[MotionClip], heading: float) -> list[MotionClip]:
    """The bodies of a crowd side by side."""
    left = torch.tensor([1.0, 0.0, 0.0]).double()
    across = trajectory.to_world(left.view(1, 1, 3), torch.zeros(1, 3).double(), torch.tensor([heading]).double())[0, 0]
    middle = (len(clips) - 1) / 2
    return [replace(body, root=body.root + APART * (k - middle) * across) for k, body in enumerate(clips)]
