"""A ReplicaSet's status from the pods it holds. Pure.

Upstream: pkg/controller/replicaset/replica_set_utils.go.
"""

from collections.abc import Sequence
from datetime import datetime

from controller_manager.availability import is_available, seconds_until_available
from machinery.api import meta, pods, times
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

_FAILURE = "ReplicaFailure"


def status_of(
    rs: Json, held: Sequence[Json], leaving: Sequence[Json], problem: Exception | None, now: datetime
) -> Json:
    """The status to write; `held` are the active pods, `leaving` those that are being deleted."""
    spec = rs["spec"]
    template_labels = LabelSelector.from_labels(meta.labels_of(spec.get("template") or {}))
    minimum = spec.get("minReadySeconds") or 0
    counts = {
        "fullyLabeledReplicas": sum(template_labels.matches(meta.labels_of(pod)) for pod in held),
        "readyReplicas": sum(map(pods.is_ready, held)),
        "availableReplicas": sum(is_available(pod, minimum, now) for pod in held),
    }
    status: Json = {"replicas": len(held)} | {name: count for name, count in counts.items() if count}
    status |= {"terminatingReplicas": len(leaving), "observedGeneration": meta.generation_of(rs)}
    conditions = _conditions(rs, len(held), problem, now)
    return status | ({"conditions": conditions} if conditions else {})


def _conditions(rs: Json, held: int, problem: Exception | None, now: datetime) -> list[Json]:
    conditions: list[Json] = (rs.get("status") or {}).get("conditions") or []
    failing = meta.find_condition(conditions, _FAILURE)
    if problem is None:
        return [condition for condition in conditions if condition is not failing]
    if failing is not None:
        return conditions
    reason = "FailedCreate" if held < rs["spec"].get("replicas", 1) else "FailedDelete"
    new = {"type": _FAILURE, "status": "True", "reason": reason, "message": str(problem)}
    return meta.set_condition(conditions, new, times.rfc3339(now))


def seconds_to_availability(rs: Json, held: Sequence[Json], now: datetime) -> float | None:
    """Seconds until the next ready pod will have been ready long enough; None when none is on its way."""
    minimum = rs["spec"].get("minReadySeconds") or 0
    if not minimum:
        return None
    waits = [seconds_until_available(pod, minimum, now) for pod in held]
    return min((wait for wait in waits if wait), default=None)
