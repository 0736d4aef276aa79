"""What the binding subresource does to a pod. Reading the request and the retry on conflict are the handler's.

Upstream: BindingREST.setPodNodeAndMetadata in pkg/registry/core/pod/storage/storage.go.
"""

from machinery.api import errors, kinds, meta, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError


def check(binding: Json) -> list[FieldError]:
    """A binding targets a node, by name (upstream: ValidatePodBinding)."""
    target = binding.get("target") or {}
    found: list[FieldError] = []
    if target.get("kind") not in (None, "", "Node"):
        found.append(errors.not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        found.append(errors.required("target.name"))
    return found


def bind(pod: Json, binding: Json) -> None:
    """Put the node into the pod, in place; raises Conflict when the pod has one, is gated or is being deleted."""
    name, target = meta.name_of(pod), binding["target"]["name"]
    uid = meta.uid_of(binding)
    if uid and uid != meta.uid_of(pod):
        raise errors.conflict(
            kinds.PODS, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta.uid_of(pod)}"
        )
    spec = pod["spec"]
    if meta.is_being_deleted(pod):
        raise _refused(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _refused(name, f"pod {name} is already assigned to node {_quoted(spec['nodeName'])}")
    if spec.get("schedulingGates"):
        raise _refused(name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = target
    annotations = meta.annotations_of(binding)
    if annotations:
        pod["metadata"]["annotations"] = {**meta.annotations_of(pod), **annotations}
    _mark_scheduled(pod)


def _refused(name: str, why: str) -> errors.Conflict:
    return errors.conflict(kinds.Kind("", "v1", "Binding", "pods/binding"), name, why)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _mark_scheduled(pod: Json) -> None:
    status = pod.setdefault("status", {})
    now = times.rfc3339(times.now())
    status["conditions"] = meta.set_condition(
        status.get("conditions"), {"type": "PodScheduled", "status": "True", "lastProbeTime": None}, now
    )
    for condition in status["conditions"]:
        condition.pop("lastProbeTime", None) if condition.get("lastProbeTime", "") is None else None
