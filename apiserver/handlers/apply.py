"""Server-side apply: PATCH with a configuration, which may create. What it makes of an object is field_manager's."""

from typing import Final

import yaml

from apiserver.handlers import admitting, options, rendering
from apiserver.handlers.body import check_kind, check_name, check_schema, json_or_yaml
from apiserver.handlers.options import WriteOptions
from apiserver.registry.field_manager import FieldManager, without_nulls
from apiserver.registry.store import Store
from apiserver.request import Answer, Request
from machinery.aio.tasks import in_thread
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind

APPLY_PATCH: Final = "application/apply-patch+yaml"


def is_wanted(request: Request) -> bool:
    """Whether a PATCH is an apply."""
    return request.headers.get("content-type", "").partition(";")[0].strip() == APPLY_PATCH


async def handle(request: Request, store: Store) -> Answer:
    """Apply it; answers 200, or 201 where nothing was there."""
    chosen = apply_options(request)
    kind = store.resource.kind
    config = await read_config(request, kind, chosen)
    by = admitting.writer(request, chosen)

    async def change(old: Json | None) -> Json:
        if old is None and by.subresource:
            raise errors.not_found(kind, request.info.name)
        return await in_thread(context.large, applied, old, store.field_manager)

    def applied(old: Json | None, managers: FieldManager) -> Json:
        obj = managers.apply(old, config, by, force=chosen.force)
        check_schema(request, obj, kind, b"", "Ignore")
        return obj

    context = admitting.context(request, store, dry_run=chosen.dry_run)
    gate = admitting.gate(request, store, context)
    entry, created = await store.update(change, context, gate, may_create=True)
    return rendering.object_answer(request, store.resource, entry, 201 if created else 200)


def apply_options(request: Request) -> WriteOptions:
    """The options of an apply, for which a manager has to be named; raises Invalid."""
    chosen = options.write_options(request, "PatchOptions")
    if not chosen.field_manager:
        problem = errors.required("fieldManager", "is required for apply patch")
        raise errors.invalid(Kind("meta.k8s.io", "v1", "PatchOptions", "patchoptions"), "", [problem])
    return chosen


async def read_config(request: Request, kind: Kind, chosen: WriteOptions) -> Json:
    """The configuration in the body, of the right kind and name; raises BadRequest."""
    raw = await request.body()
    try:
        value = await json_or_yaml(raw)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as problem:
        raise errors.BadRequest(f"error decoding YAML: {problem}") from problem
    if not isinstance(value, dict):
        raise errors.BadRequest("error decoding YAML: the configuration is not an object")
    config: Json = without_nulls(value)
    if not isinstance(config.setdefault("metadata", {}), dict):
        raise errors.BadRequest("error decoding YAML: metadata is not an object")
    if not config.get("kind") or not config.get("apiVersion"):
        raise errors.BadRequest(f"invalid object type: {config.get('apiVersion', '')}, Kind={config.get('kind', '')}")
    check_kind(config, kind)
    check_name(config, request.info.name)
    if request.audit is not None:
        request.audit.sent(config)
    return config
