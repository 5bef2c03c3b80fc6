"""Which module reads and writes which file of motion, and how one is drawn where a picture is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError, FileError
from kinema.files.bvh_motion import read_motion, write_motion
from kinema.files.credits import read_credits, write_credits
from kinema.files.formats import FORMATS, format_of, suffix_of
from kinema.files.gltf import write_glb
from kinema.files.guard import reading
from kinema.files.motion_table import read_npz, write_csv, write_npz
from kinema.files.skeleton_picture import PAPER, draw
from kinema.files.spec import Spec, parse_spec
from kinema.motion import MotionClip


@dataclass(frozen=True)
class MotionFormat:
    """How files of motion of one kind are read and written."""

    write: Callable[[Sequence[MotionClip], Path], None]
    read: Callable[[Path], MotionClip] | None = None
    """None where the kind is only written."""


def alone(write: Callable[[MotionClip, Path], None]) -> Callable[[Sequence[MotionClip], Path], None]:
    """The writer of a kind that holds one body."""

    def write_only(clips: Sequence[MotionClip], path: Path) -> None:
        if len(clips) != 1:
            raise ClipError(f"{path}: holds one body, not {len(clips)}; a .glb or a picture holds several")
        write(clips[0], path)

    return write_only


MOTIONS = {
    ".bvh": MotionFormat(alone(write_motion), read_motion),
    ".npz": MotionFormat(alone(write_npz), read_npz),
    ".csv": MotionFormat(alone(write_csv)),
    ".glb": MotionFormat(write_glb),
}
"""By suffix."""


def is_motion(path: str | Path) -> bool:
    """Whether `path`, judged by its name, is a file of motion, to be read or to be written."""
    return Path(path).suffix.lower() in MOTIONS and not Path(path).is_dir()


def read_motion_clip(spec: str | Path | Spec) -> MotionClip:
    """The motion that `spec` names: ``FILE``, ``FILE@I`` (frame I, from 0) or ``FILE@I:J``, FILE being .bvh or .npz.

    Raises FileError for a file that is missing, damaged, too large or of an unknown kind, ClipError for a part that the
    motion does not have.
    """
    source = spec if isinstance(spec, Spec) else parse_spec(spec)
    path = source.untagged()
    with reading(path):
        kind = MOTIONS.get(path.suffix.lower())
        if kind is None or path.is_dir():
            raise FileError(f"{path}: is no file of motion; {', '.join(readable())} are read")
        if kind.read is None:
            raise FileError(f"{path}: this format is only written; give the {' or '.join(readable())} it was made of")
        clip = kind.read(path)
        credits = tuple(dict.fromkeys((*clip.credits, *read_credits(path))))
    clip = clip if source.part == slice(None) else clip[source.part]
    return replace(clip, credits=credits)


def readable() -> list[str]:
    """The suffixes of what can be read."""
    return [suffix for suffix, kind in MOTIONS.items() if kind.read is not None]


def write_motion_clips(
    clips: Sequence[MotionClip],
    path: str | Path,
    *,
    size: tuple[int, int] = (256, 256),
    fps: float | None = None,
    follow: bool = True,
    way: Float[Tensor, "N 2"] | None = None,
    background: tuple[float, float, float] = PAPER,
) -> None:
    """Writes motion in the format of `path`'s suffix: .bvh, .npz or .csv for one body, .glb for one or more.

    Any other format that Kinema writes pictures in, a new folder among them, gets a drawing of the bodies; `size`,
    `fps`, `follow`, `way` and `background` are those of `draw`, and are for drawings alone. Authors and licences go to
    ``FILE.credits.txt``. Raises FileError where it cannot be written, ClipError where the format cannot hold the clips;
    then nothing is left behind.
    """
    path = Path(path)
    if is_motion(path):
        MOTIONS[path.suffix.lower()].write(clips, path)
    else:
        write_picture = picture_writer(path)
        write_picture([draw(clips, size, fps, follow, way, background)], path)
    write_credits((line for clip in clips for line in clip.credits), path)


def picture_writer(path: Path) -> Callable:
    """What writes pictures into `path`. Raises FileError where nothing does."""
    suffix = suffix_of(path)
    if suffix and suffix not in FORMATS and not path.is_dir():
        pictures = ", ".join(known for known, kind in FORMATS.items() if kind.write is not None)
        raise FileError(
            f"{path}: unknown suffix {suffix!r}; motion is written as {', '.join(MOTIONS)}, and drawn as {pictures} "
            "or a folder of pictures"
        )
    write = format_of(path).write
    if write is None:
        raise FileError(f"{path}: this format is only read; choose another suffix")
    return write
