"""The Endpoints of a Service."""

from typing import Any

import pytest

from controller_manager.endpoints import plan_endpoints, plan_subsets, truncated
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import pod, service

HTTP: Json = {"name": "http", "port": 8080, "protocol": "TCP"}


def _address(name: str, ip: str) -> Json:
    target = {"kind": "Pod", "namespace": "ns", "name": name, "uid": f"uid-{name}"}
    return {"ip": ip, "nodeName": "n1", "targetRef": target}


LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def test_ready_and_not_ready_addresses_share_a_subset_sorted_by_address() -> None:
    members = [pod("b", ip="10.0.0.2"), pod("a", ip="10.0.0.1"), pod("c", ip="10.0.0.3", ready=False)]
    assert plan_subsets(service(), members) == [
        {
            "addresses": [_address("a", "10.0.0.1"), _address("b", "10.0.0.2")],
            "notReadyAddresses": [_address("c", "10.0.0.3")],
            "ports": [HTTP],
        }
    ]


@pytest.mark.parametrize(
    ("member", "more", "expected"),
    [
        pytest.param(pod("a", ip=""), {}, [], id="no-address"),
        pytest.param(pod("a", status={"phase": "Failed"}), {}, [], id="ended"),
        pytest.param(pod("a", metadata=LEAVING), {}, [], id="leaving"),
        pytest.param(
            pod("a", metadata=LEAVING), {"publishNotReadyAddresses": True}, ["addresses"], id="leaving-but-published"
        ),
        pytest.param(
            pod("a", ready=False), {"publishNotReadyAddresses": True}, ["addresses"], id="not-ready-but-published"
        ),
        pytest.param(pod("a"), {"ports": [{"port": 80, "targetPort": "web"}]}, [], id="no-port-of-that-name"),
        pytest.param(pod("a"), {"ports": [], "clusterIP": "None"}, ["addresses"], id="headless-without-ports"),
    ],
)
def test_which_pods_are_in_it_and_where(member: Json, more: Json, expected: list[str]) -> None:
    subsets = plan_subsets(service(**more), [member])
    assert [name for subset in subsets for name in subset if name != "ports"] == expected


def test_pods_with_other_numbers_behind_a_named_port_get_a_subset_of_their_own() -> None:
    def with_port(name: str, number: int) -> Json:
        return pod(name, spec={"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": number}]}]})

    subsets = plan_subsets(
        service(ports=[{"port": 80, "targetPort": "web"}]), [with_port("a", 1), with_port("b", 2), with_port("c", 1)]
    )
    assert [(len(subset["addresses"]), subset["ports"][0]["port"]) for subset in subsets] == [(2, 1), (1, 2)]


def test_a_second_look_writes_nothing() -> None:
    members = [pod("a")]
    wanted = plan_endpoints(service(), None, members)
    assert wanted is not None
    assert meta.labels_of(wanted) == {"team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    assert plan_endpoints(service(), wanted, members) is None


def test_a_headless_service_marks_its_endpoints() -> None:
    wanted = plan_endpoints(service(clusterIP="None"), None, [])
    assert "service.kubernetes.io/headless" in meta.labels_of(wanted or {})


def test_at_most_a_thousand_addresses_ready_ones_first() -> None:
    many: list[Any] = [{"ip": str(number)} for number in range(900)]
    subsets = [{"addresses": many, "notReadyAddresses": many, "ports": [HTTP]}]
    cut, over = truncated(subsets)
    assert over
    assert (len(cut[0]["addresses"]), len(cut[0]["notReadyAddresses"])) == (900, 100)
