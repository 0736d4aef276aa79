"""Cells that kinds share."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apiserver.resources import columns
from machinery.api import times

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    columns.set_clock(lambda: NOW)
    yield
    columns.set_clock(times.now)


M, H, D, Y = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (2 * M, "2m"),
        (3 * M + 20, "3m20s"),
        (9 * M + 59, "9m59s"),
        (10 * M + 30, "10m"),
        (179 * M, "179m"),
        (3 * H, "3h"),
        (7 * H + 59 * M, "7h59m"),
        (8 * H + 59 * M, "8h"),
        (47 * H, "47h"),
        (2 * D, "2d"),
        (2 * D + 4 * H, "2d4h"),
        (8 * D + 4 * H, "8d"),
        (400 * D, "400d"),
        (2 * Y, "2y"),
        (2 * Y + 9 * D, "2y9d"),
        (8 * Y + 9 * D, "8y"),
    ],
)
def test_an_age_has_two_units_at_most(seconds: float, text: str) -> None:
    assert columns.human_duration(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [("2026-01-09T23:59:00Z", "60s"), ("2026-01-08T00:00:00.000000Z", "2d"), ("", "<unknown>"), (None, "<unknown>")],
)
def test_an_age_is_counted_from_the_clock(moment: str | None, text: str) -> None:
    assert columns.since(moment) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "<none>"), (["a"], "a"), (["a", "b", "c"], "a,b,c"), (["a", "b", "c", "d", "e"], "a,b,c + 2 more...")],
)
def test_long_lists_are_cut_after_three(values: list[str], text: str) -> None:
    assert columns.first_of(values) == text


def test_labels_are_sorted() -> None:
    assert columns.labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert columns.labels_text(None) == "<none>"


def test_selectors_print_as_upstream_prints_them() -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["e", "d"]}]}
    assert columns.selector_text(selector) == "a=b,c in (d,e)"
    assert columns.selector_text({}) == "<none>"
