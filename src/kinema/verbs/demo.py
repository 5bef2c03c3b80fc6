"""demo: the main job on embedded data, from nothing to a swap, in two minutes on two CPU cores."""

import shutil
import time
from pathlib import Path

from rich.console import Console

from kinema.data.registry import build_source
from kinema.data.source import TruthSource
from kinema.errors import RunError
from kinema.evaluation.swap import draw_pairs
from kinema.evaluation.table import table, write_whole
from kinema.files import write_clip
from kinema.training.recipe import build_recipe, override, read_recipe
from kinema.training.run import CONFIG, load_run, read_config
from kinema.verbs.apply import swap
from kinema.verbs.train import evaluate, train

RECIPE = "halo-demo"
SHOWN = (
    "swap/action_accuracy",
    "swap/kept",
    "swap/psnr",
    "swap/ssim",
    "nearest_clip/psnr",
    "nearest_character/psnr",
    "copy/psnr",
    "reconstruction/psnr",
    "image_to_sequence_16/psnr",
)


def demo(*, out: str = "demo", seed: int = 0, quiet: bool = False) -> dict[str, float]:
    """Make sprites, train a small HALO on them, swap the motions of two held-out characters, and report.

    Nothing is downloaded. OUT holds the clips a.gif and b.gif, the swaps swap.gif and swap-back.gif, contact-sheet.png,
    and the run with its report/index.html.

    Args:
        out: The folder to write.
        seed: Of the training and of the choice of clips.
        quiet: Print nothing.
    """
    began = time.monotonic()
    folder = Path(out)
    run = folder / "run"
    _make_room(folder, run)
    train(RECIPE, out=str(run), quiet=quiet, options={"training.seed": str(seed)})
    results = evaluate(str(run), quiet=True, seed=seed)
    recipe = load_run(run).recipe
    test = build_source(recipe.source, recipe.data, "test")
    assert isinstance(test, TruthSource)  # the demo's recipe draws its own sprites
    a, b = draw_pairs(test, 6, seed)
    names = [folder / "a.gif", folder / "b.gif"]
    write_clip(test[int(a.clips[2])], names[0])
    write_clip(test[int(b.clips[2])], names[1])
    swap(str(run), str(names[0]), str(names[1]), out=str(folder / "swap.gif"), palette=True, scale=4)
    write_whole(folder / "contact-sheet.png", (run / "report" / "swaps.png").read_bytes())
    if not quiet:
        console = Console()
        console.print(table({name: results[name] for name in SHOWN}))
        console.print(f"{time.monotonic() - began:.0f} s. See {folder}/swap.gif and {run}/report/index.html")
    return results


def _make_room(folder: Path, run: Path) -> None:
    """Delete the run of an earlier demo. Raises RunError where it is not exactly what a demo would make again."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (run / CONFIG).is_file():
        raise RunError(f"{folder}: exists and is not a demo; give --out a new folder")
    found, _, _ = read_config(run)
    if found != build_recipe(override(read_recipe(RECIPE), {"training.seed": str(found.training.seed)}), RECIPE):
        raise RunError(f"{run}: a run that is not a demo of this version; give --out a new folder")
    shutil.rmtree(run)
