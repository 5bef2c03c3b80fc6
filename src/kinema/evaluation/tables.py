"""Tables of figures with intervals, for a document, for JSON and for a terminal; made of flat results, seed by seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table as RichTable

from kinema.evaluation.bootstrap import interval_over_seeds

Results = Mapping[str, float]
Rows = Mapping[str, Sequence[Results]]
"""For each row of a table its results, one mapping for each seed."""


@dataclass(frozen=True)
class Cell:
    """A figure and, where it is known, the 95 % interval of its mean."""

    value: float
    low: float = math.nan
    high: float = math.nan
    decimals: int | None = None
    """Of its text; None: what the size of the figure wants."""

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{self._text(self.low)}, {self._text(self.high)}]"
        return self._text(self.value) + interval

    def _text(self, value: float) -> str:
        return _figure(value) if self.decimals is None else f"{value:.{self.decimals}f}"

    def plain(self) -> dict[str, float]:
        """The figure for JSON, which knows no NaN."""
        known = {"value": self.value, "low": self.low, "high": self.high}
        return {name: value for name, value in known.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Table:
    """Named columns, and rows of texts, counts and cells."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | Cell | None, ...], ...]

    def texts(self) -> list[tuple[str, ...]]:
        return [tuple("" if entry is None else str(entry) for entry in row) for row in self.rows]

    def plain(self) -> dict[str, Any]:
        """The table for JSON: each row by the names of its columns."""
        rows = [
            {
                column: entry.plain() if isinstance(entry, Cell) else entry
                for column, entry in zip(self.columns, row, strict=True)
                if entry is not None
            }
            for row in self.rows
        ]
        return {"title": self.title, "note": self.note, "columns": list(self.columns), "rows": rows}

    def markdown(self) -> str:
        """The table for a document, with a heading."""
        words = [any(isinstance(row[number], str) for row in self.rows) for number in range(len(self.columns))]
        rule = ["---" if word else "---:" for word in words]
        cells = [[text.replace("|", "\\|") for text in line] for line in (self.columns, rule, *self.texts())]
        lines = "".join(f"| {' | '.join(line)} |\n" for line in cells)
        return f"## {self.title}\n\n{self.note}\n\n{lines}"

    def rich(self) -> RichTable:
        """The table for a terminal, which has no room for intervals."""
        made = RichTable(title=self.title, caption=self.note, title_justify="left", caption_justify="left")
        for number, column in enumerate(self.columns):
            made.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
        for row in self.rows:
            values = (entry.value if isinstance(entry, Cell) else entry for entry in row)
            made.add_row(*(_figure(x) if isinstance(x, float) else "" if x is None else str(x) for x in values))
        return made


def cell(results: Sequence[Results], name: str) -> Cell | None:
    """The mean over the seeds of one measure; None where it was not measured.

    The interval is over the seeds where there are several, else over the clips, as `evaluate_motion` gave it.
    """
    values = [found[name] for found in results if name in found]
    if not values:
        return None
    if len(values) == 1:
        low, high = (results[0].get(f"{name}_{end}", math.nan) for end in ("low", "high"))
        return Cell(values[0], low, high)
    column = torch.tensor(values, dtype=torch.float64)
    return Cell(column.mean().item(), *interval_over_seeds(column))


def document(title: str, about: str, tables: Sequence[Table]) -> str:
    """All tables as one Markdown text."""
    return f"# {title}\n\n{about}\n\n" + "\n".join(table.markdown() for table in tables)


def _figure(value: float) -> str:
    """Three figures or two decimals, more where accuracies near 1 and small errors need them."""
    size = abs(value)
    if 0.95 <= size < 1:
        return f"{value:.4f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.3g}" if 0 < size < 0.1 else f"{value:.2f}"
