"""Whether the node runs out of memory, disk or process ids, and which pod has to go first. Ending it is the workers'.

Upstream: pkg/kubelet/eviction (helpers.go, eviction_manager.go): hard thresholds only.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubelet.node_status import Pressure
from machinery.api import meta, pods, quantity
from machinery.api.codec import Json
from machinery.component.flags import FlagError

SIGNALS: Final = (
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
)
_RESOURCES: Final = {"memory.available": "memory", "pid.available": "pids"}
_CRITICAL: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Observation:
    """What there is of something, and of how much."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Crossed:
    """A threshold that is crossed."""

    signal: str
    threshold: str
    available: int

    @property
    def resource(self) -> str:
        """As the message names it."""
        return _RESOURCES.get(self.signal, "ephemeral-storage")

    def message(self) -> str:
        """The evicted pod's status.message."""
        amount = quantity.canonical(f"{self.available // 1024}Ki") if self.resource != "pids" else str(self.available)
        return (
            f"The node was low on resource: {self.resource}. "
            f"Threshold quantity: {self.threshold}, available: {amount}. "
        )


def thresholds(text: str) -> dict[str, str]:
    """--eviction-hard; raises FlagError."""
    result: dict[str, str] = {}
    for part in text.split(","):
        if not part:
            continue
        signal, less, value = part.partition("<")
        if not less or signal not in SIGNALS:
            raise FlagError(f"unsupported eviction signal {signal}")
        result[signal] = value
    return result


def crossed(limits: Mapping[str, str], observed: Mapping[str, Observation]) -> list[Crossed]:
    """Which thresholds are crossed."""
    result = []
    for signal, limit in limits.items():
        seen = observed.get(signal)
        if seen is not None and seen.available < _amount(limit, seen.capacity):
            result.append(Crossed(signal, limit, seen.available))
    return result


def _amount(limit: str, capacity: int) -> int:
    if limit.endswith("%"):
        return int(capacity * float(limit[:-1]) / 100)
    return quantity.to_int(limit)


def pressure_of(problems: Iterable[Crossed]) -> Pressure:
    """The node's pressure conditions."""
    signals = {problem.signal for problem in problems}
    return Pressure(
        memory="memory.available" in signals,
        disk=any(signal.startswith(("nodefs", "imagefs")) for signal in signals),
        pids="pid.available" in signals,
    )


def first_to_go(candidates: Iterable[Json], usage: Mapping[str, int]) -> Json | None:
    """The pod to evict for memory, by uid → bytes in use: over its request first, then priority, then by how much."""

    def rank(pod: Json) -> tuple[bool, int, int]:
        used, asked = usage.get(meta.uid_of(pod), 0), pods.requests_of(pod).get("memory", 0)
        return used <= asked, (pod.get("spec") or {}).get("priority") or 0, asked - used

    may_go = [pod for pod in candidates if ((pod.get("spec") or {}).get("priority") or 0) < _CRITICAL]
    return min((pod for pod in may_go if not pods.is_static(pod)), key=rank, default=None)


def observe(root: Path, image_place: str) -> dict[str, Observation]:
    """What this machine has now."""
    result = {"memory.available": _memory(), "pid.available": _pids()}
    for name, place in (("nodefs", str(root)), ("imagefs", image_place or str(root))):
        try:
            disk = os.statvfs(place)
        except OSError:
            continue
        result[f"{name}.available"] = Observation(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
        if disk.f_files:
            result[f"{name}.inodesFree"] = Observation(disk.f_favail, disk.f_files)
    return result


def _memory() -> Observation:
    fields = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024
    return Observation(fields.get("MemAvailable", 0), fields.get("MemTotal", 0))


def _pids() -> Observation:
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return Observation(most - running, most)
