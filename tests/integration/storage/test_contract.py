"""What every Storage does: the real one over a real etcd, and the fake of the unit tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from apiserver.storage.channels import Endpoints
from apiserver.storage.encryption import EncryptedStorage, Provider, Providers, SecretBox
from apiserver.storage.errors import Compacted, FutureRevision, KeyExists, KeyNotFound, RevisionConflict
from apiserver.storage.etcd import connected
from apiserver.storage.interface import Change, Storage
from tests.fakes.storage import MemoryStorage
from tests.integration.etcd import start_etcd

Compact = Callable[[int], Awaitable[None]]


@pytest_asyncio.fixture(params=["memory", "sealed", "etcd"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Storage, Compact]]:
    """A storage and how to compact it."""
    if request.param != "etcd":
        memory = MemoryStorage()

        async def compact(revision: int) -> None:
            memory.compact(revision)

        key = Providers([Provider(b"k8s:enc:secretbox:v1:one:", SecretBox(bytes(32)))])
        yield (memory if request.param == "memory" else EncryptedStorage(memory, lambda _: key)), compact
        return
    process = start_etcd(tmp_path)
    try:
        async with connected(Endpoints((process.url,))) as etcd:
            yield etcd, etcd.compact
    finally:
        process.stop()


@pytest.fixture
def storage(subject: tuple[Storage, Compact]) -> Storage:
    """The storage alone."""
    return subject[0]


async def test_what_was_created_can_be_read_at_its_revision(storage: Storage) -> None:
    revision = await storage.create("/registry/a/1", b"one")
    found = await storage.get("/registry/a/1")
    assert found is not None
    assert (found.value, found.revision, found.created) == (b"one", revision, revision)
    assert await storage.get("/registry/a/2") is None
    with pytest.raises(KeyExists):
        await storage.create("/registry/a/1", b"two")


async def test_a_write_at_an_old_revision_answers_with_what_is_there(storage: Storage) -> None:
    first = await storage.create("/registry/a/1", b"one")
    second = await storage.update("/registry/a/1", b"two", first)
    with pytest.raises(RevisionConflict) as conflict:
        await storage.update("/registry/a/1", b"three", first)
    assert (conflict.value.current.value, conflict.value.current.revision) == (b"two", second)
    with pytest.raises(RevisionConflict):
        await storage.delete("/registry/a/1", first)
    assert await storage.delete("/registry/a/1", second) == second + 1
    with pytest.raises(KeyNotFound):
        await storage.delete("/registry/a/1", second)
    with pytest.raises(KeyNotFound):
        await storage.update("/registry/a/1", b"x", second)


async def test_pages_show_one_revision_whatever_is_written_meanwhile(storage: Storage) -> None:
    for number in range(7):
        await storage.create(f"/registry/a/{number}", b"old")
    await storage.create("/registry/b/0", b"another prefix")
    first = await storage.range("/registry/a/", limit=3)
    await storage.create("/registry/a/35", b"new")
    rest = await storage.range("/registry/a/", start="/registry/a/3", limit=10, revision=first.revision)
    assert (first.more, first.count, rest.more) == (True, 7, False)
    assert [item.key[-1] for item in first.items + rest.items] == list("0123456")


async def test_a_compacted_revision_and_a_future_one_are_told_apart(subject: tuple[Storage, Compact]) -> None:
    storage, compact = subject
    first = await storage.create("/registry/a/1", b"one")
    second = await storage.update("/registry/a/1", b"two", first)
    await compact(second)
    with pytest.raises(Compacted):
        await storage.range("/registry/a/", revision=first)
    assert [item.value for item in (await storage.range("/registry/a/", revision=second)).items] == [b"two"]
    with pytest.raises(FutureRevision):
        await storage.range("/registry/a/", revision=second + 100)
    with pytest.raises(Compacted):
        async with asyncio.timeout(10):
            await take(storage, "", first, 3)


async def take(storage: Storage, prefix: str, revision: int, count: int) -> list[Change]:
    """The first changes of a watch."""
    seen: list[Change] = []
    async with aclosing(storage.watch(prefix, revision)) as watch:
        async for changes in watch:
            assert all(change.revision <= changes.revision for change in changes.changes)
            seen += changes.changes
            if len(seen) >= count:
                break
    return seen


async def test_a_watch_delivers_old_and_new_changes_in_order(storage: Storage) -> None:
    first = await storage.create("/registry/a/1", b"one")
    second = await storage.update("/registry/a/1", b"two", first)

    async def go_on() -> None:
        third = await storage.delete("/registry/a/1", second)
        assert await storage.create("/registry/a/1", b"again") == third + 1

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        watching = group.create_task(take(storage, "/registry/", first, 4))
        await asyncio.sleep(0)
        group.create_task(go_on())
    seen = watching.result()
    assert [change.value for change in seen] == [b"one", b"two", None, b"again"]
    assert [change.revision for change in seen] == [first, second, second + 1, second + 2]
    assert [change.created for change in seen if change.value] == [first, first, second + 2]
