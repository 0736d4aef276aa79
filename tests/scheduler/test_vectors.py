"""The answer for all nodes at once is that of each node by itself, on random clusters that change step by step."""

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from machinery.api import kinds, meta
from machinery.api.codec import Json
from scheduler.cache import NodeTable
from scheduler.framework import CycleState, Diagnosis
from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.pods import Pod, pod_of
from scheduler.runtime import Enabled, Runtime
from tests.scheduler import naive
from tests.scheduler.objects import StoresOnly, handle, named

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
IMAGES = {f"image-{size}:1": size * 1024 * 1024 for size in (5, 40, 300, 2000)}
SEEDS = range(50)


class RandomCluster:
    """Nodes and pods that come, change and go: in the table step by step, and as they are now."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.nodes = NodeTable()
        self.there: dict[str, tuple[Json, list[Json]]] = {}
        self._placed: list[tuple[Pod, str]] = []
        self._numbers = iter(range(10_000))
        for _ in range(60):
            self._step()
        for _ in range(3):
            self._set_node(f"n{self.dice.randrange(12)}")

    def _step(self) -> None:
        match self.dice.choice(["node", "node", "no node", "pod", "pod", "pod", "pod", "no pod"]):
            case "node":
                self._set_node(f"n{self.dice.randrange(12)}")
            case "no node" if self.there:
                self._remove_node(self.dice.choice(list(self.there)))
            case "pod" if self.there:
                self._add_pod(self.dice.choice(list(self.there)))
            case "no pod" if self._placed:
                self._remove_pod(self.dice.choice(self._placed))

    def _set_node(self, name: str) -> None:
        node = self._node(name)
        self.nodes.set_node(node)
        self.there[name] = (node, self.there[name][1] if name in self.there else [])

    def _remove_node(self, name: str) -> None:
        for one in [one for one in self._placed if one[1] == name]:
            self._remove_pod(one)
        self.nodes.remove_node(name)
        del self.there[name]

    def _add_pod(self, where: str) -> None:
        pod = pod_of(self.pod())
        self.nodes.add_pod(pod, where)
        self._placed.append((pod, where))
        self.there[where][1].append(pod.obj)

    def _remove_pod(self, one: tuple[Pod, str]) -> None:
        self._placed.remove(one)
        self.nodes.remove_pod(*one)
        self.there[one[1]][1].remove(one[0].obj)

    def _node(self, name: str) -> Json:
        dice = self.dice
        labels = {HOST: name}
        labels |= {ZONE: dice.choice("abc")} if dice.random() < 0.8 else {}
        labels |= {"size": dice.choice(["1", "5", "9", "large"])} if dice.random() < 0.6 else {}
        effects = ("NoSchedule", "NoExecute", "PreferNoSchedule")
        taints = [{"key": key, "value": dice.choice("xy"), "effect": dice.choice(effects)} for key in ("t", "u")]
        images = [{"names": [one], "sizeBytes": size} for one, size in IMAGES.items() if dice.random() < 0.5]
        resources = {"cpu": dice.choice(["1", "2", "4"]), "memory": dice.choice(["1Gi", "4Gi"]), "pods": "8"}
        resources |= {"example.com/gpu": "1"} if dice.random() < 0.3 else {}
        return {
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": [one for one in taints if dice.random() < 0.3]},
            "status": {"allocatable": resources, "images": images},
        }

    def some(self) -> set[str]:
        """Names of some of the nodes, as filters might leave them."""
        return {name for name in self.there if self.dice.random() < 0.7}

    def each(self, asked: Callable[[Json, list[Json]], float]) -> dict[str, float]:
        """What is answered for each node, and the pods on it."""
        return {name: asked(node, others) for name, (node, others) in self.there.items()}

    def weights(self) -> dict[str, int]:
        """Some resources, and what they count for."""
        dice = self.dice
        names = dice.sample(["cpu", "memory", "example.com/gpu"], dice.randrange(1, 4))
        return {name: dice.randrange(1, 5) for name in names}

    def selector(self) -> Json:
        """At times, what keeps a pod from some of the nodes."""
        return {"nodeSelector": {"size": "5"}} if self.dice.random() < 0.3 else {}

    def constraints(self, unsatisfiable: str) -> list[Json]:
        """Topology spread constraints."""
        dice = self.dice
        selectors = [{"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "db"}}, {}]
        return [
            {
                "maxSkew": dice.randrange(1, 4),
                "topologyKey": key,
                "whenUnsatisfiable": unsatisfiable,
                "labelSelector": dice.choices(selectors, [4, 4, 1])[0],
                **({"nodeTaintsPolicy": "Honor"} if dice.random() < 0.3 else {}),
                **({"nodeAffinityPolicy": "Ignore"} if dice.random() < 0.3 else {}),
                **({"matchLabelKeys": ["tier", "version"]} if dice.random() < 0.3 else {}),
            }
            for key in dice.sample([ZONE, HOST, "size"], dice.randrange(1, 4))
        ]

    def pod(self, **spec: Any) -> Json:
        """A random one."""
        dice, number = self.dice, next(self._numbers)
        containers = [self._container() for _ in range(dice.randrange(1, 3))]
        return {
            "metadata": {
                "name": f"p{number}",
                "namespace": dice.choice(["default", "other"]),
                "uid": f"uid-{number}",
                "labels": {"app": dice.choice(["web", "db"]), "tier": dice.choice("xy")},
                **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if dice.random() < 0.1 else {}),
            },
            "spec": {"containers": containers, **spec},
        }

    def _container(self) -> Json:
        dice = self.dice
        requests = {"cpu": dice.choice(["50m", "250m", "1"])} if dice.random() < 0.7 else {}
        requests |= {"memory": dice.choice(["64Mi", "512Mi"])} if dice.random() < 0.7 else {}
        requests |= {"example.com/gpu": "1"} if dice.random() < 0.1 else {}
        port = {"hostPort": dice.choice([80, 81]), "protocol": dice.choice(["TCP", "UDP"])}
        port |= {"hostIP": dice.choice(["10.0.0.1", "10.0.0.2"])} if dice.random() < 0.5 else {}
        return {
            "name": f"c{dice.random()}",
            "image": dice.choice(list(IMAGES)),
            "resources": {"requests": requests},
            "ports": [port] if dice.random() < 0.3 else [],
        }

    def expression(self) -> Json:
        """A random one about node labels."""
        operator = self.dice.choice(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])
        if operator in ("Gt", "Lt"):
            return {"key": "size", "operator": operator, "values": ["5"]}
        values = self.dice.sample(["a", "b", "1", "5"], 2) if operator in ("In", "NotIn") else []
        return {"key": self.dice.choice([ZONE, "size"]), "operator": operator, "values": values}

    def term(self) -> Json:
        """A random one."""
        return {"matchExpressions": [self.expression() for _ in range(self.dice.randrange(3))]}


def _fits(plugin: Any, cluster: RandomCluster, candidate: Json) -> set[str]:
    one = [Enabled(plugin)]
    runtime = Runtime("test", {"preFilter": one, "filter": one})
    nodes = cluster.nodes
    return named(nodes, runtime.find_fits(CycleState(), pod_of(candidate), nodes, Diagnosis(nodes.count)))


def _expected(cluster: RandomCluster, fits: Callable[[str, Json, list[Json]], bool]) -> set[str]:
    return {name for name, (node, others) in cluster.there.items() if fits(name, node, others)}


def _raw_scores(plugin: Any, cluster: RandomCluster, candidate: Json) -> dict[str, float]:
    pod, nodes, state = pod_of(candidate), cluster.nodes, CycleState()
    if hasattr(plugin, "pre_score"):
        plugin.pre_score(state, pod, nodes, nodes.all())
    found = plugin.score(state, pod, nodes)
    return {name: float(found[nodes.row_of(name)]) for name in cluster.there}


def _scores(plugin: Any, cluster: RandomCluster, candidate: Json, fits: set[str]) -> dict[str, float]:
    """Normalised over the nodes that fit."""
    nodes, one = cluster.nodes, [Enabled(plugin)]
    mask = np.array([name in fits for name in nodes.names], dtype=np.bool_)
    found = Runtime("test", {"preScore": one, "score": one}).score(CycleState(), pod_of(candidate), nodes, mask)
    return {name: float(found[nodes.row_of(name)]) for name in fits}


@pytest.mark.parametrize("seed", SEEDS)
def test_node_affinity(seed: int) -> None:
    cluster = RandomCluster(seed)
    required = {"nodeSelectorTerms": [cluster.term() for _ in range(cluster.dice.randrange(1, 3))]}
    preferred = [{"weight": cluster.dice.randrange(1, 50), "preference": cluster.term()} for _ in range(3)]
    affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": required,
        "preferredDuringSchedulingIgnoredDuringExecution": preferred,
    }
    selector = {"nodeSelector": {ZONE: "a"}} if cluster.dice.random() < 0.3 else {}
    candidate = cluster.pod(affinity={"nodeAffinity": affinity}, **selector)
    assert _fits(NodeAffinity(), cluster, candidate) == _expected(
        cluster, lambda name, node, others: naive.affinity_fits(candidate, node)
    )
    expected = {name: naive.affinity_score(candidate, node) for name, (node, _) in cluster.there.items()}
    assert _raw_scores(NodeAffinity(), cluster, candidate) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_taints(seed: int) -> None:
    cluster = RandomCluster(seed)
    tolerations = [
        {"key": "t", "operator": "Exists"},
        {"key": "u", "value": "x"},
        {"operator": "Exists", "effect": "NoExecute"},
        {"key": "u", "value": "y", "effect": "PreferNoSchedule"},
    ]
    candidate = cluster.pod(tolerations=cluster.dice.sample(tolerations, cluster.dice.randrange(4)))
    assert _fits(TaintToleration(), cluster, candidate) == _expected(
        cluster, lambda name, node, others: naive.taints_fit(candidate, node)
    )
    expected = {name: naive.taints_score(candidate, node) for name, (node, _) in cluster.there.items()}
    assert _raw_scores(TaintToleration(), cluster, candidate) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_ports(seed: int) -> None:
    cluster = RandomCluster(seed)
    candidate = cluster.pod()
    assert _fits(NodePorts(), cluster, candidate) == _expected(
        cluster, lambda name, node, others: naive.ports_fit(candidate, others)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_resources(seed: int) -> None:
    cluster = RandomCluster(seed)
    candidate = cluster.pod()
    assert _fits(NodeResourcesFit(), cluster, candidate) == _expected(
        cluster, lambda name, node, others: naive.resources_fit(candidate, node, others)
    )
    weights = {"cpu": 1, "memory": 1}
    assert _raw_scores(NodeResourcesFit(), cluster, candidate) == cluster.each(
        lambda node, others: naive.allocation_score(candidate, node, others, weights, most=False)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_by_weighted_resources(seed: int) -> None:
    cluster = RandomCluster(seed)
    candidate, weights = cluster.pod(), cluster.weights()
    resources = [{"name": name, "weight": weight} for name, weight in weights.items()]
    for kind, most in (("LeastAllocated", False), ("MostAllocated", True)):
        plugin = NodeResourcesFit({"scoringStrategy": {"type": kind, "resources": resources}})
        assert _raw_scores(plugin, cluster, candidate) == cluster.each(
            partial(naive.allocation_score, candidate, weights=weights, most=most)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_along_a_shape(seed: int) -> None:
    cluster = RandomCluster(seed)
    dice, candidate, weights = cluster.dice, cluster.pod(), cluster.weights()
    shape = [(place, dice.randrange(11)) for place in sorted(dice.sample(range(101), dice.randrange(1, 5)))]
    strategy = {
        "type": "RequestedToCapacityRatio",
        "resources": [{"name": name, "weight": weight} for name, weight in weights.items()],
        "requestedToCapacityRatio": {"shape": [{"utilization": place, "score": score} for place, score in shape]},
    }
    hundred = [(place, score * 10) for place, score in shape]
    assert _raw_scores(NodeResourcesFit({"scoringStrategy": strategy}), cluster, candidate) == cluster.each(
        partial(naive.shape_score, candidate, weights=weights, shape=hundred)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_balance(seed: int) -> None:
    cluster = RandomCluster(seed)
    candidate = cluster.pod()
    for names in (["cpu", "memory"], ["cpu", "memory", "example.com/gpu"]):
        plugin = NodeResourcesBalancedAllocation({"resources": [{"name": name, "weight": 1} for name in names]})
        found = _raw_scores(plugin, cluster, candidate)
        for name, (node, others) in cluster.there.items():
            assert math.isclose(found[name], naive.balance_score(candidate, node, others, names), abs_tol=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_images(seed: int) -> None:
    cluster = RandomCluster(seed)
    candidate = cluster.pod()
    everybody = [node for node, _ in cluster.there.values()]
    expected = {name: naive.image_score(candidate, node, everybody) for name, (node, _) in cluster.there.items()}
    assert _raw_scores(ImageLocality(), cluster, candidate) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_topology_spread(seed: int) -> None:
    cluster = RandomCluster(seed)
    constraints = cluster.constraints("DoNotSchedule")
    for one in constraints:
        one |= {"minDomains": cluster.dice.randrange(1, 5)} if cluster.dice.random() < 0.3 else {}
    candidate = cluster.pod(topologySpreadConstraints=constraints, **cluster.selector())
    assert _fits(PodTopologySpread(handle()), cluster, candidate) == _expected(
        cluster, lambda name, node, others: naive.spread_fits(candidate, name, cluster.there)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_by_topology_spread(seed: int) -> None:
    cluster = RandomCluster(seed)
    soft, hard = cluster.constraints("ScheduleAnyway"), cluster.constraints("DoNotSchedule")
    candidate = cluster.pod(topologySpreadConstraints=[*hard, *soft], **cluster.selector())
    fits = cluster.some()
    expected = naive.spread_scores(candidate, cluster.there, fits, soft, by_system=False)
    assert _scores(PodTopologySpread(handle()), cluster, candidate, fits) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by_system", [pytest.param(True, id="the-system's"), pytest.param(False, id="a-list")])
def test_scores_by_default_constraints(seed: int, *, by_system: bool) -> None:
    cluster, informers = RandomCluster(seed), StoresOnly()
    candidate, fits = cluster.pod(**cluster.selector()), cluster.some()
    selected = {"app": meta.labels_of(candidate)["app"]}
    service = {"metadata": {"name": "s", "namespace": meta.namespace_of(candidate)}, "spec": {"selector": selected}}
    informers.watch(kinds.SERVICES).put(service)
    skews = {HOST: 3, ZONE: 5} if by_system else {ZONE: 1, "size": 2}
    listed = [
        {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "ScheduleAnyway"} for key, skew in skews.items()
    ]
    plugin = PodTopologySpread(
        handle(informers), {} if by_system else {"defaultingType": "List", "defaultConstraints": listed}
    )
    constraints = [{**one, "labelSelector": {"matchLabels": selected}} for one in listed]
    expected = naive.spread_scores(candidate, cluster.there, fits, constraints, by_system=by_system)
    assert _scores(plugin, cluster, candidate, fits) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_that_grew_is_one_that_was_made_at_once(seed: int) -> None:
    cluster = RandomCluster(seed)
    fresh = NodeTable()
    for node, others in cluster.there.values():
        fresh.set_node(node)
        for other in others:
            fresh.add_pod(pod_of(other), meta.name_of(node))
    for name in cluster.there:
        grown, made = cluster.nodes.row_of(name), fresh.row_of(name)
        assert grown is not None and made is not None
        for resource in ("cpu", "memory", "pods", "example.com/gpu"):
            assert cluster.nodes.requested(resource)[grown] == fresh.requested(resource)[made]
            assert cluster.nodes.allocatable(resource)[grown] == fresh.allocatable(resource)[made]
        assert cluster.nodes.scored_requests("cpu")[grown] == fresh.scored_requests("cpu")[made]
        assert {one.uid for one in cluster.nodes.pods_on(grown)} == {one.uid for one in fresh.pods_on(made)}
    assert cluster.nodes.count == fresh.count == len(cluster.there)
