"""Which pods go first when there are too many. Pure; whether there are too many is the controller's question.

Upstream: pkg/controller/controller_utils.go (ActivePodsWithRanks), KEP-2255 (cost), KEP-2185 (logarithmic ages).
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Final

from machinery.api import meta, pods, times
from machinery.api.codec import Json

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


def to_delete(held: Sequence[Json], related: Sequence[Json], count: int, now: float) -> list[Json]:
    """The `count` pods of `held` that go first; `now` is a Unix time. All of them need no ranking."""
    if count >= len(held):
        return list(held)
    crowd = Counter(pods.node_of(pod) for pod in related if pods.node_of(pod))
    return sorted(held, key=cmp_to_key(_comparison(crowd, now)))[:count]


def deletion_cost(pod: Json) -> int:
    """The annotated cost of losing this pod, 0 when there is none or it is no 32-bit number."""
    text = meta.annotations_of(pod).get(DELETION_COST, "0")
    try:
        cost = int(text)
    except ValueError:
        return 0
    return cost if text == str(cost) and -(2**31) <= cost < 2**31 else 0


def _comparison(crowd: Counter[str], now: float) -> Callable[[Json, Json], int]:
    def urgency(pod: Json) -> tuple[bool, int, bool, int, int]:
        return (
            bool(pods.node_of(pod)),
            _PHASES.get(pods.phase_of(pod), 2),
            pods.is_ready(pod),
            deletion_cost(pod),
            -crowd[pods.node_of(pod)],
        )

    def compare(left: Json, right: Json) -> int:
        mine, others = urgency(left), urgency(right)
        if mine != others:
            return -1 if mine < others else 1
        by_ready = _younger_first(left, right, _ready_since, now) if pods.is_ready(left) else 0
        if by_ready:
            return by_ready
        if _restarts(left) != _restarts(right):
            return -1 if _restarts(left) > _restarts(right) else 1
        return _younger_first(left, right, _created, now)

    return compare


def _younger_first(left: Json, right: Json, since: Callable[[Json], float | None], now: float) -> int:
    """Ages are compared by powers of two, so that among pods of about the same age chance (the uid) decides."""
    mine, others = since(left), since(right)
    if mine == others:
        return 0
    if mine is None or others is None:
        return -1 if mine is None else 1
    ranks = _age_rank(now - mine), _age_rank(now - others)
    if ranks[0] == ranks[1]:
        return -1 if meta.uid_of(left) < meta.uid_of(right) else 1
    return -1 if ranks[0] < ranks[1] else 1


def _age_rank(seconds: float) -> int:
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1


def _ready_since(pod: Json) -> float | None:
    return _unix((pods.ready_condition(pod) or {}).get("lastTransitionTime"))


def _created(pod: Json) -> float | None:
    return _unix(meta.metadata_of(pod).get("creationTimestamp"))


def _unix(text: str | None) -> float | None:
    return times.parse(text).timestamp() if text else None


def _restarts(pod: Json) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount", 0) for status in statuses), default=0)
