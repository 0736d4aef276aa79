"""The scheduler's metrics, under upstream's names, labels and buckets (pkg/scheduler/metrics/metrics.go)."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram


def _exponential(first: float, factor: float, count: int) -> list[float]:
    return [first * factor**power for power in range(count)]


_ATTEMPTS: Final = Counter(
    "scheduler_schedule_attempts", "Attempts to place a pod, by result and profile.", ["result", "profile"]
)
_ATTEMPT_SECONDS: Final = Histogram(
    "scheduler_scheduling_attempt_duration_seconds",
    "Time to choose a node for a pod.",
    ["result", "profile"],
    buckets=_exponential(0.0001, 2, 18),  # upstream begins at a millisecond, which is more than most attempts here take
)
_ALGORITHM_SECONDS: Final = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Time to filter and score the nodes for a pod.",
    buckets=_exponential(0.0001, 2, 18),
)
_SLI_SECONDS: Final = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "Time from a pod's first being queued to its being bound, by the number of attempts.",
    ["attempts"],
    buckets=_exponential(0.01, 2, 20),
)
_POD_ATTEMPTS: Final = Histogram(
    "scheduler_pod_scheduling_attempts", "Attempts that a bound pod took.", buckets=_exponential(1, 2, 5)
)
_POINT_SECONDS: Final = Histogram(
    "scheduler_framework_extension_point_duration_seconds",
    "Time of all plugins at an extension point; of one attempt in ten.",
    ["extension_point", "status", "profile"],
    buckets=_exponential(0.0001, 2, 12),
)
_PLUGIN_SECONDS: Final = Histogram(
    "scheduler_plugin_execution_duration_seconds",
    "Time of one plugin at an extension point; of one attempt in ten.",
    ["plugin", "extension_point", "status"],
    buckets=_exponential(0.00001, 1.5, 20),
)
_INCOMING: Final = Counter(
    "scheduler_queue_incoming_pods", "Pods that came into a queue, by what brought them.", ["queue", "event"]
)
_PENDING: Final = Gauge("scheduler_pending_pods", "Pods that wait for a node, by queue.", ["queue"])
_UNSCHEDULABLE: Final = Gauge(
    "scheduler_unschedulable_pods", "Pods that a plugin has turned down at their last attempt.", ["plugin", "profile"]
)
_CACHE: Final = Gauge("scheduler_scheduler_cache_size", "Nodes, pods and assumed pods in the cache.", ["type"])
_PREEMPTIONS: Final = Counter("scheduler_preemption_attempts", "Attempts to make room for a pod.")
_VICTIMS: Final = Histogram(
    "scheduler_preemption_victims", "Pods that had to make room.", buckets=_exponential(1, 2, 7)
)
_PERMIT_SECONDS: Final = Histogram(
    "scheduler_permit_wait_duration_seconds",
    "Time that pods waited for the leave to be bound.",
    ["result"],
    buckets=_exponential(0.001, 2, 15),
)
_MOST_ATTEMPTS: Final = 15


@cache
def _child(metric: Any, *labels: str) -> Any:
    """A metric with its labels; finding it costs more than counting does."""
    return metric.labels(*labels)


def watch_pending(queue: str, count: Callable[[], float]) -> None:
    """Ask `count` for the number of waiting pods whenever somebody looks."""
    _PENDING.labels(queue).set_function(count)


def watch_cache(what: str, count: Callable[[], float]) -> None:
    """Ask `count` for the number of nodes, pods or assumed_pods whenever somebody looks."""
    _CACHE.labels(what).set_function(count)


def observe(result: str, profile: str, seconds: float) -> None:
    """One attempt: scheduled, unschedulable or error."""
    _child(_ATTEMPTS, result, profile).inc()
    _child(_ATTEMPT_SECONDS, result, profile).observe(seconds)
    if result != "error":
        _ALGORITHM_SECONDS.observe(seconds)


def bound(attempts: int, seconds: float) -> None:
    """A pod is bound, so many attempts and seconds after it was queued."""
    label = str(attempts) if attempts < _MOST_ATTEMPTS else f"{_MOST_ATTEMPTS}+"
    _child(_SLI_SECONDS, label).observe(seconds)
    _POD_ATTEMPTS.observe(attempts)


def incoming(queue: str, event: str) -> None:
    """A pod came into a queue."""
    _child(_INCOMING, queue, event).inc()


def turned_down(plugin: str, profile: str, change: int) -> None:
    """So many pods more, or fewer, wait because of a plugin."""
    _child(_UNSCHEDULABLE, plugin, profile).inc(change)


def preempted(victims: int) -> None:
    """Room is made for a pod."""
    _PREEMPTIONS.inc()
    _VICTIMS.observe(victims)


def permitted(result: str, seconds: float) -> None:
    """A pod has waited for its leave, and has got it or not."""
    _child(_PERMIT_SECONDS, result).observe(seconds)


def point_took(point: str, status: str, profile: str, seconds: float) -> None:
    """All plugins of an extension point have answered."""
    _child(_POINT_SECONDS, point, status, profile).observe(seconds)


def plugin_took(plugin: str, point: str, status: str, seconds: float) -> None:
    """One plugin has answered."""
    _child(_PLUGIN_SECONDS, plugin, point, status).observe(seconds)
