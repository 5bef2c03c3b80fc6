"""What the README and the guides show is what happens: their blocks are run, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kinema.cli import VERBS
from kinema.training.run import builtin_runs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not executed: (?P<reason>[^\n]+?) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
PROGRAMS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
SHOWN = {"text", "yaml", "bibtex", "toml"}
"""Languages of blocks that are read, not run."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    reason: str | None
    """Why it is not run; None where it is."""


def blocks(page: Path) -> list[Block]:
    return [Block(m["language"], m["text"], m["reason"]) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def label(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_blocks_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text\n```sh\na\nb\n```\n<!-- not executed: too long -->\n```sh\nc\n```\n```python\nd\n```\n")
    assert blocks(page) == [Block("sh", "a\nb\n", None), Block("sh", "c\n", "too long"), Block("python", "d\n", None)]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_block_has_a_known_language(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks(page)), "a block without a language"
    assert {block.language for block in blocks(page)} <= {*PROGRAMS, *SHOWN}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=label)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    run = [block for block in blocks(page) if block.language in PROGRAMS and block.reason is None]
    for name in ("sprites", "gait"):
        if any(f"builtin:{name}" in block.text for block in run) and name not in builtin_runs():
            pytest.skip(f"builtin:{name} is not in this tree")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in run:
        command = [*PROGRAMS[block.language], block.text]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, f"{label(page)}:\n{block.text}\n{done.stdout}\n{done.stderr}"


def test_readme_names_every_verb() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"kinema {verb}" not in readme] == []


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{label(page)}: {link} leads nowhere"
