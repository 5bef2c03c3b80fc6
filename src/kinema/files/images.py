"""Still pictures of any kind that Pillow opens, and JPEG out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from kinema.clip import VideoClip
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.pixels import images_of_clip, rgba_of_image


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A Pillow image whose header has been read and found small enough; nothing is decoded yet."""
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the check below is ours, and says more
        with Image.open(path) as image:
            check_pixels(path, *image.size)
            yield image


def read_still(path: Path) -> UInt8[np.ndarray, "H W 4"]:
    """One picture, upright. Raises FileError for a damaged, oversized or animated file."""
    with opened(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError("it is animated where a still picture is needed")
        return rgba_of_image(ImageOps.exif_transpose(image))


def write_jpeg(clip: VideoClip, path: Path) -> None:
    """One frame as a JPEG; a longer clip as a film strip of its frames."""
    strip = np.concatenate([np.asarray(image.convert("RGB")) for image in images_of_clip(clip)], axis=1)
    with writing(path) as (part,):
        Image.fromarray(strip).save(part, "JPEG", quality=95, subsampling=0)
