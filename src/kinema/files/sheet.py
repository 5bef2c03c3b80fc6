"""Sprite sheets described by JSON, as Aseprite and TexturePacker write them (both the array and the hash form)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from kinema.clip import VideoClip
from kinema.errors import FileError
from kinema.files.atlas import SHEET_NOTE, image_beside, pack_clips, tags_of
from kinema.files.guard import check_pixels, reading, writing
from kinema.files.images import read_still
from kinema.files.pixels import clip_of_rgba, delays, durations_in_ms
from kinema.files.png import still
from kinema.files.spec import Spec

Entry = Mapping[str, Any]
"""One frame of the JSON."""

ORDERS = {
    "forward": lambda order: order,
    "reverse": lambda order: order[::-1],
    "pingpong": lambda order: order + order[-2:0:-1],
    "pingpong_reverse": lambda order: order[::-1] + order[1:-1],
}
"""What a tag's direction makes of its frames; there and back shows the two ends once in a loop."""


def read_sheet(source: Spec, every_tag: bool = False) -> list[VideoClip]:
    """The clip of a tag; without a tag all frames as one clip, or with `every_tag` each tag's clip.

    Raises FileError for a JSON that is damaged, that points outside its folder or its picture, or without that tag.
    """
    path = source.path
    with reading(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        entries = list(data["frames"].values() if isinstance(data["frames"], dict) else data["frames"])
        meta = data.get("meta", {})
        tags = {tag["name"]: tag for tag in meta.get("frameTags", [])}
        if not entries:
            raise FileError(f"{path}: lists no frames; export the sheet again")
        wanted = tags if every_tag and source.tag is None else [source.tag]
        orders = {name: frame_order(path, name, tags, len(entries)) for name in wanted or [None]}
        width, height = (max(side) for side in zip(*map(original_size, entries), strict=True))
        check_pixels(path, width, height, sum(len(order) for order in orders.values()))
        picture = read_still(image_of(path, meta.get("image")))
        return [source.cut(tag_clip(path, picture, entries, name, order)) for name, order in orders.items()]


def frame_order(path: Path, name: str | None, tags: Mapping[str, Entry], count: int) -> list[int]:
    """The frames that a tag plays, in order."""
    if name is None:
        return list(range(count))
    if name not in tags:
        raise FileError(f"{path}: has no tag {name!r}; it has {', '.join(tags) or 'none, so name the file alone'}")
    first, last = int(tags[name]["from"]), int(tags[name]["to"])
    if not 0 <= first <= last < count:
        raise FileError(f"{path}: tag {name!r} plays frames {first} to {last} of {count}; export the sheet again")
    direction = tags[name].get("direction", "forward")
    if direction not in ORDERS:
        raise FileError(f"{path}: tag {name!r} has direction {direction!r}; known are {', '.join(ORDERS)}")
    return ORDERS[direction](list(range(first, last + 1)))


def image_of(path: Path, name: str | None) -> Path:
    """The sheet's picture, which must lie in the folder of its JSON or below: a stranger's JSON opens nothing else."""
    folder = path.parent.resolve()
    image = path.parent / (name or path.with_suffix(".png").name)
    if "\\" in str(name) or not image.resolve().is_relative_to(folder):
        bare = str(name).replace("\\", "/").rpartition("/")[2]
        raise FileError(f"{path}: its picture {name!r} lies outside its folder; put it beside the JSON as {bare!r}")
    return image


def tag_clip(
    path: Path, picture: UInt8[np.ndarray, "H W 4"], entries: Sequence[Entry], name: str | None, order: Sequence[int]
) -> VideoClip:
    """The frames of `order` as a clip. TexturePacker states no durations: each frame then takes as long as any."""
    chosen = [entries[index] for index in order]
    sizes = [original_size(entry) for entry in chosen]
    if len(set(sizes)) > 1:
        odd = next(index for index, size in zip(order, sizes, strict=True) if size != sizes[0])
        raise FileError(f"{path}: frame {odd} is not of the size of frame {order[0]}; a clip needs frames of one size")
    rgba = np.stack([frame_pixels(path, picture, entries[index], index) for index in order])
    waits = durations_in_ms([float(entry.get("duration", 0)) for entry in chosen])
    return clip_of_rgba(rgba, path, waits, labels={} if name is None else {"tag": name})


def original_size(entry: Entry) -> tuple[int, int]:
    """Width and height of a frame before it was trimmed."""
    size = entry.get("sourceSize") or entry["frame"]
    return int(size["w"]), int(size["h"])


def frame_pixels(
    path: Path, picture: UInt8[np.ndarray, "H W 4"], entry: Entry, index: int
) -> UInt8[np.ndarray, "h w 4"]:
    """One frame, turned back if it was packed 90 degrees clockwise, in the place from which it was trimmed."""
    x, y, w, h = (int(entry["frame"][key]) for key in "xywh")
    across, down = (h, w) if entry.get("rotated") else (w, h)
    if min(x, y, w, h) < 0 or x + across > picture.shape[1] or y + down > picture.shape[0]:
        inside = f"{picture.shape[1]} x {picture.shape[0]}"
        raise FileError(f"{path}: frame {index} reaches outside the picture of {inside} pixels; export the sheet again")
    cut = picture[y : y + down, x : x + across]
    cut = np.rot90(cut) if entry.get("rotated") else cut
    width, height = original_size(entry)
    spot = entry.get("spriteSourceSize") or {"x": 0, "y": 0}
    left, top = int(spot["x"]), int(spot["y"])
    if min(left, top) < 0 or left + w > width or top + h > height:
        raise FileError(f"{path}: frame {index} does not fit its sourceSize {width} x {height}; export the sheet again")
    frame = np.zeros((height, width, 4), np.uint8)
    frame[top : top + h, left : left + w] = cut
    return frame


def write_sheet(clips: Sequence[VideoClip], path: Path) -> None:
    """A PNG and its JSON (array form), one tag a clip, named as `tag_of` says.

    Raises ClipError where sizes differ or tags repeat, FileError where the PNG would replace a picture of the user's.
    """
    atlas, tags, image = pack_clips(clips), tags_of(clips), image_beside(path)
    frames, spans = [], []
    for clip, tag, corners in zip(clips, tags, atlas.corners, strict=True):
        spans.append({"name": tag, "from": len(frames), "to": len(frames) + len(clip) - 1, "direction": "forward"})
        waits = delays(clip).tolist()
        frames += [frame_entry(f"{tag} {i}", xy, atlas.cell, waits[i]) for i, xy in enumerate(corners)]
    width, height = atlas.image.size
    meta = {"app": "kinema", "version": "1", "image": image.name, "format": "RGBA8888", "scale": "1"}
    meta |= {"size": {"w": width, "h": height}, "frameTags": spans}
    with writing(image, path) as (picture, description):
        picture.write_bytes(still(atlas.image, SHEET_NOTE))
        description.write_text(json.dumps({"frames": frames, "meta": meta}, indent=1), encoding="utf-8")


def frame_entry(name: str, corner: tuple[int, int], cell: tuple[int, int], wait: int) -> dict[str, Any]:
    (x, y), (w, h) = corner, cell
    return {
        "filename": name,
        "frame": {"x": x, "y": y, "w": w, "h": h},
        "rotated": False,
        "trimmed": False,
        "spriteSourceSize": {"x": 0, "y": 0, "w": w, "h": h},
        "sourceSize": {"w": w, "h": h},
        "duration": wait,
    }
