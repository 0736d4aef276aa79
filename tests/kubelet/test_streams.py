"""WebSocket and SPDY frames, and the translation between them, against a scripted runtime on loopback."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets

from kubelet.server import http, spdy, streaming
from kubelet.server.http import Answer, Request, TakeOver
from machinery.aio import websocket

ZLIB_ID = 0xE3C6A7C2  # the dictionary's Adler-32, which peers check


def test_the_dictionary_is_the_protocols() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == ZLIB_ID


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 65535, 65536])
def test_masks_come_off(size: int) -> None:
    payload, mask = bytes(number % 251 for number in range(size)), b"\x01\x02\x03\xff"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    assert websocket.unmask(masked, mask) == payload


class ScriptedRuntime:
    """A streaming server that echoes stdin to stdout over SPDY and ends with a verdict when stdin ends."""

    def __init__(self) -> None:
        self.head = b""
        self.opened: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n")
        inflate = zlib.decompressobj(zdict=spdy.DICTIONARY)
        numbers: dict[str, int] = {}
        while True:
            try:
                head = await reader.readexactly(8)
            except asyncio.IncompleteReadError:
                return
            payload = await reader.readexactly(int.from_bytes(head[5:8], "big"))
            first = int.from_bytes(head[:4], "big")
            if first >> 31:
                block = inflate.decompress(payload[10:])
                name = block.rpartition(b"streamtype")[2][4:].decode()
                self.opened.append(name)
                numbers[name] = int.from_bytes(payload[:4], "big")
            elif head[4] & 1:
                verdict = b'{"status":"Success"}'
                writer.write(_data(numbers["error"], verdict, 1) + _data(numbers["stdout"], b"", 1))
                await writer.drain()
                return
            else:
                writer.write(_data(numbers["stdout"], payload, 0))


def _data(stream: int, payload: bytes, flags: int) -> bytes:
    return stream.to_bytes(4, "big") + bytes([flags]) + len(payload).to_bytes(3, "big") + payload


@asynccontextmanager
async def joined(runtime: ScriptedRuntime, streams: tuple[str, ...]) -> AsyncIterator[str]:
    """A kubelet server that joins every client to the runtime."""
    behind = await asyncio.start_server(runtime.talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}/exec/token"

    async def handle(request: Request) -> Answer:
        return TakeOver(lambda wire: streaming.join(request, url, wire, streams=streams))

    async with asyncio.TaskGroup() as group:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = group.create_task(http.serve(handle, "127.0.0.1", 0, None, listening))
        yield f"ws://127.0.0.1:{await listening}"
        serving.cancel()
        behind.close()


async def test_a_v5_client_can_end_stdin_and_gets_the_verdict_last() -> None:
    runtime = ScriptedRuntime()
    async with joined(runtime, ("stdin", "stdout")) as url:
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("v5.channel.k8s.io")]) as client:
            assert client.subprotocol == "v5.channel.k8s.io"
            await client.send(b"\x00hello")
            assert await client.recv() == b"\x01hello"
            await client.send(b"\xff\x00")
            assert await client.recv() == b'\x03{"status":"Success"}'
            with pytest.raises(websockets.ConnectionClosedOK):
                await client.recv()
    assert runtime.opened == ["error", "stdin", "stdout"]
    assert b"X-Stream-Protocol-Version: v4.channel.k8s.io" in runtime.head


async def test_a_tunnel_is_unwrapped_byte_for_byte() -> None:
    runtime = ScriptedRuntime()
    opening = b"\x80\x03\x00\x01\x00" + (10).to_bytes(3, "big") + b"\0\0\0\x01" + bytes(6)
    async with joined(runtime, ()) as url:
        # By hand: libraries refuse a protocol name with a slash, which is what kubectl sends.
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: a\r\n"
        writer.write((head + "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n\r\n").encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        for part in (opening[:5], opening[5:]):  # message borders mean nothing
            writer.write(bytes([0x82, 0x80 | len(part)]) + bytes(4) + part)
        while not runtime.opened:
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
    assert b"Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io" in answer
    assert b"X-Stream-Protocol-Version: portforward.k8s.io" in runtime.head
