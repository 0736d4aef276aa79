"""Where pending pods wait, and what moves them."""

import asyncio

from machinery.aio.clock import FakeClock
from machinery.api.codec import copy_of
from scheduler.framework import Action, ClusterEvent, Code, Resource, SortKey, Status
from scheduler.pods import Pod, pod_of
from scheduler.queue import REMEMBERED_EVENTS, Place, Policy, QueuedPod, SchedulingQueue
from tests.scheduler.objects import key, node, pod, pod_object

NODE_CAME = ClusterEvent(Resource.NODE, Action.ADD, None, node("n"))
SERVICE_CAME = ClusterEvent(Resource.SERVICE, Action.ADD, None, {})
FIT = frozenset({"NodeResourcesFit"})


def _pre_enqueue(candidate: Pod) -> Status | None:
    return Status(Code.UNRESOLVABLE, ("gated",), "SchedulingGates") if candidate.gates else None


def _sort_key(candidate: Pod, queued_at: float) -> SortKey:
    return (-candidate.priority, queued_at)


def _helps(candidate: Pod, rejected_by: frozenset[str], event: ClusterEvent) -> bool:
    return event.resource in (Resource.NODE, Resource.PENDING_POD)


class Setup:
    """A queue on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = SchedulingQueue(Policy(_pre_enqueue, _sort_key, _helps), self.clock)

    def pop(self) -> QueuedPod:
        entry = self.queue.pop_ready()
        assert entry is not None
        return entry

    def place(self, name: str = "p") -> Place | None:
        return self.queue.place_of(key(name))


def test_higher_priority_comes_first_and_then_who_came_first() -> None:
    setup = Setup()
    for name, priority in (("a", 0), ("b", 10), ("c", 0)):
        setup.queue.add(pod(name, priority=priority))
    assert [setup.pop().pod.key.name for _ in range(3)] == ["b", "a", "c"]
    assert setup.queue.pop_ready() is None


async def test_a_rejected_pod_waits_until_something_happens_that_helps() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    setup.queue.failed(setup.pop(), FIT)
    assert setup.place() is Place.WAITING
    await setup.clock.advance(60)
    setup.queue.happened(SERVICE_CAME)
    assert setup.place() is Place.WAITING
    setup.queue.happened(NODE_CAME)
    assert setup.place() is Place.ACTIVE


async def test_back_off_doubles_with_each_attempt_from_one_to_ten_seconds() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    for seconds in (1, 2, 4, 8, 10, 10):
        setup.queue.failed(setup.pop(), FIT)
        setup.queue.happened(NODE_CAME)
        assert setup.place() is Place.BACKING_OFF
        await setup.clock.advance(seconds - 0.1)
        assert setup.queue.pop_ready() is None
        await setup.clock.advance(0.2)


async def test_a_failure_that_is_nobodys_rejection_only_backs_off() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    setup.queue.failed(setup.pop(), frozenset())
    assert setup.place() is Place.BACKING_OFF
    await setup.clock.advance(1.1)
    assert setup.pop().attempts == 2


def test_an_event_while_a_pod_is_in_flight_is_not_lost() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    entry = setup.pop()
    setup.queue.happened(NODE_CAME)
    setup.queue.failed(entry, FIT)
    assert setup.place() is Place.BACKING_OFF


def test_an_event_from_before_the_attempt_does_not_count() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    setup.queue.happened(NODE_CAME)
    entry = setup.pop()
    setup.queue.happened(SERVICE_CAME)
    setup.queue.failed(entry, FIT)
    assert setup.place() is Place.WAITING


def test_more_events_than_are_remembered_mean_another_try() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    entry = setup.pop()
    for _ in range(REMEMBERED_EVENTS + 1):
        setup.queue.happened(SERVICE_CAME)
    setup.queue.failed(entry, FIT)
    assert setup.place() is Place.BACKING_OFF


def test_a_gated_pod_enters_when_its_gates_are_gone() -> None:
    setup = Setup()
    setup.queue.add(pod("p", schedulingGates=[{"name": "example.com/wait"}]))
    setup.queue.happened(NODE_CAME)
    assert setup.place() is Place.WAITING
    setup.queue.update(pod("p"))
    assert setup.place() is Place.ACTIVE


def test_a_change_of_status_does_not_wake_a_pod_and_a_change_of_spec_does() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    setup.queue.failed(setup.pop(), FIT)
    written = copy_of(pod_object("p")) | {"status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}
    setup.queue.update(pod_of(written))
    assert setup.place() is Place.WAITING
    setup.queue.update(pod("p", cpu="50m"))
    assert setup.place() is Place.BACKING_OFF


def test_a_pod_that_was_deleted_in_flight_does_not_come_back() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    entry = setup.pop()
    setup.queue.delete(key("p"))
    setup.queue.failed(entry, FIT)
    assert setup.place() is None
    assert [setup.queue.count(place) for place in Place] == [0, 0, 0, 0]


def test_a_pod_of_the_same_name_is_another_pod() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    old = setup.pop()
    again = pod_object("p")
    again["metadata"]["uid"] = "another"
    setup.queue.update(pod_of(again))
    setup.queue.failed(old, FIT)
    assert setup.place() is Place.ACTIVE
    assert setup.pop().attempts == 1


async def test_after_five_minutes_a_waiting_pod_is_tried_again() -> None:
    setup = Setup()
    setup.queue.add(pod("p"))
    setup.queue.failed(setup.pop(), FIT)
    await setup.clock.advance(299)
    setup.queue.flush_waiting()
    assert setup.place() is Place.WAITING
    await setup.clock.advance(2)
    setup.queue.flush_waiting()
    assert setup.place() is Place.ACTIVE


async def test_pop_waits_for_an_addition_and_for_the_end_of_a_back_off() -> None:
    setup = Setup()
    popped: list[str] = []

    async def pop_two() -> None:
        for _ in range(2):
            entry = await setup.queue.pop()
            popped.append(entry.pod.key.name)
            setup.queue.failed(entry, frozenset())

    async with asyncio.TaskGroup() as group:
        group.create_task(pop_two())
        await setup.clock.advance(5)
        setup.queue.add(pod("p"))
        await setup.clock.advance(0.5)
        assert popped == ["p"]
        await setup.clock.advance(1)
    assert popped == ["p", "p"]
