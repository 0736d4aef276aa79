"""A queue of keys to work on. Who works, and what a key means, is machinery.client.controller.

Theory of operation (upstream: client-go/util/workqueue/queue.go, delaying_queue.go).
A key is in up to two of three places: `dirty` (needs work), `queue` (the order of the dirty ones nobody works on) and
`processing` (somebody works on it).
- A key is worked on by one worker at a time: `add` of a key in processing only marks it dirty; `done` queues it again.
- A key added many times before a worker takes it is worked on once.
- A delayed key keeps the earliest of its times; it is added when its time has come, not sooner.
Refused: a task per delayed key (thousands of timers for thousands of keys) and priorities (FIFO starves nobody).
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from itertools import count
from typing import Any, Generic, TypeVar

from machinery.aio.backoff import PerKeyBackoff
from machinery.aio.clock import REAL, Clock

K = TypeVar("K", bound=Hashable)


class QueueShutDown(Exception):
    """Nothing more will come out of the queue."""


class WorkQueue(Generic[K]):
    """FIFO of distinct keys with delays and per-key back-off."""

    def __init__(self, clock: Clock = REAL, backoff: PerKeyBackoff[K] | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or PerKeyBackoff()
        self._queue: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._waiting: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._order = count()
        self._changed = asyncio.Event()
        self._shut_down = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: K) -> None:
        """The key needs work."""
        if self._shut_down or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._queue.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """The key needs work in so many seconds; an earlier time already set wins."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._shut_down or self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._waiting, (due, next(self._order), key))
        self._changed.set()

    def add_rate_limited(self, key: K) -> None:
        """The key failed: again after its back-off."""
        self.add_after(key, self._backoff.next(key))

    def forget(self, key: K) -> None:
        """The key succeeded: its back-off starts anew."""
        self._backoff.forget(key)

    def num_requeues(self, key: K) -> int:
        """How often the key failed in a row."""
        return self._backoff.failures(key)

    async def get(self) -> K:
        """The next key, now in processing until `done`; raises QueueShutDown once shut down and empty."""
        while True:
            self._move_due()
            if self._queue:
                key = self._queue.popleft()
                self._dirty.discard(key)
                self._processing.add(key)
                return key
            if self._shut_down:
                raise QueueShutDown
            await self._wait_for_change()

    def done(self, key: K) -> None:
        """The worker is through with the key; it comes back at once if it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty:
            self._queue.append(key)
            self._changed.set()

    def shut_down(self) -> None:
        """Take nothing more; `get` raises when the queue has drained."""
        self._shut_down = True
        self._changed.set()

    def _move_due(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            due, _, key = heapq.heappop(self._waiting)
            if self._due.get(key) == due:  # else an earlier time replaced this one
                del self._due[key]
                self.add(key)

    async def _wait_for_change(self) -> None:
        self._changed.clear()  # set wakes every waiting worker; those who find the queue empty again come back here
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if self._waiting:
            delay = self._waiting[0][0] - self._clock.monotonic()
            waits.append(asyncio.ensure_future(self._clock.sleep(delay)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
