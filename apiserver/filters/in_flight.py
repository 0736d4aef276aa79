"""At most so many requests at a time, reading and changing ones counted apart; and a deadline for each.

Long-running requests (watch, log, exec …) are neither counted nor timed (upstream: filters/maxinflight.go, timeout.go).
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from apiserver.authz.authorizer import MASTERS
from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from apiserver.filters.request_info import is_long_running
from machinery.api import errors, times

_LONGEST: Final = 1e9  # seconds; more than a loop's timer takes
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
        deadline = _deadline(trip, self._limits.seconds)
        self.reading += reads
        self.changing += not reads
        try:
            async with asyncio.timeout(deadline):
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


def _deadline(trip: Exchange, most: float) -> float | None:
    """Seconds until the request is given up: what the client says in `timeout`, at most the server's; BadRequest."""
    text = trip.param("timeout") if trip.query else ""
    try:
        asked = times.duration(text) if text else 0.0
    except ValueError as problem:
        raise errors.BadRequest(f"invalid timeout specified in the request URL - {problem}") from problem
    return min(filter(None, (min(max(asked, 0.0), _LONGEST), most)), default=None)
