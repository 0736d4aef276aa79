"""Lists out of the cache or, for revisions gone from it, out of etcd. Query strings and tokens are handlers'."""

from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Final

from apiserver.storage.cacher import Cacher
from apiserver.storage.collection import Collection
from apiserver.storage.errors import FutureRevision
from apiserver.storage.interface import KeyValue
from apiserver.storage.objects import Entry, Selection

_PAGE: Final = 500


class Match(Enum):
    """Which revisions may answer (upstream: resourceVersionMatch and what its absence means)."""

    NEWEST = "newest"  # everything acknowledged before the request
    ANY = "any"
    NOT_OLDER_THAN = "not older than"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Query:
    """What to list: a page of a selection, from the relative key `start` on, at a revision."""

    selection: Selection = Selection()
    match: Match = Match.NEWEST
    revision: int = 0
    start: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A page. `start` is where the next one begins ("": it was the last); `remaining` is None where it is not known."""

    entries: list[Entry]
    revision: int
    start: str = ""
    remaining: int | None = None


async def list_page(cacher: Cacher, collection: Collection, query: Query) -> Listing:
    """One page; raises Compacted, FutureRevision and Unavailable."""
    match query.match:
        case Match.NEWEST:
            try:
                await cacher.fresh()
            except FutureRevision as problem:  # etcd answers, and its watch lags: the list comes from etcd itself
                return await _stored(cacher, collection, replace(query, revision=problem.asked))
        case Match.NOT_OLDER_THAN:
            await cacher.wait_until(query.revision)
        case Match.EXACT:
            return await _exact(cacher, collection, query)
        case Match.ANY:
            pass
    return _cached(collection, query, cacher.revision)


async def _exact(cacher: Cacher, collection: Collection, query: Query) -> Listing:
    await cacher.wait_until(query.revision)
    if collection.changed <= query.revision:  # nothing happened since: now is as it was then
        return _cached(collection, query, query.revision)
    return await _stored(cacher, collection, query)


def _cached(collection: Collection, query: Query, revision: int) -> Listing:
    selected = collection.select(query.selection, query.start)
    if not query.limit:
        return Listing(list(selected), revision)
    entries = list(islice(selected, query.limit))
    following = next(selected, None)
    if following is None:
        return Listing(entries, revision)
    remaining = None
    if not query.selection.selects:
        first, end = collection.bounds(query.selection.namespace, query.start)
        remaining = end - first - query.limit
    return Listing(entries, revision, _after(collection, entries[-1]), remaining)


async def _stored(cacher: Cacher, collection: Collection, query: Query) -> Listing:
    """A past revision, read from etcd page by page until enough is found."""
    prefix = collection.schema.prefix + (f"{query.selection.namespace}/" if query.selection.namespace else "")
    start = collection.schema.prefix + query.start if query.start else ""
    entries: list[Entry] = []
    while True:
        page = await cacher.storage.range(prefix, start=start, limit=_PAGE, revision=query.revision)
        for index, item in enumerate(page.items):
            entry = _selected(collection, item, query.selection)
            if entry is None:
                continue
            entries.append(entry)
            left = page.count - index - 1
            if query.limit and len(entries) == query.limit and left:
                remaining = None if query.selection.selects else left
                return Listing(entries, query.revision, _after(collection, entry), remaining)
        if not page.more:
            return Listing(entries, query.revision)
        start = page.items[-1].key + "\0"


async def _stored_one(cacher: Cacher, collection: Collection, namespace: str, name: str) -> Entry | None:
    item = await cacher.storage.get(collection.schema.prefix + (f"{namespace}/{name}" if namespace else name))
    return collection.parse(item) if item is not None else None


def _selected(collection: Collection, item: KeyValue, selection: Selection) -> Entry | None:
    entry = collection.parse(item)
    return entry if entry is not None and selection.matches(entry) else None


def _after(collection: Collection, entry: Entry) -> str:
    tail = f"{entry.namespace}/{entry.name}" if collection.schema.namespaced else entry.name
    return tail + "\0"


async def get(cacher: Cacher, collection: Collection, namespace: str, name: str, query: Query) -> Entry | None:
    """One object, as new as `query.match` demands; raises FutureRevision and Unavailable."""
    if query.match is Match.NEWEST:
        try:
            await cacher.fresh()
        except FutureRevision:
            return await _stored_one(cacher, collection, namespace, name)
    elif query.revision > cacher.revision:
        await cacher.wait_until(query.revision)
    return collection.get(namespace, name)
