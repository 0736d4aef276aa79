"""Services as the rules need them: one value per port. Endpoints are in `endpoints`, rules in `rules`."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Final, NamedTuple

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey

#: objects with these labels belong to another proxy, or need none: what upstream asks the API server for
LABEL_SELECTOR: Final = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
_EXTERNAL_TYPES: Final = ("NodePort", "LoadBalancer")
_DEFAULT_AFFINITY_SECONDS: Final = 10800


class PortName(NamedTuple):
    """Which port of which Service; prints as upstream names it in comments and hashes."""

    namespace: str
    service: str
    port: str

    @property
    def key(self) -> ObjectKey:
        """The Service."""
        return ObjectKey(self.namespace, self.service)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with a cluster IP. `protocol` is in lower case; `affinity_seconds` 0 means none."""

    name: PortName
    cluster_ip: str
    protocol: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    internal_local: bool = False
    external_local: bool = False
    health_check_port: int = 0

    @property
    def is_external(self) -> bool:
        """Whether anything but the cluster IP leads to it."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """External traffic needs them even when its policy is Local, for what comes from this cluster itself."""
        return not self.internal_local or self.is_external

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether some of its traffic stays on the node it arrived at."""
        return self.internal_local or (self.external_local and self.is_external)


def ports_of(service: Json) -> tuple[ServicePort, ...]:
    """The ports the proxy serves: none for headless and ExternalName Services, nor (yet) for IPv6 cluster IPs."""
    spec = service.get("spec") or {}
    cluster_ip = _cluster_ip(spec)
    if spec.get("type") == "ExternalName" or not cluster_ip:
        return ()
    return tuple(_port(service, cluster_ip, port) for port in spec.get("ports") or ())


def _cluster_ip(spec: Json) -> str:
    candidates = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    return next((one for one in candidates if is_ipv4(one)), "")


def _port(service: Json, cluster_ip: str, port: Json) -> ServicePort:
    spec = service["spec"]
    external = spec.get("type") in _EXTERNAL_TYPES
    is_balanced = spec.get("type") == "LoadBalancer"
    return ServicePort(
        name=PortName(meta.namespace_of(service), meta.name_of(service), port.get("name") or ""),
        cluster_ip=cluster_ip,
        protocol=(port.get("protocol") or "TCP").lower(),
        port=port["port"],
        node_port=(port.get("nodePort") or 0) if external else 0,
        external_ips=tuple(ip for ip in spec.get("externalIPs") or () if is_ipv4(ip)),
        load_balancer_ips=_load_balancer_ips(service) if is_balanced else (),
        source_ranges=_source_ranges(spec) if is_balanced else (),
        affinity_seconds=_affinity_seconds(spec),
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=spec.get("externalTrafficPolicy") == "Local",
        health_check_port=(spec.get("healthCheckNodePort") or 0) if is_balanced else 0,
    )


def _load_balancer_ips(service: Json) -> tuple[str, ...]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(one["ip"] for one in ingress if is_ipv4(one.get("ip") or "") and one.get("ipMode") != "Proxy")


def _source_ranges(spec: Json) -> tuple[str, ...]:
    """IPv4 networks only: one word iptables cannot read would keep the rules of all Services from being written."""
    ranges = (cidr.strip() for cidr in spec.get("loadBalancerSourceRanges") or ())
    return tuple(cidr for cidr in ranges if _is_ipv4_network(cidr))


def _affinity_seconds(spec: Json) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return client_ip.get("timeoutSeconds") or _DEFAULT_AFFINITY_SECONDS


def _is_ipv4_network(text: str) -> bool:
    try:
        return isinstance(ip_network(text, strict=False), IPv4Network)
    except ValueError:
        return False


def is_ipv4(text: str) -> bool:
    """Whether a text is an IPv4 address ("None" is not)."""
    try:
        return isinstance(ip_address(text), IPv4Address)
    except ValueError:
        return False
