"""Phases, conditions and container statuses out of records."""

from typing import Any

import pytest

from kubelet.pod_status import Facts, Waiting, status_of
from kubelet.runtime_status import PodRecord
from machinery.api import meta
from machinery.api.codec import Json
from tests.kubelet.pods import BOX, container, created, exited, pod, record, rule, running

NOW = "2026-01-01T00:00:00Z"
READY = {"main-id"}
SETUP = container("setup")
SIDECAR = container("side", restartPolicy="Always")
ALL_ON_42: Json = {"restartPolicy": "Never", "restartPolicyRules": [rule(42, action="RestartAllContainers")]}
ON_42: Json = {"restartPolicy": "Never", "restartPolicyRules": [rule(42)]}
NOTHING = PodRecord("uid-1")


def facts(seen: PodRecord, **more: Any) -> Facts:
    return Facts(**{"record": seen, "started": READY, "ready": READY, "host_ips": ("192.0.2.1",), **more})


def condition(status: Json, type_: str) -> Json:
    found = meta.find_condition(status["conditions"], type_)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spec", "seen", "over", "phase"),
    [
        pytest.param(pod(), NOTHING, False, "Pending", id="nothing-yet"),
        pytest.param(pod(), record(created()), False, "Pending", id="created"),
        pytest.param(pod(), record(running()), False, "Running", id="running"),
        pytest.param(pod(), record(exited(code=0)), False, "Running", id="always-goes-on"),
        pytest.param(pod(policy="Never"), record(exited(code=0)), False, "Succeeded", id="never-succeeded"),
        pytest.param(pod(policy="Never"), record(exited(code=1)), False, "Failed", id="never-failed"),
        pytest.param(pod(policy="OnFailure"), record(exited(code=1)), False, "Running", id="on-failure-goes-on"),
        pytest.param(pod(policy="OnFailure"), record(exited(code=0)), False, "Succeeded", id="on-failure-succeeded"),
        pytest.param(
            pod(container(), container("b"), policy="Never"),
            record(exited(code=0), running("b")),
            False,
            "Running",
            id="one-still-runs",
        ),
        pytest.param(pod(inits=(SETUP,)), record(running("setup")), False, "Pending", id="init-runs"),
        pytest.param(pod(inits=(SETUP,)), record(exited("setup", 1)), False, "Pending", id="init-failed-once"),
        pytest.param(
            pod(inits=(SETUP,), policy="Never"), record(exited("setup", 1)), False, "Failed", id="init-failed-for-good"
        ),
        pytest.param(
            pod(inits=(SIDECAR,), policy="Never"),
            record(exited(code=0), running("side")),
            False,
            "Running",
            id="a-sidecar-still-runs",
        ),
        pytest.param(
            pod(container(**ON_42), policy="Never"), record(exited(code=42)), False, "Running", id="a-rule-goes-on"
        ),
        pytest.param(pod(container(**ON_42)), record(exited(code=1)), False, "Failed", id="no-rule-fits"),
        pytest.param(pod(container(**ON_42)), record(exited(code=0)), False, "Succeeded", id="its-own-policy-is-never"),
        pytest.param(
            pod(container(restartPolicy="OnFailure"), container("b"), policy="Never"),
            record(exited(code=1), exited("b", 0)),
            False,
            "Running",
            id="one-of-two-goes-on",
        ),
        pytest.param(
            pod(container(**ON_42), policy="Never"), record(exited(code=42)), True, "Failed", id="over-is-over"
        ),
        pytest.param(
            pod(inits=(container("setup", **ON_42),), policy="Never"),
            record(exited("setup", 42)),
            False,
            "Pending",
            id="an-inits-rule-goes-on",
        ),
        pytest.param(
            pod(inits=(container("setup", **ON_42),)), record(exited("setup", 1)), False, "Failed", id="init-tried-once"
        ),
        pytest.param(pod(), record(exited(code=0)), True, "Succeeded", id="deleted-and-well"),
        pytest.param(pod(), record(exited(code=137)), True, "Failed", id="deleted-and-killed"),
        pytest.param(pod(), NOTHING, True, "Failed", id="deleted-before-it-began"),
    ],
)
def test_phases(spec: Json, seen: PodRecord, over: bool, phase: str) -> None:
    assert status_of(spec, facts(seen, over=over), NOW)["phase"] == phase


def test_a_terminal_phase_stays() -> None:
    spec = pod() | {"status": {"phase": "Failed", "reason": "Evicted", "message": "gone"}}
    status = status_of(spec, facts(record(running())), NOW)
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")


def test_a_running_pod_in_full() -> None:
    status = status_of(pod(), facts(record(running(image="img:1", image_id="sha256:1"))), NOW)
    assert status["podIP"] == "10.0.0.5"
    assert status["podIPs"] == [{"ip": "10.0.0.5"}]
    assert status["hostIP"] == "192.0.2.1"
    assert status["startTime"] == NOW
    assert status["qosClass"] == "BestEffort"
    assert status["containerStatuses"] == [
        {
            "name": "main",
            "state": {"running": {"startedAt": "1970-01-01T00:00:10Z"}},
            "lastState": {},
            "ready": True,
            "restartCount": 0,
            "image": "img:1",
            "imageID": "sha256:1",
            "containerID": "containerd://main-id",
            "started": True,
        }
    ]
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }


def test_what_is_not_ready_is_named() -> None:
    status = status_of(pod(container(), container("b")), facts(record(running())), NOW)
    for type_ in ("Ready", "ContainersReady"):
        found = condition(status, type_)
        assert (found["status"], found["reason"]) == ("False", "ContainersNotReady")
        assert found["message"] == "containers with unready status: [b]"


def test_uninitialized_containers_are_named() -> None:
    found = condition(status_of(pod(inits=(SETUP,)), facts(record(running("setup"))), NOW), "Initialized")
    assert found["reason"] == "ContainersNotInitialized"
    assert found["message"] == "containers with incomplete status: [setup]"


def test_a_completed_pod_says_so() -> None:
    status = status_of(pod(policy="Never"), facts(record(exited()), over=True), NOW)
    assert condition(status, "Ready") | {"lastTransitionTime": ""} == {
        "type": "Ready",
        "status": "False",
        "reason": "PodCompleted",
        "lastProbeTime": None,
        "lastTransitionTime": "",
    }
    assert condition(status, "Initialized")["reason"] == "PodCompleted"


def test_readiness_gates_hold_the_pod_back() -> None:
    spec = pod(readinessGates=[{"conditionType": "example.com/gate"}])
    found = condition(status_of(spec, facts(record(running())), NOW), "Ready")
    assert found["reason"] == "ReadinessGatesNotReady"
    assert found["message"] == 'corresponding condition of pod readiness gate "example.com/gate" does not exist.'


def test_conditions_of_others_and_old_transition_times_stay() -> None:
    old = [
        {"type": "example.com/gate", "status": "True"},
        {"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"},
    ]
    spec = pod() | {"status": {"conditions": old, "startTime": "2025-01-01T00:00:00Z"}}
    status = status_of(spec, facts(record(running())), NOW)
    assert condition(status, "example.com/gate")["status"] == "True"
    assert condition(status, "Ready")["lastTransitionTime"] == "2025-01-01T00:00:00Z"
    assert status["startTime"] == "2025-01-01T00:00:00Z"


def test_a_crash_loop_waits_with_its_last_state() -> None:
    why = {"main": Waiting("CrashLoopBackOff", "back-off 10s")}
    status = status_of(pod(), facts(record(exited(code=3, restart_count=4)), waiting=why), NOW)
    one = status["containerStatuses"][0]
    assert one["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert one["lastState"]["terminated"]["exitCode"] == 3
    assert one["restartCount"] == 4
    assert not one["ready"]


def test_a_container_that_waits_by_its_rule_keeps_its_pod_running_and_unready() -> None:
    why = {"main": Waiting("CrashLoopBackOff", "back-off 10s")}
    spec = pod(container(**ON_42), policy="Never")
    status = status_of(spec, facts(record(exited(code=42)), waiting=why), NOW)
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (condition(status, "Ready")["status"], condition(status, "Ready")["reason"]) == (
        "False",
        "ContainersNotReady",
    )


def _restarting_pod() -> Json:
    """A main container asks that all begin anew: one beside it, an init container and one that never ran."""
    return pod(container(**ALL_ON_42), container("b"), container("late"), inits=(SETUP,), policy="Never")


def test_a_restart_of_all_is_told_while_it_lasts() -> None:
    seen = record(exited(code=42), running("b"), exited("setup"))
    status = status_of(_restarting_pod(), facts(seen), NOW)
    restarting = condition(status, "AllContainersRestarting")
    assert (restarting["status"], restarting["reason"]) == ("True", "RestartAllContainersStarted")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 42


def test_what_was_taken_away_to_begin_anew_is_told_and_counted_once() -> None:
    spec = _restarting_pod()
    begun = record(exited(code=42), running("b", restart_count=3), exited("setup"))
    spec["status"] = status_of(spec, facts(begun), NOW)
    for reason in ("RestartingAllContainers", "PodInitializing"):
        spec["status"] = status = status_of(spec, facts(record()), NOW)
        main, b, late = status["containerStatuses"]
        (setup,) = status["initContainerStatuses"]
        assert [one["state"]["waiting"]["reason"] for one in (main, b, setup)] == [reason] * 3
        assert [one["restartCount"] for one in (main, b, late, setup)] == [1, 4, 0, 1]
        ended = b["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "RestartingAllContainers")
        assert late["lastState"] == {}
        assert condition(status, "AllContainersRestarting")["status"] == "False"
        assert condition(status, "Initialized")["status"] == "True"


def test_a_pod_that_begins_anew_stays_running_and_remembers_why() -> None:
    spec = pod(container(**ALL_ON_42), inits=(SETUP,), policy="Never")
    for seen in (record(exited(code=42), exited("setup")), record(), record(running("setup"))):
        spec["status"] = status = status_of(spec, facts(seen), NOW)
        assert status["phase"] == "Running"
    again = status_of(spec, facts(record(running(restart_count=1), exited("setup"))), NOW)["containerStatuses"][0]
    assert again["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
    assert again["restartCount"] == 1


@pytest.mark.parametrize(
    ("spec", "seen", "reason"),
    [
        pytest.param(pod(container(**ALL_ON_42)), record(running()), "", id="nothing-ended"),
        pytest.param(pod(container(**ALL_ON_42)), record(exited(code=1)), "PodFailed", id="failed-for-good"),
        pytest.param(pod(container(**ALL_ON_42)), record(exited()), "PodCompleted", id="succeeded"),
    ],
)
def test_why_nothing_begins_anew(spec: Json, seen: PodRecord, reason: str) -> None:
    found = condition(status_of(spec, facts(seen), NOW), "AllContainersRestarting")
    assert (found["status"], found.get("reason", "")) == ("False", reason)


def test_a_pod_without_such_a_rule_has_no_such_condition() -> None:
    status = status_of(pod(container(**ON_42)), facts(record(running())), NOW)
    assert meta.find_condition(status["conditions"], "AllContainersRestarting") is None


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param(pod(), "ContainerCreating", id="plain"),
        pytest.param(pod(inits=(SETUP,)), "PodInitializing", id="with-init-containers"),
    ],
)
def test_containers_to_come_wait(spec: Json, reason: str) -> None:
    one = status_of(spec, facts(record()), NOW)["containerStatuses"][0]
    assert one["state"] == {"waiting": {"reason": reason}}


def test_a_container_that_comes_again_goes_on_counting_where_its_lost_one_was() -> None:
    ended = {"terminated": {"exitCode": 1}}
    old = {"name": "main", "containerID": "containerd://gone", "restartCount": 2, "state": ended, "lastState": ended}
    spec = pod() | {"status": {"containerStatuses": [old]}}
    one = status_of(spec, facts(record()), NOW)["containerStatuses"][0]
    assert (one["containerID"], one["restartCount"], one["lastState"]) == ("containerd://gone", 2, ended)
    assert "waiting" in one["state"]


def test_a_container_nobody_can_find_is_lost_when_the_pod_is_over() -> None:
    one = status_of(pod(), facts(NOTHING, over=True), NOW)["containerStatuses"][0]
    assert one["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert one["state"]["terminated"]["exitCode"] == 137


@pytest.mark.parametrize(
    ("seen", "old", "state"),
    [
        pytest.param(record(exited("setup", 1)), {}, "waiting", id="its-turn-never-came"),
        pytest.param(record(exited("setup", 0)), {}, "terminated", id="its-turn-had-come"),
        pytest.param(NOTHING, {"waiting": {"reason": "PodInitializing"}}, "waiting", id="it-was-waiting"),
        pytest.param(NOTHING, {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "terminated", id="it-was-running"),
    ],
)
def test_a_container_behind_init_containers_is_lost_only_if_its_turn_came(
    seen: PodRecord, old: Json, state: str
) -> None:
    spec = pod(inits=(SETUP,), policy="Never")
    spec["status"] = {"containerStatuses": [{"name": "main", "state": old}]} if old else {}
    status = status_of(spec, facts(seen, over=True), NOW)
    assert list(status["containerStatuses"][0]["state"]) == [state]


def test_a_pod_keeps_its_address_when_it_is_over() -> None:
    spec = pod() | {"status": {"podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}]}}
    assert status_of(spec, facts(record(exited(), boxes=()), over=True), NOW)["podIP"] == "10.0.0.5"


def test_a_host_network_pod_has_its_nodes_address() -> None:
    assert status_of(pod(hostNetwork=True), facts(record(running(), boxes=(BOX,))), NOW)["podIP"] == "192.0.2.1"


def test_a_failure_is_reported_only_when_nothing_runs_any_more() -> None:
    spec = pod() | {"status": {"phase": "Running"}}
    evicted = {"reason": "Evicted", "message": "low"}
    still = status_of(spec, facts(record(running()), **evicted), NOW)
    assert (still["phase"], still.get("reason")) == ("Running", None)
    gone = status_of(spec, facts(record(exited(code=137)), over=True, **evicted), NOW)
    assert (gone["phase"], gone["reason"]) == ("Failed", "Evicted")
