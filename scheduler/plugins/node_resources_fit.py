"""NodeResourcesFit: does the node have what the pod asks for, and how much would be left."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from machinery.api import pods as pod_api
from machinery.api.codec import Json
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, Action, ClusterEvent, CycleState, Resource, Verdict
from scheduler.pods import Pod

DEFAULT_WEIGHTS: Final[Mapping[str, int]] = {"cpu": 1, "memory": 1}


class NodeResourcesFit:
    """Filters on requests against allocatable; scores by the strategy LeastAllocated (the default) or MostAllocated."""

    name: ClassVar[str] = "NodeResourcesFit"

    def __init__(self, args: Mapping[str, Any] | None = None) -> None:
        strategy = (args or {}).get("scoringStrategy") or {}
        self._most = strategy.get("type") == "MostAllocated"
        self._weights = {
            one["name"]: one.get("weight") or 1 for one in strategy.get("resources") or ()
        } or DEFAULT_WEIGHTS
        self._ignored = frozenset((args or {}).get("ignoredResources") or ())

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Every resource that is short is a reason; what even an empty node lacks, no preemption helps."""
        lacking = _short(nodes, "pods", 1)
        short = [("Too many pods", lacking)] if lacking.any() else []
        hopeless = nodes.none()
        for resource, amount in pod.requests.items():
            if resource in self._ignored:
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
        total, weights = nodes.zeros(), nodes.zeros()
        for resource, weight in self._weights.items():
            allocatable = nodes.allocatable(resource)
            counted = allocatable > 0
            total += np.where(counted, self._share(allocatable, wanted(pod, nodes, resource)) * weight, 0)
            weights += np.where(counted, weight, 0)
        score: Vector = np.floor(np.divide(total, weights, out=nodes.zeros(), where=weights > 0))
        return score

    def _share(self, allocatable: Amounts, requested: Amounts) -> Vector:
        counted = requested if self._most else allocatable - requested
        share: Vector = np.floor(counted * MAX_SCORE / np.maximum(allocatable, 1))
        return np.where(requested > allocatable, 0.0, share)

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
        return all(offered.get(name, 0) >= amount for name, amount in pod.requests.items() if name not in self._ignored)


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
