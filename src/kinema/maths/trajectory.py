"""Where a body is on the ground and where it faces: from joints, from controls, and along a drawn path.

Metres, radians, Y up. A body at heading 0 faces +Z with its left at +X; a growing heading turns it to its left. The
control of frame t carries frame t to frame t + 1 and is written in the axes of frame t + 1 (Holden et al., SIGGRAPH
2016): ``theta(t+1) = theta(t) + turn(t) / fps``, then ``r(t+1) = r(t) + R_y(theta(t+1)) (sideways, 0, forward) / fps``.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ClipError


def heading(
    left_hip: Float[Tensor, "*B T 3"],
    right_hip: Float[Tensor, "*B T 3"],
    left_shoulder: Float[Tensor, "*B T 3"],
    right_shoulder: Float[Tensor, "*B T 3"],
) -> Float[Tensor, "*B T"]:
    """Where a body faces, in (-pi, pi], not smoothed: square to the line across hips and shoulders."""
    across = (left_hip - right_hip) + (left_shoulder - right_shoulder)
    return torch.atan2(-across[..., 2], across[..., 0])


def smooth(values: Float[Tensor, "*B T C"], sigma: float) -> Float[Tensor, "*B T C"]:
    """The values under a Gaussian of `sigma` frames along time, cut at 4 sigma, the first and last frame repeated."""
    if sigma <= 0:
        return values
    reach = math.ceil(4 * sigma)
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    return _filter(values, (-0.5 * (steps / sigma).square()).exp(), "replicate")


def smooth_heading(heading: Float[Tensor, "*B T"], sigma: float, fps: float) -> Float[Tensor, "*B T"]:
    """The heading under a Gaussian of `sigma` seconds, taken on the unit vector, so that no turn counts twice."""
    facing = smooth(torch.stack([heading.sin(), heading.cos()], -1), sigma * fps)
    return torch.atan2(facing[..., 0], facing[..., 1])


def differentiate(path: Float[Tensor, "*B T D"], heading: Float[Tensor, "*B T"], fps: float) -> Float[Tensor, "*B T 3"]:
    """The control that carries a body along `path`: sideways (left) and forward in m/s, turn (left) in rad/s.

    `path` is (x, z) or (x, height, z) in metres; the height is not used. The turn of one frame lies in (-pi, pi]. The
    last frame repeats the one before it; a single frame stands still. `integrate` is the inverse.
    """
    if heading.shape[-1] < 2:
        return torch.zeros_like(heading).unsqueeze(-1).expand(*heading.shape, 3)
    x, z = path[..., 0].diff(), path[..., -1].diff()
    sin, cos = heading[..., 1:].sin(), heading[..., 1:].cos()
    turn = heading.diff()
    turn = turn - 2 * math.pi * torch.ceil(turn.detach() / (2 * math.pi) - 0.5)
    control = torch.stack([cos * x - sin * z, sin * x + cos * z, turn], -1) * fps
    return torch.cat([control, control[..., -1:, :]], -2)


def integrate(
    control: Float[Tensor, "*B T 3"],
    fps: float,
    start: Float[Tensor, "*B 3"] | None = None,
    heading0: Float[Tensor, "*B"] | None = None,
) -> tuple[Float[Tensor, "*B T 3"], Float[Tensor, "*B T"]]:
    """Places on the ground, in metres, and headings, in radians and without wrapping, of the T frames.

    Frame 0 is at `start` (the origin) with heading `heading0` (0); the last control is not used. To go on in parts,
    let each part begin with the last frame of the part before. Differentiable.
    """
    step = control / fps
    turn = F.pad(step[..., :-1, 2], (1, 0)).cumsum(-1)
    theta = turn if heading0 is None else turn + heading0.unsqueeze(-1)
    sideways, forward = step[..., :-1, 0], step[..., :-1, 1]
    sin, cos = theta[..., 1:].sin(), theta[..., 1:].cos()
    x, z = cos * sideways + sin * forward, cos * forward - sin * sideways
    path = F.pad(torch.stack([x, torch.zeros_like(x), z], -1), (0, 0, 1, 0)).cumsum(-2)
    return (path if start is None else path + start.unsqueeze(-2)), theta


def to_world(
    joints: Float[Tensor, "*B T J 3"], path: Float[Tensor, "*B T 3"], heading: Float[Tensor, "*B T"]
) -> Float[Tensor, "*B T J 3"]:
    """Joints of the root frame placed in the world."""
    return _turn(joints, heading) + path.unsqueeze(-2)


def to_root(
    joints: Float[Tensor, "*B T J 3"], path: Float[Tensor, "*B T 3"], heading: Float[Tensor, "*B T"]
) -> Float[Tensor, "*B T J 3"]:
    """Joints of the world seen from the root frame: the inverse of `to_world`."""
    return _turn(joints - path.unsqueeze(-2), -heading)


@dataclass(frozen=True)
class PathStyle:
    """How a drawn line becomes a path that a body can follow."""

    speed: float = 1.2
    """Metres per second where no speed was given."""
    radius: float = 0.35
    """Metres of the line, to either side, that round a corner: straight lines further from it stay as drawn."""
    heading_sigma: float = 0.2
    """Seconds of the Gaussian on the direction of travel that gives the heading."""
    acceleration: float = 1.5
    """The most that the speed changes, in m/s per second."""
    turn: float = math.inf
    """Radians per second: the body slows down where the line would turn it faster than this."""
    from_rest: bool = False
    """Whether the body starts from a stand."""
    to_rest: bool = False
    """Whether the body comes to a stand at the end."""


def path_controls(
    points: Float[Tensor, "N 2"],
    speeds: Float[Tensor, " N"] | None,
    fps: float,
    style: PathStyle | None = None,
) -> Float[Tensor, "T 3"]:
    """The control that takes a body along a drawn line; `follow` gives the same as places, and its first of them.

    Raises ClipError as `follow` does.
    """
    path, facing = follow(points, speeds, fps, style)
    return differentiate(path, facing, fps)


def follow(
    points: Float[Tensor, "N 2"],
    speeds: Float[Tensor, " N"] | None,
    fps: float,
    style: PathStyle | None = None,
) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T"]]:
    """Places (metres, on the ground) and headings (radians, not wrapped) of a body that goes along a drawn line.

    `points` are (x, z) in metres; `speeds`, in m/s, hold at the points and vary evenly along the line between them.
    Corners are rounded by a Hann window of `style.radius` along the line; both ends are met exactly. Give
    ``start=path[0], heading0=heading[0]`` to `integrate` to come out on the line. Raises ClipError where the line has
    no length, is not finite or too long, or where a speed is negative or 0 over a whole stretch.
    """
    style = style or PathStyle()
    line, speed = _even(*_check(points, speeds), style)
    far = F.pad(line.diff(dim=0).norm(dim=-1).cumsum(0), (1, 0))
    speed = _limited(speed, line, far, style)
    if bool((speed[:-1] + speed[1:] <= 0).any()):
        raise ClipError("path: a speed of 0 over a whole stretch never ends; give a speed above 0")
    clock = F.pad((2 * far.diff() / (speed[:-1] + speed[1:])).cumsum(0), (1, 0))
    if float(clock[-1]) * fps > MOST_SAMPLES:
        raise ClipError(f"path: {float(clock[-1]) * fps:.3g} frames; a faster speed or a shorter line is needed")
    frames = max(2, round(float(clock[-1]) * fps) + 1)
    times = torch.linspace(0, float(clock[-1]), frames, dtype=line.dtype)
    at = torch.searchsorted(clock, times, right=True).clamp(1, len(clock) - 1) - 1
    since = times - clock[at]
    pull = (speed[at + 1].square() - speed[at].square()) / (2 * far.diff()[at])
    share = ((speed[at] * since + 0.5 * pull * since.square()) / far.diff()[at]).clamp(0, 1)
    place, along = _cubic(line, at, share)
    facing = _unwrap(smooth_heading(torch.atan2(along[:, 0], along[:, 1]), style.heading_sigma, fps))
    path = torch.stack([place[:, 0], torch.zeros_like(facing), place[:, 1]], -1)
    return path.to(points.dtype), facing.to(points.dtype)


def distance_to_path(points: Float[Tensor, "T 2"], polyline: Float[Tensor, "N 2"]) -> Float[Tensor, "T"]:
    """How far each point is from the nearest place of the line, its ends included, in metres."""
    start, along = polyline[:-1], polyline.diff(dim=0)
    if len(start) == 0:
        return (points - polyline[0]).norm(dim=-1)
    square = along.square().sum(-1).clamp_min(torch.finfo(points.dtype).tiny)
    parts = []
    for part in points.split(max(1, 2**19 // len(start))):
        away = part.unsqueeze(1) - start
        share = ((away * along).sum(-1) / square).clamp(0, 1)
        parts.append((away - share.unsqueeze(-1) * along).norm(dim=-1).amin(1))
    return torch.cat(parts)


SPACING = 0.01
"""Metres between the samples of a line while it is rounded."""
SLOWEST = 0.1
"""Metres per second below which `PathStyle.turn` does not slow a body: it would never leave a cusp."""
MOST_SAMPLES = 2**20
"""The most samples of a line, and frames of a path: 10 km, and 4.8 hours at 60 frames per second."""


def _turn(v: Float[Tensor, "*B J 3"], angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B J 3"]:
    """The vectors turned about the vertical axis."""
    sin, cos = angle.sin().unsqueeze(-1), angle.cos().unsqueeze(-1)
    x, y, z = v.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], -1)


def _filter(values: Float[Tensor, "*B T C"], kernel: Float[Tensor, " K"], padding: str) -> Float[Tensor, "*B T C"]:
    """The values under a symmetric kernel along time, brought to sum 1."""
    rows = values.movedim(-2, -1)
    flat = rows.reshape(-1, 1, rows.shape[-1])
    reach = len(kernel) // 2
    out = F.conv1d(F.pad(flat, (reach, reach), mode=padding), (kernel / kernel.sum()).view(1, 1, -1))
    return out.reshape(rows.shape).movedim(-1, -2)


def _unwrap(angle: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """The angle without jumps of a whole turn."""
    whole = torch.round(angle.diff() / (2 * math.pi)).cumsum(0)
    return angle - 2 * math.pi * F.pad(whole, (1, 0))


def _check(
    points: Float[Tensor, "N 2"], speeds: Float[Tensor, " N"] | None
) -> tuple[Float[Tensor, "M 2"], Float[Tensor, " M"] | None]:
    """The line in double precision, without points that repeat the one before."""
    points, speeds = points.double(), None if speeds is None else speeds.double()
    if not bool(points.isfinite().all()) or (
        speeds is not None and not bool((speeds.isfinite() & (speeds >= 0)).all())
    ):
        raise ClipError("path: places must be finite numbers and speeds finite and not negative")
    keep = torch.ones(len(points), dtype=torch.bool)
    keep[1:] = (points.diff(dim=0) != 0).any(-1)
    points = points[keep]
    length = float(points.diff(dim=0).norm(dim=-1).sum())
    if not 0 < length < MOST_SAMPLES * SPACING:
        raise ClipError(f"path: its length is {length:.3g} m; it needs two places, and to be below 10 km")
    return points, None if speeds is None else speeds[keep]


def _even(
    points: Float[Tensor, "N 2"], speeds: Float[Tensor, " N"] | None, style: PathStyle
) -> tuple[Float[Tensor, "S 2"], Float[Tensor, " S"]]:
    """The line at even steps, its corners rounded, and the speed wished there."""
    far = F.pad(points.diff(dim=0).norm(dim=-1).cumsum(0), (1, 0))
    count = max(8, math.ceil(float(far[-1]) / SPACING)) + 1
    steps = torch.linspace(0, float(far[-1]), count, dtype=points.dtype)
    at = torch.searchsorted(far, steps, right=True).clamp(1, len(far) - 1) - 1
    share = ((steps - far[at]) / far.diff()[at]).clamp(0, 1)
    line = torch.lerp(points[at], points[at + 1], share.unsqueeze(-1))
    # Beyond its ends the line goes on turned about them, so that a symmetric window leaves the ends where they are.
    reach = min(round(style.radius * (count - 1) / float(far[-1])), count - 1)
    before, after = 2 * line[0] - line[1 : reach + 1].flip(0), 2 * line[-1] - line[-1 - reach : -1].flip(0)
    window = 1 + torch.cos(torch.arange(-reach, reach + 1, dtype=line.dtype) * math.pi / (reach + 1))
    rounded = _filter(torch.cat([before, line, after]), window, "replicate")[reach : reach + count]
    if speeds is None:
        return rounded, torch.full_like(steps, style.speed)
    return rounded, torch.lerp(speeds[at], speeds[at + 1], share)


def _limited(
    speed: Float[Tensor, " S"], line: Float[Tensor, "S 2"], far: Float[Tensor, " S"], style: PathStyle
) -> Float[Tensor, " S"]:
    """The greatest speeds below `speed` that keep to the style's turn and acceleration: v dv = a ds."""
    along = line.diff(dim=0)
    bend = _unwrap(torch.atan2(along[:, 0], along[:, 1])).diff().abs() / far.diff()[1:]
    most = (style.turn / bend).nan_to_num(math.inf, posinf=math.inf).clamp_min(SLOWEST)
    speed = speed.minimum(F.pad(most, (1, 1), value=math.inf))
    if style.from_rest:
        speed[0] = 0
    if style.to_rest:
        speed[-1] = 0
    ramp = 2 * style.acceleration * far
    square = (speed.square() - ramp).cummin(0).values + ramp
    square = (square + ramp).flip(0).cummin(0).values.flip(0) - ramp
    return square.clamp_min(0).sqrt()


def _cubic(
    line: Float[Tensor, "S 2"], at: Tensor, share: Float[Tensor, " T"]
) -> tuple[Float[Tensor, "T 2"], Float[Tensor, "T 2"]]:
    """Places and directions between the samples of an even line (cubic Hermite; slopes from both neighbours)."""
    slope = torch.cat([line[1:2] - line[:1], (line[2:] - line[:-2]) / 2, line[-1:] - line[-2:-1]])
    u = share.unsqueeze(-1)
    p, q, m, n = line[at], line[at + 1], slope[at], slope[at + 1]
    place = p + u * (m + u * ((3 * (q - p) - 2 * m - n) + u * (2 * (p - q) + m + n)))
    return place, m + u * (2 * (3 * (q - p) - 2 * m - n) + 3 * u * (2 * (p - q) + m + n))
