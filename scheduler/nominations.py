"""Pods that wait for victims to leave the node they are nominated to (upstream: backend/queue/nominator.go).

What they ask for is kept as sums per priority, resource and row of the table, so that a pod that only asks for
resources is checked against all of them at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from machinery.api.names import ObjectKey
from scheduler.cache import Amounts, NodeTable
from scheduler.pods import Pod


class Nominations:
    """Pending pods with the node each is nominated to."""

    def __init__(self, nodes: NodeTable) -> None:
        self._nodes = nodes
        self._pods: dict[ObjectKey, tuple[Pod, str]] = {}
        self._by_node: dict[str, dict[ObjectKey, Pod]] = {}
        #: the row a pod is counted on; those whose node is not there are counted nowhere
        self._rows: dict[ObjectKey, int] = {}
        self._sums: dict[int, dict[str, Amounts]] = {}
        self._numbers: Counter[int] = Counter()

    def add(self, pod: Pod, node: str) -> None:
        """The pod is to go to this node."""
        self.remove(pod.key)
        self._pods[pod.key] = (pod, node)
        self._by_node.setdefault(node, {})[pod.key] = pod
        self._numbers[pod.priority] += 1
        self._count_on(pod, self._nodes.row_of(node))

    def remove(self, key: ObjectKey) -> None:
        """It has a node, is gone, or has to look elsewhere."""
        if key not in self._pods:
            return
        pod, node = self._pods.pop(key)
        del self._by_node[node][key]
        self._numbers[pod.priority] -= 1
        self._count_on(pod, None)

    def node_came_or_went(self, node: str) -> None:
        """The node has another row from now on, or none."""
        row = self._nodes.row_of(node)
        for pod in self._by_node.get(node, {}).values():
            self._count_on(pod, row)

    def less_important_on(self, node: str, priority: int) -> list[Pod]:
        """Those on a node that have a lower priority."""
        return [pod for pod in self._by_node.get(node, {}).values() if pod.priority < priority]

    def before(self, pod: Pod) -> Sequence[tuple[Pod, str]]:
        """All others that are not less important than a pod."""
        return [one for key, one in self._pods.items() if key != pod.key and one[0].priority >= pod.priority]

    def any_before(self, pod: Pod) -> bool:
        """Whether there are any."""
        number = sum(count for priority, count in self._numbers.items() if priority >= pod.priority)
        own = self._pods.get(pod.key)
        return number > (own is not None and own[0].priority >= pod.priority)

    def asked_before(self, pod: Pod, resource: str) -> Amounts:
        """What these ask for of a resource, for each row."""
        total: Amounts = np.zeros(self._nodes.size, dtype=np.int64)
        for priority, sums in self._sums.items():
            if priority >= pod.priority and resource in sums:
                there = sums[resource][: len(total)]
                total[: len(there)] += there
        own = self._pods.get(pod.key)
        if own is not None and own[0].priority >= pod.priority and pod.key in self._rows:
            total[self._rows[pod.key]] -= _asked(own[0]).get(resource, 0)
        return total

    def _count_on(self, pod: Pod, row: int | None) -> None:
        before = self._rows.pop(pod.key, None)
        if before is not None:
            self._add(pod, before, -1)
        if row is not None:
            self._rows[pod.key] = row
            self._add(pod, row, 1)

    def _add(self, pod: Pod, row: int, sign: int) -> None:
        self._nodes.touch(row)
        sums = self._sums.setdefault(pod.priority, {})
        for resource, amount in _asked(pod).items():
            column = sums.get(resource)
            if column is None or row >= len(column):
                grown: Amounts = np.zeros(self._nodes.size, dtype=np.int64)
                if column is not None:
                    grown[: len(column)] = column
                column = sums[resource] = grown
            column[row] += sign * amount


def _asked(pod: Pod) -> Mapping[str, int]:
    return {**pod.requests, "pods": 1}
