"""Kinema learns motion from sequences, apart from what moves, and puts it back under your control.

The public names are imported when they are first asked for, so that ``import kinema`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.clip import VideoClip as VideoClip
    from kinema.errors import KinemaError as KinemaError
    from kinema.files.motion_formats import read_motion_clip as read_motion_clip
    from kinema.files.motion_formats import write_motion_clips as write_motion_clips
    from kinema.files.transfer import convert as convert
    from kinema.files.transfer import read_clip as read_clip
    from kinema.files.transfer import read_clips as read_clips
    from kinema.files.transfer import write_clip as write_clip
    from kinema.models.clips import animate as animate
    from kinema.models.clips import sample as sample
    from kinema.models.clips import swap as swap
    from kinema.models.scenes import compose as compose
    from kinema.motion import MotionClip as MotionClip
    from kinema.motion import Skeleton as Skeleton
    from kinema.training.run import load_run as load
    from kinema.verbs.synthesize import synthesize as synthesize

    __all__ = ["load"]

PUBLIC = {
    "KinemaError": ("errors", "KinemaError"),
    "MotionClip": ("motion", "MotionClip"),
    "Skeleton": ("motion", "Skeleton"),
    "VideoClip": ("clip", "VideoClip"),
    "animate": ("models.clips", "animate"),
    "compose": ("models.scenes", "compose"),
    "convert": ("files.transfer", "convert"),
    "load": ("training.run", "load_run"),
    "read_clip": ("files.transfer", "read_clip"),
    "read_clips": ("files.transfer", "read_clips"),
    "read_motion_clip": ("files.motion_formats", "read_motion_clip"),
    "sample": ("models.clips", "sample"),
    "swap": ("models.clips", "swap"),
    "synthesize": ("verbs.synthesize", "synthesize"),
    "write_clip": ("files.transfer", "write_clip"),
    "write_motion_clips": ("files.motion_formats", "write_motion_clips"),
}
"""Each public name: the module it is in and its name there."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'kinema' has no attribute {name!r}")
    module, attribute = PUBLIC[name]
    return getattr(import_module(f"kinema.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
