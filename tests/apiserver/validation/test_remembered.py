"""What was found good once is not looked at again; what was bad is."""

import pytest

from apiserver.validation import remembered
from apiserver.validation.remembered import Remembered


def test_good_values_are_checked_once_and_bad_ones_every_time() -> None:
    memory, asked = Remembered[str](), list[str]()

    def work(name: str, *complaints: str) -> list[str]:
        asked.append(name)
        return list(complaints)

    for _ in range(2):
        assert memory.check(b"good", lambda: work("good")) == []
        assert memory.check(b"bad", lambda: work("bad", "is bad")) == ["is bad"]
    assert asked == ["good", "bad", "bad"]


def test_the_least_recently_asked_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_MOST", 2)
    memory, asked = Remembered[str](), list[bytes]()

    def check(raw: bytes) -> None:
        def work() -> list[str]:
            asked.append(raw)
            return []

        memory.check(raw, work)

    for raw in (b"a", b"b", b"a", b"c", b"a", b"b"):
        check(raw)
    assert asked == [b"a", b"b", b"c", b"b"]


def test_what_is_large_is_not_kept() -> None:
    memory, asked = Remembered[str](), list[int]()
    for number in range(2):
        memory.check(bytes(20_000), lambda number=number: asked.append(number) or [])  # type: ignore[misc,func-returns-value]
    assert asked == [0, 1]
