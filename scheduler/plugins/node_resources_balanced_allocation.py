"""NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory are used to the same degree."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, OK, SKIP, CycleState, Status
from scheduler.plugins.node_resources_fit import DEFAULT_WEIGHTS, is_scored
from scheduler.pods import Pod


class NodeResourcesBalancedAllocation:
    """The score falls with the standard deviation of the resources' used shares."""

    name: ClassVar[str] = "NodeResourcesBalancedAllocation"

    def __init__(self, args: Mapping[str, Any] | None = None) -> None:
        self._resources = [one["name"] for one in (args or {}).get("resources") or ()] or list(DEFAULT_WEIGHTS)

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Pods that ask for nothing would all land on one node."""
        return OK if any(pod.requests.get(resource) for resource in self._resources) else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """Resources a node does not offer do not count."""
        resources = [resource for resource in self._resources if is_scored(pod, resource)]
        offered = np.stack([nodes.allocatable(resource) for resource in resources])
        used = np.stack([nodes.requested(resource) + pod.requests.get(resource, 0) for resource in resources])
        shares = np.minimum(np.divide(used, offered, out=np.zeros(used.shape), where=offered > 0), 1.0)
        counted = offered > 0
        number = np.maximum(counted.sum(axis=0), 1)
        mean = shares.sum(axis=0) / number
        deviation = np.sqrt((np.where(counted, shares - mean, 0.0) ** 2).sum(axis=0) / number)
        score: Vector = np.floor((1.0 - deviation) * MAX_SCORE)
        return score
