"""The server's own metrics, under upstream's names (apiserver/pkg/endpoints/metrics). Exposing them is `pages`."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

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
