"""Watches every resource that can be deleted, as metadata only, and hands on what it sees. The graph is `graph`'s.

Upstream: pkg/controller/garbagecollector/graph_builder.go (monitors), client-go/metadata.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from controller_manager.discovery import Resource, discover
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.http1 import Response
from machinery.client.informer import Informer
from machinery.client.rest import Client
from machinery.client.watch import Scope

logger = logging.getLogger(__name__)

_AS: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
_IGNORED: Final = frozenset((("", "events"), ("events.k8s.io", "events")))
_SYNC_SECONDS: Final = 30.0

Seen = Callable[[Kind, Json | None, Json | None], None]


class MetadataClient(Client):
    """A client that asks for metadata only; a server that knows no such thing sends whole objects."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """As Client.request, for lists."""
        asked = {"accept": _AS.format("List"), **(headers or {})}
        return await super().request(method, path, params=params, body=body, headers=asked)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> AsyncIterator[Response]:
        """As Client.stream, for watches."""
        asked = {"accept": _AS.format(""), **(headers or {})}
        async with super().stream(path, params=params, headers=asked, read_timeout=read_timeout) as response:
            yield response


def worth_watching(resource: Resource) -> bool:
    """Whether objects of a resource can be listed, watched and deleted, and are not mere events."""
    identity = (resource.kind.group, resource.kind.plural)
    return identity not in _IGNORED and resource.allows("list", "watch", "delete")


class Monitors:
    """One informer per resource, started and stopped as discovery shows them."""

    def __init__(self, client: Client, metadata: Client, seen: Seen, gone: Callable[[Kind], None]) -> None:
        self._client = client
        self._metadata = metadata
        self._seen = seen
        self._gone = gone
        self._running: dict[Kind, tuple[Informer, asyncio.Task[None]]] = {}
        self._resources: dict[tuple[str, str], Resource] = {}

    def resource_for(self, api_version: str, kind: str) -> Resource | None:
        """The resource behind an apiVersion and kind, whichever of its versions is named."""
        group = api_version.rpartition("/")[0]
        return self._resources.get((group, kind))

    async def sync(self, group: asyncio.TaskGroup) -> None:
        """Start and stop informers as discovery shows; raises StatusError or OSError when it does not answer."""
        found = await discover(self._client)
        if found.failed:
            logger.info("discovery is not complete: %s", found.failure_text())
        fresh = {(r.kind.group, r.kind.kind): r for r in found.resources}
        failed = {name.rpartition("/")[0] for name in found.failed}
        known = {key: r for key, r in self._resources.items() if r.kind.group in failed}
        self._resources = {**known, **fresh}
        wanted = {r.kind for r in self._resources.values() if worth_watching(r)}
        for kind in self._running.keys() - wanted:
            self._stop(kind)
        for kind in sorted(wanted - self._running.keys(), key=lambda kind: kind.resource):
            self._start(kind, group)

    async def wait_for_sync(self) -> None:
        """Until every informer has listed once, but not for ever: one unreadable resource must not stop all others."""
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                for informer, _ in list(self._running.values()):
                    await informer.synced.wait()
        except TimeoutError:
            lagging = [kind.resource for kind, (informer, _) in self._running.items() if not informer.synced.is_set()]
            logger.warning("going on without these resources until they can be read: %s", ", ".join(lagging))

    def _start(self, kind: Kind, group: asyncio.TaskGroup) -> None:
        informer = Informer(self._metadata, Scope(kind))
        informer.add_handler(lambda old, new: self._seen(kind, old, new))
        self._running[kind] = informer, group.create_task(informer.run(), name=f"monitor {kind.resource}")

    def _stop(self, kind: Kind) -> None:
        _, task = self._running.pop(kind)
        task.cancel()
        self._gone(kind)
        logger.info("the resource %s is gone", kind.resource)
