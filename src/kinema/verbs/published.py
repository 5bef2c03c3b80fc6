"""What a published table is made of: its rows, and how they are measured, shown and put together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.evaluation.tables import Rows, Table
from kinema.training.recipe import Recipe


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    """What the table calls it; its folder is called so as well, in small letters, behind the recipe."""
    recipe: str
    """The shipped recipe that it is trained by."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings in which it differs from the recipe, by their dotted names."""
    rule: Callable[[Any], Any] | None = None
    """Makes, for a domain, a model that is fitted to the recipe's data but not trained; None: the recipe's, trained."""
    quick: Mapping[str, str] | None = None
    """Further settings with --quick; None: the row is left out there."""
    whole: bool = True
    """Whether it is a row without --quick too."""


@dataclass(frozen=True)
class Measured:
    """A finished row of one seed."""

    recipe: Recipe
    model: Any
    results: Mapping[str, float]


@dataclass(frozen=True)
class Published:
    """A table that a paper has, or that stands beside it: its rows, and how they are measured and shown."""

    about: str
    rows: tuple[Row, ...]
    compose: Callable[[Rows], list[Table]]
    """Makes the tables of all rows' results."""
    pictures: Callable[[Mapping[str, Measured], bool], Mapping[str, bytes]]
    """Makes PNG files by name of the first seed's models; told whether it is to be quick."""
    measure: Callable[[Any, Recipe, bool, Path], dict[str, float]]
    """Measures a model on the test split of its recipe's data; told whether it is to be quick, and in which folder it
    may keep what rows share, such as judges."""
    quick_data: str = "locomotion-gait"
    """The recipe whose data --quick puts in the place of every row's."""
    sample: str = "{n/all:.0f} test clips, K = {draws:.0f} draws"
    """What was measured, in words with the names of results between braces."""

    def described(self, results: Mapping[str, float]) -> str:
        """`sample` with the figures of a row; 0 for what it does not have."""
        return re.sub(r"\{([^}:]+)(:[^}]*)\}", lambda m: format(results.get(m[1], 0.0), m[2][1:]), self.sample)


CLIPS = "clips/sum"
"""The name of a number that tells test clips apart, such as the sum of all their coordinates, among the results."""
