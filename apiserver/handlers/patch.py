"""PATCH: JSON patch, merge patch, strategic merge patch, applied to what is there until nobody was faster.

How a patch changes a document is machinery.api.patch. Server-side apply, a patch by its media type, is `apply`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from apiserver.handlers import admitting, apply, negotiation, options, rendering
from apiserver.handlers.body import check_depth, json_problem, normalise_metadata
from apiserver.handlers.options import WriteOptions
from apiserver.registry.store import Store
from apiserver.request import Answer, Request
from machinery.aio.tasks import in_thread
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.patch import (
    MalformedPatch,
    PatchDoesNotApply,
    PatchTooLarge,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)
from machinery.api.schema import duplicate_fields, schema_of

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
SUPPORTED: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply.APPLY_PATCH)

_WRONG_TYPE: Final = re.compile(r"json: cannot unmarshal (\w+).* into Go struct field \S+ of type (\S+)")
_SCALAR: Final = re.compile(r"string|bool|u?int\d*|float\d+")
_GO_KINDS: Final = {"number": "int64", "array": "slice", "object": "map"}


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch as it was sent."""

    media_type: str
    value: Any
    #: paths of fields that it has twice
    repeated: tuple[str, ...] = ()

    def applied_to(self, doc: Json, kind: Kind) -> Json:
        """The patched document; raises what machinery.api.patch raises."""
        if self.media_type == JSON_PATCH:
            return json_patch(doc, self.value)
        if self.media_type == MERGE_PATCH:
            return merge_patch(doc, self.value)
        return strategic_merge_patch(doc, self.value, schema_of(kind).shape)


async def handle(request: Request, store: Store) -> Answer:
    """Patch it, answer 200."""
    if apply.is_wanted(request):
        return await apply.handle(request, store)
    patch = await read_patch(request)
    chosen = options.write_options(request, "PatchOptions")
    if "force" in request.query:
        problem = errors.forbidden_field("force", "may not be specified for non-apply patch")
        raise errors.invalid(Kind("meta.k8s.io", "v1", "PatchOptions", "patchoptions"), "", [problem])

    async def change(old: Json | None) -> Json:
        if old is None:
            raise errors.not_found(store.resource.kind, request.info.name)
        return await in_thread(context.large, patched, request, store, old, patch, chosen)

    schema_of(store.resource.kind)  # which two threads must not make
    context = admitting.context(request, store, dry_run=chosen.dry_run)
    gate = admitting.gate(request, store, context, admitting.writer(request, chosen))
    entry, _ = await store.update(change, context, gate)
    return rendering.object_answer(request, store.resource, entry)


async def read_patch(request: Request) -> Patch:
    """The body; raises BadRequest, and UnsupportedMediaType for what is no patch."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in SUPPORTED or media_type == apply.APPLY_PATCH:
        raise negotiation.unsupported(SUPPORTED)
    raw = await request.body()
    try:
        value = codec.loads(raw)
        check_depth(raw, value)
    except (ValueError, TypeError) as problem:
        raise errors.BadRequest(f"error decoding patch: {json_problem(raw, problem)}") from problem
    if media_type != JSON_PATCH and not isinstance(value, dict):
        raise errors.BadRequest("error decoding patch: json: cannot unmarshal into Go value of type map")
    if request.audit is not None:
        request.audit.sent_patch(raw)
    return Patch(media_type, value, tuple(duplicate_fields(raw, value)))


def patched(request: Request, store: Store, old: Json, patch: Patch, chosen: WriteOptions) -> Json:
    """The new object: decoded and checked as if a client had sent it whole. Raises BadRequest, Invalid, StatusError."""
    kind = store.resource.kind
    obj = apply_patch(patch, old, kind)
    warnings = request.warnings.copy()
    try:
        request.warnings.clear()  # a second try says again what the first one said
        normalise_metadata(obj)
        request.warnings += schema_of(kind).decode(obj, b"", chosen.field_validation, patch.repeated)
    except errors.BadRequest as problem:
        raise _undecodable(obj, patch, problem) from problem
    request.warnings[:] = list(dict.fromkeys([*warnings, *request.warnings]))
    _check_identity(obj, old)
    return obj


def apply_patch(patch: Patch, old: Json, kind: Kind) -> Json:
    """The patched document; raises BadRequest for a patch that is none, 413 for one too long, 422 for an unfit one."""
    try:
        return patch.applied_to(old, kind)
    except MalformedPatch as problem:
        raise errors.BadRequest(str(problem)) from problem
    except PatchTooLarge as problem:
        raise errors.RequestEntityTooLarge(f"Request entity too large: {problem}") from problem
    except PatchDoesNotApply as problem:
        # Which operation failed is not told: upstream has one sentence for all of them, and clients match it.
        raise errors.Invalid("the server rejected our request due to an error in our request") from problem


def _undecodable(obj: Json, patch: Patch, problem: errors.BadRequest) -> errors.Invalid:
    """Upstream decodes what a strategic patch made from maps, and says it otherwise than for bytes that were JSON."""
    detail = problem.message.partition("cannot be handled as a ")[2].partition(": ")[2] or problem.message
    shown = codec.dumps(obj).decode()
    if patch.media_type == STRATEGIC_PATCH:
        shown, detail = go_text(patch.value), _of_maps(detail)
    return errors.invalid(Kind("", "", "", ""), "", [errors.invalid_value("patch", shown, detail)])


def _of_maps(detail: str) -> str:
    """The words of upstream's runtime converter (apimachinery/pkg/runtime/converter.go) for a value of a wrong type."""
    if not (found := _WRONG_TYPE.fullmatch(detail)):
        return detail
    given, wanted = _GO_KINDS.get(found[1], found[1]), found[2]
    if _SCALAR.fullmatch(wanted):
        return f"unrecognized type: {wanted}"
    if wanted.startswith("[]"):
        return f"cannot restore slice from {given}"
    return f"cannot restore map from {given}" if wanted.startswith("map[") else f"cannot restore struct from: {given}"


def go_text(value: Any) -> str:
    """A JSON value as Go's %+v prints it: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def _check_identity(obj: Json, old: Json) -> None:
    """A patch may not turn an object into another one."""
    for name in ("apiVersion", "kind"):
        if obj.get(name) != old.get(name):
            raise errors.BadRequest(
                f"the {name} in the data ({obj.get(name)}) does not match the expected {name} ({old.get(name)})"
            )
