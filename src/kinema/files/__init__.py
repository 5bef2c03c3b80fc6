"""Reading and writing clips and motion: a module a format, the registries in `formats` and `motion_formats`, the verbs
in `transfer`."""

from kinema.files.motion_formats import read_motion_clip, write_motion_clips
from kinema.files.transfer import convert, read_clip, read_clips, write_clip

__all__ = ["convert", "read_clip", "read_clips", "read_motion_clip", "write_clip", "write_motion_clips"]
