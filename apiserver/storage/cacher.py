"""The watch cache: every object of the server in memory, as bytes. What is done with them is for registry and handlers.

Theory of operation
-------------------
One watch over the whole of etcd feeds all collections. Since every revision of the store is a change of some key,
each revision arrives as an event, and `revision` (everything up to here is applied) follows the store's own
counter without progress requests, which old etcd versions answer too early. Keys outside /registry
(compact_rev_key …) count for the revision and for nothing else.

Guarantees. (1) Changes are applied in the order of revisions, each once, all on the event loop without awaiting:
who reads several entries without awaiting sees one revision. (2) `fresh` returns when the cache has all writes
that were acknowledged before it was called: it asks etcd for its revision and waits until the cache is there. (3)
A watcher that started at revision R is told every change after R that concerns its selection, in order, or is
closed. (4) An event's frame is made once, whoever watches. (5) An entry never changes; bytes are shared and never
copied, except to put the resourceVersion in.

The previous state of a changed object, which selectors and deletions need, is the cache's own entry; asking etcd
for it as well (prev_kv) would double the traffic.

When etcd cannot be reached, the cache stays as it is: reads that allow any revision are answered, consistent ones
fail. When the revision to resume at was compacted, everything is listed again and compared: what differs is
applied as changes, so watchers go on; they miss states in between, as a client may. An object that was deleted and
made again meanwhile is told as two changes. Should the store be behind the cache (a backup was restored), watchers
are closed with Compacted.

Keys that belong to no collection are kept as bytes, so that a collection made later (a new custom kind) starts
complete.

Refused: one etcd watch per resource (no common revision, and a hundred streams), decoded objects (five times the
memory, and garbage collection pauses of 200 ms), a cache that is filled by reads.
"""

import asyncio
import gc
import heapq
import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from apiserver.storage import keys
from apiserver.storage.collection import Collection
from apiserver.storage.errors import Compacted, FutureRevision, StorageError
from apiserver.storage.interface import Change, Changes, KeyValue, Storage
from apiserver.storage.objects import Schema
from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)

_PAGE: Final = 1000  # keys; a smaller page would make etcd count the prefix more often
#: how long a read waits for a revision the cache has not seen, seconds (upstream: blockTimeout)
WAIT_SECONDS: Final = 3.0


@dataclass(order=True, slots=True)
class _Waiter:
    revision: int
    order: int
    future: asyncio.Future[None] = field(compare=False)


class Cacher:
    """All collections and the loop that keeps them up to date."""

    def __init__(self, storage: Storage, clock: Clock = REAL) -> None:
        self.revision = 0
        self.storage = storage
        self._clock = clock
        self._collections: dict[str, Collection] = {}
        self._others: dict[str, KeyValue] = {}
        self._waiters: list[_Waiter] = []
        self._order = count()
        self._filled = asyncio.Event()

    # collections

    def collection(self, schema: Schema) -> Collection:
        """The collection under a prefix, made now if it is not there; later calls with that prefix get the same one."""
        path = schema.prefix[len(keys.ROOT) : -1]
        found = self._collections.get(path)
        if found is None:
            found = self._collections[path] = Collection(schema, self.revision)
            claimed = sorted(key for key in self._others if key.startswith(schema.prefix))
            found.load([self._others.pop(key) for key in claimed], self.revision)
        return found

    def drop_collection(self, prefix: str) -> None:
        """A kind is no longer served: its objects go back to the bytes nobody claims, its watchers end."""
        found = self._collections.pop(prefix[len(keys.ROOT) : -1], None)
        if found is None:
            return
        for watcher in found.watchers():
            watcher.close()
        for tail in found.tails():
            entry = found.at(tail)
            assert entry is not None
            key = prefix + tail
            self._others[key] = KeyValue(key, entry.stored, entry.revision, entry.created)

    def _find(self, key: str) -> Collection | None:
        """The collection a key lies in: its prefix has one path segment or two."""
        parts = key[len(keys.ROOT) :].split("/", 2)
        found = self._collections.get(f"{parts[0]}/{parts[1]}") if len(parts) > 2 else None
        if found is not None:  # an empty collection is false
            return found
        return self._collections.get(parts[0]) if len(parts) > 1 else None

    # waiting

    async def wait_until_filled(self) -> None:
        """Until the first list is complete."""
        await self._filled.wait()

    @property
    def filled(self) -> bool:
        """Whether the first list is complete."""
        return self._filled.is_set()

    async def wait_until(self, revision: int) -> None:
        """Until the cache has seen a revision; raises FutureRevision after WAIT_SECONDS."""
        if self.revision >= revision:
            return
        waiter = _Waiter(revision, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await waiter.future
        except TimeoutError as problem:
            if self.revision >= revision:  # reached in the same moment
                return
            self._waiters.remove(waiter)
            heapq.heapify(self._waiters)
            raise FutureRevision(revision, self.revision) from problem

    async def fresh(self) -> int:
        """Until the cache has every write acknowledged before this call; the revision it needed. Raises Unavailable."""
        revision = await self.storage.current_revision()
        await self.wait_until(revision)
        return revision

    # the loop

    async def run(self) -> None:
        """List, follow, and list again when following is no longer possible; for ever."""
        backoff = Backoff(0.2, 2.0, 5.0)
        while True:
            try:
                await self._list()
                backoff.reset()
                await self._follow()
            except Compacted:
                logger.warning("the watch at revision %d was compacted away, listing again", self.revision)
            except StorageError as problem:
                logger.warning("etcd cannot be listed: %s", problem)
            await self._clock.sleep(backoff.next())

    async def _follow(self) -> None:
        async with aclosing(self.storage.watch("", self.revision + 1)) as watch:
            async for changes in watch:
                self.apply(changes)

    async def _list(self) -> None:
        items: dict[str, KeyValue] = {}
        page = await self.storage.range(keys.ROOT, limit=_PAGE)
        revision = page.revision
        items.update((item.key, item) for item in page.items)
        while page.more:
            start = keys.after(page.items[-1].key)
            page = await self.storage.range(keys.ROOT, start=start, limit=_PAGE, revision=revision)
            items.update((item.key, item) for item in page.items)
        if revision < self.revision:
            self._start_over()
        if self._filled.is_set():
            await self._compare(items, revision)
        else:
            await self._load(items, revision)
        self._reach(revision)
        self._filled.set()

    async def _load(self, items: dict[str, KeyValue], revision: int) -> None:
        """The first content, collection by collection, with a breath between."""
        parts: dict[str, list[KeyValue]] = {path: [] for path in self._collections}
        for key, item in items.items():
            found = self._find(key)
            if found is None:
                self._others[key] = item
            else:
                parts[found.schema.prefix[len(keys.ROOT) : -1]].append(item)
        for path, part in parts.items():
            with _without_collection():
                self._collections[path].load(part, revision)
            await asyncio.sleep(0)

    async def _compare(self, items: dict[str, KeyValue], revision: int) -> None:
        """Apply as changes what a new list has that the cache has not."""
        changes: list[Change] = []
        for collection in self._collections.values():
            changes += _differences(collection, items, revision)
            await asyncio.sleep(0)
        claimed = {key for key in items if self._find(key) is not None}
        self._others = {key: item for key, item in items.items() if key not in claimed}
        changes.sort(key=lambda change: change.revision)
        self.apply(Changes(revision, changes))

    def _start_over(self) -> None:
        logger.error("etcd is behind the cache: it was restored or replaced; everybody has to list again")
        self.revision = 0
        for collection in self._collections.values():
            for watcher in collection.watchers():
                watcher.close(Compacted())
            collection.load((), 0)
        self._others.clear()
        self._filled.clear()

    def apply(self, changes: Changes) -> None:
        """Changes as they come from the storage's watch."""
        now = self._clock.monotonic()
        for change in changes.changes:
            if change.key.startswith(keys.ROOT):
                self._apply(change, now)
        self._reach(changes.revision)

    def _apply(self, change: Change, now: float) -> None:
        collection = self._find(change.key)
        item = None
        if change.value is not None:
            item = KeyValue(change.key, change.value, change.revision, change.created)
        if collection is not None:
            entry = collection.parse(item) if item is not None else None
            collection.apply(change.key[len(collection.schema.prefix) :], entry, change.revision, now)
        elif item is not None:
            self._others[change.key] = item
        else:
            self._others.pop(change.key, None)

    def _reach(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        while self._waiters and self._waiters[0].revision <= self.revision:
            future = heapq.heappop(self._waiters).future
            if not future.done():
                future.set_result(None)


@contextmanager
def _without_collection() -> Iterator[None]:
    """No garbage collection: it would look at every object decoded so far, again and again (six times the time)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _differences(collection: Collection, items: dict[str, KeyValue], revision: int) -> list[Change]:
    """The changes from a collection's content to a newer list's: gone, gone and made again, changed, new."""
    prefix = collection.schema.prefix
    changes: list[Change] = []
    for tail in collection.tails():
        entry, item = collection.at(tail), items.get(prefix + tail)
        assert entry is not None
        if item is None:
            changes.append(Change(prefix + tail, None, revision))
        elif item.created != entry.created:
            changes.append(Change(prefix + tail, None, item.created - 1))
    for key, item in items.items():
        if key.startswith(prefix):
            entry = collection.at(key[len(prefix) :])
            if entry is None or entry.revision != item.revision:
                changes.append(Change(key, item.value, item.revision, item.created))
    return changes
