"""DefaultPreemption: says what preemption could do for a pod that fits nowhere. It does not preempt yet."""

from typing import ClassVar

import numpy as np

from scheduler.cache import NodeTable
from scheduler.framework import Code, CycleState, Diagnosis, Status
from scheduler.pods import Pod

_HOPELESS = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"


class DefaultPreemption:
    """Adds upstream's second sentence to the message of a pod that fits nowhere."""

    name: ClassVar[str] = "DefaultPreemption"

    def post_filter(self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis) -> Status:
        """Always a rejection: nothing is evicted."""
        if pod.spec.get("preemptionPolicy") == "Never":
            message = "not eligible due to preemptionPolicy=Never."
        else:
            message = f"0/{diagnosis.total} nodes are available: {', '.join(_reasons(diagnosis))}."
        return Status(Code.UNSCHEDULABLE, (f"preemption: {message}",))


def _reasons(diagnosis: Diagnosis) -> list[str]:
    hopeless = diagnosis.total
    if diagnosis.unresolvable is not None:
        hopeless = int(np.count_nonzero(diagnosis.unresolvable))
    counts = {_NO_VICTIMS: diagnosis.total - hopeless, _HOPELESS: hopeless}
    return sorted(f"{count} {reason}" for reason, count in counts.items() if count)
