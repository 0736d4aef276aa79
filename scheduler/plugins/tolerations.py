"""Whether tolerations cover a taint: shared by the plugins that look at taints."""

from collections.abc import Container, Iterable, Sequence
from typing import Final

import numpy as np

from machinery.api.codec import Json
from scheduler.cache import Mask, NodeTable, Vector
from scheduler.pods import Pod

#: effects that keep pods away
HARD: Final = ("NoSchedule", "NoExecute")


def is_tolerated(taint: tuple[str, str, str], tolerations: Iterable[Json]) -> bool:
    """Whether one of the tolerations covers a taint of key, value, effect (upstream: api/core/v1/toleration.go)."""
    return any(_covers(toleration, *taint) for toleration in tolerations)


def tolerated_nodes(pod: Pod, nodes: NodeTable) -> Mask:
    """Nodes without a hard taint that the pod does not tolerate."""
    mask: Mask = intolerable_taints(pod.tolerations, nodes, HARD) == 0
    return mask


def intolerable_taints(tolerations: Sequence[Json], nodes: NodeTable, effects: Container[str]) -> Vector:
    """How many taints of these effects are not tolerated, per node; asked once per different set of taints."""
    counts = [
        sum(taint[2] in effects and not is_tolerated(taint, tolerations) for taint in taints)
        for taints in nodes.taint_sets
    ]
    vector: Vector = np.array(counts, dtype=np.float64)[nodes.taint_ids()]
    return vector


def _covers(toleration: Json, key: str, value: str, effect: str) -> bool:
    if toleration.get("effect") and toleration["effect"] != effect:
        return False
    if toleration.get("key") and toleration["key"] != key:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return (toleration.get("value") or "") == value
        case "Lt" | "Gt" as operator:
            return _compares(operator, value, toleration.get("value") or "")
        case _:
            return False


def _compares(operator: str, taint: str, wanted: str) -> bool:
    """Numeric tolerations (KEP-5471): the taint's value is below or above the toleration's."""
    try:
        left, right = int(taint), int(wanted)
    except ValueError:
        return False
    return left < right if operator == "Lt" else left > right
