"""Metadata, conditions, errors and readings of pods."""

import pytest

from machinery.api import errors, meta, nodes, pods, times
from machinery.api.codec import Json
from machinery.api.kinds import DEPLOYMENTS, PODS, REPLICA_SETS

NOW = "2026-01-01T00:00:00Z"


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    first = meta.set_condition(None, {"type": "Ready", "status": "True"}, NOW)
    second = meta.set_condition(first, {"type": "Ready", "status": "True", "reason": "x"}, "later")
    third = meta.set_condition(second, {"type": "Ready", "status": "False"}, "later")
    assert [c[0]["lastTransitionTime"] for c in (first, second, third)] == [NOW, NOW, "later"]
    assert second[0]["reason"] == "x"


def test_the_controller_among_owners_is_found_by_its_mark() -> None:
    owner: Json = {"metadata": {"name": "rs", "uid": "1"}}
    reference = meta.owner_reference(owner, REPLICA_SETS)
    pod: Json = {"metadata": {"ownerReferences": [{"uid": "0", "name": "other"}, reference]}}
    assert meta.controller_of(pod) == reference
    assert meta.is_controlled_by(pod, owner)
    assert not meta.is_controlled_by({"metadata": {}}, owner)


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (errors.not_found(PODS, "a"), 404, "NotFound", 'pods "a" not found'),
        (errors.not_found(DEPLOYMENTS, "a"), 404, "NotFound", 'deployments.apps "a" not found'),
        (errors.already_exists(PODS, "a"), 409, "AlreadyExists", 'pods "a" already exists'),
        (
            errors.conflict(PODS, "a", errors.MODIFIED),
            409,
            "Conflict",
            'Operation cannot be fulfilled on pods "a": the object has been modified; please apply your changes to the '
            "latest version and try again",
        ),
        (
            errors.invalid(DEPLOYMENTS, "a", [errors.invalid_value("spec.replicas", -1, "must be positive")]),
            422,
            "Invalid",
            'Deployment.apps "a" is invalid: spec.replicas: Invalid value: -1: must be positive',
        ),
        (
            errors.invalid(PODS, "a", [errors.required("x"), errors.not_supported("y", "z", ["b", "a"])]),
            422,
            "Invalid",
            'Pod "a" is invalid: [x: Required value, y: Unsupported value: "z": supported values: "a", "b"]',
        ),
    ],
)
def test_errors_read_as_upstreams_and_survive_the_wire(
    error: errors.StatusError, code: int, reason: str, message: str
) -> None:
    status = error.status()
    assert (status["code"], status["reason"], status["message"]) == (code, reason, message)
    again = errors.from_status(status)
    assert type(again) is type(error)
    assert again.status() == status


def test_a_status_without_reason_goes_by_its_code() -> None:
    assert isinstance(errors.from_status({"message": "x"}, 404), errors.NotFound)
    assert type(errors.from_status({}, 599)) is errors.StatusError


def _pod(**spec: object) -> Json:
    return {"metadata": {}, "spec": spec}


def _container(cpu: str = "", memory: str = "", *, limit: bool = False, restart: str = "") -> Json:
    amounts = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    resources = {"requests": amounts} | ({"limits": amounts} if limit else {})
    return {"resources": resources} | ({"restartPolicy": restart} if restart else {})


@pytest.mark.parametrize(
    ("pod", "cpu"),
    [
        pytest.param(_pod(containers=[_container("100m"), _container("200m")]), 300, id="sum"),
        pytest.param(_pod(containers=[_container("1")], initContainers=[_container("2")]), 2000, id="init-peak"),
        pytest.param(
            _pod(containers=[_container("1")], initContainers=[_container("1", restart="Always"), _container("2")]),
            3000,
            id="init-on-top-of-sidecar",
        ),
        pytest.param(_pod(containers=[_container("1")], overhead={"cpu": "250m"}), 1250, id="overhead"),
        pytest.param(_pod(containers=[_container("1")], resources={"requests": {"cpu": "3"}}), 3000, id="pod-level"),
    ],
)
def test_requests_are_what_the_scheduler_sets_aside(pod: Json, cpu: int) -> None:
    assert pods.requests_of(pod)["cpu"] == cpu


@pytest.mark.parametrize(
    ("containers", "qos"),
    [
        ([_container()], "BestEffort"),
        ([_container("1")], "Burstable"),
        ([_container("1", "1Gi", limit=True)], "Guaranteed"),
        ([_container("1", "1Gi", limit=True), _container()], "Burstable"),
        ([_container("1", limit=True)], "Burstable"),
    ],
)
def test_quality_of_service_follows_cpu_and_memory(containers: list[Json], qos: str) -> None:
    assert pods.qos_class(_pod(containers=containers)) == qos


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, False),
        ({"value": "v"}, False),
    ],
)
def test_tolerations_cover_taints(toleration: Json, tolerated: bool) -> None:
    assert nodes.tolerates(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is tolerated


def test_times_read_what_they_write() -> None:
    moment = times.parse("2026-01-02T03:04:05.123456789+01:00")
    assert times.rfc3339(moment) == "2026-01-02T02:04:05Z"
    assert times.micro(moment) == "2026-01-02T02:04:05.123456Z"
    with pytest.raises(ValueError, match="no time zone"):
        times.parse("2026-01-02T03:04:05")
