"""The MUG facial expression database, for those who hold its licence: a folder SUBJECT/EXPRESSION/TAKE/0001.jpg.

Some takes lie one level higher, as pictures in the expression's own folder, and some one level deeper, below a session;
all are read. Names are sorted with their numbers before anything depends on their order, so that a seed means the same
split on every file system. What is not read is in `Mug.left_out`, with the reason.
"""

import copy
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from kinema.clip import VideoClip
from kinema.data.folders import FolderConfig, children, held_out
from kinema.data.source import Source
from kinema.data.store import FrameStore
from kinema.errors import ConfigError, FileError
from kinema.files.folder import frame_files, natural
from kinema.files.guard import reading
from kinema.files.images import opened

ACTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
DEPTH = 3
"""Folders below a subject's: a session, an expression, a take."""
FPS = 19.0
GIB = 2**30
LAYOUT = "data.root is the folder of your copy of MUG: SUBJECT/EXPRESSION/TAKE/0001.jpg"
CREDIT = (
    "The MUG facial expression database (Aifanti, Papachristou and Delopoulos, WIAMIS 2010); licensed, ask its owners "
    "for the terms"
)


@dataclass(frozen=True)
class MugConfig:
    """Where the pictures lie, and how they are framed, cut and split."""

    root: str = ""
    """Folder of the subjects; environment variables (``$NAME``) are looked up."""
    size: int = 64
    """Side of the square frame that pictures are scaled to, in pixels; at least 8."""
    length: int = 8
    """Frames of a training window."""
    stride: int = 2
    """Frames of the clip from one frame of a window to the next, as the paper has it."""
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right and bottom of the face, as shares of the picture; the square in its middle is taken."""
    test: tuple[str, ...] = ()
    """Subjects that are held out; empty: one in five, drawn by `seed`."""
    seed: int = 423
    """Of the choice of the subjects that are held out."""
    memory: float = 8.0
    """The most memory that a split's frames may take, in GiB."""

    def __post_init__(self) -> None:
        for name, least in {"size": 8, "length": 1, "stride": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"mug: {name} is {getattr(self, name)}; it must be {least} at least")
        left, top, right, bottom = self.crop
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ConfigError(f"mug: crop is {self.crop}; left, top, right and bottom are shares from 0 to 1, in order")
        if self.memory <= 0:
            raise ConfigError(f"mug: memory is {self.memory} GiB; it must be more than 0")


@dataclass(frozen=True)
class Take:
    """One clip on the disk."""

    folder: Path
    subject: str
    action: str
    files: tuple[Path, ...]
    """The pictures in the order of their numbers."""


def pictures(folder: Path, depth: int) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Every folder down to `depth` levels below that holds pictures, in the order of names."""
    with reading(folder):
        files = tuple(frame_files(folder))
    if files:
        yield folder, files
    if depth:
        for child in sorted(children(folder, files=False), key=natural):
            yield from pictures(child, depth - 1)


def find_takes(root: Path, span: int) -> tuple[list[Take], dict[str, str]]:
    """The takes of all subjects that last `span` frames at least, and every other folder of pictures with the reason.

    Raises FileError where there is no folder or no take in it.
    """
    if not root.is_dir():
        raise FileError(f"{root}: there is no such folder; {LAYOUT}")
    takes, left_out = [], {}
    for subject in sorted(children(root, files=False), key=natural):
        for folder, files in pictures(subject, DEPTH):
            below = folder.relative_to(root).as_posix()
            actions = [part.lower() for part in folder.relative_to(subject).parts if part.lower() in ACTIONS]
            if not actions:
                left_out[below] = f"not in a folder of one of {', '.join(ACTIONS)}"
            elif len(files) < span:
                left_out[below] = f"{len(files)} frames, of which a window needs {span}"
            else:
                takes.append(Take(folder, subject.name, actions[-1], files))
    if not takes:
        reasons = "; ".join(f"{folder}: {reason}" for folder, reason in list(left_out.items())[:1])
        raise FileError(f"{root}: holds no take{f' ({reasons})' if reasons else ''}; {LAYOUT}")
    return takes, left_out


def read_frame(path: Path, config: MugConfig) -> UInt8[np.ndarray, "H W 3"]:
    """A picture's face, scaled. Raises FileError where it is damaged or too large."""
    with opened(path) as image:
        width, height = image.size
        left, top, right, bottom = config.crop
        side = min((right - left) * width, (bottom - top) * height)
        middle = np.array([(left + right) * width, (top + bottom) * height]) / 2
        box = np.concatenate([middle - side / 2, middle + side / 2])
        # A JPEG decodes at a half, a quarter or an eighth for a fraction of the time; twice the wanted size is kept.
        shrunk = 2 * config.size / side
        image.draft("RGB", (round(width * shrunk), round(height * shrunk)))
        box *= np.tile([image.size[0] / width, image.size[1] / height], 2)
        whole = image.convert("RGB")
        low, high = np.zeros(4), np.tile(whole.size, 2).astype(float)
        inside = tuple(np.clip(box, low, high).tolist())
        return np.asarray(whole.resize((config.size, config.size), Image.Resampling.BICUBIC, box=inside))


def packed(takes: list[Take], config: MugConfig) -> FrameStore:
    """The frames of all takes, read into one tensor that is made first."""
    counts = torch.tensor([len(take.files) for take in takes])
    files = [path for take in takes for path in take.files]
    pixels = torch.empty(len(files), 3, config.size, config.size, dtype=torch.uint8)

    def read(number: int) -> None:
        pixels[number] = torch.from_numpy(read_frame(files[number], config).copy()).movedim(-1, 0)

    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:  # decoding frees the interpreter's lock
        for _ in pool.map(read, range(len(files)), chunksize=16):
            pass  # what goes wrong in a thread is raised here
    starts = torch.cat([torch.arange(count, dtype=torch.float64) for count in counts.tolist()])
    return FrameStore(pixels, starts, counts.cumsum(0) - counts, counts, counts.double())


def folder_of(config: MugConfig) -> Path:
    """The folder of the subjects. Raises ConfigError where none is given, FileError where its variable is not set."""
    if not config.root:
        raise ConfigError(f"data.root: no folder is given; {LAYOUT}")
    root = os.path.expandvars(config.root)
    if root.startswith("$"):
        raise FileError(f"{root}: the environment variable is not set; set it, or data.root to a folder")
    return Path(root)


class Mug(Source):
    """The takes of one split: ``train``, ``test`` (subjects held out) or ``all``, packed in memory as bytes.

    `left_out` maps every folder of pictures that was not read to the reason. A window may begin wherever it fits into
    a take. Raises FileError where the folder or a picture is not right, ConfigError for an unknown split, for subjects
    that cannot be held out, and, before a picture is decoded, where the frames would take more than `memory`.
    """

    name = "mug"
    content = ("subject",)
    channels = 3
    fps = FPS
    periodic = False
    credits = (CREDIT,)
    left_out: Mapping[str, str]

    def __init__(self, config: MugConfig, split: str) -> None:
        root = folder_of(config)
        self.config, self.split = config, split
        self.size, self.length, self.stride = (config.size, config.size), config.length, config.stride
        takes, self.left_out = find_takes(root, self.span)
        subjects = sorted({take.subject for take in takes}, key=lambda name: natural(Path(name)))
        actions = tuple(name for name in ACTIONS if any(take.action == name for take in takes))
        subject = torch.tensor([subjects.index(take.subject) for take in takes])
        action = torch.tensor([actions.index(take.action) for take in takes])
        mine = self._members(subjects, actions, subject, action)
        self.takes = [takes[number] for number in mine.tolist()]
        self.factors = {"subject": tuple(subjects), "action": actions}
        self.identity = subject[mine]
        self.labels = {"subject": self.identity, "action": action[mine]}
        self._check_memory()
        self.store = packed(self.takes, config)

    def _members(self, subjects: list[str], actions: tuple[str, ...], subject: Tensor, action: Tensor) -> Tensor:
        """The numbers of the split's takes."""
        shown = np.zeros((len(subjects), len(actions)), dtype=bool)
        shown[subject, action] = True
        test = held_out(FolderConfig(test=self.config.test, seed=self.config.seed), subjects, actions, shown)
        if not test:
            raise ConfigError("mug: nobody can be held out, as each subject alone shows some expression; add subjects")
        tested = torch.isin(subject, torch.tensor(test))
        parts = {"train": ~tested, "test": tested, "all": torch.ones_like(tested)}
        if self.split not in parts:
            raise ConfigError(f"mug: no split {self.split!r}; there are {', '.join(parts)}")
        return parts[self.split].nonzero().squeeze(1)

    def _check_memory(self) -> None:
        frames = sum(len(take.files) for take in self.takes)
        need = frames * 3 * self.config.size**2 / GIB
        if need > self.config.memory:
            told = f"{frames} frames of {self.config.size} x {self.config.size} take {need:.3g} GiB"
            raise ConfigError(f"mug: {told}, and memory is {self.config.memory:g}; raise it or lower size")

    def frame_counts(self) -> Int[Tensor, " N"]:
        return self.store.counts

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        return self.store.frames(clips, steps)

    def times(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        return self.store.times(clips, steps)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        take = self.takes[index]
        steps = torch.arange(len(take.files))[None]
        shown = self.store.frames(torch.tensor([index]), steps)[0].cpu().float() / 255
        labels = {"subject": take.subject, "action": take.action}
        return VideoClip(shown, fps=self.fps, labels=labels, name=str(take.folder), credits=self.credits)

    def to(self, device: torch.device) -> "Mug":
        moved = copy.copy(self)
        moved.store, moved.identity = self.store.to(device), self.identity.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.store.nbytes()
