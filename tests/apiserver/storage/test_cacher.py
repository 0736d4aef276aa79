"""storage.cacher over a storage in memory: freshness, lists again, collections that come late."""

import asyncio
import logging

import pytest

from apiserver.storage import cacher as module
from apiserver.storage.cacher import Cacher
from apiserver.storage.collection import Event, Watcher
from apiserver.storage.errors import Compacted, FutureRevision
from apiserver.storage.objects import Schema, Selection
from tests.apiserver.storage.objects import NODES, PODS, key, pod, raw
from tests.fakes.storage import MemoryStorage


async def _types(watcher: Watcher, count: int) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    async with asyncio.timeout(5):
        while len(told) < count:
            for type_, event in await watcher.fetch():
                assert isinstance(event, Event)
                told.append((type_, event.subject(type_).name))
    return told


async def test_a_fresh_cache_has_every_acknowledged_write(storage: MemoryStorage, cacher: Cacher) -> None:
    pods = cacher.collection(PODS)
    for number in range(20):
        await storage.create(key(pod(f"p{number}")), raw(pod(f"p{number}")))
        await cacher.fresh()
        assert pods.get("a", f"p{number}") is not None


async def test_keys_outside_the_registry_count_for_the_revision_only(storage: MemoryStorage, cacher: Cacher) -> None:
    revision = await storage.create("compact_rev_key", b"17")
    assert await cacher.fresh() == revision


async def test_a_revision_that_does_not_come_is_refused_in_time(
    cacher: Cacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    with pytest.raises(FutureRevision) as refusal:
        await cacher.wait_until(1000)
    assert (refusal.value.asked, refusal.value.current) == (1000, cacher.revision)


async def test_a_key_goes_to_the_collection_with_the_longer_prefix(storage: MemoryStorage, cacher: Cacher) -> None:
    services = cacher.collection(Schema("/registry/services/specs/", True))
    pods = cacher.collection(PODS)
    await storage.create("/registry/services/specs/a/web", raw(pod("web")))
    await storage.create("/registry/pods/services/specs", raw(pod("specs", "services")))
    await cacher.fresh()
    assert [entry.name for entry in services.select(Selection())] == ["web"]
    assert [entry.namespace for entry in pods.select(Selection())] == ["services"]


async def test_a_collection_that_comes_late_is_complete_and_goes_on(storage: MemoryStorage, cacher: Cacher) -> None:
    first = await storage.create(key(pod("old")), raw(pod("old")))
    gone = await storage.create(key(pod("gone")), raw(pod("gone")))
    await storage.delete(key(pod("gone")), gone)
    await cacher.fresh()
    pods = cacher.collection(PODS)
    await storage.create(key(pod("new")), raw(pod("new")))
    await cacher.fresh()
    assert [entry.name for entry in pods.select(Selection())] == ["new", "old"]
    with pytest.raises(Compacted):
        pods.watch(Selection(), first)
    cacher.drop_collection(PODS.prefix)
    assert [entry.name for entry in cacher.collection(PODS).select(Selection())] == ["new", "old"]


async def test_what_cannot_be_read_is_left_out_and_logged(
    storage: MemoryStorage, cacher: Cacher, caplog: pytest.LogCaptureFixture
) -> None:
    pods = cacher.collection(PODS)
    revision = await storage.create(key(pod("p")), raw(pod("p")))
    with caplog.at_level(logging.ERROR):
        await storage.create("/registry/pods/a/proto", b"k8s\x00\x0a")
        await storage.update(key(pod("p")), b"not json", revision)
        await cacher.fresh()
    assert list(pods.select(Selection())) == []
    assert "/registry/pods/a/proto" in caplog.text


async def test_after_a_compaction_watchers_are_told_what_differs(storage: MemoryStorage, cacher: Cacher) -> None:
    pods, nodes = cacher.collection(PODS), cacher.collection(NODES)
    kept = await storage.create(key(pod("kept")), raw(pod("kept")))
    changed = await storage.create(key(pod("changed")), raw(pod("changed")))
    removed = await storage.create(key(pod("removed")), raw(pod("removed")))
    remade = await storage.create(key(pod("remade")), raw(pod("remade")))
    await cacher.fresh()
    watcher = pods.watch(Selection(), cacher.revision)
    storage.hold()
    await storage.update(key(pod("changed")), raw(pod("changed", node="n")), changed)
    await storage.delete(key(pod("removed")), removed)
    await storage.delete(key(pod("remade")), remade)
    await storage.create(key(pod("remade")), raw(pod("remade")))
    await storage.create(key(pod("new")), raw(pod("new")))
    await storage.create("/registry/minions/n1", raw(pod("n1")))
    await storage.break_watches()
    told = await _types(watcher, 5)
    assert sorted(told) == [
        ("ADDED", "new"),
        ("ADDED", "remade"),
        ("DELETED", "remade"),
        ("DELETED", "removed"),
        ("MODIFIED", "changed"),
    ]
    assert told.index(("DELETED", "remade")) < told.index(("ADDED", "remade"))
    assert cacher.revision == storage.revision
    entry = pods.get("a", "kept")
    assert entry is not None
    assert entry.revision == kept
    assert len(nodes) == 1


async def test_a_store_that_is_behind_the_cache_ends_all_watches(storage: MemoryStorage, cacher: Cacher) -> None:
    pods = cacher.collection(PODS)
    for number in range(5):
        await storage.create(key(pod(f"p{number}")), raw(pod(f"p{number}")))
    await cacher.fresh()
    watcher = pods.watch(Selection(), cacher.revision)
    storage.restore_backup_of_nothing()
    await storage.create(key(pod("restored")), raw(pod("restored")))
    await storage.break_watches()
    async with asyncio.timeout(5):
        assert await watcher.fetch() == []
    assert isinstance(watcher.error, Compacted)
    async with asyncio.timeout(5):
        await cacher.wait_until_filled()
    assert [entry.name for entry in pods.select(Selection())] == ["restored"]
