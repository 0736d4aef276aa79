"""PUT of a whole object or of a subresource's part of it."""

from apiserver.handlers import admitting, options, rendering
from apiserver.handlers.body import check_name, decode_body
from apiserver.registry.store import Store
from apiserver.request import Answer, Request
from machinery.api import codec
from machinery.api.codec import Json


async def handle(request: Request, store: Store) -> Answer:
    """Replace it, answer 200, or 201 where the kind's updates may create."""
    chosen = options.write_options(request, "UpdateOptions")
    sent = await decode_body(request, store.resource, chosen.field_validation)
    check_name(sent, request.info.name)

    async def change(old: Json | None) -> Json:
        return codec.copy_of(sent)  # the store works on what it gets, and may ask again

    context = admitting.context(request, store, dry_run=chosen.dry_run)
    gate = admitting.gate(request, store, context, admitting.writer(request, chosen))
    entry, created = await store.update(change, context, gate)
    return rendering.object_answer(request, store.resource, entry, 201 if created else 200)
