"""EndpointSlices as the rules need them, and the choice of endpoints each kind of traffic may use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from proxy.services import PortName, ServicePort, is_ipv4

SERVICE_NAME: Final = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One backend of one Service port."""

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    local: bool = False

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def is_last_resort(self) -> bool:
        """Still answering while it shuts down: used when nothing is ready (KEP-1669)."""
        return self.serving and self.terminating


@dataclass(frozen=True, slots=True)
class Choice:
    """The endpoints for traffic that may go anywhere, for traffic that stays on the node, and whether there are any."""

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    any_anywhere: bool

    @property
    def reachable(self) -> tuple[Endpoint, ...]:
        """All endpoints that rules point to, each once."""
        return tuple(dict.fromkeys((*self.cluster, *self.local)))


def service_of(endpoint_slice: Json) -> ObjectKey:
    """The Service a slice belongs to; its name is empty when the slice does not say."""
    return ObjectKey(meta.namespace_of(endpoint_slice), meta.labels_of(endpoint_slice).get(SERVICE_NAME, ""))


def endpoints_of(endpoint_slice: Json, node: str) -> dict[PortName, list[Endpoint]]:
    """The endpoints of a slice by Service port; slices of other address families than IPv4 have none yet."""
    namespace, service = service_of(endpoint_slice)
    if not service or endpoint_slice.get("addressType") != "IPv4":
        return {}
    found: dict[PortName, list[Endpoint]] = {}
    for port in endpoint_slice.get("ports") or ():
        if port.get("port") is None:
            continue  # "all ports" has no meaning for a Service port
        name = PortName(namespace, service, port.get("name") or "")
        found.setdefault(name, []).extend(
            _endpoint(one, port["port"], node)
            for one in endpoint_slice.get("endpoints") or ()
            if is_ipv4((one.get("addresses") or [""])[0])
        )
    return found


def _endpoint(endpoint: Json, port: int, node: str) -> Endpoint:
    conditions = endpoint.get("conditions") or {}
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    return Endpoint(
        address=endpoint["addresses"][0],
        port=port,
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
        local=bool(node) and endpoint.get("nodeName") == node,
    )


def merge(slices: Iterable[Mapping[PortName, list[Endpoint]]]) -> dict[PortName, tuple[Endpoint, ...]]:
    """All slices of all Services: each backend once, in a fixed order.

    While a pod moves from one slice to another it may be in both: the ready, or the local, description wins.
    """
    together: dict[PortName, dict[tuple[str, int], Endpoint]] = {}
    for one in slices:
        for name, endpoints in one.items():
            known = together.setdefault(name, {})
            for endpoint in endpoints:
                key = (endpoint.address, endpoint.port)
                known[key] = max(known.get(key, endpoint), endpoint)
    return {name: tuple(sorted(known.values())) for name, known in together.items()}


def choose(service: ServicePort, endpoints: Iterable[Endpoint]) -> Choice:
    """Upstream's CategorizeEndpoints (pkg/proxy/topology.go): ready ones, else those that still serve as they end."""
    endpoints = tuple(endpoints)
    cluster: tuple[Endpoint, ...] = ()
    if service.uses_cluster_endpoints:
        cluster = _usable(endpoints)
    local: tuple[Endpoint, ...] = ()
    if service.uses_local_endpoints:
        local = _usable(one for one in endpoints if one.local)
    return Choice(cluster, local, any(one.ready or one.is_last_resort for one in endpoints))


def _usable(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    endpoints = tuple(endpoints)
    return tuple(one for one in endpoints if one.ready) or tuple(one for one in endpoints if one.is_last_resort)
