"""Preemption: who is more important, whose going hurts least; random clusters against a naive reference."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from machinery.api.codec import Json
from scheduler import preemption
from scheduler.cache import NodeTable
from scheduler.config import Profile, build
from scheduler.framework import Code, CycleState, Diagnosis
from scheduler.nominations import Nominations
from scheduler.plugins.default_preemption import DefaultPreemption
from scheduler.pods import Pod, pod_of
from scheduler.preemption import Candidate, Trial
from scheduler.runtime import NoFit
from tests.scheduler import objects


def _pod(name: str, priority: int = 0, cpu: int = 100, start: str = "", labels: Json | None = None) -> Pod:
    obj = objects.pod_object(name, cpu=f"{cpu}m", labels=labels, priority=priority)
    obj["status"] = {"startTime": start} if start else {}
    return pod_of(obj)


def _budget(allowed: int, labels: Json, **status: Any) -> Json:
    metadata = {"name": "b", "namespace": "default"}
    return {
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed, **status},
    }


def _table(placed: Sequence[tuple[Pod, str]], *names: str, cpu: str = "1") -> NodeTable:
    table = objects.table(*(objects.node(name, cpu=cpu) for name in names))
    for pod, node in placed:
        table.add_pod(pod, node)
    return table


def _by_sums(pod: Pod, nodes: NodeTable) -> Trial:
    return Trial(pod, nodes, lambda row: False, resources_only=True)


def _by_filters(pod: Pod, nodes: NodeTable) -> Trial:
    def fits(row: int) -> bool:
        free = {name: nodes.allocatable(name)[row] - nodes.requested(name)[row] for name in (*pod.requests, "pods")}
        return all(free[name] >= amount for name, amount in {**pod.requests, "pods": 1}.items())

    return Trial(pod, nodes, fits, resources_only=False)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([("a", [5], 1), ("b", [900], 0)], "b", id="fewest-broken-budgets"),
        pytest.param([("a", [50, 1], 0), ("b", [40, 40], 0)], "b", id="the-least-important-first-victim"),
        pytest.param([("a", [50, 30], 0), ("b", [50, 20], 0)], "b", id="the-smallest-sum"),
        pytest.param([("a", [50, 0], 0), ("b", [50], 0)], "b", id="every-victim-counts-in-the-sum"),
        pytest.param([("a", [50], 0), ("b", [50], 0)], "a", id="the-first-of-equals"),
    ],
)
def test_the_node_where_it_hurts_least(candidates: list[tuple[str, list[int], int]], expected: str) -> None:
    made = [
        Candidate(
            node, tuple(_pod(f"{node}{place}", priority, start="t") for place, priority in enumerate(prios)), broken
        )
        for node, prios, broken in candidates
    ]
    assert preemption.best(made).node == expected


def test_of_victims_alike_the_youngest_goes() -> None:
    old = Candidate("old", (_pod("a", 5, start="2026-01-01T00:00:00Z"),))
    young = Candidate("young", (_pod("b", 5, start="2026-01-02T00:00:00Z"),))
    assert preemption.best([old, young]).node == "young"


def test_the_more_important_stay() -> None:
    placed = [(_pod("low", 1, 500, "t1"), "n"), (_pod("mid", 5, 300, "t1"), "n"), (_pod("young", 5, 200, "t2"), "n")]
    table = _table(placed, "n")
    (found,) = preemption.find(_by_sums(_pod("new", 10, 400), table), [0], [], 1)
    assert [pod.key.name for pod in found.victims] == ["low"]
    (found,) = preemption.find(_by_sums(_pod("new", 10, 700), table), [0], [], 1)
    assert [pod.key.name for pod in found.victims] == ["young", "low"]


def test_pods_of_the_same_or_a_higher_priority_are_nobodys_victims() -> None:
    table = _table([(_pod("same", 10, 900), "n")], "n")
    assert preemption.find(_by_sums(_pod("new", 10, 500), table), [0], [], 1) == []


@pytest.mark.parametrize(
    ("budget", "broken"),
    [
        pytest.param(_budget(1, {"app": "x"}), ["b"], id="one-may-go"),
        pytest.param(_budget(0, {"app": "x"}), ["a", "b"], id="none-may-go"),
        pytest.param(_budget(0, {"app": "y"}), [], id="it-is-about-others"),
        pytest.param(_budget(0, {}), [], id="it-selects-nothing"),
        pytest.param(_budget(0, {"app": "x"}, disruptedPods={"a": "t"}), ["b"], id="one-is-counted-already"),
    ],
)
def test_whose_going_breaks_a_budget(budget: Json, broken: list[str]) -> None:
    pods = [_pod(name, labels={"app": "x"}) for name in ("a", "b")]
    found, whole = preemption.split_by_budgets(pods, [budget])
    assert [pod.key.name for pod in found] == broken
    assert len(found) + len(whole) == 2


def test_a_protected_pod_stays_if_another_can_go() -> None:
    placed = [(_pod("guarded", 5, 500, "t2", {"app": "x"}), "n"), (_pod("free", 5, 500, "t1"), "n")]
    (found,) = preemption.find(_by_sums(_pod("new", 10, 500), _table(placed, "n")), [0], [_budget(0, {"app": "x"})], 1)
    assert ([pod.key.name for pod in found.victims], found.broken_budgets) == (["free"], 0)


def test_a_trial_leaves_the_table_as_it_was() -> None:
    placed = [(_pod(f"p{number}", number, 200), "n") for number in range(5)]
    table = _table(placed, "n")
    before = table.requested("cpu").copy()
    preemption.find(_by_filters(_pod("new", 10, 700), table), [0], [], 1)
    preemption.find(_by_filters(_pod("huge", 10, 7000), table), [0], [], 1)
    assert np.array_equal(before, table.requested("cpu"))
    assert {pod.key.name for pod in table.pods_on(0)} == {f"p{number}" for number in range(5)}


class _NoFilters:
    """Filters that a post filter does not need."""

    def fits(self, pod: Pod, nodes: NodeTable, row: int) -> bool:
        """Never asked."""
        raise AssertionError

    def asked_before(self, pod: Pod, resource: str) -> int:
        """Nobody is nominated."""
        return 0

    def only_resources_matter(self, state: CycleState, pod: Pod) -> bool:
        """Sums do."""
        return True


@pytest.mark.parametrize("port", [0, 8080], ids=["by-sums", "by-filters"])
def test_the_room_that_a_nominated_pod_waits_for_is_not_promised_to_another(port: int) -> None:
    placed = [(_pod(f"low-{name}", 0, 900), name) for name in ("a", "b")]
    table = _table(placed, "a", "b")
    runtime = build(Profile(), objects.handle())
    nominations = Nominations(table)
    ports = [{"containerPort": port, "hostPort": port}] if port else []
    found = []
    for name in ("one", "two", "three"):
        container = {"name": "c", "resources": {"requests": {"cpu": "800m"}}, "ports": ports}
        new = pod_of(objects.pod_object(name, priority=10, containers=[container]))
        with pytest.raises(NoFit) as problem:
            runtime.choose(CycleState(), new, table, nominations)
        if nomination := problem.value.diagnosis.nomination:
            nominations.add(new, nomination.node)
            found.append(nomination.node)
    assert sorted(found) == ["a", "b"]


@pytest.mark.parametrize(
    ("priority", "policy", "message"),
    [
        pytest.param(10, "Never", "preemption: not eligible due to preemptionPolicy=Never.", id="never"),
        pytest.param(
            0,
            "PreemptLowerPriority",
            "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, "
            "1 Preemption is not helpful for scheduling.",
            id="nobody-is-less-important",
        ),
        pytest.param(10, "PreemptLowerPriority", "", id="it-works"),
    ],
)
def test_what_is_said(priority: int, policy: str, message: str) -> None:
    table = _table([(_pod("low", 0, 900), "a")], "a", "b")
    obj = objects.pod_object("new", cpu="500m", priority=priority, preemptionPolicy=policy)
    diagnosis = Diagnosis(2, unresolvable=table.named("b"))
    plugin = DefaultPreemption(objects.handle())
    status = plugin.post_filter(CycleState(), pod_of(obj), table, diagnosis, _NoFilters())
    assert status.message == message
    nominated = diagnosis.nomination
    assert (status.code is Code.SUCCESS) == (nominated is not None) == (not message)
    if nominated is not None:
        assert (nominated.node, [pod.key.name for pod in nominated.victims]) == ("a", ["low"])


# random clusters


def _naive(
    pod: Pod, placed: Sequence[tuple[Pod, str]], capacity: dict[str, int], budgets: list[Json]
) -> tuple[str, list[str]] | None:
    """Node and victims, by taking everything apart for each node; None where nothing helps."""
    options = []
    for order, node in enumerate(capacity):
        here = [other for other, where in placed if where == node]
        lower = sorted((p for p in here if p.priority < pod.priority), key=lambda p: (-p.priority, p.started))
        kept = [p for p in here if p.priority >= pod.priority]
        room = capacity[node] - pod.requests["cpu"]
        if not lower or sum(p.requests["cpu"] for p in kept) > room:
            continue
        left = [(b["status"]["disruptionsAllowed"], b["spec"]["selector"]["matchLabels"]) for b in budgets]
        broken = []
        for p in lower:
            hit = [place for place, (_, labels) in enumerate(left) if labels.items() <= p.labels.items()]
            for place in hit:
                left[place] = (left[place][0] - 1, left[place][1])
            if any(left[place][0] < 0 for place in hit):
                broken.append(p)
        victims = []
        for p in [*broken, *(p for p in lower if p not in broken)]:
            if sum(one.requests["cpu"] for one in kept) + p.requests["cpu"] <= room:
                kept.append(p)
            else:
                victims.append(p)
        if not victims:
            continue
        top = max(p.priority for p in victims)
        first = min(p.started for p in victims if p.priority == top)
        harm = (sum(p in broken for p in victims), top, sum(p.priority + 2**31 for p in victims), len(victims))
        options.append((harm, [-ord(char) for char in first], order, node, sorted(p.key.name for p in victims)))
    if not options:
        return None
    *_, node, names = min(options)
    return node, names


@pytest.mark.parametrize("seed", range(80))
def test_the_victims_are_those_of_the_naive_reference(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(chance.randint(1, 6))]
    placed, used = [], dict.fromkeys(names, 0)
    for number in range(chance.randint(0, 24)):
        node, cpu = chance.choice(names), chance.choice((100, 200, 300, 400))
        if used[node] + cpu > 1000:
            continue
        used[node] += cpu
        start = f"2026-01-0{chance.randint(1, 9)}T00:00:00Z"
        labels = {"app": chance.choice("xyz")}
        placed.append((_pod(f"p{number}", chance.randrange(4), cpu, start, labels), node))
    budgets = [_budget(chance.randrange(3), {"app": app}) for app in "xy" if chance.random() < 0.6]
    pod = _pod("new", chance.randrange(1, 6), chance.choice((200, 500, 900)))
    table = _table(placed, *names)
    expected = _naive(pod, placed, dict.fromkeys(names, 1000), budgets)
    for trial in (_by_sums(pod, table), _by_filters(pod, table)):
        found = preemption.find(trial, range(len(names)), budgets, 1000)
        chosen = preemption.best(found) if found else None
        shown = (chosen.node, sorted(pod.key.name for pod in chosen.victims)) if chosen else None
        assert shown == expected
