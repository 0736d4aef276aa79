"""What a handler sees of one request and what it gives back. Paths are parsed by filters/request_info; app writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from machinery.api import errors
from machinery.api.codec import Json

MAX_BODY: Final = 3 * 1024 * 1024  # upstream's MaxRequestBodyBytes

#: bytes; what is longer is worked on in a thread, so that other requests go on meanwhile
LARGE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class User:
    """Who asks; what authentication found (upstream: k8s.io/apiserver/pkg/authentication/user)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] = field(default_factory=dict)


ANONYMOUS: Final = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a path and a method mean (upstream: apiserver/pkg/endpoints/request/requestinfo.go)."""

    path: str
    verb: str
    is_resource: bool = False
    prefix: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()  # what follows the subresource: the rest of a proxy path


def _unasked(verb: str) -> None:
    """Whoever came this far may."""


class Recorder(Protocol):
    """What a handler may tell the audit log (audit.auditor.Record)."""

    def sent(self, obj: Json) -> None:
        """The object a client sent."""
        ...

    def sent_patch(self, patch: bytes) -> None:
        """The patch a client sent."""
        ...

    def annotate(self, key: str, value: str) -> None:
        """Something about the request that admission found out."""
        ...

    def annotate_body(self, key: str, value: str) -> None:
        """The same, for a policy that records bodies: it tells what is in one."""
        ...


@dataclass(slots=True)
class Request:
    """One request to a resource, after authentication and authorization."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    info: RequestInfo
    user: User
    scope: Mapping[str, Any]
    receive: Callable[[], Awaitable[Any]]
    warnings: list[str] = field(default_factory=list)  # become Warning: 299 headers
    audit: "Recorder | None" = None
    #: raises Forbidden where the client may not do this verb, too, with what the request is about
    authorize: Callable[[str], None] = _unasked

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    @property
    def is_large(self) -> bool:
        """Whether a large body was announced, or one of any length."""
        length = self.headers.get("content-length", "0")
        return "transfer-encoding" in self.headers or (length.isdecimal() and int(length[:20]) > LARGE)

    async def body(self) -> bytes:
        """The whole body; raises RequestEntityTooLarge past MAX_BODY bytes."""
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise errors.BadRequest("the client closed the connection before its request body was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                raise errors.RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)


@dataclass(slots=True)
class Response:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class StreamResponse:
    """An answer in chunks: lists, watches, logs. The writer yields between chunks and stops when the client goes."""

    chunks: AsyncIterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


Answer = Response | StreamResponse
