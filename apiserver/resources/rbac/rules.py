"""What the four RBAC kinds share: rules, role references, subjects (upstream: pkg/apis/rbac)."""

from typing import Any, Final

from apiserver.registry.resource import Column
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, joined
from apiserver.validation import fields, selectors
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

GROUP: Final = "rbac.authorization.k8s.io"
_KINDS: Final = ("ClusterRole", "Role")
_SUBJECTS: Final = ("Group", "ServiceAccount", "User")


def is_path_segment(name: str) -> list[str]:
    """RBAC names may hold colons; only what breaks a path is refused (upstream: path.ValidatePathSegmentName)."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


class RoleStrategy(KindStrategy):
    """Role and ClusterRole."""

    cluster = False

    def name_check(self, name: str) -> list[str]:
        """Whatever a path can hold."""
        return is_path_segment(name)

    def defaults(self, obj: Json) -> None:
        """Upstream writes rules always, null when there are none."""
        obj.setdefault("rules", [])

    def check(self, obj: Json) -> list[FieldError]:
        """Every rule has verbs and names resources or, in ClusterRoles, URLs."""
        found: list[FieldError] = []
        for rule, path in fields.each(obj.get("rules"), "rules"):
            found += _rule(rule, path, cluster=self.cluster)
        aggregation = obj.get("aggregationRule")
        if aggregation is not None:
            chosen = aggregation.get("clusterRoleSelectors") or ()
            if not chosen:
                text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
                found.append(errors.required("aggregationRule.clusterRoleSelectors", text))
            for selector, path in fields.each(chosen, "aggregationRule.clusterRoleSelectors"):
                found += selectors.label_selector(selector, path)
        return found


def _rule(rule: Json, path: str, *, cluster: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.get("verbs"):
        found.append(errors.required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.get("nonResourceURLs"):
        if not cluster:
            text = "namespaced rules cannot apply to non-resource URLs"
            found.append(errors.invalid_value(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text))
        if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(errors.invalid_value(f"{path}.nonResourceURLs", rule["nonResourceURLs"], text))
        return found
    if not rule.get("apiGroups"):
        found.append(errors.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        found.append(errors.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return found


class BindingStrategy(KindStrategy):
    """RoleBinding and ClusterRoleBinding."""

    def name_check(self, name: str) -> list[str]:
        """Whatever a path can hold."""
        return is_path_segment(name)

    def defaults(self, obj: Json) -> None:
        """API groups follow from the kinds."""
        role = obj.setdefault("roleRef", {})
        role["apiGroup"] = role.get("apiGroup") or GROUP
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = subject.get("apiGroup") or GROUP

    def check(self, obj: Json) -> list[FieldError]:
        """The role is named, the subjects are of known kinds."""
        role = obj.get("roleRef") or {}
        found: list[FieldError] = []
        if role.get("apiGroup") != GROUP:
            found.append(errors.not_supported("roleRef.apiGroup", role.get("apiGroup") or "", (GROUP,)))
        allowed = _KINDS if self.namespaced else ("ClusterRole",)
        if role.get("kind") not in allowed:
            found.append(errors.not_supported("roleRef.kind", role.get("kind") or "", allowed))
        if not role.get("name"):
            found.append(errors.required("roleRef.name"))
        else:
            found += fields.satisfies(role["name"], "roleRef.name", is_path_segment)
        for subject, path in fields.each(obj.get("subjects"), "subjects"):
            found += _subject(subject, path, namespaced=self.namespaced)
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Granting something else takes another binding."""
        if obj.get("roleRef") == old.get("roleRef"):
            return []
        return [errors.invalid_value("roleRef", obj.get("roleRef"), "cannot change roleRef")]


def _subject(subject: Json, path: str, *, namespaced: bool) -> list[FieldError]:
    found: list[FieldError] = []
    kind, name, group = subject.get("kind") or "", subject.get("name") or "", subject.get("apiGroup") or ""
    if not name:
        found.append(errors.required(f"{path}.name"))
    if kind not in _SUBJECTS:
        return [*found, errors.not_supported(f"{path}.kind", kind, _SUBJECTS)]
    if kind == "ServiceAccount":
        found += fields.satisfies(name, f"{path}.name", names.is_dns_subdomain) if name else []
        if not subject.get("namespace") and not namespaced:
            found.append(errors.required(f"{path}.namespace"))
        expected = ""
    else:
        expected = GROUP
    if group != expected:
        found.append(errors.not_supported(f"{path}.apiGroup", group, (expected,)))
    return found


def _subjects(kind: str) -> Any:
    def cell(binding: Json) -> str:
        chosen = [item for item in binding.get("subjects") or () if item.get("kind") == kind]
        shown = (f"{item['namespace']}/{item['name']}" if item.get("namespace") else item["name"] for item in chosen)
        return joined(shown, empty="").replace(",", ", ")

    return cell


def _role(binding: Json) -> str:
    role = binding.get("roleRef") or {}
    return f"{role.get('kind')}/{role.get('name')}"


BINDING_COLUMNS: Final = (
    Column("Role", _role),
    AGE,
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)
