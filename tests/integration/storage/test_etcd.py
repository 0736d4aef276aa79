"""storage.etcd against a real etcd."""

import asyncio
import signal
from contextlib import aclosing

import pytest

from apiserver.storage.compactor import compact_once
from apiserver.storage.errors import Compacted, FutureRevision, KeyExists, KeyNotFound, RevisionConflict
from apiserver.storage.etcd import Etcd
from apiserver.storage.interface import Change
from tests.integration.etcd import EtcdProcess


async def test_what_was_created_can_be_read_at_its_revision(etcd: Etcd) -> None:
    revision = await etcd.create("/registry/a/1", b"one")
    found = await etcd.get("/registry/a/1")
    assert found is not None
    assert (found.value, found.revision, found.created) == (b"one", revision, revision)
    assert await etcd.get("/registry/a/2") is None


async def test_a_key_is_created_once(etcd: Etcd) -> None:
    await etcd.create("/registry/a/1", b"one")
    with pytest.raises(KeyExists):
        await etcd.create("/registry/a/1", b"two")


async def test_an_update_at_an_old_revision_answers_with_what_is_there(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    second = await etcd.update("/registry/a/1", b"two", first)
    with pytest.raises(RevisionConflict) as conflict:
        await etcd.update("/registry/a/1", b"three", first)
    assert (conflict.value.current.value, conflict.value.current.revision) == (b"two", second)
    with pytest.raises(KeyNotFound):
        await etcd.update("/registry/a/2", b"x", 1)


async def test_a_delete_is_guarded_by_the_revision_too(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    second = await etcd.update("/registry/a/1", b"two", first)
    with pytest.raises(RevisionConflict):
        await etcd.delete("/registry/a/1", first)
    assert await etcd.delete("/registry/a/1", second) == second + 1
    with pytest.raises(KeyNotFound):
        await etcd.delete("/registry/a/1", second)


async def test_pages_show_one_revision_whatever_is_written_meanwhile(etcd: Etcd) -> None:
    for number in range(7):
        await etcd.create(f"/registry/a/{number}", b"old")
    await etcd.create("/registry/b/0", b"another prefix")
    first = await etcd.range("/registry/a/", limit=3)
    await etcd.create("/registry/a/35", b"new")
    rest = await etcd.range("/registry/a/", start="/registry/a/3", limit=10, revision=first.revision)
    assert (first.more, first.count, rest.more) == (True, 7, False)
    assert [item.key[-1] for item in first.items + rest.items] == list("0123456")


async def test_a_compacted_revision_and_a_future_one_are_told_apart(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    second = await etcd.update("/registry/a/1", b"two", first)
    await etcd.compact(second)
    with pytest.raises(Compacted):
        await etcd.range("/registry/a/", revision=first)
    with pytest.raises(FutureRevision):
        await etcd.range("/registry/a/", revision=second + 100)


async def test_a_thousand_readers_share_a_few_revision_reads_and_none_is_lost(etcd: Etcd) -> None:
    written = await etcd.create("/registry/a/1", b"one")
    async with asyncio.timeout(10):
        revisions = await asyncio.gather(*(etcd.current_revision() for _ in range(1000)))
        assert set(revisions) == {written}

        async def write_and_read(number: int) -> None:
            own = await etcd.create(f"/registry/b/{number}", b"")
            assert await etcd.current_revision() >= own

        await asyncio.gather(*(write_and_read(number) for number in range(200)))


async def _take(etcd: Etcd, prefix: str, revision: int, count: int) -> list[Change]:
    seen: list[Change] = []
    async with aclosing(etcd.watch(prefix, revision)) as watch:
        async for changes in watch:
            seen += changes.changes
            if len(seen) >= count:
                break
    return seen


async def test_a_watch_delivers_old_and_new_changes_in_order(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    second = await etcd.update("/registry/a/1", b"two", first)

    async def delete_later() -> None:
        await asyncio.sleep(0.1)
        await etcd.delete("/registry/a/1", second)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(delete_later())
        seen = await _take(etcd, "", first, 3)
    assert [change.value for change in seen] == [b"one", b"two", None]
    assert [change.revision for change in seen] == [first, second, second + 1]


async def test_a_watch_from_a_compacted_revision_says_so(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    second = await etcd.update("/registry/a/1", b"two", first)
    await etcd.compact(second)
    with pytest.raises(Compacted):
        async with asyncio.timeout(10):
            await _take(etcd, "", first, 3)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["in-order", "crash"])
async def test_a_watch_goes_on_over_a_restart_of_etcd(
    etcd: Etcd, etcd_process: EtcdProcess, how: signal.Signals
) -> None:
    first = await etcd.create("/registry/a/0", b"0")

    async def write() -> None:
        for number in range(1, 6):
            await etcd.create(f"/registry/a/{number}", str(number).encode())
            if number == 3:
                await asyncio.to_thread(etcd_process.restart, how)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(write())
        seen = await _take(etcd, "/registry/", first, 6)
    assert [change.value for change in seen] == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_writers_over_a_restart_lose_no_acknowledged_write(etcd: Etcd, etcd_process: EtcdProcess) -> None:
    acknowledged: dict[str, int] = {}

    async def write(writer: int) -> None:
        key = f"/registry/a/{writer}"
        revision = await etcd.create(key, b"0")
        for number in range(1, 20):
            revision = await etcd.update(key, str(number).encode(), revision)
            acknowledged[key] = number

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for writer in range(10):
            group.create_task(write(writer))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(etcd_process.restart)
    page = await etcd.range("/registry/a/")
    assert {item.key: int(item.value) for item in page.items} == acknowledged
    assert set(acknowledged.values()) == {19}


async def test_keys_with_a_lifetime_share_a_lease_and_go_away(etcd: Etcd) -> None:
    await etcd.create("/registry/events/1", b"x", ttl_seconds=1)
    await etcd.create("/registry/events/2", b"x", ttl_seconds=1)
    async with asyncio.timeout(20):
        seen = await _take(etcd, "/registry/events/", 1, 4)
    assert [change.value for change in seen] == [b"x", b"x", None, None]


async def test_one_of_two_servers_compacts_to_where_the_store_was_a_round_ago(etcd: Etcd) -> None:
    first = await etcd.create("/registry/a/1", b"one")
    ours, theirs = await compact_once(etcd, 0, 0), await compact_once(etcd, 0, 0)
    second = await etcd.update("/registry/a/1", b"two", first)
    await etcd.update("/registry/a/1", b"three", second)
    assert (await etcd.range("/registry/a/", revision=second)).items[0].value == b"two"
    ours, theirs = await compact_once(etcd, *ours), await compact_once(etcd, *theirs)
    assert (await etcd.range("/registry/a/", revision=second)).items[0].value == b"two"
    with pytest.raises(Compacted):
        await etcd.range("/registry/a/", revision=first)
    assert ours[0] == theirs[0] == 2
