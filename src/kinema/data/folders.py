"""A user's own clips: a folder for each action, or a sheet whose tags are the actions."""

import copy
import json
import os
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from kinema.clip import VideoClip
from kinema.data.source import Source
from kinema.data.store import FrameStore
from kinema.errors import ClipError, ConfigError, FileError
from kinema.files import read_clips
from kinema.files.fit import resize
from kinema.files.formats import is_clip, suffix_of
from kinema.files.guard import reading
from kinema.files.sheet import image_of

LAYOUT = "data.root is a folder of ACTION/clip.gif or ACTION/NAME/0001.png, or a sheet with tags, such as hero.json"
GRAIN = 8
"""The side of the frame, where it is chosen for the user, is a multiple of so many pixels."""
KNOWN = 10
"""The most names that an error lists."""


@dataclass(frozen=True)
class FolderConfig:
    """Where clips lie, who is seen in them, and how they are framed, cut and split."""

    root: str = ""
    """A folder ``ACTION/clip.gif``, a folder of clips of one action, or one sheet; environment variables (``$NAME``)
    are looked up."""
    identity: str = ""
    """A regex searched in a clip's path below the root, without suffix: its group 1, or else the match, says who is
    seen. Empty: the file's name without suffix."""
    view: str = ""
    """A regex searched likewise, in a sheet's clip also in ``#tag`` behind the path: what it finds says from where the
    person is seen, as in ``(left|front|right)``, or in what clothes: whatever beside the person a swap keeps. Empty: it
    is not told."""
    test: tuple[str, ...] = ()
    """Identities that are held out; empty: one in five, drawn by `seed`."""
    size: int = 0
    """Side of the square frame in whose middle a clip lies, in pixels; 0: that of the largest clip, rounded up to 8."""
    resize: bool = False
    """Scale every clip to fill the frame, its proportions kept, instead of refusing larger ones."""
    length: int = 8
    """Frames of a training window."""
    stride: int = 1
    """Frames of the clip from one frame of a window to the next."""
    loop: bool = True
    """Clips are cycles, as in games: a window may begin anywhere and wraps around. False: windows stay inside."""
    alpha: bool = False
    """Premultiplied RGBA instead of RGB over black."""
    seed: int = 0
    """Of the choice of the identities that are held out."""

    def __post_init__(self) -> None:
        for name, least in (("size", 0), ("length", 1), ("stride", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"data.{name}: {getattr(self, name)} is too small; at least {least} is needed")
        if self.resize and not self.size:
            raise ConfigError("data.resize: needs the size to scale to; add --data.size PIXELS")
        for name, example in (("identity", r"(person\d+)"), ("view", "(left|front|right)")):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                told = f"data.{name}: {getattr(self, name)!r} is no regex ({error})"
                raise ConfigError(f"{told}; one is {example}") from error


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of a clip beside its pixels."""

    name: str
    """Its file, and the tag in it."""
    identity: str
    view: str
    """What `FolderConfig.view` found; empty: not told."""
    fps: float
    times: Float[Tensor, " T"]
    """When each frame begins, in frames from the clip's beginning; float64."""
    duration: float
    """In frames."""
    labels: Mapping[str, str]
    """What the file says, and ``action``."""
    credits: tuple[str, ...]


def children(folder: Path, files: bool) -> list[Path]:
    """The files or the folders in a folder by name, but nothing hidden."""
    with reading(folder):
        found = [path for path in folder.iterdir() if path.is_file() == files and not path.name.startswith(".")]
    return sorted(found)


def clip_files(folder: Path) -> list[Path]:
    """The clips of a folder; the picture of a sheet is no clip beside the sheet."""
    files = [path for path in children(folder, files=True) if is_clip(path)]
    pictures = {picture_of(path).resolve() for path in files if path.suffix.lower() == ".json"}
    return [path for path in files if path.resolve() not in pictures]


def picture_of(sheet: Path) -> Path:
    with reading(sheet):
        return image_of(sheet, json.loads(sheet.read_text(encoding="utf-8")).get("meta", {}).get("image"))


def find_clips(root: Path) -> list[tuple[Path, str | None]]:
    """Each file or folder of frames below `root` and its action; None where tags may name it.

    Raises FileError where there are none.
    """
    if not root.exists():
        raise FileError(f"{root}: there is no such folder or file; {LAYOUT}")
    if root.is_file():
        return [(root, None)]
    found: list[tuple[Path, str | None]] = [(path, None) for path in clip_files(root)]
    for folder in children(root, files=False):
        found += [(path, folder.name) for path in clip_files(folder) + children(folder, files=False)]
    if not found:
        raise FileError(f"{root}: holds no clips; {LAYOUT}")
    return found


def below(path: Path, root: Path) -> str:
    """The path of a clip as seen from the root, which may be that clip itself."""
    return path.relative_to(root if path != root else root.parent).as_posix()


def identity_of(path: Path, root: Path, pattern: str) -> str:
    """Who is seen in a clip, read off its path. Raises ConfigError where the pattern is not in it."""
    key = below(path, root)
    key = key[: -len(suffix_of(path)) or None] if path.is_file() else key
    return found_in(key, pattern, path, "identity") if pattern else key.rpartition("/")[2]


def found_in(key: str, pattern: str, path: Path, setting: str) -> str:
    """Group 1 of a pattern, or else the match. Raises ConfigError where it is not in the key of a path."""
    match = re.search(pattern, key)
    found = match and match[1 if match.re.groups else 0]
    if not found:
        raise ConfigError(f"{path}: data.{setting} {pattern!r} is not found in {key!r}; give one that every path holds")
    return found


def read_file(
    path: Path, action: str | None, root: Path, config: FolderConfig
) -> Iterator[tuple[Header, UInt8[Tensor, "_T C _H _W"]]]:
    """The clips of one file, each with its pixels in its own size, or scaled to the frame."""
    identity = identity_of(path, root, config.identity)
    for clip in read_clips(path):
        tag = clip.labels.get("tag", "")
        clip = replace(clip, name=f"{path}#{tag}" if tag else str(path))
        check_length(clip, config)
        if config.resize:
            clip = resize(clip, (config.size, config.size))
        labels = {**clip.labels, "action": action or tag.partition("/")[0] or path.parent.resolve().name}
        times = clip.at.double() - clip.at[0]
        view = found_in(f"{below(path, root)}#{tag}", config.view, path, "view") if config.view else ""
        header = Header(clip.name, identity, view, clip.fps, times, clip.duration, labels, clip.credits)
        yield header, pixels_of(clip, config.alpha)


def check_length(clip: VideoClip, config: FolderConfig) -> None:
    """ClipError unless a window of the clip shows motion, and lies inside it where the clip is no loop."""
    frames, span = len(clip), 1 + (config.length - 1) * config.stride
    if frames < 2:
        hint = "two are needed; a folder of numbered frames lies at ACTION/NAME/0001.png"
        raise ClipError(f"{clip.name}: one frame, which shows no motion; {hint}")
    if config.loop or frames >= span:
        return
    length, stride = 1 + (frames - 1) // config.stride, (frames - 1) // (config.length - 1)
    fits = [f"data.length {length}"] if length > 1 else [f"data.length {frames} with data.stride 1"]
    fits += [f"data.stride {stride}"] if stride else []
    window = f"data.length {config.length} with data.stride {config.stride} needs {span}"
    raise ClipError(f"{clip.name}: {frames} frames, but {window}; at most {' or '.join(fits)} fits")


def pixels_of(clip: VideoClip, alpha: bool) -> UInt8[Tensor, "T C H W"]:
    """The frames of a clip as models are trained on them: RGB over black, or premultiplied RGBA."""
    colours = clip.over()
    if alpha:
        opacity = torch.ones_like(colours[:, :1]) if clip.alpha is None else clip.alpha
        colours = torch.cat([colours, opacity], dim=1)
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8)


def centred(name: str, pixels: UInt8[Tensor, "T C _H _W"], side: int) -> UInt8[Tensor, "T C side side"]:
    """A clip in the middle of a square frame, on black and transparent. Raises ClipError where it is larger."""
    height, width = pixels.shape[-2:]
    if max(height, width) > side:
        fit = f"--data.size {rounded_up(max(height, width))} holds it, --data.resize true makes it smaller"
        raise ClipError(f"{name}: {width} x {height} pixels (width x height) exceed data.size {side}; {fit}")
    top, left = (side - height) // 2, (side - width) // 2
    return functional.pad(pixels, (left, side - width - left, top, side - height - top))


def rounded_up(pixels: int) -> int:
    return -(-pixels // GRAIN) * GRAIN


def held_out(
    config: FolderConfig, names: Sequence[str], actions: Sequence[str], shown: Bool[np.ndarray, "I A"]
) -> list[int]:
    """The numbers of the identities that test, `shown` saying who shows which action.

    Raises ConfigError where the user's choice is unknown or takes an action out of training.
    """
    if not config.test:
        return drawn_test(shown, config.seed)
    for name in config.test:
        if name not in names:
            known = ", ".join(names[:KNOWN]) + (", ..." if len(names) > KNOWN else "")
            raise ConfigError(f"data.test: nobody is called {name!r}; known: {known}")
    test = sorted(names.index(name) for name in set(config.test))
    for action in np.flatnonzero(~np.delete(shown, test, axis=0).any(axis=0)):
        lost = f"action {actions[int(action)]!r} is shown by nobody else"
        raise ConfigError(f"data.test: {', '.join(config.test)} cannot be held out, as {lost}; leave one for training")
    return test


def drawn_test(shown: Bool[np.ndarray, "I A"], seed: int) -> list[int]:
    """One in five identities (at least one) in the order of a seeded permutation, passing over those without whom an
    action would no longer be `shown` by anybody left; none where that is so of all."""
    left, drawn = shown.sum(axis=0), []
    for identity in np.random.default_rng(seed).permutation(len(shown)):
        if len(drawn) < max(1, len(shown) // 5) and bool((left > shown[identity]).all()):
            drawn.append(int(identity))
            left = left - shown[identity]
    return drawn


class FolderClips(Source):
    """A user's clips of one split: ``train``, ``test`` (identities held out) or ``all``.

    Where no identity can be held out, because each alone shows some action, ``test`` is the training clips themselves:
    then `held_out` is False and `name` says so. Raises FileError, ClipError and ConfigError as a file or a setting
    is at fault.
    """

    held_out: bool
    """Whether the test split shows identities that training does not."""
    identities: tuple[str, ...]
    """The names of the identities of all splits, in the order in which `identity` numbers them."""

    def __init__(self, config: FolderConfig, split: str) -> None:
        if not config.root:
            raise ConfigError(f"data.root: no folder is given; {LAYOUT}")
        root = Path(os.path.expandvars(config.root))
        read = [found for path, action in find_clips(root) for found in read_file(path, action, root, config)]
        headers = [header for header, _ in read]
        actions = sorted({header.labels["action"] for header in headers})
        identities = sorted({header.identity for header in headers})
        action = torch.tensor([actions.index(header.labels["action"]) for header in headers])
        identity = torch.tensor([identities.index(header.identity) for header in headers])
        shown = np.zeros((len(identities), len(actions)), dtype=bool)
        shown[identity, action] = True
        test = held_out(config, identities, actions, shown)
        tested = torch.isin(identity, torch.tensor(test, dtype=torch.int64))
        everything = torch.ones_like(tested)
        parts = {"train": ~tested, "test": tested if test else everything, "all": everything}
        if split not in parts:
            raise ConfigError(f"clips: no split {split!r}; there are {', '.join(parts)}")
        mine = parts[split].nonzero().squeeze(1).tolist()
        side = config.size or rounded_up(max(max(pixels.shape[-2:]) for _, pixels in read))
        self.headers = [headers[i] for i in mine]
        self.store = FrameStore.of(
            [centred(headers[i].name, read[i][1], side) for i in mine],
            [header.times for header in self.headers],
            [header.duration for header in self.headers],
        )
        self.config, self.split, self.identities, self.held_out = config, split, tuple(identities), bool(test)
        self.name = "clips" if self.held_out else "clips (nobody held out)"
        self.factors = {"action": tuple(actions)}
        self.labels, self.identity = {"action": action[mine]}, identity[mine]
        self.content = ("view",) if config.view else ()
        if config.view:
            views = sorted({header.view for header in headers})
            self.factors = {**self.factors, "view": tuple(views)}
            self.labels["view"] = torch.tensor([views.index(header.view) for header in self.headers])
        self.size, self.channels = (side, side), 4 if config.alpha else 3
        self.length, self.stride, self.periodic = config.length, config.stride, config.loop
        self.fps = float(statistics.median(header.fps for header in headers))
        self.credits = tuple(dict.fromkeys(line for header in headers for line in header.credits))

    def frame_counts(self) -> Int[Tensor, " N"]:
        return self.store.counts

    def frames(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> UInt8[Tensor, "B T C H W"]:
        return self.store.frames(clips, steps, loop=self.periodic)

    def times(self, clips: Int[Tensor, " B"], steps: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """When those frames begin, in frames of the clip's own rate from its beginning; a loop's turns add up."""
        return self.store.times(clips, steps, loop=self.periodic)

    def __getitem__(self, index: int) -> VideoClip:
        index = range(len(self))[index]
        header = self.headers[index]
        steps = torch.arange(len(header.times))[None]
        shown = self.store.frames(torch.tensor([index]), steps)[0].cpu().float() / 255
        colours, alpha = shown[:, :3], shown[:, 3:] if self.channels == 4 else None
        if alpha is not None:
            colours = (colours / alpha.clamp(min=1 / 255)).clamp(0, 1)
        return VideoClip(
            colours, alpha, header.times, header.duration, header.fps, header.labels, header.name, header.credits
        )

    def to(self, device: torch.device) -> "FolderClips":
        moved = copy.copy(self)
        moved.store, moved.identity = self.store.to(device), self.identity.to(device)
        moved.labels = {name: value.to(device) for name, value in self.labels.items()}
        return moved

    def nbytes(self) -> int:
        return self.store.nbytes()
