"""Modules that are loaded when they are first needed: what few clusters use should cost only those.

The CEL library alone is 18 MB of memory, in every process that imports it.
"""

import importlib
from typing import Any


def load(name: str) -> Any:
    """A module by its full name, loaded now if it was not."""
    return importlib.import_module(name)
