"""One node's kubelet put together: which part gets what, and the loops that run. What each part does is its own file's.

Everything here is wiring; the parts never reach for one another except through what they are given.
Upstream: pkg/kubelet/kubelet.go (NewMainKubelet, Run).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from kubelet import eviction
from kubelet.cgroups import Cgroups
from kubelet.config import KubeletConfig, seconds_of
from kubelet.cri.client import Runtime, RuntimeProblem
from kubelet.garbage import Housekeeping, ImageCollector, LogRotation
from kubelet.images import ImageManager
from kubelet.lease import NodeLease
from kubelet.lifecycle import Hooks
from kubelet.node_status import NodeFacts, NodeIdentity, NodeReporter, Pressure
from kubelet.objects import ApiObjects
from kubelet.pleg import Pleg
from kubelet.pod_events import PodEvents
from kubelet.pod_files import NodeFolders
from kubelet.pod_records import PodRecords
from kubelet.pod_runtime import PodRuntime, RuntimeParts
from kubelet.pod_sources import ApiSource, FileSource, Mirrors
from kubelet.pod_state import PodState
from kubelet.pod_workers import PodWorkers, Stop, Volumes, WorkerParts
from kubelet.probes import ProbeManager
from kubelet.probing import Prober
from kubelet.runtime_health import RuntimeHealth
from kubelet.sandbox_config import ClusterDns
from kubelet.server.app import ServedPod
from kubelet.status_manager import StatusManager
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import every, keep_running
from machinery.api import meta, pods, quantity
from machinery.api.codec import Json
from machinery.api.kinds import NODES, PODS, Kind
from machinery.api.names import ObjectKey
from machinery.client.events import EventRecorder
from machinery.client.informer import OnChange
from machinery.client.rest import Client
from machinery.client.store import Lister

logger = logging.getLogger(__name__)

_STATUS_WRITERS: Final = 4
_HEALTH_SECONDS: Final = 5.0
_IMPATIENT_SECONDS: Final = 0.5
_SWEEP_SECONDS: Final = 15.0
_IMAGE_SECONDS: Final = 300.0
_EVICTION_SECONDS: Final = 10.0
_MIRROR_SECONDS: Final = 2.0


class Watches(Protocol):
    """What of machinery's Informers a node uses."""

    def watch(self, kind: Kind, *, on_change: OnChange | None = None, field_selector: str = "") -> Lister: ...
    async def wait_for_sync(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node stands on: real for a real one, fake for a simulated one."""

    client: Client
    informers: Watches
    runtime: Runtime
    cgroups: Cgroups
    volumes: Callable[[NodeFolders, ApiObjects], Volumes]
    services: Lister | None  # None: no service variables
    prober: Callable[[Runtime], Prober] = Prober
    host_pods: bool = True  # there is a machine whose memory, disk and logs are to be looked after
    dns: ClusterDns = field(default_factory=ClusterDns)
    clock: Clock = REAL


class Kubelet:
    """One node."""

    def __init__(self, config: KubeletConfig, identity: NodeIdentity, around: Surroundings) -> None:
        self.config = config
        self.identity = identity
        self._around = around
        self.folders = NodeFolders(Path(config.root_dir), config.logs)
        self.recorder = EventRecorder(around.client, "kubelet", identity.name, around.clock)
        self.health = RuntimeHealth(around.runtime, self._poke_status, around.clock)
        self._poked = asyncio.Event()
        self._pressure = Pressure()
        self._node_shown = around.informers.watch(NODES, field_selector=f"metadata.name={identity.name}")
        self._objects = ApiObjects(around.client, around.clock)
        self._build_pods()
        self._build_node()

    # ---- construction

    def _build_pods(self) -> None:
        around, config = self._around, self.config
        events = PodEvents(self.recorder.event_about)
        self._prober = around.prober(around.runtime)
        self.probes = ProbeManager(self._prober, events, lambda uid: self.workers.wake(uid), around.clock)
        self.records = PodRecords(around.runtime)
        parallel = 1 if config.serialize_image_pulls else config.max_parallel_image_pulls or 1000
        parts = RuntimeParts(
            around.runtime,
            self.records,
            ImageManager(around.runtime, events, around.clock, parallel),
            Hooks(self._prober, around.clock),
            events,
            self.folders,
            around.dns,
            self.identity.capacity.memory,
            around.clock,
        )
        self.statuses = StatusManager(around.client, self._mirror_of)
        self.workers = PodWorkers(
            WorkerParts(
                runtime=PodRuntime(parts),
                volumes=around.volumes(self.folders, self._objects),
                probes=self.probes,
                statuses=self.statuses,
                cgroups=around.cgroups,
                folders=self.folders,
                objects=self._objects,
                events=events,
                node=self,
                forget_objects=self._objects.forget,
                clock=around.clock,
            )
        )
        self.pleg = Pleg(around.runtime, self.workers.wake, around.clock)
        source = ApiSource(self.workers, self.statuses, self.identity.name)
        self._pods_shown = around.informers.watch(
            PODS, field_selector=f"spec.nodeName={self.identity.name}", on_change=source.on_change
        )
        self._static: FileSource | None = None
        self._mirrors: Mirrors | None = None
        if config.pod_manifest_path:
            self._static = FileSource(Path(config.pod_manifest_path), self.identity.name, self.workers)
            self._mirrors = Mirrors(around.client, self._static, self._pods_shown)

    def _build_node(self) -> None:
        facts = NodeFacts(self._problem, lambda: self._pressure, lambda: self.health.images, self._shown)
        self.reporter = NodeReporter(self._around.client, self.identity, facts, self._node_event, self._around.clock)
        seconds = self.config.node_lease_duration_seconds
        self.lease = NodeLease(self._around.client, self.identity.name, seconds, self._around.clock)
        self.housekeeping = Housekeeping(self.records, self.workers, self.folders, self._around.cgroups)

    # ---- what the pods ask about their node

    def node(self) -> Json:
        """The Node object, empty until it was seen."""
        return self._shown() or {}

    def host_ips(self) -> tuple[str, ...]:
        """The node's addresses."""
        return self.identity.addresses

    def allocatable(self) -> dict[str, str]:
        """What pods may use together."""
        return self.identity.capacity.allocatable(self.identity.reserved)

    def services(self) -> tuple[Json, ...]:
        """All services, for their variables."""
        return tuple(self._around.services.list()) if self._around.services is not None else ()

    def problem_with_start(self, pod: Json) -> str:
        """Why a pod cannot have a network yet."""
        if not self.health.network_problem or pods.is_host_network(pod):
            return ""
        return f"network is not ready: {self.health.network_problem_of_node}"

    # ---- what the server asks

    def find(self, namespace: str, name: str, uid: str = "") -> ServedPod | None:
        """A pod with its latest status."""
        for worker in self.workers.all():
            if meta.key_of(worker.pod) == (namespace, name) and uid in ("", worker.uid):
                return ServedPod(self.statuses.latest(worker.pod), worker.record)
        return None

    def all(self) -> Sequence[ServedPod]:
        """All pods with their latest statuses."""
        everyone = [worker for worker in self.workers.all() if not worker.gone_from_api]
        return [ServedPod(self.statuses.latest(worker.pod), worker.record) for worker in everyone]

    def unhealthy(self) -> str:
        """For /healthz: the process answers. A runtime that is down shows in the node's conditions; restarting the
        kubelet, which is what a failed /healthz leads to, would not help it."""
        return ""

    # ---- running

    async def run(self) -> None:
        """Run the node until cancelled; containers outlive it."""
        self._node_event("Normal", "Starting", "Starting kubelet.")
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group)
        finally:
            await self._prober.close()

    def _start(self, group: asyncio.TaskGroup) -> None:
        frequency = seconds_of(self.config.node_status_update_frequency)
        self.probes.attach(group)
        group.create_task(self.recorder.run(), name="events")
        for number in range(_STATUS_WRITERS):
            group.create_task(self.statuses.run(), name=f"status writer {number}")
        group.create_task(keep_running("runtime health", self._watch_runtime), name="runtime health")
        group.create_task(keep_running("node lease", self._keep_lease), name="lease")
        group.create_task(keep_running("node status", lambda: self._keep_status(frequency)), name="node status")
        group.create_task(self._pods(group), name="pods")

    async def _pods(self, group: asyncio.TaskGroup) -> None:
        """Begin with pods once the runtime answers: what runs is adopted, not started twice."""
        while not await self._runtime_answers():
            await self._around.clock.sleep(1.0)
        self._around.cgroups.prepare()
        if self._static is None:
            # Containers get the services of their namespace as variables: those have to be known first. A node with
            # static pods cannot wait for that: the API server may be one of them.
            await self._around.informers.wait_for_sync()
        self.workers.attach(group)
        group.create_task(self.pleg.run_events(), name="container events")
        group.create_task(self.pleg.run_relist(), name="relist")
        if self._static is not None:
            period = seconds_of(self.config.file_check_frequency)
            group.create_task(every(period, "static pods", self._read_static), name="static pods")
            group.create_task(every(_MIRROR_SECONDS, "mirror pods", self._sync_mirrors), name="mirror pods")
        await self._around.informers.wait_for_sync()
        group.create_task(every(_SWEEP_SECONDS, "housekeeping", self._sweep), name="housekeeping")
        if self._around.host_pods:
            self._start_machine_care(group)

    def _start_machine_care(self, group: asyncio.TaskGroup) -> None:
        config, runtime = self.config, self._around.runtime
        images = ImageCollector(runtime, config.image_gc_high_threshold, config.image_gc_low_threshold)
        logs = LogRotation(runtime, quantity.to_int(config.container_log_max_size), config.container_log_max_files)
        limits = eviction.thresholds(config.eviction_hard)

        async def rotate() -> None:
            await logs.rotate([worker.record for worker in self.workers.all()])

        async def evict() -> None:
            await self._evict(limits)

        for seconds, name, work in (
            (_IMAGE_SECONDS, "image garbage collection", images.collect),
            (_EVICTION_SECONDS, "log rotation", rotate),
            (_EVICTION_SECONDS, "eviction", evict),
        ):
            group.create_task(every(seconds, name, work), name=name)

    async def _runtime_answers(self) -> bool:
        try:
            version = await self._around.runtime.version()
        except RuntimeProblem as problem:
            logger.info("waiting for the container runtime: %s", problem)
            return False
        name = f"{version.runtime_name}://{version.runtime_version}"
        self.reporter.identity = replace(self.reporter.identity, runtime_version=name)
        return True

    async def _watch_runtime(self) -> None:
        await self.health.look()
        # A node that is not ready yet is waited for: its network is configured within seconds of its registration.
        well = not (self.health.problem or self.health.network_problem)
        await self._around.clock.sleep(_HEALTH_SECONDS if well else _IMPATIENT_SECONDS)

    async def _keep_lease(self) -> None:
        await self.lease.renew()
        await self._around.clock.sleep(self.lease.period)

    async def _keep_status(self, frequency: float) -> None:
        if self.config.register_node or self._shown() is not None:
            await self.reporter.report()
        self._poked.clear()
        try:
            async with asyncio.timeout(frequency):
                await self._poked.wait()
        except TimeoutError:
            pass

    def _poke_status(self) -> None:
        self._poked.set()

    async def _sweep(self) -> None:
        self._around.cgroups.set_level_shares(self.workers.active())
        try:
            await self.housekeeping.sweep()
        except RuntimeProblem as problem:
            logger.debug("housekeeping: %s", problem)

    async def _read_static(self) -> None:
        if self._static is not None:
            self._static.read()

    async def _sync_mirrors(self) -> None:
        if self._mirrors is not None and self._shown() is not None:
            await self._mirrors.sync()

    def _mirror_of(self, pod: Json) -> Json | None:
        return self._mirrors.status_target(pod) if self._mirrors is not None else None

    # ---- the node's state

    def _shown(self) -> Json | None:
        return self._node_shown.get(ObjectKey("", self.identity.name))

    def _problem(self) -> str:
        problems = [text for text in (self.health.problem, self.health.network_problem_of_node) if text]
        return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]" if problems else ""

    def _node_event(self, type_: str, reason: str, message: str) -> None:
        # Upstream's uid of a node in events is its name; `kubectl describe node` looks for that.
        name = self.identity.name
        self.recorder.event_about({"kind": "Node", "name": name, "uid": name}, type_, reason, message)

    async def _evict(self, limits: dict[str, str]) -> None:
        filesystems = await self._around.runtime.image_filesystems()
        place = filesystems[0].fs_id.mountpoint if filesystems else ""
        problems = eviction.crossed(limits, eviction.observe(self.folders.root, place))
        before, self._pressure = self._pressure, eviction.pressure_of(problems)
        if before != self._pressure:
            self._poke_status()
        memory = next((problem for problem in problems if problem.resource == "memory"), None)
        if memory is not None:
            await self._evict_for_memory(memory)

    async def _evict_for_memory(self, problem: eviction.Crossed) -> None:
        usage: dict[str, int] = {}
        for sample in await self._around.runtime.container_stats():
            uid = sample.attributes.labels.get("io.kubernetes.pod.uid", "")
            usage[uid] = usage.get(uid, 0) + sample.memory.working_set_bytes.value
        candidates = [worker.pod for worker in self.workers.all() if worker.state is PodState.SYNCING]
        chosen = eviction.first_to_go(candidates, usage)
        if chosen is None:
            return
        self.recorder.event(chosen, PODS, "Warning", "Evicted", problem.message())
        self.workers.stop(meta.uid_of(chosen), Stop(grace=0, reason="Evicted", message=problem.message()))
