"""A profile's plugins together: the node that is chosen, and the message when there is none."""

from collections.abc import Sequence
from typing import ClassVar

import pytest

from machinery.api.codec import Json
from scheduler.config import Profile, build
from scheduler.framework import OK, Code, CycleState, PerNodeFilter, PerNodeScore, Status
from scheduler.pods import Pod
from scheduler.runtime import Enabled, NoFit, Runtime
from tests.scheduler.objects import cache_of, handle, node, pod, table, taint

NO_VICTIMS = "No preemption victims found for incoming pod"
HOPELESS = "Preemption is not helpful for scheduling"


def defaults() -> Runtime:
    """The default profile."""
    return build(Profile(), handle())


@pytest.mark.parametrize(
    ("nodes", "candidate", "message"),
    [
        pytest.param([], pod("p"), "no nodes available to schedule pods", id="no-nodes"),
        pytest.param(
            [node("a", cpu="1"), node("b", cpu="1")],
            pod("p", cpu="2"),
            f"0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 {HOPELESS}.",
            id="too-big-for-any",
        ),
        pytest.param(
            [node("a", taints=[taint("x")]), node("b", unschedulable=True), node("c", cpu="1")],
            pod("p", cpu="2"),
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
            f"1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 {HOPELESS}.",
            id="one-reason-per-node",
        ),
        pytest.param(
            [node("a")],
            pod("p", nodeSelector={"disk": "ssd"}, preemptionPolicy="Never"),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
            "preemption: not eligible due to preemptionPolicy=Never.",
            id="never-preempts",
        ),
    ],
)
def test_the_message_is_upstreams(nodes: list[Json], candidate: Pod, message: str) -> None:
    with pytest.raises(NoFit) as failure:
        defaults().choose(CycleState(), candidate, table(*nodes))
    assert str(failure.value) == message


def test_a_node_that_is_only_full_could_be_preempted() -> None:
    cache = cache_of(node("a", cpu="1"), node("b", cpu="1"))
    for name in ("a", "b"):
        cache.assume(pod(f"hog-{name}", cpu="1"), name)
    with pytest.raises(NoFit) as failure:
        defaults().choose(CycleState(), pod("p", cpu="1"), cache.nodes)
    expected = f"0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 {NO_VICTIMS}."
    assert str(failure.value) == expected
    assert failure.value.diagnosis.plugins == {"NodeResourcesFit"}


def test_each_rejection_keeps_its_plugin() -> None:
    with pytest.raises(NoFit) as failure:
        defaults().choose(CycleState(), pod("p", cpu="9"), table(node("a"), node("b", taints=[taint("x")])))
    rejected = {(one.plugin, one.reason) for one in failure.value.diagnosis.rejected}
    assert rejected == {
        ("TaintToleration", "node(s) had untolerated taint(s)"),
        ("NodeResourcesFit", "Insufficient cpu"),
    }


def test_pods_fill_equal_nodes_evenly() -> None:
    cache, runtime = cache_of(node("a"), node("b")), defaults()
    for number in range(10):
        candidate = pod(f"p{number}")
        cache.assume(candidate, runtime.choose(CycleState(), candidate, cache.nodes))
    assert cache.nodes.requested("pods").tolist() == [5, 5]


def test_a_row_whose_node_is_gone_is_never_chosen() -> None:
    cache, runtime = cache_of(node("a"), node("b")), defaults()
    cache.assume(pod("left"), "a")
    cache.nodes.remove_node("a")
    assert {runtime.choose(CycleState(), pod(f"p{number}"), cache.nodes) for number in range(5)} == {"b"}


class OddOnly(PerNodeFilter):
    """A plugin as somebody would try one out."""

    name: ClassVar[str] = "OddOnly"

    def fits(self, pod: Pod, node: Json, pods: Sequence[Pod]) -> str:
        return "" if node["metadata"]["name"] in ("n1", "n3") else "node(s) were even"


class Fewest(PerNodeScore):
    """The same for a score."""

    name: ClassVar[str] = "Fewest"

    def score_of(self, pod: Pod, node: Json, pods: Sequence[Pod]) -> float:
        return 100.0 - len(pods)


def test_plain_functions_of_one_node_make_a_plugin() -> None:
    nodes = table(*(node(f"n{number}") for number in range(4)))
    nodes.add_pod(pod("one"), "n1")
    runtime = Runtime("test", {"filter": [Enabled(OddOnly())], "score": [Enabled(Fewest())]})
    assert runtime.choose(CycleState(), pod("p"), nodes) == "n3"
    nodes.remove_node("n1")
    nodes.remove_node("n3")
    with pytest.raises(NoFit, match="0/2 nodes are available: 2 node\\(s\\) were even."):
        runtime.choose(CycleState(), pod("p"), nodes)


class Reserving:
    """Remembers what it was asked, and fails if told to."""

    def __init__(self, name: str, log: list[str], status: Status = OK) -> None:
        self.__class__ = type(name, (Reserving,), {"name": name})
        self._log, self._status = log, status

    name: ClassVar[str] = ""

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        self._log.append(f"reserve {self.name}")
        return self._status

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        self._log.append(f"unreserve {self.name}")


def test_a_failed_reservation_undoes_all_of_them_in_reverse_order() -> None:
    log: list[str] = []
    failing = Reserving("B", log, Status(Code.UNSCHEDULABLE, ("no room",)))
    runtime = Runtime("test", {"reserve": [Enabled(Reserving("A", log)), Enabled(failing)]})
    status = runtime.reserve(CycleState(), pod("p"), "n")
    assert (status.plugin, status.message) == ("B", "no room")
    assert log == ["reserve A", "reserve B", "unreserve B", "unreserve A"]
