"""Pods that wait for a node. Choosing one is not here.

Theory of operation (upstream: backend/queue/scheduling_queue.go).
A pod is in one of four places.
- ACTIVE: a heap in the order of the QueueSort plugin; `pop` takes its head and makes it IN_FLIGHT.
- BACKING_OFF: a heap by the moment the back-off ends; the delay doubles with each attempt, 1 s up to 10 s.
- WAITING: pods that fit nowhere, with the plugins that said so. Nothing is tried again until something happens that one
  of these plugins says can help, or five minutes have passed. Pods whose PreEnqueue plugins say no wait here too.
- IN_FLIGHT: being placed or bound. Events that arrive meanwhile are remembered, for the pod may fail for a reason that
  one of them has just removed; without this it would wait for five minutes. There is one list for all, as thousands
  of bindings may be under way; a pod that was in flight for longer than the list reaches back is simply tried again.

A pod that is moved goes to BACKING_OFF while its back-off lasts, else to ACTIVE. Heaps are never searched: an entry
that moved on leaves its old ticket behind, and a ticket that is not the entry's latest is skipped.
Updates count only if they change what the scheduler reads: its own writes to the status must not wake the pod.
"""

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count, islice
from typing import Any, Final

from machinery.aio.clock import REAL, Clock
from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler import metrics
from scheduler.framework import Action, ClusterEvent, Resource, SortKey, Status
from scheduler.pods import Pod

#: seconds after which a waiting pod is tried again although nothing happened
FLUSH_AFTER: Final = 300.0
#: how many events the pods in flight are sure not to miss
REMEMBERED_EVENTS: Final = 10_000


class Place(Enum):
    """Where an entry is."""

    ACTIVE = "active"
    BACKING_OFF = "backoff"
    WAITING = "unschedulable"
    IN_FLIGHT = "inflight"


@dataclass(slots=True)
class QueuedPod:
    """A pod with its history of attempts."""

    pod: Pod
    queued_at: float
    place: Place = Place.WAITING
    ticket: int = 0
    attempts: int = 0
    failed_at: float = 0.0
    gated: bool = False
    rejected_by: frozenset[str] = frozenset()
    popped_at_event: int = 0
    #: whether no event but time made that it is tried again
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What the profiles' plugins decide for the queue."""

    pre_enqueue: Callable[[Pod], Status | None]
    sort_key: Callable[[Pod, float], SortKey]
    helps: Callable[[Pod, frozenset[str], ClusterEvent], bool]
    initial_backoff: float = 1.0
    maximum_backoff: float = 10.0


class SchedulingQueue:
    """All pending pods that are ours."""

    def __init__(self, policy: Policy, clock: Clock = REAL) -> None:
        self._policy = policy
        self._clock = clock
        self._entries: dict[ObjectKey, QueuedPod] = {}
        self._active: list[tuple[SortKey, int, QueuedPod]] = []
        self._backoff: list[tuple[float, int, QueuedPod]] = []
        self._tickets = count(1)
        self._changed = asyncio.Event()
        self._waiting: dict[ObjectKey, QueuedPod] = {}
        self._in_flight: set[ObjectKey] = set()
        self._recent: deque[ClusterEvent] = deque(maxlen=REMEMBERED_EVENTS)
        self._events = 0

    def count(self, place: Place) -> int:
        """How many pods are in a place, those that are gated left out."""
        return sum(entry.place is place and not entry.gated for entry in self._entries.values())

    def count_gated(self) -> int:
        """How many pods may not be tried at all."""
        return sum(entry.gated for entry in self._entries.values())

    def count_events(self) -> Mapping[str, int]:
        """What pods in flight may have missed, by the events' names, and how many pods (upstream: inFlightEvents)."""
        if not self._in_flight:
            return {}
        return Counter(event.label for event in self._recent) + Counter(PodPopped=len(self._in_flight))

    def place_of(self, key: ObjectKey) -> Place | None:
        """Where a pod is, None if it is not queued."""
        entry = self._entries.get(key)
        return entry.place if entry is not None else None

    # -- what the informer tells --------------------------------------------------------------------------------------

    def add(self, pod: Pod) -> None:
        """A pod without a node appeared."""
        self.delete(pod.key)
        entry = self._entries[pod.key] = QueuedPod(pod, self._clock.monotonic())
        self._admit(entry, "PodAdd")

    def update(self, pod: Pod) -> None:
        """A queued pod changed; it is tried again only if what changed can help."""
        entry = self._entries.get(pod.key)
        if entry is None or entry.pod.uid != pod.uid:
            self.add(pod)
            return
        old, entry.pod = entry.pod, pod
        if _same_to_us(old.obj, pod.obj):
            return
        if entry.place is Place.ACTIVE:
            self._activate(entry, "PodUpdate")  # its priority may be another
            return
        event = ClusterEvent(Resource.PENDING_POD, Action.UPDATE, old.obj, pod.obj)
        self._remember(event)
        if entry.place is Place.WAITING:
            self._try_again_if(entry, event)

    def delete(self, key: ObjectKey) -> None:
        """The pod is gone, or has a node."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._leave(entry)

    def happened(self, event: ClusterEvent) -> None:
        """Something changed in the cluster: move the pods it can help."""
        self._remember(event)
        for entry in list(self._waiting.values()):
            self._try_again_if(entry, event)

    # -- what the scheduling loop does --------------------------------------------------------------------------------

    async def pop(self) -> QueuedPod:
        """The next pod to place, now in flight; waits until there is one."""
        while True:
            entry = self.pop_ready()
            if entry is not None:
                return entry
            await self._wait_for_change()

    def pop_ready(self) -> QueuedPod | None:
        """The next pod to place, now in flight, if there is one at this moment."""
        self._flush_backoff()
        while self._active:
            _, ticket, entry = heapq.heappop(self._active)
            if entry.ticket == ticket:
                self._enter(entry, Place.IN_FLIGHT)
                entry.attempts += 1
                entry.popped_at_event = self._events
                return entry
        return None

    def failed(self, entry: QueuedPod, rejected_by: frozenset[str]) -> None:
        """The attempt failed: wait for what helps these plugins, or only back off when there are none."""
        if self._entries.get(entry.pod.key) is not entry:
            return
        entry.rejected_by, entry.flushed = rejected_by, False
        entry.failed_at = self._clock.monotonic()
        self._enter(entry, Place.WAITING)
        if not rejected_by or self._missed_something(entry):
            self._requeue(entry, "ScheduleAttemptFailure")
        else:
            metrics.incoming("unschedulable", "ScheduleAttemptFailure")

    def done(self, key: ObjectKey) -> None:
        """The pod was bound."""
        self.delete(key)

    def flush_waiting(self, *, at_once: bool = False) -> None:
        """Try again what has waited for FLUSH_AFTER seconds, or everything that waits."""
        limit = float("inf") if at_once else self._clock.monotonic() - FLUSH_AFTER
        for entry in list(self._waiting.values()):
            if not entry.gated and entry.failed_at < limit:
                entry.flushed = not at_once
                self._requeue(entry, "UnschedulableTimeout")

    # -- moving -------------------------------------------------------------------------------------------------------

    def _remember(self, event: ClusterEvent) -> None:
        self._events += 1
        if self._in_flight:
            self._recent.append(event)
        else:
            self._recent.clear()

    def _missed_something(self, entry: QueuedPod) -> bool:
        missed = self._events - entry.popped_at_event
        if missed > len(self._recent):
            return True
        events = islice(self._recent, len(self._recent) - missed, None)
        return any(self._policy.helps(entry.pod, entry.rejected_by, event) for event in events)

    def _try_again_if(self, entry: QueuedPod, event: ClusterEvent) -> None:
        if self._policy.helps(entry.pod, entry.rejected_by, event):
            self._requeue(entry, event.label)

    def _requeue(self, entry: QueuedPod, why: str) -> None:
        ready_at = entry.failed_at + self._delay(entry.attempts)
        if entry.gated or ready_at <= self._clock.monotonic():
            self._admit(entry, why)
            return
        metrics.incoming("backoff", why)
        self._enter(entry, Place.BACKING_OFF)
        heapq.heappush(self._backoff, (ready_at, entry.ticket, entry))
        self._changed.set()

    def _admit(self, entry: QueuedPod, why: str) -> None:
        status = self._policy.pre_enqueue(entry.pod)
        entry.gated = status is not None
        if status is None:
            self._activate(entry, why)
        else:
            metrics.incoming("unschedulable", why)
            self._leave(entry)
            entry.rejected_by = frozenset({status.plugin})
            self._enter(entry, Place.WAITING)

    def _activate(self, entry: QueuedPod, why: str) -> None:
        metrics.incoming("active", why)
        self._enter(entry, Place.ACTIVE)
        heapq.heappush(self._active, (self._policy.sort_key(entry.pod, entry.queued_at), entry.ticket, entry))
        self._changed.set()

    def _enter(self, entry: QueuedPod, place: Place) -> None:
        self._leave(entry)
        entry.place, entry.ticket = place, next(self._tickets)
        if place is Place.WAITING:
            self._waiting[entry.pod.key] = entry
            self._count_rejections(entry, 1)
        elif place is Place.IN_FLIGHT:
            self._in_flight.add(entry.pod.key)

    def _leave(self, entry: QueuedPod) -> None:
        entry.ticket = 0
        if self._waiting.pop(entry.pod.key, None) is not None:
            self._count_rejections(entry, -1)
        self._in_flight.discard(entry.pod.key)

    def _count_rejections(self, entry: QueuedPod, change: int) -> None:
        for plugin in entry.rejected_by:
            metrics.turned_down(plugin, entry.pod.scheduler_name, change)

    def _delay(self, attempts: int) -> float:
        if not attempts:
            return 0.0
        return min(self._policy.initial_backoff * 2.0 ** min(attempts - 1, 30), self._policy.maximum_backoff)

    def _flush_backoff(self) -> None:
        now = self._clock.monotonic()
        while self._backoff and self._backoff[0][0] <= now:
            _, ticket, entry = heapq.heappop(self._backoff)
            if entry.ticket == ticket:
                self._admit(entry, "BackoffComplete")

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if self._backoff:
            delay = self._backoff[0][0] - self._clock.monotonic()
            waits.append(asyncio.ensure_future(self._clock.sleep(delay)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _same_to_us(old: Json, new: Json) -> bool:
    if old.get("spec") != new.get("spec") or meta.is_being_deleted(old) != meta.is_being_deleted(new):
        return False
    if _claims_of(old) != _claims_of(new):
        return False
    return meta.labels_of(old) == meta.labels_of(new) and meta.annotations_of(old) == meta.annotations_of(new)


def _claims_of(pod: Json) -> object:
    """Which ResourceClaims were made for the pod: all that the scheduler reads of a status that others write."""
    return (pod.get("status") or {}).get("resourceClaimStatuses")
