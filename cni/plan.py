"""What the node's network should be, from the Nodes: CNI configuration, routes, rules, its condition. All pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Final

from machinery.api import meta
from machinery.api.codec import Json

NETWORK_NAME: Final = "skiff"
CONF_FILE: Final = "10-skiff.conflist"
MASQUERADE_CHAIN: Final = "SKIFF-MASQ"
FORWARD_CHAIN: Final = "SKIFF-FORWARD"
#: marks routes as ours (rtm_protocol): no routing daemon in iproute2's rt_protos has this number
ROUTE_PROTOCOL: Final = 73
_MULTICAST: Final = "224.0.0.0/4"

SYSCTLS: Final[Mapping[str, int]] = {
    "net/ipv4/ip_forward": 1,
    # else a reply from a pod to its neighbour behind a Service stays on the bridge and is never translated back
    "net/bridge/bridge-nf-call-iptables": 1,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration depends on besides the Node."""

    bridge: str
    data_dir: str
    cluster_cidr: str = ""
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class JumpRule:
    """A rule in one of the kernel's own chains that leads into ours."""

    table: str
    source: str
    target: str
    comment: str

    def arguments(self) -> list[str]:
        """The rule, without table and command."""
        return [self.source, "-m", "comment", "--comment", self.comment, "-j", self.target]


JUMPS: Final = (
    JumpRule("nat", "POSTROUTING", MASQUERADE_CHAIN, "traffic from this node's pods to outside the cluster"),
    JumpRule("filter", "FORWARD", FORWARD_CHAIN, "traffic from and to pods"),
)


def pod_cidrs(node: Json) -> list[str]:
    """The node's IPv4 pod networks; empty as long as nobody has given it any."""
    spec = node.get("spec") or {}
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return [cidr for cidr in cidrs if _is_ipv4_network(cidr)]


def internal_ip(node: Json) -> str:
    """The node's first IPv4 InternalIP, empty if it has none yet."""
    for address in (node.get("status") or {}).get("addresses") or ():
        if address.get("type") == "InternalIP" and _is_ipv4(address.get("address", "")):
            ip: str = address["address"]
            return ip
    return ""


def conflist(cidrs: Iterable[str], settings: Settings) -> Json:
    """The CNI configuration: a bridge that is the pods' gateway, addresses from the node's own range, host ports.

    No ipMasq: it would hide which pod speaks from pods on other nodes too.
    """
    bridge: Json = {
        "type": "bridge",
        "bridge": settings.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": settings.data_dir,
            "ranges": [[{"subnet": cidr}] for cidr in cidrs],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    if settings.mtu:
        bridge["mtu"] = settings.mtu
    port_map = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "1.0.0", "name": NETWORK_NAME, "plugins": [bridge, port_map]}


def desired_routes(nodes: Iterable[Json], own_name: str) -> dict[str, str]:
    """Pod network → next hop, for every other node that has both. Two nodes that claim one network: the older wins."""
    routes: dict[str, str] = {}
    for node in sorted(nodes, key=_age):
        gateway = internal_ip(node)
        if gateway and meta.name_of(node) != own_name:
            for cidr in pod_cidrs(node):
                routes.setdefault(cidr, gateway)
    return routes


def route_changes(desired: Mapping[str, str], present: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What to set and what to delete; `present` holds only routes that carry our protocol number."""
    wanted = {cidr: gateway for cidr, gateway in desired.items() if present.get(cidr) != gateway}
    return wanted, sorted(set(present) - set(desired))


def rules(cidrs: Iterable[str], cluster_cidr: str) -> str:
    """The input of `iptables-restore --noflush`: what leaves the cluster is masqueraded, pods may be forwarded.

    Without a cluster CIDR nothing is masqueraded, since nobody knows what is outside.
    """
    masquerade, forward = [], []
    for cidr in cidrs:
        if cluster_cidr:
            masquerade += [
                f"-A {MASQUERADE_CHAIN} -s {cidr} -d {_MULTICAST} -j RETURN",
                f"-A {MASQUERADE_CHAIN} -s {cidr} ! -d {cluster_cidr} -j MASQUERADE",
            ]
        forward += [f"-A {FORWARD_CHAIN} -s {cidr} -j ACCEPT", f"-A {FORWARD_CHAIN} -d {cidr} -j ACCEPT"]
    return _table("nat", MASQUERADE_CHAIN, masquerade) + _table("filter", FORWARD_CHAIN, forward)


def removal() -> str:
    """The input of `iptables-restore --noflush` that takes our chains away."""
    chains = (("nat", MASQUERADE_CHAIN), ("filter", FORWARD_CHAIN))
    return "".join(_table(table, chain, [f"-X {chain}"]) for table, chain in chains)


def network_condition(node: Json, now: str) -> Json | None:
    """The condition to write once routes are there, None when the Node says so already (upstream: route controller)."""
    conditions = (node.get("status") or {}).get("conditions")
    old = meta.find_condition(conditions, "NetworkUnavailable")
    if old is not None and old.get("status") == "False":
        return None
    return {
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": "RouteCreated",
        "message": "RouteController created a route",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }


def _table(name: str, chain: str, lines: Iterable[str]) -> str:
    return "\n".join([f"*{name}", f":{chain} - [0:0]", *lines, "COMMIT", ""])


def _age(node: Json) -> tuple[str, str]:
    return (meta.metadata_of(node).get("creationTimestamp") or "", meta.name_of(node))


def _is_ipv4_network(text: str) -> bool:
    try:
        return isinstance(ip_network(text, strict=False), IPv4Network)
    except ValueError:
        return False


def _is_ipv4(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv4Address)
    except ValueError:
        return False
