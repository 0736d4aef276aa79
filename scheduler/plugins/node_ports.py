"""NodePorts: two pods cannot hold the same host port; no container runtime refuses it, so this plugin must."""

from typing import ClassVar

from scheduler.cache import Mask, NodeTable
from scheduler.framework import OK, SKIP, Action, ClusterEvent, CycleState, Resource, Status
from scheduler.pods import Pod


class NodePorts:
    """Filters on host ports that are taken."""

    name: ClassVar[str] = "NodePorts"
    reason: ClassVar[str] = "node(s) didn't have free ports for the requested pod ports"
    unresolvable: ClassVar[bool] = False

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods claim none."""
        return OK if pod.host_ports else SKIP

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """Nodes where all the pod's host ports are free."""
        return ~nodes.port_conflicts(pod.host_ports)

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A pod went away, or a node came."""
        if event.resource is Resource.NODE:
            return event.action is Action.ADD
        return event.resource is Resource.ASSIGNED_POD and event.action is Action.DELETE
