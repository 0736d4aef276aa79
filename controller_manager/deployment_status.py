"""A Deployment's status: counts and the conditions Available, Progressing, ReplicaFailure. Pure.

Upstream: pkg/controller/deployment/progress.go, sync.go (calculateStatus), util/deployment_util.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controller_manager.deployment_rolling import max_unavailable, replicas_of, status_sum
from machinery.api import meta, times
from machinery.api.codec import Json

PROGRESSING: Final = "Progressing"
_AVAILABLE: Final = "Available"
_FAILURE: Final = "ReplicaFailure"
PAUSED: Final = "DeploymentPaused"
RESUMED: Final = "DeploymentResumed"
NEW_REPLICA_SET: Final = "NewReplicaSetCreated"
FOUND_REPLICA_SET: Final = "FoundNewReplicaSet"
CREATE_ERROR: Final = "ReplicaSetCreateError"
UPDATED: Final = "ReplicaSetUpdated"
COMPLETE: Final = "NewReplicaSetAvailable"
TIMED_OUT: Final = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Rollout:
    """What the status is made from: the Deployment, the ReplicaSet of its template, and the others."""

    deployment: Json
    new: Json | None
    old: Sequence[Json]


def condition(type_: str, status: str, reason: str, message: str) -> Json:
    """A condition without its times."""
    return {"type": type_, "status": status, "reason": reason, "message": message}


def put(conditions: Sequence[Json], new: Json, now: str) -> list[Json]:
    """Replace a condition unless status and reason stay; the transition time moves only with the status."""
    current = meta.find_condition(conditions, new["type"])
    if current is not None and (current["status"], current.get("reason")) == (new["status"], new["reason"]):
        return list(conditions)
    return _replace(conditions, new, now)


def _replace(conditions: Sequence[Json], new: Json, now: str) -> list[Json]:
    current = meta.find_condition(conditions, new["type"])
    same = current is not None and current["status"] == new["status"]
    since = current.get("lastTransitionTime", now) if current is not None and same else now
    stamped = {**new, "lastUpdateTime": now, "lastTransitionTime": since}
    return [*(item for item in conditions if item["type"] != new["type"]), stamped]


def _without(conditions: Sequence[Json], type_: str) -> list[Json]:
    return [item for item in conditions if item["type"] != type_]


def conditions_of(deployment: Json) -> list[Json]:
    """`status.conditions`."""
    conditions: list[Json] = (deployment.get("status") or {}).get("conditions") or []
    return conditions


def has_deadline(deployment: Json) -> bool:
    """Whether progress is watched at all (2^31-1 means no)."""
    return deployment["spec"].get("progressDeadlineSeconds") not in (None, 2**31 - 1)


def counts_of(rollout: Rollout) -> Json:
    """Everything in the status but its conditions."""
    replica_sets = [*rollout.old, rollout.new]
    replicas = status_sum(replica_sets, "replicas")
    available = status_sum(replica_sets, "availableReplicas")
    counts = {
        "replicas": replicas,
        "updatedReplicas": status_sum([rollout.new], "replicas"),
        "readyReplicas": status_sum(replica_sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, replicas - available),
        "collisionCount": (rollout.deployment.get("status") or {}).get("collisionCount"),
    }
    status: Json = {"observedGeneration": meta.generation_of(rollout.deployment)}
    status |= {name: count for name, count in counts.items() if count}
    return status | {"terminatingReplicas": status_sum(replica_sets, "terminatingReplicas")}


def status_of(rollout: Rollout, now: datetime, *, estimate_progress: bool) -> Json:
    """The status to write; progress is judged during a rollout, not while scaling or paused."""
    status = counts_of(rollout)
    conditions = put(conditions_of(rollout.deployment), _availability(rollout.deployment, status), times.rfc3339(now))
    if estimate_progress:
        conditions = _with_progress(rollout, status, conditions, now)
        conditions = _with_failures(rollout, conditions)
    return status | ({"conditions": conditions} if conditions else {})


def _availability(deployment: Json, status: Json) -> Json:
    if status.get("availableReplicas", 0) >= replicas_of(deployment) - max_unavailable(deployment):
        return condition(_AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    text = "Deployment does not have minimum availability."
    return condition(_AVAILABLE, "False", "MinimumReplicasUnavailable", text)


def _with_progress(rollout: Rollout, status: Json, conditions: list[Json], now: datetime) -> list[Json]:
    deployment = rollout.deployment
    if not has_deadline(deployment):
        return _without(conditions, PROGRESSING)
    current = meta.find_condition(conditions, PROGRESSING)
    settled = status.get("replicas", 0)
    if current is not None and current.get("reason") == COMPLETE and settled == status.get("updatedReplicas", 0):
        return conditions
    subject = _subject(rollout)
    stamp = times.rfc3339(now)
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        return put(conditions, condition(PROGRESSING, "True", COMPLETE, text), stamp)
    if _made_progress(deployment.get("status") or {}, status):
        # Also with the same reason: lastUpdateTime tells when there last was progress.
        return _replace(conditions, condition(PROGRESSING, "True", UPDATED, f"{subject} is progressing."), stamp)
    if _timed_out(deployment, current, now):
        text = f"{subject} has timed out progressing."
        return put(conditions, condition(PROGRESSING, "False", TIMED_OUT, text), stamp)
    return conditions


def _subject(rollout: Rollout) -> str:
    if rollout.new is not None:
        return f'ReplicaSet "{meta.name_of(rollout.new)}"'
    return f'Deployment "{meta.name_of(rollout.deployment)}"'


def is_complete(deployment: Json, status: Json) -> bool:
    """Whether all pods wanted are of the current template and available, and no others are left."""
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    observed = status.get("observedGeneration", 0) >= meta.generation_of(deployment)
    return observed and all(count == replicas_of(deployment) for count in counts)


def _made_progress(before: Json, after: Json) -> bool:
    def of(status: Json, name: str) -> int:
        return status.get(name) or 0

    def outdated(status: Json) -> int:
        return of(status, "replicas") - of(status, "updatedReplicas")

    grew = any(of(after, name) > of(before, name) for name in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or outdated(after) < outdated(before)


def _timed_out(deployment: Json, current: Json | None, now: datetime) -> bool:
    if current is None or current.get("reason") == COMPLETE:
        return False
    return current.get("reason") == TIMED_OUT or _seconds_left(deployment, current, now) < 0


def _seconds_left(deployment: Json, current: Json, now: datetime) -> float:
    since = times.parse(current["lastUpdateTime"])
    return float(deployment["spec"]["progressDeadlineSeconds"]) - (now - since).total_seconds()


def seconds_to_deadline(deployment: Json, status: Json, now: datetime) -> float | None:
    """When to look again whether a rollout has stalled; None when there is nothing to wait for."""
    current = meta.find_condition(status.get("conditions"), PROGRESSING)
    if not has_deadline(deployment) or current is None:
        return None
    if is_complete(deployment, status) or current.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    # A second more than what is left: times on the wire are cut to whole seconds.
    return max(0.0, _seconds_left(deployment, current, now)) + 1.0


def _with_failures(rollout: Rollout, conditions: Sequence[Json]) -> list[Json]:
    for rs in (rollout.new, *rollout.old):
        failing = meta.find_condition((rs or {}).get("status", {}).get("conditions"), _FAILURE)
        if failing is not None:
            since = failing.get("lastTransitionTime")
            new = condition(_FAILURE, failing["status"], failing.get("reason", ""), failing.get("message", ""))
            return put(conditions, new, since) if since else put(conditions, new, "")
    return _without(conditions, _FAILURE)


def paused_condition(deployment: Json) -> Json | None:
    """The Progressing condition that says the Deployment was paused or resumed; None when nothing is to be said."""
    if not has_deadline(deployment):
        return None
    current = meta.find_condition(conditions_of(deployment), PROGRESSING)
    reason = (current or {}).get("reason")
    paused = bool(deployment["spec"].get("paused"))
    if reason == TIMED_OUT or paused == (reason == PAUSED):
        return None
    if paused:
        return condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused")
    return condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed")
