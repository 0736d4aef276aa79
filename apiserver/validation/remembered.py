"""Remembers which values were found good, by their bytes: a ReplicaSet's pods have one spec between them."""

from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

Complaint = TypeVar("Complaint")

_MOST: Final = 512
_LARGEST: Final = 1 << 14  # bytes; larger ones are checked every time


class Remembered(Generic[Complaint]):
    """Good values of one kind of check, the least recently asked for forgotten first. Bad ones are not remembered."""

    def __init__(self) -> None:
        self._good: dict[bytes, None] = {}
        self._lock = Lock()  # large objects are checked in threads

    def check(self, raw: bytes, work: Callable[[], list[Complaint]]) -> list[Complaint]:
        """What `work` finds, which must depend on nothing but what `raw` stands for."""
        with self._lock:
            if raw in self._good:
                self._good[raw] = self._good.pop(raw)
                return []
        found = work()
        if not found and len(raw) <= _LARGEST:
            with self._lock:
                self._good[raw] = None
                if len(self._good) > _MOST:
                    del self._good[next(iter(self._good))]
        return found
