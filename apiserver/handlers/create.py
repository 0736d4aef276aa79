"""POST of a new object."""

from apiserver.handlers import admitting, options, rendering
from apiserver.handlers.body import decode_body
from apiserver.registry.store import Store
from apiserver.request import Answer, Request


async def handle(request: Request, store: Store) -> Answer:
    """Create it, answer 201 with what was written."""
    chosen = options.write_options(request, "CreateOptions")
    obj = await decode_body(request, store.resource, chosen.field_validation)
    context = admitting.context(request, store, dry_run=chosen.dry_run)
    entry = await store.create(obj, context, admitting.gate(request, store, context, admitting.writer(request, chosen)))
    return rendering.object_answer(request, store.resource, entry, 201)
