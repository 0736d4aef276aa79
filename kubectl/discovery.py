"""What the server serves, and which resource a word on the command line means. No kind is known here by name.

Upstream: client-go/discovery (aggregated; for older servers, group by group), restmapper/shortcut.go and
category_expansion.go.
"""

import difflib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kubectl.problems import CliError
from machinery.api.codec import Json
from machinery.api.kinds import Kind

AGGREGATED: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)

Fetch = Callable[[str, str], Awaitable[Json]]
"""(path, Accept) → the JSON the server answers."""


@dataclass(frozen=True, slots=True)
class ApiResource:
    """One resource as one version of its group serves it."""

    kind: Kind
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How results name it: `pod`, `deployment.apps`."""
        lower = self.kind.kind.lower()
        return f"{lower}.{self.kind.group}" if self.kind.group else lower


class Discovery:
    """All resources, most preferred version of each group first."""

    def __init__(self, resources: Iterable[ApiResource]) -> None:
        self.resources = tuple(resources)

    def find(self, word: str) -> ApiResource:
        """The resource meant by `pods`, `po`, `Pod`, `deployments.apps`, `deployments.v1.apps`; raises CliError."""
        found = self._find(word.lower())
        if found is None:
            raise CliError(f'the server doesn\'t have a resource type "{word}"{self._nearest(word)}')
        return found

    def _find(self, word: str) -> ApiResource | None:
        name, _, rest = word.partition(".")
        version, _, group = rest.partition(".")
        candidates = [resource for resource in self.resources if _is_called(resource, name)]
        exact = [r for r in candidates if r.kind.group == group and r.kind.version == version]
        by_group = [r for r in candidates if r.kind.group == rest or not rest or _starts(r, rest)]
        chosen = (exact if rest else []) or by_group
        return min(chosen, key=lambda resource: name in resource.short_names, default=None)

    def of_kind(self, api_version: str, kind: str) -> ApiResource | None:
        """The resource objects of that kind belong to."""
        for resource in self.resources:
            if resource.kind.kind == kind and resource.kind.api_version == api_version:
                return resource
        return None

    def expand(self, words: str) -> list[ApiResource]:
        """A comma list of types and categories (`all`), in order, each resource once."""
        found: dict[ApiResource, None] = {}
        for word in words.split(","):
            found |= dict.fromkeys(self._category(word) or [self.find(word)])
        return list(found)

    def _category(self, word: str) -> list[ApiResource]:
        return [resource for resource in preferred(self.resources) if word in resource.categories]

    def _nearest(self, word: str) -> str:
        names = [name for resource in self.resources for name in (resource.kind.plural, resource.singular) if name]
        close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.75)
        return f" (did you mean {close[0]}?)" if close else ""


def preferred(resources: Iterable[ApiResource]) -> Iterator[ApiResource]:
    """Each group's resources once, in the version that comes first."""
    seen: set[tuple[str, str]] = set()
    for resource in resources:
        key = (resource.kind.group, resource.kind.plural)
        if key not in seen:
            seen.add(key)
            yield resource


def _is_called(resource: ApiResource, name: str) -> bool:
    return name in (resource.kind.plural, resource.singular, resource.kind.kind.lower(), *resource.short_names)


def _starts(resource: ApiResource, group: str) -> bool:
    return bool(resource.kind.group) and resource.kind.group.startswith(group)


async def discover(fetch: Fetch) -> Discovery:
    """Ask the server, in two requests where it has aggregated discovery."""
    resources: list[ApiResource] = []
    for root in ("/api", "/apis"):
        document = await fetch(root, AGGREGATED)
        if document.get("kind") == "APIGroupDiscoveryList":
            resources += _from_aggregated(document)
        else:
            resources += await _from_groups(fetch, root, document)
    return Discovery(resources)


def _from_aggregated(document: Json) -> Iterator[ApiResource]:
    for group in document.get("items") or ():
        group_name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or ():
            for entry in version.get("resources") or ():
                yield _aggregated_resource(group_name, version["version"], entry)


def _aggregated_resource(group: str, version: str, entry: Json) -> ApiResource:
    kind = (entry.get("responseKind") or {}).get("kind") or ""
    return ApiResource(
        Kind(group, version, kind, entry["resource"], entry.get("scope") == "Namespaced"),
        entry.get("singularResource") or kind.lower(),
        tuple(entry.get("shortNames") or ()),
        tuple(entry.get("categories") or ()),
        tuple(entry.get("verbs") or ()),
        tuple(subresource["subresource"] for subresource in entry.get("subresources") or ()),
    )


async def _from_groups(fetch: Fetch, root: str, document: Json) -> list[ApiResource]:
    resources: list[ApiResource] = []
    for group, version in _group_versions(document):
        path = f"{root}/{group}/{version}" if group else f"{root}/{version}"
        listed = await fetch(path, "application/json")
        resources += _from_list(group, version, listed.get("resources") or [])
    return resources


def _group_versions(document: Json) -> Iterator[tuple[str, str]]:
    for version in document.get("versions") or ():
        yield "", version
    for group in document.get("groups") or ():
        first = (group.get("preferredVersion") or {}).get("version")
        versions = [version["version"] for version in group.get("versions") or ()]
        for version in sorted(versions, key=lambda version: version != first):
            yield group["name"], version


def _from_list(group: str, version: str, entries: list[Json]) -> Iterator[ApiResource]:
    subresources: dict[str, list[str]] = {}
    for entry in entries:
        name, slash, subresource = entry["name"].partition("/")
        if slash:
            subresources.setdefault(name, []).append(subresource)
    for entry in entries:
        if "/" not in entry["name"]:
            yield ApiResource(
                Kind(group, version, entry["kind"], entry["name"], bool(entry.get("namespaced"))),
                entry.get("singularName") or entry["kind"].lower(),
                tuple(entry.get("shortNames") or ()),
                tuple(entry.get("categories") or ()),
                tuple(entry.get("verbs") or ()),
                tuple(subresources.get(entry["name"], ())),
            )
