"""Where the real data lies that some tests are run on."""

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """The folder `name` of KINEMA_DATA, or else of ``../shared/data``; skips the test where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KINEMA_DATA") or beside) / name
    if not folder.is_dir():
        pytest.skip(f"real data: there is no {folder}; set KINEMA_DATA to a folder that holds {name}/")
    return folder
