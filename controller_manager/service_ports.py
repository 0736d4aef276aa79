"""What a Service's ports are on a pod, and whether the pod may serve. Pure; shared by both endpoints controllers.

Upstream: pkg/api/v1/pod/util.go (FindPort), staging endpointslice/util, pkg/controller/util/endpoint.
"""

from typing import Final

from machinery.api import meta, pods
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

TRIGGER_TIME: Final = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"


def is_headless(service: Json) -> bool:
    """Whether the Service has no cluster IP of its own."""
    return service["spec"].get("clusterIP") in ("None", "", None)


def selector_of(service: Json) -> Json:
    """`spec.selector`; without one, somebody else makes the endpoints."""
    selector: Json = service["spec"].get("selector") or {}
    return selector


def publishes_not_ready(service: Json) -> bool:
    """Whether pods are published before they are ready."""
    return bool(service["spec"].get("publishNotReadyAddresses"))


def may_serve(pod: Json, *, terminating_too: bool) -> bool:
    """Whether a pod has an address and still runs (upstream: ShouldPodBeInEndpoints)."""
    if pods.is_terminal(pod) or not pods.ip_of(pod):
        return False
    return terminating_too or not meta.is_being_deleted(pod)


def hostname_in(service: Json, pod: Json) -> str:
    """The pod's DNS name below the Service; empty unless its subdomain is the Service."""
    spec = pod["spec"]
    same = spec.get("subdomain") == meta.name_of(service) and meta.namespace_of(pod) == meta.namespace_of(service)
    return spec.get("hostname") or "" if same else ""


def pod_ips(pod: Json) -> list[str]:
    """All addresses of a pod, the first one first."""
    listed = [entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or () if entry.get("ip")]
    return listed or [pods.ip_of(pod)]


def family_of(address: str) -> str:
    """IPv4 or IPv6."""
    return "IPv6" if ":" in address else "IPv4"


def port_on(pod: Json, service_port: Json) -> int | None:
    """The number behind targetPort on this pod; None when no container has a port of that name and protocol."""
    target = service_port.get("targetPort") or service_port["port"]
    if isinstance(target, int):
        return target
    protocol = service_port.get("protocol") or "TCP"
    sidecars = [container for container in pods.init_containers_of(pod) if pods.is_sidecar(container)]
    for container in [*pods.containers_of(pod), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
                return int(port["containerPort"])
    return int(target) if str(target).isdecimal() else None


def pod_reference(pod: Json) -> Json:
    """The targetRef of an endpoint."""
    key = meta.key_of(pod)
    return {"kind": "Pod", "namespace": key.namespace, "name": key.name, "uid": meta.uid_of(pod)}


def matters(pod: Json | None) -> tuple[object, ...] | None:
    """What endpoints show of a pod: as long as this stays, no Service need be looked at because of it."""
    if pod is None:
        return None
    metadata, spec = meta.metadata_of(pod), pod["spec"]
    return (
        (meta.uid_of(pod), dict(meta.labels_of(pod)), bool(metadata.get("deletionTimestamp"))),
        (pods.node_of(pod), spec.get("hostname"), spec.get("subdomain")),
        (pods.is_ready(pod), pods.is_terminal(pod), pod_ips(pod)),
    )


def selects_either(service: Json, old: Json | None, new: Json | None) -> bool:
    """Whether a Service's selector matches a pod as it was or as it is."""
    selector = selector_of(service)
    terms = LabelSelector.from_labels(selector)
    return bool(selector) and any(pod is not None and terms.matches(meta.labels_of(pod)) for pod in (old, new))


def trigger_time(service: Json, members: list[Json]) -> str:
    """When what the endpoints show last changed: the latest Ready transition of a pod, or the Service's creation."""
    moments = [(pods.ready_condition(pod) or {}).get("lastTransitionTime") or "" for pod in members]
    return max([*moments, meta.metadata_of(service).get("creationTimestamp") or ""])
