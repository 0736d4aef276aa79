"""The table of nodes, and assumed pods."""

import pytest

from machinery.api.selectors import LabelSelector
from scheduler.cache import NodeTable
from scheduler.pods import HostPort, pod_of
from tests.scheduler.objects import cache_of, key, named, node, pod, pod_object, pod_with_ports, table, taint


def test_a_row_counts_what_its_pods_ask_for_and_forgets_it_when_they_go() -> None:
    nodes = table(node("a"), node("b"))
    one, two = pod("one", cpu="250m"), pod("two", cpu="500m")
    nodes.add_pod(one, "b")
    nodes.add_pod(two, "b")
    assert nodes.requested("cpu").tolist() == [0, 750]
    assert nodes.requested("pods").tolist() == [0, 2]
    nodes.remove_pod(one, "b")
    assert nodes.requested("cpu").tolist() == [0, 500]
    assert nodes.requested("memory").tolist() == [0, 0]


def test_a_container_without_requests_still_weighs_something_for_scores() -> None:
    nodes = table(node("a"))
    nodes.add_pod(pod("idle", cpu=""), "a")
    assert nodes.requested("cpu").tolist() == [0]
    assert nodes.scored_requests("cpu").tolist() == [100]
    assert nodes.scored_requests("memory").tolist() == [200 * 1024 * 1024]


def test_a_table_grows_beyond_its_first_rows_and_resources() -> None:
    nodes = table(*(node(f"n{number}", labels={"zone": f"z{number % 3}"}) for number in range(10)))
    assert named(nodes, nodes.label("zone").one_of(["z1"])) == {"n1", "n4", "n7"}
    for number in range(10, 100):
        big = node(f"n{number}", labels={"zone": f"z{number % 3}"})
        big["status"]["allocatable"] |= {f"example.com/thing{kind}": "1" for kind in range(8)}
        nodes.set_node(big)
    assert nodes.count == 100
    assert int(nodes.allocatable("example.com/thing7").sum()) == 90
    assert len(named(nodes, nodes.label("zone").one_of(["z1"]))) == 33


def test_a_row_outlives_its_node_while_pods_are_on_it_and_is_then_used_again() -> None:
    nodes = table(node("a"), node("b"))
    left = pod("left")
    nodes.add_pod(left, "a")
    nodes.remove_node("a")
    assert named(nodes, nodes.all()) == {"b"}
    assert nodes.count_pods("default", LabelSelector()).tolist() == [1, 0]
    nodes.set_node(node("a"))
    assert nodes.requested("cpu").tolist() == [100, 0]
    nodes.remove_node("a")
    nodes.remove_pod(left, "a")
    nodes.set_node(node("c", labels={"x": "y"}))
    assert nodes.size == 2
    assert named(nodes, nodes.all()) == {"b", "c"}
    assert nodes.requested("cpu").tolist() == [0, 0]


def test_a_pod_may_be_seen_before_its_node() -> None:
    nodes = NodeTable()
    nodes.add_pod(pod("early"), "late")
    assert nodes.count == 0
    assert not nodes.all().any()
    nodes.set_node(node("late"))
    assert nodes.requested("cpu").tolist() == [100]


def test_labels_follow_the_node() -> None:
    nodes = table(node("a", labels={"disk": "ssd"}), node("b"))
    disk = nodes.label("disk")
    assert named(nodes, disk.present()) == {"a"}
    nodes.set_node(node("a"))
    nodes.set_node(node("b", labels={"disk": "hdd"}))
    assert named(nodes, nodes.label("disk").one_of(["hdd", "ssd"])) == {"b"}
    assert not nodes.label("disk").one_of(["tape"]).any()
    assert named(nodes, nodes.label("disk").where(lambda value: value.startswith("h"))) == {"b"}


def test_equal_taints_share_a_number() -> None:
    nodes = table(node("a", taints=[taint("x")]), node("b"), node("c", taints=[taint("x")]))
    numbers = nodes.taint_ids().tolist()
    assert numbers[0] == numbers[2] != numbers[1]
    assert nodes.taint_sets[numbers[0]] == (("x", "", "NoSchedule"),)


def test_pods_that_are_being_deleted_hold_resources_and_do_not_count_for_spreading() -> None:
    nodes = table(node("a"))
    ending = pod_object("ending", labels={"app": "web"})
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    nodes.add_pod(pod_of(ending), "a")
    nodes.add_pod(pod("other", labels={"app": "web"}), "a")
    assert nodes.requested("pods").tolist() == [2]
    assert nodes.count_pods("default", LabelSelector.parse("app=web")).tolist() == [1]
    assert nodes.count_pods("elsewhere", LabelSelector()).tolist() == [0]


@pytest.mark.parametrize(
    ("held", "wanted", "conflict"),
    [
        pytest.param("0.0.0.0", "0.0.0.0", True, id="same"),
        pytest.param("0.0.0.0", "10.0.0.1", True, id="all-addresses-are-held"),
        pytest.param("10.0.0.1", "0.0.0.0", True, id="all-addresses-are-wanted"),
        pytest.param("10.0.0.1", "10.0.0.2", False, id="different-addresses"),
    ],
)
def test_host_ports_conflict_by_address(held: str, wanted: str, conflict: bool) -> None:
    nodes = table(node("a"))
    nodes.add_pod(pod_with_ports("holder", {"hostPort": 80, "hostIP": held}), "a")
    assert nodes.port_conflicts([HostPort("TCP", 80, wanted)]).tolist() == [conflict]
    assert not nodes.port_conflicts([HostPort("UDP", 80, wanted), HostPort("TCP", 81, wanted)]).any()


def test_an_assumed_pod_counts_at_once_and_binding_may_undo_it() -> None:
    cache = cache_of(node("a"))
    cache.assume(pod("p"), "a")
    assert cache.nodes.requested("cpu").tolist() == [100]
    assert cache.is_assumed(key("p"))
    cache.forget(key("p"))
    assert cache.nodes.requested("cpu").tolist() == [0]


def test_a_confirmed_pod_is_not_forgotten() -> None:
    cache = cache_of(node("a"))
    cache.assume(pod("p"), "a")
    cache.set_pod(pod("p", nodeName="a"))
    cache.forget(key("p"))
    assert cache.nodes.requested("cpu").tolist() == [100]


def test_the_informer_is_right_about_where_a_pod_is() -> None:
    cache = cache_of(node("a"), node("b"))
    cache.assume(pod("p"), "a")
    cache.set_pod(pod("p", nodeName="b"))
    assert cache.nodes.requested("cpu").tolist() == [0, 100]
    cache.remove_pod(key("p"))
    assert cache.nodes.requested("cpu").tolist() == [0, 0]
