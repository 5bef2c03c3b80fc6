"""Motion capture: a folder of BVH files, each a clip of one body.

What a clip shows is known from its folder (``walk/anything.bvh``) or, in a flat folder, from its name; the style from
names such as ``dataset-2_walk_elderly_003.bvh`` (Bandai-Namco-Research-Motiondataset-2). Whether a clip that is said to
turn turns left or right is measured, for labels of recorded data are wrong now and then.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from kinema.data.mocap_check import duplicates
from kinema.data.motions import MotionSource, WindowConfig
from kinema.data.roles import Roles, find_roles, read_roles
from kinema.data.splits import split_identities
from kinema.errors import ConfigError, FileError
from kinema.files.bvh_motion import to_motion
from kinema.files.bvh_workers import read_many
from kinema.maths import trajectory
from kinema.motion import MotionClip

LAYOUT = "data.root is a folder of BVH files, or of folders ACTION/clip.bvh"
NAME = re.compile(r"(?:dataset-\d+_)?(?P<action>[a-z-]+)_(?P<style>[a-z]+)_\d+", re.IGNORECASE)
"""A name that says what the clip shows and in which style."""
TURN = 0.5
"""A clip is said to turn where its heading changes by more than so much from end to end, in radians."""


@dataclass(frozen=True)
class MocapConfig(WindowConfig):
    """Where the clips lie, how they are cut, and which are held out."""

    root: str = ""
    """Folder of BVH files; environment variables (``$NAME``) are looked up. Empty: ``$KINEMA_DATA/bandai``."""
    roles: str = ""
    """YAML file of lines ``role: joint`` for joints of unusual names. Empty: found by name or shape."""
    test_share: float = 0.16
    """Share of the clips that is held out, whole clips, never windows."""
    seed: int = 0
    """Of the choice of the clips that are held out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.test_share < 1:
            raise ConfigError(f"data.test_share is {self.test_share}; a share above 0 and below 1 is needed")


class Mocap(MotionSource):
    """The clips of a folder. Clips that repeat another's frames are left out before the split."""

    def __init__(self, config: MocapConfig, split: str) -> None:
        clips = read_folder(folder_of(config))
        again = duplicates(clips)
        clips = [clip for clip in clips if clip.name not in again]
        given = read_roles(Path(os.path.expandvars(config.roles))) if config.roles else None
        roles = find_roles(clips[0].skeleton, given, clips[0].joints()[0])
        clips = [labelled(clip, roles) for clip in clips]
        factors = {name: tuple(sorted({clip.labels[name] for clip in clips})) for name in ("action", "style")}
        super().__init__("mocap", split, part(clips, config, split), roles, config, factors)


def folder_of(config: MocapConfig) -> Path:
    """The folder of clips. Raises FileError where it is none."""
    root = os.path.expandvars(config.root or "$KINEMA_DATA/bandai")
    if root.startswith("$"):
        raise FileError(f"{root}: the environment variable is not set; set it, or data.root. {LAYOUT}")
    if not Path(root).is_dir():
        raise FileError(f"{root}: there is no such folder; {LAYOUT}")
    return Path(root)


@lru_cache(maxsize=1)  # both splits are made of the same files
def read_folder(root: Path) -> list[MotionClip]:
    """Every BVH below `root`, in order of their paths, labelled by folder or name. FileError where there is none."""
    files = sorted(path for path in root.rglob("*.bvh") if not path.name.startswith("."))
    if not files:
        raise FileError(f"{root}: holds no BVH files; {LAYOUT}")
    credits = next(
        (tuple(note.read_text("utf-8").split("\n")[:1]) for note in [root / "LICENSE"] if note.is_file()), ()
    )
    clips = []
    for bvh, path in zip(read_many(files), files, strict=True):
        clip = to_motion(bvh, path.relative_to(root).as_posix())
        clips.append(replace(clip, labels=labels_of(path, root), credits=credits))
    return clips


def labels_of(path: Path, root: Path) -> dict[str, str]:
    """The action and the style that a file's folder and name tell."""
    named = NAME.fullmatch(path.stem)
    folder = path.parent.name if path.parent != root else ""
    action = folder or (named["action"] if named else "motion")
    return {"action": action.lower(), "style": named["style"].lower() if named else "any"}


def labelled(clip: MotionClip, roles: Roles) -> MotionClip:
    """The clip with ``-left`` or ``-right`` in its action as measured, and without where it does not turn."""
    words = clip.labels["action"].split("-")
    if not {"left", "right"} & set(words):
        return clip
    joints = clip.joints()[:, [roles.left_hip, roles.right_hip, roles.left_shoulder, roles.right_shoulder]]
    facing = trajectory.heading(*joints.unbind(1))
    turned = float(torch.atan2(facing.diff().sin(), facing.diff().cos()).sum())
    rest = [word for word in words if word not in ("left", "right", "turn")]
    found = [*rest, "turn", "left" if turned > 0 else "right"] if abs(turned) > TURN else rest
    return replace(clip, labels={**clip.labels, "action": "-".join(found)})


def part(clips: Sequence[MotionClip], config: MocapConfig, split: str) -> list[MotionClip]:
    """The clips of a split: ``train``, ``test`` or ``all``. Raises ConfigError where one of them would be empty."""
    if split == "all":
        return list(clips)
    train, test = split_identities(len(clips), max(1, round(config.test_share * len(clips))), config.seed)
    return [clips[i] for i in {"train": train, "test": test}[split].tolist()]
