"""Pod workers on a real containerd without an API server: pods are handed in, statuses and events are kept."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubelet.cgroups import LinuxCgroups
from kubelet.cri.client import CriClient
from kubelet.images import ImageManager
from kubelet.lifecycle import Hooks
from kubelet.pleg import Pleg
from kubelet.pod_events import PodEvents
from kubelet.pod_files import NodeFolders
from kubelet.pod_records import PodRecords
from kubelet.pod_runtime import PodRuntime, RuntimeParts
from kubelet.pod_workers import PodWorkers, WorkerParts
from kubelet.probes import ProbeManager
from kubelet.probing import Prober
from kubelet.sandbox_config import ClusterDns
from kubelet.volumes.manager import VolumeManager
from machinery.api import meta
from machinery.api.codec import Json
from tests.integration.kubelet.machine import BUSYBOX_IMAGE, Machine


class Statuses:
    """Keeps what would be written to the API server."""

    def __init__(self) -> None:
        self.by_uid: dict[str, Json] = {}
        self.history: dict[str, list[Json]] = {}
        self.off: set[str] = set()

    def latest(self, pod: Json) -> Json:
        status = self.by_uid.get(meta.uid_of(pod))
        return {**pod, "status": status} if status else pod

    def set(self, pod: Json, status: Json) -> None:
        self.by_uid[meta.uid_of(pod)] = status
        self.history.setdefault(meta.uid_of(pod), []).append(status)

    def off_the_node(self, pod: Json) -> None:
        self.off.add(meta.uid_of(pod))

    def forget(self, uid: str) -> None:
        pass


class Objects:
    """ConfigMaps and Secrets by name."""

    def __init__(self) -> None:
        self.config_maps: dict[str, Json] = {}
        self.secrets: dict[str, Json] = {}

    async def config_map(self, namespace: str, name: str) -> Json | None:
        return self.config_maps.get(name)

    async def secret(self, namespace: str, name: str) -> Json | None:
        return self.secrets.get(name)

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        return f"token-for-{audience}"


class View:
    """A node with room."""

    def node(self) -> Json:
        return {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}}

    def host_ips(self) -> tuple[str, ...]:
        return ("10.240.7.1",)

    def allocatable(self) -> dict[str, str]:
        return {"cpu": "2", "memory": "4Gi", "pods": "110"}

    def services(self) -> tuple[Json, ...]:
        return ()

    def problem_with_start(self, pod: Json) -> str:
        return ""


class Node:
    """The workers and what they leave behind."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.runtime = CriClient(machine.endpoint)
        self.folders = NodeFolders(Path(machine.folder / "kubelet"), Path(machine.folder / "logs"))
        self.statuses = Statuses()
        self.objects = Objects()
        self.events: list[tuple[str, str, str]] = []  # fieldPath, reason, message
        events = PodEvents(self._record)
        self.prober = Prober(self.runtime)
        cgroups = LinuxCgroups(machine.cgroup_root)
        cgroups.prepare()
        self.probes = ProbeManager(self.prober, events, lambda uid: self.workers.wake(uid))
        self.records = PodRecords(self.runtime)
        parts = RuntimeParts(
            self.runtime,
            self.records,
            ImageManager(self.runtime, events),
            Hooks(self.prober),
            events,
            self.folders,
            ClusterDns(("10.96.0.10",)),
            8 << 30,
        )
        self.workers = PodWorkers(
            WorkerParts(
                runtime=PodRuntime(parts),
                volumes=VolumeManager(self.folders.volumes, self.objects),
                probes=self.probes,
                statuses=self.statuses,
                cgroups=cgroups,
                folders=self.folders,
                objects=self.objects,
                events=events,
                node=View(),
            )
        )
        self.pleg = Pleg(self.runtime, self.workers.wake)

    def _record(self, reference: Json, type_: str, reason: str, message: str) -> None:
        self.events.append((reference.get("fieldPath", ""), reason, message))

    def status(self, pod: Json) -> Json:
        return self.statuses.by_uid.get(meta.uid_of(pod), {})

    async def until(self, what: Callable[[], Any], seconds: float = 20.0) -> None:
        """Wait for something to become true."""
        try:
            async with asyncio.timeout(seconds):
                while not what():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not in {seconds} s; events: {self.events}; {self.statuses.by_uid}") from None

    async def shell(self, pod: Json, script: str, container: str = "main") -> str:
        """Run a script in a container of the pod."""
        record = await self.records.read(meta.uid_of(pod))
        latest = record.latest(container)
        assert latest is not None
        answer = await self.runtime.exec_sync(latest.id, ["sh", "-c", script], 10)
        assert answer.exit_code == 0, (answer.stdout, answer.stderr)
        return answer.stdout.decode()

    def delete(self, pod: Json, grace: int = 5) -> Json:
        """The API marks the pod as being deleted."""
        deleted = {
            **pod,
            "metadata": {
                **pod["metadata"],
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": grace,
            },
        }
        self.workers.update(deleted)
        return deleted


@asynccontextmanager
async def running_node(machine: Machine) -> AsyncIterator[Node]:
    """A node whose workers live inside the context; containers outlive it."""
    node = Node(machine)
    try:
        async with asyncio.TaskGroup() as group:
            node.probes.attach(group)
            node.workers.attach(group)
            relist = group.create_task(node.pleg.run_relist())
            try:
                yield node
            finally:
                for task in asyncio.all_tasks():
                    if task is not asyncio.current_task() and task.get_name().startswith(
                        ("pod ", "step ", "Readiness", "Liveness", "Startup")
                    ):
                        task.cancel()
                relist.cancel()
    finally:
        await node.prober.close()
        await node.runtime.close()


def pod(name: str = "web", **spec: Any) -> Json:
    """A pod of one busybox that sleeps, with whatever the spec says on top."""
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"],
    }
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": str(uuid.uuid4()), "labels": {"app": name}},
        "spec": {
            "nodeName": "n1",
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 5,
            "containers": [container],
            **spec,
        },
    }
