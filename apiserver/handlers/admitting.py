"""From a request to what the store wants beside the object: the context of its hooks and the gate of admission."""

from functools import partial

from apiserver.admission.attributes import Attributes, Operation
from apiserver.handlers.options import WriteOptions
from apiserver.registry.field_manager import Writer, manager_name
from apiserver.registry.gate import Gate
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import Request
from machinery.aio.tasks import in_thread
from machinery.api.codec import Json


def context(request: Request, store: Store, *, dry_run: bool, subresource: str | None = None) -> Context:
    """What hooks may know of the request."""
    info = request.info
    namespace = info.namespace if store.resource.kind.namespaced else ""
    inner = info.subresource if subresource is None else subresource
    return Context(request.user, namespace, info.name, inner, dry_run, request.is_large, store.allocators)


def writer(request: Request, chosen: WriteOptions, subresource: str | None = None) -> Writer:
    """Who the request's changes are by."""
    name = manager_name(chosen.field_manager, request.headers.get("user-agent", ""))
    return Writer(name, request.info.subresource if subresource is None else subresource)


def gate(request: Request, store: Store, context: Context, by: Writer | None = None) -> Gate:
    """Ownership of fields and admission for creates and updates.

    Ownership comes first: what admission changes is nobody's (upstream: handlers/create.go, update.go). Without `by`
    the change itself has seen to it.
    """
    chain = store.admission

    async def mutate(obj: Json | None, old: Json | None) -> None:
        if by is not None and obj is not None:
            await in_thread(context.large, store.track, obj, old, by)
        if chain is not None:
            await chain.mutate(attributes(request, store, context, obj, old))
        if old is not None and obj is not None:
            await in_thread(context.large, store.field_manager.settle, obj, old)

    async def validate(obj: Json | None, old: Json | None) -> None:
        if chain is not None:
            await chain.validate(attributes(request, store, context, obj, old))

    return Gate(mutate, validate, request.warnings.append, partial(request.authorize, "create"))


def gate_of_deletion(request: Request, store: Store, context: Context) -> Gate:
    """Admission for deletes, which have nothing to mutate: both phases see the object that is to go."""
    chain = store.admission
    if chain is None:
        return Gate()

    async def validate(obj: Json | None, old: Json | None) -> None:
        await chain.admit(attributes(request, store, context, None, old))

    return Gate(validate=validate)


def attributes(request: Request, store: Store, context: Context, obj: Json | None, old: Json | None) -> Attributes:
    """What admission sees."""
    written = Operation.CREATE if old is None else Operation.UPDATE
    subject = (obj or old or {}).get("metadata") or {}
    return Attributes(
        operation=Operation.DELETE if obj is None else written,
        kind=store.resource.kind,
        user=request.user,
        namespace=context.namespace or subject.get("namespace") or "",
        name=context.name or subject.get("name") or "",
        subresource=context.subresource,
        obj=obj,
        old=old,
        dry_run=context.dry_run,
        warn=request.warnings.append,
        annotate=request.audit.annotate if request.audit else lambda key, value: None,
    )
