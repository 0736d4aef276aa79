"""A profile that takes the time of its plugins; it stands in for the plain one in one attempt of ten.

So measuring costs the other nine nothing, not even the question whether to measure (upstream asks it at every plugin:
runtime/framework.go, pluginMetricsSamplePercent).
"""

import time
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Final

from scheduler import metrics
from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import Code, CycleState, Diagnosis, Status
from scheduler.pods import Pod
from scheduler.runtime import Binder, Enabled, Runtime

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


class _Timed:
    """A plugin whose methods are timed."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plugin, name)
        point = _POINTS.get(name)
        if point is not None:
            found = _timed(found, self._plugin.name, point)
            setattr(self, name, found)
        return found


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
