"""CPU and memory of containers and the node, as /stats/summary and /metrics/resource show them.

Upstream: pkg/kubelet/server/stats, pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kubelet.cri import api_pb2 as api
from kubelet.sandbox_config import POD_NAME, POD_NAMESPACE, POD_UID
from machinery.api import times
from machinery.api.codec import Json

_JIFFY: Final = 10_000_000  # nanoseconds


@dataclass(frozen=True, slots=True)
class Sample:
    """One container now: cpu in nanoseconds since it began, memory in bytes."""

    namespace: str
    pod: str
    uid: str
    container: str
    at: int
    cpu: int
    memory: int


def join(measured: Iterable[api.ContainerStats], served: Sequence[Any]) -> list[Sample]:
    """What the runtime measured, of pods that are served."""
    known = {one.record.uid for one in served}
    samples = [_sample(stats) for stats in measured]
    return [sample for sample in samples if sample.uid in known]


def _sample(stats: api.ContainerStats) -> Sample:
    labels: Mapping[str, str] = stats.attributes.labels
    return Sample(
        labels.get(POD_NAMESPACE, ""),
        labels.get(POD_NAME, ""),
        labels.get(POD_UID, ""),
        stats.attributes.metadata.name,
        stats.cpu.timestamp,
        stats.cpu.usage_core_nano_seconds.value,
        stats.memory.working_set_bytes.value,
    )


def node_cpu() -> int:
    """Nanoseconds of CPU the machine has used since it started."""
    try:
        user, nice, system = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    except (OSError, ValueError):
        return 0
    return (int(user) + int(nice) + int(system)) * _JIFFY


def node_memory() -> tuple[int, int]:
    """Bytes of memory in use that cannot simply be dropped, and bytes available."""
    fields: dict[str, int] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024
    available = fields.get("MemAvailable", 0)
    return fields.get("MemTotal", 0) - available, available


def summary(node_name: str, samples: Iterable[Sample]) -> Json:
    """/stats/summary, its parts that metrics readers use."""
    now = times.rfc3339(times.now())
    used, available = node_memory()
    by_pod: dict[str, Json] = {}
    for sample in samples:
        reference = {"name": sample.pod, "namespace": sample.namespace, "uid": sample.uid}
        pod = by_pod.setdefault(sample.uid, {"podRef": reference, "containers": []})
        pod["containers"].append(_shown(sample))
    for pod in by_pod.values():
        pod["cpu"] = {
            "time": now,
            "usageCoreNanoSeconds": sum(c["cpu"]["usageCoreNanoSeconds"] for c in pod["containers"]),
        }
        pod["memory"] = {"time": now, "workingSetBytes": sum(c["memory"]["workingSetBytes"] for c in pod["containers"])}
    node = {
        "nodeName": node_name,
        "cpu": {"time": now, "usageCoreNanoSeconds": node_cpu()},
        "memory": {"time": now, "availableBytes": available, "workingSetBytes": used},
    }
    return {"node": node, "pods": list(by_pod.values())}


def _shown(sample: Sample) -> Json:
    at = times.rfc3339(datetime.fromtimestamp(sample.at / 1e9, UTC))
    return {
        "name": sample.container,
        "cpu": {"time": at, "usageCoreNanoSeconds": sample.cpu},
        "memory": {"time": at, "workingSetBytes": sample.memory},
    }


def resource_metrics(samples: Iterable[Sample]) -> str:
    """/metrics/resource, what metrics-server reads."""
    used, _ = node_memory()
    lines = [
        "# TYPE node_cpu_usage_seconds_total counter",
        f"node_cpu_usage_seconds_total {node_cpu() / 1e9}",
        "# TYPE node_memory_working_set_bytes gauge",
        f"node_memory_working_set_bytes {used}",
    ]
    chosen = list(samples)
    lines.append("# TYPE container_cpu_usage_seconds_total counter")
    lines += [f"container_cpu_usage_seconds_total{_labels(s)} {s.cpu / 1e9} {s.at // 1_000_000}" for s in chosen]
    lines.append("# TYPE container_memory_working_set_bytes gauge")
    lines += [f"container_memory_working_set_bytes{_labels(s)} {s.memory} {s.at // 1_000_000}" for s in chosen]
    return "\n".join(lines) + "\n"


def _labels(sample: Sample) -> str:
    return f'{{container="{sample.container}",namespace="{sample.namespace}",pod="{sample.pod}"}}'
