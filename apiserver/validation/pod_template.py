"""Pod templates: metadata without a name, and a pod's spec (upstream: ValidatePodTemplateSpec)."""

from apiserver.validation import metadata, pod_spec
from machinery.api.codec import Json
from machinery.api.errors import FieldError


def check(template: Json, path: str) -> list[FieldError]:
    """Labels, annotations, and the spec as in a Pod."""
    meta = template.get("metadata") or {}
    found = metadata.labels(meta.get("labels"), f"{path}.labels")
    found += metadata.annotations(meta.get("annotations"), f"{path}.annotations")
    return found + pod_spec.check(template.get("spec") or {}, f"{path}.spec")
