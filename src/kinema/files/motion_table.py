"""Motion as bare numbers: NPZ, which keeps all of it exactly, and CSV, a table of where each joint is.

An NPZ holds, with lengths in metres, Y up and local unit quaternions (w, x, y, z): ``names`` (J,), ``parents`` (J,),
``offsets`` (J, 3), ``root`` (T, 3), ``rotations`` (T, J, 4), ``fps``; and what may be missing: ``labels`` (L, 2),
``notes``, ``end_joints`` (E,) and ``ends`` (E, 3), and ``positions`` (T, J, 3), the joints in world space, which follow
from the others and are there for programs that have no forward kinematics.
"""

import csv
import math
import zipfile
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib import format as npy
from torch import Tensor

from kinema.errors import FileError, KinemaError
from kinema.files.guard import reading, writing
from kinema.motion import MotionClip, Skeleton

MAX_BYTES = 2**30
"""The most memory that the arrays of a file may take."""
MAX_JOINTS = 4096
SHAPES: dict[str, tuple[str, str]] = {
    "names": ("U", "J"), "parents": ("iu", "J"), "offsets": ("fiu", "J 3"), "root": ("fiu", "T 3"),
    "rotations": ("fiu", "T J 4"), "fps": ("fiu", ""), "labels": ("U", "L 2"), "notes": ("U", "N"),
    "end_joints": ("iu", "E"), "ends": ("fiu", "E 3"),
}  # fmt: skip
"""What is read: the kinds of values that an array may hold, as numpy calls them, and its axes."""
NEEDED = ("names", "parents", "offsets", "root", "rotations", "fps")
KINDS = {"U": "text", "iu": "whole numbers", "fiu": "numbers"}
UNIT = 1e-3
"""How far the length of a quaternion may be from 1, before it is taken for something else."""


def read_npz(path: Path) -> MotionClip:
    """The motion of an NPZ. Nothing is executed, and sizes are checked before memory is taken.

    Raises FileError where arrays are missing, of the wrong shape, too large or not finite.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            check_headers(path, archive)
        with np.load(path, allow_pickle=False) as archive:
            # By the whole name of the member whose header was checked: "root" may be a member beside "root.npy".
            arrays = {name: archive[f"{name}.npy"] for name in SHAPES if f"{name}.npy" in archive}
        try:
            return motion_of(path, arrays)
        except KinemaError as error:
            text = str(error)
            raise FileError(text if text.startswith(f"{path}:") else f"{path}: {text}") from error


def check_headers(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses, by what its headers say, a file whose arrays are missing, of the wrong kind or shape, or too large."""
    members = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    missing = [name for name in NEEDED if name not in members]
    if missing:
        raise FileError(f"{path}: holds no {', no '.join(missing)}; a motion has {', '.join(NEEDED)}")
    sizes: dict[str, int] = {}
    total = 0
    for name, (kinds, axes) in SHAPES.items():
        if name not in members:
            continue
        shape, dtype = header(archive, f"{name}.npy")
        if dtype.kind not in kinds or not fits(shape, axes.split(), sizes):
            wanted = f"{KINDS[kinds]} of shape ({', '.join(axes.split())})"
            known = ", ".join(f"{axis} = {size}" for axis, size in sizes.items())
            raise FileError(f"{path}: {name} is {dtype} of shape {shape}; it must be {wanted}, where {known}")
        total += math.prod(shape) * dtype.itemsize
    if total > MAX_BYTES or sizes["J"] > MAX_JOINTS:
        limit = f"{MAX_BYTES} bytes and {MAX_JOINTS} joints are the limit"
        raise FileError(f"{path}: {total} bytes in {sizes['T']} frames of {sizes['J']} joints are too many; {limit}")


def header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the type of an array in the archive, of which no more than the header is read."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def fits(shape: tuple[int, ...], axes: list[str], sizes: dict[str, int]) -> bool:
    """Whether a shape has these axes, a letter standing for one length throughout the file; `sizes` gathers them."""
    return len(shape) == len(axes) and all(
        length == (int(axis) if axis.isdigit() else sizes.setdefault(axis, length))
        for length, axis in zip(shape, axes, strict=True)
    )


def motion_of(path: Path, arrays: dict[str, np.ndarray]) -> MotionClip:
    """The motion that the arrays of a file describe. Raises KinemaError where they contradict each other."""
    joints, tips = arrays.get("end_joints", np.zeros(0, int)), arrays.get("ends", np.zeros((0, 3)))
    count = len(arrays["names"])
    if len(joints) != len(tips) or not np.isfinite(tips).all() or not ((joints >= 0) & (joints < count)).all():
        raise FileError(f"{path}: end_joints are not joints of the skeleton, each with finite ends")
    if not np.isfinite(arrays["offsets"]).all():
        raise FileError(f"{path}: offsets hold NaN or infinite values; finite values are needed")
    ends = {int(joint): (x, y, z) for joint, (x, y, z) in zip(joints, tips.tolist(), strict=True)}
    names, parents = tuple(arrays["names"].tolist()), tuple(int(parent) for parent in arrays["parents"])
    skeleton = Skeleton(names, parents, doubles(arrays["offsets"]), ends)
    rotations = doubles(arrays["rotations"])
    off = (rotations.norm(dim=-1) - 1).abs()
    if bool((off > UNIT).any()):
        frame, joint = (int(i) for i in (off > UNIT).nonzero()[0])
        raise FileError(f"{path}: frame {frame} of {names[joint]} is no unit quaternion (w, x, y, z)")
    rounded = off > 1e-12  # kept in single precision, say
    rotations = torch.where(rounded[..., None], rotations / rotations.norm(dim=-1, keepdim=True), rotations)
    labels = {key: value for key, value in arrays.get("labels", np.zeros((0, 2), str)).tolist()}
    notes = tuple(arrays.get("notes", np.zeros(0, str)).tolist())
    return MotionClip(
        skeleton, doubles(arrays["root"]), rotations, float(arrays["fps"]), labels, name=str(path), notes=notes
    )


def doubles(array: np.ndarray) -> Float[Tensor, "..."]:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))


def write_npz(clip: MotionClip, path: Path) -> None:
    """All of the motion, exactly, and the positions that follow from it; authors go into a file beside it."""
    skeleton = clip.skeleton
    arrays = {
        "names": np.array(skeleton.names, dtype=np.str_),
        "parents": np.array(skeleton.parents, dtype=np.int64),
        "offsets": skeleton.offsets.numpy(),
        "end_joints": np.array(list(skeleton.ends), dtype=np.int64),
        "ends": np.array(list(skeleton.ends.values()), dtype=np.float64).reshape(-1, 3),
        "root": clip.root.numpy(),
        "rotations": clip.rotations.numpy(),
        "positions": clip.joints().numpy(),
        "fps": np.float64(clip.fps),
        "labels": np.array(list(clip.labels.items()), dtype=np.str_).reshape(-1, 2),
        "notes": np.array(clip.notes, dtype=np.str_),
    }
    with writing(path) as (part,), part.open("wb") as file:
        np.savez(file, **arrays)


def write_csv(clip: MotionClip, path: Path) -> None:
    """A line a frame: ``time`` in seconds, then ``JOINT.x``, ``JOINT.y``, ``JOINT.z`` of every joint in world space, in
    metres, to the micrometre."""
    joints = clip.joints().flatten(1)
    seconds = torch.arange(len(clip), dtype=torch.float64)[:, None] / clip.fps
    titles = StringIO()
    columns = [f"{name}.{axis}" for name in clip.skeleton.names for axis in "xyz"]
    csv.writer(titles, lineterminator="").writerow(["time", *columns])
    with writing(path) as (part,), part.open("w", encoding="utf-8", newline="\n") as file:
        np.savetxt(file, torch.cat([seconds, joints], 1).numpy(), "%.6f", ",", header=titles.getvalue(), comments="")
