"""Sets of a Job's indexes, written `0,3-5` (upstream: validateIndexesFormat, parseIndexInterval)."""

import re
from collections.abc import Iterator
from typing import Final

from machinery.api import errors
from machinery.api.errors import FieldError

_NUMBER: Final = re.compile(r"[+]?[0-9]+")


def count(text: str, completions: int) -> int:
    """How many indexes a text names; raises ValueError where they are malformed, too large or not in order."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        first, end = _interval(part, completions)
        if last >= first:
            raise ValueError(_order(last, first))
        total += end - first + 1
        last = end
    return total


def named(text: str, completions: int, path: str, name: str) -> tuple[int, list[FieldError]]:
    """How many indexes a field names, and what is wrong with it."""
    try:
        return count(text, completions), []
    except ValueError as error:
        return 0, [errors.invalid_value(path, text, f"error parsing {name}: {error}")]


def overlap(completed: str, failed: str, completions: int) -> str:
    """Upstream's complaint about an index in both, if there is one; malformed parts are not looked at."""
    rest = _intervals(failed, completions)
    other = next(rest, None)
    for first, end in _intervals(completed, completions):
        while other and other[1] < first:
            other = next(rest, None)
        if other and other[0] <= end:
            return f"failedIndexes and completedIndexes overlap at index: {max(first, other[0])}"
    return ""


def _intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        try:
            yield _interval(part, completions)
        except ValueError:
            continue


def _interval(part: str, completions: int) -> tuple[int, int]:
    bounds = part.split("-")
    if len(bounds) > 2:
        text = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise ValueError(f'the fragment "{part}" {text}')
    first = _index(bounds[0], completions)
    if len(bounds) == 1:
        return first, first
    end = _index(bounds[1], completions)
    if first >= end:
        raise ValueError(_order(first, end))
    return first, end


def _index(text: str, completions: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def _order(before: int, after: int) -> str:
    return f"non-increasing order, previous: {before}, current: {after}"
