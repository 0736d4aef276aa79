"""Which fields of a Service go with which type, and what an update that leaves them out means. Pure, in place.

Upstream: pkg/registry/core/service/strategy.go (dropTypeDependentFields, patchAllocatedValues, NormalizeClusterIPs).
"""

from typing import Final

from apiserver.resources.core.services.defaults import is_externally_accessible
from machinery.api.codec import Json

HEADLESS: Final = "None"
_WITH_ADDRESS: Final = ("ClusterIP", "NodePort", "LoadBalancer")


def needs_cluster_ip(spec: Json) -> bool:
    """All types but ExternalName have one, be it `None`."""
    return spec.get("type") in _WITH_ADDRESS


def is_headless(spec: Json) -> bool:
    """The Service has no virtual IP on purpose."""
    first: str | None = (spec.get("clusterIPs") or [spec.get("clusterIP")])[0]
    return first == HEADLESS


def needs_node_ports(spec: Json) -> bool:
    """NodePort, and LoadBalancer unless it says it does not."""
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and bool(spec.get("allocateLoadBalancerNodePorts", True)))


def needs_health_port(spec: Json) -> bool:
    """Load balancers ask each node of a Local service whether it has endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def agree_on_addresses(spec: Json, old: Json | None = None) -> None:
    """clusterIP and clusterIPs[0] are one thing: whichever of the two the client changed wins."""
    one, several = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if old is not None and one != (old.get("clusterIP") or "") and several == (old.get("clusterIPs") or []):
        several = [one] if one else []
    elif one and not several:
        several = [one]
    elif several and not one and old is None:
        one = several[0]
    _put(spec, "clusterIP", one)
    _put(spec, "clusterIPs", several)


def _put(spec: Json, key: str, value: str | list[str]) -> None:
    if value:
        spec[key] = value
    else:
        spec.pop(key, None)


def carry_over(spec: Json, old: Json) -> None:
    """What the server once chose stays when the client does not mention it."""
    if needs_cluster_ip(spec) and needs_cluster_ip(old):
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            for key in ("clusterIP", "clusterIPs"):
                _put(spec, key, old.get(key) or "")
        for key in ("ipFamilies", "ipFamilyPolicy"):
            if not spec.get(key) and old.get(key):
                spec[key] = old[key]
    if needs_node_ports(spec) and needs_node_ports(old):
        _carry_over_ports(spec, old)
    if needs_health_port(spec) and needs_health_port(old) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old.get("healthCheckNodePort", 0)


def _carry_over_ports(spec: Json, old: Json) -> None:
    ports = spec.get("ports") or []
    taken = {port["nodePort"] for port in ports if port.get("nodePort")}
    before = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in old.get("ports") or ()}
    for port in ports:
        node_port = before.get((port.get("protocol"), port.get("port")))
        if not port.get("nodePort") and node_port and node_port not in taken:
            port["nodePort"] = node_port
            taken.add(node_port)


def drop_what_no_longer_fits(spec: Json, old: Json) -> None:
    """A change of type takes the old type's fields with it, unless the client set them anew."""
    if needs_cluster_ip(old) and not needs_cluster_ip(spec) and spec.get("clusterIPs") == old.get("clusterIPs"):
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(key, None)
    if needs_node_ports(old) and not needs_node_ports(spec) and _node_ports(spec) <= _node_ports(old):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    gone = {
        "healthCheckNodePort": needs_health_port(old) and not needs_health_port(spec),
        "externalTrafficPolicy": is_externally_accessible(old) and not is_externally_accessible(spec),
        "internalTrafficPolicy": needs_cluster_ip(old) and not needs_cluster_ip(spec),
        "allocateLoadBalancerNodePorts": old.get("type") == "LoadBalancer" != spec.get("type"),
        "loadBalancerClass": old.get("type") == "LoadBalancer" != spec.get("type"),
    }
    for key, fits_no_longer in gone.items():
        if fits_no_longer and spec.get(key) == old.get(key):
            spec.pop(key, None)


def _node_ports(spec: Json) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
