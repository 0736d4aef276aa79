"""A watch over WebSocket, as browsers ask for it: one message per event. What the events are is `watch`.

Upstream: apiserver/pkg/endpoints/handlers/watch.go, HandleWS. The client has nothing to say: what it sends is dropped.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Final, cast

from apiserver.handlers import negotiation
from apiserver.request import Request, StreamResponse
from machinery.aio import websocket
from machinery.aio.tasks import first_of
from machinery.aio.websocket import WebSocket

_BEARER: Final = "base64url.bearer.authorization.k8s.io."
_LARGEST: Final = 1 << 16  # bytes of a frame from a client, which has no reason to send any


def is_wanted(request: Request) -> bool:
    """Whether the client asked for a watch over WebSocket."""
    if request.info.verb != "watch" or request.headers.get("upgrade", "").lower() != "websocket":
        return False
    return bool(request.scope["extensions"]["skiff"].wants_upgrade)


async def serve(request: Request, answer: StreamResponse) -> None:
    """Take the connection over and send events until either side has enough."""
    connection = request.scope["extensions"]["skiff"]
    client = _Client()
    client.transport = connection.take_over(client)
    forget = connection.on_stop(client.peer_lost)
    try:
        client.write(websocket.accept_response(request.headers.get("sec-websocket-key", ""), _protocol(request)))
        socket = WebSocket(client.reader, client, largest=_LARGEST)
        opcode = websocket.TEXT if answer.content_type == negotiation.JSON else websocket.BINARY
        with suppress(ConnectionError, websocket.WebSocketProblem):
            await first_of(_send(socket, answer, opcode), _ignore(socket))
    finally:
        forget()
        client.close()


async def _send(socket: WebSocket, answer: StreamResponse, opcode: int) -> None:
    split = _lines if opcode == websocket.TEXT else _frames
    async with aclosing(cast(AsyncGenerator[bytes, None], answer.chunks)) as chunks:
        async for chunk in chunks:
            await socket.send_raw(b"".join(websocket.frame(event, opcode) for event in split(chunk)))
    await socket.send_raw(websocket.close_frame())


async def _ignore(socket: WebSocket) -> None:
    async for _ in socket.messages():
        pass


def _lines(chunk: bytes) -> Iterator[bytes]:
    yield from chunk.splitlines(keepends=True)


def _frames(chunk: bytes) -> Iterator[bytes]:
    """Messages have a length of their own: the one in front is for streams."""
    place = 0
    while place < len(chunk):
        (size,) = struct.unpack_from(">I", chunk, place)
        yield chunk[place + 4 : place + 4 + size]
        place += 4 + size


def _protocol(request: Request) -> str:
    """The first subprotocol that is offered and no token."""
    offered = [part.strip() for part in request.headers.get("sec-websocket-protocol", "").split(",")]
    return next((part for part in offered if part and not part.startswith(_BEARER)), "")


class _Client:
    """The taken-over connection as reader and writer."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # the connection's peer

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.reader.feed_data(data)

    def peer_lost(self) -> None:
        """The client is gone, or is to go."""
        self.reader.feed_eof()
        self._writable.set()

    def pause_reading(self) -> None:
        """The client's socket is full."""
        self._writable.clear()

    def resume_reading(self) -> None:
        """The client's socket has room."""
        self._writable.set()

    # a writer

    def write(self, data: bytes) -> None:
        """Send, soon."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait while the socket is full."""
        await self._writable.wait()
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client is gone")

    def close(self) -> None:
        """End the connection; what is under way still arrives."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
