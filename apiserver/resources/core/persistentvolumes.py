"""PersistentVolumes (upstream: pkg/registry/core/persistentvolume, validation.ValidatePersistentVolume)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import claims, fields, scheduling
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_RECLAIM: Final = ("Delete", "Recycle", "Retain")
#: what a volume is made of: one of these
_SOURCES: Final = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
]


class PersistentVolumeStrategy(KindStrategy):
    """Storage of the cluster, bound to a claim or to be bound."""

    namespaced = False
    drops_status = True

    def defaults(self, obj: Json) -> None:
        """Kept when released, a file system."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"})
        if spec.get("hostPath") is not None:
            fill(spec["hostPath"], {"type": ""})

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Its life begins as pending."""
        super().prepare_for_create(obj, context)
        obj["status"] = {"phase": "Pending"}

    def check(self, obj: Json) -> list[FieldError]:
        """Modes, size, one source, class, nodes."""
        spec = spec_of(obj)
        found = claims.access_modes(spec.get("accessModes"), "spec.accessModes")
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
        present = [name for name in _SOURCES if spec.get(name) is not None]
        if not present:
            found.append(errors.required("spec", "must specify a volume type"))
        for name in present[1:]:
            found.append(errors.forbidden_field(f"spec.{name}", "may not specify more than 1 volume type"))
        found += self._source(spec)
        if spec.get("storageClassName"):
            found += fields.satisfies(spec["storageClassName"], "spec.storageClassName", names.is_dns_subdomain)
        found += claims.volume_mode(spec.get("volumeMode"), "spec.volumeMode")
        return found + self._nodes(spec)

    def _source(self, spec: Json) -> list[FieldError]:
        """The kinds of source that are made here; others are some driver's."""
        if spec.get("hostPath") is not None:
            path = spec["hostPath"].get("path")
            found = [] if path else [errors.required("spec.hostPath.path", "")]
            recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle" and path == "/"
            if recycled:
                text = "may not be 'recycle' for a hostPath mount of '/'"
                found.append(errors.forbidden_field("spec.persistentVolumeReclaimPolicy", text))
            return found
        if spec.get("local") is not None and not spec["local"].get("path"):
            return [errors.required("spec.local.path", "")]
        if spec.get("nfs") is not None:
            return [errors.required(f"spec.nfs.{name}", "") for name in ("server", "path") if not spec["nfs"].get(name)]
        if spec.get("csi") is not None:
            wanted = ("driver", "volumeHandle")
            return [errors.required(f"spec.csi.{name}", "") for name in wanted if not spec["csi"].get(name)]
        return []

    def _nodes(self, spec: Json) -> list[FieldError]:
        affinity = spec.get("nodeAffinity")
        if affinity is None:
            return (
                [errors.required("spec.nodeAffinity", "Local volume requires node affinity")]
                if spec.get("local")
                else []
            )
        if affinity.get("required") is None:
            return [errors.required("spec.nodeAffinity.required", "must specify required node constraints")]
        wrapped = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": affinity["required"]}}
        return scheduling.affinity(wrapped, "spec.nodeAffinity")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """What a volume is made of stays."""
        spec, before = spec_of(obj), spec_of(old)
        found: list[FieldError] = []
        if any(spec.get(name) != before.get(name) for name in _SOURCES if name != "csi"):
            text = "spec.persistentvolumesource is immutable after creation"
            found.append(errors.forbidden_field("spec.persistentvolumesource", text))
        found += fields.immutable(spec.get("volumeMode"), before.get("volumeMode"), "spec.volumeMode")
        if before.get("nodeAffinity"):
            found += fields.immutable(spec.get("nodeAffinity"), before["nodeAffinity"], "spec.nodeAffinity")
        return found


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
