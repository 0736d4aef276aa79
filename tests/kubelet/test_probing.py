"""Single checks against real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kubelet.probing import Outcome, Prober, Target
from kubelet.runtime_fake import FakeRuntime
from tests.kubelet.pods import container
from tests.ports import free_port


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[int]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline() not in (b"\r\n", b""):
            pass
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        port: int = listening.sockets[0].getsockname()[1]
        yield port


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    prober = Prober(FakeRuntime())
    yield prober
    await prober.close()


HERE = Target(container(), "id", "127.0.0.1")


@pytest.mark.parametrize(
    ("status", "ok", "text"),
    [
        pytest.param(b"200 OK", True, "", id="ok"),
        pytest.param(b"399 Odd", True, "", id="any-3xx"),
        pytest.param(b"500 No", False, "HTTP probe failed with statuscode: 500", id="failed"),
    ],
)
async def test_http_status_codes(prober: Prober, status: bytes, ok: bool, text: str) -> None:
    async with server(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as port:
        assert await prober.check({"httpGet": {"port": port}}, HERE) == Outcome(ok, text)


async def test_nobody_listening_is_said_as_go_says_it(prober: Prober) -> None:
    port = free_port()
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert (await prober.check({"tcpSocket": {"port": port}}, HERE)).text == refused
    assert (await prober.check({"httpGet": {"port": port, "path": "/x"}}, HERE)).text == (
        f'Get "http://127.0.0.1:{port}/x": {refused}'
    )


async def test_a_port_that_listens_is_enough_for_tcp(prober: Prober) -> None:
    async with server(b"") as port:
        assert (await prober.check({"tcpSocket": {"port": port}}, HERE)).ok


async def test_an_unknown_port_name_is_no_failure_of_the_container(prober: Prober) -> None:
    assert (await prober.check({"tcpSocket": {"port": "nosuch"}}, HERE)).unknown
