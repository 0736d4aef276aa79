"""NodeUnschedulable: cordoned nodes are left out, unless the pod tolerates the taint that stands for it."""

from typing import ClassVar

from machinery.api.nodes import TAINT_UNSCHEDULABLE
from scheduler.cache import Mask, NodeTable
from scheduler.framework import ClusterEvent, CycleState, Resource
from scheduler.plugins.tolerations import is_tolerated
from scheduler.pods import Pod


class NodeUnschedulable:
    """Filters on `spec.unschedulable`."""

    name: ClassVar[str] = "NodeUnschedulable"
    reason: ClassVar[str] = "node(s) were unschedulable"

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """All nodes that are not cordoned."""
        if is_tolerated((TAINT_UNSCHEDULABLE, "", "NoSchedule"), pod.tolerations):
            return nodes.all()
        return ~nodes.unschedulable()

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A node that is there and not cordoned, or new tolerations."""
        if event.resource is Resource.NODE:
            return not (event.obj.get("spec") or {}).get("unschedulable")
        return event.resource is Resource.PENDING_POD
