"""PersistentVolumes (upstream: pkg/registry/core/persistentvolume, validation.ValidatePersistentVolume)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill, source_defaults
from apiserver.validation import claims, fields, persistent_volumes, scheduling
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_RECLAIM: Final = ("Delete", "Recycle", "Retain")
_NO_CLASS: Final = "an empty string is disallowed"
_ONLY_CSI: Final = "has to be specified when using volumeAttributesClassName"
_CLASS_GONE: Final = "update from non-nil value to nil is forbidden"


class PersistentVolumeStrategy(KindStrategy):
    """Storage of the cluster, bound to a claim or to be bound."""

    namespaced = False
    drops_status = True

    def defaults(self, obj: Json) -> None:
        """Kept when released, a file system."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"})
        source_defaults(spec)

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Its life begins as pending."""
        super().prepare_for_create(obj, context)
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Json) -> list[FieldError]:
        """Modes, size, one source, class, nodes."""
        spec = spec_of(obj)
        found = claims.access_modes(spec.get("accessModes"), "spec.accessModes", missing="")
        capacity = spec.get("capacity") or {}
        if not capacity:
            found.append(errors.required("spec.capacity", ""))
        elif list(capacity) != ["storage"]:
            found.append(errors.not_supported("spec.capacity", capacity, ("storage",)))
        else:
            found += claims.positive(capacity["storage"], "spec.capacity[storage]")
        found += fields.one_of(
            spec.get("persistentVolumeReclaimPolicy"), _RECLAIM, "spec.persistentVolumeReclaimPolicy"
        )
        found += self._nodes(spec)
        found += persistent_volumes.check(spec, "spec", meta.name_of(obj))
        if spec.get("storageClassName"):
            found += fields.satisfies(spec["storageClassName"], "spec.storageClassName", names.is_dns_subdomain)
        found += claims.volume_mode(spec.get("volumeMode"), "spec.volumeMode")
        return found + self._attributes(spec)

    def _nodes(self, spec: Json) -> list[FieldError]:
        affinity = spec.get("nodeAffinity")
        if affinity is None:
            text = "Local volume requires node affinity"
            return [errors.required("spec.nodeAffinity", text)] if spec.get("local") is not None else []
        if affinity.get("required") is None:
            return [errors.required("spec.nodeAffinity.required", "must specify required node constraints")]
        return scheduling.node_terms(affinity["required"], "spec.nodeAffinity.required")

    def _attributes(self, spec: Json) -> list[FieldError]:
        name, path = spec.get("volumeAttributesClassName"), "spec.volumeAttributesClassName"
        if name is None:
            return []
        found = fields.satisfies(name, path, names.is_dns_subdomain) if name else [errors.required(path, _NO_CLASS)]
        return found if spec.get("csi") is not None else [*found, errors.required("spec.csi", _ONLY_CSI)]

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """What a volume is made of stays."""
        spec, before = spec_of(obj), spec_of(old)
        found: list[FieldError] = []
        if _made_of(spec, before) != _made_of(before, before):
            text = "spec.persistentvolumesource is immutable after creation"
            found.append(errors.forbidden_field("spec.persistentvolumesource", text))
        found += fields.immutable(spec.get("volumeMode"), before.get("volumeMode"), "spec.volumeMode")
        if before.get("nodeAffinity"):
            found += fields.immutable(spec.get("nodeAffinity"), before["nodeAffinity"], "spec.nodeAffinity")
        if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
            found.append(errors.forbidden_field("spec.volumeAttributesClassName", _CLASS_GONE))
        return found


def _made_of(spec: Json, before: Json) -> Json:
    """The sources; where there was no secret for expanding a driver's volume, one may come."""
    sources = {name: spec[name] for name in persistent_volumes.SOURCES if spec.get(name) is not None}
    if "csi" in sources and (before.get("csi") or {}).get("controllerExpandSecretRef") is None:
        sources["csi"] = {name: value for name, value in sources["csi"].items() if name != "controllerExpandSecretRef"}
    return sources


def _claim(volume: Json) -> str:
    reference = spec_of(volume).get("claimRef")
    return f"{reference.get('namespace') or ''}/{reference.get('name') or ''}" if reference else ""


def _phase(volume: Json) -> str:
    if volume["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return status_of(volume).get("phase") or ""


PERSISTENT_VOLUMES: Final = Resource(
    kind=kinds.PERSISTENT_VOLUMES,
    key="persistentvolumes",
    strategy=PersistentVolumeStrategy(),
    short_names=("pv",),
    columns=(
        Column("Capacity", lambda pv: (spec_of(pv).get("capacity") or {}).get("storage") or ""),
        Column("Access Modes", lambda pv: claims.short_modes(spec_of(pv).get("accessModes"))),
        Column("Reclaim Policy", lambda pv: spec_of(pv).get("persistentVolumeReclaimPolicy") or ""),
        Column("Status", _phase),
        Column("Claim", _claim),
        Column("StorageClass", lambda pv: spec_of(pv).get("storageClassName") or ""),
        Column("VolumeAttributesClass", lambda pv: spec_of(pv).get("volumeAttributesClassName") or UNSET),
        Column("Reason", lambda pv: status_of(pv).get("reason") or ""),
        AGE,
        Column("VolumeMode", lambda pv: spec_of(pv).get("volumeMode") or UNSET, priority=1),
    ),
    subresources=("status",),
)
