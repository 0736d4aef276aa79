"""Answers onto the wire: whole ones, streams, and Status errors. The only place that writes a Status."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from apiserver.filters import exchange
from apiserver.filters.exchange import Scope, Send
from apiserver.filters.request_info import is_long_running
from apiserver.protocol import ChunkWriter, Connection
from apiserver.request import Answer, Response, StreamResponse
from machinery.api import codec
from machinery.api.errors import InternalError, StatusError

logger = logging.getLogger(__name__)

_CACHE: Final = (b"cache-control", b"no-cache, private")


def status_response(error: StatusError) -> Response:
    """The answer an error stands for, with Retry-After and WWW-Authenticate where they belong."""
    headers: list[tuple[bytes, bytes]] = []
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
    await write(scope, send, status_response(error), ())


async def write(scope: Scope, send: Send, answer: Answer, warnings: Iterable[str]) -> None:
    """Send an answer; `warnings` become Warning headers."""
    exchange.of(scope).status = answer.status
    headers = [(b"content-type", answer.content_type.encode()), _CACHE, *answer.headers]
    headers += [(b"warning", _warning(text)) for text in warnings]
    if not isinstance(answer, Response):
        await _stream(scope, send, answer, headers)
        return
    connection: Connection | None = (scope.get("extensions") or {}).get("skiff")
    if connection is not None and connection.respond(scope, answer.status, headers, answer.body):
        return
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _stream(scope: Scope, send: Send, answer: StreamResponse, headers: list[tuple[bytes, bytes]]) -> None:
    connection: Connection | None = (scope.get("extensions") or {}).get("skiff")
    writer = connection.start_chunked(scope, answer.status, headers) if connection is not None else None
    if writer is not None and connection is not None:
        endless = is_long_running(exchange.of(scope).info)
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


async def _send_chunks(send: Send, answer: StreamResponse, headers: list[tuple[bytes, bytes]]) -> None:
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


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON document as an answer."""
    return Response(status, codec.dumps(body))
