"""A Deployment's counts and conditions."""

from datetime import UTC, datetime

import pytest

from controller_manager import deployment_status as statuses
from controller_manager.deployment_status import Rollout
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import condition, deployment, replica_set

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)


def _progressing(reason: str, status: str = "True", updated: str = "2026-01-01T00:59:00Z") -> Json:
    return condition("Progressing", status, reason=reason, message="", lastUpdateTime=updated)


def _status(**more: object) -> Json:
    return {"observedGeneration": 1, **more}


def _judged(rollout: Rollout) -> tuple[str, str, str]:
    status = statuses.status_of(rollout, NOW, estimate_progress=True)
    found = meta.find_condition(status["conditions"], "Progressing") or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


def test_counts_are_sums_over_all_replica_sets() -> None:
    rollout = Rollout(deployment(4), replica_set("new", 2, available=1), [replica_set("old", 3)])
    assert statuses.counts_of(rollout) == {
        "observedGeneration": 1,
        "replicas": 5,
        "updatedReplicas": 2,
        "readyReplicas": 4,
        "availableReplicas": 4,
        "unavailableReplicas": 1,
        "terminatingReplicas": 0,
    }


@pytest.mark.parametrize(
    ("available", "reason", "message"),
    [
        (3, "MinimumReplicasAvailable", "Deployment has minimum availability."),
        (2, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    ],
)
def test_available_means_replicas_less_those_that_may_be_missing(available: int, reason: str, message: str) -> None:
    rollout = Rollout(deployment(4), replica_set("new", 4, available=available), [])
    status = statuses.status_of(rollout, NOW, estimate_progress=False)
    found = meta.find_condition(status["conditions"], "Available") or {}
    assert (found["reason"], found["message"]) == (reason, message)


@pytest.mark.parametrize(
    ("before", "available", "expected"),
    [
        pytest.param(
            _status(replicas=2, updatedReplicas=2, availableReplicas=1, conditions=[_progressing("ReplicaSetUpdated")]),
            2,
            ("True", "NewReplicaSetAvailable", 'ReplicaSet "new" has successfully progressed.'),
            id="complete",
        ),
        pytest.param(
            _status(conditions=[_progressing("NewReplicaSetCreated")]),
            1,
            ("True", "ReplicaSetUpdated", 'ReplicaSet "new" is progressing.'),
            id="progress",
        ),
        pytest.param(
            _status(
                replicas=2,
                updatedReplicas=2,
                readyReplicas=1,
                availableReplicas=1,
                conditions=[_progressing("ReplicaSetUpdated", updated="2026-01-01T00:49:00Z")],
            ),
            1,
            ("False", "ProgressDeadlineExceeded", 'ReplicaSet "new" has timed out progressing.'),
            id="no-progress-for-eleven-minutes",
        ),
        pytest.param(
            _status(
                replicas=2,
                updatedReplicas=2,
                readyReplicas=1,
                availableReplicas=1,
                conditions=[_progressing("ReplicaSetUpdated", updated="2026-01-01T00:51:00Z")],
            ),
            1,
            ("True", "ReplicaSetUpdated", ""),
            id="no-progress-for-nine-minutes",
        ),
        pytest.param(
            _status(replicas=2, updatedReplicas=2, conditions=[_progressing("NewReplicaSetAvailable")]),
            1,
            ("True", "NewReplicaSetAvailable", ""),
            id="a-pod-lost-after-completion-is-no-new-rollout",
        ),
    ],
)
def test_progress_is_judged_by_what_changed(before: Json, available: int, expected: tuple[str, str, str]) -> None:
    rollout = Rollout(deployment(2, status=before), replica_set("new", 2, available=available), [])
    assert _judged(rollout) == expected


@pytest.mark.parametrize("deadline", [None, 2**31 - 1])
def test_without_a_deadline_there_is_no_word_of_progress(deadline: int | None) -> None:
    owner = deployment(
        2,
        spec={"progressDeadlineSeconds": deadline},
        status=_status(conditions=[_progressing("ReplicaSetUpdated")]),
    )
    assert _judged(Rollout(owner, replica_set("new", 2), [])) == ("", "", "")


def test_a_replica_sets_failure_is_shown_and_taken_back() -> None:
    failing = condition("ReplicaFailure", reason="FailedCreate", message="exceeded quota")
    owner = deployment(2)
    status = statuses.status_of(
        Rollout(owner, replica_set("new", 2, status={"conditions": [failing]}), []), NOW, estimate_progress=True
    )
    found = meta.find_condition(status["conditions"], "ReplicaFailure") or {}
    assert (found["reason"], found["message"]) == ("FailedCreate", "exceeded quota")
    healed = statuses.status_of(
        Rollout({**owner, "status": status}, replica_set("new", 2), []), NOW, estimate_progress=True
    )
    assert meta.find_condition(healed["conditions"], "ReplicaFailure") is None


@pytest.mark.parametrize(
    ("paused", "reason", "expected"),
    [
        (True, "ReplicaSetUpdated", "DeploymentPaused"),
        (True, "DeploymentPaused", None),
        (False, "DeploymentPaused", "DeploymentResumed"),
        (False, "ReplicaSetUpdated", None),
        (True, "ProgressDeadlineExceeded", None),
    ],
)
def test_pausing_and_resuming_are_noted_once(paused: bool, reason: str, expected: str | None) -> None:
    owner = deployment(1, spec={"paused": paused}, status={"conditions": [_progressing(reason)]})
    assert (statuses.paused_condition(owner) or {}).get("reason") == expected


def test_a_look_twice_at_the_same_state_writes_the_same_status() -> None:
    rollout = Rollout(deployment(2), replica_set("new", 2), [])
    status = statuses.status_of(rollout, NOW, estimate_progress=True)
    again = Rollout({**rollout.deployment, "status": status}, rollout.new, [])
    later = datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert statuses.status_of(again, later, estimate_progress=True) == status


def test_the_deadline_brings_the_next_look() -> None:
    status = _status(replicas=2, conditions=[_progressing("ReplicaSetUpdated", updated="2026-01-01T00:52:00Z")])
    assert statuses.seconds_to_deadline(deployment(2), status, NOW) == 121
