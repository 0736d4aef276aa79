"""A profile that takes the time of its plugins; it stands in for the plain one in one attempt of ten.

So measuring costs the other nine nothing, not even the question whether to measure (upstream asks it at every plugin:
runtime/framework.go, pluginMetricsSamplePercent). Of events, too, one in ten is timed.
"""

import time
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from itertools import count
from typing import Any, Final

from machinery.api.codec import Json
from machinery.client.informer import OnChange
from scheduler import metrics
from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import ClusterEvent, Code, CycleState, Diagnosis, Status
from scheduler.pods import Pod
from scheduler.runtime import Binder, Enabled, Runtime

#: attempts, events and questions one of which is measured
MEASURED_OF: Final = 10
#: method → upstream's name of the extension point
_POINTS: Final[Mapping[str, str]] = {
    "pre_filter": "PreFilter",
    "filter": "Filter",
    "post_filter": "PostFilter",
    "pre_score": "PreScore",
    "score": "Score",
    "normalize": "ScoreExtensionNormalize",
    "reserve": "Reserve",
    "permit": "Permit",
    "pre_bind": "PreBind",
    "bind": "Bind",
    "post_bind": "PostBind",
}
#: what plugins are asked besides
_OTHERS: Final = ("pre_enqueue", "sort_key", "unreserve", "helps")


class _Timed:
    """A plugin whose methods are timed."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        for name in (*_POINTS, *_OTHERS):  # each is set: from Python 3.12 on, protocols do not ask __getattr__
            found = getattr(plugin, name, None)
            if found is not None:
                setattr(self, name, _timed_by_name(found, plugin.name, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plugin, name)


def _timed_by_name(method: Callable[..., Any], plugin: str, name: str) -> Callable[..., Any]:
    if name == "helps":
        return _timed_hint(method, plugin)
    return _timed(method, plugin, _POINTS[name]) if name in _POINTS else method


def _timed_hint(method: Callable[[Pod, ClusterEvent], bool], plugin: str) -> Callable[[Pod, ClusterEvent], bool]:
    def asked(pod: Pod, event: ClusterEvent) -> bool:
        started, hint = time.perf_counter(), "Error"
        try:
            helps = method(pod, event)
            hint = "Queue" if helps else "QueueSkip"
        finally:
            metrics.hinted(plugin, event.label, hint, time.perf_counter() - started)
        return helps

    return asked


def _timed(method: Callable[..., Any], plugin: str, point: str) -> Callable[..., Any]:
    async def waited(*args: Any) -> Any:
        started = time.perf_counter()
        answer = await method(*args)
        metrics.plugin_took(plugin, point, _status(answer), time.perf_counter() - started)
        return answer

    def called(*args: Any) -> Any:
        started = time.perf_counter()
        answer = method(*args)
        metrics.plugin_took(plugin, point, _status(answer), time.perf_counter() - started)
        return answer

    return waited if iscoroutinefunction(method) else called


def timed_handler(handle: OnChange, event_of: Callable[[Json | None, Json | None], ClusterEvent]) -> OnChange:
    """A handler of changes that is timed once in ten times, the first time among them."""
    turns = count()

    def handler(old: Json | None, new: Json | None) -> None:
        if next(turns) % MEASURED_OF:
            handle(old, new)
            return
        started = time.perf_counter()
        handle(old, new)
        metrics.handled(event_of(old, new).label, time.perf_counter() - started)

    return handler


def _status(answer: object) -> str:
    return answer.code.value if isinstance(answer, Status) else Code.SUCCESS.value


class MeasuredRuntime(Runtime):
    """The same plugins, timed. It makes the same choices as the one that it stands in for: they share their chance."""

    def __init__(self, plain: Runtime) -> None:
        points = {
            point: [Enabled(_as_plugin(one), one.weight) for one in many] for point, many in plain.enabled.items()
        }
        super().__init__(plain.scheduler_name, points)
        self._random = plain._random  # noqa: SLF001  (it is its other half)

    def find_fits(self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis) -> Mask:
        """Timed as the filters'."""
        started = time.perf_counter()
        fits = super().find_fits(state, pod, nodes, diagnosis)
        self._took("Filter", Code.SUCCESS if fits.any() else Code.UNSCHEDULABLE, started)
        return fits

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Vector:
        """Timed."""
        started = time.perf_counter()
        scores = super().score(state, pod, nodes, fits)
        self._took("Score", Code.SUCCESS, started)
        return scores

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Timed."""
        started = time.perf_counter()
        status = super().reserve(state, pod, node)
        self._took("Reserve", status.code, started)
        return status

    def permit(self, state: CycleState, pod: Pod, node: str) -> tuple[Status, Mapping[str, float]]:
        """Timed."""
        started = time.perf_counter()
        status, waits = super().permit(state, pod, node)
        self._took("Permit", status.code, started)
        return status, waits

    async def bind(self, state: CycleState, pod: Pod, node: str, binder: Binder | None = None) -> Status:
        """Timed."""
        started = time.perf_counter()
        status = await super().bind(state, pod, node, binder)
        self._took("Bind", status.code, started)
        return status

    def _took(self, point: str, code: Code, started: float) -> None:
        metrics.point_took(point, code.value, self.scheduler_name, time.perf_counter() - started)


def _as_plugin(one: Enabled) -> Any:
    return _Timed(one.plugin)
