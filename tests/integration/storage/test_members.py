"""storage.etcd when etcd is more than one plain member: TLS, several endpoints, members that go or hang."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver.storage import etcd as module
from apiserver.storage.channels import WATCH, Channels, Endpoints
from apiserver.storage.errors import Unavailable
from apiserver.storage.etcd import connected
from machinery.component import tls
from machinery.component.tls import CertRequest
from tests.integration.etcd import EtcdProcess, start_members
from tests.integration.storage.test_contract import take
from tests.integration.storage.test_etcd import write_number
from tests.ports import free_port


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[EtcdProcess]]:
    """Three members."""
    found = start_members(tmp_path)
    yield found
    for member in found:
        member.stop()


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[EtcdProcess, Endpoints]]:
    """An etcd that wants client certificates, and how to reach it."""
    ca = tls.create_ca("etcd-ca")
    authority = ca.write(tmp_path, "ca").cert
    server = tls.issue(ca, CertRequest("etcd", hosts=("127.0.0.1",), server=True, client=True)).write(tmp_path, "etcd")
    client = tls.issue(ca, CertRequest("apiserver", client=True)).write(tmp_path, "client")
    flags = ["--cert-file", str(server.cert), "--key-file", str(server.key)]
    flags += ["--client-cert-auth", "--trusted-ca-file", str(authority)]
    process = EtcdProcess(tmp_path / "etcd-data", tls=flags)
    process.start()
    yield process, Endpoints((process.url,), str(authority), str(client.cert), str(client.key))
    process.stop()


async def test_a_client_certificate_opens_a_secured_etcd(secured: tuple[EtcdProcess, Endpoints]) -> None:
    _, endpoints = secured
    async with connected(endpoints) as storage:
        revision = await storage.create("/registry/a/1", b"one")
        assert await storage.current_revision() == revision
        assert [change.value for change in await take(storage, "", revision, 1)] == [b"one"]


async def test_without_a_certificate_it_stays_closed(
    secured: tuple[EtcdProcess, Endpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPERATION_SECONDS", 0.2)
    process, endpoints = secured
    async with connected(Endpoints((process.url,), endpoints.ca_file)) as storage:
        with pytest.raises(Unavailable):
            await storage.get("/registry/a/1")


async def test_endpoints_that_do_not_answer_are_passed_over(members: list[EtcdProcess]) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with connected(Endpoints((dead, members[0].url))) as storage:
        revision = await storage.create("/registry/a/1", b"one")
        assert [change.value for change in await take(storage, "", revision, 1)] == [b"one"]


async def test_a_connection_that_nobody_waited_for_in_the_end_is_closed(members: list[EtcdProcess]) -> None:
    channels = Channels(Endpoints((members[0].url,)))
    caller = asyncio.create_task(channels.member().stream(WATCH))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    connecting = channels.member()._connecting
    assert connecting is not None
    connection = await connecting
    assert not connection.gone
    await channels.close()
    assert connection.gone


async def test_each_member_may_go_and_come_back_under_load(members: list[EtcdProcess]) -> None:
    acknowledged: dict[str, int] = {}
    seen: dict[str, int] = {}
    stop = asyncio.Event()
    async with connected(Endpoints(tuple(member.url for member in members))) as storage:

        async def write(key: str) -> None:
            revision = await storage.create(key, b"0")
            number = 0
            while not stop.is_set():
                number += 1
                revision = await write_number(storage, key, number, revision)
                acknowledged[key] = number

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(storage, seen))
            writers = [group.create_task(write(f"/registry/a/{writer}")) for writer in range(5)]
            for member in members:
                await _everybody_gets_on(acknowledged, len(writers))
                await asyncio.to_thread(member.restart)
            await _everybody_gets_on(acknowledged, len(writers))
            stop.set()
            await asyncio.gather(*writers)
            while seen != acknowledged:
                await asyncio.sleep(0.05)
            watching.cancel()
        found = await storage.range("/registry/a/")
        assert {item.key: int(item.value) for item in found.items} == acknowledged


async def _everybody_gets_on(acknowledged: dict[str, int], writers: int) -> None:
    """Until each writer has written something since now."""
    before = dict(acknowledged)
    while len([key for key, number in acknowledged.items() if number > before.get(key, 0)]) < writers:
        await asyncio.sleep(0.05)


async def _watch(storage: module.Etcd, seen: dict[str, int]) -> None:
    """The last value of each key, and none is left out."""
    async for changes in storage.watch("/registry/", 1):
        for change in changes.changes:
            assert change.value is not None
            assert int(change.value) == seen.get(change.key, -1) + 1
            seen[change.key] = int(change.value)


async def test_an_etcd_that_hangs_is_unavailable_in_time_and_then_back(
    members: list[EtcdProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(Endpoints((members[0].url,))) as storage:
        revision = await storage.create("/registry/a/1", b"one")
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", 0.3)
        monkeypatch.setattr(module, "OPERATION_SECONDS", 0.6)
        members[0].pause()
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await storage.get("/registry/a/1")
            with pytest.raises(Unavailable):
                await storage.update("/registry/a/1", b"two", revision)
            assert time.monotonic() - started < 5
        finally:
            members[0].resume()
        async with asyncio.timeout(20):
            while not await _answers(storage):
                await asyncio.sleep(0.1)


async def _answers(storage: module.Etcd) -> bool:
    try:
        return await storage.get("/registry/a/1") is not None
    except Unavailable:
        return False
