"""The scheduler itself: events in, one pod at a time onto the best node, bindings out. Policy is in the plugins."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from machinery.api import errors, kinds, meta, pods, times
from machinery.api.codec import Json
from machinery.client.events import EventRecorder
from machinery.client.rest import STRATEGIC_PATCH, ConnectionProblem
from scheduler import metrics, preemption
from scheduler.attempts import Attempt, Attempts
from scheduler.cache import Cache
from scheduler.eviction import Evictor
from scheduler.extender import ExtenderProblem, Extenders
from scheduler.framework import (
    Action,
    ClusterEvent,
    Code,
    CycleState,
    Diagnosis,
    Handle,
    Nomination,
    Opinion,
    Resource,
    Status,
)
from scheduler.measuring import MEASURED_OF, MeasuredRuntime, timed_handler
from scheduler.nominations import Nominations
from scheduler.pods import Pod, pod_of
from scheduler.preemption import Candidate
from scheduler.queue import Place, Policy, QueuedPod, SchedulingQueue
from scheduler.runtime import NoFit, Runtime
from scheduler.waiting import WaitingPod

logger = logging.getLogger(__name__)

#: upstream's names of the places, in scheduler_pending_pods
_QUEUES = {Place.ACTIVE: "active", Place.BACKING_OFF: "backoff", Place.WAITING: "unschedulable"}
#: what plugins may want to hear of
_OTHER_KINDS = {
    Resource.SERVICE: kinds.SERVICES,
    Resource.PERSISTENT_VOLUME: kinds.PERSISTENT_VOLUMES,
    Resource.PERSISTENT_VOLUME_CLAIM: kinds.PERSISTENT_VOLUME_CLAIMS,
    Resource.STORAGE_CLASS: kinds.STORAGE_CLASSES,
    Resource.CSI_NODE: kinds.CSI_NODES,
    Resource.CSI_DRIVER: kinds.CSI_DRIVERS,
    Resource.CSI_STORAGE_CAPACITY: kinds.CSI_STORAGE_CAPACITIES,
    Resource.VOLUME_ATTACHMENT: kinds.VOLUME_ATTACHMENTS,
    Resource.RESOURCE_CLAIM: kinds.RESOURCE_CLAIMS,
    Resource.RESOURCE_SLICE: kinds.RESOURCE_SLICES,
    Resource.DEVICE_TAINT_RULE: kinds.DEVICE_TAINT_RULES,
    Resource.DEVICE_CLASS: kinds.DEVICE_CLASSES,
}
_BINDINGS_AT_ONCE = 100
_HOUSEKEEPING_SECONDS = 30.0
#: there was no node to ask a plugin about: a name no plugin has, so that every event counts
_ANYTHING_MAY_HELP = frozenset({"no nodes"})


class Scheduler:
    """One process's scheduler: all profiles share the queue and the cache."""

    def __init__(
        self,
        handle: Handle,
        recorder: EventRecorder,
        profiles: Mapping[str, Runtime],
        *,
        backoff: tuple[float, float] = (1.0, 10.0),
        extenders: Extenders | None = None,
    ) -> None:
        self._client = handle.client
        self._informers = informers = handle.informers
        self._recorder = recorder
        self._waiting = handle.waiting
        self._profiles = dict(profiles)
        self._measured = {name: MeasuredRuntime(runtime) for name, runtime in profiles.items()}
        self._placings = self._questions = self._bindings = 0
        self._clock = handle.clock
        self._extenders = extenders or Extenders(())
        self.cache = Cache()
        policy = Policy(self._pre_enqueue, self._sort_key, self._helps, *backoff)
        self.queue = SchedulingQueue(policy, handle.clock)
        for place, name in _QUEUES.items():
            metrics.watch_pending(name, partial(self.queue.count, place))
        metrics.watch_pending("gated", self.queue.count_gated)
        metrics.watch_cache("nodes", lambda: self.cache.nodes.count)
        metrics.watch_cache("pods", lambda: len(self.cache))
        metrics.watch_cache("assumed_pods", self.cache.count_assumed)
        metrics.watch_events(self.queue.count_events)
        metrics.watch_tasks("binding", lambda: self._bindings)
        self.nominations = Nominations(self.cache.nodes)
        self.attempts = Attempts()
        self._evictor = Evictor(handle.client, recorder, handle.waiting, handle.clock)
        self._binding_slots = asyncio.Semaphore(_BINDINGS_AT_ONCE)
        informers.watch(kinds.NODES, on_change=timed_handler(self._on_node, partial(_event, Resource.NODE)))
        informers.watch(kinds.PODS, on_change=timed_handler(self._on_pod, _event_of_pod))
        for resource in {Resource.SERVICE, *(one for runtime in profiles.values() for one in runtime.resources)}:
            on_change = timed_handler(partial(self._on_other, resource), partial(_event, resource))
            informers.watch(_OTHER_KINDS[resource], on_change=on_change)

    async def run(self) -> None:
        """Place pods for ever."""
        await self._informers.wait_for_sync()
        logger.info("caches are synced: %d nodes", self.cache.nodes.count)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_house(), name="housekeeping")
            while True:
                await self._schedule(await self.queue.pop(), group)
                await asyncio.sleep(0)  # a long queue must not keep events and bindings from their turn

    # -- events -------------------------------------------------------------------------------------------------------

    def _on_node(self, old: Json | None, new: Json | None) -> None:
        if new is None:
            self.cache.nodes.remove_node(meta.name_of(old or {}))
            self.nominations.node_came_or_went(meta.name_of(old or {}))
            return
        self.cache.nodes.set_node(new)
        if old is None:
            self.nominations.node_came_or_went(meta.name_of(new))
        if old is None or _node_matters(old, new):
            action = Action.ADD if old is None else Action.UPDATE
            self.queue.happened(ClusterEvent(Resource.NODE, action, old, new))

    def _on_other(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        self.queue.happened(_event(resource, old, new))

    def _on_pod(self, old: Json | None, new: Json | None) -> None:
        if new is None or pods.is_terminal(new):
            self._pod_is_gone(old, new)
        elif old is not None and meta.uid_of(old) != meta.uid_of(new):  # deleted and made anew between two looks
            self._pod_is_gone(old, None)
            self._on_pod(None, new)
        elif pods.node_of(new):
            self._pod_is_placed(old, new)
        else:
            self._pod_is_pending(new)

    def _pod_is_gone(self, old: Json | None, new: Json | None) -> None:
        obj = new or old or {}
        key = meta.key_of(obj)
        self.queue.delete(key)
        self.nominations.remove(key)
        if waiting := self._waiting.get(key):
            waiting.reject("", "removed")
        if pods.node_of(obj) or self.cache.is_assumed(key):
            self.cache.remove_pod(key)
            self.queue.happened(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, old or new, None))

    def _pod_is_placed(self, old: Json | None, new: Json) -> None:
        pod = pod_of(new)
        self.cache.set_pod(pod)
        self.queue.delete(pod.key)
        self.nominations.remove(pod.key)
        was_placed = old is not None and pods.node_of(old)
        if old is None or not was_placed or _pod_matters(old, new):
            action = Action.UPDATE if was_placed else Action.ADD
            self.queue.happened(ClusterEvent(Resource.ASSIGNED_POD, action, old, new))

    def _pod_is_pending(self, new: Json) -> None:
        pod = pod_of(new)
        if pod.scheduler_name not in self._profiles:
            return
        if self.cache.is_assumed(pod.key) and self.queue.place_of(pod.key) is None:
            return  # bound, and the informer has not heard of it yet
        if node := (new.get("status") or {}).get("nominatedNodeName"):
            self.nominations.add(pod, node)
        else:
            self.nominations.remove(pod.key)
        self.queue.update(pod)

    # -- the queue's questions ----------------------------------------------------------------------------------------

    def _pre_enqueue(self, pod: Pod) -> Status | None:
        return self._profiles[pod.scheduler_name].pre_enqueue(pod)

    def _sort_key(self, pod: Pod, queued_at: float) -> tuple[object, ...]:
        return self._profiles[pod.scheduler_name].sort_key(pod, queued_at)

    def _helps(self, pod: Pod, rejected_by: frozenset[str], event: ClusterEvent) -> bool:
        self._questions += 1
        profiles = self._profiles if self._questions % MEASURED_OF else self._measured
        return profiles[pod.scheduler_name].helps(pod, rejected_by, event)

    # -- one pod ------------------------------------------------------------------------------------------------------

    def use(self, runtime: Runtime) -> None:
        """A profile's plugins are others from now on; what waits is asked again."""
        self._profiles[runtime.scheduler_name] = runtime
        self._measured[runtime.scheduler_name] = MeasuredRuntime(runtime)
        self.queue.flush_waiting(at_once=True)

    async def try_next(self, group: asyncio.TaskGroup) -> bool:
        """Place the next pod if there is one at this moment; whether there was."""
        entry = self.queue.pop_ready()
        if entry is None:
            return False
        await self._schedule(entry, group)
        return True

    @property
    def is_idle(self) -> bool:
        """Whether no pod is ready, under way or backing off: those that wait fit nowhere as things are."""
        return not any(self.queue.count(place) for place in (Place.ACTIVE, Place.BACKING_OFF, Place.IN_FLIGHT))

    async def _schedule(self, entry: QueuedPod, group: asyncio.TaskGroup) -> None:
        if self._extenders:
            await self._attempt_with_extenders(entry, group)
        else:
            self._attempt(entry, group)

    async def _attempt_with_extenders(self, entry: QueuedPod, group: asyncio.TaskGroup) -> None:
        pod = entry.pod
        try:
            opinion = await self._extenders.ask(pod, self._fitting(pod))
        except ExtenderProblem as problem:
            logger.warning("placing %s: %s", pod.key, problem)
            self._broken(entry, group, problem)
            return
        except Exception as problem:  # one pod that cannot be asked about must not stop all the others
            logger.exception("placing %s", pod.key)
            self._broken(entry, group, problem)
            return
        if self.queue.place_of(pod.key) is Place.IN_FLIGHT:  # else it went meanwhile
            self._attempt(entry, group, opinion)

    def _fitting(self, pod: Pod) -> list[Json]:
        """The nodes that fit as things are."""
        nodes, diagnosis = self.cache.nodes, Diagnosis(self.cache.nodes.count)
        runtime = self._profiles[pod.scheduler_name]
        fits = runtime.feasible(CycleState(), pod, nodes, self.nominations, diagnosis)
        return [obj for row, obj in nodes.objects() if fits[row]]

    def _broken(self, entry: QueuedPod, group: asyncio.TaskGroup, problem: Exception) -> None:
        metrics.observe("error", entry.pod.scheduler_name, 0.0)
        self._failed(group, entry, _Failure("SchedulerError", str(problem)))

    def _attempt(self, entry: QueuedPod, group: asyncio.TaskGroup, opinion: Opinion | None = None) -> None:
        pod = entry.pod
        if pod.is_terminating:
            message = f"skip schedule deleting pod: {pod.key}"
            self._recorder.event(pod.obj, kinds.PODS, "Warning", "FailedScheduling", message)
            self.queue.done(pod.key)
            return
        try:
            self._place(entry, group, opinion)
        except Exception as problem:  # one pod that a plugin cannot cope with must not stop all the others
            logger.exception("placing %s", pod.key)
            self._broken(entry, group, problem)

    def _place(self, entry: QueuedPod, group: asyncio.TaskGroup, opinion: Opinion | None) -> None:
        """Choose and assume, without giving way in between: the table is the snapshot."""
        pod, state = entry.pod, CycleState()
        self._placings += 1
        profiles = self._profiles if self._placings % MEASURED_OF else self._measured
        runtime = profiles[pod.scheduler_name]
        started = time.perf_counter()
        try:
            node = runtime.choose(state, pod, self.cache.nodes, self.nominations, opinion)
        except NoFit as problem:
            metrics.observe("unschedulable", pod.scheduler_name, time.perf_counter() - started)
            self._fits_nowhere(entry, group, problem)
            return
        metrics.observe("scheduled", pod.scheduler_name, time.perf_counter() - started)
        self._remember(entry, "Scheduled", f"chosen: {node}", node=node)
        self.cache.assume(pod, node)
        self.nominations.remove(pod.key)
        status, waits = self._reserve(runtime, state, pod, node)
        if status.code is not Code.SUCCESS:
            self._give_back(runtime, state, pod, node)
            self._failed(group, entry, _failure(status))
            return
        waiting = WaitingPod(pod, node, waits) if waits else None
        if waiting is not None:
            self._waiting.add(waiting)
        group.create_task(self._binding_cycle(group, entry, state, node, waiting), name=f"bind {pod.key}")

    def _fits_nowhere(self, entry: QueuedPod, group: asyncio.TaskGroup, problem: NoFit) -> None:
        pod, diagnosis = entry.pod, problem.diagnosis
        self._remember(entry, "Unschedulable", str(problem), diagnosis=diagnosis)
        for work in diagnosis.work:
            group.create_task(self._do(work, pod), name=f"work for {pod.key}")
        rejected_by = frozenset(diagnosis.plugins) or _ANYTHING_MAY_HELP
        failure = _Failure("Unschedulable", str(problem), rejected_by)
        nomination = diagnosis.nomination
        if nomination is not None and self._extenders:
            candidates = diagnosis.candidates or (Candidate(nomination.node, nomination.victims),)
            agreeing = self._nominate_if_agreed(group, pod, failure, candidates)
            group.create_task(agreeing, name=f"agree for {pod.key}")
        else:
            self._nominate(group, pod, nomination)
            failure = replace(failure, nominated=nomination.node if nomination else "")
        diagnosis.candidates = ()  # it is remembered for those who ask why, and they are many
        self._failed(group, entry, failure)

    async def _nominate_if_agreed(
        self, group: asyncio.TaskGroup, pod: Pod, failure: "_Failure", candidates: Sequence[Candidate]
    ) -> None:
        try:
            agreed = await self._extenders.preempt(pod, candidates, self._pods_on)
        except ExtenderProblem as problem:
            logger.warning("preempting for %s: %s", pod.key, problem)
            return
        if agreed and self.queue.place_of(pod.key) is not None:
            chosen = preemption.best(agreed)
            self._nominate(group, pod, Nomination(chosen.node, chosen.victims))
            await self._write_condition(pod, replace(failure, nominated=chosen.node))

    def _pods_on(self, node: str) -> Iterable[Pod]:
        row = self.cache.nodes.row_of(node)
        return () if row is None else self.cache.nodes.pods_on(row)

    def _reserve(self, runtime: Runtime, state: CycleState, pod: Pod, node: str) -> tuple[Status, Mapping[str, float]]:
        try:
            status = runtime.reserve(state, pod, node)
            return runtime.permit(state, pod, node) if status.code is Code.SUCCESS else (status, {})
        except Exception as problem:  # a plugin's mistake fails this pod, and what is assumed for it is given back
            logger.exception("reserving %s for %s", node, pod.key)
            return Status(Code.ERROR, (str(problem),)), {}

    def _remember(
        self, entry: QueuedPod, result: str, message: str, *, node: str = "", diagnosis: Diagnosis | None = None
    ) -> None:
        """For those who ask why."""
        names = self.cache.nodes.frozen_names() if diagnosis else ()
        at = times.rfc3339(self._clock.now())
        self.attempts.remember(Attempt(entry.pod, at, result, message, entry.attempts, node, diagnosis, names))

    def _nominate(self, group: asyncio.TaskGroup, pod: Pod, nomination: Nomination | None) -> None:
        """Keep the room for the pod that its victims are about to leave."""
        if nomination is None:
            self.nominations.remove(pod.key)
            return
        metrics.preempted(len(nomination.victims))
        outranked = self.nominations.less_important_on(nomination.node, pod.priority)
        for other in outranked:
            self.nominations.remove(other.key)
        self.nominations.add(pod, nomination.node)
        group.create_task(self._evictor.make_room(pod, nomination, outranked), name=f"preempt for {pod.key}")

    async def _do(self, work: Callable[[], Awaitable[None]], pod: Pod) -> None:
        try:
            await work()
        except Exception:  # the pod is tried again, and the plugin with it
            logger.exception("making room for %s", pod.key)

    async def _binding_cycle(
        self, group: asyncio.TaskGroup, entry: QueuedPod, state: CycleState, node: str, waiting: WaitingPod | None
    ) -> None:
        self._bindings += 1
        try:
            if waiting is None:
                await self._bind(group, entry, state, node)
            else:
                await self._bind_when_allowed(group, entry, state, waiting)
        finally:
            self._bindings -= 1

    async def _bind_when_allowed(
        self, group: asyncio.TaskGroup, entry: QueuedPod, state: CycleState, waiting: WaitingPod
    ) -> None:
        pod, since = entry.pod, self._clock.monotonic()
        try:
            refusal = await waiting.decided(self._clock)
        finally:
            self._waiting.remove(pod.key)
        result = Code.SUCCESS if refusal is None else Code.UNSCHEDULABLE
        metrics.permitted(result.value, self._clock.monotonic() - since)
        if refusal is None:
            await self._bind(group, entry, state, waiting.node)
            return
        self._give_back(self._profiles[pod.scheduler_name], state, pod, waiting.node)
        self._failed(group, entry, _failure(Status(Code.UNSCHEDULABLE, (refusal.reason,), refusal.plugin)))

    async def _bind(self, group: asyncio.TaskGroup, entry: QueuedPod, state: CycleState, node: str) -> None:
        pod = entry.pod
        runtime = self._profiles[pod.scheduler_name]
        async with self._binding_slots:
            try:
                binder = self._extenders.binder(pod)
                status = await runtime.bind(state, pod, node, binder.bind if binder is not None else None)
            except Exception as problem:  # a plugin's mistake fails this pod, not the scheduler
                logger.exception("binding %s to %s", pod.key, node)
                status = Status(Code.ERROR, (str(problem),))
        if status.code is Code.SUCCESS:
            seconds = self._clock.monotonic() - entry.queued_at
            metrics.bound(entry.attempts, seconds, after_flush=entry.flushed)
            self.queue.done(pod.key)
            message = f"Successfully assigned {pod.key} to {node}"
            self._recorder.event(pod.obj, kinds.PODS, "Normal", "Scheduled", message)
            return
        self._give_back(runtime, state, pod, node)
        self._failed(group, entry, _failure(status))

    def _give_back(self, runtime: Runtime, state: CycleState, pod: Pod, node: str) -> None:
        runtime.unreserve(state, pod, node)
        self.cache.forget(pod.key)
        self.queue.happened(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, pod.obj, None))

    # -- failures -----------------------------------------------------------------------------------------------------

    def _failed(self, group: asyncio.TaskGroup, entry: QueuedPod, failure: "_Failure") -> None:
        pod = entry.pod
        self.queue.failed(entry, failure.rejected_by)
        if self.queue.place_of(pod.key) is None:
            return  # deleted, or placed by somebody else, meanwhile
        self._recorder.event(pod.obj, kinds.PODS, "Warning", "FailedScheduling", failure.message)
        group.create_task(self._write_condition(pod, failure), name=f"condition {pod.key}")

    async def _write_condition(self, pod: Pod, failure: "_Failure") -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": failure.reason, "message": failure.message}
        generation = meta.metadata_of(pod.obj).get("generation")
        if generation:
            condition["observedGeneration"] = generation
        status = pod.obj.get("status") or {}
        old = meta.find_condition(status.get("conditions"), "PodScheduled")
        same_node = (status.get("nominatedNodeName") or "") == failure.nominated
        if same_node and old is not None and all(old.get(field) == value for field, value in condition.items()):
            return
        if old is None or old.get("status") != "False":
            condition["lastTransitionTime"] = times.rfc3339(self._clock.now())
        changed: Json = {"conditions": [condition]}
        if not same_node:
            changed["nominatedNodeName"] = failure.nominated or None
        patch = {"metadata": {"uid": pod.uid}, "status": changed}
        try:
            await self._client.patch(
                kinds.PODS, pod.key.name, pod.key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
            )
        except errors.NotFound:
            return
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.warning("writing the condition of %s: %s", pod.key, problem)

    async def _keep_house(self) -> None:
        while True:
            await self._clock.sleep(_HOUSEKEEPING_SECONDS)
            self.queue.flush_waiting()


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a pod is not placed; without plugins it is only a matter of trying again."""

    reason: str
    message: str
    rejected_by: frozenset[str] = frozenset()
    nominated: str = ""


def _failure(status: Status) -> _Failure:
    if status.is_rejection:
        return _Failure("Unschedulable", status.message, frozenset({status.plugin}))
    return _Failure("SchedulerError", status.message)


def _event(resource: Resource, old: Json | None, new: Json | None) -> ClusterEvent:
    return ClusterEvent(resource, Action.of(old, new), old, new)


def _event_of_pod(old: Json | None, new: Json | None) -> ClusterEvent:
    """To get a node is to come as an assigned pod (upstream: eventhandlers.go)."""
    if not pods.node_of(new or old or {}):
        return _event(Resource.PENDING_POD, old, new)
    return _event(Resource.ASSIGNED_POD, old if old is not None and pods.node_of(old) else None, new)


def _node_matters(old: Json, new: Json) -> bool:
    """Whether an update of a node can help a pod: heartbeats cannot (upstream: eventhandlers.go)."""
    if old.get("spec") != new.get("spec") or meta.labels_of(old) != meta.labels_of(new):
        return True
    before, after = old.get("status") or {}, new.get("status") or {}
    return before.get("allocatable") != after.get("allocatable")


def _pod_matters(old: Json, new: Json) -> bool:
    return old.get("spec") != new.get("spec") or meta.labels_of(old) != meta.labels_of(new)
