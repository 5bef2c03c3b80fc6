"""Which identities train and which test: drawn by a seed, and kept in a file that says how and cannot change unseen."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from kinema.errors import ConfigError, FileError
from kinema.files.guard import reading, writing


@dataclass(frozen=True)
class Split:
    """The identities of both parts, sorted, and how they were chosen."""

    source: str
    """Name of the source of clips."""
    seed: int
    rule: str
    """How the seed decided, in words."""
    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the content as JSON with sorted keys, ASCII, no spaces."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def members(self, split: str) -> tuple[str, ...]:
        """The identities of ``train``, ``test`` or ``all``. Raises ConfigError for another name."""
        parts = {"train": self.train, "test": self.test, "all": tuple(sorted({*self.train, *self.test}))}
        if split not in parts:
            raise ConfigError(f"{self.source}: no split {split!r}; there are {', '.join(parts)}")
        return parts[split]


def split_identities(count: int, test: int, seed: int) -> tuple[Int[Tensor, " train"], Int[Tensor, " test"]]:
    """The numbers 0 to `count` - 1 in two sorted parts, `test` of them held out. ConfigError for an empty part."""
    if not 0 < test < count:
        raise ConfigError(f"{test} of {count} identities cannot be held out; 1 to {count - 1} can")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    return order[test:].sort().values, order[:test].sort().values


def write_split(path: Path, split: Split) -> None:
    """Write a split as JSON with its hash."""
    with writing(path) as (part,):
        part.write_text(json.dumps({**asdict(split), "sha256": split.sha256}, indent=1) + "\n", encoding="utf-8")


def read_split(path: Path) -> Split:
    """Read what `write_split` wrote. Raises FileError where the file is missing, damaged, or was edited since."""
    with reading(path):
        tree = json.loads(path.read_text(encoding="utf-8"))
        stated = tree.pop("sha256")
        parts = {name: tuple(str(identity) for identity in tree.pop(name)) for name in ("train", "test")}
        split = Split(source=str(tree.pop("source")), seed=int(tree.pop("seed")), rule=str(tree.pop("rule")), **parts)
    if stated != split.sha256 or tree:
        raise FileError(f"{path}: its sha256 does not fit its content, so it was edited; take the original file again")
    return split
