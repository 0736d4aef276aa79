"""A light HTTP/1.1 client for load: one request at a time per connection, next to no work per answer."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_ACCEPT: Final = "application/json"


class Refused(Exception):
    """The server answered with an error: the benchmark measures nothing then."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how it knows us."""

    url: str
    token: str
    ca: Path

    @property
    def host(self) -> str:
        """Its host and port, as a Host header has them."""
        return urlsplit(self.url).netloc

    def context(self) -> ssl.SSLContext:
        """TLS that believes the server's CA."""
        return ssl.create_default_context(cafile=str(self.ca))


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: method, path, body, and headers beside the usual ones."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = _ACCEPT
    gzip: bool = False

    def encoded(self, address: Address) -> bytes:
        """The bytes on the wire."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: {address.host}",
            f"Authorization: Bearer {address.token}",
            f"Accept: {self.accept}",
            "User-Agent: skiff-bench/1.0",
        ]
        if self.gzip:
            lines.append("Accept-Encoding: gzip")
        if self.body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class Connection(asyncio.Protocol):
    """One connection. Bodies are counted and thrown away, but for errors."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 0  # bytes of the whole answer; 0: not known; -1: chunked
        self._waiter: asyncio.Future[int] | None = None
        self.on_line: Callable[[bytes], None] | None = None  # a watch: gets what comes instead

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connected."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The server went away."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if self.on_line is not None:
            self.on_line(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if not self._wanted:
            self._look_at_head()
        if self._is_whole() and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self._size)

    async def ask(self, request: bytes) -> int:
        """Send a request and wait for the whole answer; its size in bytes. Raises Refused, ConnectionError."""
        assert self._transport is not None
        self._parts, self._size, self._wanted = [], 0, 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        size = await self._waiter
        if self._parts[0][9:10] not in (b"2", b"1"):
            raise Refused(b"".join(self._parts)[:1000].decode(errors="replace"))
        return size

    def watch(self, request: bytes, on_data: Callable[[bytes], None]) -> None:
        """Send a request whose answer never ends; what comes goes to `on_data`."""
        assert self._transport is not None
        self.on_line = on_data
        self._transport.write(request)

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.abort()

    def _look_at_head(self) -> None:
        whole = b"".join(self._parts)
        end = whole.find(_END)
        if end < 0:
            return
        head = whole[:end].lower()
        at = head.find(_LENGTH)
        self._wanted = -1 if at < 0 else end + 4 + int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])

    def _is_whole(self) -> bool:
        if self._wanted < 0:
            return (self._parts[-1] if len(self._parts[-1]) > 4 else b"".join(self._parts[-4:])).endswith(b"0\r\n\r\n")
        return 0 < self._wanted <= self._size


async def connect(address: Address) -> Connection:
    """A new connection."""
    parts = urlsplit(address.url)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        Connection, parts.hostname or "", parts.port or 443, ssl=address.context()
    )
    return connection


@dataclass(slots=True)
class Load:
    """What came of many requests: seconds of the whole and of each."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


async def run(address: Address, requests: Iterator[Request], connections: int) -> Load:
    """Send the requests over so many connections, each as soon as its last one is answered."""
    opened = [await connect(address) for _ in range(connections)]
    load = Load()

    async def work(connection: Connection) -> None:
        for request in requests:
            encoded = request.encoded(address)
            started = time.perf_counter()
            await connection.ask(encoded)
            load.latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(work(connection))
    finally:
        for connection in opened:
            connection.close()
    load.seconds = time.perf_counter() - started
    return load
