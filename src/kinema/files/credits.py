"""Authors and licences that travel with a file: a line each, in ``FILE.credits.txt`` beside it."""

from collections.abc import Iterable
from pathlib import Path

from kinema.files.guard import writing


def credits_file(path: Path) -> Path:
    """Where the authors and licences of a file stand."""
    return path.with_name(f"{path.name}.credits.txt")


def read_credits(path: Path) -> tuple[str, ...]:
    """The lines that belong to a file; none where there are none."""
    note = credits_file(path)
    return tuple(note.read_text(encoding="utf-8").splitlines()) if note.is_file() else ()


def write_credits(lines: Iterable[str], path: Path) -> None:
    """Puts the lines, each once, beside a file, in place of those of what had its name before."""
    note, text = credits_file(path), "".join(f"{line}\n" for line in dict.fromkeys(lines))
    if not text:
        note.unlink(missing_ok=True)
        return
    with writing(note) as (part,):
        part.write_text(text, encoding="utf-8")
