"""storage.etcd against a real etcd: what `test_contract` does not ask of every storage."""

import asyncio
import signal

import pytest

from apiserver.storage.compactor import compact_once
from apiserver.storage.errors import Compacted, Unavailable
from apiserver.storage.etcd import Etcd
from tests.integration.etcd import EtcdProcess
from tests.integration.storage.test_contract import take


async def test_a_thousand_readers_share_a_few_revision_reads_and_none_is_lost(etcd: Etcd) -> None:
    written = await etcd.create("/registry/a/1", b"one")
    async with asyncio.timeout(10):
        revisions = await asyncio.gather(*(etcd.current_revision() for _ in range(1000)))
        assert set(revisions) == {written}

        async def write_and_read(number: int) -> None:
            own = await etcd.create(f"/registry/b/{number}", b"")
            assert await etcd.current_revision() >= own

        await asyncio.gather(*(write_and_read(number) for number in range(200)))


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
        seen = await take(etcd, "/registry/", first, 6)
    assert [change.value for change in seen] == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_writers_over_a_restart_lose_no_acknowledged_write(etcd: Etcd, etcd_process: EtcdProcess) -> None:
    acknowledged: dict[str, int] = {}

    async def write(writer: int) -> None:
        key = f"/registry/a/{writer}"
        revision = await etcd.create(key, b"0")
        for number in range(1, 20):
            revision = await write_number(etcd, key, number, revision)
            acknowledged[key] = number

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for writer in range(10):
            group.create_task(write(writer))
        while len(acknowledged) < 10:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(etcd_process.restart)
    page = await etcd.range("/registry/a/")
    assert {item.key: int(item.value) for item in page.items} == acknowledged
    assert set(acknowledged.values()) == {19}


async def write_number(etcd: Etcd, key: str, number: int, revision: int) -> int:
    """An update; where it is not known whether it happened, look (nobody else writes the key)."""
    try:
        return await etcd.update(key, str(number).encode(), revision)
    except Unavailable:
        found = await etcd.get(key)
        assert found is not None
        if found.revision == revision:
            return await write_number(etcd, key, number, revision)
        assert found.value == str(number).encode()
        return found.revision


async def test_keys_with_a_lifetime_share_a_lease_and_go_away(etcd: Etcd) -> None:
    await etcd.create("/registry/events/1", b"x", ttl_seconds=1)
    await etcd.create("/registry/events/2", b"x", ttl_seconds=1)
    async with asyncio.timeout(20):
        seen = await take(etcd, "/registry/events/", 1, 4)
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
