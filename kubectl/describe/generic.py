"""Any other kind described: its fields, with their names taken apart into words."""

import re
from collections.abc import Iterator
from typing import Any, Final

from kubectl.describe.surroundings import Describer, Surroundings
from kubectl.describe.text import events, head, lower

_SKIPPED: Final = {f".metadata.{field}" for field in ("managedFields", "name", "namespace", "labels", "annotations")}
_ACRONYMS: Final = {"API", "URL", "UID", "GUID", "OSB"}


def lines(found: Surroundings) -> Iterator[str]:
    """From name to events."""
    yield from head(found.object)
    yield from _fields(found.object, "", "")
    yield from events(found.events, found.now)


def _fields(content: dict[str, Any], indent: str, prefix: str) -> Iterator[str]:
    for name, value in sorted(content.items()):
        place = f"{prefix}.{name}"
        if place in _SKIPPED:
            continue
        if isinstance(value, dict):
            yield f"{indent}{words_of(name)}:"
            yield from _fields(value, indent + "  ", place)
        elif isinstance(value, list):
            yield f"{indent}{words_of(name)}:"
            for item in value:
                if isinstance(item, dict):
                    yield from _fields(item, indent + "  ", place)
                else:
                    yield f"{indent}  {_shown(item)}"
        else:
            yield f"{indent}{words_of(name)}:\t{_shown(value)}"


def words_of(name: str) -> str:
    """`apiVersion` → `API Version`; names with digits or dots stay as they are."""
    if re.search(r"[^A-Za-z-]", name):
        return name
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|-+", name)
    return " ".join(_word(part) for part in parts)


def _word(part: str) -> str:
    if part.upper() in _ACRONYMS:
        return part.upper()
    return part.title() if part.islower() else part


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return lower(value)
    return "<nil>" if value is None else str(value)


DESCRIBER = Describer(lines)
