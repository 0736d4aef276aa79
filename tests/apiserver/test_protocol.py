"""What a connection does by itself, over a plain socket. TLS and whole requests are tested with the server."""

import asyncio
from typing import Any

import pytest

from apiserver import protocol
from apiserver.listener import Listener


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nX-", id="half-a-head"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET", id="half-a-head-after-a-request"),
    ],
)
async def test_who_does_not_finish_a_head_is_disconnected(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    async with Listener(_answer, None).serving("127.0.0.1", 0) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await reader.read()  # until the server closes
        writer.close()


async def test_an_idle_connection_may_stay_longer_than_a_head_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    async with Listener(_answer, None).serving("127.0.0.1", 0) as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"ok")
            await asyncio.sleep(0.2)
        writer.close()
