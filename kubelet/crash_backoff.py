"""How long a failing container or image waits: 10 s doubling to 5 min, forgotten after 10 quiet minutes.

Upstream: client-go/util/flowcontrol/backoff.go as the kubelet uses it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from machinery.aio.clock import Clock


@dataclass(slots=True)
class _Entry:
    delay: float
    updated: float


class CrashBackoff:
    """One per purpose; all times are wall clock seconds since the epoch, as the runtime reports them."""

    def __init__(self, clock: Clock, initial: float = 10.0, maximum: float = 300.0) -> None:
        self._clock = clock
        self._initial = initial
        self._maximum = maximum
        self._entries: dict[Hashable, _Entry] = {}

    def remaining(self, key: Hashable, since: float) -> float:
        """Seconds to wait on for what failed at `since`; 0 when it may be tried."""
        entry = self._entries.get(key)
        if entry is None or self._is_old(entry, since):
            return 0.0
        return max(0.0, since + entry.delay - self._now())

    def remaining_since_update(self, key: Hashable) -> float:
        """The same for what failed when `next` was last called."""
        entry = self._entries.get(key)
        return max(0.0, entry.updated + entry.delay - self._now()) if entry else 0.0

    def delay(self, key: Hashable) -> float:
        """The current delay, as messages show it."""
        entry = self._entries.get(key)
        return entry.delay if entry else 0.0

    def next(self, key: Hashable, since: float) -> None:
        """It is tried once more after it failed at `since`: wait longer next time."""
        entry = self._entries.get(key)
        fresh = entry is None or self._is_old(entry, since)
        delay = self._initial if fresh or entry is None else min(entry.delay * 2, self._maximum)
        self._entries[key] = _Entry(delay, self._now())

    def forget(self, prefix: str) -> None:
        """Drop every key that begins so (a pod's uid)."""
        for key in [key for key in self._entries if str(key).startswith(prefix)]:
            del self._entries[key]

    def _is_old(self, entry: _Entry, since: float) -> bool:
        return since - entry.updated > 2 * self._maximum

    def _now(self) -> float:
        return self._clock.now().timestamp()


def go_duration(seconds: float) -> str:
    """`10s`, `1m20s`, `5m0s`: how upstream's messages print a delay."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60}s"
