"""Lets a request in when its turn comes, by API Priority and Fairness. Whose turn it is is `apiserver.fairness`'.

Upstream: k8s.io/apiserver/pkg/server/filters/priority-and-fairness.go. Long-running requests wait for nobody.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from apiserver.fairness.flow_schemas import Classifier, Schema, flow_of
from apiserver.fairness.queues import Dispatcher, Level, Limits, Refused
from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from apiserver.filters.request_info import is_long_running
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

#: the objects of a kind as cached: the same list until one of them changes
List = Callable[[Kind], Sequence[Json]]

_LONGEST_WAIT: Final = 15.0  # seconds; a quarter of upstream's request timeout
_CATCH_ALL: Final = Limits("catch-all", seats=13)


class FairnessFilter:
    """Answers 429 where there is no room."""

    def __init__(self, app: Application, list_: List, seats: int) -> None:
        self._app = app
        self._list = list_
        self._seats = seats
        self._schemas: Sequence[Json] = ()
        self._levels: Sequence[Json] = ()
        self._classifier = Classifier()
        self._marks: Mapping[str, list[tuple[bytes, bytes]]] = {}
        self.dispatcher = Dispatcher()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, go on, make room."""
        trip = exchange.of(scope)
        if is_long_running(trip.info):
            await self._app(scope, receive, send)
            return
        self._follow()
        schema = self._classifier.schema_of(trip.user, trip.info)
        level = self._level_of(schema)
        trip.marks = self._marks.get(schema.name, [])
        if not self.dispatcher.enter_at_once(level, trip.user.name):
            await self._enter(trip, schema, level)
        try:
            await self._app(scope, receive, send)
        finally:
            self.dispatcher.leave(level, trip.user.name)

    async def _enter(self, trip: Exchange, schema: Schema, level: Level) -> None:
        try:
            flow = flow_of(schema, trip.user, trip.info)
            await self.dispatcher.enter(level, flow, trip.user.name, _LONGEST_WAIT)
        except Refused as problem:
            message = "Too many requests, please try again later."
            raise errors.TooManyRequests(message, {"retryAfterSeconds": 1}) from problem

    def _level_of(self, schema: Schema) -> Level:
        levels = self.dispatcher.levels
        return levels.get(schema.level) or levels[_CATCH_ALL.name]

    def _follow(self) -> None:
        """Take over changed configuration."""
        schemas, levels = self._list(kinds.FLOW_SCHEMAS), self._list(kinds.PRIORITY_LEVELS)
        if schemas is self._schemas and levels is self._levels and self.dispatcher.levels:
            return
        self._schemas, self._levels = schemas, levels
        limits = {one.name: one for one in limits_of(levels, self._seats)}
        limits.setdefault(_CATCH_ALL.name, _CATCH_ALL)
        self.dispatcher.configure(limits.values())
        found = [Schema.of(schema) for schema in schemas]
        self._classifier = Classifier(schema for schema in found if schema.level in limits)
        self._marks = {schema.name: _marks(schema, limits.get(schema.level)) for schema in found}


def limits_of(levels: Sequence[Json], seats: int) -> list[Limits]:
    """The levels with their seats: of all, in proportion to their shares, rounded up (upstream: apf_controller.go)."""
    shares = {meta.name_of(level): _part(level).get("nominalConcurrencyShares") or 0 for level in levels}
    total = sum(shares.values()) or 1
    return [_limits(level, math.ceil(seats * shares[meta.name_of(level)] / total)) for level in levels]


def _limits(level: Json, seats: int) -> Limits:
    part = _part(level)
    queuing = (part.get("limitResponse") or {}).get("queuing") or {}
    borrowing = part.get("borrowingLimitPercent")
    return Limits(
        name=meta.name_of(level),
        uid=meta.uid_of(level),
        exempt=(level.get("spec") or {}).get("type") == "Exempt",
        seats=max(seats, 1),
        lendable=round(seats * (part.get("lendablePercent") or 0) / 100),
        borrowing=None if borrowing is None else round(seats * borrowing / 100),
        queues=queuing.get("queues") or 0,
        hand=queuing.get("handSize") or 1,
        length=queuing.get("queueLengthLimit") or 50,
    )


def _part(level: Json) -> Json:
    spec = level.get("spec") or {}
    found: Json = spec.get("limited") or spec.get("exempt") or {}
    return found


def _marks(schema: Schema, limits: Limits | None) -> list[tuple[bytes, bytes]]:
    """The headers that tell a client what its request counted as."""
    level = limits.uid if limits else ""
    return [
        (b"x-kubernetes-pf-flowschema-uid", schema.uid.encode()),
        (b"x-kubernetes-pf-prioritylevel-uid", level.encode()),
    ]
