"""DELETE of an object or of a collection."""

from typing import Final

from apiserver.handlers import admitting, options, rendering
from apiserver.handlers import list as listing
from apiserver.handlers.body import parse_aside
from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.store import Deleted, Store
from apiserver.request import Answer, Request, Response
from machinery.api import codec, errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.schema import schema_of

DELETE_OPTIONS: Final = Kind("", "v1", "DeleteOptions", "deleteoptions")


async def handle(request: Request, store: Store) -> Answer:
    """Delete one; answers the object where it stays for now or the kind does so, else a Status."""
    chosen = await read_options(request)
    context = admitting.context(request, store, dry_run=chosen.dry_run)
    deleted = await store.delete(context, chosen, admitting.gate_of_deletion(request, store, context, chosen))
    status = 202 if not deleted.gone and chosen.orphan_dependents is False else 200
    if not _answers_status(store, deleted):
        return rendering.object_answer(request, store.resource, deleted.entry, status)
    return Response(status, codec.dumps(success(store, deleted)))


def _answers_status(store: Store, deleted: Deleted) -> bool:
    return deleted.gone and not store.resource.strategy.returns_deleted_object


def success(store: Store, deleted: Deleted) -> Json:
    """The Status of a deletion (upstream: registry/generic/registry/store.go, finalizeDelete)."""
    kind = store.resource.kind
    uid = meta.uid_of(deleted.entry.decode())
    details = {"name": deleted.entry.name, "group": kind.group, "kind": kind.plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


async def handle_collection(request: Request, store: Store) -> Answer:
    """Delete all that are selected; answers the list of what was found."""
    query = options.list_query(request, store.resource)
    chosen = await read_options(request)
    context = admitting.context(request, store, dry_run=chosen.dry_run)
    gate = admitting.gate_of_deletion(request, store, context, chosen)
    found = await listing.page(request, store, query)
    await store.delete_entries(found.entries, context, chosen, gate)
    return rendering.list_answer(request, store.resource, found)


async def read_options(request: Request) -> DeleteOptions:
    """DeleteOptions from body or query; raises BadRequest and Invalid."""
    raw = await request.body()
    body: Json | None = None  # one without options is not the same as none: the query counts only then
    if raw:
        body = await parse_aside(raw, request.headers.get("content-type", ""))
        if body.get("kind", DELETE_OPTIONS.kind) != DELETE_OPTIONS.kind:
            raise errors.BadRequest("decoded object cannot be converted to DeleteOptions")
        schema_of(DELETE_OPTIONS).decode(body, field_validation="Ignore")
    return options.delete_options(request, body)
