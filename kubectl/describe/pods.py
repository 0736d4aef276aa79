"""A pod described."""

from collections.abc import Iterator

from kubectl.describe.containers import containers, resources
from kubectl.describe.surroundings import Describer, Surroundings
from kubectl.describe.templates import spread_constraints, tolerations
from kubectl.describe.text import NONE, age, annotations, controlled_by, events, labels, moment
from kubectl.describe.volumes import volumes
from machinery.api import meta, pods
from machinery.api.codec import Json


def lines(found: Surroundings) -> Iterator[str]:
    """From name to events."""
    pod = found.object
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    yield from _identity(pod, spec, status)
    yield from _state(found, status)
    yield from _addresses(pod, status)
    if spec.get("resources"):
        yield "Resources:"
        yield from resources(spec["resources"], "  ")
    if spec.get("initContainers"):
        yield from containers("Init Containers", spec["initContainers"], status.get("initContainerStatuses"), pod)
    yield from containers("Containers", spec.get("containers") or (), status.get("containerStatuses"), pod)
    if spec.get("ephemeralContainers"):
        statuses = status.get("ephemeralContainerStatuses")
        yield from containers("Ephemeral Containers", spec["ephemeralContainers"], statuses, pod)
    yield from _conditions(spec, status)
    yield from volumes(spec.get("volumes"), template=False)
    yield f"QoS Class:\t{status.get('qosClass') or pods.qos_class(pod)}"
    yield from labels("Node-Selectors", spec.get("nodeSelector"))
    yield from tolerations("Tolerations", spec.get("tolerations"))
    yield from spread_constraints(spec.get("topologySpreadConstraints"), "")
    yield from events(found.events, found.now)


def _identity(pod: Json, spec: Json, status: Json) -> Iterator[str]:
    yield f"Name:\t{meta.name_of(pod)}"
    yield f"Namespace:\t{meta.namespace_of(pod)}"
    if spec.get("priority") is not None:
        yield f"Priority:\t{spec['priority']}"
    for title, field in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(field):
            yield f"{title}:\t{spec[field]}"
    node = spec.get("nodeName")
    yield f"Node:\t{node}/{status.get('hostIP', '')}" if node else f"Node:\t{NONE}"
    if status.get("startTime"):
        yield f"Start Time:\t{moment(status['startTime'])}"
    yield from labels("Labels", meta.labels_of(pod))
    yield from annotations("Annotations", meta.annotations_of(pod))


def _state(found: Surroundings, status: Json) -> Iterator[str]:
    metadata = meta.metadata_of(found.object)
    if metadata.get("deletionTimestamp") and status.get("phase") not in ("Failed", "Succeeded"):
        yield f"Status:\tTerminating (lasts {age(metadata['deletionTimestamp'], found.now)})"
        yield f"Termination Grace Period:\t{metadata.get('deletionGracePeriodSeconds', 0)}s"
    else:
        yield f"Status:\t{status.get('phase', '')}"
    for title, field in (("Reason", "reason"), ("Message", "message")):
        if status.get(field):
            yield f"{title}:\t{status[field]}"
    profile = ((found.object.get("spec") or {}).get("securityContext") or {}).get("seccompProfile") or {}
    if profile:
        yield f"SeccompProfile:\t{profile.get('type', '')}"
        if profile.get("type") == "Localhost":
            yield f"LocalhostProfile:\t{profile.get('localhostProfile', '')}"


def _addresses(pod: Json, status: Json) -> Iterator[str]:
    yield f"IP:\t{status.get('podIP', '')}"
    addresses = status.get("podIPs") or []
    yield "IPs:" if addresses else f"IPs:\t{NONE}"
    yield from (f"  IP:\t{entry.get('ip', '')}" for entry in addresses)
    yield from controlled_by(pod)
    if status.get("nominatedNodeName"):
        yield f"NominatedNodeName:\t{status['nominatedNodeName']}"


def _conditions(spec: Json, status: Json) -> Iterator[str]:
    conditions = status.get("conditions") or []
    by_type = {one.get("type"): one.get("status") for one in conditions}
    if spec.get("readinessGates"):
        yield from ("Readiness Gates:", "  Type\tStatus")
        for gate in spec["readinessGates"]:
            yield f"  {gate['conditionType']} \t{by_type.get(gate['conditionType'], NONE)} "
    if conditions:
        yield from ("Conditions:", "  Type\tStatus")
        yield from (f"  {one.get('type')} \t{one.get('status')} " for one in conditions)


DESCRIBER = Describer(lines)
