"""Event objects about other objects: recorded at once, sent in the background, repeated ones counted up.

Upstream: client-go/tools/record (event.go, events_cache.go): an equal event within ten minutes patches `count` and
`lastTimestamp` of the first one; more than 25 in a burst about one object are dropped, one more each five minutes.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import EVENTS, Kind
from machinery.client.rest import Client, ConnectionProblem

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 4096
_AGGREGATE_SECONDS: Final = 600.0
_BURST: Final = 25.0
_REFILL_PER_SECOND: Final = 1 / 300
_LONGEST_MESSAGE: Final = 1024


@dataclass(slots=True)
class _Sent:
    name: str
    namespace: str
    count: int
    at: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class EventRecorder:
    """Records events of one component; `run` sends them."""

    def __init__(self, client: Client, component: str, host: str = "", clock: Clock = REAL) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._queue: asyncio.Queue[Json] = asyncio.Queue(maxsize=1000)
        self._sent: OrderedDict[tuple[str, ...], _Sent] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def event(self, obj: Json, kind: Kind, type_: str, reason: str, message: str) -> None:
        """Record `Normal` or `Warning` about an object; never blocks, drops when far behind."""
        self.event_about(meta.object_reference(obj, kind), type_, reason, message)

    def event_about(self, reference: Json, type_: str, reason: str, message: str) -> None:
        """Record about an ObjectReference, which may carry a fieldPath such as `spec.containers{web}`."""
        now = self._clock.now()
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        namespace = reference.get("namespace") or "default"
        event: Json = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{reference['name']}.{_stamp(now.timestamp())}", "namespace": namespace},
            "involvedObject": reference,
            "reason": reason,
            "message": message[:_LONGEST_MESSAGE],
            "source": source,
            "firstTimestamp": times.rfc3339(now),
            "lastTimestamp": times.rfc3339(now),
            "count": 1,
            "type": type_,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            logger.debug("too many events: dropped %s", reason)

    async def run(self) -> None:
        """Send what is recorded, for ever."""
        while True:
            event = await self._queue.get()
            if not self._allowed(event):
                continue
            try:
                await self._send(event)
            except (errors.StatusError, ConnectionProblem) as problem:
                logger.debug("event %s was not written: %s", event["reason"], problem)
            except Exception:  # an event is never worth stopping the component for
                logger.exception("event %s was not written", event["reason"])

    async def _send(self, event: Json) -> None:
        key = _identity(event)
        before = self._sent.get(key)
        now = self._clock.monotonic()
        if before is not None and now - before.at < _AGGREGATE_SECONDS and await self._count_up(before, event):
            before.at = now
            return
        created = await self._client.create(EVENTS, event)
        self._sent[key] = _Sent(meta.name_of(created), meta.namespace_of(created), 1, now)
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    async def _count_up(self, before: _Sent, event: Json) -> bool:
        patch = {"count": before.count + 1, "lastTimestamp": event["lastTimestamp"]}
        try:
            await self._client.patch(EVENTS, before.name, before.namespace, patch)
        except errors.NotFound:
            return False  # it was older than the server keeps events
        before.count += 1
        return True

    def _allowed(self, event: Json) -> bool:
        now = self._clock.monotonic()
        key = event["involvedObject"].get("uid") or event["involvedObject"]["name"]
        bucket = self._buckets.setdefault(key, _Bucket(_BURST, now))
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) * _REFILL_PER_SECOND)
        bucket.at = now
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _identity(event: Json) -> tuple[str, ...]:
    about = event["involvedObject"]
    return (
        about.get("kind", ""),
        about.get("namespace", ""),
        about["name"],
        about.get("uid", ""),
        about.get("fieldPath", ""),
        event["type"],
        event["reason"],
        event["message"],
    )


def _stamp(seconds: float) -> str:
    return f"{int(seconds * 1e9):x}"
