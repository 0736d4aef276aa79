"""What the rest of the server may ask of storage: a protocol and its plain values. The one implementation is `etcd`."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as of one moment. `revision` is the one that last wrote it, `created` the one that made it."""

    key: str
    value: bytes
    revision: int
    created: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a range, all of it as of `revision`. `count` is the number of keys in the whole range asked for."""

    items: list[KeyValue]
    revision: int
    more: bool
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """One key changed; a `value` of None says that it was deleted. `created` is the revision that made the key."""

    key: str
    value: bytes | None
    revision: int
    created: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes since the last `Changes` up to and including `revision`; no revision is split over two of them."""

    revision: int
    changes: list[Change]


class Storage(Protocol):
    """A key-value store with one revision counter for all keys. Every method may raise errors.Unavailable."""

    async def get(self, key: str) -> KeyValue | None:
        """The newest value of a key (a linearizable read), or None."""

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        """Write a key that must not exist, answer its revision; raises errors.KeyExists."""

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> int:
        """Replace a value that must be at `revision`; raises errors.RevisionConflict and errors.KeyNotFound."""

    async def delete(self, key: str, revision: int) -> int:
        """Remove a key that must be at `revision`; raises errors.RevisionConflict and errors.KeyNotFound."""

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """The keys under a prefix in order, from `start` on; raises errors.Compacted and errors.FutureRevision."""

    def is_stale(self, key: str) -> bool:
        """Whether the value under a key should be written again though nothing changes it (see encryption)."""

    async def current_revision(self) -> int:
        """The store's revision, not older than any write acknowledged before this call began."""

    def watch(self, prefix: str, revision: int) -> AsyncGenerator[Changes, None]:
        """All changes from `revision` on, across reconnects; raises errors.Compacted when that is not possible."""
