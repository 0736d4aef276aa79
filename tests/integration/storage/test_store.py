"""The generic store over a real etcd: many writers, restarts, compaction, watches that see all of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apiserver.registry.registry import Registry
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.storage.cacher import Cacher
from apiserver.storage.collection import Bookmark, Event
from apiserver.storage.etcd import Etcd
from apiserver.storage.listing import Match, Query
from apiserver.storage.objects import Selection
from machinery.api import errors, kinds
from machinery.api.codec import Json
from tests.integration.etcd import EtcdProcess

WRITERS = 50
ROUNDS = 4


@pytest_asyncio.fixture
async def store(etcd: Etcd) -> AsyncIterator[Store]:
    """ConfigMaps without a strategy of their own."""
    registry = Registry(Cacher(etcd), [Resource(kind=kinds.CONFIG_MAPS, key="configmaps")])
    async with registry.running():
        found = registry.store_for("", "v1", "configmaps")
        assert found is not None
        yield found


def _context(name: str = "") -> Context:
    return Context(ANONYMOUS, "a", name)


def _map(name: str, number: int = 0) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}}


async def _add_one(old: Json | None) -> Json:
    assert old is not None
    old["data"]["n"] = str(int(old["data"]["n"]) + 1)
    return old


async def test_no_update_of_fifty_writers_is_lost(store: Store) -> None:
    await store.create(_map("x"), _context())

    async def write() -> None:
        for _ in range(ROUNDS):
            await store.update(_add_one, _context("x"))

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    assert (await store.get("a", "x")).decode()["data"] == {"n": str(WRITERS * ROUNDS)}


async def test_what_two_servers_write_both_see_at_once(store: Store, etcd: Etcd) -> None:
    other = Registry(Cacher(etcd), [store.resource])
    async with other.running():
        second = other.store_for("", "v1", "configmaps")
        assert second is not None
        await store.create(_map("x"), _context())
        for one, two in ((store, second), (second, store)) * 20:
            entry, _ = await one.update(_add_one, _context("x"))
            assert (await two.get("a", "x")).revision == entry.revision
        assert (await store.get("a", "x")).decode()["data"] == {"n": "40"}


async def test_writers_and_a_watch_survive_a_crash_of_etcd(store: Store, etcd_process: EtcdProcess) -> None:
    for number in range(10):
        await store.create(_map(f"x-{number}"), _context())
    watcher = store.watch(Selection(), await store.cacher.fresh())

    async def write(number: int) -> None:
        for _ in range(20):
            await _count_up(store, f"x-{number}")

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(write(number))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(etcd_process.restart)
    listing = await store.list(Query())
    assert {entry.decode()["data"]["n"] for entry in listing.entries} == {"20"}
    events = [what for _, what in await watcher.fetch() if isinstance(what, Event)]
    assert len(events) == 200
    assert [event.revision for event in events] == sorted({event.revision for event in events})


async def _count_up(store: Store, name: str) -> None:
    """Add one; where it is not known whether that happened, look (nobody else writes the object)."""
    before = (await store.get("a", name)).decode()["data"]
    try:
        await store.update(_add_one, _context(name))
    except errors.ServiceUnavailable:
        if (await store.get("a", name)).decode()["data"] == before:
            await _count_up(store, name)


async def test_after_a_compaction_during_an_outage_the_cache_lists_again(
    store: Store, etcd: Etcd, etcd_process: EtcdProcess
) -> None:
    await store.create(_map("old"), _context())
    first = await store.cacher.fresh()
    watcher = store.watch(Selection(), first)
    entry = await etcd.get("/registry/configmaps/a/old")
    assert entry is not None
    await asyncio.to_thread(etcd_process.stop)
    rival = asyncio.create_task(_write_and_compact(etcd))
    await asyncio.to_thread(etcd_process.start)
    async with asyncio.timeout(30):
        await rival
        assert sorted([found.name for found in (await store.list(Query())).entries]) == ["n-0", "n-1", "n-2"]
        seen: set[tuple[str, str]] = set()
        while len(seen) < 4:
            seen |= {(type_, _name(type_, what)) for type_, what in await watcher.fetch()}
    assert seen == {("DELETED", "old"), ("ADDED", "n-0"), ("ADDED", "n-1"), ("ADDED", "n-2")}
    with pytest.raises(errors.Expired):
        await store.list(Query(match=Match.EXACT, revision=first))


async def _write_and_compact(etcd: Etcd) -> None:
    """Changes and a compaction as soon as etcd is back."""
    found = await etcd.get("/registry/configmaps/a/old")
    assert found is not None
    revision = await etcd.delete(found.key, found.revision)
    for number in range(3):
        raw = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n-%d","namespace":"a"}}' % number
        revision = await etcd.create(f"/registry/configmaps/a/n-{number}", raw)
    await etcd.compact(revision)


def _name(type_: str, what: Event | Bookmark) -> str:
    assert isinstance(what, Event)
    return what.subject(type_).name
