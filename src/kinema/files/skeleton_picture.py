"""Moving skeletons drawn as a clip: bones as lines on a tiled ground, left limbs in one colour and right in another.

The camera stands to the right of the way the bodies face and a little above, so that knees, feet and the distance
travelled can be read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from kinema.clip import VideoClip
from kinema.errors import ClipError
from kinema.files.bones import Bone, bone_ends, bones_of, sides_of
from kinema.files.guard import check_pixels
from kinema.files.stage import Stage, fitted
from kinema.motion import MotionClip

Colour = tuple[float, float, float]
Ink = tuple[int, int, int]

PAPER: Colour = (0.973, 0.965, 0.949)
LEFT, RIGHT = (224, 86, 36), (30, 104, 176)
WAY, TRAIL = (128, 178, 92), (190, 180, 164)
"""A way given to be drawn on the ground, and the way that a body has come."""
TRUNKS = ((58, 58, 70), (98, 72, 116), (48, 104, 88), (126, 94, 50), (116, 58, 78), (66, 92, 134))
"""The colour of the trunk tells the bodies of a crowd apart."""
FINE = 3
"""Lines are drawn so many times larger and then reduced, which smooths their edges."""
TURN = math.radians(55)
"""How far to the right of the way the bodies face the camera stands."""
MAX_FPS = 30.0
"""The most pictures a second unless more are asked for: a GIF counts hundredths of a second."""
CALM = 0.4
"""The standard deviation, in seconds, of the Gaussian that smooths the camera's way."""
SLIM = 0.55
"""How thick a bone is drawn, as a share of the body's thickness."""
RIM = 0.985
"""How bright the rim of a limb is, as a share of the background."""
SHADE = 0.42
"""How much darker the shadow of a foot on the ground is; what is higher casts less."""


@dataclass(frozen=True, eq=False)
class Figures:
    """The bones of all bodies, in world space, at the moments that are drawn."""

    begins: Float[Tensor, "T N 3"]
    ends: Float[Tensor, "T N 3"]
    roots: Float[Tensor, "T K 3"]
    """The root of each body."""
    bones: tuple[Bone, ...]
    inks: tuple[Ink, ...]
    """The colour of each bone."""
    facing: float
    """Which way the bodies face on the whole, as an angle about Y, in radians."""


def draw(
    clip: MotionClip | Sequence[MotionClip],
    size: tuple[int, int] = (256, 256),
    fps: float | None = None,
    follow: bool = True,
    path: Float[Tensor, "N 2"] | None = None,
    background: Colour = PAPER,
) -> VideoClip:
    """A clip of the skeletons, in real time; several are drawn together, as a crowd that starts at once.

    Args:
        clip: What moves. Where several are not equally long, those that have ended stand still.
        size: Height and width of the picture, in pixels.
        fps: Pictures per second; None: the clip's own rate, or the largest part of it up to 30.
        follow: Whether the camera goes with the bodies, or stands still and shows the whole way.
        path: A way to draw on the ground, as (x, z) in metres.
        background: RGB in [0, 1].

    Raises FileError where the clip would be too large, ClipError where there is nothing to draw, a size is below 16
    pixels or the rate is not positive.
    """
    clips = [clip] if isinstance(clip, MotionClip) else list(clip)
    if not clips:
        raise ClipError("no motion was given to draw; one clip at least is needed")
    name = clips[0].name
    if min(size) < 16:
        raise ClipError(f"{name}: a picture of {size[1]} x {size[0]} pixels is too small to draw in; 16 x 16 is not")
    rate = drawing_rate(clips) if fps is None else fps
    if not 0 < rate < math.inf:
        raise ClipError(f"{name}: {rate} pictures per second cannot be drawn; a positive rate is needed")
    seconds = max((len(each) - 1) / each.fps for each in clips)
    check_pixels(Path(name), size[1], size[0], math.floor(seconds * rate + 1e-3) + 1)
    moments = torch.arange(math.floor(seconds * rate + 1e-3) + 1, dtype=torch.float64) / rate
    figures = figures_at(clips, moments)
    way = torch.zeros(0, 2, dtype=torch.float64) if path is None else path.double()
    stage, targets = staged(figures, size, rate, follow, way)
    paper = np.array(background, np.float64) * 255
    pictures = [picture(stage, figures, frame, target, way, paper) for frame, target in enumerate(targets)]
    frames = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(255)
    credits = tuple(dict.fromkeys(line for each in clips for line in each.credits))
    return VideoClip(frames, fps=rate, labels=clips[0].labels, name=name, credits=credits)


def drawing_rate(clips: Sequence[MotionClip]) -> float:
    """The highest rate of the clips, divided by the least whole number that makes it about MAX_FPS or less."""
    fps = max(clip.fps for clip in clips)
    return fps / max(1, math.ceil(fps / MAX_FPS - 0.01))  # files that mean 30 say 0.0333333 s, which is more


def figures_at(clips: Sequence[MotionClip], moments: Float[Tensor, " S"]) -> Figures:
    """The bodies at so many seconds from their beginning; a body whose clip has ended stands still."""
    begins, ends, roots, bones, inks = [], [], [], [], []
    left = torch.zeros(3, dtype=torch.float64)
    for body, clip in enumerate(clips):
        parts = bones_of(clip.skeleton)
        begin, end, joints = bone_ends(clip, parts)
        for into, points in ((begins, begin), (ends, end), (roots, joints[:, :1])):
            into.append(at_frames(points, moments * clip.fps))
        bones += parts
        inks += [{1: LEFT, -1: RIGHT}.get(bone.side, TRUNKS[body % len(TRUNKS)]) for bone in parts]
        sides = torch.tensor(sides_of(clip.skeleton.names), dtype=joints.dtype)
        left = left + torch.einsum("tjx,j->x", joints, sides)
    facing = math.atan2(-float(left[2]), float(left[0]))
    return Figures(torch.cat(begins, 1), torch.cat(ends, 1), torch.cat(roots, 1), tuple(bones), tuple(inks), facing)


def at_frames(points: Float[Tensor, "T N 3"], frames: Float[Tensor, " S"]) -> Float[Tensor, "S N 3"]:
    """The points at times between frames, on the straight way from each to the next; after the end, the last."""
    frames = frames.clamp(max=len(points) - 1)
    before = (frames + 1e-6).floor()
    share = (frames - before).clamp(min=0)[:, None, None]
    after = (before + 1).clamp(max=len(points) - 1)
    return points[before.long()] * (1 - share) + points[after.long()] * share


def staged(
    figures: Figures, size: tuple[int, int], fps: float, follow: bool, way: Float[Tensor, "N 2"]
) -> tuple[Stage, Float[Tensor, "T 2"]]:
    """The view in which everything fits, and the (x, z) that the camera looks at in each picture."""
    points = torch.cat([figures.begins, figures.ends], 1)
    radii = [bone.radius for bone in figures.bones]
    floor = float(points[..., 1].amin(1).quantile(0.02)) - SLIM * min(radii)
    stage, thick = Stage(size, figures.facing - TURN, floor), max(radii)
    if follow:
        return fitted(stage, points, smoothed(figures.roots[..., [0, 2]].mean(1), CALM * fps), thick)
    points = torch.cat([points, stage.floor_at(way).expand(len(points), -1, -1)], 1)
    middle = (points.amin((0, 1)) + points.amax((0, 1)))[[0, 2]] / 2
    return fitted(stage, points, middle.expand(len(points), 2), thick)


def smoothed(points: Float[Tensor, "T 2"], sigma: float) -> Float[Tensor, "T 2"]:
    """Gaussian smoothing along time, `sigma` in frames; beyond its ends the way is continued point-symmetrically."""
    reach = min(len(points) - 1, math.ceil(3 * sigma))
    if reach < 1:
        return points
    before, after = 2 * points[:1] - points[1 : reach + 1].flip(0), 2 * points[-1:] - points[-reach - 1 : -1].flip(0)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=points.dtype) / sigma) ** 2)
    return torch.cat([before, points, after]).unfold(0, 2 * reach + 1, 1) @ (weights / weights.sum())


def picture(
    stage: Stage,
    figures: Figures,
    frame: int,
    target: Float[Tensor, " 2"],
    way: Float[Tensor, "N 2"],
    paper: Float[np.ndarray, " 3"],
) -> UInt8[np.ndarray, "H W 3"]:
    """One moment: the ground, the way on it, where the bodies came along, their shadows, and the bodies."""
    begins, ends = figures.begins[frame], figures.ends[frame]
    light = stage.ground(target) * shadow(stage, figures.bones, begins, ends, target)
    small = Image.fromarray((light[..., None] * paper).round().astype(np.uint8))
    height, width = stage.size
    large = small.resize((width * FINE, height * FINE), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(large)
    for line, ink in ((way, WAY), *((trail, TRAIL) for trail in figures.roots[: frame + 1, :, [0, 2]].unbind(1))):
        if len(line) > 1:
            drawn = (stage.pixels(stage.floor_at(line), target)[:, :2] * FINE).flatten().tolist()
            pen.line(drawn, fill=ink, width=round(max(1.0, height / 180) * FINE), joint="curve")
    starts, stops = stage.pixels(begins, target) * FINE, stage.pixels(ends, target) * FINE
    red, green, blue = (int(value) for value in paper * RIM)
    for index in (starts + stops)[:, 2].argsort().tolist():  # what is nearer hides what is behind it
        radius = max(figures.bones[index].radius * SLIM * stage.scale, 1.0) * FINE
        bone, ink = figures.bones[index], figures.inks[index]
        strokes(pen, bone, starts[index], stops[index], radius, ink, (red, green, blue))
    return np.asarray(large.reduce(FINE))


def strokes(
    pen: ImageDraw.ImageDraw,
    bone: Bone,
    start: Float[Tensor, " 3"],
    stop: Float[Tensor, " 3"],
    radius: float,
    ink: Ink,
    rim: Ink,
) -> None:
    """A bone; those of the limbs and the head have a thin rim, which sets them off from what they cross."""
    (x, y, _), (u, v, _) = start.tolist(), stop.tolist()
    wide = max(0.35 * FINE, 0.3 * radius)
    if bone.ball:
        radius = radius / SLIM if bone.length > 0 else radius
        x, y = (x + u) / 2, (y + v) / 2
        disc(pen, x, y, radius + wide, rim if bone.length > 0 else ink)
        disc(pen, x, y, radius, ink)
        return
    if bone.side:
        cut = min(1.2 * radius / max(math.hypot(u - x, v - y), 1e-9), 0.45)  # bones meet at joints without a rim
        inner = (x + cut * (u - x), y + cut * (v - y)), (u - cut * (u - x), v - cut * (v - y))
        bar(pen, *inner, radius + wide, rim)
    bar(pen, (x, y), (u, v), radius, ink)
    disc(pen, x, y, radius, ink)
    disc(pen, u, v, radius, ink)


def bar(pen: ImageDraw.ImageDraw, a: tuple[float, float], b: tuple[float, float], radius: float, ink: Ink) -> None:
    """A line with square ends; Pillow's own are rounded to whole pixels and do not meet the discs at their ends."""
    length = max(math.hypot(b[0] - a[0], b[1] - a[1]), 1e-9)
    x, y = radius * (a[1] - b[1]) / length, radius * (b[0] - a[0]) / length
    pen.polygon([(a[0] + x, a[1] + y), (b[0] + x, b[1] + y), (b[0] - x, b[1] - y), (a[0] - x, a[1] - y)], fill=ink)


def disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, ink: Ink) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def shadow(
    stage: Stage,
    bones: Sequence[Bone],
    begins: Float[Tensor, "N 3"],
    ends: Float[Tensor, "N 3"],
    target: Float[Tensor, " 2"],
) -> Float[np.ndarray, "H W"]:
    """How bright the ground stays below the bodies: darkest under feet that stand on it, soft everywhere."""
    height, width = stage.size
    starts, stops = (stage.pixels(stage.floor_at(points[:, [0, 2]]), target)[:, :2] for points in (begins, ends))
    above = (torch.minimum(begins[:, 1], ends[:, 1]) - stage.floor) * stage.scale / height
    dark = 255 * (0.3 + 0.7 * (1 - above / 0.08).clamp(0, 1))
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    for index in dark.argsort().tolist():
        ink, thick = int(dark[index]), max(2.0, bones[index].radius * stage.scale)
        (x, y), (u, v) = starts[index].tolist(), stops[index].tolist()
        pen.line((x, y, u, v), fill=ink, width=round(1.2 * thick))
        for a, b in ((x, y), (u, v)):
            pen.ellipse((a - 0.8 * thick, b - 0.4 * thick, a + 0.8 * thick, b + 0.4 * thick), fill=ink)
    soft = mask.filter(ImageFilter.GaussianBlur(max(1.0, 0.02 * stage.scale)))
    return 1 - SHADE * np.asarray(soft, np.float64) / 255
