"""What the filters have found out about a request, carried along in the ASGI scope. Nothing is decided here."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from apiserver.audit.auditor import Record
from apiserver.request import ANONYMOUS, RequestInfo, User
from machinery.api import errors

_LONGEST_NAME: Final = 64  # bytes of a header's name that is remembered
_MOST_PARAMETERS: Final = 10_000  # more than any command of an exec has words

_UNKNOWN: Final = RequestInfo("", "")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class PeerConnection(Protocol):
    """What authentication and tunnels need of a connection; `protocol.Connection` is the one on a socket."""

    def client_certificate(self) -> tuple[Mapping[str, Any], bytes] | None:
        """The verified client certificate as ssl's dict and as DER, if the client sent one."""


@dataclass(slots=True)
class Exchange:
    """One request as far as it is known; each filter fills in its part."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case; of repeated headers the last
    connection: PeerConnection | None
    info: RequestInfo = _UNKNOWN
    user: User = ANONYMOUS
    impersonator: User | None = None
    #: headers of every answer to this request
    marks: Headers = field(default_factory=list)
    #: of the answer, once there is one
    status: int = 0
    #: where the request is recorded, if the audit policy says so
    audit: Record | None = None

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A boolean query parameter as Go's strconv.ParseBool reads it; what it cannot read is false."""
        return self.param(name) in ("1", "t", "T", "true", "True", "TRUE")


def begin(scope: Scope) -> Exchange:
    """Start the exchange of a request and leave it in its scope; raises BadRequest."""
    headers = {_name(name): value.decode("latin-1") for name, value in scope["headers"]}
    connection = (scope.get("extensions") or {}).get("skiff")
    exchange = Exchange(scope["method"], scope["path"], {}, headers, connection)
    scope["skiff.exchange"] = exchange
    if scope["query_string"]:
        exchange.query = _query(scope["query_string"])
    return exchange


def _query(raw: bytes) -> Mapping[str, list[str]]:
    try:
        return parse_qs(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError as problem:
        raise errors.BadRequest(f"more than {_MOST_PARAMETERS} query parameters") from problem


def of(scope: Scope) -> Exchange:
    """The exchange of a request that has begun."""
    exchange: Exchange = scope["skiff.exchange"]
    return exchange


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header that may be repeated."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _name(raw: bytes) -> str:
    return _known_name(raw) if len(raw) <= _LONGEST_NAME else raw.decode("latin-1").lower()


@lru_cache(maxsize=256)
def _known_name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()
