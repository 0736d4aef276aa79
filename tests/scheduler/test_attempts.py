"""What is remembered of attempts, and told of them."""

from scheduler.attempts import Attempt, Attempts
from scheduler.cache import NodeTable
from scheduler.config import Profile, build
from scheduler.framework import CycleState
from scheduler.pods import Pod
from scheduler.runtime import NoFit
from tests.scheduler import objects


def _failed(pod: Pod, nodes: NodeTable) -> Attempt:
    runtime = build(Profile(), objects.handle())
    try:
        runtime.choose(CycleState(), pod, nodes)
    except NoFit as problem:
        names = nodes.frozen_names()
        return Attempt(pod, "now", "Unschedulable", str(problem), 2, diagnosis=problem.diagnosis, names=names)
    raise AssertionError("it fits")


NODES = (
    objects.node("small", cpu="1"),
    objects.node("tainted", taints=[objects.taint("gpu", value="yes")]),
    objects.node("cordoned", unschedulable=True),
)


def test_each_node_has_its_verdict_and_what_would_help() -> None:
    nodes = objects.table(*NODES)
    shown = _failed(objects.pod("big", cpu="2"), nodes).describe(nodes)
    assert [(one["node"], one["plugin"], one["preemptionMayHelp"]) for one in shown["nodes"]] == [
        ("cordoned", "NodeUnschedulable", False),
        ("small", "NodeResourcesFit", False),
        ("tainted", "TaintToleration", False),
    ]
    assert shown["advice"] == [
        "1 node(s) are cordoned: `kubectl uncordon` makes them usable",
        "a toleration of gpu=yes:NoSchedule (1 node(s)) would help",
        "cpu: 2 are asked for, small has most free of these: 1",
    ]


def test_advice_is_about_the_nodes_that_are_still_there() -> None:
    nodes = objects.table(*NODES)
    attempt = _failed(objects.pod("big", cpu="2"), nodes)
    nodes.remove_node("small")
    nodes.set_node(objects.node("another"))
    shown = attempt.describe(nodes)
    assert [one["node"] for one in shown["nodes"]] == ["cordoned", "small", "tainted"]
    assert not any(text.startswith("cpu") for text in shown["advice"])


def test_the_last_attempt_of_a_pod_counts_and_old_ones_are_forgotten() -> None:
    attempts = Attempts()
    for number in range(600):
        attempts.remember(Attempt(objects.pod(f"p{number}"), "now", "Scheduled", "", 1, "n"))
    attempts.remember(Attempt(objects.pod("p599"), "later", "Scheduled", "", 2, "n"))
    assert attempts.get(objects.key("p0")) is None
    found = attempts.get(objects.key("p599"))
    assert found is not None and found.number == 2
