"""The server's side of a WebSocket: accepting, reading messages, writing. What they mean is not here.

RFC 6455.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY = 1, 2
_CLOSE, _PING, _PONG = 8, 9, 10
_LARGEST: Final = 32 << 20
NORMAL: Final = 1000


class WebSocketProblem(Exception):
    """The client broke the protocol."""


def accept_response(key: str, protocol: str) -> bytes:
    """The 101 that answers a client's Sec-WebSocket-Key."""
    digest = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {digest}",
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """One unmasked frame, as servers send them."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | opcode, size])
    elif size < 1 << 16:
        head = bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
    return head + payload


def close_frame(code: int = NORMAL, reason: str = "") -> bytes:
    """The frame that ends a connection."""
    return frame(code.to_bytes(2, "big") + reason.encode(), _CLOSE)


class Writer(Protocol):
    """Where frames go: an asyncio.StreamWriter, or what does the same."""

    def write(self, data: bytes) -> None:
        """Send, soon."""

    async def drain(self) -> None:
        """Wait while too much is unsent; raises ConnectionError when the client is gone."""


class WebSocket:
    """An accepted connection; a frame over `largest` bytes is against the rules."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: Writer, early: bytes = b"", *, largest: int = _LARGEST
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._early = early
        self._largest = largest

    async def messages(self) -> AsyncIterator[bytes]:
        """Whole data messages until the client closes; pings are answered. Raises WebSocketProblem."""
        parts: list[bytes] = []
        while True:
            try:
                final, opcode, payload = await self._frame()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if opcode == _PING:
                await self.send_raw(frame(payload, _PONG))
            elif opcode == _CLOSE:
                await self.send_raw(close_frame())
                return
            elif opcode in (0, TEXT, BINARY):
                parts.append(payload)
                if final:
                    yield b"".join(parts)
                    parts = []

    async def send(self, payload: bytes) -> None:
        """One binary message."""
        await self.send_raw(frame(payload))

    async def send_raw(self, data: bytes) -> None:
        """A frame that is made already."""
        self._writer.write(data)
        await self._writer.drain()

    async def _exactly(self, size: int) -> bytes:
        taken, self._early = self._early[:size], self._early[size:]
        return taken + await self._reader.readexactly(size - len(taken)) if len(taken) < size else taken

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._exactly(8), "big")
        if not second & 0x80 or size > self._largest:
            raise WebSocketProblem("an unmasked or oversized frame")
        mask = await self._exactly(4)
        return bool(first & 0x80), first & 0x0F, unmask(await self._exactly(size), mask)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload before the client masked it."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
