"""InterPodAffinity: pods that want to be, or must not be, where other pods are.

Upstream: plugins/interpodaffinity (filtering.go, scoring.go). A term is about domains: all nodes with the same value of
its topology key. What matches is counted per node and summed per domain; terms of pods that are placed already are
asked about the new pod, equal ones once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from machinery.api import kinds, meta
from machinery.api.names import ObjectKey
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.framework import MAX_SCORE, OK, SKIP, ClusterEvent, CycleState, Handle, Resource, Status, Verdict
from scheduler.pods import Pod
from scheduler.terms import Term

_AFFINITY: Final = "node(s) didn't match pod affinity rules"
_ANTI: Final = "node(s) didn't match pod anti-affinity rules"
_EXISTING: Final = "node(s) didn't satisfy existing pods anti-affinity rules"


@dataclass(slots=True)
class _Hard:
    """What filtering goes by."""

    affinity: list[Term] = field(default_factory=list)
    anti: list[Term] = field(default_factory=list)
    #: anti-affinity of placed pods that the new one would offend, and the rows they are on
    existing: list[tuple[Term, Mapping[int, int]]] = field(default_factory=list)


class InterPodAffinity:
    """Required terms filter, preferred ones score, both ways."""

    name: ClassVar[str] = "InterPodAffinity"

    def __init__(self, handle: Handle, args: Mapping[str, Any] | None = None) -> None:
        self._namespaces = handle.informers.watch(kinds.NAMESPACES)
        self._hard_weight = int((args or {}).get("hardPodAffinityWeight", 1))
        self._ignore_existing = bool((args or {}).get("ignorePreferredTermsOfExistingPods", False))

    # filtering

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Collect the terms that count; nothing to do for most pods."""
        hard = self._hard(pod, nodes)
        state.data[self.name] = hard
        return OK if hard.affinity or hard.anti or hard.existing else SKIP

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Nodes whose domains have what the pod needs and nothing that it, or they, cannot bear."""
        hard: _Hard = state.data.get(self.name) or self._hard(pod, nodes)
        lonely = nodes.all() & ~self._has_company(hard.affinity, pod, nodes)
        crowded = nodes.none()
        for term in hard.anti:
            crowded |= _present(term.key, self._count([term], nodes), nodes)
        crowded &= ~lonely
        offended = nodes.none()
        for term, rows in hard.existing:
            offended |= _present(term.key, _as_counts(rows, nodes), nodes)
        offended &= ~lonely & ~crowded
        fits = nodes.all() & ~lonely & ~crowded & ~offended
        return Verdict(fits, ((_AFFINITY, lonely), (_ANTI, crowded), (_EXISTING, offended)), lonely)

    def _has_company(self, terms: Sequence[Term], pod: Pod, nodes: NodeTable) -> Mask:
        """Where every term's domain has a pod that matches all of them; anywhere, for the first of its kind."""
        if not terms:
            return nodes.all()
        counts = self._count(terms, nodes)
        labelled = nodes.all()
        for term in terms:
            labelled &= nodes.label(term.key).present()
        in_any_domain = any(_present(term.key, counts, nodes).any() for term in terms)
        if not in_any_domain and all(self._matches(term, pod) for term in terms):
            return labelled
        for term in terms:
            labelled &= _present(term.key, counts, nodes)
        return labelled

    def _count(self, terms: Sequence[Term], nodes: NodeTable) -> Amounts:
        """For each row, how many pods match all the terms."""
        total = np.zeros(nodes.size, dtype=np.int64)
        for namespace in nodes.namespaces():
            labels = self._labels_of(namespace)
            if all(term.is_about(namespace, labels) for term in terms):
                total += nodes.count_pods(namespace, *(term.selector for term in terms), leaving=True)
        return total

    def _hard(self, pod: Pod, nodes: NodeTable) -> _Hard:
        own = [term for term in pod.terms if term.required]
        labels = self._labels_of(pod.key.namespace)
        existing = [
            (term, rows)
            for term, rows in nodes.terms_about(pod.key.namespace)
            if term.required and term.anti and term.matches(pod.key.namespace, pod.labels, labels)
        ]
        return _Hard([term for term in own if not term.anti], [term for term in own if term.anti], existing)

    # scoring

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Add up what speaks for and against each domain."""
        scores, said = nodes.zeros(), False
        for term in pod.terms:
            if not term.required:
                scores += _weighted(
                    term.key, self._count([term], nodes), nodes, -term.weight if term.anti else term.weight
                )
                said = True
        for term, rows in self._terms_that_like(pod, nodes):
            weight = self._hard_weight if term.required else -term.weight if term.anti else term.weight
            scores += _weighted(term.key, _as_counts(rows, nodes), nodes, weight)
            said = True
        state.data[f"{self.name}/score"] = scores
        return OK if said else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """The sums of `pre_score`."""
        scores: Vector = state.data[f"{self.name}/score"]
        return scores

    def normalize(self, state: CycleState, scores: Vector, fits: Mask) -> Vector:
        """From the least to the most, 0 to 100."""
        counted = scores[fits]
        if not counted.size or counted.max() == counted.min():
            return np.zeros_like(scores)
        scaled: Vector = np.floor(MAX_SCORE * (scores - counted.min()) / (counted.max() - counted.min()))
        return scaled

    def _terms_that_like(self, pod: Pod, nodes: NodeTable) -> list[tuple[Term, Mapping[int, int]]]:
        """Terms of placed pods that are about the new one and count for scores."""
        if self._ignore_existing and not any(not term.required for term in pod.terms):
            return []
        labels = self._labels_of(pod.key.namespace)
        return [
            (term, rows)
            for term, rows in nodes.terms_about(pod.key.namespace)
            if self._scores(term) and term.matches(pod.key.namespace, pod.labels, labels)
        ]

    def _scores(self, term: Term) -> bool:
        return not term.required or (not term.anti and self._hard_weight > 0)

    # the queue

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A pod came or went, or changed its labels; a node came or changed its labels."""
        return event.resource in (Resource.ASSIGNED_POD, Resource.NODE, Resource.PENDING_POD)

    def _matches(self, term: Term, pod: Pod) -> bool:
        return term.matches(pod.key.namespace, pod.labels, self._labels_of(pod.key.namespace))

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        return meta.labels_of(self._namespaces.get(ObjectKey("", namespace)) or {})


def _as_counts(rows: Mapping[int, int], nodes: NodeTable) -> Amounts:
    counts = np.zeros(nodes.size, dtype=np.int64)
    numbers = np.fromiter(rows, dtype=np.intp, count=len(rows))
    counts[numbers] = np.fromiter(rows.values(), dtype=np.int64, count=len(rows))
    return counts


def _per_domain(key: str, counts: Amounts, nodes: NodeTable) -> Vector:
    """For each row the sum over its domain; 0 where the node has no such label."""
    column = nodes.label(key)
    sums: Vector = np.bincount(column.ids, weights=counts, minlength=column.domains()).astype(np.float64)
    sums[0] = 0.0  # nodes without the label are no domain
    answer: Vector = sums[column.ids]
    return answer


def _present(key: str, counts: Amounts, nodes: NodeTable) -> Mask:
    mask: Mask = _per_domain(key, counts, nodes) > 0
    return mask


def _weighted(key: str, counts: Amounts, nodes: NodeTable, weight: int) -> Vector:
    answer: Vector = _per_domain(key, counts, nodes) * weight
    return answer
