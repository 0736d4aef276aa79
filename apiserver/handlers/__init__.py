"""One file per verb; `handle` is the one way in. What connects to other servers (log, exec, proxy) is not dispatched here."""

from apiserver.registry.store import Store
from apiserver.request import Answer, Request
from machinery.api import errors


async def handle(request: Request, store: Store) -> Answer:
    """Answer one request to a resource, its `status` or its `scale`; raises errors.StatusError."""
    raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
