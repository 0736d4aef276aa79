"""Does somebody hold what they want to grant? Pure comparison of rules; who has to be asked is admission/escalation.

Upstream: component-helpers/auth/rbac/validation (Covers, BreakdownRule), registry/rbac/escalation_check.go.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from apiserver.authz.attributes import Rule
from apiserver.authz.rbac import rule_of
from machinery.api.codec import Json


def uncovered(held: Sequence[Rule], wanted: Iterable[Json]) -> list[Json]:
    """The parts of the wanted PolicyRules that no held rule covers, each as a rule of one verb and one target."""
    return [part for rule in wanted for part in parts_of(rule) if not _is_covered(held, rule_of(part))]


def parts_of(rule: Json) -> Iterator[Json]:
    """A rule as rules of one verb, group, resource and name, or of one verb and URL."""
    verbs = rule.get("verbs") or ()
    for verb, url in product(verbs, rule.get("nonResourceURLs") or ()):
        yield {"verbs": [verb], "nonResourceURLs": [url]}
    for verb, group, resource in product(verbs, rule.get("apiGroups") or (), rule.get("resources") or ()):
        part: Json = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
        names = rule.get("resourceNames") or ()
        yield from ({**part, "resourceNames": [name]} for name in names)
        if not names:
            yield part


def described(parts: Sequence[Json]) -> str:
    """The parts in upstream's notation, those that differ in the verb only put together."""
    merged: dict[str, Json] = {}
    for part in parts:
        target = str({key: value for key, value in part.items() if key != "verbs"})
        if target in merged:
            merged[target]["verbs"] = [*merged[target]["verbs"], *part["verbs"]]
        else:
            merged[target] = dict(part)
    return "\n".join(sorted(_compact(rule) for rule in merged.values()))


def _compact(rule: Json) -> str:
    titles = (
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("resourceNames", "ResourceNames"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("verbs", "Verbs"),
    )
    shown = [f"{title}:[{' '.join(_quoted(rule[key]))}]" for key, title in titles if key in rule]
    return "{" + ", ".join(shown) + "}"


def _quoted(words: Iterable[str]) -> Iterator[str]:
    return (f'"{word}"' for word in words)


def _is_covered(held: Sequence[Rule], part: Rule) -> bool:
    return any(_covers(rule, part) for rule in held)


def _covers(rule: Rule, part: Rule) -> bool:
    if not _has(rule.verbs, part.verbs):
        return False
    if part.urls:
        return any(_url_covers(url, next(iter(part.urls))) for url in rule.urls)
    if not _has(rule.groups, part.groups) or not _has_resource(rule.resources, next(iter(part.resources))):
        return False
    return not rule.names or (bool(part.names) and part.names <= rule.names)


def _has(words: frozenset[str], wanted: frozenset[str]) -> bool:
    return "*" in words or wanted <= words


def _has_resource(resources: frozenset[str], wanted: str) -> bool:
    _, slash, subresource = wanted.partition("/")
    return "*" in resources or wanted in resources or (bool(slash) and f"*/{subresource}" in resources)


def _url_covers(pattern: str, url: str) -> bool:
    return pattern in ("*", url) or (pattern.endswith("*") and url.startswith(pattern.rstrip("*")))
