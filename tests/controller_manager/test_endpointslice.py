"""The EndpointSlices of a Service: conditions, ports, and as few changed slices as can be."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller_manager.endpointslice_plan import MANAGER, endpoint_of, plan_slices
from controller_manager.slice_packing import MANAGED_BY, SERVICE_NAME, SlicePlan
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import node, pod, service

NODES = {"n1": node("n1", zone="z1")}
LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def _conditions(ready: bool, serving: bool, terminating: bool) -> Json:
    return {"ready": ready, "serving": serving, "terminating": terminating}


@pytest.mark.parametrize(
    ("member", "more", "expected"),
    [
        pytest.param(pod("a"), {}, _conditions(True, True, False), id="ready"),
        pytest.param(pod("a", ready=False), {}, _conditions(False, False, False), id="not-ready"),
        pytest.param(pod("a", metadata=LEAVING), {}, _conditions(False, True, True), id="leaving-still-serves"),
        pytest.param(
            pod("a", metadata=LEAVING, ready=False), {}, _conditions(False, False, True), id="leaving-not-ready"
        ),
        pytest.param(
            pod("a", ready=False),
            {"publishNotReadyAddresses": True},
            _conditions(True, False, False),
            id="published-before-ready",
        ),
    ],
)
def test_conditions_of_an_endpoint(member: Json, more: Json, expected: Json) -> None:
    endpoint = endpoint_of(service(**more), member, NODES, "IPv4")
    assert (endpoint or {})["conditions"] == expected


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(pod("a", ip="", status={"podIPs": []}), id="no-address"),
        pytest.param(pod("a", ip="fd00::1"), id="of-the-other-family"),
        pytest.param(pod("a", status={"phase": "Succeeded"}), id="ended"),
        pytest.param(pod("a", node="unknown"), id="on-a-node-nobody-knows"),
    ],
)
def test_who_is_no_endpoint(member: Json) -> None:
    assert endpoint_of(service(), member, NODES, "IPv4") is None


def test_an_endpoint_names_pod_node_zone_and_host() -> None:
    member = pod("a", spec={"hostname": "a", "subdomain": "web"})
    endpoint = endpoint_of(service(), member, NODES, "IPv4") or {}
    assert endpoint["targetRef"] == {"kind": "Pod", "namespace": "ns", "name": "a", "uid": "uid-a"}
    assert (endpoint["nodeName"], endpoint["zone"], endpoint["hostname"]) == ("n1", "z1", "a")


class _Server:
    """Applies plans as the API server would."""

    def __init__(self) -> None:
        self.slices: dict[str, Json] = {}
        self._numbers = count()

    def apply(self, plan: SlicePlan) -> int:
        """Carry a plan out; returns the number of writes."""
        for slice_ in plan.create:
            name = f"web-{next(self._numbers):03}"
            self.slices[name] = slice_ | {"metadata": slice_["metadata"] | {"name": name}}
        for slice_ in plan.update:
            self.slices[meta.name_of(slice_)] = slice_
        for slice_ in plan.delete:
            del self.slices[meta.name_of(slice_)]
        return len(plan.create) + len(plan.update) + len(plan.delete)

    def look(self, members: list[Json], owner: Json | None = None, full: int = 100) -> int:
        """Plan and apply."""
        return self.apply(plan_slices(owner or service(), members, NODES, list(self.slices.values()), full))

    def addresses(self) -> list[list[str]]:
        """The addresses slice by slice."""
        return [[each["addresses"][0] for each in slice_["endpoints"]] for slice_ in self.slices.values()]


def _pods(*numbers: int) -> list[Json]:
    return [pod(f"p{number:03}", ip=f"10.0.0.{number}") for number in numbers]


def test_a_slice_says_whose_it_is_and_where_it_listens() -> None:
    server = _Server()
    server.look(_pods(1))
    (slice_,) = server.slices.values()
    assert meta.labels_of(slice_) == {"team": "a", SERVICE_NAME: "web", MANAGED_BY: MANAGER}
    assert slice_["metadata"]["generateName"] == "web-"
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert slice_["addressType"] == "IPv4"
    assert [owner["kind"] for owner in meta.owners_of(slice_)] == ["Service"]


def test_a_service_without_pods_keeps_one_empty_slice() -> None:
    server = _Server()
    assert server.look([]) == 1
    assert server.look([]) == 0
    assert server.addresses() == [[]]
    server.look(_pods(1))
    assert server.addresses() == [["10.0.0.1"]]
    server.look([])
    assert server.addresses() == [[]]
    assert server.look([]) == 0


def test_what_is_new_goes_into_the_slice_that_changes_anyway() -> None:
    server = _Server()
    server.look(_pods(1, 2, 3, 4, 5, 6), full=3)
    assert server.addresses() == [["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["10.0.0.4", "10.0.0.5", "10.0.0.6"]]
    assert server.look(_pods(1, 2, 3, 5, 6, 7), full=3) == 1
    assert server.addresses() == [["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["10.0.0.5", "10.0.0.6", "10.0.0.7"]]


def test_a_changed_condition_changes_one_slice_in_place() -> None:
    server = _Server()
    server.look(_pods(1, 2, 3, 4), full=2)
    assert server.look([*_pods(1, 2, 3), pod("p004", ip="10.0.0.4", ready=False)], full=2) == 1
    assert server.addresses() == [["10.0.0.1", "10.0.0.2"], ["10.0.0.3", "10.0.0.4"]]


def test_changed_labels_of_the_service_reach_its_slices() -> None:
    server = _Server()
    server.look(_pods(1))
    owner = service()
    owner["metadata"]["labels"] = {"team": "b"}
    assert server.look(_pods(1), owner) == 1
    assert [meta.labels_of(slice_)["team"] for slice_ in server.slices.values()] == ["b"]


def test_a_changed_port_makes_new_slices_and_deletes_the_old_ones() -> None:
    server = _Server()
    server.look(_pods(1))
    server.look(_pods(1), service(ports=[{"name": "http", "port": 80, "targetPort": 9090, "protocol": "TCP"}]))
    assert [slice_["ports"][0]["port"] for slice_ in server.slices.values()] == [9090]


def test_two_families_have_slices_of_their_own_and_a_family_given_up_loses_them() -> None:
    server = _Server()
    dual = service(ipFamilies=["IPv4", "IPv6"])
    member = pod("a", ip="10.0.0.1", status={"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})
    server.look([member], dual)
    assert sorted(server.addresses()) == [["10.0.0.1"], ["fd00::1"]]
    server.look([member])
    assert server.addresses() == [["10.0.0.1"]]


@given(st.lists(st.sets(st.integers(1, 40)), min_size=1, max_size=6))
def test_slices_hold_exactly_the_ready_pods_once_and_a_second_look_writes_nothing(rounds: list[set[int]]) -> None:
    server = _Server()
    for numbers in rounds:
        members = _pods(*numbers)
        server.look(members, full=7)
        addresses = server.addresses()
        assert sorted(sum(addresses, [])) == sorted(f"10.0.0.{number}" for number in numbers)
        assert all(len(each) <= 7 for each in addresses)
        assert server.look(members, full=7) == 0
