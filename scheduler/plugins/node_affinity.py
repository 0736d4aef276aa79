"""NodeAffinity: nodeSelector, and required and preferred node affinity, as operations on label columns."""

from collections.abc import Mapping
from typing import Any, ClassVar

from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector
from scheduler.cache import Mask, NodeTable, Vector
from scheduler.framework import OK, SKIP, ClusterEvent, CycleState, Resource, Status, Verdict, normalized
from scheduler.pods import Pod

_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class NodeAffinity:
    """Filters by what the pod requires of a node's labels, scores by what it prefers.

    `addedAffinity` of its arguments is required and preferred of every pod of the profile.
    """

    name: ClassVar[str] = "NodeAffinity"
    reason: ClassVar[str] = "node(s) didn't match Pod's node affinity/selector"

    def __init__(self, args: Mapping[str, Any] | None = None) -> None:
        self._added: Json = (args or {}).get("addedAffinity") or {}

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods require nothing."""
        wanted = pod.spec.get("nodeSelector") or _affinity(pod).get(_REQUIRED) or self._added.get(_REQUIRED)
        return OK if wanted else SKIP

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask | Verdict:
        """Nodes that the pod's selector and required affinity accept, and the profile's."""
        own = required_nodes(pod, nodes)
        if not self._added.get(_REQUIRED):
            return own
        enforced = selected_nodes(self._added[_REQUIRED], nodes)
        reasons = ((_ENFORCED, ~enforced), (self.reason, enforced & ~own))
        return Verdict(enforced & own, reasons, nodes.all())

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """Most pods prefer nothing."""
        return OK if _affinity(pod).get(_PREFERRED) or self._added.get(_PREFERRED) else SKIP

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """The sum of the weights of the preferences a node meets."""
        scores = nodes.zeros()
        for preference in [*(self._added.get(_PREFERRED) or ()), *(_affinity(pod).get(_PREFERRED) or ())]:
            term = preference.get("preference") or {}
            if term.get("matchExpressions") or term.get("matchFields"):
                scores += preference["weight"] * _matches_term(term, nodes)
        return scores

    def normalize(self, state: CycleState, scores: Vector, fits: Mask) -> Vector:
        """The highest sum counts 100."""
        return normalized(scores, fits)

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A node came, or its labels changed; or the pod's own selector did."""
        if event.resource is not Resource.NODE:
            return event.resource is Resource.PENDING_POD
        alone = NodeTable()
        alone.set_node(event.obj)
        return bool(required_nodes(pod, alone).any())


def required_nodes(pod: Pod, nodes: NodeTable) -> Mask:
    """Nodes that the pod's nodeSelector and required affinity accept (upstream: component-helpers nodeaffinity)."""
    mask = nodes.all()
    for key, value in (pod.spec.get("nodeSelector") or {}).items():
        mask &= nodes.label(key).one_of([value])
    required = _affinity(pod).get(_REQUIRED)
    if required is not None:
        mask &= selected_nodes(required, nodes)
    return mask


def _affinity(pod: Pod) -> Json:
    affinity: Json = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


def selected_nodes(selector: Json, nodes: NodeTable) -> Mask:
    """Nodes that a NodeSelector accepts."""
    mask = nodes.none()
    for term in selector.get("nodeSelectorTerms") or ():
        # an empty term matches nothing: upstream's rule
        if term.get("matchExpressions") or term.get("matchFields"):
            mask |= _matches_term(term, nodes)
    return mask


def nodes_with_labels(selector: LabelSelector, nodes: NodeTable) -> Mask:
    """Nodes whose labels a label selector accepts."""
    mask = nodes.none() if selector.nothing else nodes.all()
    for term in selector.requirements:
        column = nodes.label(term.key)
        match term.operator:
            case "=" | "in":
                mask &= column.one_of(term.values)
            case "!=" | "notin":
                mask &= ~column.one_of(term.values)
            case "exists":
                mask &= column.present()
            case _:
                mask &= ~column.present()
    return mask


def _matches_term(term: Json, nodes: NodeTable) -> Mask:
    mask = nodes.all()
    for expression in term.get("matchExpressions") or ():
        mask &= _matches_expression(expression, nodes)
    for wanted in term.get("matchFields") or ():
        mask &= _matches_field(wanted, nodes)
    return mask


def _matches_expression(expression: Json, nodes: NodeTable) -> Mask:
    column = nodes.label(expression["key"])
    values: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return column.one_of(values)
        case "NotIn":
            return ~column.one_of(values)
        case "Exists":
            return column.present()
        case "DoesNotExist":
            return ~column.present()
        case "Gt" | "Lt" as operator:
            return column.where(lambda text: _compares(operator, text, values))
        case _:
            return nodes.none()


def _compares(operator: str, text: str, values: list[str]) -> bool:
    try:
        left, right = int(text), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right


def _matches_field(wanted: Json, nodes: NodeTable) -> Mask:
    mask = nodes.none()
    if wanted["key"] != "metadata.name":
        return mask
    for name in wanted.get("values") or ():
        mask |= nodes.named(name)
    return mask if wanted["operator"] == "In" else ~mask
