"""Reading an object's metadata and its conditions, whatever its kind. Nothing here changes what it is given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"


def metadata_of(obj: Json) -> Json:
    """`metadata`, or an empty dict."""
    metadata: Json = obj.get("metadata") or {}
    return metadata


def key_of(obj: Json) -> ObjectKey:
    """Namespace and name as one key."""
    metadata = metadata_of(obj)
    return ObjectKey(metadata.get("namespace") or "", metadata.get("name") or "")


def name_of(obj: Json) -> str:
    """`metadata.name`."""
    return metadata_of(obj).get("name") or ""


def namespace_of(obj: Json) -> str:
    """`metadata.namespace`, empty for cluster-scoped objects."""
    return metadata_of(obj).get("namespace") or ""


def uid_of(obj: Json) -> str:
    """`metadata.uid`."""
    return metadata_of(obj).get("uid") or ""


def resource_version_of(obj: Json) -> str:
    """`metadata.resourceVersion`, empty when there is none."""
    return metadata_of(obj).get("resourceVersion") or ""


def generation_of(obj: Json) -> int:
    """`metadata.generation`, 0 when there is none."""
    return metadata_of(obj).get("generation") or 0


def labels_of(obj: Json) -> Mapping[str, str]:
    """`metadata.labels`, or an empty mapping."""
    return metadata_of(obj).get("labels") or {}


def annotations_of(obj: Json) -> Mapping[str, str]:
    """`metadata.annotations`, or an empty mapping."""
    return metadata_of(obj).get("annotations") or {}


def finalizers_of(obj: Json) -> Sequence[str]:
    """`metadata.finalizers`, or an empty sequence."""
    return metadata_of(obj).get("finalizers") or ()


def owners_of(obj: Json) -> Sequence[Json]:
    """`metadata.ownerReferences`, or an empty sequence."""
    return metadata_of(obj).get("ownerReferences") or ()


def is_being_deleted(obj: Json) -> bool:
    """Whether deletion was asked for and the object is still there."""
    return bool(metadata_of(obj).get("deletionTimestamp"))


def controller_of(obj: Json) -> Json | None:
    """The owner reference marked as the managing controller, if there is one."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def is_controlled_by(obj: Json, owner: Json) -> bool:
    """Whether `owner` is the managing controller of `obj`, by uid."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def owner_reference(owner: Json, kind: Kind) -> Json:
    """The reference a controller puts into what it makes (upstream: metav1.NewControllerRef)."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def object_reference(obj: Json, kind: Kind) -> Json:
    """An ObjectReference as Events and Endpoints carry it."""
    reference = {
        "kind": kind.kind,
        "namespace": namespace_of(obj),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "apiVersion": kind.api_version,
        "resourceVersion": resource_version_of(obj),
    }
    return {key: value for key, value in reference.items() if value}


def find_condition(conditions: Iterable[Json] | None, type_: str) -> Json | None:
    """The condition of a type, if it is there."""
    return next((condition for condition in conditions or () if condition.get("type") == type_), None)


def condition_is_true(obj: Json, type_: str) -> bool:
    """Whether `status.conditions` has the type with status True."""
    condition = find_condition((obj.get("status") or {}).get("conditions"), type_)
    return condition is not None and condition.get("status") == "True"


def set_condition(conditions: Iterable[Json] | None, new: Json, now: str) -> list[Json]:
    """The conditions with `new` in its type's place; lastTransitionTime moves to `now` only when the status changes."""
    result = list(conditions or ())
    old = find_condition(result, new["type"])
    if old is None:
        return [*result, {"lastTransitionTime": now, **new}]
    same = old.get("status") == new.get("status")
    condition = {**new, "lastTransitionTime": old.get("lastTransitionTime", now) if same else now}
    return [condition if item is old else item for item in result]
