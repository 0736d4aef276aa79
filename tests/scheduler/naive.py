"""What plugins answer, written plainly from upstream's rules for one node at a time: the reference for the vectors."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from machinery.api import meta, nodes, pods
from machinery.api.codec import Json

Cluster = Mapping[str, tuple[Json, Sequence[Json]]]  # node's name → the node, and the pods on it

_MOST_PER_CONTAINER = 1000 * 1024 * 1024
_LEAST_IMAGE = 23 * 1024 * 1024
_HOSTNAME = "kubernetes.io/hostname"
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


def allocation_score(pod: Json, node: Json, others: Sequence[Json], weights: Mapping[str, int], *, most: bool) -> int:
    """NodeResourcesFit's score, by LeastAllocated or MostAllocated."""
    total = parts = 0
    for weight, wanted, have in _weighed(pod, node, others, weights):
        used = min(wanted, have)
        total, parts = total + (used if most else have - used) * 100 // have * weight, parts + weight
    return total // parts if parts else 0


def shape_score(
    pod: Json, node: Json, others: Sequence[Json], weights: Mapping[str, int], shape: Sequence[tuple[int, int]]
) -> int:
    """NodeResourcesFit's score, by RequestedToCapacityRatio; the shape has percents and points of 100."""
    total = parts = 0
    for weight, wanted, have in _weighed(pod, node, others, weights):
        points = _on_line(shape, min(wanted, have) * 100 // have)
        if points > 0:
            total, parts = total + points * weight, parts + weight
    return math.floor(Fraction(total, parts) + Fraction(1, 2)) if parts else 0


def _on_line(shape: Sequence[tuple[int, int]], place: int) -> int:
    if place <= shape[0][0]:
        return shape[0][1]
    for (left, low), (right, high) in pairwise(shape):
        if place <= right:
            return low + math.trunc(Fraction((high - low) * (place - left), right - left))
    return shape[-1][1]


def _weighed(
    pod: Json, node: Json, others: Sequence[Json], weights: Mapping[str, int]
) -> Iterator[tuple[int, int, int]]:
    """Weight, what would be wanted and what there is, of the resources that count on a node for a pod."""
    for name, weight in weights.items():
        have = offered(node).get(name, 0)
        if have and not _bypassed(pod, name):
            yield weight, sum(_counting_as(one, name) for one in [*others, pod]), have


def _bypassed(pod: Json, name: str) -> bool:
    """Extended resources are not scored for pods that do not ask for them."""
    return name not in _DEFAULTS and not pods.requests_of(pod).get(name, 0)


def _counting_as(pod: Json, name: str) -> int:
    """What a pod counts as: a container that asks for no cpu or memory still weighs something."""
    silent = [
        one for one in pod["spec"]["containers"] if name not in ((one.get("resources") or {}).get("requests") or {})
    ]
    return pods.requests_of(pod).get(name, 0) + len(silent) * _DEFAULTS.get(name, 0)


def balance_score(pod: Json, node: Json, others: Sequence[Json], names: Sequence[str]) -> int:
    """NodeResourcesBalancedAllocation's score."""
    shares = []
    for name in names:
        if _bypassed(pod, name):
            continue
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
    key, wanted = constraint["topologyKey"], _wanted(pod, constraint)
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


def spread_scores(
    pod: Json, cluster: Cluster, fits: Collection[str], constraints: Sequence[Json], *, by_system: bool
) -> dict[str, int]:
    """PodTopologySpread's normalised scores of the nodes that fit, by constraints that are only a preference.

    By system: they are those for pods without any, and a node that lacks one of the keys is scored by the others.
    """
    keys = [] if by_system else [one["topologyKey"] for one in constraints]
    there = {
        name: (node, others)
        for name, (node, others) in cluster.items()
        if all(key in meta.labels_of(node) for key in keys)
    }
    scored = [name for name in fits if name in there]
    raw = {
        name: math.floor(sum(_crowding(pod, name, there, scored, one) for one in constraints) + 0.5) for name in scored
    }
    least, most = min(raw.values(), default=0), max(raw.values(), default=0)
    found = {name: 100 * (most + least - crowding) // most if most else 100 for name, crowding in raw.items()}
    return {name: found.get(name, 0) for name in fits}


def _crowding(pod: Json, name: str, there: Cluster, scored: Collection[str], constraint: Json) -> float:
    """How many like pods a node's domain has, weighted by how many domains there are."""
    key = constraint["topologyKey"]
    mine = meta.labels_of(there[name][0]).get(key)
    if mine is None:
        return 0.0
    if key == _HOSTNAME:  # whatever the policies say
        domain, domains = [there[name]], len(scored)
    else:
        nodes_in = [one for one in there.values() if meta.labels_of(one[0]).get(key) == mine]
        domain = [one for one in nodes_in if _counts(pod, one[0], constraint)]
        domains = len({meta.labels_of(there[one][0]).get(key) for one in scored})  # none is one, too
    count = sum(_like(other, pod, _wanted(pod, constraint)) for _, others in domain for other in others)
    return count * math.log(domains + 2) + int(constraint["maxSkew"]) - 1


def _wanted(pod: Json, constraint: Json) -> dict[str, str]:
    """The labels of like pods: the selector's, and the pod's own by matchLabelKeys."""
    labels = meta.labels_of(pod)
    own = {key: labels[key] for key in constraint.get("matchLabelKeys") or () if key in labels}
    return {**constraint["labelSelector"].get("matchLabels", {}), **own}


def _counts(pod: Json, node: Json, constraint: Json) -> bool:
    if constraint.get("nodeAffinityPolicy") != "Ignore" and not affinity_fits(pod, node):
        return False
    return constraint.get("nodeTaintsPolicy") != "Honor" or taints_fit(pod, node)


def _like(other: Json, pod: Json, wanted: Mapping[str, str]) -> bool:
    """An empty selector counts nobody (upstream: countPodsMatchSelector)."""
    if meta.namespace_of(other) != meta.namespace_of(pod) or meta.is_being_deleted(other):
        return False
    return bool(wanted) and all(meta.labels_of(other).get(key) == value for key, value in wanted.items())
