"""Answers onto the wire: whole ones, streams, and Status errors. The only place that writes a Status."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from apiserver import compression
from apiserver.filters import exchange
from apiserver.filters.exchange import Scope, Send
from apiserver.filters.request_info import is_long_running
from apiserver.handlers import negotiation
from apiserver.protocol import ChunkWriter, Connection
from apiserver.request import Answer, Response, StreamResponse
from machinery.api import codec
from machinery.api.errors import InternalError, StatusError

logger = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

_CACHE: Final = (b"cache-control", b"no-cache, private")


def status_response(error: StatusError) -> Response:
    """The answer an error stands for, with Retry-After and WWW-Authenticate where they belong."""
    headers: Headers = []
    seconds = (error.details or {}).get("retryAfterSeconds")
    if seconds:
        headers.append((b"retry-after", str(seconds).encode()))
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="kubernetes"'))
    return Response(error.status_code, codec.dumps(error.status()), headers=headers)


async def write_status(scope: Scope, send: Send, error: StatusError) -> None:
    """Answer with a Status, unless the answer has begun: then all that is left is to cut the connection."""
    cycle = (scope.get("extensions") or {}).get("skiff.cycle")
    if cycle is not None and cycle.response_started:
        cycle.transport.abort()
        return
    answer, trip = status_response(error), exchange.of(scope)
    if negotiation.is_pretty(trip.headers.get("user-agent", ""), trip.param("pretty")):
        answer = replace(answer, body=codec.indented(answer.body))
    await write(scope, send, answer, ())


async def write(scope: Scope, send: Send, answer: Answer, warnings: Iterable[str]) -> None:
    """Send an answer; `warnings` become Warning headers."""
    trip = exchange.of(scope)
    trip.status = answer.status
    if trip.audit is not None:
        answer = trip.audit.answering(answer, long_running=is_long_running(trip.info))
    headers = [(b"content-type", answer.content_type.encode()), _CACHE, *trip.marks, *answer.headers]
    headers += [(b"warning", _warning(text)) for text in dict.fromkeys(warnings)]
    if trip.audit is not None:
        headers.append((b"audit-id", trip.audit.audit_id.encode()))
    if isinstance(answer, Response):
        if len(answer.body) >= compression.THRESHOLD and _takes_gzip(scope):
            headers += compression.HEADERS
            answer = replace(answer, body=await compression.compress(answer.body))
        await _whole(scope, send, answer, headers)
    elif is_long_running(trip.info):
        await _stream(scope, send, answer, headers, endless=True)
    else:
        await _sized(scope, send, answer, headers)


def _takes_gzip(scope: Scope) -> bool:
    return compression.is_accepted(exchange.of(scope).headers.get("accept-encoding", ""))


async def _whole(scope: Scope, send: Send, answer: Response, headers: Headers) -> None:
    connection: Connection | None = (scope.get("extensions") or {}).get("skiff")
    if connection is not None and connection.respond(scope, answer.status, headers, answer.body):
        return
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _sized(scope: Scope, send: Send, answer: StreamResponse, headers: Headers) -> None:
    """A body that ends: in one piece while it is small, else in chunks, compressed if the client likes."""
    first: list[bytes] = []
    size = 0
    async for chunk in answer.chunks:
        first.append(chunk)
        size += len(chunk)
        if size >= compression.THRESHOLD:
            break
    else:
        await _whole(scope, send, Response(answer.status, b"".join(first)), headers)
        return
    chunks = _continued(first, answer)
    if _takes_gzip(scope):
        headers += compression.HEADERS
        chunks = compression.compressed(chunks)
    await _stream(scope, send, replace(answer, chunks=chunks), headers, endless=False)


async def _continued(first: list[bytes], answer: StreamResponse) -> AsyncIterator[bytes]:
    try:
        for chunk in first:
            yield chunk
        async for chunk in answer.chunks:
            yield chunk
    finally:
        await _close(answer)


async def _stream(scope: Scope, send: Send, answer: StreamResponse, headers: Headers, *, endless: bool) -> None:
    connection: Connection | None = (scope.get("extensions") or {}).get("skiff")
    writer = connection.start_chunked(scope, answer.status, headers) if connection is not None else None
    if writer is not None and connection is not None:
        await _write_direct(connection, writer, answer, endless=endless)
    else:
        await _send_chunks(send, answer, headers)


async def _write_direct(connection: Connection, writer: ChunkWriter, answer: StreamResponse, *, endless: bool) -> None:
    """The usual way: past ASGI. The client's going ends it while no chunk comes; so does the server's, if endless."""
    task = asyncio.current_task()
    assert task is not None
    forget = [connection.on_lost(task.cancel)]
    if endless:
        forget.append(connection.on_stop(task.cancel))
    try:
        async for chunk in answer.chunks:
            writer.write(chunk)
            await writer.drain()
            if writer.gone:
                break
        writer.finish()
    except asyncio.CancelledError:
        if not connection.lost and not (endless and connection.stopping):
            raise
        task.uncancel()
        writer.finish()
    finally:
        for take_back in forget:
            take_back()
        await _close(answer)


async def _send_chunks(send: Send, answer: StreamResponse, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        async for chunk in answer.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await _close(answer)


async def _close(answer: StreamResponse) -> None:
    close = getattr(answer.chunks, "aclose", None)
    if close is not None:
        await close()


def _warning(text: str) -> bytes:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(char for char in quoted if char >= " " and char != "\x7f")
    return f'299 - "{printable}"'.encode()


def unexpected(problem: Exception) -> StatusError:
    """What a client is told of an error nobody foresaw; the log has the rest."""
    return InternalError(
        f"Internal error occurred: {type(problem).__name__}", {"causes": [{"message": type(problem).__name__}]}
    )
