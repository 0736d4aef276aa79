"""One file per verb; `handle` is the one way in. What connects to other servers (log, exec, proxy) is elsewhere.

Every handler is `async (request, store) -> answer`; whatever goes wrong is raised as a StatusError.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from apiserver.handlers import create, delete, get, list, patch, scale, update, watch
from apiserver.registry.store import Store
from apiserver.request import Answer, Request
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


async def handle(request: Request, store: Store) -> Answer:
    """Answer one request to a resource, to its `status`, its `scale` or the like; raises errors.StatusError."""
    info = request.info
    if not info.subresource:
        table = _VERBS if info.verb in store.resource.verbs else {}
    else:
        table = _SCALE_VERBS if info.subresource == "scale" else _SUBRESOURCE_VERBS
    handler = table.get(info.verb)
    if handler is None:
        raise errors.MethodNotSupported("the server does not allow this method on the requested resource", {})
    return await handler(request, store)
