"""What /metrics says of one scheduler; the registry is the process's, so differences count."""

from inspect import getattr_static
from typing import ClassVar

import pytest
from prometheus_client import REGISTRY

from machinery.api.codec import Json
from scheduler.cache import Mask, NodeTable
from scheduler.config import Profile, build
from scheduler.framework import OK, ClusterEvent, CycleState, Status, wait
from scheduler.measuring import MeasuredRuntime
from scheduler.pods import Pod
from scheduler.queue import Place
from scheduler.runtime import POINTS, Enabled, Runtime
from tests.scheduler.objects import handle, key, node
from tests.scheduler.test_scheduler import running


def shown(name: str, **labels: str) -> float:
    """A metric's value, 0 where there is none."""
    return REGISTRY.get_sample_value(f"scheduler_{name}", labels) or 0.0


class Small:
    """Fits where a label says so; thinks that other nodes help, and is unsure of labels."""

    name: ClassVar[str] = "Small"
    reason: ClassVar[str] = "node(s) were not small"

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        return nodes.label("small").present()

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        return OK

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        if event.obj["metadata"]["labels"].get("small") == "perhaps":
            raise ValueError("who knows")
        return "small" in event.obj["metadata"]["labels"]


def _named(name: str) -> Runtime:
    return Runtime(name, {"filter": [Enabled(Small())], "preScore": [Enabled(Small())]})


async def test_each_plugin_is_counted_at_each_of_its_points() -> None:
    labels = {"plugin": "NodeResourcesFit", "profile": "default-scheduler"}
    before = {point: shown("plugin_evaluation_total", extension_point=point, **labels) for point in ("Filter", "Score")}
    skipped = {"plugin": "NodeAffinity", "profile": "default-scheduler", "extension_point": "PreScore"}
    skips = shown("plugin_evaluation_total", **skipped)
    async with running() as setup:
        setup.informers.tell("nodes", None, node("n2"))
        for number in range(20):  # two of them are measured
            setup.add_pod(f"p{number}")
            await setup.clock.advance(0)
    for point, count in before.items():
        assert shown("plugin_evaluation_total", extension_point=point, **labels) == count + 20
    assert shown("plugin_evaluation_total", **skipped) == skips


async def test_pods_that_only_time_has_helped_are_counted() -> None:
    count = shown("pod_scheduled_after_flush_total")
    async with running() as setup:
        setup.add_pod("event", cpu="5")
        await setup.clock.advance(0)
        setup.informers.tell("nodes", None, node("n2", cpu="6"))
        await setup.clock.advance(2)
        assert setup.client.bindings == {"event": "n2"}
        assert shown("pod_scheduled_after_flush_total") == count
        setup.add_pod("time", cpu="9")
        await setup.clock.advance(0)
        setup.scheduler.cache.nodes.set_node(node("n3", cpu="10"))  # and nobody tells the queue
        await setup.clock.advance(400)
        assert setup.client.bindings["time"] == "n3"
        assert shown("pod_scheduled_after_flush_total") == count + 1


async def test_events_are_counted_by_name_while_pods_are_in_flight() -> None:
    async with running() as setup:
        queue = setup.scheduler.queue
        assert not shown("inflight_events", event="PodPopped")
        for name in ("one", "two"):
            setup.add_pod(name)
            assert queue.pop_ready() is not None
        setup.informers.tell("nodes", None, node("n2"))
        setup.informers.tell("services", None, {"metadata": {"name": "s", "namespace": "default"}})
        assert [shown("inflight_events", event=event) for event in ("PodPopped", "NodeAdd", "ServiceAdd")] == [2, 1, 1]
        queue.done(key("one"))
        queue.done(key("two"))
        assert not shown("inflight_events", event="NodeAdd")


@pytest.mark.parametrize(
    ("old", "new", "event"),
    [
        pytest.param(None, {}, "PodAdd", id="a-pod"),
        pytest.param({}, {"nodeName": "n1"}, "AssignedPodAdd", id="it-gets-a-node"),
        pytest.param({"nodeName": "n1"}, {"nodeName": "n1"}, "AssignedPodUpdate", id="it-changes-there"),
        pytest.param({"nodeName": "n1"}, None, "AssignedPodDelete", id="it-leaves-its-node"),
        pytest.param({}, None, "PodDelete", id="it-goes-without-one"),
    ],
)
async def test_handling_the_first_event_is_timed_under_upstreams_name(
    old: Json | None, new: Json | None, event: str
) -> None:
    def _pod(spec: Json | None) -> Json | None:
        metadata = {"name": "p", "namespace": "default", "uid": "u"}
        return None if spec is None else {"metadata": metadata, "spec": {"containers": [], **spec}}

    count = shown("event_handling_duration_seconds_count", event=event)
    async with running() as setup:
        for _ in range(3):
            setup.informers.tell("pods", _pod(old), _pod(new))
    assert shown("event_handling_duration_seconds_count", event=event) == count + 1


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        pytest.param({"small": "yes"}, "Queue", id="helps"),
        pytest.param({"large": "yes"}, "QueueSkip", id="does-not"),
        pytest.param({"small": "perhaps"}, "Error", id="raises"),
    ],
)
async def test_one_question_in_ten_is_timed_by_its_answer(value: Json, hint: str) -> None:
    labels = {"plugin": "Small", "event": "NodeUpdate", "hint": hint}
    count = shown("queueing_hint_execution_duration_seconds_count", **labels)
    async with running(_named("default-scheduler")) as setup:
        for number in range(10):
            setup.add_pod(f"p{number}")
        await setup.clock.advance(0)
        assert setup.scheduler.queue.count(Place.WAITING) == 10
        setup.informers.tell("nodes", node("n1"), node("n1", labels=value))
        assert setup.scheduler.queue.count(Place.WAITING) == (10 if hint == "QueueSkip" else 0)
    assert shown("queueing_hint_execution_duration_seconds_count", **labels) == count + 1


class Slow:
    """Lets pods wait for ten seconds."""

    name: ClassVar[str] = "Slow"

    def permit(self, state: CycleState, pod: Pod, node: str) -> Status:
        return wait(seconds=10)


async def test_bindings_under_way_are_counted_and_those_that_wait_for_leave_among_them() -> None:
    profile = Runtime("default-scheduler", {"permit": [Enabled(Slow())]})
    async with running(profile) as setup:
        for name in ("one", "two"):
            setup.add_pod(name)
        await setup.clock.advance(5)
        assert shown("goroutines", operation="binding") == 2
        for one in list(setup.waiting):
            one.allow("Slow")
        await setup.clock.advance(0)
        assert shown("goroutines", operation="binding") == 0


def test_the_measured_profile_has_all_plugins_of_the_plain_one() -> None:
    plain = build(Profile(), handle())
    measured = MeasuredRuntime(plain)
    assert measured.plugins == plain.plugins
    methods = {name for protocol in POINTS.values() for name in vars(protocol) if not name.startswith("_")}
    for point, many in plain.enabled.items():
        for one, timed in zip(many, measured.enabled[point], strict=True):
            for name in methods:  # as protocols look for them from Python 3.12 on
                found = getattr_static(timed.plugin, name, None)
                assert (found is None) == (not hasattr(one.plugin, name))
