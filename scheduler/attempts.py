"""What came of the last attempts to place each pod: every node's verdict, and what would have to change.

Served at /debug/pods/NAMESPACE/NAME for `skiff why`. Nothing is decided here.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from machinery.api import quantity
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler.cache import NodeTable
from scheduler.framework import Diagnosis
from scheduler.pods import Pod

Rows = NDArray[np.intp]

_MOST: Final = 500  # pods that are remembered
_INSUFFICIENT: Final = "Insufficient "
_BY_REASON: Final = {"Too many pods": "have as many pods as they may: raise the kubelet's --max-pods, or add a node"}
_BY_PLUGIN: Final = {
    "NodeUnschedulable": "are cordoned: `kubectl uncordon` makes them usable",
    "NodeAffinity": "lack what nodeSelector or node affinity ask for: label them, or ask for less",
    "NodePorts": "have the host port taken: use another one, or a Service",
    "VolumeBinding": "cannot have the pod's volumes: add volumes, room or nodes where its volumes are",
    "VolumeZone": "are in other zones than the pod's volumes",
    "VolumeRestrictions": "have a volume in use that is for one pod alone: delete that pod, or use a claim of its own",
    "NodeVolumeLimits": "have as many volumes of a driver as they may: add a node",
    "DynamicResources": "have no devices that satisfy the claims: free some, or ask for less",
    "InterPodAffinity": "are in the wrong company: make the rule a preference, or add nodes in other domains",
    "PodTopologySpread": "have more than their share: make the rule a preference, or add nodes in other domains",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as it was; what is told of it is worked out when somebody asks."""

    pod: Pod
    at: str
    result: str  # Scheduled, Unschedulable
    message: str
    number: int
    node: str = ""
    diagnosis: Diagnosis | None = None
    #: the node of each row at that time
    names: tuple[str, ...] = ()

    def describe(self, nodes: NodeTable) -> Json:
        """For the wire; advice is about the nodes as they are now."""
        shown: Json = {"at": self.at, "result": self.result, "message": self.message, "attempt": self.number}
        shown |= {"node": self.node, "nodes": [], "advice": []}
        if self.diagnosis is not None:
            shown["nodes"] = list(_verdicts(self.diagnosis, self.names))
            shown["advice"] = list(dict.fromkeys(_advice(self, self.diagnosis, nodes)))
        return shown


class Attempts:
    """The last attempt of each of the last pods."""

    def __init__(self) -> None:
        self._by_pod: OrderedDict[ObjectKey, Attempt] = OrderedDict()

    def remember(self, attempt: Attempt) -> None:
        """The newest one counts; the pods that were tried longest ago are forgotten."""
        self._by_pod.pop(attempt.pod.key, None)
        self._by_pod[attempt.pod.key] = attempt
        if len(self._by_pod) > _MOST:
            self._by_pod.popitem(last=False)

    def get(self, key: ObjectKey) -> Attempt | None:
        """The last one of a pod."""
        return self._by_pod.get(key)


def _verdicts(diagnosis: Diagnosis, names: Sequence[str]) -> Iterator[Json]:
    """Each node's first rejection, in the order of the nodes' names."""
    found: dict[int, Json] = {}
    hopeless = diagnosis.unresolvable
    for rejected in diagnosis.rejected:
        for row in map(int, np.flatnonzero(rejected.rows)):
            there = found.get(row)
            if there is None:
                helps = hopeless is None or not bool(hopeless[row])
                verdict = {"node": names[row], "plugin": rejected.plugin, "reason": rejected.reason}
                found[row] = verdict | {"preemptionMayHelp": helps}
            elif there["plugin"] == rejected.plugin:  # one plugin may have several reasons for the same node
                there["reason"] += f", {rejected.reason}"
    yield from sorted(found.values(), key=lambda verdict: str(verdict["node"]))


def _advice(attempt: Attempt, diagnosis: Diagnosis, nodes: NodeTable) -> Iterator[str]:
    """What would have to change for at least one node to take the pod, as far as one plugin's rejection goes."""
    for rejected in diagnosis.rejected:
        was = np.flatnonzero(rejected.rows)
        rows = np.array([row for row in was if nodes.has(attempt.names[row])], dtype=np.intp)
        rows = rows[[nodes.names[row] == attempt.names[row] for row in rows]] if len(rows) else rows
        if not len(rows):
            continue
        if rejected.reason.startswith(_INSUFFICIENT):
            yield _smaller(attempt.pod, rejected.reason.removeprefix(_INSUFFICIENT), nodes, rows)
        elif rejected.plugin == "TaintToleration":
            yield _toleration(nodes, rows)
        elif text := _BY_REASON.get(rejected.reason) or _BY_PLUGIN.get(rejected.plugin):
            yield f"{len(rows)} node(s) {text}"


def _smaller(pod: Pod, resource: str, nodes: NodeTable, rows: Rows) -> str:
    free = nodes.allocatable(resource)[rows] - nodes.requested(resource)[rows]
    place = int(np.argmax(free))
    asked, most = pod.requests.get(resource, 0), max(int(free[place]), 0)
    where = nodes.names[int(rows[place])]
    return (
        f"{resource}: {_shown(resource, asked)} are asked for, {where} has most free of these: {_shown(resource, most)}"
    )


def _shown(resource: str, amount: int) -> str:
    text = f"{amount}m" if resource == "cpu" else str(amount)
    return quantity.in_family_of("1Mi" if resource == "memory" else "1", quantity.parse(text))


def _toleration(nodes: NodeTable, rows: Rows) -> str:
    taints = Counter(
        f"{key}={value}:{effect}" if value else f"{key}:{effect}"
        for row in rows
        for key, value, effect in nodes.taint_sets[nodes.taint_ids()[row]]
        if effect != "PreferNoSchedule"
    )
    told = ", ".join(f"{taint} ({count} node(s))" for taint, count in taints.most_common(3))
    return f"a toleration of {told} would help"
