"""SpriteFrames of the Godot engine, version 4: a ``.tres`` text resource and the PNG that it cuts. Written only."""

import json
from collections.abc import Sequence
from pathlib import Path

from kinema.clip import VideoClip
from kinema.files.atlas import SHEET_NOTE, Atlas, image_beside, pack_clips, tags_of
from kinema.files.guard import writing
from kinema.files.png import still


def write_godot(clips: Sequence[VideoClip], path: Path) -> None:
    """One animation a clip, looping, at the clip's rate and with its durations; the PNG lies beside the resource.

    Raises ClipError where sizes differ or names repeat, FileError where the PNG would replace a picture of the user's.
    """
    atlas, tags, image = pack_clips(clips), tags_of(clips), image_beside(path)
    regions = [corner for corners in atlas.corners for corner in corners]
    head = f'[gd_resource type="SpriteFrames" load_steps={len(regions) + 2} format=3]\n\n'
    head += f'[ext_resource type="Texture2D" path={json.dumps(image.name)} id="1"]\n\n'
    body = head + "".join(region(i, corner, atlas.cell) for i, corner in enumerate(regions))
    with writing(image, path) as (picture, resource):
        picture.write_bytes(still(atlas.image, SHEET_NOTE))
        resource.write_text(body + animations(clips, tags, atlas), encoding="utf-8")


def region(index: int, corner: tuple[int, int], cell: tuple[int, int]) -> str:
    rectangle = ", ".join(str(number) for number in (*corner, *cell))
    head = f'[sub_resource type="AtlasTexture" id="frame_{index}"]\n'
    return f'{head}atlas = ExtResource("1")\nregion = Rect2({rectangle})\n\n'


def animations(clips: Sequence[VideoClip], tags: Sequence[str], atlas: Atlas) -> str:
    parts, index = [], 0
    for clip, tag in zip(clips, tags, strict=True):
        frames = [
            f'{{\n"duration": {duration:.6g},\n"texture": SubResource("frame_{index + i}")\n}}'
            for i, duration in enumerate(clip.durations.tolist())
        ]
        index += len(frames)
        parts.append(
            f'{{\n"frames": [{", ".join(frames)}],\n"loop": true,\n'
            f'"name": &{json.dumps(tag, ensure_ascii=False)},\n"speed": {clip.fps:.6g}\n}}'
        )
    return f"[resource]\nanimations = [{', '.join(parts)}]\n"
