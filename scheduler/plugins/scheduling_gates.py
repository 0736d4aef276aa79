"""SchedulingGates: a pod with gates left is not looked at (KEP-3521)."""

from typing import ClassVar

from scheduler.framework import OK, ClusterEvent, Code, Resource, Status
from scheduler.pods import Pod


class SchedulingGates:
    """Keeps gated pods out of the active queue."""

    name: ClassVar[str] = "SchedulingGates"

    def pre_enqueue(self, pod: Pod) -> Status:
        """OK once `spec.schedulingGates` is empty."""
        if not pod.gates:
            return OK
        return Status(Code.UNRESOLVABLE, (f"waiting for scheduling gates: [{' '.join(pod.gates)}]",))

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """Only a change of the pod itself removes a gate."""
        return event.resource is Resource.PENDING_POD
