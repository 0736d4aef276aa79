"""One pod's way through the scheduler, with an API server that only remembers what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeAlias

import pytest

from machinery.aio.clock import FakeClock
from machinery.api import errors
from machinery.api.codec import Json, copy_of
from machinery.api.kinds import Kind
from machinery.client.informer import OnChange
from machinery.client.store import Store
from scheduler.cache import Mask, NodeTable
from scheduler.config import Profile, build
from scheduler.extender import Extenders
from scheduler.framework import OK, CycleState, Handle, Status
from scheduler.plugins.default_binder import DefaultBinder
from scheduler.pods import Pod
from scheduler.queue import Place
from scheduler.runtime import Enabled, Runtime
from scheduler.scheduler import Scheduler
from tests.scheduler.objects import key, named, node, pod_object

#: a profile, what makes one, or upstream's default
Profiles: TypeAlias = Runtime | Callable[[Handle], Runtime] | None


class RememberingClient:
    """Takes bindings and conditions; refuses bindings while `refusal` is set."""

    def __init__(self) -> None:
        self.bindings: dict[str, str] = {}
        self.conditions: dict[str, Json] = {}
        self.deleted: list[str] = []
        self.refusal: Exception | None = None

    async def create(self, kind: Kind, obj: Json, *, subresource: str = "", name: str = "") -> Json:
        """Only bindings."""
        assert (kind.plural, subresource) == ("pods", "binding")
        if self.refusal is not None:
            raise self.refusal
        self.bindings[name] = obj["target"]["name"]
        return {}

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """Only conditions."""
        self.conditions[name] = patch["status"]["conditions"][0]
        return {}

    async def delete(self, kind: Kind, name: str, namespace: str, **_: Any) -> Json:
        """Only victims."""
        self.deleted.append(name)
        return {}


class HandFed:
    """Informers whose events the test makes."""

    def __init__(self) -> None:
        self.handlers: dict[str, list[OnChange]] = {}
        self.stores: dict[str, Store] = {}

    def watch(self, kind: Kind, *, on_change: OnChange | None = None, **_: Any) -> Store:
        """Remember the handler."""
        if on_change is not None:
            self.handlers.setdefault(kind.plural, []).append(on_change)
        return self.stores.setdefault(kind.plural, Store())

    async def wait_for_sync(self) -> None:
        """Nothing to wait for."""

    def tell(self, plural: str, old: Json | None, new: Json | None) -> None:
        """An event."""
        for handler in self.handlers[plural]:
            handler(old, new)


class Recorder:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, obj: Json, kind: Kind, type_: str, reason: str, message: str) -> None:
        """Keep reason and message."""
        self.events.append((reason, message))


class Setup:
    """A running scheduler and everything around it."""

    def __init__(self, profile: Profiles = None, extenders: Extenders | None = None) -> None:
        self.client, self.informers, self.recorder, self.clock = (
            RememberingClient(),
            HandFed(),
            Recorder(),
            FakeClock(),
        )
        client: Any = self.client
        informers: Any = self.informers
        recorder: Any = self.recorder
        handle = Handle(client, informers, clock=self.clock)
        self.waiting = handle.waiting
        made = profile(handle) if callable(profile) else profile
        profiles = {"default-scheduler": made or build(Profile(), handle)}
        self.scheduler = Scheduler(handle, recorder, profiles, extenders=extenders)

    def add_pod(self, name: str, **facts: Any) -> Json:
        """A pending pod."""
        pod = pod_object(name, **facts)
        self.informers.tell("pods", None, pod)
        return pod

    def bound(self, pod: Json, where: str) -> Json:
        """The informer shows where a pod is."""
        placed = copy_of(pod)
        placed["spec"]["nodeName"] = where
        self.informers.tell("pods", pod, placed)
        return placed

    def used(self) -> list[int]:
        """Milli cpu per row."""
        used: list[int] = self.scheduler.cache.nodes.requested("cpu").tolist()
        return used


@asynccontextmanager
async def running(profile: Profiles = None, extenders: Extenders | None = None) -> AsyncIterator[Setup]:
    """A scheduler that runs, with one node."""
    setup = Setup(profile, extenders)
    setup.informers.tell("nodes", None, node("n1"))
    task = asyncio.ensure_future(setup.scheduler.run())
    await setup.clock.advance(0)
    try:
        yield setup
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_pod_is_bound_told_of_and_counted_once() -> None:
    async with running() as setup:
        pod = setup.add_pod("p")
        await setup.clock.advance(0)
        assert setup.client.bindings == {"p": "n1"}
        assert setup.recorder.events == [("Scheduled", "Successfully assigned default/p to n1")]
        assert setup.used() == [100]
        assert setup.scheduler.cache.is_assumed(key("p"))
        placed = setup.bound(pod, "n1")
        assert setup.used() == [100]
        assert not setup.scheduler.cache.is_assumed(key("p"))
        setup.informers.tell("pods", placed, None)
        assert setup.used() == [0]


async def test_a_refused_binding_gives_the_resources_back_and_is_tried_again() -> None:
    async with running() as setup:
        setup.client.refusal = errors.Conflict("somebody was faster")
        setup.add_pod("p")
        await setup.clock.advance(0.5)
        assert setup.used() == [0]
        assert setup.scheduler.queue.place_of(key("p")) is Place.BACKING_OFF
        condition = setup.client.conditions["p"]
        assert (condition["status"], condition["reason"]) == ("False", "SchedulerError")
        assert condition["message"] == 'binding rejected: running Bind plugin "DefaultBinder": somebody was faster'
        setup.client.refusal = None
        await setup.clock.advance(1)
        assert setup.client.bindings == {"p": "n1"}


async def test_what_a_pod_frees_goes_to_the_one_that_waits() -> None:
    async with running() as setup:
        hog = setup.bound(setup.add_pod("hog", cpu="4"), "n1")
        setup.add_pod("waiting", cpu="4")
        await setup.clock.advance(2)
        assert setup.client.conditions["waiting"]["reason"] == "Unschedulable"
        ended = copy_of(hog) | {"status": {"phase": "Succeeded"}}
        setup.informers.tell("pods", hog, ended)
        await setup.clock.advance(0)
        assert setup.client.bindings["waiting"] == "n1"
        setup.informers.tell("pods", ended, None)
        assert setup.used() == [4000]


async def test_a_heartbeat_of_a_node_wakes_nobody_and_a_label_does() -> None:
    async with running() as setup:
        setup.add_pod("p", nodeSelector={"disk": "ssd"})
        await setup.clock.advance(2)
        old, beat, labelled = node("n1"), node("n1"), node("n1", labels={"disk": "ssd"})
        beat["status"]["conditions"] = [{"type": "Ready", "lastHeartbeatTime": "now"}]
        setup.informers.tell("nodes", old, beat)
        assert setup.scheduler.queue.place_of(key("p")) is Place.WAITING
        setup.informers.tell("nodes", beat, labelled)
        await setup.clock.advance(0)
        assert setup.client.bindings == {"p": "n1"}


async def test_a_pod_deleted_before_its_turn_is_forgotten() -> None:
    async with running() as setup:
        pod = setup.add_pod("p", cpu="9")
        await setup.clock.advance(0)
        setup.informers.tell("pods", pod, None)
        assert setup.scheduler.queue.place_of(key("p")) is None
        assert setup.used() == [0]


async def test_the_same_condition_is_not_written_twice() -> None:
    async with running() as setup:
        pod = setup.add_pod("p", cpu="9")
        await setup.clock.advance(0)
        written = copy_of(pod) | {"status": {"conditions": [setup.client.conditions.pop("p")]}}
        setup.informers.tell("pods", pod, written)
        await setup.clock.advance(2)
        setup.informers.tell("nodes", node("n1"), node("n1", labels={"x": "y"}))
        other = node("n2", cpu="1")
        setup.informers.tell("nodes", None, other)
        setup.informers.tell("nodes", other, None)
        await setup.clock.advance(20)
        assert setup.client.conditions == {}


class Choking:
    """A filter that cannot cope with one pod."""

    name: ClassVar[str] = "Choking"
    reason: ClassVar[str] = ""

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """Fails for `bad`."""
        if pod.key.name == "bad":
            raise KeyError("nonsense")
        assert named(nodes, nodes.all()) == {"n1"}
        return nodes.all()


class Clumsy:
    """Raises at one extension point, and whenever it is told that something is undone or done."""

    name: ClassVar[str] = "Clumsy"

    def __init__(self, where: str) -> None:
        self._where = where

    def _at(self, where: str) -> Status:
        if where == self._where:
            raise KeyError("nonsense")
        return OK

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """May raise."""
        return self._at("reserve")

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        """Raises."""
        raise KeyError("undone")

    def permit(self, state: CycleState, pod: Pod, node: str) -> Status:
        """May raise."""
        return self._at("permit")

    async def pre_bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """May raise."""
        return self._at("preBind")

    def post_bind(self, state: CycleState, pod: Pod, node: str) -> None:
        """Raises."""
        raise KeyError("done")


def _clumsy(shared: Handle, where: str) -> Runtime:
    one = [Enabled(Clumsy(where))]
    points = {"reserve": one, "permit": one, "preBind": one, "postBind": one}
    return Runtime("default-scheduler", {**points, "bind": [Enabled(DefaultBinder(shared))]})


@pytest.mark.parametrize("where", ["reserve", "permit", "preBind"])
async def test_what_was_assumed_for_a_pod_is_given_back_when_a_plugin_raises(where: str) -> None:
    async with running(lambda shared: _clumsy(shared, where)) as setup:
        setup.add_pod("p")
        await setup.clock.advance(0)
        assert setup.client.bindings == {}
        assert setup.used() == [0]
        assert setup.scheduler.queue.place_of(key("p")) is Place.BACKING_OFF
        assert "nonsense" in setup.client.conditions["p"]["message"]


async def test_a_plugin_that_raises_after_the_binding_changes_nothing() -> None:
    async with running(lambda shared: _clumsy(shared, "nowhere")) as setup:
        setup.add_pod("p")
        await setup.clock.advance(0)
        assert setup.client.bindings == {"p": "n1"}
        assert setup.used() == [100]
        assert setup.scheduler.queue.place_of(key("p")) is None


async def test_one_pod_that_breaks_a_plugin_does_not_stop_the_others() -> None:
    client: Any = RememberingClient()
    binder = DefaultBinder(Handle(client, client))
    profile = Runtime("default-scheduler", {"filter": [Enabled(Choking())], "bind": [Enabled(binder)]})
    async with running(profile) as setup:
        setup.add_pod("bad")
        setup.add_pod("good")
        await setup.clock.advance(0)
        assert client.bindings == {"good": "n1"}
        assert setup.client.conditions["bad"]["reason"] == "SchedulerError"
