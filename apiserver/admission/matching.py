"""Which requests a webhook or a policy is about: rules, scopes, selectors. Conditions in CEL are `expressions`'.

Upstream: k8s.io/apiserver/pkg/admission/plugin/webhook/predicates, policy/matching.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.selectors import LabelSelector

#: what webhooks and policies never see: or nobody could take away one that refuses everything
_EXEMPT: Final = (
    kinds.VALIDATING_WEBHOOKS,
    kinds.MUTATING_WEBHOOKS,
    kinds.VALIDATING_POLICIES,
    kinds.VALIDATING_POLICY_BINDINGS,
    kinds.MUTATING_POLICIES,
    kinds.MUTATING_POLICY_BINDINGS,
)


def is_exempt(kind: Kind) -> bool:
    """Whether objects of this kind are beyond webhooks and policies."""
    return kind in _EXEMPT


@dataclass(frozen=True, slots=True)
class Rule:
    """One RuleWithOperations, with names where a policy has them."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str = "*"
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rule: Json) -> "Rule":
        """From the wire."""
        parts = (text.partition("/") for text in rule.get("resources") or ())
        return cls(
            frozenset(rule.get("operations") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()),
            tuple((resource, subresource) for resource, _, subresource in parts),
            rule.get("scope") or "*",
            frozenset(rule.get("resourceNames") or ()),
        )

    def matches(self, attributes: Attributes, kind: Kind) -> bool:
        """Whether a request is meant, were it for this version of the kind."""
        return (
            self._has_scope(attributes)
            and _has(self.operations, attributes.operation.value)
            and _has(self.groups, kind.group)
            and _has(self.versions, kind.version)
            and self._has_resource(kind.plural, attributes.subresource)
            and (not self.names or attributes.name in self.names)
        )

    def _has_scope(self, attributes: Attributes) -> bool:
        if self.scope == "*":
            return True
        namespaced = bool(attributes.namespace) and attributes.kind != kinds.NAMESPACES
        return (self.scope == "Namespaced") is namespaced

    def _has_resource(self, plural: str, subresource: str) -> bool:
        return any(first in ("*", plural) and second in ("*", subresource) for first, second in self.resources)


def _has(values: frozenset[str], value: str) -> bool:
    return "*" in values or value in values


@dataclass(frozen=True, slots=True)
class Criteria:
    """Rules, rules of exception, and selectors of one webhook, policy or binding."""

    rules: tuple[Rule, ...]
    exceptions: tuple[Rule, ...] = ()
    namespaces: LabelSelector | None = None
    objects: LabelSelector | None = None
    equivalent: bool = True

    @classmethod
    def of(cls, spec: Json, rules: str = "resourceRules") -> "Criteria":
        """From MatchResources; of a webhook the rules have another name. Raises ValueError for a bad selector."""
        return cls(
            tuple(Rule.of(rule) for rule in spec.get(rules) or ()),
            tuple(Rule.of(rule) for rule in spec.get("excludeResourceRules") or ()),
            _selector(spec.get("namespaceSelector")),
            _selector(spec.get("objectSelector")),
            spec.get("matchPolicy") != "Exact",
        )

    async def match(self, attributes: Attributes, reader: Reader) -> Kind | None:
        """The version of the kind that a rule means, None where none does."""
        if not await self._selects_namespace(attributes, reader) or not self._selects_object(attributes):
            return None
        if self._version(self.exceptions, attributes, reader) is not None:
            return None
        return self._version(self.rules, attributes, reader)

    async def selects(self, attributes: Attributes, reader: Reader) -> bool:
        """The same of a binding, whose rules may be missing: then all match."""
        if self.rules:
            return await self.match(attributes, reader) is not None
        if self._version(self.exceptions, attributes, reader) is not None:
            return False
        return await self._selects_namespace(attributes, reader) and self._selects_object(attributes)

    def _version(self, rules: Sequence[Rule], attributes: Attributes, reader: Reader) -> Kind | None:
        if any(rule.matches(attributes, attributes.kind) for rule in rules):
            return attributes.kind
        if not self.equivalent or not rules:
            return None
        others = reader.equivalents(attributes.kind)
        return next((kind for rule in rules for kind in others if rule.matches(attributes, kind)), None)

    async def _selects_namespace(self, attributes: Attributes, reader: Reader) -> bool:
        if self.namespaces is None:
            return True
        if attributes.kind == kinds.NAMESPACES and not attributes.subresource:
            obj = attributes.old if attributes.operation is Operation.DELETE else attributes.obj
            return self.namespaces.matches(meta.labels_of(obj or {}))
        if not attributes.namespace:
            return True
        namespace = await reader.get(kinds.NAMESPACES, "", attributes.namespace)
        return namespace is not None and self.namespaces.matches(meta.labels_of(namespace))

    def _selects_object(self, attributes: Attributes) -> bool:
        if self.objects is None:
            return True
        both = (attributes.obj, attributes.old)
        return any(self.objects.matches(meta.labels_of(obj)) for obj in both if obj is not None and "metadata" in obj)


def _selector(selector: Json | None) -> LabelSelector | None:
    """None where it selects everything."""
    return LabelSelector.from_dict(selector) if selector else None
