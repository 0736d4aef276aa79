"""Golden files of this folder: UPDATE_GOLDEN=1 rewrites them, to be read in the diff."""

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("golden")


def check(name: str, text: str) -> None:
    """Assert that `text` is what the golden file says."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
