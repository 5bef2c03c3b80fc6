"""Results as tables for people and JSON for programs, beside what was published."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from kinema.errors import FileError

PAPER: Mapping[str, float] = {
    "image_to_sequence_16/ssim": 0.982,
    "image_to_sequence_16/psnr": 36.76,
    "image_to_sequence_16/mse": 0.0005,
    "swap/kept_skin": 0.925,
    "swap/kept_top": 0.948,
    "swap/kept_bottom": 0.968,
    "swap/kept_hair": 0.992,
}
"""HALO on LPC Sprites: Table 1, operator H, 16 frames from one image; Table 2 right, attributes kept (motion there
comes from the prior or another clip, judged by a trained network)."""

NO_PAPER: Mapping[str, float] = {}
"""For data that no paper reports on."""


def rows(results: Mapping[str, float], paper: Mapping[str, float] = NO_PAPER) -> list[tuple[str, ...]]:
    """Heading and lines of the table: measure, value and, where `paper` has any of them, the published value."""
    compared = any(name in paper for name in results)
    heading = ("measure", "value", "paper") if compared else ("measure", "value")
    lines = [(name, _text(value), _text(paper[name]) if name in paper else "") for name, value in results.items()]
    return [heading, *(line[: len(heading)] for line in lines)]


def table(results: Mapping[str, float], paper: Mapping[str, float] = NO_PAPER) -> Table:
    """The table for a terminal."""
    heading, *lines = rows(results, paper)
    made = Table()
    for number, name in enumerate(heading):
        made.add_column(name, justify="right" if number else "left")
    for line in lines:
        made.add_row(*line)
    return made


def markdown(results: Mapping[str, float], paper: Mapping[str, float] = NO_PAPER) -> str:
    """The table for a document."""
    heading, *lines = rows(results, paper)
    rule = ("---", *("---:" for _ in heading[1:]))
    return "".join(f"| {' | '.join(line)} |\n" for line in (heading, rule, *lines))


def write_json(path: Path, results: Mapping[str, float]) -> None:
    """Writes the results with sorted keys, whole or not at all."""
    write_whole(path, (json.dumps(dict(results), indent=2, sort_keys=True) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that appears whole or not at all. Raises FileError where the system refuses."""
    sibling = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            sibling = Path(file.name)
            file.write(content)
        sibling.chmod(0o644)
        os.replace(sibling, path)
    except OSError as error:
        if sibling is not None:
            sibling.unlink(missing_ok=True)
        raise FileError(f"{path}: cannot be written ({error.strerror}); a folder with room for it is needed") from error


def _text(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 0.01 and value else f"{value:.4f}".rstrip("0").rstrip(".")
