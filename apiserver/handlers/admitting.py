"""From a request to what the store wants beside the object: the context of its hooks and the gate of admission."""

from apiserver.admission.attributes import Attributes, Operation
from apiserver.registry.gate import Gate
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import Request
from machinery.api.codec import Json


def context(request: Request, store: Store, *, dry_run: bool, subresource: str | None = None) -> Context:
    """What hooks may know of the request."""
    info = request.info
    namespace = info.namespace if store.resource.kind.namespaced else ""
    inner = info.subresource if subresource is None else subresource
    return Context(request.user, namespace, info.name, inner, dry_run)


def gate(request: Request, store: Store, context: Context) -> Gate:
    """Admission for creates and updates; a request without a chain passes."""
    warn = request.warnings.append
    chain = store.admission
    if chain is None:
        return Gate(warn=warn)

    async def mutate(obj: Json | None, old: Json | None) -> None:
        await chain.mutate(attributes(request, store, context, obj, old))

    async def validate(obj: Json | None, old: Json | None) -> None:
        await chain.validate(attributes(request, store, context, obj, old))

    return Gate(mutate, validate, warn)


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
    )
