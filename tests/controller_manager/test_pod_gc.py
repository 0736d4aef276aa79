"""Which pods the pod collector takes."""

import pytest

from controller_manager import pod_gc
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import node, pod

LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def _names(doomed: list[pod_gc.Doomed]) -> list[str]:
    return [meta.name_of(each.pod) for each in doomed]


@pytest.mark.parametrize(("threshold", "expected"), [(0, []), (3, []), (2, ["evicted"]), (1, ["evicted", "old"])])
def test_ended_pods_above_the_threshold_go_evicted_ones_first(threshold: int, expected: list[str]) -> None:
    everyone = [
        pod("young", status={"phase": "Succeeded"}, metadata={"creationTimestamp": "2026-01-01T00:00:09Z"}),
        pod("running"),
        pod("old", status={"phase": "Failed"}),
        pod(
            "evicted",
            status={"phase": "Failed", "reason": "Evicted"},
            metadata={"creationTimestamp": "2026-01-02T00:00:00Z"},
        ),
    ]
    assert _names(pod_gc.plan_terminated(everyone, threshold)) == expected


def test_pods_that_leave_without_ever_having_had_a_node_go() -> None:
    everyone = [pod("a", node="", metadata=LEAVING), pod("b", node=""), pod("c", metadata=LEAVING)]
    assert _names(pod_gc.plan_unscheduled(everyone)) == ["a"]


def test_pods_of_nodes_that_are_gone_go_and_say_why() -> None:
    (doomed,) = pod_gc.plan_orphaned([pod("a", node="gone"), pod("b")], {"gone"})
    assert meta.name_of(doomed.pod) == "a"
    assert (doomed.condition or {})["message"] == "PodGC: node no longer exists"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(node("n1", ready="Unknown"), [], id="only-silent"),
        pytest.param(
            node("n1", ready="Unknown", spec={"taints": [{"key": "node.kubernetes.io/out-of-service"}]}),
            ["a"],
            id="out-of-service",
        ),
        pytest.param(node("n1", spec={"taints": [{"key": "node.kubernetes.io/out-of-service"}]}), [], id="but-ready"),
    ],
)
def test_leaving_pods_stay_on_a_silent_node_until_it_is_declared_out_of_service(
    seen: Json, expected: list[str]
) -> None:
    everyone = [pod("a", metadata=LEAVING), pod("b")]
    assert _names(pod_gc.plan_out_of_service(everyone, {"n1": seen})) == expected
