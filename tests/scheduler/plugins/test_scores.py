"""How much each plugin likes each node."""

from typing import Any

import pytest

from machinery.api.codec import Json
from scheduler.cache import NodeTable
from scheduler.framework import BadArguments, CycleState
from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.pods import Pod
from scheduler.runtime import Enabled, Runtime
from tests.scheduler.objects import StoresOnly, handle, node, pod, table, taint


def scores(plugin: Any, candidate: Pod, nodes: NodeTable) -> list[float]:
    """The normalised scores, row by row."""
    enabled = [Enabled(plugin)]
    runtime = Runtime("test", {"preScore": enabled, "score": enabled})
    return [float(one) for one in runtime.score(CycleState(), candidate, nodes, nodes.all())]


def _with(cpu: str, memory: str) -> Pod:
    return pod("p", containers=[{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}])


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param({}, [75.0, 50.0], id="least-allocated"),
        pytest.param({"scoringStrategy": {"type": "MostAllocated"}}, [25.0, 50.0], id="most-allocated"),
        pytest.param(
            {"scoringStrategy": {"type": "LeastAllocated", "resources": [{"name": "memory", "weight": 1}]}},
            [75.0, 75.0],
            id="one-resource",
        ),
    ],
)
def test_free_resources(args: Json, expected: list[float]) -> None:
    nodes = table(node("a"), node("b", cpu="1333m"))
    assert scores(NodeResourcesFit(args), _with("1", "2Gi"), nodes)[0] == expected[0]
    if "resources" not in args.get("scoringStrategy", {}):
        assert scores(NodeResourcesFit(args), _with("1", "2Gi"), nodes)[1] == pytest.approx(expected[1], abs=1)


def test_an_idle_pod_still_prefers_the_emptier_node() -> None:
    nodes = table(node("a"), node("b"))
    nodes.add_pod(pod("other", cpu=""), "a")
    full, free = scores(NodeResourcesFit(), pod("p", cpu=""), nodes)
    assert full < free


def test_balanced_allocation_likes_equal_shares_and_leaves_pods_without_requests_alone() -> None:
    nodes = table(node("even"), node("uneven"))
    nodes.add_pod(_with("1", "0"), "uneven")
    even, uneven = scores(NodeResourcesBalancedAllocation(), _with("1", "2Gi"), nodes)
    assert even == 100.0
    assert uneven == 87.0
    assert scores(NodeResourcesBalancedAllocation(), pod("p", cpu=""), nodes) == [0.0, 0.0]


def test_preferred_affinity_adds_weights() -> None:
    nodes = table(node("a", labels={"x": "1", "y": "1"}), node("b", labels={"x": "1"}), node("c"))
    preferred = [
        {"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}}
        for key, weight in (("x", 10), ("y", 30))
    ]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    assert scores(NodeAffinity(), pod("p", affinity=affinity), nodes) == [100.0, 25.0, 0.0]
    assert scores(NodeAffinity(), pod("q"), nodes) == [0.0, 0.0, 0.0]


def test_soft_taints_repel() -> None:
    nodes = table(
        node("two", taints=[taint("x", "PreferNoSchedule"), taint("y", "PreferNoSchedule")]),
        node("one", taints=[taint("x", "PreferNoSchedule")]),
        node("none"),
    )
    assert scores(TaintToleration(), pod("p"), nodes) == [0.0, 50.0, 100.0]
    tolerant = pod("p", tolerations=[{"key": "x", "operator": "Exists"}])
    assert scores(TaintToleration(), tolerant, nodes) == [0.0, 100.0, 100.0]


def test_pods_of_one_service_are_spread_without_being_asked_to() -> None:
    informers = StoresOnly()
    plugin = PodTopologySpread(handle(informers))
    informers.stores["services"].put(
        {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}}}
    )
    nodes = table(node("a"), node("b"), node("c"))
    web = {"app": "web"}
    for name, where in (("one", "a"), ("two", "a"), ("three", "b")):
        nodes.add_pod(pod(name, labels=web), where)
    crowded, middle, free = scores(plugin, pod("p", labels=web), nodes)
    assert crowded < middle < free
    assert scores(plugin, pod("q", labels={"app": "other"}), nodes) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        pytest.param("ReplicaSet", {"matchLabels": {"app": "web"}}, id="replica-set"),
        pytest.param("StatefulSet", {"matchLabels": {"app": "web"}}, id="stateful-set"),
        pytest.param("ReplicationController", {"app": "web"}, id="replication-controller"),
    ],
)
def test_pods_of_one_controller_are_spread_over_zones(kind: str, selector: Json) -> None:
    informers = StoresOnly()
    plugin = PodTopologySpread(handle(informers))
    informers.stores[f"{kind.lower()}s"].put(
        {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": selector}}
    )
    zone = "topology.kubernetes.io/zone"
    nodes = table(*(node(name, labels={zone: value}) for name, value in (("a", "1"), ("b", "1"), ("c", "2"))))
    nodes.add_pod(pod("one", labels={"app": "web"}), "a")
    candidate = pod("p", labels={"app": "web"})
    candidate.obj["metadata"]["ownerReferences"] = [{"kind": kind, "name": "web", "controller": True}]
    same_node, same_zone, free = scores(plugin, candidate, nodes)
    assert same_node < same_zone < free


def _having(name: str, image: str, size: int) -> Json:
    return {**node(name), "status": {**node(name)["status"], "images": [{"names": [image], "sizeBytes": size}]}}


def test_nodes_that_have_the_image_are_preferred_the_more_the_larger_it_is() -> None:
    nodes = table(
        _having("large", "app:v1", 800 << 20), _having("tiny", "app:v1", 5 << 20), node("none"), node("none2")
    )
    wants = pod("p", containers=[{"name": "c", "image": "app:v1"}])
    # half of the nodes have it: 400 of 23 to 1,000 MB
    assert scores(ImageLocality(), wants, nodes) == [38.0, 0.0, 0.0, 0.0]
    nodes.set_node(node("large"))
    assert scores(ImageLocality(), wants, nodes) == [0.0, 0.0, 0.0, 0.0]


def test_an_image_without_a_tag_is_the_latest_and_a_port_is_no_tag() -> None:
    nodes = table(_having("a", "host:5000/app:latest", 2000 << 20), node("b"))
    assert scores(ImageLocality(), pod("p", containers=[{"name": "c", "image": "host:5000/app"}]), nodes) == [
        100.0,
        0.0,
    ]


def test_points_along_a_curve_of_use() -> None:
    bins = [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]
    strategy = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": bins}}
    nodes = table(node("a"), node("b", cpu="2"), node("c", cpu="500m"))
    cpu = [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}]
    plugin = NodeResourcesFit({"scoringStrategy": {**strategy, "resources": cpu}})
    assert scores(plugin, _with("1", "2Gi"), nodes) == [25.0, 44.0, 81.0]


def test_a_curve_without_points_is_told() -> None:
    with pytest.raises(BadArguments, match="at least one point"):
        NodeResourcesFit({"scoringStrategy": {"type": "RequestedToCapacityRatio"}})
