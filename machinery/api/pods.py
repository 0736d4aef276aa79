"""What every component asks of a Pod: phase, readiness, requests, quality of service. Pure readings of the dict."""

from collections.abc import Iterable, Iterator
from typing import Final

from machinery.api import meta, quantity
from machinery.api.codec import Json

_TERMINAL: Final = ("Succeeded", "Failed")
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"


def phase_of(pod: Json) -> str:
    """`status.phase`, Pending when there is none."""
    return (pod.get("status") or {}).get("phase") or "Pending"


def node_of(pod: Json) -> str:
    """`spec.nodeName`, empty when the pod is not scheduled."""
    return (pod.get("spec") or {}).get("nodeName") or ""


def ip_of(pod: Json) -> str:
    """`status.podIP`, empty when there is none yet."""
    return (pod.get("status") or {}).get("podIP") or ""


def is_terminal(pod: Json) -> bool:
    """Whether all its containers have ended for good."""
    return phase_of(pod) in _TERMINAL


def is_active(pod: Json) -> bool:
    """Neither ended nor being deleted: what a controller counts (upstream: controller.IsPodActive)."""
    return not is_terminal(pod) and not meta.is_being_deleted(pod)


def is_ready(pod: Json) -> bool:
    """Whether the Ready condition is True."""
    return meta.condition_is_true(pod, "Ready")


def ready_condition(pod: Json) -> Json | None:
    """The Ready condition, if there is one."""
    return meta.find_condition((pod.get("status") or {}).get("conditions"), "Ready")


def is_static(pod: Json) -> bool:
    """Whether it is the mirror of a pod from a node's manifest folder."""
    return MIRROR_ANNOTATION in meta.annotations_of(pod)


def is_host_network(pod: Json) -> bool:
    """Whether the pod uses its node's network."""
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def containers_of(pod: Json) -> list[Json]:
    """`spec.containers`."""
    containers: list[Json] = (pod.get("spec") or {}).get("containers") or []
    return containers


def init_containers_of(pod: Json) -> list[Json]:
    """`spec.initContainers`, sidecars among them."""
    containers: list[Json] = (pod.get("spec") or {}).get("initContainers") or []
    return containers


def every_container_of(spec: Json) -> Iterator[Json]:
    """All containers of a pod's spec: init, main and ephemeral ones."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def is_sidecar(container: Json) -> bool:
    """Whether an init container keeps running beside the main ones (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def requests_of(pod: Json) -> dict[str, int]:
    """What the scheduler sets aside: cpu in milli, everything else in whole units (upstream: resource.PodRequests).

    The sum over containers and sidecars, or the largest init container on top of the sidecars started before it,
    whichever is more; pod-level requests win over both (KEP-2837); overhead comes on top.
    """
    spec = pod.get("spec") or {}
    total = total_of_containers(pod, "requests") | amounts((spec.get("resources") or {}).get("requests"))
    return _sum((total, amounts(spec.get("overhead"))))


def total_of_containers(pod: Json, part: str) -> dict[str, int]:
    """The `requests` or `limits` of its containers together, as `requests_of` adds them up."""
    total = _sum(_amounts_of(container, part) for container in containers_of(pod))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in init_containers_of(pod):
        wanted = _amounts_of(container, part)
        if is_sidecar(container):
            sidecars = _sum((sidecars, wanted))
            peak = _largest(peak, sidecars)
        else:
            peak = _largest(peak, _sum((sidecars, wanted)))
    return _largest(_sum((total, sidecars)), peak)


def amounts(resources: Json | None) -> dict[str, int]:
    """A ResourceList as integers: cpu in milli, everything else in whole units."""
    return {
        name: quantity.to_milli(value) if name == "cpu" else quantity.to_int(value)
        for name, value in (resources or {}).items()
    }


def _amounts_of(container: Json, part: str) -> dict[str, int]:
    return amounts((container.get("resources") or {}).get(part))


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _largest(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def qos_class(pod: Json) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory (upstream: v1/helper/qos/qos.go)."""
    everyone = [*containers_of(pod), *init_containers_of(pod)]
    asked = [_cpu_and_memory(container) for container in everyone]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    guaranteed = all(len(limits) == 2 and requests == limits for requests, limits in asked)
    return "Guaranteed" if guaranteed else "Burstable"


def _cpu_and_memory(container: Json) -> tuple[dict[str, int], dict[str, int]]:
    resources = container.get("resources") or {}
    limits = _compute(resources.get("limits"))
    return limits | _compute(resources.get("requests")), limits


def _compute(resources: Json | None) -> dict[str, int]:
    return {name: value for name, value in amounts(resources).items() if name in ("cpu", "memory") and value}
