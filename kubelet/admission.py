"""Whether the node takes a pod that was bound to it: selector and resources. Pure; the scheduler has looked before.

Two schedulers, a stale cache or a hand-written nodeName can be wrong. Upstream: pkg/kubelet/lifecycle/predicate.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import meta, pods
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

_REJECTED: Final = "Pod was rejected: "
_NOT_MATCHED: Final = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"


_NO_FREE_PORTS: Final = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
_ANY: Final = "0.0.0.0"  # noqa: S104


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the pod fails at once: status.reason and status.message."""

    reason: str
    message: str


def admit(pod: Json, others: Iterable[Json], node: Json, allocatable: Mapping[str, str]) -> Rejection | None:
    """None when the pod may run beside the others."""
    if not _matches(pod, node):
        return Rejection("NodeAffinity", _REJECTED + _NOT_MATCHED)
    capacity = pods.amounts(dict(allocatable))
    present = list(others)
    taken = {port for other in present for port in _host_ports(other)}
    if any(_clash(port, one) for port in _host_ports(pod) for one in taken):
        return Rejection("NodePorts", _REJECTED + _NO_FREE_PORTS)
    used: dict[str, int] = {"pods": len(present)}
    for other in present:
        for name, amount in pods.requests_of(other).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in {"pods": 1, **pods.requests_of(pod)}.items():
        has = capacity.get(name)
        if amount and has is not None and used.get(name, 0) + amount > has:
            numbers = f"requested: {amount}, used: {used.get(name, 0)}, capacity: {has}"
            return Rejection(f"OutOf{name}", f"{_REJECTED}Node didn't have enough resource: {name}, {numbers}")
    return None


def _host_ports(pod: Json) -> set[tuple[str, str, int]]:
    """Address, protocol and number of each port of the node that a pod takes."""
    return {
        (port.get("hostIP") or _ANY, port.get("protocol") or "TCP", int(port["hostPort"]))
        for container in pods.containers_of(pod)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def _clash(left: tuple[str, str, int], right: tuple[str, str, int]) -> bool:
    same_address = left[0] == right[0] or _ANY in (left[0], right[0])
    return same_address and left[1:] == right[1:]


def _matches(pod: Json, node: Json) -> bool:
    spec, labels = pod.get("spec") or {}, meta.labels_of(node)
    if not labels:
        return True  # the node object has not been seen yet
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity")) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: Json, node: Json) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = meta.labels_of(node)
    return all(_expression_matches(one, labels) for one in expressions) and all(
        _expression_matches(one, {"metadata.name": meta.name_of(node)}) for one in fields
    )


def _expression_matches(expression: Json, labels: Mapping[str, str]) -> bool:
    operator, key, values = expression["operator"], expression["key"], expression.get("values") or []
    if operator in ("Gt", "Lt"):
        try:
            have, limit = int(labels[key]), int(values[0])
        except (KeyError, ValueError, IndexError):
            return False
        return have > limit if operator == "Gt" else have < limit
    selector = LabelSelector.from_dict({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    return selector.matches(labels)
