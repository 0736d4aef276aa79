"""TaintToleration: nodes repel pods by taints; pods that tolerate them may come."""

from typing import ClassVar

from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import OK, SKIP, ClusterEvent, CycleState, Resource, Status, normalized
from scheduler.plugins.tolerations import HARD, intolerable_taints, is_tolerated, tolerated_nodes
from scheduler.pods import Pod

_SOFT = "PreferNoSchedule"


class TaintToleration:
    """NoSchedule and NoExecute filter, PreferNoSchedule scores. Asked once per different set of taints."""

    name: ClassVar[str] = "TaintToleration"
    reason: ClassVar[str] = "node(s) had untolerated taint(s)"

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """Nodes without a hard taint that the pod does not tolerate."""
        return tolerated_nodes(pod, nodes)

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Without a soft taint anywhere there is no preference."""
        soft = any(taint[2] == _SOFT for taints in nodes.taint_sets for taint in taints)
        return OK if soft else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """How many soft taints the pod does not tolerate; `normalize` turns it round."""
        tolerations = [one for one in pod.tolerations if not one.get("effect") or one["effect"] == _SOFT]
        return intolerable_taints(tolerations, nodes, (_SOFT,))

    def normalize(self, state: CycleState, scores: Vector, fits: Mask) -> Vector:
        """The fewer, the better."""
        return normalized(scores, fits, reverse=True)

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A node whose taints are all tolerated, or a pod with new tolerations."""
        if event.resource is not Resource.NODE:
            return event.resource is Resource.PENDING_POD
        taints = (event.obj.get("spec") or {}).get("taints") or []
        hard = [(one["key"], one.get("value") or "", one["effect"]) for one in taints if one.get("effect") in HARD]
        return all(is_tolerated(taint, pod.tolerations) for taint in hard)
