"""metrics.jsonl: one line of losses at a time; on resume the lines that the checkpoint does not know are dropped."""

import json
from pathlib import Path


class MetricsLog:
    """Appends to `path`, after removing every line of a step beyond `done`."""

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= done]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: dict[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl; a line cut short by a kill is left out."""
    lines: list[dict[str, float]] = []
    for text in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines
