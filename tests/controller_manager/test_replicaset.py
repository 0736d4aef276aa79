"""How many pods a ReplicaSet creates or deletes, which ones go first, and its status."""

from datetime import UTC, datetime

import pytest

from controller_manager.pod_ranking import DELETION_COST, deletion_cost, to_delete
from controller_manager.replicaset import BURST, ReplicaPlan, plan_replicas
from controller_manager.replicaset_status import seconds_to_availability, status_of
from machinery.api import errors, meta, times
from machinery.api.codec import Json
from tests.controller_manager.objects import condition, pod

NOW = datetime(2026, 1, 2, tzinfo=UTC)
UNIX = NOW.timestamp()


@pytest.mark.parametrize(
    ("wanted", "held", "create", "delete"),
    [
        pytest.param(3, 0, 3, 0, id="none-yet"),
        pytest.param(3, 3, 0, 0, id="as-wanted"),
        pytest.param(3, 5, 0, 2, id="too-many"),
        pytest.param(0, 2, 0, 2, id="scaled-to-zero"),
        pytest.param(1000, 0, BURST, 0, id="no-more-than-a-burst-at-once"),
        pytest.param(0, BURST + 7, 0, BURST, id="no-more-deletions-either"),
    ],
)
def test_the_difference_is_created_or_deleted(wanted: int, held: int, create: int, delete: int) -> None:
    pods = [pod(f"p{number}") for number in range(held)]
    plan = plan_replicas(wanted, pods, pods, UNIX)
    assert (plan.create, len(plan.delete)) == (create, delete)
    assert ReplicaPlan(create, plan.delete) == plan


def _at(text: str) -> Json:
    return {"conditions": [condition("Ready", since=text)]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("b", node="", ready=False), pod("a", ready=False), id="unscheduled"),
        pytest.param(pod("b", status={"phase": "Pending"}), pod("a"), id="pending"),
        pytest.param(pod("b", ready=False), pod("a"), id="not-ready"),
        pytest.param(pod("b", ready=False, node=""), pod("a", status={"phase": "Pending"}), id="scheduling-goes-first"),
        pytest.param(pod("b"), pod("a", metadata={"annotations": {DELETION_COST: "10"}}), id="cheaper"),
        pytest.param(pod("b", node="crowded"), pod("a", node="n1"), id="where-more-of-the-same-run"),
        pytest.param(
            pod("b", status=_at("2026-01-01T23:59:00Z")), pod("a", status=_at("2026-01-01T00:00:00Z")), id="ready-later"
        ),
        pytest.param(
            pod("b", status={"containerStatuses": [{"restartCount": 3}]}),
            pod("a", status={"containerStatuses": [{"restartCount": 1}]}),
            id="more-restarts",
        ),
        pytest.param(
            pod("b", metadata={"creationTimestamp": "2026-01-01T23:59:00Z"}),
            pod("a", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}),
            id="younger",
        ),
        pytest.param(
            pod("a", status=_at("2026-01-01T00:00:01Z")),
            pod("b", status=_at("2026-01-01T00:00:02Z")),
            id="of-about-the-same-age-by-uid",
        ),
    ],
)
def test_who_goes_first(first: Json, second: Json) -> None:
    related = [first, second, pod("x", node="crowded"), pod("y", node="crowded")]
    for order in ([first, second], [second, first]):
        assert to_delete(order, related, 1, UNIX) == [first]


@pytest.mark.parametrize(
    ("text", "cost"), [("5", 5), ("-3", -3), ("", 0), ("x", 0), ("+5", 0), ("007", 0), ("99999999999", 0)]
)
def test_only_a_plain_32_bit_number_is_a_deletion_cost(text: str, cost: int) -> None:
    assert deletion_cost(pod("p", metadata={"annotations": {DELETION_COST: text}})) == cost


def _rs(minimum: int = 0, **status: object) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}}
    spec = {"replicas": 2, "template": template, "minReadySeconds": minimum}
    return {"metadata": {"name": "rs", "namespace": "ns", "generation": 4}, "spec": spec, "status": status}


def test_the_status_counts_labelled_ready_and_available_pods() -> None:
    young = times.rfc3339(NOW)
    held = [
        pod("a", metadata={"labels": {"app": "web"}}),
        pod("b", status=_at(young)),
        pod("c", ready=False),
    ]
    assert status_of(_rs(10), held, [pod("d")], None, NOW) == {
        "replicas": 3,
        "fullyLabeledReplicas": 1,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 4,
    }
    assert seconds_to_availability(_rs(10), held, NOW) == 10


def test_a_failure_is_a_condition_that_the_next_success_takes_away() -> None:
    failed = status_of(_rs(), [], [], errors.Forbidden("exceeded quota"), NOW)
    found = meta.find_condition(failed["conditions"], "ReplicaFailure") or {}
    assert (found["reason"], found["message"]) == ("FailedCreate", "exceeded quota")
    assert "conditions" not in status_of({**_rs(), "status": failed}, [], [], None, NOW)
