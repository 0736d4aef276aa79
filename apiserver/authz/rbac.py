"""RBAC: an index of roles and bindings kept up to date by changes, and the evaluation; no storage here.

The index turns "may this user do that" into: the user's names (user, groups, service account) → their bindings → rules.
A rule is compiled to frozensets once. Bindings may come before their roles: the role is looked up when a rule is
asked for. Aggregated cluster roles are computed here too, from labels, so that they hold without an aggregation
controller.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apiserver.authz.attributes import Attributes, Decision, Rule
from apiserver.request import User
from apiserver.storage.objects import Entry
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector

logger = logging.getLogger(__name__)

WATCHED = (kinds.ROLES, kinds.ROLE_BINDINGS, kinds.CLUSTER_ROLES, kinds.CLUSTER_ROLE_BINDINGS)
_EMPTY: Mapping[ObjectKey, "_Binding"] = {}


@dataclass(frozen=True, slots=True)
class _Binding:
    key: ObjectKey
    role: ObjectKey
    role_kind: str
    subjects: tuple[str, ...]

    @property
    def described(self) -> str:
        """`ClusterRoleBinding "x" of ClusterRole "y"` (upstream: rbac.go, clusterRoleBindingDescriber)."""
        kind, name = "ClusterRoleBinding", self.key.name
        if self.key.namespace:
            kind, name = "RoleBinding", f"{self.key.name}/{self.key.namespace}"
        return f'{kind} "{name}" of {self.role_kind} "{self.role.name}"'


@dataclass(frozen=True, slots=True)
class _Role:
    rules: tuple[Rule, ...]
    labels: Mapping[str, str]
    selectors: tuple[LabelSelector, ...] = ()


class RBAC:
    """The authorizer of --authorization-mode=RBAC."""

    def __init__(self) -> None:
        self._roles: dict[ObjectKey, _Role] = {}
        self._bindings: dict[ObjectKey, _Binding] = {}
        self._by_subject: dict[str, dict[ObjectKey, _Binding]] = {}
        self._aggregated: dict[ObjectKey, tuple[Rule, ...]] = {}

    def follow(self, kind: Kind, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change as the watch cache has it."""
        self.apply(kind, key, entry.decode() if entry is not None else None)

    def apply(self, kind: Kind, key: ObjectKey, obj: Json | None) -> None:
        """Take in one change of a role or a binding; None: it is gone."""
        if kind in (kinds.ROLES, kinds.CLUSTER_ROLES):
            self._apply_role(key, obj)
        else:
            self._apply_binding(key, obj)

    def decide(self, attributes: Attributes) -> Decision:
        """Allow when any rule of any binding of the user does."""
        missing: list[str] = []
        for subject, binding in self._bindings_of(attributes.user, attributes.namespace):
            rules = self._rules(binding)
            if rules is None:
                missing.append(_not_found(binding))
            elif any(allows(rule, attributes) for rule in rules):
                return Decision(True, f"RBAC: allowed by {binding.described} to {_subject_text(subject)}")
        if not missing:
            return Decision(False)
        texts = list(dict.fromkeys(missing))
        return Decision(False, "RBAC: " + (texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"))

    def rules_for(self, user: User, namespace: str) -> tuple[Sequence[Rule], bool]:
        """All rules that apply to a user in a namespace."""
        found: list[Rule] = []
        for _, binding in self._bindings_of(user, namespace):
            found += self._rules(binding) or ()
        return found, False

    def _bindings_of(self, user: User, namespace: str) -> Iterator[tuple[str, _Binding]]:
        for subject in (f"u:{user.name}", *(f"g:{group}" for group in user.groups)):
            for key, binding in self._by_subject.get(subject, _EMPTY).items():
                if not key.namespace or key.namespace == namespace:
                    yield subject, binding

    def _rules(self, binding: _Binding) -> tuple[Rule, ...] | None:
        role = self._roles.get(binding.role)
        if role is None:
            return None
        return self._aggregate(binding.role, role) if role.selectors else role.rules

    def _aggregate(self, key: ObjectKey, role: _Role) -> tuple[Rule, ...]:
        rules = self._aggregated.get(key)
        if rules is None:
            self._aggregated[key] = role.rules  # against circles: a role that selects itself adds nothing
            found = list(role.rules)
            for other_key, other in list(self._roles.items()):
                if other_key.namespace or other_key == key:
                    continue
                if any(selector.matches(other.labels) for selector in role.selectors):
                    found += self._aggregate(other_key, other) if other.selectors else other.rules
            rules = self._aggregated[key] = tuple(dict.fromkeys(found))
        return rules

    def _apply_role(self, key: ObjectKey, obj: Json | None) -> None:
        self._aggregated.clear()
        if obj is None:
            self._roles.pop(key, None)
        else:
            self._roles[key] = _role(obj)

    def _apply_binding(self, key: ObjectKey, obj: Json | None) -> None:
        old = self._bindings.pop(key, None)
        for subject in old.subjects if old else ():
            bound = self._by_subject[subject]
            bound.pop(key, None)
            if not bound:
                del self._by_subject[subject]
        if obj is None:
            return
        binding = self._bindings[key] = _binding(key, obj)
        for subject in binding.subjects:
            self._by_subject.setdefault(subject, {})[key] = binding


def allows(rule: Rule, attributes: Attributes) -> bool:
    """Whether one rule allows what is asked (upstream: rbac.RuleAllows)."""
    if "*" not in rule.verbs and attributes.verb not in rule.verbs:
        return False
    if not attributes.is_resource:
        return any(_url_matches(url, attributes.path) for url in rule.urls)
    if "*" not in rule.groups and attributes.group not in rule.groups:
        return False
    return _resource_matches(rule, attributes) and (not rule.names or attributes.name in rule.names)


def rule_of(rule: Json) -> Rule:
    """A PolicyRule compiled."""
    return Rule(
        frozenset(rule.get("verbs") or ()),
        frozenset(rule.get("apiGroups") or ()),
        frozenset(rule.get("resources") or ()),
        frozenset(rule.get("resourceNames") or ()),
        frozenset(rule.get("nonResourceURLs") or ()),
    )


def _resource_matches(rule: Rule, attributes: Attributes) -> bool:
    if "*" in rule.resources or attributes.full_resource in rule.resources:
        return True
    return bool(attributes.subresource) and f"*/{attributes.subresource}" in rule.resources


def _url_matches(pattern: str, path: str) -> bool:
    if pattern == "*" or pattern == path:
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


def _role(obj: Json) -> _Role:
    aggregation = obj.get("aggregationRule") or {}
    selectors = tuple(LabelSelector.from_dict(selector) for selector in aggregation.get("clusterRoleSelectors") or ())
    return _Role(tuple(rule_of(rule) for rule in obj.get("rules") or ()), meta.labels_of(obj), selectors)


def _binding(key: ObjectKey, obj: Json) -> _Binding:
    ref = obj.get("roleRef") or {}
    namespace = key.namespace if ref.get("kind") == "Role" else ""
    subjects = tuple(dict.fromkeys(_subject(subject, key.namespace) for subject in obj.get("subjects") or ()))
    return _Binding(key, ObjectKey(namespace, ref.get("name", "")), ref.get("kind", ""), subjects)


def _subject(subject: Json, namespace: str) -> str:
    name = subject.get("name", "")
    if subject.get("kind") == "ServiceAccount":
        return f"u:system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return f"g:{name}" if subject.get("kind") == "Group" else f"u:{name}"


def _subject_text(subject: str) -> str:
    """A key of the index in upstream's words."""
    kind, _, name = subject.partition(":")
    account = name.removeprefix("system:serviceaccount:")
    if kind == "u" and account != name:
        namespace, _, name = account.partition(":")
        return f'ServiceAccount "{name}/{namespace}"'
    return f'{"Group" if kind == "g" else "User"} "{name}"'


def _not_found(binding: _Binding) -> str:
    return f'{binding.role_kind.lower()}.rbac.authorization.k8s.io "{binding.role.name}" not found'
