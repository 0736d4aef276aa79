"""Runs a profile's plugins, extension point by extension point. Which plugins, and when, is decided elsewhere."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scheduler import metrics
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.framework import (
    OK,
    BindPlugin,
    ClusterEvent,
    Code,
    CycleState,
    Diagnosis,
    FilterPlugin,
    Filters,
    HintPlugin,
    NormalizeScorePlugin,
    Opinion,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    Rejected,
    ReservePlugin,
    ScorePlugin,
    SortKey,
    Status,
    Verdict,
)
from scheduler.nominations import Nominations
from scheduler.pods import Pod

logger = logging.getLogger(__name__)

#: upstream's name of each extension point, and the protocol a plugin takes part by
POINTS: Final[Mapping[str, type[Any]]] = {
    "preEnqueue": PreEnqueuePlugin,
    "queueSort": QueueSortPlugin,
    "preFilter": PreFilterPlugin,
    "filter": FilterPlugin,
    "postFilter": PostFilterPlugin,
    "preScore": PreScorePlugin,
    "score": ScorePlugin,
    "reserve": ReservePlugin,
    "permit": PermitPlugin,
    "preBind": PreBindPlugin,
    "bind": BindPlugin,
    "postBind": PostBindPlugin,
}


#: where metrics count how often plugins are asked
_COUNTED: Final = ("PreFilter", "Filter", "PreScore", "Score")
#: stands for a plugin where it was an extender that said no
EXTENDER: Final = "Extender"
#: filters that do not look at the pods of a node, and the one whose answer a trial knows by sums
_BLIND_TO_PODS: Final = frozenset(
    ("NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit")
)


#: binds a pod to a node instead of the plugins
Binder = Callable[[Pod, str], Awaitable[Status]]


@dataclass(frozen=True, slots=True)
class Enabled:
    """A plugin at one extension point; the weight matters for scores."""

    plugin: Plugin
    weight: int = 1


@dataclass(frozen=True, slots=True)
class _Scorer:
    name: str
    plugin: ScorePlugin
    normalizer: NormalizeScorePlugin | None
    weight: int


class NoFit(Exception):
    """No node takes the pod; the diagnosis says why."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.message())
        self.diagnosis = diagnosis


class Runtime:
    """One profile: its plugins at each extension point, in order."""

    def __init__(self, scheduler_name: str, plugins: Mapping[str, Sequence[Enabled]], seed: int | None = None) -> None:
        self.scheduler_name = scheduler_name
        self.enabled = plugins
        self._random = np.random.default_rng(seed)
        self._evaluated = {point: metrics.evaluations(scheduler_name, point) for point in _COUNTED}
        by_name = {one.plugin.name: one.plugin for many in plugins.values() for one in many}
        #: kinds that the plugins want to hear of beyond pods, nodes and services
        self.resources = frozenset(one for plugin in by_name.values() for one in getattr(plugin, "events", ()))
        self._hints = {name: plugin for name, plugin in by_name.items() if isinstance(plugin, HintPlugin)}
        at = {point: [one.plugin for one in plugins.get(point, ())] for point in POINTS}
        self.plugins: Mapping[str, list[str]] = {point: [one.name for one in many] for point, many in at.items()}
        # Sorted out once: a protocol check costs microseconds, and these lists are walked for every pod.
        self._pre_enqueue = [(one.name, one) for one in at["preEnqueue"] if isinstance(one, PreEnqueuePlugin)]
        self._queue_sort = [one for one in at["queueSort"] if isinstance(one, QueueSortPlugin)]
        self._pre_filters = [(one.name, one) for one in at["preFilter"] if isinstance(one, PreFilterPlugin)]
        self._filters = [(one.name, one) for one in at["filter"] if isinstance(one, FilterPlugin)]
        self._post_filters = [one for one in at["postFilter"] if isinstance(one, PostFilterPlugin)]
        self._pre_scores = [(one.name, one) for one in at["preScore"] if isinstance(one, PreScorePlugin)]
        self._scores = [_scorer(one) for one in plugins.get("score", ())]
        self._reserves = [(one.name, one) for one in at["reserve"] if isinstance(one, ReservePlugin)]
        self._permits = [(one.name, one) for one in at["permit"] if isinstance(one, PermitPlugin)]
        self._pre_binds = [(one.name, one) for one in at["preBind"] if isinstance(one, PreBindPlugin)]
        self._binds = [(one.name, one) for one in at["bind"] if isinstance(one, BindPlugin)]
        self._post_binds = [(one.name, one) for one in at["postBind"] if isinstance(one, PostBindPlugin)]

    # -- queue --------------------------------------------------------------------------------------------------------

    def pre_enqueue(self, pod: Pod) -> Status | None:
        """The first rejection, or None when the pod may be queued."""
        for name, plugin in self._pre_enqueue:
            status = plugin.pre_enqueue(pod)
            if status.code is not Code.SUCCESS:
                return Status(status.code, status.reasons, name)
        return None

    def sort_key(self, pod: Pod, queued_at: float) -> SortKey:
        """What the active queue is ordered by; first come, first served without a QueueSort plugin."""
        for plugin in self._queue_sort:
            return plugin.sort_key(pod, queued_at)
        return (queued_at,)

    def helps(self, pod: Pod, rejected_by: frozenset[str], event: ClusterEvent) -> bool:
        """Whether one of the plugins that turned the pod down thinks that an event changes that."""
        return any(self._hint(name, pod, event) for name in rejected_by)

    def _hint(self, name: str, pod: Pod, event: ClusterEvent) -> bool:
        plugin = self._hints.get(name)
        try:
            return plugin is None or plugin.helps(pod, event)
        except Exception:  # one pod too many is tried again; else it might wait for ever (upstream does so, too)
            logger.exception("plugin %s, asked whether %s helps %s", name, event.label, pod.key)
            return True

    # -- choosing a node ----------------------------------------------------------------------------------------------

    def choose(
        self,
        state: CycleState,
        pod: Pod,
        nodes: NodeTable,
        nominated: Nominations | None = None,
        opinion: Opinion | None = None,
    ) -> str:
        """The name of the best node; raises NoFit. Ties are broken by chance.

        Pods that are nominated to nodes and not less important count as if they were there; a node must do without
        them, too, for they may never come (upstream: RunFilterPluginsWithNominatedPods).
        """
        diagnosis = Diagnosis(total=nodes.count)
        fits = self.feasible(state, pod, nodes, nominated, diagnosis)
        if opinion is not None:
            fits = _as_told(opinion, nodes, fits, diagnosis)
        own = nodes.named((pod.obj.get("status") or {}).get("nominatedNodeName") or "") & fits
        rows = np.flatnonzero(own if own.any() else fits)
        if not len(rows):
            self._post_filter(state, pod, nodes, diagnosis, _Filters(self, nominated))
            raise NoFit(diagnosis)
        if len(rows) > 1:
            scores = self.score(state, pod, nodes, fits)[rows]
            if opinion is not None:
                scores += [opinion.scores.get(nodes.names[row], 0.0) for row in rows]
            rows = rows[scores == scores.max()]
        row = int(rows[self._random.integers(len(rows))])
        return nodes.names[row]

    def feasible(
        self, state: CycleState, pod: Pod, nodes: NodeTable, nominated: Nominations | None, diagnosis: Diagnosis
    ) -> Mask:
        """The nodes that every filter lets pass, beside what is nominated to them."""
        fits = self.find_fits(state, pod, nodes, diagnosis)
        if nominated is not None and nominated.any_before(pod) and fits.any():
            if self.only_resources_matter(state, pod):
                fits = _with_room_for(nominated, pod, nodes, fits, diagnosis)
            else:
                fits = fits & self._with_others(pod, nodes, diagnosis, nominated.before(pod))
        return fits

    def _with_others(self, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis, others: Sequence[tuple[Pod, str]]) -> Mask:
        added = [(other, node) for other, node in others if nodes.has(node)]
        for other, node in added:
            nodes.add_pod(other, node)
        try:
            return self.find_fits(CycleState(), pod, nodes, diagnosis)
        finally:
            for other, node in added:
                nodes.remove_pod(other, node)

    def find_fits(self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis) -> Mask:
        """The nodes that every filter lets pass; fills the diagnosis in with each node's first rejection."""
        fits = nodes.all()
        if not fits.any() or not self._pre_filter(state, pod, nodes, diagnosis):
            return nodes.none()
        diagnosis.unresolvable = nodes.none()
        evaluated = self._evaluated["Filter"]
        for name, plugin in self._filters:
            if name in state.skip_filter:
                continue
            evaluated[name] += 1
            verdict = _verdict(plugin, plugin.filter(state, pod, nodes))
            rejected = fits & ~verdict.fits
            if rejected.any():
                _note(diagnosis, name, verdict, rejected)
                fits &= verdict.fits
                if not fits.any():
                    break
        return fits

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Vector:
        """The weighted sum of all normalised scores."""
        evaluated = self._evaluated["PreScore"]
        for name, scorer in self._pre_scores:
            if scorer.pre_score(state, pod, nodes, fits).code is Code.SKIP:
                state.skip_score.add(name)
            else:
                evaluated[name] += 1
        total, evaluated = nodes.zeros(), self._evaluated["Score"]
        for one in self._scores:
            if one.name in state.skip_score:
                continue
            evaluated[one.name] += 1
            scores = one.plugin.score(state, pod, nodes)
            if one.normalizer is not None:
                scores = one.normalizer.normalize(state, scores, fits)
            total += scores * one.weight
        return total

    def _pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis) -> bool:
        evaluated = self._evaluated["PreFilter"]
        for name, plugin in self._pre_filters:
            status = plugin.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                state.skip_filter.add(name)
                continue
            evaluated[name] += 1
            if status.code is not Code.SUCCESS:
                diagnosis.plugins.add(name)
                diagnosis.pre_filter_message = status.message
                diagnosis.unresolvable = nodes.all() if status.code is Code.UNRESOLVABLE else nodes.none()
                return False
        return True

    def _post_filter(
        self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis, filters: Filters
    ) -> None:
        if not diagnosis.total:
            return
        messages = []
        for plugin in self._post_filters:
            status = plugin.post_filter(state, pod, nodes, diagnosis, filters)
            if status.message:
                messages.append(status.message)
            if status.code is Code.SUCCESS:
                break
        diagnosis.post_filter_message = ", ".join(messages)

    def fits(self, pod: Pod, nodes: NodeTable, row: int, nominated: Nominations | None = None) -> bool:
        """Whether the pod fits a row of the table as it is now."""
        return bool(self.feasible(CycleState(), pod, nodes, nominated, Diagnosis(total=nodes.count))[row])

    def only_resources_matter(self, state: CycleState, pod: Pod) -> bool:
        """Whether of all filters only NodeResourcesFit looks at a node's pods for this one."""
        return all(name in _BLIND_TO_PODS or name in state.skip_filter for name, _ in self._filters)

    # -- the chosen node ----------------------------------------------------------------------------------------------

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK, or the first failure, after which everything is unreserved."""
        for name, plugin in self._reserves:
            status = plugin.reserve(state, pod, node)
            if status.code is not Code.SUCCESS:
                self.unreserve(state, pod, node)
                return Status(status.code, status.reasons, name)
        return OK

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        """Undo `reserve`, in reverse order."""
        for name, plugin in reversed(self._reserves):
            _tell(name, plugin.unreserve, state, pod, node)

    def permit(self, state: CycleState, pod: Pod, node: str) -> tuple[Status, Mapping[str, float]]:
        """The first rejection; or OK, and for how many seconds at most which plugins want to wait."""
        waits: dict[str, float] = {}
        for name, plugin in self._permits:
            status = plugin.permit(state, pod, node)
            if status.code is Code.WAIT:
                waits[name] = status.seconds
            elif status.code is not Code.SUCCESS:
                return Status(status.code, status.reasons, name), {}
        return OK, waits

    async def bind(self, state: CycleState, pod: Pod, node: str, binder: Binder | None = None) -> Status:
        """PreBind, then the binder or the first Bind plugin that does not skip, then PostBind."""
        for name, preparer in self._pre_binds:
            status = await preparer.pre_bind(state, pod, node)
            if status.code is not Code.SUCCESS:
                return _named(status, "running PreBind", name)
        if binder is None:
            status = await self._bind(state, pod, node)
        else:
            status = _named(await binder(pod, node), "binding rejected: running", EXTENDER)
        if status.code is Code.SUCCESS:
            for name, told in self._post_binds:
                _tell(name, told.post_bind, state, pod, node)
        return status

    async def _bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        for name, plugin in self._binds:
            status = await plugin.bind(state, pod, node)
            if status.code is not Code.SKIP:
                return _named(status, "binding rejected: running Bind", name)
        return Status(Code.ERROR, ("no bind plugin took the pod",))


def _named(status: Status, doing: str, plugin: str) -> Status:
    """A failure of binding, with who failed (upstream: runtime/framework.go RunPreBindPlugins, RunBindPlugins)."""
    if status.is_rejection or status.code is Code.SUCCESS:
        return Status(status.code, status.reasons, plugin)
    return Status(status.code, (f'{doing} plugin "{plugin}": {status.message}',), plugin)


def _tell(name: str, call: Callable[[CycleState, Pod, str], None], state: CycleState, pod: Pod, node: str) -> None:
    """Tell a plugin what it cannot change any more: if it raises, the others hear of it all the same."""
    try:
        call(state, pod, node)
    except Exception:  # what it is told of has happened
        logger.exception("plugin %s, told of %s on %s", name, pod.key, node)


@dataclass(frozen=True, slots=True)
class _Filters:
    """A profile's filters, with the pods that are nominated at the moment."""

    runtime: Runtime
    nominated: Nominations | None

    def fits(self, pod: Pod, nodes: NodeTable, row: int) -> bool:
        return self.runtime.fits(pod, nodes, row, self.nominated)

    def asked_before(self, pod: Pod, resource: str) -> Amounts | int:
        return 0 if self.nominated is None else self.nominated.asked_before(pod, resource)

    def only_resources_matter(self, state: CycleState, pod: Pod) -> bool:
        return self.runtime.only_resources_matter(state, pod)


def _with_room_for(others: Nominations, pod: Pod, nodes: NodeTable, fits: Mask, diagnosis: Diagnosis) -> Mask:
    """The nodes that fit beside what is nominated to them, where only sums matter."""
    short = nodes.none()
    for resource, amount in (*pod.requests.items(), ("pods", 1)):
        taken = nodes.requested(resource) + others.asked_before(pod, resource)
        lacking = fits & (nodes.allocatable(resource) - taken < amount)
        if lacking.any():
            reason = "Too many pods" if resource == "pods" else f"Insufficient {resource}"
            diagnosis.rejected.append(Rejected("NodeResourcesFit", reason, lacking))
            diagnosis.plugins.add("NodeResourcesFit")
            short |= lacking
    return fits & ~short


def _as_told(opinion: Opinion, nodes: NodeTable, fits: Mask, diagnosis: Diagnosis) -> Mask:
    """The nodes that extenders let pass too; those that they were not asked about are out for now."""
    passed = np.array([name in opinion.fits for name in nodes.names], dtype=np.bool_)
    reasons: dict[str, Mask] = {}
    for name, reason in opinion.refused.items():
        row = nodes.row_of(name)
        if row is None or not fits[row]:
            continue
        reasons.setdefault(reason, nodes.none())[row] = True
        if name in opinion.hopeless and diagnosis.unresolvable is not None:
            diagnosis.unresolvable[row] = True
    diagnosis.rejected += [Rejected(EXTENDER, reason, rows) for reason, rows in reasons.items()]
    if (fits & ~passed).any():
        diagnosis.plugins.add(EXTENDER)
    return fits & passed


def _scorer(one: Enabled) -> _Scorer:
    plugin: object = one.plugin
    if not isinstance(plugin, ScorePlugin):
        raise TypeError(f"plugin {one.plugin.name} is enabled for score and has no score")
    normalizer = plugin if isinstance(plugin, NormalizeScorePlugin) else None
    return _Scorer(one.plugin.name, plugin, normalizer, one.weight)


def _verdict(plugin: object, answer: Mask | Verdict) -> Verdict:
    if isinstance(answer, Verdict):
        return answer
    rejected = ~answer
    unresolvable = rejected if getattr(plugin, "unresolvable", True) else None
    return Verdict(answer, ((getattr(plugin, "reason", ""), rejected),), unresolvable)


def _note(diagnosis: Diagnosis, name: str, verdict: Verdict, rejected: Mask) -> None:
    diagnosis.plugins.add(name)
    for reason, rows in verdict.reasons:
        here = rows & rejected
        if here.any():
            diagnosis.rejected.append(Rejected(name, reason, here))
    if verdict.unresolvable is not None and diagnosis.unresolvable is not None:
        diagnosis.unresolvable |= verdict.unresolvable & rejected
