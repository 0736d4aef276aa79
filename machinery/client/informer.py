"""Informers: a cache per watched collection, kept by list and watch. The loop over keys is `controller`.

Theory of operation (upstream: client-go/tools/cache/reflector.go, shared_informer.go).
- List once, then watch from the list's revision; bookmarks move the revision on. The watch ending is normal: watch
  again from the last revision. A broken connection too. Expired (410) and every other refusal: list again and hand the
  difference to the handlers, so that a handler sees each object's latest state, though not each step.
- Handlers are synchronous and only compute keys. They see (old, new): old is None for an add, new is None for a delete.
- The store is changed before the handlers are called: a handler that enqueues a key is sure that `reconcile` sees at
  least the state that caused it.
- Equal arguments share one informer. Handlers added after the start see the objects already there as adds.
Refused: resync timers (level-triggered controllers that miss nothing do not need them), a delta queue (handlers are
cheap and run in order on the one loop).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.rest import Client, ConnectionProblem
from machinery.client.store import Lister, Store
from machinery.client.watch import Scope, WatchEvent, watch

logger = logging.getLogger(__name__)

#: (old, new): None for what is not there
OnChange = Callable[[Json | None, Json | None], None]
#: changes an object before it is kept
Trim = Callable[[Json], None]

_WATCH_SECONDS: Final = 400
_SHORT_SECONDS: Final = 1.0  # a watch that ends before, and brings nothing, counts as broken


def without_managed_fields(obj: Json) -> None:
    """They may be half of an object (upstream: cache.TransformStripManagedFields)."""
    obj["metadata"].pop("managedFields", None)


class Informer:
    """The cache of one collection."""

    def __init__(self, client: Client, scope: Scope, clock: Clock = REAL, trim: Trim | None = None) -> None:
        self.store = Store()
        self._trim = trim
        self.synced = asyncio.Event()
        self.revision = ""
        self._client = client
        self._scope = scope
        self._clock = clock
        self._handlers: list[OnChange] = []

    def add_handler(self, handler: OnChange) -> None:
        """Call the handler for each change from now on, and for each object that is there already."""
        self._handlers.append(handler)
        for obj in self.store.list():
            self._call(handler, None, obj)

    async def run(self) -> None:
        """Keep the cache up to date for ever."""
        backoff = Backoff(initial=0.2, maximum=10.0)
        last = ""
        while True:
            try:
                if not self.revision:
                    await self._list()
                await self._watch(backoff)
                last = ""
            except (errors.Expired, errors.Gone):
                self.revision = ""
                await self._clock.sleep(backoff.next())
            except (errors.StatusError, ConnectionProblem, OSError, ValueError) as problem:
                if str(problem) != last:
                    last = str(problem)
                    logger.warning("%s: list and watch: %s; trying again", self._scope.kind.resource, problem)
                if isinstance(problem, errors.StatusError):
                    self.revision = ""
                await self._clock.sleep(backoff.next())
            except Exception as problem:  # what is said in another form must not end the process: read it all anew
                if repr(problem) != last:
                    last = repr(problem)
                    logger.exception("%s: list and watch: what came is not understood", self._scope.kind.resource)
                self.revision = ""
                await self._clock.sleep(backoff.next())

    async def _list(self) -> None:
        scope = self._scope
        answer = await self._client.list(
            scope.kind, scope.namespace, label_selector=scope.label_selector, field_selector=scope.field_selector
        )
        present = set()
        for item in answer.get("items") or ():
            item.setdefault("apiVersion", scope.kind.api_version)
            item.setdefault("kind", scope.kind.kind)
            present.add(meta.key_of(item))
            self._put(item)
        for key in self.store.without(present):
            self._tell(self.store.remove(key), None)
        self.revision = meta.resource_version_of(answer)
        self.synced.set()

    async def _watch(self, backoff: Backoff) -> None:
        began, is_short = self._clock.monotonic(), True
        try:
            async for event in watch(self._client, self._scope, self.revision, timeout_seconds=_WATCH_SECONDS):
                is_short = False
                self._apply(event)
        finally:
            is_short = is_short and self._clock.monotonic() - began < _SHORT_SECONDS
            if not is_short:
                backoff.reset()
        if is_short:
            raise ConnectionProblem("the watch ended at once")

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            old = self.store.remove(meta.key_of(event.object))
            self._tell(old or event.object, None)
        elif event.type != "BOOKMARK":
            self._put(event.object)
        self.revision = meta.resource_version_of(event.object) or self.revision

    def _put(self, obj: Json) -> None:
        if self._trim is not None:
            self._trim(obj)
        old = self.store.put(obj)
        if old is None or meta.resource_version_of(old) != meta.resource_version_of(obj):
            self._tell(old, obj)

    def _tell(self, old: Json | None, new: Json | None) -> None:
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: OnChange, old: Json | None, new: Json | None) -> None:
        try:
            handler(old, new)
        except Exception:  # one handler's mistake must not keep the others, or the cache, from going on
            logger.exception("%s: a handler failed on %s", self._scope.kind.resource, meta.key_of(new or old or {}))


class Informers:
    """All informers of a process: shared by scope, started together. `trim` takes away what nobody here reads."""

    def __init__(self, client: Client, clock: Clock = REAL, trim: Trim | None = None) -> None:
        self._trim = trim
        self._client = client
        self._clock = clock
        self._informers: dict[Scope, Informer] = {}
        self._group: asyncio.TaskGroup | None = None

    def watch(
        self,
        kind: Kind,
        *,
        on_change: OnChange | None = None,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
    ) -> Lister:
        """The cache of a collection; starts filling at `run`, or at once when that is under way."""
        scope = Scope(kind, namespace, label_selector, field_selector)
        informer = self._informers.get(scope)
        if informer is None:
            informer = self._informers[scope] = Informer(self._client, scope, self._clock, self._trim)
            if self._group is not None:
                self._group.create_task(informer.run(), name=f"informer {kind.resource}")
        if on_change is not None:
            informer.add_handler(on_change)
        return informer.store

    async def run(self) -> None:
        """Keep all caches up to date for ever, those added later too."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for scope, informer in self._informers.items():
                group.create_task(informer.run(), name=f"informer {scope.kind.resource}")
            await asyncio.Event().wait()

    async def wait_for_sync(self) -> None:
        """Until every cache asked for so far has been listed once."""
        for informer in list(self._informers.values()):
            await informer.synced.wait()
