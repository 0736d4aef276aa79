"""exec, attach and port-forward: the client's upgraded connection joined to the runtime's streaming server.

Three ways, by what the client speaks:
- SPDY/3.1, and the WebSocket protocols that runtimes know (v4.channel.k8s.io and older): byte for byte.
- v5.channel.k8s.io: runtimes do not know it; it is translated to SPDY, which can end stdin as v5 can.
- SPDY/3.1+portforward.k8s.io: SPDY inside WebSocket messages; the messages are unwrapped.
Upstream: staging/src/k8s.io/apiserver/pkg/util/proxy (stream translator, tunneling), KEP-4006.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from kubelet.server.http import Request, Wire
from kubelet.server.spdy import SpdyClient
from machinery.aio.tasks import first_of
from machinery.aio.websocket import WebSocket, accept_response, close_frame

_BLOCK: Final = 65536
_V5: Final = "v5.channel.k8s.io"
_V4: Final = "v4.channel.k8s.io"
_TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"
_PORT_FORWARD: Final = "portforward.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PASSED_ON: Final = (b"connection", b"upgrade", b"x-stream-protocol-version")


class RefusedByRuntime(Exception):
    """The runtime's streaming server did not switch protocols."""


def websocket_protocols(request: Request) -> list[str]:
    """What a WebSocket client offers, in its order; empty for any other client."""
    if request.headers.get("upgrade", "").lower() != "websocket":
        return []
    values = [value.decode("latin-1") for name, value in request.raw_headers if name == b"sec-websocket-protocol"]
    return [protocol.strip() for value in values for protocol in value.split(",")]


async def join(request: Request, url: str, wire: Wire, *, streams: Iterable[str] = ()) -> None:
    """Join client and runtime until one of them leaves; `streams` are those a v5 client asked for."""
    offered = websocket_protocols(request)
    try:
        if _V5 in offered:
            await _translate_v5(request, url, wire, tuple(streams))
        elif _TUNNEL in offered:
            await _unwrap_tunnel(request, url, wire)
        else:
            await _splice(request, url, wire)
    except (RefusedByRuntime, OSError) as problem:
        body = f"error dialing the container runtime: {problem}".encode()
        head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with suppress(OSError):
            wire.writer.write(head.encode() + body)
            await wire.writer.drain()


@asynccontextmanager
async def _dial(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, str]]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        yield reader, writer, parts.path + (f"?{parts.query}" if parts.query else "")
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()


async def _splice(request: Request, url: str, wire: Wire) -> None:
    async with _dial(url) as (reader, writer, target):
        lines = [f"{request.method} {target} HTTP/1.1".encode(), b"Host: " + urlsplit(url).netloc.encode()]
        for name, value in request.raw_headers:
            if name in _PASSED_ON or name.startswith(b"sec-websocket-"):
                lines.append(name + b": " + value)
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + wire.early)
        await first_of(_copy(reader, wire.writer), _copy(wire.reader, writer))


async def _upgrade_to_spdy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, protocol: str
) -> None:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        f"X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n"
    )
    writer.write(head.encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as problem:
        raise RefusedByRuntime(problem.partial.decode("latin-1")) from problem
    if b" 101 " not in answer.split(b"\r\n", 1)[0] + b" ":
        raise RefusedByRuntime(answer.split(b"\r\n", 1)[0].decode("latin-1"))


async def _accept(request: Request, wire: Wire, protocol: str) -> WebSocket:
    wire.writer.write(accept_response(request.headers.get("sec-websocket-key", ""), protocol))
    await wire.writer.drain()
    return WebSocket(wire.reader, wire.writer, wire.early)


async def _unwrap_tunnel(request: Request, url: str, wire: Wire) -> None:
    async with _dial(url) as (reader, writer, target):
        await _upgrade_to_spdy(reader, writer, target, _PORT_FORWARD)
        socket = await _accept(request, wire, _TUNNEL)

        async def to_runtime() -> None:
            async for message in socket.messages():
                writer.write(message)
                await writer.drain()

        async def to_client() -> None:
            while data := await reader.read(_BLOCK):
                await socket.send(data)
            await socket.send_raw(close_frame())

        await first_of(to_runtime(), to_client())


async def _translate_v5(request: Request, url: str, wire: Wire, streams: tuple[str, ...]) -> None:
    async with _dial(url) as (reader, writer, target):
        await _upgrade_to_spdy(reader, writer, target, _V4)
        socket = await _accept(request, wire, _V5)
        spdy = SpdyClient(reader, writer)
        numbers = {name: spdy.open({"streamType": name}) for name in ("error", *streams)}
        await _Translation(socket, spdy, numbers).run()


class _Translation:
    """Channels of v5 messages on one side, SPDY streams on the other."""

    def __init__(self, socket: WebSocket, spdy: SpdyClient, numbers: dict[str, int]) -> None:
        self._socket = socket
        self._spdy = spdy
        self._numbers = numbers
        names = {"stdout": _STDOUT, "stderr": _STDERR, "error": _ERROR}
        self._channels = {numbers[name]: channel for name, channel in names.items() if name in numbers}
        self._open = set(self._channels)

    async def run(self) -> None:
        await first_of(self._from_client(), self._from_runtime())

    async def _from_client(self) -> None:
        async for message in self._socket.messages():
            if not message:
                continue
            channel, payload = message[0], message[1:]
            if channel == _STDIN and "stdin" in self._numbers and payload:
                await self._spdy.send(self._numbers["stdin"], payload)
            elif channel == _RESIZE and "resize" in self._numbers:
                await self._spdy.send(self._numbers["resize"], payload)
            elif channel == _CLOSE and payload[:1] == bytes([_STDIN]) and "stdin" in self._numbers:
                await self._spdy.send(self._numbers["stdin"], b"", last=True)

    async def _from_runtime(self) -> None:
        verdict = b""
        async for data in self._spdy.received():
            channel = self._channels.get(data.stream)
            if channel == _ERROR:
                verdict += data.payload
            elif channel is not None and data.payload:
                await self._socket.send(bytes([channel]) + data.payload)
            if data.last:
                self._open.discard(data.stream)
            if not self._open:
                break
        if verdict:
            # The verdict comes last: clients stop reading output once they have it.
            await self._socket.send(bytes([_ERROR]) + verdict)
        await self._socket.send_raw(close_frame())
