"""What plugins answer, written plainly from upstream's rules for one node at a time: the reference for the vectors."""

import math
from collections.abc import Iterable, Mapping, Sequence

from machinery.api import meta, nodes, pods
from machinery.api.codec import Json

Cluster = Mapping[str, tuple[Json, Sequence[Json]]]  # node's name → the node, and the pods on it

_MOST_PER_CONTAINER = 1000 * 1024 * 1024
_LEAST_IMAGE = 23 * 1024 * 1024
_DEFAULTS = {"cpu": 100, "memory": 200 * 1024 * 1024}


def offered(node: Json) -> dict[str, int]:
    """Allocatable."""
    return pods.amounts(node["status"]["allocatable"])


def affinity_fits(pod: Json, node: Json) -> bool:
    """NodeAffinity's filter: nodeSelector, and one of the required terms."""
    labels = meta.labels_of(node)
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_fits(term, labels) for term in required["nodeSelectorTerms"])


def affinity_score(pod: Json, node: Json) -> int:
    """NodeAffinity's score before it is normalised."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(one["weight"] for one in preferred if _term_fits(one["preference"], meta.labels_of(node)))


def _term_fits(term: Json, labels: Mapping[str, str]) -> bool:
    expressions = term.get("matchExpressions") or ()
    return bool(expressions) and all(_expression_fits(one, labels) for one in expressions)


def _expression_fits(expression: Json, labels: Mapping[str, str]) -> bool:
    value: str | None = labels.get(expression["key"])
    values: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            if value is None or not value.isdigit():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])


def taints_fit(pod: Json, node: Json) -> bool:
    """TaintToleration's filter."""
    return not _intolerable(pod, node, ("NoSchedule", "NoExecute"), pod["spec"].get("tolerations") or ())


def taints_score(pod: Json, node: Json) -> int:
    """TaintToleration's score before it is normalised: what is not tolerated."""
    given = pod["spec"].get("tolerations") or ()
    soft = [one for one in given if one.get("effect") in (None, "", "PreferNoSchedule")]
    return len(_intolerable(pod, node, ("PreferNoSchedule",), soft))


def _intolerable(pod: Json, node: Json, effects: Sequence[str], tolerations: Iterable[Json]) -> list[Json]:
    found = [taint for taint in node["spec"].get("taints") or () if taint["effect"] in effects]
    return [taint for taint in found if not any(nodes.tolerates(one, taint) for one in tolerations)]


def ports_fit(pod: Json, others: Iterable[Json]) -> bool:
    """NodePorts' filter."""
    taken = [port for other in others for port in _ports(other)]
    return not any(_clash(mine, theirs) for mine in _ports(pod) for theirs in taken)


def _ports(pod: Json) -> list[tuple[str, int, str]]:
    listed = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return [
        (port.get("protocol") or "TCP", port["hostPort"], port.get("hostIP") or "0.0.0.0")
        for port in listed
        if port.get("hostPort")
    ]


def _clash(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    return one[:2] == other[:2] and (one[2] == other[2] or "0.0.0.0" in (one[2], other[2]))


def resources_fit(pod: Json, node: Json, others: Sequence[Json]) -> bool:
    """NodeResourcesFit's filter."""
    there = offered(node)
    if len(others) + 1 > there["pods"]:
        return False
    for name, amount in pods.requests_of(pod).items():
        used = sum(pods.requests_of(other).get(name, 0) for other in others)
        if amount and used + amount > there.get(name, 0):
            return False
    return True


def allocation_score(pod: Json, node: Json, others: Sequence[Json], *, most: bool) -> int:
    """NodeResourcesFit's score, by LeastAllocated or MostAllocated."""
    total = weights = 0
    for name in ("cpu", "memory"):
        have = offered(node).get(name, 0)
        if not have:
            continue
        wanted = sum(_weighed(one, name) for one in [*others, pod])
        share = 0 if wanted > have else (wanted if most else have - wanted) * 100 // have
        total, weights = total + share, weights + 1
    return total // weights if weights else 0


def _weighed(pod: Json, name: str) -> int:
    """What a pod counts as: a container that asks for nothing still weighs something."""
    silent = [
        one for one in pod["spec"]["containers"] if name not in ((one.get("resources") or {}).get("requests") or {})
    ]
    return pods.requests_of(pod).get(name, 0) + len(silent) * _DEFAULTS[name]


def balance_score(pod: Json, node: Json, others: Sequence[Json]) -> int:
    """NodeResourcesBalancedAllocation's score."""
    shares = []
    for name in ("cpu", "memory"):
        if have := offered(node).get(name, 0):
            used = sum(pods.requests_of(one).get(name, 0) for one in [*others, pod])
            shares.append(min(used / have, 1.0))
    mean = sum(shares) / len(shares)
    deviation = math.sqrt(sum((share - mean) ** 2 for share in shares) / len(shares))
    return math.floor((1 - deviation) * 100)


def image_score(pod: Json, node: Json, everybody: Iterable[Json]) -> int:
    """ImageLocality's score."""
    cluster = list(everybody)
    names = [container["image"] for container in pod["spec"]["containers"] if container.get("image")]
    total = 0
    for name in names:
        having = sum(name in _images(other) for other in cluster)
        total += int(_images(node).get(name, 0) * (having / len(cluster)))
    most = _MOST_PER_CONTAINER * max(len(pod["spec"]["containers"]), 1)
    clamped = min(max(total, _LEAST_IMAGE), most)
    return 100 * (clamped - _LEAST_IMAGE) // (most - _LEAST_IMAGE)


def _images(node: Json) -> dict[str, int]:
    return {name: image["sizeBytes"] for image in node["status"].get("images") or () for name in image["names"]}


def spread_fits(pod: Json, name: str, cluster: Cluster) -> bool:
    """PodTopologySpread's filter."""
    return all(_constraint_fits(pod, name, cluster, one) for one in pod["spec"]["topologySpreadConstraints"])


def _constraint_fits(pod: Json, name: str, cluster: Cluster, constraint: Json) -> bool:
    keys = [one["topologyKey"] for one in pod["spec"]["topologySpreadConstraints"]]
    key, wanted = constraint["topologyKey"], constraint["labelSelector"]["matchLabels"]
    counts: dict[str, int] = {}
    for node, others in cluster.values():
        labels = meta.labels_of(node)
        if not all(one in labels for one in keys) or not _counts(pod, node, constraint):
            continue
        counts.setdefault(labels[key], 0)
        counts[labels[key]] += sum(_like(other, pod, wanted) for other in others)
    mine = meta.labels_of(cluster[name][0])
    if key not in mine:
        return False
    enough = counts and len(counts) >= (constraint.get("minDomains") or 1)
    least = min(counts.values()) if enough else 0
    itself = int(all(meta.labels_of(pod).get(one) == value for one, value in wanted.items()))
    return counts.get(mine[key], 0) + itself - least <= int(constraint["maxSkew"])


def _counts(pod: Json, node: Json, constraint: Json) -> bool:
    if constraint.get("nodeAffinityPolicy") != "Ignore" and not affinity_fits(pod, node):
        return False
    return constraint.get("nodeTaintsPolicy") != "Honor" or taints_fit(pod, node)


def _like(other: Json, pod: Json, wanted: Mapping[str, str]) -> bool:
    if meta.namespace_of(other) != meta.namespace_of(pod) or meta.is_being_deleted(other):
        return False
    return all(meta.labels_of(other).get(key) == value for key, value in wanted.items())
