"""What a cluster has before anybody writes to it: namespaces, RBAC's default roles, the `kubernetes` Service.

Reconciled at each start and, for namespaces and the Service, regularly (upstream:
pkg/controlplane/controller/systemnamespaces, kubernetesservice; pkg/registry/rbac/reconciliation). Default roles that
users changed keep what was added to them, and get back what was taken away, unless their annotation
rbac.authorization.kubernetes.io/autoupdate says "false".
"""

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apiserver import default_objects
from apiserver.authz import default_roles
from apiserver.registry.registry import Registry
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import User
from apiserver.storage.objects import Selection
from machinery.api import errors, kinds, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import Kind

logger = logging.getLogger(__name__)

NAMESPACES: Final = ("kube-system", "kube-public", "kube-node-lease", "default")
#: the server's own identity, for admission (upstream: the loopback client)
LOOPBACK: Final = User("system:apiserver", groups=("system:masters", "system:authenticated"))
_LEASE_LABEL: Final = {"component": "apiserver", "provider": "kubernetes"}


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where the `kubernetes` Service leads."""

    cluster_ip: str
    addresses: tuple[str, ...]
    port: int


def service_ip(cidr: str) -> str:
    """The first address of the service range, which the `kubernetes` Service has; raises ValueError."""
    network = ipaddress.ip_network(cidr.split(",")[0].strip(), strict=False)
    if network.num_addresses < 2:
        raise ValueError(f"{cidr} has no room for services")
    return str(network[1])


class Bootstrap:
    """Writes through the stores, as the server itself, past admission."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def namespaces(self) -> None:
        """Make the namespaces that must be there."""
        for name in NAMESPACES:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self._ensure(kinds.NAMESPACES, "", name, obj, _as_it_is)

    async def roles(self) -> None:
        """Make or complete the default roles and bindings."""
        objects: tuple[tuple[Kind, Iterable[Json], Callable[[Json, Json], bool]], ...] = (
            (kinds.CLUSTER_ROLES, default_roles.cluster_roles(), complete_role),
            (kinds.ROLES, default_roles.roles(), complete_role),
            (kinds.CLUSTER_ROLE_BINDINGS, default_roles.cluster_role_bindings(), complete_binding),
            (kinds.ROLE_BINDINGS, default_roles.role_bindings(), complete_binding),
        )
        for kind, wanted, complete in objects:
            for obj in wanted:
                await self._ensure(kind, meta.namespace_of(obj), meta.name_of(obj), obj, complete)

    async def defaults(self, objects: Iterable[tuple[Kind, Json]]) -> None:
        """Make what is not there."""
        for kind, obj in objects:
            await self._ensure(kind, "", meta.name_of(obj), obj, _as_it_is)

    async def local_api_services(self) -> None:
        """Say of the APIServices that lead here that they do."""
        store = self._store(kinds.API_SERVICES)

        async def change(old: Json | None) -> Json:
            return {**(old or {}), "status": default_objects.local_status(times.rfc3339(times.now()))}

        for entry in list(store.collection.select(Selection())):
            obj = entry.decode()
            if not obj["spec"].get("service") and not (obj.get("status") or {}).get("conditions"):
                await store.update(change, Context(LOOPBACK, "", entry.name, "status"))

    async def trust(self, data: Mapping[str, str]) -> None:
        """Publish whose certificates this server believes (upstream: controller/clusterauthenticationtrust)."""
        name = "extension-apiserver-authentication"
        metadata = {"name": name, "namespace": "kube-system"}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        await self._ensure(kinds.CONFIG_MAPS, "kube-system", name, obj, _replace_data)

    async def service(self, where: ServiceAddress) -> None:
        """Make the `kubernetes` Service and keep its endpoints on this server."""
        await self._ensure(kinds.SERVICES, "default", "kubernetes", _service(where), _as_it_is)
        if any(ipaddress.ip_address(address).is_loopback for address in where.addresses):
            return  # Endpoints may not be: a pod's loopback is its own
        await self._ensure(kinds.ENDPOINTS, "default", "kubernetes", _endpoints(where), _replace_subsets)
        await self._ensure(kinds.ENDPOINT_SLICES, "default", "kubernetes", _slice(where), _replace_endpoints)

    async def _ensure(
        self, kind: Kind, namespace: str, name: str, wanted: Json, complete: Callable[[Json, Json], bool]
    ) -> None:
        """Create, or let `complete` change what is there; it answers whether it did."""
        store = self._store(kind)
        context = Context(LOOPBACK, namespace, name)
        found = store.collection.get(namespace, name)
        if found is None:
            try:
                await store.create(wanted, context)
                return
            except errors.AlreadyExists:
                found = await store.get(namespace, name)
        if not complete(found.decode(), wanted):
            return

        async def change(old: Json | None) -> Json:
            if old is None:
                return wanted
            complete(old, wanted)
            return old

        await store.update(change, context, may_create=True)

    def _store(self, kind: Kind) -> Store:
        store = self._registry.store_for(kind.group, kind.version, kind.plural)
        if store is None:
            raise LookupError(f"{kind.resource} is not served")
        return store


def complete_role(found: Json, wanted: Json) -> bool:
    """Add the rules, labels and aggregation that are missing; whether any was."""
    if not _may_update(found):
        return False
    before = [found.get("rules"), found.get("aggregationRule"), found["metadata"].get("labels")]
    if "aggregationRule" in wanted:
        found["aggregationRule"] = wanted["aggregationRule"]
    rules = found.get("rules") or []
    found["rules"] = rules + [rule for rule in wanted["rules"] if not any(_covers(own, rule) for own in rules)]
    _add_labels(found, wanted)
    return before != [found.get("rules"), found.get("aggregationRule"), found["metadata"].get("labels")]


def complete_binding(found: Json, wanted: Json) -> bool:
    """Add the subjects and labels that are missing; whether any was. A binding to another role is left alone."""
    if not _may_update(found) or found.get("roleRef") != wanted["roleRef"]:
        return False
    before = [found.get("subjects"), found["metadata"].get("labels")]
    subjects = found.get("subjects") or []
    missing = [subject for subject in wanted.get("subjects") or () if subject not in subjects]
    if missing:
        found["subjects"] = subjects + missing
    _add_labels(found, wanted)
    return before != [found.get("subjects"), found["metadata"].get("labels")]


def _may_update(found: Json) -> bool:
    return meta.annotations_of(found).get(default_roles.AUTO_UPDATE) != "false"


def _add_labels(found: Json, wanted: Json) -> None:
    found["metadata"]["labels"] = wanted["metadata"]["labels"] | (found["metadata"].get("labels") or {})


def _covers(own: Json, rule: Json) -> bool:
    """Whether a rule grants at least what another does; names and URLs have to be the same."""
    if own.get("resourceNames") != rule.get("resourceNames"):
        return False
    fields = ("verbs", "apiGroups", "resources", "nonResourceURLs")
    return all(
        "*" in (own.get(field) or ()) or set(rule.get(field) or ()) <= set(own.get(field) or ()) for field in fields
    )


def _as_it_is(found: Json, wanted: Json) -> bool:
    return False


def _replace_data(found: Json, wanted: Json) -> bool:
    data = found.get("data") or {}
    found["data"] = data | wanted["data"]
    return bool(data != found["data"])


def _replace_subsets(found: Json, wanted: Json) -> bool:
    changed = bool(found.get("subsets") != wanted["subsets"])
    found["subsets"] = wanted["subsets"]
    return changed


def _replace_endpoints(found: Json, wanted: Json) -> bool:
    changed = [found.get("endpoints"), found.get("ports")] != [wanted["endpoints"], wanted["ports"]]
    found |= {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
    return changed


def _metadata() -> Json:
    return {"name": "kubernetes", "namespace": "default", "labels": dict(_LEASE_LABEL)}


def _service(where: ServiceAddress) -> Json:
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": where.port}
    spec = {
        "clusterIP": where.cluster_ip,
        "clusterIPs": [where.cluster_ip],
        "ports": [port],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(), "spec": spec}


def _endpoints(where: ServiceAddress) -> Json:
    metadata = {
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
    }
    port = {"name": "https", "port": where.port, "protocol": "TCP"}
    subsets = [{"addresses": [{"ip": address} for address in where.addresses], "ports": [port]}]
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}


def _slice(where: ServiceAddress) -> Json:
    labels = {"kubernetes.io/service-name": "kubernetes"}
    family = "IPv6" if ":" in where.addresses[0] else "IPv4"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in where.addresses],
        "ports": [{"name": "https", "protocol": "TCP", "port": where.port}],
    }
