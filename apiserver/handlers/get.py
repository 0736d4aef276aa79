"""GET of one object or of its status."""

from apiserver.handlers import options, rendering
from apiserver.registry.store import Store
from apiserver.request import Answer, Request


async def handle(request: Request, store: Store) -> Answer:
    """The object; raises NotFound."""
    info = request.info
    query = options.get_query(request) if request.query else None
    entry = await store.get(info.namespace, info.name, query)
    return rendering.object_answer(request, store.resource, entry)
