"""HTTP/1.1 to one server over kept connections, client side. What is asked, and what answers mean, is `rest`.

Theory of operation
-------------------
A component asks the API server for something at each step it takes, and libraries of general use spend several times
what the request itself costs (docs/performance.md). What is needed of HTTP is little: a head, a body, an answer.

* A connection carries one request at a time. Free ones are kept, and the one that was used last is used first; a server
  that closes one takes it out of the pool at once. Streams have their own: kept, each watch would leave one behind.
* A request leaves in one write. An answer wakes whoever waits when it is whole; of a stream, when there is more of it.
* A stream that is not read stops the server after AHEAD bytes.
* A kept connection may close as a request leaves. Only where nothing of an answer came, and the method may be repeated,
  the request is sent again.
* Whoever stops waiting (a timeout, a cancelled task) closes the connection: what comes on it is nobody's.

Refused: pipelining, redirects, proxies, cookies, HEAD, upgrades (kubectl has its own sockets for those).
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import quote, urlsplit

import httptools
from isal import isal_zlib

CONNECT_SECONDS: Final = 10.0
AHEAD: Final = 1 << 20  # bytes of a stream that may wait for their reader
_GZIP: Final = 31  # zlib's word for it
_GZIP_ERROR: Final = cast(type[Exception], isal_zlib.error)  # its stub has an instance
_REPEATABLE: Final = frozenset(("GET", "OPTIONS", "PUT", "DELETE"))
_PLAIN: Final = re.compile(r"[!-~]*")  # a target that needs no quotes: visible ASCII
_CLEAN: Final = re.compile(r"[^\r\n\0]*")

Headers = Iterable[tuple[str, str]]


class Broken(OSError):
    """There was no connection, or it ended, was silent for too long or said what is not HTTP before all had come."""


class Response:
    """An answer as it comes; `content` is its body once it is whole, unless it was read piece by piece."""

    def __init__(self, silence: float | None = None, resume: Callable[[], None] = lambda: None) -> None:
        self._silence = silence  # seconds to wait for what wakes the reader
        self._resume = resume  # lets the server go on, which stopped for want of a reader
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._waiting = 0  # bytes in chunks
        self.status_code = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.content = b""
        self.has_begun = False  # something of it came
        self.is_whole = False
        self.problem: Exception | None = None

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        wanted = name.lower().encode()
        return [value.decode(errors="replace") for key, value in self.fields if key == wanted]

    # what comes

    def put(self, chunk: bytes) -> int:
        """A piece of the body; answers how many bytes wait for their reader."""
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        return self._waiting

    def wake(self) -> None:
        """There is something new for who waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, problem: Exception | None = None) -> None:
        """Nothing comes any more."""
        if not self.is_whole and self.problem is None:
            self.problem = problem
            self.is_whole = problem is None
            self.wake()

    # who reads

    async def _more(self) -> None:
        if self.problem is not None:
            raise self.problem
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if self._silence is None:
            await self._waiter
            return
        timer = loop.call_later(self._silence, self.end, Broken(f"no answer in {self._silence:g} s"))
        try:
            await self._waiter
        finally:
            timer.cancel()

    async def begin(self) -> None:
        """Until status and fields are there; raises Broken."""
        while not self.status_code:
            await self._more()

    async def aread(self) -> bytes:
        """All of the body; raises Broken."""
        while not self.is_whole:
            self._resume()  # of a stream: all of it is wanted
            await self._more()
        self.content = b"".join(self._chunks)
        self._chunks.clear()
        if self.content and (b"content-encoding", b"gzip") in self.fields:
            try:
                self.content = isal_zlib.decompress(self.content, _GZIP)
            except _GZIP_ERROR as problem:
                raise Broken(f"malformed gzip: {problem}") from problem
        return self.content

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body piece by piece; raises Broken."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            self._waiting = 0
            self._resume()
            if self.is_whole:
                return
            await self._more()


class _Connection(asyncio.Protocol):
    """One connection, and the request that it carries."""

    def __init__(self, pool: "Connections") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Response | None = None
        self._is_streamed = False
        self._ends_with_connection = False
        self._is_paused = False
        self._is_given_up = False
        self.was_used = False
        self.is_lost = False

    def ask(self, request: bytes, silence: float | None, *, is_streamed: bool = False) -> Response:
        """Send a request; a streamed answer wakes its reader at each piece, another one when it is whole."""
        assert self._transport is not None
        self._is_streamed = is_streamed
        self._ends_with_connection = False  # until its head says so
        self._answer = answer = Response(silence, self._go_on_reading)
        self._transport.write(request)
        return answer

    def close(self) -> None:
        """Give the connection up."""
        self.is_lost = self._is_given_up = True
        if self._transport is not None:
            self._transport.abort()

    def _go_on_reading(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        self._pool.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server went, or we did."""
        self.is_lost = True
        self._pool.lost(self)
        if self._answer is not None:
            ended_well = exc is None and self._ends_with_connection and not self._is_given_up
            self._answer.end(None if ended_well else Broken(str(exc or "") or "the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if self._answer is None:  # nobody asked
            self.close()
            return
        self._answer.has_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            if self._answer is not None:  # else it stands behind an answer
                self._answer.end(Broken(f"malformed HTTP response: {problem}"))
            self.close()

    def eof_received(self) -> None:
        """The server is going: what is asked now would be lost."""
        self.is_lost = True

    # the parser's callbacks

    def on_message_begin(self) -> None:
        """An answer begins, or what nobody asked for behind one."""
        if self._answer is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        if self._answer is not None:
            self._answer.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None:
            return
        if status < 200:  # there is another to come
            answer.fields.clear()
            return
        answer.status_code = status
        names = {name for name, _ in answer.fields}
        self._ends_with_connection = not names & {b"content-length", b"transfer-encoding"}
        if self._is_streamed:
            answer.wake()

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        answer = self._answer
        if answer is None:
            return
        waiting = answer.put(body)
        if self._is_streamed:
            if waiting > AHEAD and not self._is_paused and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
            answer.wake()

    def on_message_complete(self) -> None:
        """The answer is whole: the connection is free, if the server keeps it."""
        answer = self._answer
        if answer is None or not answer.status_code:
            return
        self._answer = None
        self.was_used = True
        if self._parser.should_keep_alive() and not self.is_lost and not self._is_streamed:
            self._go_on_reading()
            self._pool.freed(self)
        else:
            self.close()
        answer.end()


class Connections:
    """The connections to one server."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, server_name: str = "", headers: Headers = ()) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._tls = tls
        self._server_name = server_name
        self._always = [("host", parts.netloc.rpartition("@")[2]), *headers]
        self._open: set[_Connection] = set()
        self._free: list[_Connection] = []
        self._is_closed = False
        self._none_open = asyncio.Event()
        self._none_open.set()

    def opened(self, connection: _Connection) -> None:
        """There is one more."""
        self._open.add(connection)
        self._none_open.clear()

    def freed(self, connection: _Connection) -> None:
        """Somebody else may use it."""
        self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        """There is one less."""
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if not self._open:
            self._none_open.set()

    async def close(self) -> None:
        """Close them all; those who still ask get Broken."""
        self._is_closed = True
        for connection in tuple(self._open):
            connection.close()
        await self._none_open.wait()

    async def request(self, method: str, target: str, headers: Headers, body: bytes | None, seconds: float) -> Response:
        """Ask and have the whole answer; raises Broken, also after so many seconds."""
        asked = self._bytes(method, target, [*headers, ("accept-encoding", "gzip")], body)
        while True:
            connection = self._kept() or await self._connect()
            was_used, answer = connection.was_used, connection.ask(asked, seconds)
            try:
                await answer.aread()
                return answer
            except Broken:
                was_closed = connection.is_lost and not answer.has_begun  # otherwise it is silent, or talks nonsense
                if not was_used or not was_closed or method not in _REPEATABLE:
                    raise
            finally:
                if not answer.is_whole:
                    connection.close()

    @asynccontextmanager
    async def stream(self, target: str, headers: Headers, silence: float | None) -> AsyncIterator[Response]:
        """GET with the body left to read, once its head is there; raises Broken, also after so many silent seconds."""
        asked = self._bytes("GET", target, [*headers, ("accept-encoding", "identity")], None)
        connection = await self._connect()  # for long, and a free one may close as we ask
        answer = connection.ask(asked, silence, is_streamed=True)
        try:
            await answer.begin()
            yield answer
        finally:
            if not answer.is_whole:
                connection.close()

    def _kept(self) -> _Connection | None:
        """A free connection, the one that was used last; those that are about to close stay away."""
        while self._free:
            connection = self._free.pop()
            if not connection.is_lost:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        name = (self._server_name or self._host) if self._tls else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=name,
                )
        except TimeoutError as problem:
            raise Broken(f"no connection in {CONNECT_SECONDS:g} s") from problem
        except (OSError, UnicodeError) as problem:  # a host name that cannot be one is the latter
            raise Broken(str(problem) or type(problem).__name__) from problem
        if self._is_closed:  # before, or meanwhile
            connection.close()
            raise Broken("the connections to this server are closed")
        return connection

    def _bytes(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes | None) -> bytes:
        if not _PLAIN.fullmatch(target):
            target = quote(target, safe="/?&=%:@!$'()*+,;~-._")
        length = [("content-length", str(len(body)))] if body is not None else []
        lines = [f"{name}: {value}" for name, value in (*self._always, *headers, *length)]
        if not all(map(_CLEAN.fullmatch, lines)):
            raise ValueError("a header may not hold a line break")
        head = "\r\n".join((f"{method} {self._prefix}{target} HTTP/1.1", *lines, "\r\n")).encode()
        return head + body if body else head
