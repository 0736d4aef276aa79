"""PodTopologySpread: keeps pods that belong together apart: over nodes, zones, any label (KEP-895).

A pod without constraints of its own gets upstream's system defaults when something selects it: hostname with skew 3 and
zone with skew 5, both only a preference. That is what spreads the replicas of a Deployment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector, Requirement
from machinery.client.store import Lister
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, OK, SKIP, ClusterEvent, CycleState, Handle, Resource, Status, Verdict
from scheduler.plugins.node_affinity import required_nodes
from scheduler.plugins.tolerations import tolerated_nodes
from scheduler.pods import Pod

HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
SYSTEM_DEFAULTS: Final[tuple[Json, ...]] = (
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
)
#: what makes pods that are alike
_OWNERS: Final = (kinds.REPLICA_SETS, kinds.STATEFUL_SETS, kinds.REPLICATION_CONTROLLERS)
_REASON: Final = "node(s) didn't match pod topology spread constraints"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule, with its selector ready to match."""

    key: str
    max_skew: int
    min_domains: int
    hard: bool
    selector: LabelSelector
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, slots=True)
class _Rules:
    constraints: tuple[Constraint, ...]
    by_system: bool


class PodTopologySpread:
    """DoNotSchedule filters, ScheduleAnyway scores."""

    name: ClassVar[str] = "PodTopologySpread"

    def __init__(self, handle: Handle, args: Mapping[str, Any] | None = None) -> None:
        self._services = handle.informers.watch(kinds.SERVICES)
        self._owners = {kind.kind: handle.informers.watch(kind) for kind in _OWNERS}
        listed = (args or {}).get("defaultingType") == "List"
        self._by_system = not listed
        self._defaults: Iterable[Json] = (args or {}).get("defaultConstraints") or () if listed else SYSTEM_DEFAULTS

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Work the constraints out once."""
        rules = self._rules(pod)
        state.data[self.name] = rules
        return OK if any(one.hard for one in rules.constraints) else SKIP

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Nodes whose domain would not get further ahead of the emptiest one than the skew allows."""
        hard = [one for one in self._remembered(state, pod).constraints if one.hard]
        missing = nodes.none()
        for one in hard:
            missing |= ~nodes.label(one.key).present()
        skewed = nodes.none()
        for one in hard:
            skewed |= _skew(one, pod, nodes, ~missing) > one.max_skew
        skewed &= ~missing
        reasons = ((f"{_REASON} (missing required label)", missing), (_REASON, skewed))
        return Verdict(~(missing | skewed), reasons, missing)

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Rows that fit decide how many domains there are."""
        state.data["PodTopologySpread/fits"] = fits
        return OK if any(not one.hard for one in self._remembered(state, pod).constraints) else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """The weighted number of like pods in the node's domains; `normalize` turns it round."""
        rules = self._remembered(state, pod)
        soft = [one for one in rules.constraints if not one.hard]
        labelled = nodes.all()
        if not rules.by_system:  # a node without one of the keys is out of the game, and so are its pods
            for one in soft:
                labelled &= nodes.label(one.key).present()
        considered = labelled & state.data["PodTopologySpread/fits"]
        state.data["PodTopologySpread/ignored"] = ~considered
        scores = nodes.zeros()
        counts = {selector: _like(selector, pod, nodes) for selector in {one.selector for one in soft}}
        for one in soft:
            scores += _crowding(one, pod, nodes, counts[one.selector], labelled, considered)
        return np.rint(scores)

    def normalize(self, state: CycleState, scores: Vector, fits: Mask) -> Vector:
        """The fewer, the better; ignored nodes get nothing."""
        ignored = state.data["PodTopologySpread/ignored"]
        counted = scores[fits & ~ignored]
        if not counted.size or counted.max() == 0:
            scaled = np.full_like(scores, MAX_SCORE)
        else:
            scaled = np.floor(MAX_SCORE * (counted.max() + counted.min() - scores) / counted.max())
        return np.where(ignored, 0.0, scaled)

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """Pods or nodes came or went in a way that changes the counts."""
        if event.resource is Resource.ASSIGNED_POD:
            return meta.namespace_of(event.obj) == pod.key.namespace
        return event.resource in (Resource.NODE, Resource.PENDING_POD)

    def _remembered(self, state: CycleState, pod: Pod) -> _Rules:
        rules: _Rules = state.data.get(self.name) or self._rules(pod)
        return rules

    def _rules(self, pod: Pod) -> _Rules:
        own = pod.spec.get("topologySpreadConstraints")
        if own:
            return _Rules(tuple(_constraint(one, pod, _selector(one, pod)) for one in own), by_system=False)
        selector = default_selector(pod, self._services, self._owners)
        if selector.empty:
            return _Rules((), by_system=False)
        return _Rules(tuple(_constraint(one, pod, selector) for one in self._defaults), self._by_system)


def default_selector(pod: Pod, services: Lister, owners: Mapping[str, Lister]) -> LabelSelector:
    """What selects the pod: its Services and what controls it together (upstream: plugins/helper/spread.go)."""
    terms: list[Requirement] = []
    for service in services.in_namespace(pod.key.namespace):
        labels = (service.get("spec") or {}).get("selector") or {}
        if labels and LabelSelector.from_labels(labels).matches(pod.labels):
            terms += LabelSelector.from_labels(labels).requirements
    return LabelSelector((*terms, *_controlled_by(pod, owners)))


def _controlled_by(pod: Pod, owners: Mapping[str, Lister]) -> tuple[Requirement, ...]:
    reference = meta.controller_of(pod.obj) or {}
    known = owners.get(reference.get("kind") or "")
    owner = known.get(ObjectKey(pod.key.namespace, reference["name"])) if known is not None else None
    if owner is None:
        return ()
    selector = owner["spec"].get("selector")
    if reference["kind"] == kinds.REPLICATION_CONTROLLERS.kind:
        return LabelSelector.from_labels(selector or {}).requirements
    return LabelSelector.from_dict(selector).requirements


def _selector(constraint: Json, pod: Pod) -> LabelSelector:
    selector = LabelSelector.from_dict(constraint.get("labelSelector"))
    own = {key: pod.labels[key] for key in constraint.get("matchLabelKeys") or () if key in pod.labels}
    return LabelSelector(selector.requirements + LabelSelector.from_labels(own).requirements, selector.nothing)


def _constraint(constraint: Json, pod: Pod, selector: LabelSelector) -> Constraint:
    return Constraint(
        key=constraint["topologyKey"],
        max_skew=constraint["maxSkew"],
        min_domains=constraint.get("minDomains") or 1,
        hard=constraint.get("whenUnsatisfiable") != "ScheduleAnyway",
        selector=selector,
        honor_affinity=constraint.get("nodeAffinityPolicy") != "Ignore",
        honor_taints=constraint.get("nodeTaintsPolicy") == "Honor",
    )


def _skew(constraint: Constraint, pod: Pod, nodes: NodeTable, labelled: Mask) -> Amounts:
    """For each row, how far its domain would be ahead of the emptiest one with the pod in it."""
    eligible = labelled & _counted(constraint, pod, nodes)
    ids = nodes.label(constraint.key).ids
    counts = _like(constraint.selector, pod, nodes)
    per_domain = _per_domain(constraint, nodes, counts, eligible)
    domains = np.unique(ids[eligible])
    lowest = per_domain[domains].min() if len(domains) >= constraint.min_domains and len(domains) else 0
    skew: Amounts = per_domain[ids] + int(constraint.selector.matches(pod.labels)) - lowest
    return skew


def _counted(constraint: Constraint, pod: Pod, nodes: NodeTable) -> Mask:
    """The nodes whose pods count, by the constraint's policies (KEP-3094)."""
    counted = required_nodes(pod, nodes) if constraint.honor_affinity else nodes.all()
    return counted & tolerated_nodes(pod, nodes) if constraint.honor_taints else counted


def _crowding(
    constraint: Constraint, pod: Pod, nodes: NodeTable, counts: Amounts, labelled: Mask, considered: Mask
) -> Vector:
    """Upstream: podtopologyspread/scoring.go. To be without the label is a domain, too, where that is allowed."""
    column = nodes.label(constraint.key)
    if constraint.key == HOSTNAME:
        domains = int(np.count_nonzero(considered))
    else:
        eligible = labelled & _counted(constraint, pod, nodes)
        counts = _per_domain(constraint, nodes, counts, eligible)[column.ids]
        domains = int(np.count_nonzero(np.bincount(column.ids[considered])))
    crowding = counts * np.log(domains + 2) + (constraint.max_skew - 1)
    return np.where(column.present(), crowding, 0.0)


def _like(selector: LabelSelector, pod: Pod, nodes: NodeTable) -> Amounts:
    """How many pods of the selector each node has; an empty one counts none (upstream: countPodsMatchSelector)."""
    if selector.empty:
        return np.zeros(nodes.size, dtype=np.int64)
    return nodes.count_pods(pod.key.namespace, selector)


def _per_domain(constraint: Constraint, nodes: NodeTable, counts: Amounts, eligible: Mask) -> Amounts:
    column = nodes.label(constraint.key)
    totals = np.bincount(column.ids[eligible], weights=counts[eligible], minlength=column.domains())
    return totals.astype(np.int64)
