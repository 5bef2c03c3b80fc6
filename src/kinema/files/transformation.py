"""A movement as a value: affine transformations of a character's parts, frame by frame; and as JSON, to keep and edit.

The matrices are those of `maths.affine`: they lead from a place in the picture that is shown to the place in the still
picture whose colour is seen there, and so are the inverse of what one sees. For people the seen movement is told too,
about the middle of the canvas: degrees clockwise, enlargement, then pixels to the right and down.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError, FileError
from kinema.files.guard import reading, writing
from kinema.files.spec import parse_spec
from kinema.maths import affine

KIND, VERSION = "transformation", 1
CONVENTION = (
    "A matrix [[a, b, c], [d, e, f]] takes the point (x, y) of the picture that is shown to the point"
    " (a x + b y + c, d x + e y + f) of the still picture, whose colour is seen there: it is the inverse of the seen"
    " movement. Both canvases reach from -1 (left edge, upper edge) to 1 (right edge, lower edge). 'seen' tells the"
    " movement for people and is not read: about the middle of the canvas a turn by 'clockwise' degrees and 'scale',"
    " the greatest and the least enlargement, then a shift by 'right' and 'down' pixels of a canvas of 'size'; null"
    " where the matrix has no inverse. A frame begins at 'begins', the last one ends at 'end', in frames of 1 / fps s."
)
MAX_BYTES = 2**25
"""The longest JSON that is read: 32 MiB."""
MAX_MATRICES = 2**16
"""The most matrices (frames x parts) of one movement; with what is told of them they stay below MAX_BYTES."""
MAX_SIDE = 2**14
"""The longest side of a canvas, in pixels."""
SINGULAR = 1e-6
"""A picture that shrinks to less than this share of a side has no way back."""


@dataclass(frozen=True, eq=False)
class Movement:
    """How the parts of a character go from one picture to each frame of a clip.

    Raises ClipError where a number is not finite, times do not increase, or there is no frame.
    """

    theta: Float[Tensor, "T K 2 3"]
    """For each frame and part the matrix from output to input, in canvas units, float64."""
    size: tuple[int, int]
    """Height and width of the canvas whose pixels shifts are told in."""
    times: Float[Tensor, " T"] | None = None
    """When each frame begins, in frames (float64, strictly increasing); None means 0, 1, 2, ..."""
    end: float | None = None
    """When the last frame ends, in frames; None means one frame after it began."""
    fps: float = 10.0
    """Frames per second."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is known of the clip that moves so: ``tag``, ``action``, ..."""
    name: str = "movement"
    """What an error message calls it: its file, as a rule."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", self.theta.double())
        count = len(self.theta)
        if not self.theta.numel():
            raise ClipError(f"{self.name}: holds no matrix; at least one frame of one part is needed")
        if not bool(self.theta.isfinite().all()):
            raise ClipError(f"{self.name}: a matrix holds NaN or infinite values; finite numbers are needed")
        if self.times is None:
            object.__setattr__(self, "times", torch.arange(count, dtype=torch.float64))
        if len(self.at) != count or not bool((self.at.diff() > 0).all()) or not bool(self.at.isfinite().all()):
            raise ClipError(f"{self.name}: each frame must begin after the one before it")
        if self.end is None:
            object.__setattr__(self, "end", float(self.at[-1]) + 1.0)
        if not float(self.at[-1]) < self.until < math.inf or not 0 < self.fps < math.inf:
            raise ClipError(f"{self.name}: the last frame ends before it begins, or the rate is not positive")

    @property
    def at(self) -> Float[Tensor, " T"]:
        """When each frame begins, in frames."""
        assert self.times is not None  # set in __post_init__
        return self.times

    @property
    def until(self) -> float:
        """When the last frame ends, in frames."""
        assert self.end is not None  # set in __post_init__
        return self.end

    @property
    def parts(self) -> int:
        """Matrices of a frame."""
        return self.theta.shape[1]

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, frames: slice) -> "Movement":
        """Some of the frames, as Python slices; times keep their values. Raises ClipError where there are none."""
        index = list(range(len(self))[frames])
        if not index or (frames.step or 1) < 0:
            told = f"it has frames 0 to {len(self) - 1}"
            raise ClipError(f"{self.name}: frames {frames.start}:{frames.stop} are none of it; {told}")
        ends = [*self.at[1:].tolist(), self.until]
        return replace(self, theta=self.theta[index], times=self.at[index], end=ends[index[-1]])

    # --- what one sees -----------------------------------------------------------------------------------------------

    def invertible(self) -> bool:
        """Whether every matrix has an inverse."""
        return bool((affine.parts(self.theta)[2][..., 1] > SINGULAR).all())

    def seen(self) -> Float[Tensor, "T K 2 3"]:
        """The matrices of the seen movement, in pixels right and down from the middle of the canvas.

        Raises ClipError where there is none, because a matrix has no inverse.
        """
        return _pixels(self.inverse().theta, self.size)

    def read(self) -> tuple[Float[Tensor, "T K"], Float[Tensor, "T K 2"], Float[Tensor, "T K 2"]]:
        """The seen movement: degrees clockwise, pixels right and down, the greatest and the least enlargement.

        NaN for matrices without an inverse.
        """
        singular = affine.parts(self.theta)[2][..., 1] <= SINGULAR
        safe = torch.where(singular[..., None, None], torch.eye(2, 3).double(), self.theta)
        angle, shift, scale = affine.parts(_pixels(affine.invert(safe), self.size))
        lost = torch.nan
        return (
            angle.rad2deg().masked_fill(singular, lost),
            shift.masked_fill(singular[..., None], lost),
            scale.masked_fill(singular[..., None], lost),
        )

    # --- edits, each a new movement ----------------------------------------------------------------------------------

    def inverse(self) -> "Movement":
        """The movement back, frame by frame. Raises ClipError where a matrix has no inverse."""
        if not self.invertible():
            least = affine.parts(self.theta)[2][..., 1]
            frame, part = divmod(int(least.argmin()), self.parts)
            told = f"the matrix of frame {frame}, part {part}, has no inverse"
            raise ClipError(f"{self.name}: {told}, which is needed here; give one that does not flatten the picture")
        return replace(self, theta=affine.invert(self.theta))

    def then(self, other: "Movement") -> "Movement":
        """This movement, and then `other`, whose single frame or part stands for all.

        Raises ClipError where frames, parts or the shape of the canvas differ.
        """
        counts = zip((len(self), self.parts), (len(other), other.parts), strict=True)
        if any(b not in (1, a) for a, b in counts):
            told = f"{len(other)} frames of {other.parts} parts cannot follow {len(self)} frames of {self.parts}"
            raise ClipError(f"{other.name}: {told}; as many, or one, are needed")
        a, b = torch.broadcast_tensors(self.theta, other.fitted(self.size).theta)
        return replace(self, theta=affine.compose(a, b))

    def rotated(self, clockwise: float, about: Tensor | None = None) -> "Movement":
        """Turned by so many degrees besides, about the canvas's middle, or about `about`.

        `about` is in pixels right and down from that middle, (2,) or any shape that broadcasts to (T, K, 2).
        """
        angle = torch.tensor(math.radians(clockwise), dtype=torch.float64)
        return self._edited(affine.from_parts(angle, torch.zeros(2).double()), about)

    def scaled(self, factor: float, about: Tensor | None = None) -> "Movement":
        """Enlarged by a factor besides; `about` as in `rotated`. Raises ClipError unless it is positive."""
        if not 0 < factor < math.inf:
            raise ClipError(f"{self.name}: cannot be scaled by {factor:g}; a positive number is needed")
        return self._edited(factor * torch.eye(2, 3).double(), about)

    def moved(self, right: float, down: float) -> "Movement":
        """Moved by so many pixels besides."""
        shift = torch.tensor([[right], [down]], dtype=torch.float64)
        return self._edited(torch.cat([torch.eye(2).double(), shift], 1), None)

    def _edited(self, seen: Float[Tensor, "2 3"], about: Tensor | None) -> "Movement":
        """Followed by a seen movement in pixels about a point."""
        p = torch.zeros(2).double() if about is None else about.double()
        shift = seen[:, 2] + p - (seen[:, :2] @ p[..., None])[..., 0]
        matrix = torch.cat([seen[:, :2].expand(*p.shape[:-1], 2, 2), shift[..., None]], -1)
        after = _canvas(affine.invert(matrix), self.size)
        return replace(self, theta=affine.compose(*torch.broadcast_tensors(self.theta, after)))

    def fitted(self, size: tuple[int, int]) -> "Movement":
        """The same for a canvas of another size but the same shape: shifts keep their share of it.

        Raises ClipError for another shape, on which a turn would be none.
        """
        (h, w), (height, width) = self.size, size
        if h * width != w * height:
            told = f"made for a canvas of {w} x {h} pixels"
            raise ClipError(f"{self.name}: {told}; {width} x {height} has another shape, on which a turn would shear")
        return replace(self, size=size)


def _half(size: tuple[int, int]) -> Tensor:
    """Pixels of one canvas unit, to the right and down."""
    return torch.tensor([size[1] / 2, size[0] / 2], dtype=torch.float64)


def _pixels(theta: Float[Tensor, "*B 2 3"], size: tuple[int, int]) -> Float[Tensor, "*B 2 3"]:
    """The same map in pixels from the middle of the canvas."""
    half = _half(size)
    return torch.cat([theta[..., :2] * half[:, None] / half, theta[..., 2:] * half[:, None]], -1)


def _canvas(matrix: Float[Tensor, "*B 2 3"], size: tuple[int, int]) -> Float[Tensor, "*B 2 3"]:
    """The inverse of `_pixels`."""
    half = _half(size)
    return torch.cat([matrix[..., :2] * half / half[:, None], matrix[..., 2:] / half[:, None]], -1)


# --- JSON ------------------------------------------------------------------------------------------------------------


def movement_json(movement: Movement) -> str:
    """The text of the file, a frame a line. Raises FileError for a movement that would be too long to read back."""
    if len(movement) * movement.parts > MAX_MATRICES:
        told = f"{len(movement)} frames of {movement.parts} parts"
        raise FileError(f"{movement.name}: {told} are too many for one file; {MAX_MATRICES} matrices are the most")
    head = {
        "kinema": KIND,
        "version": VERSION,
        "convention": CONVENTION,
        "size": {"width": movement.size[1], "height": movement.size[0]},
        "fps": movement.fps,
        "end": movement.until,
        "labels": dict(movement.labels),
    }
    angle, shift, scale = (part.tolist() for part in movement.read())
    mirrored = (movement.theta[..., :2].det() < 0).tolist()
    frames = []
    for t, matrices in enumerate(movement.theta.tolist()):
        told = [_told(angle[t][k], shift[t][k], scale[t][k], mirrored[t][k]) for k in range(movement.parts)]
        parts = [{"matrix": matrix, "seen": seen} for matrix, seen in zip(matrices, told, strict=True)]
        frames.append(json.dumps({"begins": float(movement.at[t]), "parts": parts}, allow_nan=False))
    return json.dumps(head, indent=1)[:-2] + ',\n "frames": [\n  ' + ",\n  ".join(frames) + "\n ]\n}\n"


def _told(angle: float, shift: Sequence[float], scale: Sequence[float], mirrored: bool) -> dict[str, Any] | None:
    """The seen movement of a part in round numbers; None where there is none."""
    if math.isnan(angle):
        return None
    right, down = (round(value, 3) + 0.0 for value in shift)
    seen: dict[str, Any] = {"clockwise": round(angle, 3) + 0.0, "right": right, "down": down}
    seen["scale"] = [round(value, 4) for value in scale]
    return {**seen, "mirrored": True} if mirrored else seen


def check_name(path: Path) -> None:
    """Raises FileError where a movement may not be written: no .json, or a file of another kind is there."""
    if path.suffix.lower() != ".json":
        raise FileError(f"{path}: a transformation is written as .json; choose such a name")
    if path.exists():
        try:
            read_movement(path)
        except (FileError, ClipError) as error:
            raise FileError(f"{path}: is there already and no transformation; choose another name") from error


def write_movement(movement: Movement, path: str | Path) -> None:
    """Writes a movement as JSON. Raises FileError where it cannot be written, and as `check_name` does."""
    check_name(Path(path))
    text = movement_json(movement)
    with writing(Path(path)) as (part,):
        part.write_text(text, encoding="utf-8")


def read_movement(spec: str | Path) -> Movement:
    """The movement of a JSON that `write_movement` wrote or a person did: ``FILE``, ``FILE@I``, ``FILE@I:J``.

    Raises FileError where it is too long, damaged or no transformation, ClipError for frames that it does not have.
    """
    source = parse_spec(spec)
    path = source.untagged()
    with reading(path):
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{path}: {path.stat().st_size} bytes are too many for a transformation ({MAX_BYTES})")
        data = json.loads(path.read_text(encoding="utf-8"))
    _check_head(path, data)
    frames = [_matrices(path, number, frame) for number, frame in enumerate(data["frames"])]
    if len({len(frame) for frame in frames}) > 1:
        raise FileError(f"{path}: its frames differ in parts; every frame needs as many")
    begins = [_number(path, f"frame {t}: begins", f.get("begins", t)) for t, f in enumerate(data["frames"])]
    try:
        movement = Movement(
            theta=torch.tensor(frames, dtype=torch.float64),
            size=(data["size"]["height"], data["size"]["width"]),
            times=torch.tensor(begins, dtype=torch.float64),
            end=_number(path, "end", data["end"]) if "end" in data else None,
            fps=_number(path, "fps", data.get("fps", 10.0)),
            labels={str(key): str(value) for key, value in data.get("labels", {}).items()},
            name=str(path),
        )
    except ClipError as error:
        raise FileError(str(error)) from error
    return movement if source.part == slice(None) else movement[source.part]


def _check_head(path: Path, data: Any) -> None:
    """Raises FileError for what is no transformation, of another version, or lacks a key."""
    if not isinstance(data, dict) or data.get("kinema") != KIND:
        raise FileError(f'{path}: no transformation, for it does not say "kinema": "{KIND}"; see --save-transformation')
    if data.get("version") != VERSION:
        raise FileError(f"{path}: version {data.get('version')!r} is unknown; this Kinema reads version {VERSION}")
    for key in ("size", "frames"):
        if key not in data:
            raise FileError(f"{path}: has no {key!r}, which a transformation needs")
    sides = [data["size"].get(key) for key in ("width", "height")] if isinstance(data["size"], dict) else [None]
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise FileError(f"{path}: size must give width and height in pixels, whole numbers from 1 to {MAX_SIDE}")
    if not isinstance(data["frames"], list) or not data["frames"]:
        raise FileError(f"{path}: frames must be a list of at least one frame")
    if not isinstance(data.get("labels", {}), dict):
        raise FileError(f"{path}: labels must be names with texts")
    parts = [len(f["parts"]) for f in data["frames"] if isinstance(f, dict) and isinstance(f.get("parts"), list)]
    if sum(parts) > MAX_MATRICES:
        raise FileError(f"{path}: {sum(parts)} matrices are too many; {MAX_MATRICES} are the most")


def _matrices(path: Path, number: int, frame: Any) -> list[list[list[float]]]:
    """The matrices of a frame. Raises FileError where one is missing or not 2 x 3 numbers."""
    parts = frame.get("parts") if isinstance(frame, dict) else None
    if not isinstance(parts, list) or not parts:
        raise FileError(f"{path}: frame {number} has no 'parts', a list with a matrix for each part")
    found = []
    for k, part in enumerate(parts):
        where = f"frame {number}, part {k}"
        matrix = part.get("matrix") if isinstance(part, dict) else None
        if matrix is None:
            raise FileError(f"{path}: {where} has no 'matrix'")
        if not isinstance(matrix, list) or [len(r) if isinstance(r, list) else 0 for r in matrix] != [3, 3]:
            raise FileError(f"{path}: {where}: the matrix is not 2 x 3; two rows of three numbers are needed")
        found.append([[_number(path, f"{where}: the matrix", value) for value in row] for row in matrix])
    return found


def _number(path: Path, where: str, value: Any) -> float:
    """A finite number. Raises FileError for anything else."""
    if type(value) not in (int, float) or not abs(value) < 1e300:  # NaN compares false
        raise FileError(f"{path}: {where} holds {str(value)[:40]!r}; a finite number is needed")
    return float(value)
