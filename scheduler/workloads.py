"""Clusters and pods for simulations, shaped as upstream's scheduler_perf (test/integration/scheduler_perf). Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from machinery.api.codec import Json
from machinery.api.kinds import Kind

ZONE: Final = "topology.kubernetes.io/zone"
HOST: Final = "kubernetes.io/hostname"


@dataclass(slots=True)
class Workload:
    """What a cluster has at first, and the pods that are measured."""

    nodes: list[Json] = field(default_factory=list)
    before: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    #: whatever else a snapshot has, by kind
    others: dict[Kind, list[Json]] = field(default_factory=dict)
    #: how often something comes and goes while the pods are placed
    churn: int = 0


def node(name: str, zone: str = "") -> Json:
    """A node of 4 cores, 32 GiB and 110 pods."""
    resources = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    labels = {HOST: name, **({ZONE: zone} if zone else {})}
    status = {"capacity": resources, "allocatable": resources}
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def pod(name: str, cpu: str = "100m", memory: str = "500Mi", labels: Json | None = None, **spec: Any) -> Json:
    """A pod of one container."""
    container = {"name": "pause", "image": "pause", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels or {}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def _nodes(count: int, *zones: str) -> list[Json]:
    return [node(f"node-{number}", zones[number % len(zones)] if zones else "") for number in range(count)]


def _many(prefix: str, count: int, **facts: Any) -> Iterator[Json]:
    return (pod(f"{prefix}-{number}", **facts) for number in range(count))


def _affinity(anti: bool, key: str, labels: Json, weight: int = 0) -> Json:
    term: Json = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    field_name = "podAntiAffinity" if anti else "podAffinity"
    if not weight:
        return {field_name: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    preferred = [{"weight": weight, "podAffinityTerm": term}]
    return {field_name: {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def basic(nodes: int, pods: int) -> Workload:
    """Pods without wishes."""
    return Workload(_nodes(nodes), list(_many("before", nodes // 5)), list(_many("pod", pods)))


def node_affinity(nodes: int, pods: int) -> Workload:
    """Pods that want one of two zones."""
    expression = {"key": ZONE, "operator": "In", "values": ["zone1", "zone2"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    found = Workload(_nodes(nodes, "zone1", "zone2", "zone3"), list(_many("before", nodes)))
    found.pods = list(_many("pod", pods, affinity=affinity))
    return found


def topology_spread(nodes: int, pods: int) -> Workload:
    """Pods that spread over zones."""
    labels = {"color": "blue"}
    constraint = {
        "maxSkew": 5,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    found = Workload(_nodes(nodes, "moon-1", "moon-2", "moon-3"), list(_many("before", nodes)))
    found.pods = list(_many("pod", pods, labels=labels, topologySpreadConstraints=[constraint]))
    return found


def pod_affinity(nodes: int, pods: int) -> Workload:
    """Pods that want the zone of their like."""
    facts: Json = {"labels": {"color": "blue"}, "affinity": _affinity(False, ZONE, {"color": "blue"})}
    return Workload(_nodes(nodes, "zone1"), list(_many("before", nodes, **facts)), list(_many("pod", pods, **facts)))


def pod_anti_affinity(nodes: int, pods: int) -> Workload:
    """Pods that want a node without their like."""
    facts: Json = {"labels": {"color": "green"}, "affinity": _affinity(True, HOST, {"color": "green"})}
    return Workload(_nodes(nodes), list(_many("before", nodes // 5, **facts)), list(_many("pod", pods, **facts)))


def preferred_pod_affinity(nodes: int, pods: int) -> Workload:
    """Pods that would rather be with their like."""
    facts: Json = {"labels": {"color": "red"}, "affinity": _affinity(False, HOST, {"color": "red"}, weight=1)}
    return Workload(_nodes(nodes), list(_many("before", nodes, **facts)), list(_many("pod", pods, **facts)))


def unschedulable(nodes: int, pods: int) -> Workload:
    """Ordinary pods beside some that fit nowhere."""
    found = basic(nodes, pods)
    found.before += _many("huge", 200, cpu="9999")
    return found


def preemption(nodes: int, pods: int) -> Workload:
    """A full cluster, and pods that are more important."""
    before = list(_many("low", 4 * nodes, cpu="900m", terminationGracePeriodSeconds=0))
    return Workload(_nodes(nodes), before, list(_many("high", pods, cpu="3", priority=1000)))


def churn(nodes: int, pods: int) -> Workload:
    """Ordinary pods while nodes, Services and pods that fit nowhere come and go: every tenth pod something does."""
    found = basic(nodes, pods)
    found.churn = max(pods // 10, 1)
    return found


WORKLOADS: Final[dict[str, Callable[[int, int], Workload]]] = {
    "basic": basic,
    "node-affinity": node_affinity,
    "topology-spread": topology_spread,
    "pod-affinity": pod_affinity,
    "pod-anti-affinity": pod_anti_affinity,
    "preferred-pod-affinity": preferred_pod_affinity,
    "unschedulable": unschedulable,
    "preemption": preemption,
    "churn": churn,
}
