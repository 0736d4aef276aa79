"""Pods that wait for victims to leave the node they are nominated to (upstream: backend/queue/nominator.go)."""

from collections.abc import Sequence

from machinery.api.names import ObjectKey
from scheduler.pods import Pod


class Nominations:
    """Pending pods with the node each is nominated to."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, tuple[Pod, str]] = {}

    def add(self, pod: Pod, node: str) -> None:
        """The pod is to go to this node."""
        self._pods[pod.key] = (pod, node)

    def remove(self, key: ObjectKey) -> None:
        """It has a node, is gone, or has to look elsewhere."""
        self._pods.pop(key, None)

    def all(self) -> Sequence[tuple[Pod, str]]:
        """All of them."""
        return list(self._pods.values())

    def less_important_on(self, node: str, priority: int) -> list[Pod]:
        """Those on a node that have a lower priority."""
        return [pod for pod, where in self._pods.values() if where == node and pod.priority < priority]
