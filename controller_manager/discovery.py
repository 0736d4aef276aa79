"""Every resource the API server has, by asking it. Shared by controllers that act on kinds they never heard of.

Upstream: client-go/discovery (ServerPreferredResources).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.rest import Client


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource in its preferred version, and the verbs it knows."""

    kind: Kind
    verbs: frozenset[str]

    def allows(self, *verbs: str) -> bool:
        """Whether all these verbs are known."""
        return self.verbs.issuperset(verbs)


@dataclass(frozen=True, slots=True)
class Discovered:
    """The resources found, and what failed by group/version."""

    resources: tuple[Resource, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    def failure_text(self) -> str:
        """Upstream's words for a partial failure; empty when all groups answered."""
        if not self.failed:
            return ""
        causes = ", ".join(f"{group}: {text}" for group, text in sorted(self.failed.items()))
        return f"unable to retrieve the complete list of server APIs: {causes}"


async def discover(client: Client) -> Discovered:
    """All resources in their groups' preferred versions; raises StatusError or OSError when /apis does not answer."""
    groups = [("", "v1")]
    listing = await _get(client, "/apis")
    for group in listing.get("groups") or ():
        preferred = group.get("preferredVersion") or (group.get("versions") or [{}])[0]
        groups.append((group["name"], preferred.get("version", "")))
    resources: list[Resource] = []
    failed: dict[str, str] = {}
    for name, version in groups:
        try:
            path = f"/apis/{name}/{version}" if name else f"/api/{version}"
            resources += resources_of(name, version, await _get(client, path))
        except (errors.StatusError, OSError) as problem:  # an aggregated API that is down must not hide the others
            failed[f"{name}/{version}"] = str(problem)
    return Discovered(tuple(resources), failed)


def resources_of(group: str, version: str, listing: Json) -> list[Resource]:
    """The resources of an APIResourceList, without subresources."""
    found = []
    for entry in listing.get("resources") or ():
        if "/" in entry["name"]:
            continue
        kind = Kind(
            entry.get("group") or group,
            entry.get("version") or version,
            entry["kind"],
            entry["name"],
            entry["namespaced"],
        )
        found.append(Resource(kind, frozenset(entry.get("verbs") or ())))
    return found


async def _get(client: Client, path: str) -> Json:
    answer: Json = codec.loads((await client.request("GET", path)).content)
    return answer
