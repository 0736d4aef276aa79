"""Resource requests and limits as the kernel's numbers: shares, quota, bytes, oom_score_adj. Pure arithmetic.

Upstream: pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go.
"""

from dataclasses import dataclass
from typing import Final

from machinery.api import pods
from machinery.api.codec import Json

PERIOD: Final = 100_000  # microseconds
_LEAST_SHARES: Final = 2
_MOST_SHARES: Final = 262_144
_LEAST_QUOTA: Final = 1_000
_CRITICAL: Final = 2_000_000_000
_GUARANTEED_SCORE: Final = -997
_BEST_EFFORT_SCORE: Final = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cgroup is told. Quota (microseconds per PERIOD) and memory (bytes) are 0 for none."""

    shares: int = _LEAST_SHARES
    quota: int = 0
    memory: int = 0


def shares(milli: int) -> int:
    """cpu.shares of so many millicores."""
    return min(max(milli * 1024 // 1000, _LEAST_SHARES), _MOST_SHARES)


def quota(milli: int) -> int:
    """cpu quota of so many millicores, 0 for no limit."""
    return max(milli * PERIOD // 1000, _LEAST_QUOTA) if milli > 0 else 0


def weight(cpu_shares: int) -> int:
    """cgroup v2's cpu.weight for cpu.shares."""
    return 1 + ((cpu_shares - _LEAST_SHARES) * 9999) // (_MOST_SHARES - _LEAST_SHARES)


def of_container(container: Json) -> Limits:
    """A container's own limits; a request that is not given is its limit."""
    resources = container.get("resources") or {}
    limits = pods.amounts(resources.get("limits"))
    requests = limits | pods.amounts(resources.get("requests"))
    return Limits(shares(requests.get("cpu", 0)), quota(limits.get("cpu", 0)), limits.get("memory", 0))


def of_pod(pod: Json) -> Limits:
    """The pod's cgroup: its requests as shares; limits only where every container has one (ResourceConfigForPod)."""
    requests = pods.requests_of(pod)
    return Limits(shares(requests.get("cpu", 0)), quota(_limit_of_all(pod, "cpu")), _limit_of_all(pod, "memory"))


def _limit_of_all(pod: Json, name: str) -> int:
    whole = pods.amounts(((pod.get("spec") or {}).get("resources") or {}).get("limits"))
    if name in whole:
        return whole[name]
    mains = [_limit(container, name) for container in pods.containers_of(pod)]
    inits = [(pods.is_sidecar(c), _limit(c, name)) for c in pods.init_containers_of(pod)]
    if not all(mains) or not all(limit for _, limit in inits):
        return 0
    sidecars, peak = 0, 0
    for is_sidecar, limit in inits:
        sidecars += limit if is_sidecar else 0
        peak = max(peak, sidecars if is_sidecar else sidecars + limit)
    overhead = pods.amounts((pod.get("spec") or {}).get("overhead"))
    return max(sum(mains) + sidecars, peak) + overhead.get(name, 0)


def _limit(container: Json, name: str) -> int:
    return pods.amounts((container.get("resources") or {}).get("limits")).get(name, 0)


def oom_score_adj(pod: Json, container: Json, memory_capacity: int) -> int:
    """Who the kernel kills first; `memory_capacity` in bytes (GetContainerOOMScoreAdjust)."""
    if (pod.get("spec") or {}).get("priority", 0) >= _CRITICAL:
        return _GUARANTEED_SCORE
    quality = pods.qos_class(pod)
    if quality == "Guaranteed":
        return _GUARANTEED_SCORE
    if quality == "BestEffort":
        return _BEST_EFFORT_SCORE
    resources = container.get("resources") or {}
    asked = (pods.amounts(resources.get("limits")) | pods.amounts(resources.get("requests"))).get("memory", 0)
    score = 1000 - (1000 * asked) // max(memory_capacity, 1)
    # Between the guaranteed and the best-effort pods, never beside them.
    return min(max(score, 1000 + _GUARANTEED_SCORE), _BEST_EFFORT_SCORE - 1)
