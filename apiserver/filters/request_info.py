"""From method and path to verb, group, namespace, resource, name, subresource. Whether any exists is not asked."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Receive, Scope, Send
from apiserver.request import RequestInfo

_VERBS: Final = {
    "GET": "get",
    "HEAD": "get",  # of a proxy; the resources themselves know no HEAD
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
#: what may follow a namespace's name and is not a resource in it
_NAMESPACE_SUBRESOURCES: Final = frozenset(("status", "finalize"))
_LONGEST_REMEMBERED: Final = 256  # characters
#: requests that may last as long as they like
LONG_RUNNING_VERBS: Final = frozenset(("watch", "proxy"))
LONG_RUNNING_SUBRESOURCES: Final = frozenset(("attach", "exec", "proxy", "log", "portforward"))


class RequestInfoFilter:
    """Begins the exchange: every later filter finds it in the scope."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Parse, then go on."""
        trip = exchange.begin(scope)
        trip.info = request_info(trip.method, trip.path, trip.query)
        await self._app(scope, receive, send)


def request_info(method: str, path: str, query: Mapping[str, list[str]]) -> RequestInfo:
    """What a request asks for (upstream: apiserver/pkg/endpoints/request/requestinfo.go)."""
    if query or len(path) > _LONGEST_REMEMBERED:
        return _parsed(method, path, query)
    return _remembered(method, path)


@lru_cache(maxsize=8192)
def _remembered(method: str, path: str) -> RequestInfo:
    return _parsed(method, path, {})


def _parsed(method: str, path: str, query: Mapping[str, list[str]]) -> RequestInfo:
    parts = [part for part in path.split("/") if part]
    prefix = parts[0] if parts else ""
    skip = {"api": 2, "apis": 3}.get(prefix, 0)
    if not skip or len(parts) <= skip:
        return RequestInfo(path, method.lower(), prefix=prefix)
    group, version = (parts[1], parts[2]) if prefix == "apis" else ("", parts[1])
    verb, rest = _VERBS.get(method, ""), parts[skip:]
    if rest[0] == "watch" and len(rest) > 1:  # the deprecated form: /api/v1/watch/pods
        verb, rest = "watch", rest[1:]
    namespace, rest = _split_namespace(rest)
    resource, name, subresource, *tail = [*rest, "", "", ""][: max(3, len(rest))]
    return RequestInfo(
        path,
        _collection_verb(verb, query) if not name else verb,
        True,
        prefix,
        group,
        version,
        resource,
        subresource,
        namespace,
        name,
        tuple(tail),
    )


def is_set(query: Mapping[str, list[str]], name: str, default: bool = False) -> bool:
    """A boolean as upstream's conversion reads it: present and empty is true, and so is what is not false or 0."""
    values = query.get(name)
    return values[0].lower() not in ("false", "0") if values else default


def is_long_running(info: RequestInfo) -> bool:
    """Whether the request is without deadline and outside the in-flight limits."""
    return info.verb in LONG_RUNNING_VERBS or info.subresource in LONG_RUNNING_SUBRESOURCES


def _split_namespace(parts: list[str]) -> tuple[str, list[str]]:
    if parts[0] != "namespaces" or len(parts) < 2:
        return "", parts
    if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
        return parts[1], parts[2:]
    return parts[1], parts


def _collection_verb(verb: str, query: Mapping[str, list[str]]) -> str:
    if verb == "get":
        return "watch" if is_set(query, "watch") else "list"
    return "deletecollection" if verb == "delete" else verb
