"""When a pod counts as available: ready for long enough. Pure; shared by the controllers of workloads."""

from datetime import datetime

from machinery.api import pods, times
from machinery.api.codec import Json


def seconds_until_available(pod: Json, min_ready_seconds: int, now: datetime) -> float | None:
    """0 when the pod is available, seconds to wait when it is ready too short a time, None when it is not ready.

    Upstream: pkg/api/v1/pod/util.go, IsPodAvailable.
    """
    condition = pods.ready_condition(pod)
    if condition is None or condition.get("status") != "True":
        return None
    if not min_ready_seconds:
        return 0.0
    since = condition.get("lastTransitionTime")
    if not since:
        return float(min_ready_seconds)
    return max(0.0, min_ready_seconds - (now - times.parse(since)).total_seconds())


def is_available(pod: Json, min_ready_seconds: int, now: datetime) -> bool:
    """Whether the pod has been ready for at least so many seconds."""
    return seconds_until_available(pod, min_ready_seconds, now) == 0
