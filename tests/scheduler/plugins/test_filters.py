"""Which nodes each filter lets pass, and why not the others."""

from typing import Any

import pytest

from machinery.api.codec import Json
from scheduler.cache import NodeTable
from scheduler.framework import CycleState, Diagnosis, FilterPlugin
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_name import NodeName
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.node_unschedulable import NodeUnschedulable
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.pods import Pod
from scheduler.runtime import Enabled, Runtime
from tests.scheduler.objects import handle, named, node, pod, pod_with_ports, table, taint


def passes(plugin: Any, candidate: Pod, nodes: NodeTable) -> set[str]:
    """Names of the nodes that pass a plugin's filter."""
    assert isinstance(plugin, FilterPlugin)
    return named(nodes, _runtime(plugin).find_fits(CycleState(), candidate, nodes, Diagnosis(nodes.count)))


def why(plugin: Any, candidate: Pod, nodes: NodeTable) -> tuple[dict[str, int], int]:
    """Reasons with their counts, and how many nodes preemption cannot help."""
    diagnosis = Diagnosis(nodes.count)
    _runtime(plugin).find_fits(CycleState(), candidate, nodes, diagnosis)
    assert diagnosis.unresolvable is not None
    return diagnosis.histogram(), int(diagnosis.unresolvable.sum())


def _runtime(plugin: Any) -> Runtime:
    return Runtime("test", {"filter": [Enabled(plugin)]})


def _required(*terms: Json) -> Json:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": required}


def _expression(key: str, operator: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


LABELLED = (
    node("a", labels={"disk": "ssd", "size": "4"}),
    node("b", labels={"disk": "hdd", "size": "16"}),
    node("c"),
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, {"a", "b", "c"}, id="no-wish"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, {"a"}, id="selector"),
        pytest.param({"nodeSelector": {"disk": "tape"}}, set(), id="selector-nobody-has"),
        pytest.param({"affinity": _required(_expression("disk", "In", "ssd", "hdd"))}, {"a", "b"}, id="in"),
        pytest.param({"affinity": _required(_expression("disk", "NotIn", "ssd"))}, {"b", "c"}, id="not-in"),
        pytest.param({"affinity": _required(_expression("disk", "Exists"))}, {"a", "b"}, id="exists"),
        pytest.param({"affinity": _required(_expression("disk", "DoesNotExist"))}, {"c"}, id="does-not-exist"),
        pytest.param({"affinity": _required(_expression("size", "Gt", "4"))}, {"b"}, id="gt"),
        pytest.param({"affinity": _required(_expression("size", "Lt", "16"))}, {"a"}, id="lt"),
        pytest.param({"affinity": _required(_expression("disk", "Gt", "1"))}, set(), id="gt-of-a-word"),
        pytest.param(
            {"affinity": _required(_expression("disk", "In", "ssd"), _expression("size", "In", "16"))},
            {"a", "b"},
            id="terms-are-alternatives",
        ),
        pytest.param({"affinity": _required({})}, set(), id="an-empty-term-matches-nothing"),
        pytest.param(
            {"affinity": _required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["c"]}]})},
            {"c"},
            id="field",
        ),
        pytest.param(
            {"nodeSelector": {"disk": "ssd"}, "affinity": _required(_expression("size", "In", "16"))},
            set(),
            id="selector-and-affinity",
        ),
    ],
)
def test_node_affinity(spec: Json, expected: set[str]) -> None:
    assert passes(NodeAffinity(), pod("p", **spec), table(*LABELLED)) == expected


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        pytest.param([], {"clean", "soft"}, id="none"),
        pytest.param([{"key": "x", "operator": "Exists"}], {"clean", "soft", "hard"}, id="exists"),
        pytest.param([{"key": "x", "value": "1"}], {"clean", "soft", "hard"}, id="equal"),
        pytest.param([{"key": "x", "value": "2"}], {"clean", "soft"}, id="another-value"),
        pytest.param([{"key": "x", "value": "1", "effect": "NoExecute"}], {"clean", "soft"}, id="another-effect"),
        pytest.param([{"operator": "Exists"}], {"clean", "soft", "hard", "both"}, id="everything"),
    ],
)
def test_taints(tolerations: list[Json], expected: set[str]) -> None:
    nodes = table(
        node("clean"),
        node("soft", taints=[taint("x", "PreferNoSchedule")]),
        node("hard", taints=[taint("x", value="1")]),
        node("both", taints=[taint("x", value="1"), taint("y", "NoExecute")]),
    )
    assert passes(TaintToleration(), pod("p", tolerations=tolerations), nodes) == expected


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        pytest.param([], {"open"}, id="none"),
        pytest.param(
            [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}], {"open", "cordoned"}, id="tolerated"
        ),
    ],
)
def test_cordoned_nodes(tolerations: list[Json], expected: set[str]) -> None:
    nodes = table(node("open"), node("cordoned", unschedulable=True))
    assert passes(NodeUnschedulable(), pod("p", tolerations=tolerations), nodes) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("", {"a", "b"}, id="no-host-named"),
        pytest.param("b", {"b"}, id="named"),
        pytest.param("c", set(), id="nobody-of-that-name"),
    ],
)
def test_node_name(wanted: str, expected: set[str]) -> None:
    assert passes(NodeName(), pod("p", nodeName=wanted), table(node("a"), node("b"))) == expected


def test_a_host_port_that_is_taken() -> None:
    nodes = table(node("a"), node("b"))
    nodes.add_pod(pod_with_ports("holder", {"hostPort": 80}), "a")
    rival = pod_with_ports("rival", {"hostPort": 80})
    assert passes(NodePorts(), rival, nodes) == {"b"}
    assert why(NodePorts(), rival, nodes) == (
        {"node(s) didn't have free ports for the requested pod ports": 1},
        0,
    )


def test_resources_that_are_short_are_all_named_and_what_no_node_has_is_hopeless() -> None:
    nodes = table(node("busy"), node("small", cpu="1"), node("free"))
    nodes.add_pod(pod("hog", cpu="3"), "busy")
    wanted = {"requests": {"cpu": "2", "memory": "9Gi"}}
    greedy = pod("p", containers=[{"name": "c", "resources": wanted}])
    assert passes(NodeResourcesFit(), greedy, nodes) == set()
    assert why(NodeResourcesFit(), greedy, nodes) == ({"Insufficient cpu": 2, "Insufficient memory": 3}, 3)
    assert why(NodeResourcesFit(), pod("q", cpu="2"), nodes) == ({"Insufficient cpu": 2}, 1)


def test_an_extended_resource_nobody_offers() -> None:
    wanted = {"requests": {"example.com/gpu": "1"}}
    picky = pod("p", containers=[{"name": "c", "resources": wanted}])
    assert why(NodeResourcesFit(), picky, table(node("a"))) == ({"Insufficient example.com/gpu": 1}, 1)
    ignoring = NodeResourcesFit({"ignoredResources": ["example.com/gpu"]})
    assert passes(ignoring, picky, table(node("a"))) == {"a"}


def test_a_node_takes_no_more_pods_than_it_says() -> None:
    full = node("full")
    full["status"]["allocatable"]["pods"] = "1"
    nodes = table(full)
    nodes.add_pod(pod("one", cpu=""), "full")
    assert why(NodeResourcesFit(), pod("two", cpu=""), nodes) == ({"Too many pods": 1}, 0)


def test_hard_topology_spread_keeps_the_skew() -> None:
    nodes = table(
        *(node(name, labels={"zone": zone}) for name, zone in (("a", "1"), ("b", "1"), ("c", "2"))), node("d")
    )
    web = {"app": "web"}
    nodes.add_pod(pod("one", labels=web), "a")
    rule = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": web},
    }
    candidate = pod("p", labels=web, topologySpreadConstraints=[rule])
    plugin = PodTopologySpread(handle())
    assert passes(plugin, candidate, nodes) == {"c"}
    assert why(plugin, candidate, nodes) == (
        {
            "node(s) didn't match pod topology spread constraints": 2,
            "node(s) didn't match pod topology spread constraints (missing required label)": 1,
        },
        1,
    )
    nodes.add_pod(pod("two", labels=web), "c")
    assert passes(plugin, candidate, nodes) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [pytest.param({}, set(), id="ignored"), pytest.param({"nodeTaintsPolicy": "Honor"}, {"a"}, id="honoured")],
)
def test_topology_spread_counts_tainted_nodes_unless_told_otherwise(policy: Json, expected: set[str]) -> None:
    nodes = table(
        node("a", labels={"zone": "1"}),
        node("empty", labels={"zone": "2"}, taints=[taint("dedicated")]),
    )
    nodes.add_pod(pod("one", labels={"app": "web"}), "a")
    rule = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        **policy,
    }
    candidate = pod("p", labels={"app": "web"}, topologySpreadConstraints=[rule])
    assert passes(PodTopologySpread(handle()), candidate, nodes) - {"empty"} == expected


def test_what_the_profile_requires_is_required_of_every_pod() -> None:
    plugin = NodeAffinity({"addedAffinity": _required(_expression("disk", "Exists"))["nodeAffinity"]})
    assert passes(plugin, pod("p"), table(*LABELLED)) == {"a", "b"}
    assert passes(plugin, pod("p", nodeSelector={"disk": "ssd"}), table(*LABELLED)) == {"a"}
    reasons, hopeless = why(plugin, pod("p", nodeSelector={"disk": "ssd"}), table(*LABELLED))
    assert reasons == {
        "node(s) didn't match scheduler-enforced node affinity": 1,
        "node(s) didn't match Pod's node affinity/selector": 1,
    }
    assert hopeless == 2


def test_resources_of_ignored_groups_are_not_counted() -> None:
    wants = pod("p", containers=[{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}])
    assert passes(NodeResourcesFit(), wants, table(node("n"))) == set()
    assert passes(NodeResourcesFit({"ignoredResourceGroups": ["example.com"]}), wants, table(node("n"))) == {"n"}
