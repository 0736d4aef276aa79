"""The server's own metrics, under upstream's names (apiserver/pkg/endpoints/metrics). Exposing them is `pages`."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.fairness.queues import Dispatcher
from apiserver.filters.in_flight import InFlightFilter
from apiserver.filters.request_info import is_long_running
from apiserver.registry.store import Store
from apiserver.request import RequestInfo

_LABELS: Final = ("verb", "group", "version", "resource", "subresource", "scope")
_REQUESTS: Final = Counter(
    "apiserver_request_total",
    "Requests by what they were and how they ended.",
    (*_LABELS, "code", "component", "dry_run"),
)
_SECONDS: Final = Histogram(
    "apiserver_request_duration_seconds",
    "How long requests took, long-running ones left out.",
    _LABELS,
    buckets=(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
_IN_FLIGHT: Final = Gauge("apiserver_current_inflight_requests", "Requests under way.", ("request_kind",))
_LONG_RUNNING: Final = Gauge("apiserver_longrunning_requests", "Watches, logs and tunnels under way.")
_OBJECTS: Final = Gauge("apiserver_storage_objects", "Objects in the watch cache, by resource.", ("resource",))
_TASKS: Final = Gauge("asyncio_tasks", "Tasks of the event loop; more than there is to do would be a leak.")

#: the children of the metrics by labels: looking them up in the library costs more than counting
_counters: dict[tuple[str, ...], Counter] = {}
_histograms: dict[tuple[str, ...], Histogram] = {}


def follow(counts: InFlightFilter) -> None:
    """Show what a filter counts, as it is when somebody asks."""
    _IN_FLIGHT.labels("readOnly").set_function(lambda: counts.reading)
    _IN_FLIGHT.labels("mutating").set_function(lambda: counts.changing)
    _LONG_RUNNING.set_function(lambda: counts.long_running)
    _TASKS.set_function(lambda: len(asyncio.all_tasks()))


def follow_levels(dispatcher: Dispatcher) -> None:
    """Show how the priority levels fare."""
    _levels.append(dispatcher)


class _Levels(Collector):
    """Priority levels come and go: they are looked at when somebody asks."""

    def collect(self) -> Iterable[Metric]:
        """Upstream's apiserver_flowcontrol_… metrics."""
        prefix, labels = "apiserver_flowcontrol", ["priority_level"]
        executing = GaugeMetricFamily(f"{prefix}_current_executing_requests", "Under way.", labels=labels)
        waiting = GaugeMetricFamily(f"{prefix}_current_inqueue_requests", "Waiting for a turn.", labels=labels)
        seats = GaugeMetricFamily(f"{prefix}_nominal_limit_seats", "Seats of its own.", labels=labels)
        begun = CounterMetricFamily(f"{prefix}_dispatched_requests", "Begun so far.", labels=labels)
        refused = CounterMetricFamily(f"{prefix}_rejected_requests", "Refused so far.", labels=[*labels, "reason"])
        for name, level in ((name, level) for one in _levels for name, level in one.levels.items()):
            executing.add_metric([name], level.executing)
            waiting.add_metric([name], level.waiting)
            seats.add_metric([name], level.limits.seats)
            begun.add_metric([name], level.dispatched)
            for reason, count in level.refused.items():
                refused.add_metric([name, reason], count)
        return executing, waiting, seats, begun, refused


_levels: list[Dispatcher] = []
REGISTRY.register(_Levels())


def count_objects(stores: Iterable[Store]) -> None:
    """Show how many objects the stores have."""
    for store in stores:
        _OBJECTS.labels(store.resource.kind.resource).set_function(partial(len, store.collection))


def observe(info: RequestInfo, code: int, seconds: float) -> None:
    """One request has ended."""
    labels = (info.verb.upper(), info.group, info.version, info.resource, info.subresource, _scope(info))
    counted = (*labels, str(code), "apiserver", "")
    counter = _counters.get(counted)
    if counter is None:
        counter = _counters[counted] = _REQUESTS.labels(*counted)
    counter.inc()
    if is_long_running(info):
        return
    histogram = _histograms.get(labels)
    if histogram is None:
        histogram = _histograms[labels] = _SECONDS.labels(*labels)
    histogram.observe(seconds)


def _scope(info: RequestInfo) -> str:
    if info.name:
        return "resource"
    return "namespace" if info.namespace else "cluster"
