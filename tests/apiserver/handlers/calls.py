"""Requests without a socket."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from apiserver import handlers
from apiserver.filters.request_info import request_info
from apiserver.registry.registry import Registry
from apiserver.request import Request, Response, StreamResponse, User
from machinery.api import codec
from machinery.api.codec import Json


def request(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Request:
    """A request; a body that is not bytes is sent as JSON."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    raw = body if isinstance(body, bytes) else codec.dumps(body) if body is not None else b""

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    info = request_info(method, parts.path, query)
    given = {"content-type": "application/json", **(headers or {})}
    return Request(method, parts.path, query, given, info, User("admin"), {}, receive)


@dataclass(slots=True)
class Answered:
    """An answer, read to its end."""

    status: int
    raw: bytes
    content_type: str
    warnings: list[str] = field(default_factory=list)
    chunks: int = 1

    @property
    def json(self) -> Json:
        """The body."""
        value: Json = codec.loads(self.raw)
        return value


class Caller:
    """Calls the handlers of a registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def __call__(
        self, method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """The answer; raises StatusError."""
        asked = request(method, url, body, headers)
        answer = await self._handle(asked)
        if isinstance(answer, Response):
            return Answered(answer.status, answer.body, answer.content_type, asked.warnings)
        chunks = [chunk async for chunk in answer.chunks]
        return Answered(answer.status, b"".join(chunks), answer.content_type, asked.warnings, len(chunks))

    async def _handle(self, asked: Request) -> Response | StreamResponse:
        store = self.registry.store_for(asked.info.group, asked.info.version, asked.info.resource)
        assert store is not None
        return await handlers.handle(asked, store)

    @contextlib.asynccontextmanager
    async def watch(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator["Lines"]:
        """A watch as lines."""
        answer = await self._handle(request("GET", url, None, headers))
        assert isinstance(answer, StreamResponse)
        lines = Lines(answer.chunks)
        try:
            yield lines
        finally:
            await answer.chunks.aclose()  # type: ignore[attr-defined]


class Lines:
    """The events of a watch, one by one."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting: list[Json] = []

    async def next(self) -> Json:
        """The next event; raises StopAsyncIteration at the end."""
        while not self._waiting:
            chunk = await anext(self._chunks)
            self._waiting = [codec.loads(line) for line in chunk.splitlines()]
        return self._waiting.pop(0)

    async def shown(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]
