"""The Edinburgh locomotion data, on which Habibie et al. (2017) were measured: whoever has a copy can train on it.

A folder holds ``edinburgh_locomotion_train.npz`` and ``edinburgh_locomotion_test.npz``, each with an array ``clips``
(N, 240, 66): windows of 240 frames at 60 Hz. A frame is 21 joints x, y, z in the root frame, in units of 5.644 cm, then
what carries it to the next frame: channel 63 is sideways and 64 forward, in units per frame and in the axes of the next
frame, 65 is the turn in radians per frame, to the right. The data's own README has 63 and 64 the other way round; a
toe that stands then slides a metre a second. There are no rotations and no labels.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from kinema.data.motions import MotionSource, SeenClip, WindowConfig
from kinema.data.representation import FLOOR_SHARE, contacts
from kinema.data.roles import Roles
from kinema.errors import ConfigError, FileError
from kinema.files.guard import reading
from kinema.files.motion_table import MAX_BYTES, header
from kinema.maths import trajectory
from kinema.motion import Motion, Skeleton

FPS = 60.0
FRAMES, CHANNELS = 240, 66
UNIT = 0.05644
"""Metres in a unit of the data."""
CONTROL = (UNIT * FPS, UNIT * FPS, -FPS)
"""From sideways, forward and turn of the data to m/s, m/s and rad/s to the left."""
NAMES = (
    "Hips",
    *(side + part for side in ("Left", "Right") for part in ("UpLeg", "Leg", "Foot", "ToeBase")),
    *("Spine", "Spine1", "Neck", "Head"),
    *(side + part for side in ("Left", "Right") for part in ("Arm", "ForeArm", "Hand", "HandIndex")),
)
"""The joints in the order of the channels."""
PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 11, 13, 14, 15, 11, 17, 18, 19)
ROLES = Roles(0, 1, 5, 2, 6, 3, 7, 4, 8, 13, 17, 12)
SPLITS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}
FILE = "edinburgh_locomotion_{}.npz"
LAYOUT = f"data.root is the folder of your copy of the data, which holds {FILE.format('train')} and the same for test"
CREDIT = (
    "Edinburgh locomotion motion capture (Habibie, Holden, Schwarz, Yearsley and Komura, BMVC 2017); "
    "ask its owners for the terms"
)


@dataclass(frozen=True)
class EdinburghConfig(WindowConfig):
    """Where the data lies, and how it is cut: by default into the windows that it comes in."""

    root: str = ""
    """Folder of both files; environment variables (``$NAME``) are looked up. Empty: ``$KINEMA_DATA/edinburgh``."""
    mirror: bool = False
    """Whether training also sees every window in a mirror; the paper's did not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps != FPS:
            raise ConfigError(f"data.fps is {self.fps:g}; this data holds positions at {FPS:g} and is not resampled")


@dataclass(frozen=True, eq=False)
class Body:
    """What the training file says of the actor, for both splits."""

    skeleton: Skeleton
    """Bones as long as they are in the mean, each in its mean direction in the root frame: these vary by millimetres in
    the data, the width of the hips by centimetres."""
    floor: float
    """Height in metres of a toe that stands: the data's ground, `FLOOR_SHARE` of the frames are lower."""


class Edinburgh(MotionSource):
    """The windows of one split, the padding at their ends left out.

    Windows of the default length are padded again as they were, and say where (`MotionBatch.valid`); the openings that
    evaluation asks for begin with the first true frame. A window in which nothing moves is left out.
    """

    def __init__(self, config: EdinburghConfig, split: str) -> None:
        """Raises FileError where a file is missing or not such data, and ConfigError for another split."""
        if split not in SPLITS:
            raise ConfigError(f"edinburgh: no split {split!r}; there are {', '.join(SPLITS)}")
        root = folder_of(config)
        train = read_clips(root / FILE.format("train"))
        body = body_of(train)
        seen: list[SeenClip] = []
        for part in SPLITS[split]:
            path = root / FILE.format(part)
            clips = train if part == "train" else read_clips(path)
            for number, (clip, valid) in enumerate(zip(clips, true_frames(clips), strict=True)):
                if bool(valid.any()):
                    motion = to_motion(clip[valid], body.floor).map(Tensor.float)
                    seen.append(SeenClip(body.skeleton, motion, f"{path.name}/{number:04d}", credits=(CREDIT,)))
        super().__init__("edinburgh", split, seen, ROLES, config, {})


def folder_of(config: EdinburghConfig) -> Path:
    """The folder of both files. Raises FileError where it is none."""
    root = os.path.expandvars(config.root or "$KINEMA_DATA/edinburgh")
    if root.startswith("$"):
        raise FileError(f"{root}: the environment variable is not set; set it, or data.root. {LAYOUT}")
    if not Path(root).is_dir():
        raise FileError(f"{root}: there is no such folder; {LAYOUT}")
    return Path(root)


def read_clips(path: Path) -> Float[Tensor, "N 240 66"]:
    """The array ``clips`` of a file in the data's own units, float32. Nothing is executed.

    Raises FileError where the array is missing, of another shape or kind, too large, or not finite; shape and size are
    checked before memory is taken.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            _check_header(path, archive)
        with np.load(path, allow_pickle=False) as archive:
            clips = np.ascontiguousarray(archive["clips.npy"], dtype=np.float32)
    finite = np.isfinite(clips).all((1, 2))
    if not finite.all():
        raise FileError(f"{path}: window {finite.argmin()} holds NaN or infinite values; finite values are needed")
    if not clips[..., -3:].any():
        raise FileError(f"{path}: nothing moves in it, channels 63 to 65 are 0; they hold sideways, forward and turn")
    return torch.from_numpy(clips)


def _check_header(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses, by what its header says, a file that is no such data or too large."""
    members = [name.removesuffix(".npy") for name in archive.namelist()]
    wanted = f"numbers of shape (N, {FRAMES}, {CHANNELS})"
    if "clips.npy" not in archive.namelist():
        raise FileError(f"{path}: holds no clips, but {', '.join(members) or 'nothing'}; clips must be {wanted}")
    shape, dtype = header(archive, "clips.npy")
    if dtype.kind not in "fiu" or len(shape) != 3 or shape[0] < 1 or shape[1:] != (FRAMES, CHANNELS):
        raise FileError(f"{path}: clips is {dtype} of shape {shape}; it must be {wanted}, N at least 1")
    size = shape[0] * FRAMES * CHANNELS * max(dtype.itemsize, 4)
    if size > MAX_BYTES:
        raise FileError(f"{path}: {shape[0]} windows take {size} bytes; {MAX_BYTES} are the limit")


def true_frames(clips: Float[Tensor, "N 240 66"]) -> Bool[Tensor, "N 240"]:
    """Which frames were recorded: those between the first and the last that move.

    Short recordings were padded at both ends with copies of their first and last pose, the three velocities set to 0,
    which those of a recorded frame never all are.
    """
    moves = (clips[..., -3:] != 0).any(-1).int()
    since, until = moves.cummax(1).values, moves.flip(1).cummax(1).values.flip(1)
    return (since & until).bool()


def to_motion(clip: Float[Tensor, "T 66"], floor: float = 0.0) -> Motion:
    """Frames in Kinema's units and signs, float64, with contacts; heights are above `floor` metres of the data's."""
    clip = clip.double()
    joints = UNIT * clip[:, :-3].unflatten(-1, (len(NAMES), 3)) - clip.new_tensor([0.0, floor, 0.0])
    control = clip[:, -3:] * clip.new_tensor(CONTROL)
    world = trajectory.to_world(joints, *trajectory.integrate(control, FPS))
    return Motion(joints, control, contacts=contacts(world, ROLES, FPS))


def body_of(clips: Float[Tensor, "N 240 66"]) -> Body:
    """The body that the recorded frames show."""
    joints = UNIT * clips[true_frames(clips)][:, :-3].unflatten(-1, (len(NAMES), 3))
    offsets = torch.zeros(len(NAMES), 3, dtype=torch.float64)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        bone = (joints[:, joint] - joints[:, parent]).double()
        offsets[joint] = bone.norm(dim=-1).mean() * functional.normalize(bone.mean(0), dim=0)
    lower = joints[:, [ROLES.left_toe, ROLES.right_toe], 1].amin(-1)
    return Body(Skeleton(NAMES, PARENTS, offsets), float(lower.kthvalue(1 + int(FLOOR_SHARE * len(lower))).values))
