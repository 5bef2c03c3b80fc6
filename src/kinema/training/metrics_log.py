"""metrics.jsonl: one line of losses at a time; on resume the lines that the checkpoint does not know are dropped."""

import json
from pathlib import Path
from typing import Any

from kinema.files.guard import writing


class MetricsLog:
    """Appends to `path`, after removing every line of a step beyond `done`."""

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= done]
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as (part,):
            part.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: dict[str, float | int]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict[str, float | int]]:
    """The lines of a metrics.jsonl; a line cut short by a kill, or otherwise damaged, is left out."""
    texts = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return [line for line in map(_parsed, texts) if isinstance(line, dict) and "step" in line]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
