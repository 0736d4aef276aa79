"""HTTP/1.1 over TLS for the kubelet: requests in, responses, streams or a taken-over connection out. No routes here.

h11 does the protocol; what is special is `TakeOver`: after an upgrade the handler owns the two byte streams.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from machinery.aio.tasks import first_of

logger = logging.getLogger(__name__)

_CHUNK: Final = 65536
_LARGEST_BODY: Final = 1 << 20
_IDLE_SECONDS: Final = 120.0
_FAREWELL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, the raw list keeps order and repetitions."""

    method: str
    path: str
    target: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    certificate: Mapping[str, Any] = field(default_factory=dict)  # as ssl.getpeercert() gives it

    def param(self, name: str) -> str:
        """The first value of a query parameter, or empty."""
        return (self.query.get(name) or [""])[0]

    def flag(self, name: str) -> bool:
        """A boolean query parameter."""
        return self.param(name).lower() in ("1", "true", "t")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that comes in pieces."""

    chunks: AsyncIterator[bytes]
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection that is no HTTP any more; `early` came in behind the request's head."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    early: bytes


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The handler answers by itself, 101 and all."""

    run: Callable[[Wire], Awaitable[None]]


Answer = Response | Stream | TakeOver
Handler = Callable[[Request], Awaitable[Answer]]


async def serve(
    handler: Handler,
    address: str,
    port: int,
    tls: ssl.SSLContext | None,
    listening: "asyncio.Future[int] | None" = None,
) -> None:
    """Serve until cancelled; `listening` gets the port. Raises OSError when the address is taken."""

    async with asyncio.TaskGroup() as group:

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(_Connection(handler, reader, writer).serve(), name="connection")

        server = await asyncio.start_server(connected, address, port, ssl=tls)
        if listening is not None:
            listening.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()


class _Connection:
    """One client connection, request after request."""

    def __init__(self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handler = handler
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 17)

    async def serve(self) -> None:
        try:
            while await self._one_exchange():
                self._http.start_next_cycle()
        except (h11.RemoteProtocolError, h11.LocalProtocolError, ConnectionError, TimeoutError, ssl.SSLError):
            pass
        except Exception:  # the connection ends, the server goes on
            logger.exception("a request failed")
        finally:
            await self._close()

    async def _close(self) -> None:
        with suppress(Exception):  # closing a broken TLS connection may raise nearly anything
            self._writer.close()
            # A peer that does not answer the TLS farewell would hold us for half a minute.
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._writer.wait_closed()
            return
        self._writer.transport.abort()

    async def _one_exchange(self) -> bool:
        """Answer one request; True when another may follow."""
        head = await self._next_event(_IDLE_SECONDS)
        if not isinstance(head, h11.Request):
            return False
        request = await self._read_request(head)
        answer = await self._handler(request)
        if isinstance(answer, TakeOver):
            early, _ = self._http.trailing_data
            await answer.run(Wire(self._reader, self._writer, bytes(early)))
            return False
        if isinstance(answer, Stream):
            await self._send_stream(answer)
        else:
            await self._send(answer, with_body=request.method != "HEAD")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _next_event(self, seconds: float | None) -> Any:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            async with asyncio.timeout(seconds):
                self._http.receive_data(await self._reader.read(_CHUNK))

    async def _read_request(self, head: h11.Request) -> Request:
        body = bytearray()
        while not _is_upgrade(head):
            event = await self._next_event(_IDLE_SECONDS)
            if not isinstance(event, h11.Data):
                break
            body += event.data
            if len(body) > _LARGEST_BODY:
                raise h11.RemoteProtocolError("the request body is too large")
        raw = tuple((bytes(name), bytes(value)) for name, value in head.headers)
        target = head.target.decode("ascii", "replace")
        parts = urlsplit(target)
        return Request(
            head.method.decode(),
            unquote(parts.path),
            target,
            parse_qs(parts.query, keep_blank_values=True),
            {name.decode().lower(): value.decode("latin-1") for name, value in raw},
            raw,
            bytes(body),
            self._writer.get_extra_info("peercert") or {},
        )

    async def _write(self, *events: h11.Event) -> None:
        for event in events:
            data = self._http.send(event)
            if data:
                self._writer.write(data)
        await self._writer.drain()

    async def _send(self, answer: Response, *, with_body: bool) -> None:
        headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        body = [h11.Data(data=answer.body)] if with_body and answer.body else []
        await self._write(h11.Response(status_code=answer.status, headers=headers), *body, h11.EndOfMessage())

    async def _send_stream(self, answer: Stream) -> None:
        await self._write(h11.Response(status_code=200, headers=[("Content-Type", answer.content_type)]))

        async def copy() -> None:
            async for chunk in answer.chunks:
                await self._write(h11.Data(data=chunk))
            await self._write(h11.EndOfMessage())

        # A client that follows a silent log hangs up without our writing anything: reading shows it.
        await first_of(copy(), self._until_client_leaves())

    async def _until_client_leaves(self) -> None:
        while await self._reader.read(_CHUNK):
            pass


def _is_upgrade(head: h11.Request) -> bool:
    return any(name == b"upgrade" for name, _ in head.headers)
