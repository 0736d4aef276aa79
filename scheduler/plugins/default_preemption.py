"""DefaultPreemption: finds pods of lower priority whose going makes room (KEP-564). What hurts least is `preemption`'s.

Upstream: plugins/defaultpreemption/default_preemption.go, framework/preemption/preemption.go.
"""

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from machinery.api import kinds
from scheduler import preemption
from scheduler.cache import NodeTable
from scheduler.framework import OK, Code, CycleState, Diagnosis, Filters, Handle, Nomination, Status
from scheduler.pods import Pod
from scheduler.preemption import Trial

_HOPELESS: Final = "Preemption is not helpful for scheduling"
_NO_VICTIMS: Final = "No preemption victims found for incoming pod"
_PERCENT: Final = 10
_AT_LEAST: Final = 100


class DefaultPreemption:
    """Nominates a node and names the victims; the scheduler evicts them."""

    name: ClassVar[str] = "DefaultPreemption"

    def __init__(self, handle: Handle, args: Mapping[str, Any] | None = None) -> None:
        given = args or {}
        self._budgets = handle.informers.watch(kinds.POD_DISRUPTION_BUDGETS)
        self._percent = int(given.get("minCandidateNodesPercentage", _PERCENT))
        self._at_least = int(given.get("minCandidateNodesAbsolute", _AT_LEAST))
        self._known = preemption.Known()
        self._chance = random.Random(handle.seed)

    def post_filter(
        self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis, filters: Filters
    ) -> Status:
        """OK with a nomination, or why there is none."""
        if why := _not_eligible(pod, nodes):
            return _none(why)
        rows = np.flatnonzero(preemption.hopeful(nodes, diagnosis.unresolvable))
        if len(rows):
            start = self._chance.randrange(len(rows))  # else the first nodes would bear it all
            ordered: list[int] = np.roll(rows, -start).tolist()
            trial = Trial(
                pod,
                nodes,
                lambda row: filters.fits(pod, nodes, row),
                filters.only_resources_matter(state, pod),
                filters.asked_before,
            )
            enough = max(diagnosis.total * self._percent // 100, self._at_least)
            found = preemption.find(trial, ordered, self._budgets.list(), enough, self._known)
            if found:
                chosen = preemption.best(found)
                diagnosis.nomination = Nomination(chosen.node, chosen.victims)
                diagnosis.candidates = found
                return OK
        return _none(f"0/{diagnosis.total} nodes are available: {', '.join(_reasons(diagnosis, len(rows)))}.")


def _not_eligible(pod: Pod, nodes: NodeTable) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    own = np.flatnonzero(nodes.named((pod.obj.get("status") or {}).get("nominatedNodeName") or ""))
    for row in own:
        if any(other.is_terminating and other.priority < pod.priority for other in nodes.pods_on(int(row))):
            return "not eligible due to a terminating pod on the nominated node."
    return ""


def _none(why: str) -> Status:
    return Status(Code.UNSCHEDULABLE, (f"preemption: {why}",))


def _reasons(diagnosis: Diagnosis, tried: int) -> list[str]:
    counts = {_NO_VICTIMS: tried, _HOPELESS: diagnosis.total - tried}
    return sorted(f"{count} {reason}" for reason, count in counts.items() if count)
