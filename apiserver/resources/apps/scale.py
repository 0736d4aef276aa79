"""The scale subresource of workloads: a Scale made from the object, and its replicas put back."""

from machinery.api import errors, meta, selectors
from machinery.api.codec import Json
from machinery.api.errors import FieldError


def scale_of(obj: Json) -> Json:
    """The autoscaling/v1 Scale that stands for a workload."""
    metadata = meta.metadata_of(obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    scale_status: Json = {"replicas": status.get("replicas") or 0}
    if spec.get("selector"):
        scale_status["selector"] = str(selectors.LabelSelector.from_dict(spec["selector"]))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": scale_status,
    }


def check_scale(scale: Json) -> list[FieldError]:
    """Not below zero (upstream: ValidateScale)."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas >= 0:
        return []
    return [errors.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")]


def apply_scale(obj: Json, scale: Json) -> None:
    """Put a Scale's replicas (and resourceVersion, as the precondition) into the workload, in place."""
    obj.setdefault("spec", {})["replicas"] = (scale.get("spec") or {}).get("replicas") or 0
    version = meta.resource_version_of(scale)
    if version:
        obj["metadata"]["resourceVersion"] = version
