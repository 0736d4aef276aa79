"""What an authorizer decides on, and its answer. The authorizers are `authorizer`, `rbac` and `node`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apiserver.request import RequestInfo, User
from machinery.api import errors
from machinery.api.codec import Json


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question: may this user do that?"""

    user: User
    verb: str
    is_resource: bool = True
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    #: what the field selector requires with `=`; the node authorizer lets a kubelet list its own pods by it
    field_values: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_resource(self) -> str:
        """`pods/log`: the resource as RBAC rules spell it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, denied, or no opinion (neither: another authorizer may still allow)."""

    allowed: bool
    reason: str = ""
    denied: bool = False


ALLOW = Decision(True)
NO_OPINION = Decision(False)


class Authorizer(Protocol):
    """One source of decisions."""

    def decide(self, attributes: Attributes) -> Decision:
        """Answer a question at once: what is needed is in memory."""


class RuleLister(Protocol):
    """An authorizer that can enumerate what a user may do, for SelfSubjectRulesReview."""

    def rules_for(self, user: User, namespace: str) -> tuple[Sequence["Rule"], bool]:
        """The rules, and whether they are not all there is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule with sets in place of lists."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()


def of_request(user: User, info: RequestInfo, field_values: Mapping[str, str]) -> Attributes:
    """The question a request asks; a list or watch of exactly one name asks about that name."""
    if not info.is_resource:
        return Attributes(user, info.verb, is_resource=False, path=info.path)
    return Attributes(
        user=user,
        verb=info.verb,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        namespace=info.namespace,
        name=info.name or field_values.get("metadata.name", ""),
        path=info.path,
        field_values=field_values,
    )


def forbidden_message(attributes: Attributes) -> str:
    """Upstream's text (apiserver/pkg/endpoints/handlers/responsewriters/errors.go)."""
    who = f'User "{attributes.user.name}" cannot {attributes.verb}'
    if not attributes.is_resource:
        return f'{who} path "{attributes.path}"'
    what = f'{who} resource "{attributes.full_resource}" in API group "{attributes.group}"'
    if attributes.namespace:
        return f'{what} in the namespace "{attributes.namespace}"'
    return f"{what} at the cluster scope"


def forbidden(attributes: Attributes, decision: Decision) -> errors.Forbidden:
    """`pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"`."""
    message = forbidden_message(attributes)
    if decision.reason:
        message = f"{message}: {decision.reason}"
    if not attributes.is_resource:
        return errors.Forbidden(f"forbidden: {message}", {})
    resource = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    subject = f'{resource} "{attributes.name}"' if attributes.name else resource
    details: Json = {"name": attributes.name, "group": attributes.group, "kind": attributes.resource}
    return errors.Forbidden(
        f"{subject} is forbidden: {message}", {key: value for key, value in details.items() if value}
    )
