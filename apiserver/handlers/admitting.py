"""From a request to what the store wants beside the object: the context of its hooks and the gate of admission."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Chain
from apiserver.handlers.options import WriteOptions
from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.field_manager import Writer, manager_name
from apiserver.registry.gate import Gate
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import Request
from machinery.aio.tasks import in_thread
from machinery.api.codec import Json
from machinery.api.kinds import Kind


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource that admission sees as an object of its own: Scale. How it is got out of an object and put back."""

    kind: Kind
    subresource: str
    of: Callable[[Json], Json]
    put: Callable[[Json, Json], None]


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


def gate(request: Request, store: Store, context: Context, by: Writer | None = None, part: Part | None = None) -> Gate:
    """Ownership of fields and admission for creates and updates.

    Ownership comes first: what admission changes is nobody's (upstream: handlers/create.go, update.go). Without `by`
    the change itself has seen to it.
    """
    chain = store.admission

    async def mutate(obj: Json | None, old: Json | None) -> None:
        if by is not None and obj is not None:
            await in_thread(context.large, store.track, obj, old, by)
        if chain is not None:
            asked = attributes(request, store, context, obj, old, part)
            await chain.mutate(asked)
            if part is not None and obj is not None and asked.obj is not None:
                part.put(obj, asked.obj)
        if old is not None and obj is not None:
            await in_thread(context.large, store.field_manager.settle, obj, old)

    async def validate(obj: Json | None, old: Json | None) -> None:
        if chain is not None:
            await chain.validate(attributes(request, store, context, obj, old, part))

    return Gate(mutate, validate, request.warnings.append, partial(request.authorize, "create"))


def gate_of_deletion(request: Request, store: Store, context: Context, chosen: DeleteOptions) -> Gate:
    """Admission for deletes, which have nothing to mutate: both phases see the object that is to go."""
    chain = store.admission
    if chain is None:
        return Gate()

    async def validate(obj: Json | None, old: Json | None) -> None:
        asked = attributes(request, store, context, None, old)
        asked.options = partial(_delete_options, chosen)
        await chain.admit(asked)

    return Gate(validate=validate)


async def admit_special(
    request: Request, chain: Chain | None, kind: Kind, object_kind: Kind, obj: Json, *, connects: bool = False
) -> None:
    """Admission of what is not written as an object: a binding, an eviction, the options of a connection.

    `kind` is the resource's, `object_kind` that of `obj`, which plugins may change; raises their refusals.
    """
    if chain is None:
        return
    asked = Attributes(
        operation=Operation.CONNECT if connects else Operation.CREATE,
        kind=kind,
        user=request.user,
        namespace=request.info.namespace,
        name=request.info.name,
        subresource=request.info.subresource,
        obj=obj,
        dry_run="All" in request.query.get("dryRun", ()),
        object_kind=object_kind,
        options=(lambda: None) if connects else partial(_write_options, request, "CreateOptions"),
        warn=request.warnings.append,
        annotate=request.audit.annotate if request.audit else _unrecorded,
        annotate_body=request.audit.annotate_body if request.audit else _unrecorded,
    )
    await chain.admit(asked)


def attributes(
    request: Request, store: Store, context: Context, obj: Json | None, old: Json | None, part: Part | None = None
) -> Attributes:
    """What admission sees."""
    written = Operation.CREATE if old is None else Operation.UPDATE
    subject = (obj or old or {}).get("metadata") or {}
    shown_name = context.name or subject.get("name") or ""
    if part is not None:
        obj, old = part.of(obj) if obj else obj, part.of(old) if old else old
    return Attributes(
        operation=Operation.DELETE if obj is None else written,
        kind=store.resource.kind,
        user=request.user,
        namespace=context.namespace or subject.get("namespace") or "",
        name=shown_name,
        subresource=part.subresource if part else context.subresource,
        obj=obj,
        old=old,
        dry_run=context.dry_run,
        object_kind=part.kind if part else None,
        options=partial(_write_options, request, "CreateOptions" if old is None else "UpdateOptions"),
        warn=request.warnings.append,
        annotate=request.audit.annotate if request.audit else _unrecorded,
        annotate_body=request.audit.annotate_body if request.audit else _unrecorded,
    )


def _unrecorded(key: str, value: str) -> None:
    """Nothing is recorded of this request."""


def _write_options(request: Request, kind: str) -> Json:
    shown: Json = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if values := request.query.get("dryRun"):
        shown["dryRun"] = list(values)
    return shown | {name: request.param(name) for name in ("fieldManager", "fieldValidation") if request.param(name)}


def _delete_options(chosen: DeleteOptions) -> Json:
    preconditions = {"uid": chosen.uid, "resourceVersion": chosen.resource_version}
    given = {
        "gracePeriodSeconds": chosen.grace_period_seconds,
        "preconditions": {key: value for key, value in preconditions.items() if value is not None} or None,
        "orphanDependents": chosen.orphan_dependents,
        "propagationPolicy": chosen.propagation_policy or None,
        "dryRun": ["All"] if chosen.dry_run else None,
    }
    shown: Json = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
    return shown | {key: value for key, value in given.items() if value is not None}
