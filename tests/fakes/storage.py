"""A Storage in memory. `tests/integration/storage/test_contract.py` holds it to what the real one does."""

import asyncio
from collections.abc import AsyncGenerator

from apiserver.storage.errors import (
    Compacted,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    RevisionConflict,
    Unavailable,
)
from apiserver.storage.interface import Change, Changes, KeyValue, Page


class MemoryStorage:
    """All revisions since the beginning, or since the last `compact`."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.reads = 0
        self.available = True
        self._generation = 0
        self._held = False
        self._log: list[Change] = []
        self._now: dict[str, KeyValue] = {}
        self._moved = asyncio.Condition()

    async def get(self, key: str) -> KeyValue | None:
        """The newest value."""
        self._check()
        self.reads += 1
        return self._now.get(key)

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        """Write a key that must not exist."""
        self._check()
        if key in self._now:
            raise KeyExists(key)
        return await self._put(key, value, self.revision + 1)

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> int:
        """Replace a value at a revision."""
        return await self._put(key, value, self._guarded(key, revision).created)

    async def delete(self, key: str, revision: int) -> int:
        """Remove a key at a revision."""
        self._guarded(key, revision)
        del self._now[key]
        return await self._append(Change(key, None, self.revision + 1))

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys in order."""
        self._check()
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        items = self._at(revision) if revision else self._now
        keys = sorted(key for key in items if key.startswith(prefix) and key >= start)
        shown = keys[:limit] if limit else keys
        return Page([items[key] for key in shown], revision or self.revision, len(shown) < len(keys), len(keys))

    def is_stale(self, key: str) -> bool:
        """Never."""
        return False

    async def current_revision(self) -> int:
        """The newest revision."""
        self._check()
        return self.revision

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Changes, None]:
        """Changes from a revision on."""
        generation = self._generation
        while True:
            if revision <= self.compacted or generation != self._generation:
                raise Compacted(self.compacted)
            new = [] if self._held else self._log[max(0, revision - 2) :]
            if new:
                revision = new[-1].revision + 1
                yield Changes(new[-1].revision, [change for change in new if change.key.startswith(prefix)])
                continue
            async with self._moved:
                while generation == self._generation and (self._held or self.revision < revision):
                    await self._moved.wait()

    def hold(self) -> None:
        """Watches hear nothing until they break."""
        self._held = True

    def restore_backup_of_nothing(self) -> None:
        """All is lost, the revision too."""
        self._log.clear()
        self._now.clear()
        self.revision = 1

    async def break_watches(self) -> None:
        """End all watches as if what they wait for had been compacted."""
        self._generation += 1
        self._held = False
        async with self._moved:
            self._moved.notify_all()

    def compact(self, revision: int) -> None:
        """Forget what was before a revision."""
        self.compacted = revision

    def _at(self, revision: int) -> dict[str, KeyValue]:
        if revision < self.compacted:
            raise Compacted(self.compacted)
        items: dict[str, KeyValue] = {}
        for change in self._log:
            if change.revision <= revision:
                _play(items, change)
        return items

    def _guarded(self, key: str, revision: int) -> KeyValue:
        self._check()
        current = self._now.get(key)
        if current is None:
            raise KeyNotFound(key)
        if current.revision != revision:
            raise RevisionConflict(current)
        return current

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("switched off")

    async def _put(self, key: str, value: bytes, created: int) -> int:
        self._now[key] = KeyValue(key, value, self.revision + 1, created)
        return await self._append(Change(key, value, self.revision + 1, created))

    async def _append(self, change: Change) -> int:
        self.revision = change.revision
        self._log.append(change)
        async with self._moved:
            self._moved.notify_all()
        return change.revision


def _play(items: dict[str, KeyValue], change: Change) -> None:
    if change.value is None:
        items.pop(change.key, None)
    else:
        items[change.key] = KeyValue(change.key, change.value, change.revision, change.created)
