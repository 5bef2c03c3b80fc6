"""The order of the rooms, the size of the files, and what the package may need: kept by tests, not by memory."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import kinema

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "kinema"
FILES = sorted(PACKAGE.rglob("*.py"))
TOP = (PACKAGE / "__init__.py", PACKAGE / "cli.py")
"""The two that stand above every room; the command imports its verbs by name, the package its public names."""
ORDER = ["verbs", "evaluation", "training", "models", "nn", "data", "files", "clip", "motion", "maths", "errors"]
"""A room imports itself and those after it."""
MAX_LINES = 350

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = PROJECT["dependencies"]
EXTRAS = [r for name in ("video", "mocap") for r in PROJECT["optional-dependencies"][name]]
IMPORTED_AS = {"Pillow": "PIL", "PyYAML": "yaml"}
"""Distributions whose module has another name."""


def modules(file: Path) -> list[str]:
    """The modules that a file imports, those inside functions too; ``from kinema import files`` is kinema.files."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import, which this test cannot place"
            parent = str(node.module)
            found += [f"kinema.{alias.name}" for alias in node.names] if parent == "kinema" else [parent]
    return found


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def distribution(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ]", requirement)[0]


def test_every_room_has_its_place() -> None:
    rooms = {room(file) for file in FILES if file not in TOP}
    assert rooms - set(ORDER) <= {"recipes", "builtin"}, "a new room: give it a place in ORDER and in the documentation"


@pytest.mark.parametrize("file", [f for f in FILES if f not in TOP], ids=name)
def test_imports_point_one_way(file: Path) -> None:
    below = ORDER[ORDER.index(room(file)) :] if room(file) in ORDER else []
    for module in modules(file):
        if module.split(".")[0] == "kinema":
            assert module.split(".")[1] in below, f"{name(file)} imports {module}, which stands above it"


def test_a_wrong_import_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("def f():\n    from kinema import cli\n    import kinema.training.loop\n")
    assert modules(file) == ["kinema.cli", "kinema.training.loop"]


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_file_is_long(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= MAX_LINES, f"{name(file)}: {lines} lines; more than {MAX_LINES} hold more than one concept"


def test_the_command_starts_without_torch() -> None:
    heavy = ("torch", "numpy", "matplotlib", "lightning", "PIL", "rich")
    program = f"import sys, kinema, kinema.cli; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_public_names_are_what_the_type_checker_sees() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.asname: (str(node.module), alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {key: (f"kinema.{module}", at) for key, (module, at) in kinema.PUBLIC.items()}
    assert all(getattr(kinema, key).__module__ == module for key, (module, _) in declared.items())
    with pytest.raises(AttributeError, match="swop"):
        _ = kinema.swop


def test_dependencies_are_those_imported() -> None:
    imported = {module.split(".")[0] for file in FILES for module in modules(file)}
    foreign = imported - set(sys.stdlib_module_names) - {"kinema"}
    needed = {IMPORTED_AS.get(d, d) for d in map(distribution, [*RUNTIME, *EXTRAS])}
    assert foreign == needed


def test_every_dependency_is_explained() -> None:
    decisions = (ROOT / "docs" / "decisions.md").read_text()
    extras = [r for extra in PROJECT["optional-dependencies"].values() for r in extra]
    for requirement in {distribution(r) for r in [*RUNTIME, *extras]} - {"kinema"}:
        assert f"**{requirement}**" in decisions, f"docs/decisions.md does not say why {requirement} is needed"
