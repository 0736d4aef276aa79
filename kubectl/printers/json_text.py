"""Objects as kubectl's JSON: four spaces, keys sorted, Go's escapes. JSON for the wire is machinery's `codec`."""

import json
from typing import Any

_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\x7f"}
)


def to_json(obj: Any, indent: int | None = 4) -> str:
    """Indented JSON without a newline at the end; HTML's characters are escaped because Go's encoder does so."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(obj, indent=indent, sort_keys=True, ensure_ascii=False, separators=separators)
    return text.translate(_ESCAPES)
