"""Terms of inter-pod affinity and anti-affinity, decoded and ready to match. Where pods are is the table's.

Upstream: pkg/scheduler/framework/types.go (AffinityTerm), pkg/apis/core/v1 on matchLabelKeys (KEP-3633).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector, Requirement


@dataclass(frozen=True, slots=True)
class Term:
    """One term; equal terms of many pods are one."""

    key: str
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None
    selector: LabelSelector
    anti: bool
    required: bool
    weight: int = 0

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        """Whether a pod is one of those that the term is about."""
        return self.is_about(namespace, namespace_labels) and self.selector.matches(labels)

    def is_about(self, namespace: str, namespace_labels: Mapping[str, str]) -> bool:
        """Whether pods of a namespace can be."""
        if namespace in self.namespaces:
            return True
        return self.namespace_selector is not None and self.namespace_selector.matches(namespace_labels)


def terms_of(obj: Json) -> tuple[Term, ...]:
    """All terms of a pod; most pods have none."""
    affinity = (obj.get("spec") or {}).get("affinity") or {}
    if not affinity.get("podAffinity") and not affinity.get("podAntiAffinity"):
        return ()
    metadata = obj.get("metadata") or {}
    own, labels = metadata.get("namespace") or "", metadata.get("labels") or {}
    found: list[Term] = []
    for field, anti in (("podAffinity", False), ("podAntiAffinity", True)):
        part = affinity.get(field) or {}
        for term in part.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            found.append(_term(term, own, labels, anti=anti))
        for entry in part.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            found.append(
                _term(entry.get("podAffinityTerm") or {}, own, labels, anti=anti, weight=entry.get("weight") or 0)
            )
    return tuple(found)


def _term(term: Json, own: str, labels: Mapping[str, str], *, anti: bool, weight: int | None = None) -> Term:
    namespaces, by_labels = term.get("namespaces") or (), term.get("namespaceSelector")
    if not namespaces and by_labels is None:
        namespaces = (own,)
    selector = LabelSelector.from_dict(term.get("labelSelector"))
    return Term(
        key=term.get("topologyKey") or "",
        namespaces=frozenset(namespaces),
        namespace_selector=LabelSelector.from_dict(by_labels) if by_labels is not None else None,
        selector=LabelSelector(selector.requirements + tuple(_by_keys(term, labels)), selector.nothing),
        anti=anti,
        required=weight is None,
        weight=weight or 0,
    )


def _by_keys(term: Json, labels: Mapping[str, str]) -> Iterator[Requirement]:
    """matchLabelKeys and mismatchLabelKeys: the pod's own values, or any but them."""
    for field, operator in (("matchLabelKeys", "in"), ("mismatchLabelKeys", "notin")):
        for key in term.get(field) or ():
            if key in labels:
                yield Requirement(key, operator, frozenset((labels[key],)))
