"""NodeName: a pod that names its node."""

from typing import ClassVar

from machinery.api import meta
from scheduler.cache import Mask, NodeTable
from scheduler.framework import Action, ClusterEvent, CycleState, Resource
from scheduler.pods import Pod


class NodeName:
    """A pod that names its node fits that node only."""

    name: ClassVar[str] = "NodeName"
    reason: ClassVar[str] = "node(s) didn't match the requested node name"

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """All nodes, or the one."""
        wanted = pod.node_name
        return nodes.all() if not wanted else nodes.named(wanted)

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """The node appears."""
        is_new_node = event.resource is Resource.NODE and event.action is Action.ADD
        return is_new_node and meta.name_of(event.obj) == pod.node_name
