"""ImageLocality: nodes that have a pod's images already start it sooner.

Upstream: plugins/imagelocality/image_locality.go. An image counts by its size and by how many nodes have it: else
all pods would run to the one node that has a large image.
"""

from typing import ClassVar, Final

import numpy as np

from machinery.api.codec import Json
from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, OK, SKIP, CycleState, Status
from scheduler.pods import Pod

_LEAST: Final = 23 * 1024 * 1024
_MOST_PER_CONTAINER: Final = 1000 * 1024 * 1024


class ImageLocality:
    """Scores by the bytes that need not be pulled."""

    name: ClassVar[str] = "ImageLocality"

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Nothing to say of images that no node has."""
        return OK if any(nodes.image(name) for name in _images(pod.spec)) else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """From 0 below 23 MB to 100 at 1,000 MB per container."""
        names = _images(pod.spec)
        total, present = max(nodes.count, 1), nodes.zeros()
        for name in names:
            sizes = nodes.image(name)
            rows = np.fromiter(sizes, dtype=np.intp, count=len(sizes))
            there = np.fromiter(sizes.values(), dtype=np.int64, count=len(sizes))
            np.add.at(present, rows, np.trunc(there * (len(sizes) / total)))
        most = _MOST_PER_CONTAINER * max(len(names), 1)
        clamped = np.clip(present, _LEAST, most)
        score: Vector = np.floor(MAX_SCORE * (clamped - _LEAST) / (most - _LEAST))
        return score


def _images(spec: Json) -> list[str]:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return [_normalized(container.get("image") or "") for container in containers]


def _normalized(name: str) -> str:
    """With a tag, as nodes tell theirs."""
    return name if name.rpartition(":")[0].count("/") >= name.count("/") and ":" in name else f"{name}:latest"
