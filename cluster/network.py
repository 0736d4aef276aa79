"""The machine's own network for its nodes: a switch namespace, one namespace per node, one cable to here.

The bridge lives in a namespace of its own and not here, because Docker's FORWARD policy (DROP) and br_netfilter would
stop what the nodes say to each other. Routes among the nodes' pod CIDRs are the network agent's; the routes from this
machine to them are made here, once the nodes have theirs. Names all begin with `sk-ID`, so taking down is exact.
"""

import contextlib
import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from cluster.config import ClusterConfig, Node, host_interface, netns
from cluster.errors import ClusterError
from cluster.machine import run

NETNS: Final = Path("/run/netns")
MOUNTINFO: Final = Path("/proc/self/mountinfo")
SWITCH: Final = "sw"
PREFERRED_SUBNETS: Final = tuple(f"172.30.{third}.0/24" for third in range(99, 200))
PREFERRED_POD_CIDRS: Final = tuple(f"10.{second}.0.0/16" for second in range(244, 199, -1))
PREFERRED_SERVICE_CIDRS: Final = tuple(f"10.{second}.0.0/16" for second in range(96, 196))
FIRST_NODE: Final = 11  # the last number of the first node's address
NODE_SYSCTLS: Final = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/route_localnet": "1",  # NodePorts on the node's own 127.0.0.1
    "net/ipv4/conf/eth0/route_localnet": "1",
    # A packet of this machine to a Service without endpoints would leave where it came in: the redirect sent for that
    # uses up the ICMP rate of the refusal, and the client would wait instead of being refused.
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/eth0/send_redirects": "0",
}
BRIDGED_CALLS_IPTABLES: Final = "net/bridge/bridge-nf-call-iptables"  # absent without br_netfilter


def node_address(subnet: str, index: int) -> str:
    """The address of the node with that index, from 0."""
    return str(ipaddress.ip_network(subnet)[FIRST_NODE + index])


def pick_free(preferred: Iterable[str], taken: Iterable[str]) -> str:
    """The first of the preferred networks that overlaps none that is routed already; raises ClusterError if none."""
    networks = [ipaddress.IPv4Network(network) for network in taken]
    for candidate in preferred:
        if not any(ipaddress.IPv4Network(candidate).overlaps(network) for network in networks):
            return candidate
    raise ClusterError("every network that could be given to the nodes is routed somewhere already")


def routed_networks() -> list[str]:
    """IPv4 networks that this machine has a route to, the default route aside."""
    routes = orjson.loads(run("ip", "-j", "-4", "route", "show") or "[]")
    return [route["dst"] for route in routes if route["dst"] != "default"]


def exists(config: ClusterConfig) -> bool:
    """Whether every namespace and this machine's end of the cable are there."""
    names = [netns(config, short) for short in (SWITCH, *(node.short for node in config.nodes))]
    cable = Path("/sys/class/net") / host_interface(config)
    return all((NETNS / name).exists() for name in names) and cable.exists()


def ensure(config: ClusterConfig) -> bool:
    """Make the network unless it is there; True when it was made. Remains of a broken one are removed first."""
    if exists(config):
        return False
    remove(config)
    _add_switch(config)
    for index, node in enumerate(config.nodes):
        add_node(config, node, f"p{index + 1}")
    first = config.nodes[0].address
    # One route to the services is enough: any node's proxy knows them all.
    run("ip", "route", "replace", config.service_cidr, "via", first, "dev", host_interface(config))
    return True


def _add_switch(config: ClusterConfig) -> None:
    switch, cable = netns(config, SWITCH), host_interface(config)
    run("ip", "netns", "add", switch)
    inside = ["link set lo up", "link add br0 type bridge", "link set br0 up"]
    run("ip", "-n", switch, "-batch", "-", stdin="\n".join(inside))
    write_sysctls(switch, {BRIDGED_CALLS_IPTABLES: "0"})
    prefix = ipaddress.ip_network(config.node_subnet).prefixlen
    here = [
        f"link add {cable} type veth peer name p0 netns {switch}",
        f"address add {config.host_address}/{prefix} dev {cable}",
        f"link set {cable} up",
    ]
    run("ip", "-batch", "-", stdin="\n".join(here))
    run("ip", "-n", switch, "link", "set", "p0", "master", "br0", "up")


def add_node(config: ClusterConfig, node: Node, port: str) -> None:
    """A namespace for a node, on a port of the switch."""
    name, switch = netns(config, node.short), netns(config, SWITCH)
    run("ip", "netns", "add", name)
    run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", port, "netns", switch)
    run("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
    prefix = ipaddress.ip_network(config.node_subnet).prefixlen
    inside = [
        "link set lo up",
        f"address add {node.address}/{prefix} dev eth0",
        "link set eth0 up",
        # Without some route a packet to a service is refused before the proxy's rules see it. On the link, not via a
        # router: what no rule translates then dies here instead of going in circles between this machine and a node.
        f"route add {config.service_cidr} dev eth0",
    ]
    run("ip", "-n", name, "-batch", "-", stdin="\n".join(inside))
    write_sysctls(name, NODE_SYSCTLS | {BRIDGED_CALLS_IPTABLES: "1"})


def write_sysctls(namespace: str, values: Mapping[str, str]) -> None:
    """Set kernel parameters of a network namespace; those that this kernel does not have are left out."""
    script = "".join(f"[ ! -e /proc/sys/{key} ] || echo {value} > /proc/sys/{key}\n" for key, value in values.items())
    run("nsenter", f"--net={NETNS / namespace}", "sh", "-e", stdin=script)


def ensure_pod_routes(config: ClusterConfig, pod_cidrs: Mapping[str, str]) -> bool:
    """Route each node's pod CIDR (node name → CIDR) from this machine to that node; True when one was new.

    Straight to the node that has the pods: a way through another node would be one-way for its connection tracking.
    """
    there = set(routed_networks())
    fresh = False
    for name, cidr in pod_cidrs.items():
        node = config.node(name)
        if node is not None and cidr not in there:
            run("ip", "route", "replace", cidr, "via", node.address, "dev", host_interface(config))
            fresh = True
    return fresh


def remove(config: ClusterConfig) -> list[str]:
    """Take away every namespace of this cluster and its cable; returns the names that were there."""
    cable = host_interface(config)
    gone = []
    if (Path("/sys/class/net") / cable).exists():
        run("ip", "link", "del", cable)  # its routes go with it
        gone.append(cable)
    for name in ours(config):
        run("ip", "netns", "del", name)
        gone.append(name)
    _drop_empty_netns_mount()
    return gone


def ours(config: ClusterConfig) -> list[str]:
    """The network namespaces of this cluster that exist, whether or not its configuration names them."""
    if not NETNS.exists():
        return []
    return sorted(entry.name for entry in NETNS.iterdir() if entry.name.startswith(netns(config, "")))


def _drop_empty_netns_mount() -> None:
    """`ip netns add` mounts /run/netns on itself and nobody ever takes it away; empty, it is nobody's."""
    if not NETNS.exists() or any(NETNS.iterdir()):
        return
    with contextlib.suppress(ClusterError, OSError):  # somebody has just added one of theirs
        if any(line.split()[4] == str(NETNS) for line in MOUNTINFO.read_text().splitlines()):
            run("umount", str(NETNS))
        os.rmdir(NETNS)
