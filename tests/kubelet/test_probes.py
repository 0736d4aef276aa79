"""When probes run and what follows, on a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kubelet.pod_events import PodEvents
from kubelet.probes import ProbeManager
from kubelet.probing import Outcome, Prober, Target, port_of
from kubelet.runtime_fake import FakeRuntime
from machinery.aio.clock import FakeClock
from machinery.api.codec import Json
from tests.kubelet.pods import SECOND, container, pod, record, running

WELL, ILL = Outcome(True), Outcome(False, "no")


class Scripted(Prober):
    """Answers as told, by the probe's own name for itself."""

    def __init__(self) -> None:
        super().__init__(FakeRuntime())
        self.answers: dict[str, Outcome] = {}
        self.calls: list[str] = []

    async def check(self, probe: Json, target: Target) -> Outcome:
        self.calls.append(probe["is"])
        return self.answers.get(probe["is"], WELL)


class Bench:
    """A manager, its clock, and what it said."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.prober = Scripted()
        self.changes: list[str] = []
        self.events: list[str] = []
        events = PodEvents(lambda reference, type_, reason, message: self.events.append(message))
        self.manager = ProbeManager(self.prober, events, self.changes.append, self.clock)
        self.manager.attach(group)
        self.started = int(self.clock.now().timestamp() * SECOND)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as group:
        one = Bench(group)
        yield one
        one.manager.forget("uid-1")


def probe(name: str, **fields: int) -> Json:
    return {"is": name, "exec": {"command": ["x"]}, "periodSeconds": 10, **fields}


async def test_a_container_is_ready_after_its_probe_succeeds_and_not_before() -> None:
    async with bench() as on:
        spec = pod(container(readinessProbe=probe("ready", initialDelaySeconds=5)))
        on.manager.sync(spec, record(running(started_at=on.started)))
        await on.clock.advance(4)
        assert on.manager.ready("uid-1") == set()
        await on.clock.advance(1)
        assert on.manager.ready("uid-1") == {"main-id"}
        assert on.changes == ["uid-1"]


async def test_readiness_is_lost_after_three_failures_in_a_row_and_each_is_said() -> None:
    async with bench() as on:
        on.manager.sync(pod(container(readinessProbe=probe("ready"))), record(running(started_at=on.started)))
        await on.clock.advance(0)
        on.prober.answers["ready"] = ILL
        await on.clock.advance(20)
        assert on.manager.ready("uid-1") == {"main-id"}
        await on.clock.advance(10)
        assert on.manager.ready("uid-1") == set()
        assert on.events == ["Readiness probe failed: no"] * 3


async def test_liveness_waits_for_startup() -> None:
    async with bench() as on:
        on.prober.answers["start"] = ILL
        spec = pod(container(startupProbe=probe("start", failureThreshold=5), livenessProbe=probe("live")))
        on.manager.sync(spec, record(running(started_at=on.started)))
        await on.clock.advance(15)
        assert set(on.prober.calls) == {"start"}
        assert on.manager.health("uid-1").not_started == {"main-id"}
        on.prober.answers["start"] = WELL
        await on.clock.advance(10)
        assert "live" in on.prober.calls
        assert on.manager.started("uid-1") == {"main-id"}


async def test_a_startup_probe_that_never_succeeds_fails_the_container() -> None:
    async with bench() as on:
        on.prober.answers["start"] = ILL
        on.manager.sync(pod(container(startupProbe=probe("start"))), record(running(started_at=on.started)))
        await on.clock.advance(25)
        assert on.manager.health("uid-1").failed_startup == {"main-id"}


async def test_a_failed_liveness_probe_is_reported_once_and_ends() -> None:
    async with bench() as on:
        on.prober.answers["live"] = ILL
        spec = pod(container(livenessProbe=probe("live", failureThreshold=2)))
        on.manager.sync(spec, record(running(started_at=on.started)))
        await on.clock.advance(100)
        assert on.manager.health("uid-1").failed_liveness == {"main-id"}
        assert on.prober.calls == ["live", "live"]
        assert on.changes == ["uid-1"]


async def test_a_check_that_could_not_be_made_counts_neither_way() -> None:
    async with bench() as on:
        on.prober.answers["live"] = Outcome(False, "odd", unknown=True)
        on.manager.sync(pod(container(livenessProbe=probe("live"))), record(running(started_at=on.started)))
        await on.clock.advance(50)
        assert on.manager.health("uid-1").failed_liveness == set()
        assert on.events[0] == "Liveness probe errored and resulted in unknown state: odd"


async def test_what_was_ready_before_a_restart_of_the_kubelet_stays_ready() -> None:
    async with bench() as on:
        spec = pod(container(readinessProbe=probe("ready", initialDelaySeconds=60)))
        status = {"name": "main", "containerID": "containerd://main-id", "ready": True, "state": {"running": {}}}
        on.manager.sync(spec | {"status": {"containerStatuses": [status]}}, record(running(started_at=on.started)))
        assert on.manager.ready("uid-1") == {"main-id"}


async def test_a_container_that_is_gone_is_probed_no_more() -> None:
    async with bench() as on:
        spec = pod(container(readinessProbe=probe("ready")))
        on.manager.sync(spec, record(running(started_at=on.started)))
        await on.clock.advance(0)
        on.manager.sync(spec, record())
        await on.clock.advance(50)
        assert on.prober.calls == ["ready"]
        assert on.manager.ready("uid-1") == set()


@pytest.mark.parametrize(
    ("port", "wanted"),
    [(8080, 8080), ("http", 80), ("9090", 9090), ("nosuch", None), (None, None)],
)
def test_ports_by_number_and_name(port: int | str | None, wanted: int | None) -> None:
    assert port_of(port, container(ports=[{"name": "http", "containerPort": 80}])) == wanted
