"""Numbers that may be percentages: rollout settings, disruption budgets (upstream: pkg/apis/apps/validation)."""

import re
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.errors import FieldError

_PERCENT: Final = re.compile(r"[0-9]+%")
_TEXT: Final = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"  # noqa: E501


def amount(value: Any) -> int:
    """The number, whether or not it is a percentage."""
    if isinstance(value, int):
        return value
    return int(value[:-1]) if _PERCENT.fullmatch(value or "") else 0


def is_percent(value: Any) -> bool:
    """Whether it is a percentage."""
    return isinstance(value, str) and bool(_PERCENT.fullmatch(value))


def check(value: Any, path: str, *, most: int = 0) -> list[FieldError]:
    """Not negative, a percentage if it is a text; with `most`, no percentage above that."""
    if isinstance(value, int):
        return fields.non_negative(value, path)
    if not is_percent(value):
        return [errors.invalid_value(path, value, _TEXT)]
    if most and amount(value) > most:
        return [errors.invalid_value(path, value, f"must not be greater than {most}%")]
    return []
