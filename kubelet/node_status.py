"""The Node object: registration, capacity, addresses, conditions, written when they change. The Lease is `lease`.

Upstream: pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus/setters.go.
"""

import logging
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta, quantity, times
from machinery.api.codec import Json
from machinery.api.kinds import NODES
from machinery.client.rest import STRATEGIC_PATCH, Client

logger = logging.getLogger(__name__)

KUBELET_VERSION: Final = "v1.37.0+skiff.0.1.0"
_REPORT_SECONDS: Final = 300.0
_EVICTION_MEMORY: Final = 100 << 20
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the node has: cpu in whole cores, memory and disk in bytes."""

    cpu: int
    memory: int
    disk: int
    pods: int

    def listed(self) -> dict[str, str]:
        """As status.capacity."""
        return {
            "cpu": str(self.cpu),
            "ephemeral-storage": f"{self.disk // 1024}Ki",
            "memory": f"{self.memory // 1024}Ki",
            "pods": str(self.pods),
        }

    def allocatable(self, reserved: Mapping[str, str]) -> dict[str, str]:
        """Without what is reserved for the system and what eviction keeps free."""
        milli = self.cpu * 1000 - quantity.to_milli(reserved.get("cpu", "0"))
        memory = self.memory - _EVICTION_MEMORY - quantity.to_int(reserved.get("memory", "0"))
        disk = self.disk * 9 // 10 - quantity.to_int(reserved.get("ephemeral-storage", "0"))
        return {
            "cpu": str(milli // 1000) if milli % 1000 == 0 else f"{milli}m",
            "ephemeral-storage": str(max(disk, 0)),
            "memory": f"{max(memory, 0) // 1024}Ki",
            "pods": str(self.pods),
        }


def machine_capacity(root: Path, most_pods: int) -> Capacity:
    """What this machine has."""
    disk = os.statvfs(root)
    return Capacity(os.cpu_count() or 1, machine_memory(), disk.f_blocks * disk.f_frsize, most_pods)


def machine_memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What does not change while the kubelet runs."""

    name: str
    addresses: tuple[str, ...]
    port: int
    capacity: Capacity
    reserved: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Json, ...] = ()
    provider_id: str = ""
    runtime_version: str = "containerd://unknown"


@dataclass(frozen=True, slots=True)
class Pressure:
    """Whether the node runs out of something."""

    memory: bool = False
    disk: bool = False
    pids: bool = False


def default_labels(name: str) -> dict[str, str]:
    """The labels each node has."""
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    return {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }


def new_node(identity: NodeIdentity) -> Json:
    """The object to register, without a status."""
    node: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": identity.name,
            "labels": {**default_labels(identity.name), **identity.labels},
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {},
    }
    if identity.taints:
        node["spec"]["taints"] = [dict(taint) for taint in identity.taints]
    if identity.provider_id:
        node["spec"]["providerID"] = identity.provider_id
    return node


def node_info(identity: NodeIdentity) -> Json:
    """status.nodeInfo."""
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "bootID": _text("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": identity.runtime_version,
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": _text("/etc/machine-id"),
        "operatingSystem": "linux",
        "osImage": _os_image(),
        "systemUUID": _text("/sys/class/dmi/id/product_uuid") or _text("/etc/machine-id"),
    }


@cache
def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_image() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def conditions(old: list[Json] | None, problem: str, pressure: Pressure, now: str) -> list[Json]:
    """The kubelet's four conditions with fresh heartbeats, on top of those that others wrote."""
    ready = ("True", "KubeletReady", "kubelet is posting ready status")
    if problem:
        ready = ("False", "KubeletNotReady", problem)
    rows = (
        ("MemoryPressure", *_memory(pressure)),
        ("DiskPressure", *_disk(pressure)),
        ("PIDPressure", *_pids(pressure)),
        ("Ready", *ready),
    )
    result: list[Json] = list(old or ())
    for type_, status, reason, message in rows:
        condition = {
            "type": type_,
            "status": status,
            "lastHeartbeatTime": now,
            "reason": reason,
            "message": message,
        }
        result = meta.set_condition(result, condition, now)
    return result


def _memory(pressure: Pressure) -> tuple[str, str, str]:
    if pressure.memory:
        return "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"
    return "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"


def _disk(pressure: Pressure) -> tuple[str, str, str]:
    if pressure.disk:
        return "True", "KubeletHasDiskPressure", "kubelet has disk pressure"
    return "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"


def _pids(pressure: Pressure) -> tuple[str, str, str]:
    if pressure.pids:
        return "True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"
    return "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What changes, asked anew for each report."""

    problem: Callable[[], str]  # why the node is not ready, or empty
    pressure: Callable[[], Pressure]
    images: Callable[[], list[Json]]
    current: Callable[[], Json | None] = lambda: None  # the node as the API server shows it


#: (type, reason, message) of an event about the node
NodeEvent = Callable[[str, str, str], None]


class NodeReporter:
    """Registers the node and keeps its status."""

    def __init__(
        self, client: Client, identity: NodeIdentity, facts: NodeFacts, event: NodeEvent, clock: Clock = REAL
    ) -> None:
        self._client = client
        self.identity = identity
        self._facts = facts
        self._event = event
        self._clock = clock
        self._written_at = float("-inf")
        self._said: dict[str, str] = {}

    async def register(self) -> Json:
        """Create the node, or take over the one that is there; raises StatusError, ConnectionProblem."""
        wanted = new_node(self.identity)
        try:
            node = await self._client.create(NODES, {**wanted, "status": self._status({})})
            logger.info("registered node %s", self.identity.name)
            return node
        except errors.AlreadyExists:
            return await self._take_over(wanted)

    async def _take_over(self, wanted: Json) -> Json:
        node = await self._client.get(NODES, self.identity.name)
        labels = meta.labels_of(node)
        missing = {key: value for key, value in meta.labels_of(wanted).items() if labels.get(key) != value}
        if not missing:
            return node
        patch: Json = {"metadata": {"labels": missing}}
        return await self._client.patch(NODES, self.identity.name, "", patch, content_type=STRATEGIC_PATCH)

    async def report(self) -> None:
        """Write the status if it changed, or if five minutes are over; raises StatusError, ConnectionProblem."""
        node = self._facts.current()
        if node is None:
            node = await self.register()  # not seen yet, or somebody deleted it while we are alive
        old = node.get("status") or {}
        new = self._status(old)
        self._say_changes(new)
        overdue = self._clock.monotonic() - self._written_at >= _REPORT_SECONDS
        patch = _changes(old, new, heartbeat=overdue)
        if not patch:
            return
        await self._client.patch(
            NODES, self.identity.name, "", {"status": patch}, content_type=STRATEGIC_PATCH, subresource="status"
        )
        self._written_at = self._clock.monotonic()

    def _status(self, old: Json) -> Json:
        identity = self.identity
        now = times.rfc3339(self._clock.now())
        addresses = [{"type": "InternalIP", "address": ip} for ip in identity.addresses]
        return {
            "addresses": [*addresses, {"type": "Hostname", "address": identity.name}],
            "allocatable": identity.capacity.allocatable(identity.reserved),
            "capacity": identity.capacity.listed(),
            "conditions": conditions(old.get("conditions"), self._facts.problem(), self._facts.pressure(), now),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": identity.port}},
            "images": self._facts.images(),
            "nodeInfo": node_info(identity),
        }

    def _say_changes(self, status: Json) -> None:
        name = self.identity.name
        words = {
            ("MemoryPressure", "False"): "NodeHasSufficientMemory",
            ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
            ("DiskPressure", "False"): "NodeHasNoDiskPressure",
            ("DiskPressure", "True"): "NodeHasDiskPressure",
            ("PIDPressure", "False"): "NodeHasSufficientPID",
            ("PIDPressure", "True"): "NodeHasInsufficientPID",
            ("Ready", "True"): "NodeReady",
            ("Ready", "False"): "NodeNotReady",
        }
        for condition in status["conditions"]:
            word = words.get((condition["type"], condition["status"]))
            if word and self._said.get(condition["type"]) != word:
                self._said[condition["type"]] = word
                self._event("Normal", word, f"Node {name} status is now: {word}")


def _changes(old: Json, new: Json, *, heartbeat: bool) -> Json:
    patch = {key: value for key, value in new.items() if key != "conditions" and value != old.get(key)}
    own = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    changed = [
        condition
        for condition in new["conditions"]
        if condition["type"] in own and (heartbeat or _moved(old, condition))
    ]
    if changed:
        # All heartbeats move together, as they do upstream.
        patch["conditions"] = [one for one in new["conditions"] if one["type"] in own]
    return patch


def _moved(old: Json, condition: Json) -> bool:
    before = meta.find_condition(old.get("conditions"), condition["type"]) or {}
    return any(before.get(key) != condition.get(key) for key in ("status", "reason", "message"))
