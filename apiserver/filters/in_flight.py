"""At most so many requests at a time, reading and changing ones counted apart; and a deadline for each.

Long-running requests (watch, log, exec …) are neither counted nor timed (upstream: filters/maxinflight.go, timeout.go).
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from apiserver.authz.authorizer import MASTERS
from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from apiserver.filters.request_info import is_long_running
from machinery.api import errors, times

_LONGEST: Final = 1e9  # seconds; more than a loop's timer takes
_LOOK_SECONDS: Final = 0.25
_READING: Final = frozenset(("get", "list", "watch"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of requests; 0 is no limit. `seconds` is the deadline of each."""

    reading: int = 400
    changing: int = 200
    seconds: float = 60.0


class InFlightFilter:
    """Answers 429 above the limits and 504 past the deadline."""

    def __init__(self, app: Application, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self.reading = 0
        self.changing = 0
        self.long_running = 0
        self._deadlines = Deadlines()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, go on, count down."""
        trip = exchange.of(scope)
        if is_long_running(trip.info):
            self.long_running += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self.long_running -= 1
            return
        reads = trip.info.verb in _READING
        self._check(trip, reads)
        seconds = _deadline(trip, self._limits.seconds)
        self.reading += reads
        self.changing += not reads
        try:
            with self._deadlines.within(seconds):
                await self._app(scope, receive, send)
        except TimeoutError as problem:
            raise errors.Timeout("Timeout: request did not complete within the allotted timeout", {}) from problem
        finally:
            self.reading -= reads
            self.changing -= not reads

    def _check(self, trip: Exchange, reads: bool) -> None:
        limit, running = (self._limits.reading, self.reading) if reads else (self._limits.changing, self.changing)
        if limit and running >= limit and MASTERS not in trip.user.groups:
            message = "Too many requests, please try again later."
            raise errors.TooManyRequests(message, {"retryAfterSeconds": 1})


class Deadlines:
    """What is under way and by when it has to be over. One timer looks at all: most requests end before a timer of
    their own would have been worth its making."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._watching = False

    def within(self, seconds: float | None) -> "_Within":
        """A context whose task is cancelled when it takes longer, up to a quarter of a second late: TimeoutError."""
        return _Within(self, seconds)

    def begin(self, task: asyncio.Task[Any], seconds: float) -> None:
        """The task has so many seconds from now."""
        loop = task.get_loop()
        self._running[task] = loop.time() + seconds
        if seconds < _LOOK_SECONDS:  # a client that is in a hurry
            loop.call_later(seconds, self._end, task)
        if not self._watching:
            self._watching = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def finish(self, task: asyncio.Task[Any]) -> bool:
        """The task is done with it; whether it was cancelled for being late."""
        self._running.pop(task, None)
        late = task in self._expired
        self._expired.discard(task)
        return late

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, at in self._running.items() if at <= now]:
            self._end(task)
        self._watching = bool(self._running)
        if self._watching:
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _end(self, task: asyncio.Task[Any]) -> None:
        if self._running.pop(task, None) is not None:
            self._expired.add(task)
            task.cancel()


class _Within:
    """See Deadlines.within (a generator would cost more than what it does)."""

    __slots__ = ("_deadlines", "_seconds", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float | None) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is not None and self._seconds is not None:
            self._deadlines.begin(self._task, self._seconds)

    def __exit__(self, type_: type[BaseException] | None, problem: BaseException | None, traceback: object) -> None:
        task = self._task
        if task is None or not self._deadlines.finish(task):
            return
        if task.uncancel() == 0 and type_ is not None and issubclass(type_, asyncio.CancelledError):
            raise TimeoutError from problem


def _deadline(trip: Exchange, most: float) -> float | None:
    """Seconds until the request is given up: what the client says in `timeout`, at most the server's; BadRequest."""
    text = trip.param("timeout") if trip.query else ""
    try:
        asked = times.duration(text) if text else 0.0
    except ValueError as problem:
        raise errors.BadRequest(f"invalid timeout specified in the request URL - {problem}") from problem
    return min(filter(None, (min(max(asked, 0.0), _LONGEST), most)), default=None)
