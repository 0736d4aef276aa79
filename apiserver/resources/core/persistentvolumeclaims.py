"""PersistentVolumeClaims (upstream: pkg/registry/core/persistentvolumeclaim, pkg/apis/core/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import claims
from machinery.api import errors, kinds, meta, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
_IMMUTABLE: Final = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
_SNAPSHOT: Final = ("snapshot.storage.k8s.io", "VolumeSnapshot")


class PersistentVolumeClaimStrategy(KindStrategy):
    """A request for storage; once bound, only its size may grow."""

    drops_status = True

    def defaults(self, obj: Json) -> None:
        """A file system; dataSource and dataSourceRef say the same."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("resources", {})
        fill(spec, {"volumeMode": "Filesystem"})
        source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
        if source and not reference:
            spec["dataSourceRef"] = dict(source)
        elif reference and not source and not reference.get("namespace") and _is_old_source(reference):
            spec["dataSource"] = {key: reference[key] for key in ("apiGroup", "kind", "name") if key in reference}

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Its life begins as pending."""
        super().prepare_for_create(obj, context)
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Json) -> list[FieldError]:
        """Modes, size, class, selector."""
        return claims.spec(spec_of(obj), "spec")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """A bound claim may grow; what had no class may be given one before it is bound."""
        spec, before = spec_of(obj), spec_of(old)
        bound = status_of(old).get("phase") == "Bound"
        munged = {**spec, "resources": before.get("resources")}
        if not before.get("volumeName"):
            munged.pop("volumeName", None)
            if before.get("storageClassName") is None:
                munged.pop("storageClassName", None)
        if bound:
            munged["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
        wanted = {**before, "volumeAttributesClassName": before.get("volumeAttributesClassName")} if bound else before
        if {key: value for key, value in munged.items() if value is not None} != {
            key: value for key, value in wanted.items() if value is not None
        }:
            return [errors.forbidden_field("spec", _IMMUTABLE)]
        return _size(spec, before, old, bound=bound)

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """The annotation that came before the class, sizes that are no whole bytes."""
        found = []
        if CLASS_ANNOTATION in meta.annotations_of(obj):
            place = f"metadata.annotations[{CLASS_ANNOTATION}]"
            found.append(f'{place}: deprecated since v1.8; use "storageClassName" attribute instead')
        request = ((spec_of(obj).get("resources") or {}).get("requests") or {}).get("storage")
        if request is not None and quantity.parse(request).denominator != 1:
            found.append(
                f'spec.resources.requests[storage]: fractional byte value "{request}" is invalid, must be an integer'
            )
        return found


def _is_old_source(reference: Json) -> bool:
    """What dataSource can name: a claim or a snapshot."""
    group, kind = reference.get("apiGroup") or "", reference.get("kind")
    return (group, kind) in (("", "PersistentVolumeClaim"), _SNAPSHOT)


def _size(spec: Json, before: Json, old: Json, *, bound: bool) -> list[FieldError]:
    new = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    size = ((before.get("resources") or {}).get("requests") or {}).get("storage")
    if new is None or size is None or quantity.parse(new) == quantity.parse(size):
        return []
    if not bound:
        return [errors.forbidden_field("spec", _IMMUTABLE)]
    capacity = (status_of(old).get("capacity") or {}).get("storage") or size
    if quantity.parse(new) < quantity.parse(size) and quantity.parse(new) <= quantity.parse(capacity):
        text = "field can not be less than status.capacity"
        return [errors.forbidden_field("spec.resources.requests.storage", text)]
    return []


def _phase(claim: Json) -> str:
    if claim["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return status_of(claim).get("phase") or ""


def _bound(claim: Json, shown: str) -> str:
    return shown if spec_of(claim).get("volumeName") else ""


PERSISTENT_VOLUME_CLAIMS: Final = Resource(
    kind=kinds.PERSISTENT_VOLUME_CLAIMS,
    key="persistentvolumeclaims",
    strategy=PersistentVolumeClaimStrategy(),
    short_names=("pvc",),
    columns=(
        Column("Status", _phase),
        Column("Volume", lambda pvc: spec_of(pvc).get("volumeName") or ""),
        Column("Capacity", lambda pvc: _bound(pvc, (status_of(pvc).get("capacity") or {}).get("storage") or "")),
        Column("Access Modes", lambda pvc: _bound(pvc, claims.short_modes(status_of(pvc).get("accessModes")))),
        Column("StorageClass", lambda pvc: spec_of(pvc).get("storageClassName") or ""),
        Column("VolumeAttributesClass", lambda pvc: spec_of(pvc).get("volumeAttributesClassName") or UNSET),
        AGE,
        Column("VolumeMode", lambda pvc: spec_of(pvc).get("volumeMode") or UNSET, priority=1),
    ),
    subresources=("status",),
)
