"""Reading and writing clips: one module a format, the registry in `formats`, the verbs in `transfer`."""

from kinema.files.transfer import convert, read_clip, read_clips, write_clip

__all__ = ["convert", "read_clip", "read_clips", "write_clip"]
