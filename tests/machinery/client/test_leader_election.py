"""Leader election and events on a clock that tests move."""

import asyncio
from itertools import count

import pytest

from machinery.aio.clock import FakeClock
from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.kinds import EVENTS, LEASES, PODS, Kind
from machinery.api.names import ObjectKey
from machinery.client.events import EventRecorder
from machinery.client.leader_election import LeaderElection, LeadershipLost, run_as_leader
from tests.fakes.client import FakeClient

Objects = dict[tuple[Kind, ObjectKey], Json]


class _Candidates:
    """Two processes that want the same lease."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.objects: Objects = {}
        revisions = count(1)
        self.clients = {name: FakeClient(self.objects, revisions) for name in ("one", "two")}
        self.working: list[str] = []

    def start(self, name: str) -> "asyncio.Task[None]":
        async def work() -> None:
            self.working.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.working.remove(name)

        election = LeaderElection(name="test", identity=name)
        return asyncio.ensure_future(run_as_leader(self.clients[name], election, work, clock=self.clock))

    @property
    def lease(self) -> Json:
        spec: Json = self.objects[LEASES, ObjectKey("kube-system", "test")]["spec"]
        return spec


async def test_only_one_of_two_candidates_works() -> None:
    candidates = _Candidates()
    tasks = [candidates.start("one"), candidates.start("two")]
    await candidates.clock.advance(60)
    assert candidates.working == ["one"]
    assert candidates.lease["holderIdentity"] == "one"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_leader_that_stops_gives_the_lease_up_at_once() -> None:
    candidates = _Candidates()
    first, second = candidates.start("one"), candidates.start("two")
    await candidates.clock.advance(5)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await candidates.clock.advance(4)
    assert candidates.working == ["two"]
    assert candidates.lease["leaseTransitions"] == 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_a_leader_that_cannot_renew_stops_before_another_starts() -> None:
    candidates = _Candidates()
    first, second = candidates.start("one"), candidates.start("two")
    await candidates.clock.advance(5)
    candidates.clients["one"].cut_off = True
    for _ in range(12):
        await candidates.clock.advance(2)
        assert len(candidates.working) <= 1
    assert candidates.working == ["two"]
    with pytest.raises(LeadershipLost):
        await first
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_what_the_work_raises_ends_the_leader() -> None:
    candidates = _Candidates()

    async def work() -> None:
        raise ValueError("broken")

    election = LeaderElection(name="test", identity="one")
    with pytest.raises(ValueError, match="broken"):
        await run_as_leader(candidates.clients["one"], election, work, clock=candidates.clock)
    assert candidates.lease["holderIdentity"] == ""


def _pod(uid: str) -> Json:
    return {"metadata": {"name": "web", "namespace": "default", "uid": uid}}


def _events(objects: Objects) -> list[Json]:
    return [obj for (kind, _), obj in objects.items() if kind is EVENTS]


async def test_a_repeated_event_is_counted_not_repeated() -> None:
    clock, objects = FakeClock(), Objects()
    recorder = EventRecorder(FakeClient(objects, count(1)), "kubelet", "node-a", clock)
    sender = asyncio.ensure_future(recorder.run())
    for _ in range(3):
        recorder.event(_pod("1"), PODS, "Warning", "BackOff", "again")
        await clock.advance(1)
    recorder.event(_pod("1"), PODS, "Normal", "Started", "Started container web")
    await clock.advance(1)
    found = {event["reason"]: event for event in _events(objects)}
    assert {reason: event["count"] for reason, event in found.items()} == {"BackOff": 3, "Started": 1}
    assert found["BackOff"]["source"] == {"component": "kubelet", "host": "node-a"}
    assert found["BackOff"]["involvedObject"]["name"] == "web"
    assert found["BackOff"]["firstTimestamp"] < found["BackOff"]["lastTimestamp"]
    sender.cancel()


async def test_a_flood_of_events_about_one_object_is_cut_and_others_are_not() -> None:
    clock, objects = FakeClock(), Objects()
    recorder = EventRecorder(FakeClient(objects, count(1)), "scheduler", clock=clock)
    sender = asyncio.ensure_future(recorder.run())
    for number in range(100):
        recorder.event(_pod("1"), PODS, "Warning", "FailedScheduling", f"attempt {number}")
        await clock.advance(0.001)
    recorder.event(_pod("2"), PODS, "Normal", "Scheduled", "assigned")
    await clock.advance(1)
    by_uid = [event["involvedObject"]["uid"] for event in _events(objects)]
    assert (by_uid.count("1"), by_uid.count("2")) == (25, 1)
    assert all(meta.name_of(event).startswith("web.") for event in _events(objects))
    sender.cancel()
