"""One file per verb; `handle` is the one way in. What connects to other servers (log, exec, proxy) is elsewhere.

Every handler is `async (request, store) -> answer`; whatever goes wrong is raised as a StatusError.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from apiserver.handlers import create, delete, get, list, negotiation, patch, scale, update, watch
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.request import Answer, Request, RequestInfo
from machinery.api import errors

Handler = Callable[[Request, Store], Awaitable[Answer]]

_VERBS: Final[Mapping[str, Handler]] = {
    "get": get.handle,
    "list": list.handle,
    "watch": watch.handle,
    "create": create.handle,
    "update": update.handle,
    "patch": patch.handle,
    "delete": delete.handle,
    "deletecollection": delete.handle_collection,
}
#: of status, and of any other part of an object that the strategy has a prepare_for_X_update for
_SUBRESOURCE_VERBS: Final[Mapping[str, Handler]] = {
    "get": get.handle,
    "update": update.handle,
    "patch": patch.handle,
}
_SCALE_VERBS: Final[Mapping[str, Handler]] = {"get": scale.get, "update": scale.update, "patch": scale.patch}


#: what collections and objects are asked; the rest is 405
_COLLECTION_METHODS: Final = frozenset(("GET", "POST", "DELETE"))
_OBJECT_METHODS: Final = frozenset(("GET", "PUT", "PATCH", "DELETE"))
_EVERYWHERE: Final = frozenset(("list", "watch"))


async def handle(request: Request, store: Store) -> Answer:
    """Answer one request to a resource, to its `status`, its `scale` or the like; raises errors.StatusError."""
    info = request.info
    check_route(request.method, info, store.resource)
    if not info.subresource:
        table = _VERBS if info.verb in store.resource.verbs else {}
    else:
        table = _SCALE_VERBS if info.subresource == "scale" else _SUBRESOURCE_VERBS
    handler = table.get(info.verb)
    if handler is None:
        raise _not_allowed()
    if store.resource.deprecated:
        request.warnings.append(store.resource.deprecated)
    if info.verb != "watch":  # before anything is written
        negotiation.negotiate(request.headers.get("accept", ""))
    return await handler(request, store)


def check_route(method: str, info: RequestInfo, resource: Resource) -> None:
    """Raises NotFound for paths upstream has no route for, MethodNotSupported for methods a route does not have."""
    namespaced = resource.kind.namespaced
    in_namespace = bool(info.namespace) and resource.kind.plural != "namespaces"
    if (in_namespace and not namespaced) or (info.name and namespaced and not in_namespace and info.verb != "watch"):
        raise errors.NotFound("the server could not find the requested resource", {})
    if not info.name and namespaced and not in_namespace and info.verb not in _EVERYWHERE:
        raise _not_allowed()  # above all: nobody deletes the pods of all namespaces by leaving one out
    methods = _OBJECT_METHODS if info.name else _COLLECTION_METHODS
    if method not in methods or (info.verb == "watch" and method != "GET"):
        raise _not_allowed()


def _not_allowed() -> errors.MethodNotSupported:
    return errors.MethodNotSupported("the server does not allow this method on the requested resource", {})
