"""Discovery: which groups, versions and resources there are, in the legacy documents and the aggregated one.

Made from the resource rows alone; documents are built once per set of rows, for clients ask often and rows change
seldom.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from apiserver.registry.resource import Resource
from machinery.api import codec
from machinery.api.codec import Json

#: subresource → (group, version, kind, verbs); "" for the group, version and kind of the resource itself
_SUBRESOURCES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "status": ("", "", "", "get patch update"),
    "scale": ("autoscaling", "v1", "Scale", "get patch update"),
    "log": ("", "", "", "get"),
    "exec": ("", "v1", "PodExecOptions", "create get"),
    "attach": ("", "v1", "PodAttachOptions", "create get"),
    "portforward": ("", "v1", "PodPortForwardOptions", "create get"),
    "binding": ("", "v1", "Binding", "create"),
    "eviction": ("policy", "v1", "Eviction", "create"),
    "ephemeralcontainers": ("", "", "", "get patch update"),
    "resize": ("", "", "", "get patch update"),
    "finalize": ("", "", "", "update"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", "create"),
    "approval": ("", "", "", "get patch update"),
}
_PROXY_VERBS: Final = "create delete get patch update"
#: upstream's order of the groups by GroupPriorityMinimum; others follow by name
_ORDER: Final = (
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
)
AGGREGATED_GROUP: Final = "apidiscovery.k8s.io"


@dataclass(frozen=True, slots=True)
class Document:
    """An aggregated document as bytes, with its media type and ETag."""

    body: bytes
    content_type: str
    etag: str


class Discovery:
    """All discovery documents of one set of rows."""

    def __init__(self, resources: Iterable[Resource], address: str = "") -> None:
        self._address = address
        self._groups: dict[str, dict[str, list[Resource]]] = {}
        for resource in resources:
            kind = resource.kind
            self._groups.setdefault(kind.group, {}).setdefault(kind.version, []).append(resource)
        self._aggregated: dict[tuple[str, bool], Document] = {}

    @cached_property
    def groups(self) -> list[str]:
        """The groups in upstream's order, the core group first."""
        known = {group: number for number, group in enumerate(_ORDER)}
        return sorted(self._groups, key=lambda group: (known.get(group, len(_ORDER)), group))

    def has(self, group: str, version: str) -> bool:
        """Whether the group-version is served."""
        return version in self._groups.get(group, ())

    def versions_of(self, group: str) -> list[str]:
        """The versions of a group, the preferred one first."""
        return sorted(self._groups.get(group, ()), key=_version_order)

    def resources_of(self, group: str, version: str) -> list[Resource]:
        """The rows of a group-version."""
        return self._groups.get(group, {}).get(version, [])

    def core_versions(self) -> Json:
        """The body of /api."""
        cidr = {"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}
        return {"kind": "APIVersions", "versions": self.versions_of(""), "serverAddressByClientCIDRs": [cidr]}

    def group_list(self) -> Json:
        """The body of /apis."""
        groups = [self._group(group) for group in self.groups if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, group: str) -> Json | None:
        """The body of /apis/GROUP, or None."""
        if not group or group not in self._groups:
            return None
        return {"kind": "APIGroup", "apiVersion": "v1"} | self._group(group)

    def resource_list(self, group: str, version: str) -> Json | None:
        """The body of /apis/GROUP/VERSION or /api/v1, or None."""
        if not self.has(group, version):
            return None
        entries = [entry for row in self.resources_of(group, version) for entry in _legacy_entries(row)]
        group_version = f"{group}/{version}" if group else version
        head = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
        entries.sort(key=lambda entry: str(entry["name"]))
        return head | {"groupVersion": group_version, "resources": entries}

    def aggregated(self, version: str, *, core: bool) -> Document:
        """The aggregated document of /api (core) or /apis in apidiscovery version v2 or v2beta1."""
        document = self._aggregated.get((version, core))
        if document is None:
            groups = [group for group in self.groups if (not group) == core]
            listing = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": f"{AGGREGATED_GROUP}/{version}",
                "metadata": {},
                "items": [self._discovery(group) for group in groups],
            }
            body = codec.dumps(listing)
            media = f"application/json;g={AGGREGATED_GROUP};v={version};as=APIGroupDiscoveryList"
            document = Document(body, media, f'"{hashlib.sha256(body).hexdigest().upper()}"')
            self._aggregated[version, core] = document
        return document

    def paths(self) -> list[str]:
        """What `/` lists of the API."""
        found = ["/api", *(f"/api/{version}" for version in self.versions_of("")), "/apis"]
        for group in self.groups:
            if group:
                found += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in self.versions_of(group))]
        return found

    def _group(self, group: str) -> Json:
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in self.versions_of(group)]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _discovery(self, group: str) -> Json:
        versions = [
            {
                "version": version,
                "resources": [_aggregated_entry(row) for row in sorted(rows, key=lambda row: row.kind.plural)],
                "freshness": "Current",
            }
            for version in self.versions_of(group)
            for rows in [self.resources_of(group, version)]
        ]
        return {"metadata": {"name": group, "creationTimestamp": None} if group else {}, "versions": versions}


def _version_order(version: str) -> tuple[int, int, int]:
    """v2, v1, v1beta1, v1alpha1: stable ones first, newer ones first (upstream's order)."""
    for stability, word in ((1, "beta"), (2, "alpha")):
        if word in version:
            major, _, minor = version[1:].partition(word)
            return stability, -int(major or 0), -int(minor or 0)
    return 0, -int(version[1:]), 0


def _subresources(row: Resource) -> Iterator[tuple[str, Json, list[str]]]:
    kind = row.kind
    for name in sorted(row.subresources):
        known = _proxy(row) if name == "proxy" else _SUBRESOURCES.get(name, ("", "", "", "get"))
        group, version, gvk_kind, verbs = known
        own = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        answer = {"group": group, "version": version, "kind": gvk_kind} if gvk_kind else own
        yield name, answer, verbs.split()


def _proxy(row: Resource) -> tuple[str, str, str, str]:
    return "", "v1", f"{row.kind.kind}ProxyOptions", _PROXY_VERBS


def _legacy_entries(row: Resource) -> Iterator[Json]:
    kind = row.kind
    entry: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    yield entry
    for name, answer, verbs in _subresources(row):
        sub: Json = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        if (answer["group"], answer["version"]) != (kind.group, kind.version):
            sub |= {"group": answer["group"], "version": answer["version"]}
        yield sub | {"kind": answer["kind"], "verbs": verbs}


def _aggregated_entry(row: Resource) -> Json:
    kind = row.kind
    entry: Json = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    subresources = [
        {"subresource": name, "responseKind": answer, "verbs": verbs} for name, answer, verbs in _subresources(row)
    ]
    return entry | {"subresources": subresources} if subresources else entry
