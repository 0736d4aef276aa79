"""NodeResourcesFit: does the node have what the pod asks for, and how much would be left."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np

from machinery.api import pods as pod_api
from machinery.api.codec import Json
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, Action, BadArguments, ClusterEvent, CycleState, Resource, Verdict
from scheduler.pods import Pod

DEFAULT_WEIGHTS: Final[Mapping[str, int]] = {"cpu": 1, "memory": 1}


class NodeResourcesFit:
    """Filters on requests against allocatable; scores what is free, what is used, or points along a curve."""

    name: ClassVar[str] = "NodeResourcesFit"

    def __init__(self, args: Mapping[str, Any] | None = None) -> None:
        strategy = (args or {}).get("scoringStrategy") or {}
        self._most = strategy.get("type") == "MostAllocated"
        ratio = strategy.get("type") == "RequestedToCapacityRatio"
        self._shape = _shape(strategy.get("requestedToCapacityRatio") or {}) if ratio else None
        self._weights = {
            one["name"]: one.get("weight") or 1 for one in strategy.get("resources") or ()
        } or DEFAULT_WEIGHTS
        self._ignored = frozenset((args or {}).get("ignoredResources") or ())
        self._ignored_groups = tuple(f"{group}/" for group in (args or {}).get("ignoredResourceGroups") or ())

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Every resource that is short is a reason; what even an empty node lacks, no preemption helps."""
        lacking = _short(nodes, "pods", 1)
        short = [("Too many pods", lacking)] if lacking.any() else []
        hopeless = nodes.none()
        for resource, amount in pod.requests.items():
            if self._is_ignored(resource):
                continue
            lacking = _short(nodes, resource, amount)
            if lacking.any():
                short.append((f"Insufficient {resource}", lacking))
                hopeless |= nodes.allocatable(resource) < amount
        fits = nodes.all()
        for _, lacking in short:
            fits &= ~lacking
        return Verdict(fits, tuple(short), hopeless)

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """The weighted mean over the resources of the share that is free (or, by MostAllocated, used)."""
        if self._shape is not None:
            return self._by_shape(pod, nodes, self._shape)
        total, weights = nodes.zeros(), nodes.zeros()
        for resource, weight in self._weights.items():
            if not is_scored(pod, resource):
                continue
            allocatable = nodes.allocatable(resource)
            counted = allocatable > 0
            total += np.where(counted, self._share(allocatable, wanted(pod, nodes, resource)) * weight, 0)
            weights += np.where(counted, weight, 0)
        score: Vector = np.floor(np.divide(total, weights, out=nodes.zeros(), where=weights > 0))
        return score

    def _by_shape(self, pod: Pod, nodes: NodeTable, points: Amounts) -> Vector:
        """Points for how full a node would be, along a broken line; a resource without points does not count.

        Upstream: noderesources/requested_to_capacity_ratio.go.
        """
        total, weights = nodes.zeros(), nodes.zeros()
        for resource, weight in self._weights.items():
            if not is_scored(pod, resource):
                continue
            allocatable = nodes.allocatable(resource)
            used = np.minimum(wanted(pod, nodes, resource), allocatable)
            earned = points[used * 100 // np.maximum(allocatable, 1)]
            counts = (allocatable > 0) & (earned > 0)
            total += np.where(counts, earned * weight, 0)
            weights += np.where(counts, weight, 0)
        score: Vector = np.floor(np.divide(total, weights, out=nodes.zeros(), where=weights > 0) + 0.5)
        return score

    def _share(self, allocatable: Amounts, requested: Amounts) -> Vector:
        used = np.minimum(requested, allocatable)  # pods that ask for nothing weigh something, so it may be more
        counted = used if self._most else allocatable - used
        share: Vector = np.floor(counted * MAX_SCORE / np.maximum(allocatable, 1))
        return share

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A pod went away, a node came or offers more, or the pod asks for less."""
        match event.resource, event.action:
            case Resource.ASSIGNED_POD, Action.DELETE:
                return True
            case Resource.ASSIGNED_POD, Action.UPDATE:
                return _asks_for_less(event)
            case Resource.NODE, Action.ADD | Action.UPDATE:
                return self._could_fit(pod, event.obj)
            case Resource.PENDING_POD, Action.UPDATE:
                return True
            case _:
                return False

    def _could_fit(self, pod: Pod, node: Json) -> bool:
        offered = pod_api.amounts((node.get("status") or {}).get("allocatable"))
        counted = (one for one in pod.requests.items() if not self._is_ignored(one[0]))
        return all(offered.get(name, 0) >= amount for name, amount in counted)

    def _is_ignored(self, resource: str) -> bool:
        return resource in self._ignored or resource.startswith(self._ignored_groups)


def _shape(ratio: Mapping[str, Any]) -> Amounts:
    """Points of 100 for each percent of use (a configuration has points of 10). Raises BadArguments without any."""
    shape = sorted(ratio.get("shape") or (), key=lambda point: point.get("utilization") or 0)
    if not shape:
        raise BadArguments("requestedToCapacityRatio.shape: Required value: at least one point must be specified")
    corners = [(point.get("utilization") or 0, (point.get("score") or 0) * 10) for point in shape]
    return np.array([_on_line(corners, percent) for percent in range(101)], dtype=np.int64)


def _on_line(corners: Sequence[tuple[int, int]], place: int) -> int:
    """Between two corners whole points count from the left one on (upstream: helper.BuildBrokenLinearFunction)."""
    if place <= corners[0][0]:
        return corners[0][1]
    for (left, low), (right, high) in pairwise(corners):
        if place <= right:
            steps = abs(high - low) * (place - left) // (right - left)
            return low + (steps if high > low else -steps)
    return corners[-1][1]


def is_scored(pod: Pod, resource: str) -> bool:
    """Whether a resource counts for a pod: cpu, memory and storage always, others only if it asks for them.

    Upstream: noderesources/resource_allocation.go, calculateResourceAllocatableRequest.
    """
    is_scalar = "/" in resource or resource.startswith(("hugepages-", "attachable-volumes-"))
    return not is_scalar or resource in pod.requests


def wanted(pod: Pod, nodes: NodeTable, resource: str) -> Amounts:
    """What would be asked of each node with this pod on it, as scoring counts it."""
    index = ("cpu", "memory").index(resource) if resource in ("cpu", "memory") else None
    own = pod.requests.get(resource, 0) if index is None else pod.scored[index]
    total: Amounts = nodes.scored_requests(resource) + own
    return total


def _short(nodes: NodeTable, resource: str, amount: int) -> Mask:
    mask: Mask = nodes.allocatable(resource) - nodes.requested(resource) < amount
    return mask


def _asks_for_less(event: ClusterEvent) -> bool:
    before, after = (pod_api.requests_of(obj or {}) for obj in (event.old, event.new))
    return any(after.get(name, 0) < amount for name, amount in before.items())
