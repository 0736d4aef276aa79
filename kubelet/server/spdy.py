"""The client's side of SPDY/3.1, as far as remote commands need it: open streams, send, close halves, receive.

Runtimes serve exec and attach over SPDY with all its half-closes, and over WebSocket without a way to end stdin.
Frames: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1. There is no flow control on these
connections (moby/spdystream), and what peers say in headers is not needed, so it is not decompressed.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

_SYN_STREAM, _RST_STREAM, _PING, _GOAWAY = 1, 3, 6, 7
_CONTROL: Final = 0x80030000
_FIN: Final = 1
_MOST: Final = 1 << 16

# The protocol's preset dictionary: words with their lengths, then phrases as they are.
_WORDS: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_PHRASES: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


DICTIONARY: Final = b"".join(_counted(word.replace("_", " ")) for word in _WORDS.split()) + _PHRASES.encode()


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes on a stream, perhaps its last."""

    stream: int
    payload: bytes
    last: bool


class SpdyClient:
    """One upgraded connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._compressor = zlib.compressobj(zdict=DICTIONARY)
        self._next = 1

    def open(self, headers: Mapping[str, str]) -> int:
        """Begin a stream; returns its id."""
        number, self._next = self._next, self._next + 2
        block = len(headers).to_bytes(4, "big")
        block += b"".join(_counted(name.lower()) + _counted(value) for name, value in headers.items())
        packed = self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        self._control(_SYN_STREAM, number.to_bytes(4, "big") + bytes(6) + packed)
        return number

    async def send(self, stream: int, payload: bytes, *, last: bool = False) -> None:
        """Data on a stream; `last` closes our half."""
        pieces = [payload[at : at + _MOST] for at in range(0, len(payload), _MOST)] or [b""]
        for index, piece in enumerate(pieces):
            flags = _FIN if last and index == len(pieces) - 1 else 0
            self._writer.write(stream.to_bytes(4, "big") + bytes([flags]) + len(piece).to_bytes(3, "big") + piece)
        await self._writer.drain()

    async def received(self) -> AsyncIterator[Data]:
        """Data from the peer until it ends; a reset stream ends with an empty last piece."""
        while True:
            try:
                head = await self._reader.readexactly(8)
                payload = await self._reader.readexactly(int.from_bytes(head[5:8], "big"))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            first = int.from_bytes(head[:4], "big")
            if not first >> 31:
                yield Data(first, payload, bool(head[4] & _FIN))
                continue
            kind = first & 0xFFFF
            if kind == _PING:
                self._control(_PING, payload)
            elif kind == _RST_STREAM:
                yield Data(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF, b"", True)
            elif kind == _GOAWAY:
                return

    def _control(self, kind: int, payload: bytes) -> None:
        self._writer.write((_CONTROL | kind).to_bytes(4, "big") + b"\0" + len(payload).to_bytes(3, "big") + payload)
