"""Carries out, against the container runtime, what `pod_actions` decided, and stops pods. Deciding is not here.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (SyncPod, KillPod), kuberuntime_container.go.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kubelet import container_config, environment
from kubelet.container_config import ContainerPlace
from kubelet.container_mounts import MountRequest, MountSources, mounts_of
from kubelet.crash_backoff import CrashBackoff, go_duration
from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeNotFound, RuntimeProblem
from kubelet.images import FoundImage, ImageManager, ImageProblem
from kubelet.lifecycle import Hooks
from kubelet.pod_actions import Actions, Kill
from kubelet.pod_events import NORMAL, WARNING, PodEvents
from kubelet.pod_files import NodeFolders
from kubelet.pod_records import PodRecords
from kubelet.pod_status import Waiting
from kubelet.probing import Target
from kubelet.runtime_status import ContainerRecord, PodRecord
from kubelet.sandbox_config import ClusterDns, SandboxPlace, sandbox_config
from kubelet.volumes.plugin import MountedVolume
from kubelet.volumes.sub_path import SubPathProblem
from machinery.aio.clock import REAL, Clock
from machinery.api import codec, meta, pods
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_LEAST_GRACE: Final = 2  # seconds: nobody is killed without having been asked first
_DEFAULT_GRACE: Final = 30
_RETRY: Final = 5.0


class SandboxProblem(Exception):
    """The pod's sandbox could not be made."""


@dataclass(frozen=True, slots=True)
class Step:
    """Everything one step for a pod works with."""

    pod: Json
    record: PodRecord
    actions: Actions
    cgroup_parent: str
    volumes: Mapping[str, MountedVolume] = field(default_factory=dict)
    sources: environment.Sources = field(default_factory=environment.Sources)
    pull_secrets: tuple[Json, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What a step came to. `retry_in` is seconds until another try makes sense, None when nothing waits."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    retry_in: float | None = None

    def wait(self, name: str, why: Waiting, retry_in: float) -> None:
        """A container could not be started."""
        self.waiting[name] = why
        self.retry_in = retry_in if self.retry_in is None else min(self.retry_in, retry_in)


@dataclass(frozen=True, slots=True)
class RuntimeParts:
    """What the pod runtime is made of."""

    runtime: Runtime
    records: PodRecords
    images: ImageManager
    hooks: Hooks
    events: PodEvents
    folders: NodeFolders
    dns: ClusterDns
    memory_capacity: int
    clock: Clock = REAL


class PodRuntime:
    """Starts and stops containers of pods."""

    def __init__(self, parts: RuntimeParts) -> None:
        self._parts = parts
        self._runtime = parts.runtime
        self._events = parts.events
        self._backoff = CrashBackoff(parts.clock)
        self._hooked: set[str] = set()  # containers whose preStop has been called

    async def read(self, uid: str) -> PodRecord:
        """What there is of the pod; raises RuntimeProblem."""
        return await self._parts.records.read(uid)

    # ---- starting

    async def carry_out(self, step: Step) -> Outcome:
        """One step; raises SandboxProblem, RuntimeProblem. What is wrong with single containers is in the outcome."""
        actions = step.actions
        if actions.reset:
            return await self._reset(step)
        if actions.kill_pod:
            await self.kill_pod(step.pod, step.record, None)
        for kill in actions.kill:
            await self._kill_one(step.pod, kill)
        sandbox_id = actions.sandbox_id
        config = self._sandbox_config(step)
        record = step.record
        if actions.create_sandbox:
            sandbox_id = await self._create_sandbox(step, config)
            record = await self.read(meta.uid_of(step.pod))
        outcome = Outcome()
        starting = _Starting(step, sandbox_id, config, record)
        for name in actions.start:
            await self._start(starting, name, outcome)
        return outcome

    async def _reset(self, step: Step) -> Outcome:
        """Take all containers away at once, without hooks; the next step begins anew in the same sandbox (KEP-5532)."""
        pod = step.pod
        source = _container(pod, step.actions.reset[-1].name)
        wait = self._crash_wait(pod, source, step.record)
        if wait > 0:
            return Outcome({source["name"]: self._crash_loop(pod, source)}, wait)
        for container in step.actions.reset:
            if not container.is_over:
                await self._stop_container(pod, container, 0, 0)
            await _if_there(self._runtime.remove_container(container.id))
        return Outcome(retry_in=0.0)

    def _sandbox_config(self, step: Step) -> api.PodSandboxConfig:
        logs = str(self._parts.folders.pod_logs(step.pod))
        place = SandboxPlace(step.actions.attempt, logs, step.cgroup_parent)
        return sandbox_config(step.pod, place, self._parts.dns)

    async def _create_sandbox(self, step: Step, config: api.PodSandboxConfig) -> str:
        handler = (step.pod.get("spec") or {}).get("runtimeClassName") or ""
        try:
            return await self._runtime.run_sandbox(config, handler)
        except RuntimeProblem as problem:
            text = f"Failed to create pod sandbox: {problem}"
            self._events.pod(step.pod, WARNING, "FailedCreatePodSandBox", text)
            raise SandboxProblem(text) from problem

    async def _start(self, starting: "_Starting", name: str, outcome: Outcome) -> None:
        pod = starting.step.pod
        container = _container(pod, name)
        wait = self._crash_wait(pod, container, starting.record)
        if wait > 0:
            outcome.wait(name, self._crash_loop(pod, container), wait)
            return
        try:
            await self._create_and_start(starting, container)
        except ImageProblem as problem:
            outcome.wait(name, Waiting(problem.reason, str(problem)), problem.retry_in)
        except _StartProblem as problem:
            if problem.shown:
                self._events.container(pod, name, WARNING, "Failed", f"Error: {problem}")
            outcome.wait(name, Waiting(problem.reason, str(problem)), _RETRY)

    def _crash_wait(self, pod: Json, container: Json, record: PodRecord) -> float:
        # What was just stopped (a probe said so) runs in the record still: the attempt before it counts, as upstream.
        last = record.last_ended(container["name"])
        if last is None:
            return 0.0
        key, ended = _backoff_key(pod, container), last.finished_at / 1e9
        wait = self._backoff.remaining(key, ended)
        if wait <= 0:
            self._backoff.next(key, ended)
        return wait

    def _crash_loop(self, pod: Json, container: Json) -> Waiting:
        name, whole = container["name"], _full_name(pod)
        text = f"Back-off restarting failed container {name} in pod {whole}"
        self._events.container(pod, name, WARNING, "BackOff", text)
        delay = go_duration(self._backoff.delay(_backoff_key(pod, container)))
        return Waiting("CrashLoopBackOff", f"back-off {delay} restarting failed container={name} pod={whole}")

    async def _create_and_start(self, starting: "_Starting", container: Json) -> None:
        step, pod, name = starting.step, starting.step.pod, container["name"]
        image = await self._parts.images.ensure(pod, container, step.pull_secrets, starting.config)
        latest = starting.record.latest(name)
        restart_count = latest.restart_count + 1 if latest else _known_restarts(pod, name)
        try:
            config = self._container_config(starting, container, restart_count, image)
        except (environment.ConfigError, SubPathProblem, OSError) as problem:
            raise _StartProblem("CreateContainerConfigError", str(problem)) from problem
        try:
            container_id = await self._runtime.create_container(starting.sandbox_id, config, starting.config)
        except RuntimeProblem as problem:
            raise _StartProblem("CreateContainerError", problem.details) from problem
        self._events.container(pod, name, NORMAL, "Created", f"Created container: {name}")
        try:
            await self._runtime.start_container(container_id)
        except RuntimeProblem as problem:
            raise _StartProblem("RunContainerError", problem.details) from problem
        self._events.container(pod, name, NORMAL, "Started", f"Started container {name}")
        await self._post_start(pod, container, container_id)

    def _container_config(
        self, starting: "_Starting", container: Json, restart_count: int, image: FoundImage
    ) -> api.ContainerConfig:
        step = starting.step
        ips = starting.record.ips
        host_ips = step.sources.host_ips
        sources = environment.Sources(
            step.sources.config_maps,
            step.sources.secrets,
            step.sources.services,
            ips or (host_ips if pods.is_host_network(step.pod) else ()),
            host_ips,
            step.sources.allocatable,
        )
        known = environment.environment_of(step.pod, container, sources)
        request = MountRequest(step.pod, container, step.volumes, known, sources.pod_ips)
        mount_sources = MountSources(self._parts.folders, self._parts.dns.domain)
        place = ContainerPlace(
            restart_count=restart_count,
            image_ref=image.reference,
            image_user=image.user,
            environment=known,
            mounts=mounts_of(request, mount_sources),
            memory_capacity=self._parts.memory_capacity,
        )
        return container_config.container_config(step.pod, container, place)

    async def _post_start(self, pod: Json, container: Json, container_id: str) -> None:
        handler = (container.get("lifecycle") or {}).get("postStart")
        if not handler:
            return
        record = await self.read(meta.uid_of(pod))
        target = Target(container, container_id, record.ips[0] if record.ips else "")
        text = await self._parts.hooks.run(handler, target, 3600.0)
        if text:
            name = container["name"]
            self._events.container(pod, name, WARNING, "FailedPostStartHook", f"PostStartHook failed: {text}")
            ended = record.latest(name)
            if ended is not None:
                await self._kill_one(pod, Kill(ended, "FailedPostStartHook"))
            raise _StartProblem("PostStartHookError", text)

    # ---- stopping

    async def kill_pod(self, pod: Json, record: PodRecord, grace: int | None) -> None:
        """Stop every container, sidecars last and in reverse, then the sandboxes; raises RuntimeProblem.

        `grace` seconds override the pod's own.
        """
        seconds = grace if grace is not None else grace_of(pod)
        end = self._parts.clock.monotonic() + seconds
        order = [c["name"] for c in pods.init_containers_of(pod) if pods.is_sidecar(c)]
        running = record.running
        mains = [container for container in running if container.name not in order]
        try:
            async with asyncio.TaskGroup() as group:
                for container in mains:
                    group.create_task(self._stop_container(pod, container, seconds, grace))
        except* RuntimeProblem as problems:
            raise problems.exceptions[0] from None
        for name in reversed(order):
            for container in [one for one in running if one.name == name]:
                left = max(0, int(end - self._parts.clock.monotonic()))
                await self._stop_container(pod, container, left, grace)
        for sandbox in record.sandboxes:  # those that died as well: only a stop gives their addresses back
            await _if_there(self._runtime.stop_sandbox(sandbox.id))
        self._hooked.difference_update(container.id for container in record.containers)

    async def _kill_one(self, pod: Json, kill: Kill) -> None:
        container = _container(pod, kill.container.name)
        probe_grace = None
        for probe, word in (("livenessProbe", "liveness"), ("startupProbe", "startup")):
            if f"failed {word} probe" in kill.message:
                probe_grace = (container.get(probe) or {}).get("terminationGracePeriodSeconds")
        seconds = int(probe_grace) if probe_grace is not None else grace_of(pod)
        await self._stop_container(pod, kill.container, seconds, None, kill.message)

    async def _stop_container(
        self, pod: Json, container: ContainerRecord, seconds: int, override: int | None, message: str = ""
    ) -> None:
        text = message or f"Stopping container {container.name}"
        self._events.container(pod, container.name, NORMAL, "Killing", text)
        if seconds > 0:
            seconds -= await self._pre_stop(pod, container, seconds)
        left = seconds if override is not None and override < _LEAST_GRACE else max(seconds, _LEAST_GRACE)
        await _if_there(self._runtime.stop_container(container.id, max(left, 0)))

    async def _pre_stop(self, pod: Json, container: ContainerRecord, seconds: int) -> int:
        """Call the hook once; returns the whole seconds it took."""
        handler = _pre_stop_of(pod, container)
        if not handler or container.id in self._hooked:
            return 0
        self._hooked.add(container.id)
        begun = self._parts.clock.monotonic()
        spec = _container(pod, container.name)
        ip = (pod.get("status") or {}).get("podIP") or ""
        try:
            async with asyncio.timeout(seconds):
                text = await self._parts.hooks.run(handler, Target(spec, container.id, ip), float(seconds))
        except TimeoutError:
            text = ""
            logger.info("preStop of %s in %s did not end within its grace period", container.name, _full_name(pod))
        if text:
            self._events.container(pod, container.name, WARNING, "FailedPreStopHook", f"PreStopHook failed: {text}")
        return min(seconds, int(self._parts.clock.monotonic() - begun))

    # ---- removing

    async def remove_pod(self, uid: str) -> None:
        """Forget the pod's containers and sandboxes; what still runs is killed. Raises RuntimeProblem."""
        record = await self.read(uid)
        for container in record.containers:
            await _if_there(self._runtime.remove_container(container.id))
        for sandbox in record.sandboxes:
            await _if_there(self._runtime.stop_sandbox(sandbox.id))
            await _if_there(self._runtime.remove_sandbox(sandbox.id))
        self._parts.records.forget(record)

    async def prune(self, record: PodRecord) -> None:
        """Keep the last dead attempt of each container, and sandboxes that live or hold one; raises RuntimeProblem."""
        kept_sandboxes = {record.sandboxes[0].id} if record.sandboxes else set()
        for name in {container.name for container in record.containers}:
            attempts = [container for container in record.containers if container.name == name]
            dead = [container for container in attempts if not container.is_running]
            for container in dead[1:]:
                await _if_there(self._runtime.remove_container(container.id))
            kept_sandboxes |= {container.sandbox_id for container in attempts if container not in dead[1:]}
        for sandbox in record.sandboxes:
            if sandbox.id not in kept_sandboxes and not sandbox.ready:
                await _if_there(self._runtime.remove_sandbox(sandbox.id))

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._backoff.forget(uid)
        self._parts.images.forget(uid)


@dataclass(frozen=True, slots=True)
class _Starting:
    step: Step
    sandbox_id: str
    config: api.PodSandboxConfig
    record: PodRecord


class _StartProblem(Exception):
    def __init__(self, reason: str, message: str, *, shown: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.shown = shown


def grace_of(pod: Json) -> int:
    """Seconds between TERM and KILL: as the deletion asked, else as the spec says."""
    asked = meta.metadata_of(pod).get("deletionGracePeriodSeconds")
    if asked is None:
        asked = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if asked is None else int(asked)


def _container(pod: Json, name: str) -> Json:
    everyone = (*pods.init_containers_of(pod), *pods.containers_of(pod))
    return next((container for container in everyone if container["name"] == name), {"name": name})


def _full_name(pod: Json) -> str:
    namespace, name = meta.key_of(pod)
    return f"{name}_{namespace}({meta.uid_of(pod)})"


def _backoff_key(pod: Json, container: Json) -> str:
    return f"{meta.uid_of(pod)}_{container['name']}_{container_config.spec_hash(container)}"


def _known_restarts(pod: Json, name: str) -> int:
    """The count to go on from when the runtime has lost all attempts: the API remembers the last one.

    A status without a container has counted already, when its container was taken away to begin anew.
    """
    status = pod.get("status") or {}
    for old in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if old.get("name") == name:
            return int(old.get("restartCount") or 0) + (1 if old.get("containerID") else 0)
    return 0


def _pre_stop_of(pod: Json, container: ContainerRecord) -> Json | None:
    """From the spec, or for an orphan from what its container was labelled with."""
    spec = _container(pod, container.name)
    handler: Json | None = (spec.get("lifecycle") or {}).get("preStop")
    if handler is None and container.annotations.get(container_config.PRE_STOP):
        handler = codec.loads(container.annotations[container_config.PRE_STOP])
    return handler


async def _if_there(call: Awaitable[None]) -> None:
    try:
        await call
    except RuntimeNotFound:
        return
