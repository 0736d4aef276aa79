"""Which priority level and which flow a request belongs to, by FlowSchemas.

Upstream: k8s.io/apiserver/pkg/util/flowcontrol/rule.go (KEP-1040). Of the schemas that match, the one with the lowest
matchingPrecedence counts, of equals the first by name. Answers are remembered: clients repeat themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.request import RequestInfo, User
from machinery.api import meta
from machinery.api.codec import Json

_MOST_REMEMBERED: Final = 4096
_ACCOUNT: Final = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Schema:
    """One FlowSchema."""

    name: str
    uid: str
    level: str
    precedence: int
    distinguisher: str
    rules: Sequence[Json]

    @classmethod
    def of(cls, schema: Json) -> "Schema":
        """From the wire."""
        spec = schema.get("spec") or {}
        return cls(
            meta.name_of(schema),
            meta.uid_of(schema),
            (spec.get("priorityLevelConfiguration") or {}).get("name") or "",
            spec.get("matchingPrecedence") or 1000,
            (spec.get("distinguisherMethod") or {}).get("type") or "",
            tuple(spec.get("rules") or ()),
        )

    def matches(self, user: User, info: RequestInfo) -> bool:
        """Whether a rule means this request."""
        return any(_matches(rule, user, info) for rule in self.rules)


#: for what matches no schema, which the mandatory catch-all does not let happen
CATCH_ALL: Final = Schema("catch-all", "", "catch-all", 10000, "ByUser", ())


class Classifier:
    """All schemas."""

    def __init__(self, schemas: Iterable[Schema] = ()) -> None:
        self._schemas = sorted(schemas, key=lambda schema: (schema.precedence, schema.name))
        self._known: dict[tuple[object, ...], Schema] = {}

    def schema_of(self, user: User, info: RequestInfo) -> Schema:
        """The schema that counts for a request."""
        resource = (info.group, info.resource, info.subresource, info.namespace) if info.is_resource else info.path
        key = (user.name, user.groups, info.verb, resource)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = next((schema for schema in self._schemas if schema.matches(user, info)), CATCH_ALL)
            self._known[key] = found
        return found


def flow_of(schema: Schema, user: User, info: RequestInfo) -> str:
    """Which flow of its schema a request is part of."""
    if schema.distinguisher == "ByUser":
        return f"{schema.name}/{user.name}"
    return f"{schema.name}/{info.namespace}" if schema.distinguisher == "ByNamespace" else schema.name


def _matches(rule: Json, user: User, info: RequestInfo) -> bool:
    if not any(_is_subject(subject, user) for subject in rule.get("subjects") or ()):
        return False
    if info.is_resource:
        return any(_means_resource(one, info) for one in rule.get("resourceRules") or ())
    return any(_means_path(one, info) for one in rule.get("nonResourceRules") or ())


def _is_subject(subject: Json, user: User) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        name = (subject.get("user") or {}).get("name")
        return name in ("*", user.name)
    if kind == "Group":
        name = (subject.get("group") or {}).get("name")
        return name == "*" or name in user.groups
    account = subject.get("serviceAccount") or {}
    prefix = f"{_ACCOUNT}{account.get('namespace')}:"
    name = account.get("name")
    return user.name.startswith(prefix) if name == "*" else user.name == f"{prefix}{name}"


def _means_resource(rule: Json, info: RequestInfo) -> bool:
    full = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not (_has(rule, "verbs", info.verb) and _has(rule, "apiGroups", info.group) and _has(rule, "resources", full)):
        return False
    return _has(rule, "namespaces", info.namespace) if info.namespace else rule.get("clusterScope") is True


def _means_path(rule: Json, info: RequestInfo) -> bool:
    if not _has(rule, "verbs", info.verb):
        return False
    urls = rule.get("nonResourceURLs") or ()
    return any(
        url in ("*", info.path) or (url.endswith("/*") and info.path.startswith(url.removesuffix("*"))) for url in urls
    )


def _has(rule: Json, field: str, value: str) -> bool:
    values = rule.get(field) or ()
    return "*" in values or value in values
