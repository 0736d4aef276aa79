"""ObjectMeta: names, labels, annotations, owner references, finalizers, and what an update may not change.

Upstream: apimachinery/pkg/api/validation/objectmeta.go.
"""

from collections.abc import Callable, Mapping
from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

ANNOTATIONS_LIMIT: Final = 256 * 1024  # bytes, keys and values together
_PATH: Final = "metadata"
_STANDARD_FINALIZERS: Final = ("orphan", "foregroundDeletion", "kubernetes")
_DUPLICATE_CONTROLLER: Final = (
    'Only one reference can have Controller set to true. Found "true" in references for {} and {}'
)


def check(
    obj: Json, name_check: Callable[[str], list[str]], *, namespaced: bool = True, path: str = _PATH
) -> list[FieldError]:
    """The checks of a new object's metadata."""
    metadata = obj.get("metadata") or {}
    found = _name(metadata, name_check, path)
    found += _namespace(metadata, namespaced, path)
    found += fields.non_negative(metadata.get("generation"), f"{path}.generation")
    return found + _shared(metadata, path)


def _name(metadata: Json, name_check: Callable[[str], list[str]], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    prefix, name = metadata.get("generateName") or "", metadata.get("name") or ""
    if prefix:
        # what stands before the random suffix may end in a dash or a dot
        found += [errors.invalid_value(f"{path}.generateName", prefix, text) for text in name_check(prefix + "x")]
    if not name:
        return [*found, errors.required(f"{path}.name", "name or generateName is required")]
    return found + fields.satisfies(name, f"{path}.name", name_check)


def _namespace(metadata: Json, namespaced: bool, path: str) -> list[FieldError]:
    namespace = metadata.get("namespace") or ""
    if not namespaced:
        return [errors.forbidden_field(f"{path}.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [errors.required(f"{path}.namespace")]
    return fields.satisfies(namespace, f"{path}.namespace", names.is_dns_label)


def _shared(metadata: Json, path: str) -> list[FieldError]:
    found = labels(metadata.get("labels"), f"{path}.labels")
    found += annotations(metadata.get("annotations"), f"{path}.annotations")
    found += _owners(metadata.get("ownerReferences"), f"{path}.ownerReferences")
    return found + _finalizers(metadata.get("finalizers"), f"{path}.finalizers")


def labels(values: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Keys are qualified names, values label values."""
    found: list[FieldError] = []
    for key, value in (values or {}).items():
        found += fields.qualified_name(key, path)
        found += fields.satisfies(value, path, names.is_label_value)
    return found


def annotations(values: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Keys are qualified names in any case; together at most 256 KiB."""
    found = [
        errors.invalid_value(path, key, text) for key in values or () for text in names.is_qualified_name(key.lower())
    ]
    return found + annotations_size(values, path)


def annotations_size(values: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Keys and values together are at most 256 KiB (upstream: ValidateAnnotationsSize)."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in (values or {}).items())
    return [errors.too_long(path, ANNOTATIONS_LIMIT)] if size > ANNOTATIONS_LIMIT else []


def _owners(owners: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    controller = ""
    for owner, at in fields.each(owners, path):
        found += _owner(owner, at)
        if owner.get("controller"):
            shown = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                found.append(errors.invalid_value(path, owners, _DUPLICATE_CONTROLLER.format(controller, shown)))
            controller = controller or shown
    return found


def _owner(owner: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not owner.get("apiVersion"):
        found.append(errors.invalid_value(f"{path}.apiVersion", "", "version must not be empty"))
    for field in ("kind", "name", "uid"):
        if not owner.get(field):
            found.append(errors.invalid_value(f"{path}.{field}", "", "must not be empty"))
    if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
        found.append(errors.invalid_value(path, "/v1, Kind=Event", "/v1, Kind=Event is disallowed from being an owner"))
    return found


def _finalizers(finalizers: list[str] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for finalizer in finalizers or ():
        found += fields.qualified_name(finalizer, path)
        if not found and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(errors.invalid_value(path, finalizer, text))
    if {"orphan", "foregroundDeletion"} <= set(finalizers or ()):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(errors.invalid_value(path, finalizers, text))
    return found


def check_update(obj: Json, old: Json, path: str = _PATH) -> list[FieldError]:
    """The checks of changed metadata (upstream: ValidateObjectMetaUpdate)."""
    new_meta, old_meta = obj.get("metadata") or {}, old.get("metadata") or {}
    found = _added_finalizers(new_meta, old_meta, path)
    if (new_meta.get("generation") or 0) < (old_meta.get("generation") or 0):
        text = "must not be decremented"
        found.append(errors.invalid_value(f"{path}.generation", new_meta.get("generation") or 0, text))
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in new_meta or field in old_meta:
            found += fields.immutable(new_meta.get(field), old_meta.get(field), f"{path}.{field}")
    return found + _shared(new_meta, path)


def _added_finalizers(new: Json, old: Json, path: str) -> list[FieldError]:
    added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
    if not added or not old.get("deletionTimestamp"):
        return []
    text = f"no new finalizers can be added if the object is being deleted, found new finalizers {_go_list(added)}"
    return [errors.forbidden_field(f"{path}.finalizers", text)]


def _go_list(values: list[str]) -> str:
    return "[]string{" + ", ".join(f'"{value}"' for value in values) + "}"
