"""Roles and their bindings described."""

from collections.abc import Iterator, Sequence

from kubectl.describe.surroundings import Describer, Surroundings
from kubectl.describe.text import annotations, labels
from machinery.api import meta
from machinery.api.codec import Json


def role(found: Surroundings) -> Iterator[str]:
    """One line to a resource, its verbs from all rules together."""
    yield from _head(found.object)
    yield from ("PolicyRule:", "  Resources\tNon-Resource URLs\tResource Names\tVerbs")
    yield "  ---------\t-----------------\t--------------\t-----"
    for rule in sorted(_compact(found.object.get("rules") or ()), key=_go_text):
        resource = rule["resources"][0] if rule["resources"] else ""
        group = rule["apiGroups"][0] if rule["apiGroups"] else ""
        cells = [
            _combined(resource, group),
            *(_listed(rule[field]) for field in ("nonResourceURLs", "resourceNames", "verbs")),
        ]
        yield "  " + "\t".join(cells)


def _head(obj: Json) -> Iterator[str]:
    yield f"Name:\t{meta.name_of(obj)}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))


def _breakdown(rules: Sequence[Json]) -> Iterator[Json]:
    """A rule for each group, resource and name (upstream: rbac/validation, BreakdownRule)."""
    for rule in rules:
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or [None]:
                    names = [] if name is None else [name]
                    yield _rule(rule, apiGroups=[group], resources=[resource], resourceNames=names)
        for url in rule.get("nonResourceURLs") or ():
            yield _rule(rule, nonResourceURLs=[url])


def _rule(rule: Json, **parts: list[str]) -> Json:
    bare: Json = {"apiGroups": [], "resources": [], "resourceNames": [], "nonResourceURLs": []}
    return bare | {"verbs": list(rule.get("verbs") or ())} | parts


def _compact(rules: Sequence[Json]) -> list[Json]:
    """Rules for the same thing as one, their verbs joined."""
    by_thing: dict[tuple[str, ...], Json] = {}
    for rule in _breakdown(rules):
        thing = tuple(str(rule[field]) for field in ("apiGroups", "resources", "resourceNames", "nonResourceURLs"))
        if thing in by_thing:
            known = by_thing[thing]["verbs"]
            known += [verb for verb in rule["verbs"] if verb not in known]
        else:
            by_thing[thing] = rule
    return list(by_thing.values())


def _go_text(rule: Json) -> str:
    # Upstream sorts by the Go text of the rule: that is why `pods/log` comes before `pods`.
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return ",".join(_listed(rule[field]) for field in fields)


def _combined(resource: str, group: str) -> str:
    if not resource or not group:
        return resource
    name, slash, subresource = resource.partition("/")
    return f"{name}.{group}{slash}{subresource}"


def _listed(values: Sequence[str]) -> str:
    return f"[{' '.join(values)}]"


def binding(found: Surroundings) -> Iterator[str]:
    """The role and who has it."""
    obj = found.object
    reference = obj.get("roleRef") or {}
    yield from _head(obj)
    yield from ("Role:", f"  Kind:\t{reference.get('kind', '')}", f"  Name:\t{reference.get('name', '')}")
    yield from ("Subjects:", "  Kind\tName\tNamespace", "  ----\t----\t---------")
    for subject in obj.get("subjects") or ():
        yield f"  {subject.get('kind', '')}\t{subject.get('name', '')}\t{subject.get('namespace', '')}"


ROLE = Describer(role, has_events=False)
BINDING = Describer(binding, has_events=False)
