"""Audit events sent to another server, many at a time and aside from the requests they tell of.

Upstream: apiserver/plugin/pkg/audit/webhook, audit/buffered. The other server is described by a kubeconfig file.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from apiserver.audit.policy import API_VERSION
from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock
from machinery.api import codec
from machinery.api.codec import Json
from machinery.client.config import ClientConfig, ConfigError, load_kubeconfig

logger = logging.getLogger(__name__)

_SECONDS: Final = 30.0
_TRIES: Final = 4


def server_of(kubeconfig: str) -> ClientConfig:
    """The server a kubeconfig file describes; raises ValueError."""
    try:
        return load_kubeconfig(kubeconfig)
    except ConfigError as problem:
        raise ValueError(str(problem)) from problem


@dataclass(frozen=True, slots=True)
class Batching:
    """--audit-webhook-batch-…: events that wait at most, events per request, seconds to wait, first back-off."""

    buffer: int = 10_000
    most: int = 400
    wait: float = 30.0
    backoff: float = 10.0


class Webhook:
    """Collects events and sends them; `run` does the sending."""

    def __init__(self, server: ClientConfig, batching: Batching, clock: Clock = REAL) -> None:
        self._server = server
        self._batching = batching
        self._clock = clock
        self._waiting: list[Json] = []
        self._full = asyncio.Event()
        self._any = asyncio.Event()
        self._lost = 0
        context = server.ssl_context()
        self._client = httpx.AsyncClient(
            verify=context if context is not None else True, timeout=_SECONDS, trust_env=False
        )

    def write(self, events: Sequence[Json]) -> None:
        """Take events; those above the buffer are lost, which is logged once until there is room again."""
        room = self._batching.buffer - len(self._waiting)
        if room < len(events):
            if not self._lost:
                logger.error("the audit webhook is behind: events are dropped")
            self._lost += len(events) - max(room, 0)
        self._waiting += events[: max(room, 0)]
        if self._waiting:
            self._any.set()
        if len(self._waiting) >= self._batching.most:
            self._full.set()

    async def run(self) -> None:
        """Send for ever; what waits when it is cancelled is sent first, as far as the server takes it."""
        try:
            while True:
                await self._any.wait()
                await self._filled()
                await self._send(self._take())
        finally:
            while self._waiting:
                await self._post(self._take())
            await self._client.aclose()

    async def _filled(self) -> None:
        """Until a batch is full, or the first event has waited long enough."""
        sleeping = asyncio.ensure_future(self._clock.sleep(self._batching.wait))
        filling = asyncio.ensure_future(self._full.wait())
        try:
            await asyncio.wait((sleeping, filling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            filling.cancel()

    def _take(self) -> list[Json]:
        batch, self._waiting = self._waiting[: self._batching.most], self._waiting[self._batching.most :]
        if not self._waiting:
            self._any.clear()
        if len(self._waiting) < self._batching.most:
            self._full.clear()
        if self._lost:
            logger.error("%d audit events were dropped", self._lost)
            self._lost = 0
        return batch

    async def _send(self, batch: list[Json]) -> None:
        backoff = Backoff(self._batching.backoff, 1.5, 60.0)
        for _ in range(_TRIES):
            if await self._post(batch):
                return
            await self._clock.sleep(backoff.next())
        if not await self._post(batch):
            logger.error("%d audit events could not be delivered and are given up", len(batch))

    async def _post(self, batch: list[Json]) -> bool:
        body = codec.dumps({"kind": "EventList", "apiVersion": API_VERSION, "metadata": {}, "items": batch})
        headers = {"content-type": "application/json"}
        if token := self._server.bearer_token():
            headers["authorization"] = f"Bearer {token}"
        try:
            answer = await self._client.post(self._server.server, content=body, headers=headers)
        except httpx.HTTPError as problem:
            logger.warning("the audit webhook cannot be reached: %r", problem)
            return False
        if answer.is_success:
            return True
        logger.warning("the audit webhook answered %d", answer.status_code)
        return False
