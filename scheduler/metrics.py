"""The scheduler's metrics, under upstream's names, labels and buckets (pkg/scheduler/metrics/metrics.go)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


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
_AFTER_FLUSH: Final = Counter(
    "scheduler_pod_scheduled_after_flush",
    "Number of pods that were successfully scheduled after being flushed from unschedulableEntities due to timeout.",
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
_CACHE: Final = Gauge("scheduler_cache_size", "Nodes, pods and assumed pods in the cache.", ["type"])
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
_EVENT_SECONDS: Final = Histogram(
    "scheduler_event_handling_duration_seconds",
    "Event handling latency in seconds; of one event in ten.",
    ["event"],
    buckets=_exponential(0.0001, 2, 12),
)
_HINT_SECONDS: Final = Histogram(
    "scheduler_queueing_hint_execution_duration_seconds",
    "Duration for running a queueing hint function of a plugin; of one question in ten.",
    ["plugin", "event", "hint"],
    buckets=_exponential(0.00001, 1.5, 20),
)
_TASKS: Final = Gauge(
    "scheduler_goroutines", "Number of running goroutines split by the work they do such as binding.", ["operation"]
)
_MOST_ATTEMPTS: Final = 15


class _Counts(Collector):
    """What is counted too often for a metric, or not at all before somebody asks."""

    def __init__(self) -> None:
        #: by profile and extension point: of each plugin
        self.evaluations: dict[tuple[str, str], defaultdict[str, int]] = {}
        self.events: Callable[[], Mapping[str, int]] = dict

    def collect(self) -> Iterable[Metric]:
        """As things are."""
        evaluated = CounterMetricFamily(
            "scheduler_plugin_evaluation",
            "Number of attempts to schedule pods by each plugin and the extension point "
            "(available only in PreFilter, Filter, PreScore, and Score).",
            labels=["plugin", "extension_point", "profile"],
        )
        for (profile, point), counts in self.evaluations.items():
            for plugin, count in counts.items():
                evaluated.add_metric([plugin, point, profile], count)
        tracked = GaugeMetricFamily(
            "scheduler_inflight_events", "Number of events currently tracked in the scheduling queue.", labels=["event"]
        )
        for event, count in self.events().items():
            tracked.add_metric([event], count)
        return evaluated, tracked


_counts: Final = _Counts()
REGISTRY.register(_counts)


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


def watch_tasks(operation: str, count: Callable[[], float]) -> None:
    """Ask `count` for the number of tasks (upstream: goroutines) that do something whenever somebody looks."""
    _TASKS.labels(operation).set_function(count)


def watch_events(count: Callable[[], Mapping[str, int]]) -> None:
    """Ask `count` for the number of remembered events, by their names, whenever somebody looks."""
    _counts.events = count


def evaluations(profile: str, point: str) -> defaultdict[str, int]:
    """How often each plugin was asked at an extension point: to count in; the same for all who run a profile."""
    return _counts.evaluations.setdefault((profile, point), defaultdict(int))


def observe(result: str, profile: str, seconds: float) -> None:
    """One attempt: scheduled, unschedulable or error."""
    _child(_ATTEMPTS, result, profile).inc()
    _child(_ATTEMPT_SECONDS, result, profile).observe(seconds)
    if result != "error":
        _ALGORITHM_SECONDS.observe(seconds)


def bound(attempts: int, seconds: float, *, after_flush: bool) -> None:
    """A pod is bound, so many attempts and seconds after it was queued; perhaps no event had helped it."""
    if after_flush:
        _AFTER_FLUSH.inc()
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


def handled(event: str, seconds: float) -> None:
    """The scheduler has taken note of an event."""
    _child(_EVENT_SECONDS, event).observe(seconds)


def hinted(plugin: str, event: str, hint: str, seconds: float) -> None:
    """A plugin has said whether an event helps: Queue, QueueSkip, or Error."""
    _child(_HINT_SECONDS, plugin, event, hint).observe(seconds)
