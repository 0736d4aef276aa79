"""The scale subresource: replicas of any kind that has them, as autoscaling/v1 Scale."""

from typing import Final

from apiserver.handlers import admitting, apply, options, rendering
from apiserver.handlers.admitting import Part
from apiserver.handlers.body import check_name, check_schema, decode_body
from apiserver.handlers.options import WriteOptions
from apiserver.handlers.patch import apply_patch, read_patch
from apiserver.registry.resource import Resource
from apiserver.registry.store import Change, Store
from apiserver.request import Answer, Request, Response
from apiserver.resources.apps.scale import apply_scale, check_scale, scale_of
from apiserver.storage.objects import Entry
from machinery.api import codec, errors, meta, protobuf_encode
from machinery.api.codec import Json
from machinery.api.kinds import Kind

SCALE: Final = Kind("autoscaling", "v1", "Scale", "scales")


async def get(request: Request, store: Store) -> Answer:
    """The Scale of one object."""
    entry = await store.get(request.info.namespace, request.info.name)
    return _answer(request, store.resource, entry)


async def update(request: Request, store: Store) -> Answer:
    """PUT of a Scale."""
    chosen = options.write_options(request, "UpdateOptions")
    sent = await decode_body(request, Resource(SCALE), chosen.field_validation)
    check_name(sent, request.info.name)

    async def change(old: Json | None) -> Json:
        return _scaled(_there(old, request, store), sent)

    return await _write(request, store, change, chosen)


async def patch(request: Request, store: Store) -> Answer:
    """PATCH of a Scale."""
    if apply.is_wanted(request):
        return await _apply(request, store)
    function = await read_patch(request)
    chosen = options.write_options(request, "PatchOptions")

    async def change(old: Json | None) -> Json:
        current = _there(old, request, store)
        wanted = apply_patch(function, scale_of(current), SCALE)
        check_schema(request, wanted, SCALE, b"", chosen.field_validation)
        return _scaled(current, wanted)

    return await _write(request, store, change, chosen)


async def _apply(request: Request, store: Store) -> Answer:
    """An applied Scale is the application of its replicas to the object, by a manager of the scale part."""
    chosen = apply.apply_options(request)
    scale = await apply.read_config(request, SCALE, chosen)

    async def change(old: Json | None) -> Json:
        current = _there(old, request, store)
        _scaled(codec.copy_of(current), scale)  # raises what is wrong with it
        kind = store.resource.kind
        identity = {key: value for key, value in scale["metadata"].items() if key in ("name", "namespace")}
        config: Json = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": identity}
        config["spec"] = scale.get("spec") or {}
        by = admitting.writer(request, chosen)
        return store.field_manager.apply(current, config, by, force=chosen.force)

    return await _write(request, store, change, chosen)


async def _write(request: Request, store: Store, change: Change, chosen: WriteOptions) -> Answer:
    context = admitting.context(request, store, dry_run=chosen.dry_run, subresource="")
    by = None if apply.is_wanted(request) else admitting.writer(request, chosen)
    entry, _ = await store.update(change, context, admitting.gate(request, store, context, by, _PART))
    return _answer(request, store.resource, entry)


def _there(old: Json | None, request: Request, store: Store) -> Json:
    if old is None:
        raise errors.not_found(store.resource.kind, request.info.name)
    return old


def _scaled(obj: Json, scale: Json) -> Json:
    """The object with a Scale's replicas, under the Scale's resourceVersion and uid where it names them."""
    problems = check_scale(scale)
    if problems:
        raise errors.invalid(SCALE, meta.name_of(scale), problems)
    apply_scale(obj, scale)
    if meta.uid_of(scale):
        obj["metadata"]["uid"] = meta.uid_of(scale)
    return obj


def _put(obj: Json, scale: Json) -> None:
    """What a webhook made of the Scale."""
    if (scale.get("spec") or {}) != scale_of(obj)["spec"]:
        apply_scale(obj, scale)


_PART: Final = Part(SCALE, "scale", scale_of, _put)


def _answer(request: Request, resource: Resource, entry: Entry) -> Response:
    shown, scale = rendering.view(request, resource), scale_of(entry.decode())
    return rendering.encoded(shown, protobuf_encode.encode(scale) if shown.is_protobuf else codec.dumps(scale))
