"""convert, data and info: clips and motion between formats, the sources of clips, what is known of a run or a file."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kinema import files
from kinema.data.folders import find_clips
from kinema.data.mocap_check import check_motions
from kinema.data.registry import SOURCES, build_source
from kinema.errors import ConfigError, KinemaError
from kinema.files.motion_formats import is_motion
from kinema.files.spec import parse_spec
from kinema.training.recipe import build_recipe, only_data, override, read_recipe, recipe_names
from kinema.training.run import BUILTIN, load_run


def convert(
    src: str,
    dst: str,
    *,
    fps: float | None = None,
    palette: bool = False,
    scale: int = 1,
    background: str | None = None,
    quiet: bool = False,
) -> None:
    """Convert a clip or a motion to any other format that can hold it.

    Motion-capture files (.bvh, and .npz as written here) become .bvh that every tool reads alike, .glb (a skinned body
    for viewers and engines), .npz or .csv; any picture format gets a drawing of the skeleton. What reading them changed
    or left out is printed.

    Args:
        src: FILE, FILE@I, FILE@I:J or FILE#tag: .gif, .png (APNG, strip, LPC sheet), .webp, .mp4, .json sheet, folder,
            .bvh, .npz.
        dst: The file to write; its suffix says the format, no suffix a folder of frames, .tres a Godot SpriteFrames.
        fps: Frames per second, instead of the clip's own; for motion, how many of them are drawn.
        palette: Let the result hold only colours of the source.
        scale: Repeat every pixel so many times, each way; motion is drawn so many times larger.
        background: A colour such as #204060 to lay the clip on.
        quiet: Do not print what reading a motion changed or left out.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise ConfigError(f"--fps {fps}: a positive number is needed")
    notes = files.convert(src, dst, fps, palette, scale, None if background is None else _colour(background))
    if notes and not quiet:
        print("\n".join(notes))


def recipes(*, json: bool = False) -> list[dict[str, str]]:
    """List the shipped recipes and the published row that each stands for.

    Args:
        json: Print JSON.
    """
    listed = [{"recipe": name, "stands_for": str(read_recipe(name).get("stands_for", ""))} for name in recipe_names()]
    _show(listed, json)
    return listed


def data_list(*, json: bool = False) -> list[dict[str, str]]:
    """List the sources of clips.

    Args:
        json: Print JSON.
    """
    listed = [{"source": name, "about": entry.about} for name, entry in SOURCES.items()]
    _show(listed, json)
    return listed


def data_make(
    name: str, *, out: str, n: int = 8, split: str = "test", options: dict[str, str] | None = None
) -> list[Path]:
    """Write some clips of a source as GIFs into a folder, one folder per action.

    Args:
        name: The source (see `kinema data list`).
        out: The folder to write.
        n: How many clips, evenly spread over the split.
        split: train, test or all.
        options: Settings of the source to replace, such as data.root, by their dotted names.
    """
    if n < 1:
        raise ConfigError(f"-n {n}: at least 1 clip is needed")
    if name in SOURCES and SOURCES[name].kind == "motion":
        raise ConfigError(f"data make {name}: only pictures are made; `kinema synthesize` makes motion")
    family = "renderer" if name in SOURCES and SOURCES[name].kind == "pairs" else "halo"
    tree = {"family": family, "data": {"source": name}}
    recipe = build_recipe(override(tree, only_data(options or {})), f"data make {name}")
    source = build_source(recipe.source, recipe.data, split)
    written = []
    for i in range(min(n, len(source))):
        clip = source[i * len(source) // min(n, len(source))]
        folder = Path(out) / clip.labels.get("action", name)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{clip.name.replace('/', '-')}.gif"
        files.write_clip(clip, path)
        written.append(path)
    return written


def data_check(path: str, *, quiet: bool = False) -> list[str]:
    """Read every clip of a folder and say what is wrong; exit 1 where anything is.

    A folder that holds BVH files is checked as motion capture: files that repeat each other, skeletons that differ,
    jumps, labels of turns that the trajectory contradicts.

    Args:
        path: A folder of clips (ACTION/clip.gif, or BVH files), or one file.
        quiet: Print nothing; the exit code still tells.
    """
    motions = sorted(Path(path).rglob("*.bvh")) if Path(path).is_dir() else [Path(path)] * is_motion(path)
    if motions:
        return _told(path, check_motions(Path(path)), len(motions), quiet)
    candidates = [file for file, _ in find_clips(Path(path))]
    faults: list[str] = []
    sizes: dict[tuple[int, int], str] = {}
    for file in candidates:
        try:
            clips = files.read_clips(file)
        except KinemaError as error:
            faults.append(str(error))
            continue
        for clip in clips:
            sizes.setdefault(clip.size, str(file))
            if len(clip) < 2:
                faults.append(f"{file}: a single frame; motion needs at least two")
    if len(sizes) > 1:
        kinds = ", ".join(f"{w} x {h} ({name})" for (h, w), name in sizes.items())
        faults.append(f"{path}: clips of {len(sizes)} sizes: {kinds}; the smaller ones will be padded")
    return _told(path, faults, len(candidates), quiet)


def _told(path: str, faults: list[str], count: int, quiet: bool) -> list[str]:
    if not quiet:
        print("\n".join(faults) if faults else f"{path}: {count} clips, nothing wrong")
    return faults


def info(what: str, *, json: bool = False) -> dict[str, Any]:
    """Say what a run, a clip or a motion is.

    Args:
        what: A run directory, builtin:NAME, a clip, or a motion (.bvh, .npz).
        json: Print JSON.
    """
    is_run = what.startswith(BUILTIN) or (Path(what) / "config.yaml").is_file()
    known = _run_info(what) if is_run else _motion_info(what) if _is_motion(what) else _clip_info(what)
    _show([{"": key, "value": str(value)} for key, value in known.items()] if not json else known, json)
    return known


def _run_info(what: str) -> dict[str, Any]:
    run = load_run(what)
    return {
        "family": run.recipe.family,
        "stands_for": run.recipe.stands_for,
        **{key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(run.domain).items()},
        "source": run.recipe.source,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "credits": list(run.credits),
    }


def _clip_info(what: str) -> dict[str, Any]:
    clips = files.read_clips(what)
    if len(clips) > 1:
        return {
            clip.labels.get("tag", clip.name): f"{len(clip)} frames of {clip.size[1]} x {clip.size[0]}"
            for clip in clips
        }
    clip = clips[0]
    return {
        "frames": len(clip),
        "width": clip.size[1],
        "height": clip.size[0],
        "fps": round(clip.fps, 3),
        "seconds": round(clip.duration / clip.fps, 3),
        "regular": bool((clip.durations - 1).abs().max() < 1e-6),
        "alpha": clip.alpha is not None,
        "credits": list(clip.credits),
    }


def _is_motion(what: str) -> bool:
    return is_motion(parse_spec(what).path)


def _motion_info(what: str) -> dict[str, Any]:
    """Lengths in metres; the height is from the lowest joint to the highest, the median of all frames."""
    clip = files.read_motion_clip(what)
    joints, ground = clip.joints(), clip.root[:, [0, 2]]
    return {
        "joints": len(clip.skeleton),
        "names": ", ".join(clip.skeleton.names),
        "frames": len(clip),
        "fps": round(clip.fps, 3),
        "seconds": round(len(clip) / clip.fps, 3),
        "height_m": round(float((joints[..., 1].amax(1) - joints[..., 1].amin(1)).median()), 3),
        "root_way_m": round(float(ground.diff(dim=0).norm(dim=-1).sum()), 3),
        "root_from_start_to_end_m": round(float((ground[-1] - ground[0]).norm()), 3),
        "notes": list(clip.notes),
        "credits": list(clip.credits),
    }


def _colour(text: str) -> tuple[float, float, float]:
    digits = text.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise ConfigError(f"--background {text}: six hexadecimal digits are needed, such as #204060") from error
    return red / 255, green / 255, blue / 255


def _show(listed: Any, as_json: bool) -> None:
    if as_json:
        Console().print_json(data=listed)
        return
    shown = Table(show_header=bool(listed) and "" not in listed[0])
    for key in listed[0] if listed else ():
        shown.add_column(key, overflow="fold")
    for row in listed:
        shown.add_row(*row.values())
    Console(markup=False).print(shown)
