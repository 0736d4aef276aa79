"""The scheduler's metrics: upstream's names (pkg/scheduler/metrics/metrics.go), the ones dashboards ask for."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS: Final = Counter(
    "scheduler_schedule_attempts", "Attempts to place a pod, by result and profile.", ["result", "profile"]
)
ATTEMPT_SECONDS: Final = Histogram(
    "scheduler_scheduling_attempt_duration_seconds",
    "Time to choose a node for a pod.",
    ["result", "profile"],
    buckets=[0.0001 * 2**power for power in range(15)],
)
_PENDING: Final = Gauge("scheduler_pending_pods", "Pods that wait for a node, by queue.", ["queue"])


def watch_pending(queue: str, count: Callable[[], float]) -> None:
    """Ask `count` for the number of waiting pods whenever somebody looks."""
    _PENDING.labels(queue).set_function(count)


def observe(result: str, profile: str, seconds: float) -> None:
    """One attempt: scheduled, unschedulable or error."""
    ATTEMPTS.labels(result, profile).inc()
    ATTEMPT_SECONDS.labels(result, profile).observe(seconds)
