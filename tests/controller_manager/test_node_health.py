"""Signs of life, taints, zones."""

from datetime import UTC, datetime

import pytest

from controller_manager import node_health
from controller_manager.node_health import EvictionRates, Health, TokenBucket, ZoneState
from machinery.api.codec import Json
from tests.controller_manager.objects import START, condition, node

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
STAMP = "2026-01-01T00:01:00Z"
LATER = "2026-01-01T00:00:30Z"


def _lease(renewed: str) -> Json:
    return {"spec": {"renewTime": renewed}}


@pytest.mark.parametrize(
    ("before", "seen", "lease", "noticed"),
    [
        pytest.param(None, node("n"), None, 100.0, id="first-seen-counts-as-alive"),
        pytest.param(None, node("n", ready=""), None, 40.0, id="never-reported-counts-from-its-creation"),
        pytest.param(None, node("n", ready=""), _lease("t1"), 100.0, id="but-its-lease-does"),
        pytest.param(Health(START, "t1", 7.0), node("n"), _lease("t1"), 7.0, id="nothing-new"),
        pytest.param(Health("before", "t1", 7.0), node("n"), _lease("t1"), 100.0, id="a-new-heartbeat"),
        pytest.param(Health(START, "t1", 7.0), node("n"), _lease("t2"), 100.0, id="a-renewed-lease"),
        pytest.param(Health(START, "t2", 7.0), node("n"), _lease("t1"), 7.0, id="an-older-lease-is-no-sign"),
        pytest.param(Health(None, "", 7.0), node("n"), None, 100.0, id="its-first-report"),
    ],
)
def test_only_a_change_is_a_sign_of_life(before: Health | None, seen: Json, lease: Json | None, noticed: float) -> None:
    assert node_health.observe(before, seen, lease, 100.0, NOW).noticed == noticed


def test_a_silent_node_turns_unknown_but_for_its_network() -> None:
    silent = node("n", status={"conditions": [condition("Ready"), condition("NetworkUnavailable", "False")]})
    found = {each["type"]: each for each in node_health.unknown_conditions(silent, STAMP)}
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == (
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    assert found["MemoryPressure"]["reason"] == "NodeStatusNeverUpdated"
    assert found["NetworkUnavailable"]["status"] == "False"
    marked = {**silent, "status": {"conditions": list(found.values())}}
    assert node_health.unknown_conditions(marked, LATER) == list(found.values())


def _taint(key: str, effect: str = "NoSchedule", **more: str) -> Json:
    return {"key": f"node.kubernetes.io/{key}", "effect": effect} | more


def _added(key: str, effect: str = "NoSchedule") -> Json:
    return _taint(key, effect, timeAdded=STAMP)


MINE: Json = {"key": "example.com/mine", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(node("n"), None, id="well"),
        pytest.param(node("n", ready="False"), [_added("not-ready")], id="not-ready"),
        pytest.param(node("n", ready="Unknown"), [_added("unreachable")], id="unreachable"),
        pytest.param(node("n", spec={"unschedulable": True}), [_added("unschedulable")], id="cordoned"),
        pytest.param(
            node("n", status={"conditions": [condition("Ready"), condition("DiskPressure")]}),
            [_added("disk-pressure")],
            id="pressure",
        ),
        pytest.param(node("n", spec={"taints": [MINE, _taint("not-ready")]}), [MINE], id="well-again"),
        pytest.param(
            node("n", ready="Unknown", spec={"taints": [_taint("not-ready"), MINE]}),
            [MINE, _added("unreachable")],
            id="one-for-the-other",
        ),
        pytest.param(
            node("n", ready="False", spec={"taints": [_taint("not-ready", timeAdded=START)]}), None, id="has-it"
        ),
        pytest.param(node("n", spec={"taints": [_taint("not-ready", "NoExecute")]}), None, id="the-other-effect-stays"),
    ],
)
def test_no_schedule_taints_follow_conditions(seen: Json, expected: list[Json] | None) -> None:
    assert node_health.plan_no_schedule(seen, STAMP) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(node("n"), None, id="well"),
        pytest.param(node("n", ready=""), None, id="never-reported"),
        pytest.param(node("n", ready="False"), [_added("not-ready", "NoExecute")], id="not-ready"),
        pytest.param(
            node("n", ready="Unknown", spec={"taints": [_taint("not-ready", "NoExecute"), MINE]}),
            [MINE, _added("unreachable", "NoExecute")],
            id="swapped",
        ),
        pytest.param(node("n", spec={"taints": [_taint("unreachable", "NoExecute")]}), [], id="taken-back"),
    ],
)
def test_no_execute_taints_follow_readiness(seen: Json, expected: list[Json] | None) -> None:
    assert node_health.plan_no_execute(seen, STAMP) == expected


@pytest.mark.parametrize(
    ("ready", "not_ready", "expected"),
    [
        (0, 0, ZoneState.NORMAL),
        (0, 1, ZoneState.FULL),
        (1, 1, ZoneState.NORMAL),
        (1, 2, ZoneState.NORMAL),
        (2, 3, ZoneState.PARTIAL),
        (3, 3, ZoneState.NORMAL),
    ],
)
def test_the_state_of_a_zone(ready: int, not_ready: int, expected: ZoneState) -> None:
    assert node_health.state_of(ready, not_ready, 0.55) is expected


@pytest.mark.parametrize(
    ("before", "ready", "entered", "left"),
    [
        pytest.param({}, {}, False, False, id="no-nodes"),
        pytest.param({}, {"a": [False]}, True, False, id="the-first-node-is-not-ready"),
        pytest.param({"a": ZoneState.NORMAL}, {"a": [False], "b": [False]}, True, False, id="all-zones-at-once"),
        pytest.param({"a": ZoneState.NORMAL}, {"a": [False], "b": [True]}, False, False, id="one-zone-only"),
        pytest.param({"a": ZoneState.FULL}, {"a": [False]}, False, False, id="still"),
        pytest.param({"a": ZoneState.FULL}, {"a": [True]}, False, True, id="over"),
    ],
)
def test_when_no_node_is_well_the_fault_is_ours(
    before: dict[str, ZoneState], ready: dict[str, list[bool]], entered: bool, left: bool
) -> None:
    verdict = node_health.judge(before, ready, 0.55)
    assert (verdict.entered, verdict.left) == (entered, left)


@pytest.mark.parametrize(
    ("state", "size", "rate"),
    [
        (ZoneState.NORMAL, 3, 0.1),
        (ZoneState.FULL, 3, 0.1),
        (ZoneState.PARTIAL, 50, 0.0),
        (ZoneState.PARTIAL, 51, 0.01),
    ],
)
def test_the_rate_of_evictions(state: ZoneState, size: int, rate: float) -> None:
    assert EvictionRates().in_zone(state, size) == rate


def test_one_node_at_once_then_one_each_ten_seconds() -> None:
    bucket = TokenBucket(0.1, at=0.0)
    assert [bucket.take(moment) for moment in (0.0, 5.0, 9.0, 10.5, 11.0)] == [True, False, False, True, False]
