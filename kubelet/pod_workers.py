"""★ One task per pod: takes the latest wish from its mailbox, does the work of the pod's state. The table: `pod_state`.

Theory of operation. A worker's mailbox holds at most one thing, the newest: the pod as the API shows it and, once
somebody asked, the wish to stop. `update`, `wake` and `stop` only write there and ring; they never wait. The worker
does one step of its state, then sleeps until it is rung or until the step itself wanted another look (a back-off ends,
a token ages). Every step begins by asking the runtime what there is, so a lost ring, a crash of the kubelet or a step
that was cut short cost nothing but time.

- A wish to stop cuts short what is under way (pulling an image may take minutes); so does a wish with less grace.
- A pod that is asked to stop is never started again: `pod_state` has no way back.
- A finished pod keeps its worker until its API object is gone, so that the same uid is not begun anew.
- What the runtime has and the API does not (deleted while the kubelet was down) gets a worker that only stops it.
Refused: one task for all pods (one hanging pull would hold all), a queue of updates per pod (only the last counts).
Upstream: pkg/kubelet/pod_workers.go, kubelet.go (SyncPod, SyncTerminatingPod, SyncTerminatedPod).
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from kubelet import admission, container_config, environment, pod_actions, pod_files, pod_status
from kubelet.cgroups import Cgroups
from kubelet.cri.client import RuntimeDown, RuntimeProblem
from kubelet.pod_events import WARNING, PodEvents
from kubelet.pod_files import NodeFolders
from kubelet.pod_runtime import Outcome, PodRuntime, SandboxProblem, Step
from kubelet.pod_state import PodEvent, PodState, after
from kubelet.pod_status import Facts, Waiting
from kubelet.probes import ProbeManager
from kubelet.runtime_status import NOTHING, PodRecord
from kubelet.volumes.manager import MountFailed, changes_by_itself
from kubelet.volumes.plugin import MountedVolume, Objects
from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta, pods, times
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_RESYNC: Final = 60.0
_REFRESH: Final = 20.0  # seconds between looks at volumes whose content may change
_RETRY: Final = 2.0
_RETRY_AT_MOST: Final = 30.0
_FIRST_REMOUNT: Final = 0.5
_LAST_REMOUNT: Final = 122.0


class Volumes(Protocol):
    """What sets a pod's volumes up."""

    async def mount(self, pod: Json, sources: environment.Sources) -> dict[str, MountedVolume]: ...


class Statuses(Protocol):
    """What takes a pod's status to the API server."""

    def latest(self, pod: Json) -> Json: ...
    def set(self, pod: Json, status: Json) -> None: ...
    def off_the_node(self, pod: Json) -> None: ...
    def forget(self, uid: str) -> None: ...


class NodeView(Protocol):
    """What the pods need to know of their node."""

    def node(self) -> Json: ...
    def host_ips(self) -> tuple[str, ...]: ...
    def allocatable(self) -> dict[str, str]: ...
    def services(self) -> tuple[Json, ...]: ...
    def problem_with_start(self, pod: Json) -> str: ...


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What all workers of a node share."""

    runtime: PodRuntime
    volumes: Volumes
    probes: ProbeManager
    statuses: Statuses
    cgroups: Cgroups
    folders: NodeFolders
    objects: Objects
    events: PodEvents
    node: NodeView
    forget_objects: Callable[[str], None] = lambda uid: None
    clock: Clock = REAL


@dataclass(frozen=True, slots=True)
class Stop:
    """A wish to end a pod. `grace` seconds override its own; reason and message mark it as failed by the node."""

    grace: int | None = None
    reason: str = ""
    message: str = ""


class PodWorker:
    """The life of one pod on this node."""

    def __init__(self, pod: Json, parts: WorkerParts, others: Callable[[str], Iterable[Json]]) -> None:
        self.pod = pod
        self.uid = meta.uid_of(pod)
        self.state = PodState.SYNCING
        self.gone_from_api = False
        self.record: PodRecord = NOTHING
        self._parts = parts
        self._others = others
        self._mail = asyncio.Event()
        self._stop: Stop | None = None
        self._step: asyncio.Task[float | None] | None = None
        self._waiting: dict[str, Waiting] = {}
        self._admitted = False
        self._failures = 0
        self._mount_failures = 0
        self._done = False
        self._was_over = pods.is_terminal(pod)  # ended before this kubelet began: its status is history
        if meta.is_being_deleted(pod) or self._was_over:
            self.stop(Stop())

    # ---- the mailbox

    def update(self, pod: Json) -> None:
        """The API shows the pod so now."""
        shorter = _grace(pod) < _grace(self.pod)
        newly_deleted = meta.is_being_deleted(pod) and not meta.is_being_deleted(self.pod)
        self.pod = pod
        if newly_deleted or (shorter and self.state is PodState.TERMINATING):
            self.stop(self._stop or Stop())
        self._mail.set()

    def stop(self, wish: Stop) -> None:
        """End the pod; cuts short what is under way."""
        if self._stop is not None and self._stop.reason and not wish.reason:
            wish = replace(wish, reason=self._stop.reason, message=self._stop.message)
        self._stop = wish
        self.state = after(self.state, PodEvent.STOP_ASKED)
        step = self._step
        if step is not None and self.state is PodState.TERMINATING and step is not asyncio.current_task():
            step.cancel()
        self._mail.set()

    def wake(self) -> None:
        """Look again."""
        self._mail.set()

    # ---- the task

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Step by step until the pod is finished and gone from the API."""
        while not self._done:
            self._mail.clear()
            delay = await self._one_step(group)
            if self._done:
                return
            try:
                async with asyncio.timeout(delay):
                    await self._mail.wait()
            except TimeoutError:
                pass

    async def _one_step(self, group: asyncio.TaskGroup) -> float | None:
        step = group.create_task(self._guarded(), name=f"step {self.uid}")
        self._step = step
        try:
            return await step
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling() or not step.cancelled():
                raise
            return 0.0  # cut short by a wish to stop
        finally:
            self._step = None

    async def _guarded(self) -> float | None:
        try:
            delay = await self._work()
            self._failures = 0
            return delay
        except RuntimeDown as problem:
            logger.debug("pod %s (%s): %s", meta.key_of(self.pod), self.state.value, problem)
            return _RETRY  # one line about it is said by runtime_health, not one per pod
        except (RuntimeProblem, SandboxProblem, OSError, errors.StatusError) as problem:
            logger.info("pod %s (%s): %s", meta.key_of(self.pod), self.state.value, problem)
        except Exception:  # one pod's surprise must not end the node's other pods; it is tried again
            logger.exception("pod %s (%s)", meta.key_of(self.pod), self.state.value)
        self._failures += 1
        return min(_RETRY * 2.0 ** min(self._failures - 1, 10), _RETRY_AT_MOST)

    async def _work(self) -> float | None:
        if self.state is PodState.SYNCING:
            return await self._sync()
        if self.state is PodState.TERMINATING:
            return await self._terminate()
        if self.state is PodState.TERMINATED:
            return await self._clean_up()
        return await self._finish()

    # ---- SYNCING

    async def _sync(self) -> float | None:
        parts = self._parts
        record = await self._look()
        if not self._admitted and not self._admit(record):
            return 0.0
        pod = parts.statuses.latest(self.pod)
        actions = pod_actions.decide(pod, record, parts.probes.health(self.uid), container_config.spec_hash)
        self._report(over=actions.finished and not record.running)
        if actions.finished:
            self.stop(Stop())
            return 0.0
        overdue = self._overdue()
        if overdue:
            text = "Pod was active on the node longer than the specified deadline"
            self.stop(Stop(reason="DeadlineExceeded", message=text))
            return 0.0
        outcome = await self._act(record, actions)
        return self._next_look(outcome)

    async def _look(self, *, stopping: bool = False) -> PodRecord:
        self.record = await self._parts.runtime.read(self.uid)
        self._parts.probes.sync(self._parts.statuses.latest(self.pod), self.record, stopping=stopping)
        return self.record

    def _admit(self, record: PodRecord) -> bool:
        node = self._parts.node
        if not record.sandboxes and not pods.is_static(self.pod):
            rejection = admission.admit(self.pod, self._others(self.uid), node.node(), node.allocatable())
            if rejection is not None:
                self._reject(rejection)
                return False
        self._admitted = True
        return True

    def _reject(self, rejection: admission.Rejection) -> None:
        """The pod fails before anything of it was begun: there are no containers to speak of."""
        parts = self._parts
        parts.events.pod(self.pod, WARNING, rejection.reason, rejection.message)
        status = {"phase": "Failed", "reason": rejection.reason, "message": rejection.message}
        quality = pods.qos_class(self.pod)
        parts.statuses.set(self.pod, {**status, "qosClass": quality, "startTime": times.rfc3339(parts.clock.now())})
        self._was_over = True
        self.stop(Stop(grace=0, reason=rejection.reason, message=rejection.message))

    def _overdue(self) -> bool:
        left = self._seconds_left()
        return left is not None and left <= 0

    def _seconds_left(self) -> float | None:
        limit = (self.pod.get("spec") or {}).get("activeDeadlineSeconds")
        start = (self._parts.statuses.latest(self.pod).get("status") or {}).get("startTime")
        if limit is None or not start:
            return None
        age = (self._parts.clock.now() - times.parse(start)).total_seconds()
        return float(limit) - age

    async def _act(self, record: PodRecord, actions: pod_actions.Actions) -> Outcome:
        parts = self._parts
        problem = parts.node.problem_with_start(self.pod) if actions.create_sandbox else ""
        if problem:
            parts.events.pod(self.pod, WARNING, "NetworkNotReady", problem)
            return Outcome(retry_in=_RETRY)
        pod_files.make_pod_folders(parts.folders, self.pod)
        parts.cgroups.ensure(self.pod)
        sources = await self._sources(actions)
        try:
            volumes = await parts.volumes.mount(self.pod, sources)
            self._mount_failures = 0
        except MountFailed as failure:
            parts.events.pod(self.pod, WARNING, "FailedMount", str(failure))
            self._mount_failures += 1
            wait = min(_FIRST_REMOUNT * 2.0 ** min(self._mount_failures, 10), _LAST_REMOUNT)
            return Outcome(waiting=self._waiting, retry_in=wait)
        if actions == replace(pod_actions.Actions(), sandbox_id=actions.sandbox_id, attempt=actions.attempt):
            self._waiting = {}
            return Outcome()
        secrets = await self._pull_secrets(actions)
        parent = parts.cgroups.parent_of(self.pod)
        # How often containers ran that are gone from the runtime is only in the status, and there in our own latest.
        pod = parts.statuses.latest(self.pod)
        step = Step(pod, record, actions, parent, volumes, sources, secrets)
        outcome = await parts.runtime.carry_out(step)
        self._waiting = outcome.waiting
        await parts.runtime.prune(await self._look())
        self._report()
        return outcome

    async def _sources(self, actions: pod_actions.Actions) -> environment.Sources:
        parts, namespace = self._parts, meta.namespace_of(self.pod)
        config_maps: dict[str, Json] = {}
        secrets: dict[str, Json] = {}
        everyone = (*pods.init_containers_of(self.pod), *pods.containers_of(self.pod))
        for container in everyone if actions.start else ():
            wanted_maps, wanted_secrets = environment.references(container)
            for name in wanted_maps - config_maps.keys():
                found = await parts.objects.config_map(namespace, name)
                config_maps |= {name: found} if found is not None else {}
            for name in wanted_secrets - secrets.keys():
                found = await parts.objects.secret(namespace, name)
                secrets |= {name: found} if found is not None else {}
        return environment.Sources(
            config_maps,
            secrets,
            parts.node.services(),
            self.record.ips,
            parts.node.host_ips(),
            parts.node.allocatable(),
        )

    async def _pull_secrets(self, actions: pod_actions.Actions) -> tuple[Json, ...]:
        found = []
        references = (self.pod.get("spec") or {}).get("imagePullSecrets") or () if actions.start else ()
        for reference in references:
            name = reference.get("name") or ""
            secret = await self._parts.objects.secret(meta.namespace_of(self.pod), name)
            if secret is not None:
                found.append(secret)
        return tuple(found)

    def _next_look(self, outcome: Outcome) -> float:
        choices = [_RESYNC * random.uniform(0.8, 1.2)]
        if changes_by_itself(self.pod):
            choices.append(_REFRESH * random.uniform(0.8, 1.2))
        if outcome.retry_in is not None:
            choices.append(outcome.retry_in)
        left = self._seconds_left()
        if left is not None:
            choices.append(left)
        return max(min(choices), 0.05)

    # ---- status

    def _report(self, *, over: bool = False) -> None:
        if self._was_over or self.gone_from_api:
            return
        parts, stop = self._parts, self._stop or Stop()
        facts = Facts(
            record=self.record,
            waiting=self._waiting,
            started=parts.probes.started(self.uid),
            ready=parts.probes.ready(self.uid),
            host_ips=parts.node.host_ips(),
            over=over,
            reason=stop.reason,
            message=stop.message,
        )
        pod = parts.statuses.latest(self.pod)
        parts.statuses.set(self.pod, pod_status.status_of(pod, facts, times.rfc3339(parts.clock.now())))

    # ---- TERMINATING

    async def _terminate(self) -> float | None:
        record = await self._look(stopping=True)
        if not self._was_over:
            self._report()
        if record.is_alive:
            grace = self._stop.grace if self._stop else None
            await self._parts.runtime.kill_pod(self._parts.statuses.latest(self.pod), record, grace)
            record = await self._look(stopping=True)
        if record.is_alive:
            return _RETRY
        self.state = after(self.state, PodEvent.CONTAINERS_GONE)
        return 0.0

    # ---- TERMINATED

    async def _clean_up(self) -> float | None:
        parts = self._parts
        self._parts.probes.forget(self.uid)
        self.record = await parts.runtime.read(self.uid)
        self._report(over=True)
        await asyncio.to_thread(pod_files.remove_pod_folder, parts.folders, self.uid)
        parts.cgroups.kill(self.uid)
        if self._is_leaving():
            await parts.runtime.remove_pod(self.uid)
        if not parts.cgroups.remove(self.uid):
            return 0.2
        parts.runtime.forget(self.uid)
        parts.forget_objects(self.uid)
        self.state = after(self.state, PodEvent.CLEANED)
        return 0.0

    # ---- FINISHED

    async def _finish(self) -> float | None:
        if self._is_leaving():
            # A pod that had ended by itself kept its containers for their logs until now.
            await self._parts.runtime.remove_pod(self.uid)
            await asyncio.to_thread(pod_files.remove_logs, self._parts.folders, self.uid)
            self._parts.cgroups.remove(self.uid)
        if self.gone_from_api:
            self._done = True
        else:
            self._parts.statuses.off_the_node(self.pod)
        return None

    def _is_leaving(self) -> bool:
        return self.gone_from_api or meta.is_being_deleted(self.pod)


class PodWorkers:
    """All pods of a node."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._workers: dict[str, PodWorker] = {}
        self._group: asyncio.TaskGroup | None = None

    def attach(self, group: asyncio.TaskGroup) -> None:
        """Where the tasks live; workers made before start now."""
        self._group = group
        for worker in self._workers.values():
            group.create_task(self._live(worker), name=f"pod {worker.uid}")

    def update(self, pod: Json) -> None:
        """The API has the pod, new or changed."""
        worker = self._workers.get(meta.uid_of(pod))
        if worker is not None:
            worker.update(pod)
            return
        self._begin(PodWorker(pod, self._parts, self._others))

    def remove(self, uid: str) -> None:
        """The API does not have the pod any more."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.gone_from_api = True
            worker.stop(Stop())

    def stop(self, uid: str, wish: Stop) -> None:
        """The node wants the pod to end (eviction)."""
        worker = self._workers.get(uid)
        if worker is not None and worker.state is PodState.SYNCING:
            worker.stop(wish)

    def wake(self, uid: str) -> None:
        """Something happened to the pod."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()

    def adopt_orphan(self, uid: str, namespace: str, name: str) -> None:
        """The runtime has a pod that the API does not: stop it and take it away."""
        if uid in self._workers:
            return
        logger.info("pod %s/%s (%s) is not in the API any more: stopping it", namespace, name, uid)
        pod: Json = {
            "metadata": {"uid": uid, "namespace": namespace, "name": name},
            "spec": {"containers": []},
        }
        worker = PodWorker(pod, self._parts, self._others)
        worker.gone_from_api = True
        worker.stop(Stop())
        self._begin(worker)

    def get(self, uid: str) -> PodWorker | None:
        """The worker of a pod, by uid."""
        return self._workers.get(uid)

    def uids(self) -> set[str]:
        """Every pod that has a worker, finished ones too."""
        return set(self._workers)

    def all(self) -> list[PodWorker]:
        """All workers, oldest first."""
        return list(self._workers.values())

    def active(self) -> list[Json]:
        """Pods that use the node's resources."""
        return [worker.pod for worker in self._workers.values() if worker.state is not PodState.FINISHED]

    def _others(self, uid: str) -> Iterable[Json]:
        return [
            worker.pod
            for worker in self._workers.values()
            if worker.uid != uid and worker.state in (PodState.SYNCING, PodState.TERMINATING)
        ]

    def _begin(self, worker: PodWorker) -> None:
        self._workers[worker.uid] = worker
        if self._group is not None:
            self._group.create_task(self._live(worker), name=f"pod {worker.uid}")

    async def _live(self, worker: PodWorker) -> None:
        if self._group is None:
            return
        await worker.run(self._group)
        self._parts.statuses.forget(worker.uid)
        del self._workers[worker.uid]


def _grace(pod: Json) -> float:
    seconds = meta.metadata_of(pod).get("deletionGracePeriodSeconds")
    return float("inf") if seconds is None else float(seconds)
