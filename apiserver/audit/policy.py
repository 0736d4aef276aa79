"""The file of --audit-policy-file: how much of which request is recorded. Pure; events are made in `event`.

Upstream: apiserver/pkg/audit/policy/checker.go, apis/audit/validation/validation.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

import yaml

from apiserver.authz.attributes import Attributes
from machinery.api import names
from machinery.api.codec import Json

API_VERSION: Final = "audit.k8s.io/v1"


class Level(IntEnum):
    """How much is recorded, each level more than the one before."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


class Stage(StrEnum):
    """When in a request's life an event is made."""

    REQUEST_RECEIVED = "RequestReceived"
    RESPONSE_STARTED = "ResponseStarted"
    RESPONSE_COMPLETE = "ResponseComplete"
    PANIC = "Panic"


LEVELS: Final[Mapping[str, Level]] = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAMES: Final[Mapping[Level, str]] = {level: name for name, level in LEVELS.items()}


class PolicyError(ValueError):
    """What is wrong with the file, and where in it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of a request."""

    level: Level
    omitted: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Some resources of one group; no resources are all of them."""

    group: str
    resources: frozenset[str]
    names: frozenset[str]

    def match(self, asked: Attributes) -> bool:
        """Whether a request is for one of them."""
        if self.group != asked.group:
            return False
        if not self.resources:
            return True
        if self.names and asked.name not in self.names:
            return False
        wanted = {asked.full_resource, "*", f"{asked.resource}/*"}
        if asked.subresource:
            wanted.add(f"*/{asked.subresource}")
        return not self.resources.isdisjoint(wanted)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; what is empty matches everything."""

    verdict: Verdict
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Resources, ...] = ()
    urls: tuple[str, ...] = ()

    def matches(self, asked: Attributes) -> bool:
        """Whether the rule is about this request."""
        if self.users and asked.user.name not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(asked.user.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return self._matches_resource(asked)
        return not self.urls or (not asked.is_resource and any(_path_matches(asked.path, url) for url in self.urls))

    def _matches_resource(self, asked: Attributes) -> bool:
        if not asked.is_resource or (self.namespaces and asked.namespace not in self.namespaces):
            return False
        return not self.resources or any(part.match(asked) for part in self.resources)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in order; the first that matches decides, and what none matches is not recorded."""

    rules: Sequence[Rule]
    omitted: frozenset[str] = frozenset()

    def verdict(self, asked: Attributes) -> Verdict:
        """What is recorded of a request."""
        found = next((rule.verdict for rule in self.rules if rule.matches(asked)), None)
        return found or Verdict(Level.NONE, self.omitted)


def load(text: str) -> Policy:
    """Read a policy; raises PolicyError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise PolicyError(f"failed decoding: {problem}") from problem
    if not isinstance(document, dict):
        raise PolicyError("the audit policy file is empty")
    if (document.get("apiVersion"), document.get("kind")) != (API_VERSION, "Policy"):
        given = f"{document.get('apiVersion')}, Kind={document.get('kind')}"
        raise PolicyError(f"unknown group version and kind of an audit policy: {given}")
    omitted = _stages(document.get("omitStages") or [], "omitStages")
    rules = document.get("rules") or []
    if not rules:
        raise PolicyError("loaded illegal policy with 0 rules")
    omits = document.get("omitManagedFields") is True
    parsed = [_rule(rule, f"rules[{number}]", omitted, omits) for number, rule in enumerate(rules)]
    return Policy(parsed, omitted)


def _rule(rule: Json, path: str, omitted: frozenset[str], omits: bool) -> Rule:
    level = rule.get("level")
    if not level:
        raise PolicyError(f"{path}.level: Required value")
    if level not in LEVELS:
        listed = ", ".join(f'"{name}"' for name in sorted(LEVELS))
        raise PolicyError(f'{path}.level: Unsupported value: "{level}": supported values: {listed}')
    urls = rule.get("nonResourceURLs") or []
    _check_urls(urls, f"{path}.nonResourceURLs")
    if urls and (rule.get("resources") or rule.get("namespaces")):
        raise _invalid(
            f"{path}.nonResourceURLs", urls, "rules cannot apply to both regular resources and non-resource URLs"
        )
    stages = omitted | _stages(rule.get("omitStages") or [], f"{path}.omitStages")
    own = rule.get("omitManagedFields")
    return Rule(
        Verdict(LEVELS[level], stages, omits if own is None else own is True),
        users=frozenset(rule.get("users") or ()),
        groups=frozenset(rule.get("userGroups") or ()),
        verbs=frozenset(rule.get("verbs") or ()),
        namespaces=frozenset(rule.get("namespaces") or ()),
        resources=tuple(_resources(part, f"{path}.resources") for part in rule.get("resources") or ()),
        urls=tuple(urls),
    )


def _resources(part: Json, path: str) -> Resources:
    group = part.get("group") or ""
    if group and (problems := names.is_dns_subdomain(group)):
        raise _invalid(f"{path}.group", group, ",".join(problems))
    if part.get("resourceNames") and not part.get("resources"):
        why = "using resourceNames requires at least one resource"
        raise _invalid(f"{path}.resourceNames", part["resourceNames"], why)
    return Resources(group, frozenset(part.get("resources") or ()), frozenset(part.get("resourceNames") or ()))


def _check_urls(urls: Sequence[str], path: str) -> None:
    for number, url in enumerate(urls):
        if url == "*":
            continue
        if not url.startswith("/"):
            raise _invalid(f"{path}[{number}]", url, "non-resource URL rules must begin with a '/' character")
        if "*" in url[:-1]:
            why = "non-resource URL wildcards '*' must be the final character of the rule"
            raise _invalid(f"{path}[{number}]", url, why)


def _stages(stages: Sequence[str], path: str) -> frozenset[str]:
    known = [stage.value for stage in Stage]
    for number, stage in enumerate(stages):
        if stage not in known:
            raise _invalid(f"{path}[{number}]", stage, f"allowed stages are {','.join(known)}")
    return frozenset(stages)


def _path_matches(path: str, spec: str) -> bool:
    return spec in ("*", path) or (spec.endswith("*") and path.startswith(spec.rstrip("*")))


def _invalid(path: str, value: Any, why: str) -> PolicyError:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return PolicyError(f"{path}: Invalid value: {shown}: {why}")
