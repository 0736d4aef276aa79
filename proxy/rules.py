"""Service ports and endpoints → the text that iptables-restore reads. Pure; running it is `iptables`.

Theory of operation (upstream: pkg/proxy/iptables/proxier.go; chain names, comments and marks are the same, so that
tools and people who know one know the other, and one may take over from the other).

A packet for a service is caught in KUBE-SERVICES (from PREROUTING and OUTPUT of the nat table) and takes this way:

    KUBE-SERVICES ─ cluster IP ────────────────────────────► KUBE-SVC-HASH ─ 1/n ─► KUBE-SEP-HASH ─► DNAT
                  ─ external IP, load balancer ─► KUBE-EXT-HASH ─┘  (KUBE-SVL-HASH when its policy keeps it on the node)
                  ─ local address ─► KUBE-NODEPORTS ─► KUBE-EXT-HASH

- HASH is the first 16 characters of base32(sha256(port name + protocol [+ endpoint])), so a chain keeps its name as
  long as it means the same thing, and an update touches nothing else.
- Every endpoint gets the same share: the i-th of n is taken with probability 1/(n-i), the last one always.
- What must come back through this node is marked (KUBE-MARK-MASQ, 0x4000) and masqueraded in KUBE-POSTROUTING: traffic
  from outside the cluster, to any but the node's own endpoints, and a pod that reaches itself through its service.
- A service without endpoints is rejected in the filter table, in chains that only new connections visit, *before* any
  DNAT could apply; one whose policy is Local and has none on this node is dropped there, as a load balancer expects.
- The whole text is one transaction per table: chains that are named in it are emptied and refilled, all others stay.
  Stale chains are emptied by naming them and deleted (-X) at the end, once nothing points to them.

Refused: incremental text (upstream's partial sync). It saves writing on clusters of thousands of services and costs the
certainty that what the kernel holds is what this function says.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from proxy.endpoints import Choice, Endpoint, choose
from proxy.services import PortName, ServicePort

SERVICES: Final = "KUBE-SERVICES"
EXTERNAL_SERVICES: Final = "KUBE-EXTERNAL-SERVICES"
NODE_PORTS: Final = "KUBE-NODEPORTS"
POSTROUTING: Final = "KUBE-POSTROUTING"
MARK_MASQ: Final = "KUBE-MARK-MASQ"
FORWARD: Final = "KUBE-FORWARD"
PROXY_FIREWALL: Final = "KUBE-PROXY-FIREWALL"
FIREWALL: Final = "KUBE-FIREWALL"

FILTER_CHAINS: Final = (SERVICES, EXTERNAL_SERVICES, FORWARD, NODE_PORTS, PROXY_FIREWALL)
NAT_CHAINS: Final = (SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ)
SERVICE_CHAIN_PREFIXES: Final = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-")


@dataclass(frozen=True, slots=True)
class Jump:
    """A rule in one of the kernel's own chains that leads into ours."""

    table: str
    source: str
    target: str
    comment: str = ""
    new_only: bool = False

    def arguments(self) -> list[str]:
        """The rule, without table and command."""
        match = ["-m", "conntrack", "--ctstate", "NEW"] if self.new_only else []
        comment = ["-m", "comment", "--comment", self.comment] if self.comment else []
        return [self.source, *match, *comment, "-j", self.target]


JUMPS: Final = (
    Jump("filter", "INPUT", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", new_only=True),
    Jump("filter", "FORWARD", EXTERNAL_SERVICES, "kubernetes externally-visible service portals", new_only=True),
    Jump("filter", "INPUT", NODE_PORTS, "kubernetes health check service ports"),
    Jump("filter", "FORWARD", SERVICES, "kubernetes service portals", new_only=True),
    Jump("filter", "OUTPUT", SERVICES, "kubernetes service portals", new_only=True),
    Jump("filter", "FORWARD", FORWARD, "kubernetes forwarding rules"),
    Jump("filter", "INPUT", PROXY_FIREWALL, "kubernetes load balancer firewall", new_only=True),
    Jump("filter", "OUTPUT", PROXY_FIREWALL, "kubernetes load balancer firewall", new_only=True),
    Jump("filter", "FORWARD", PROXY_FIREWALL, "kubernetes load balancer firewall", new_only=True),
    Jump("nat", "OUTPUT", SERVICES, "kubernetes service portals"),
    Jump("nat", "PREROUTING", SERVICES, "kubernetes service portals"),
    Jump("nat", "POSTROUTING", POSTROUTING, "kubernetes postrouting rules"),
)
LOCALNET_JUMPS: Final = (Jump("filter", "INPUT", FIREWALL), Jump("filter", "OUTPUT", FIREWALL))


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """What the rules depend on besides the cluster's objects.

    `node_port_addresses`: this node's addresses that answer NodePorts, None for all local ones.
    """

    cluster_cidr: str = ""
    masquerade_all: bool = False
    masquerade_bit: int = 14
    random_fully: bool = True
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] | None = None
    node_ip: str = ""
    tcp_be_liberal: bool = False

    @property
    def mark(self) -> str:
        """The masquerade mark, as iptables prints it."""
        return hex(1 << self.masquerade_bit)


@dataclass(slots=True)
class RuleSet:
    """Everything the proxy wants in the kernel."""

    filter_chains: list[str] = field(default_factory=lambda: list(FILTER_CHAINS))
    filter_rules: list[str] = field(default_factory=list)
    nat_chains: list[str] = field(default_factory=lambda: list(NAT_CHAINS))
    nat_rules: list[str] = field(default_factory=list)
    jumps: tuple[Jump, ...] = JUMPS

    def text(self, stale: Iterable[str] = ()) -> str:
        """The input of `iptables-restore --noflush`; `stale` nat chains are deleted in the same transaction."""
        gone = [chain for chain in sorted(set(stale) - set(self.nat_chains)) if is_service_chain(chain)]
        deletions = [f"-X {chain}" for chain in gone]
        return _table("filter", self.filter_chains, self.filter_rules) + _table(
            "nat", [*self.nat_chains, *gone], [*self.nat_rules, *deletions]
        )


def is_service_chain(chain: str) -> bool:
    """Whether a nat chain was made for some service."""
    return chain.startswith(SERVICE_CHAIN_PREFIXES)


def chain_hash(*parts: str) -> str:
    """The 16 characters that name a service's chains."""
    return base64.b32encode(hashlib.sha256("".join(parts).encode()).digest()).decode()[:16]


def render(
    services: Iterable[ServicePort], endpoints: Mapping[PortName, tuple[Endpoint, ...]], config: RuleConfig
) -> RuleSet:
    """The whole rule set; the same input always gives the same text."""
    rules = RuleSet()
    _masquerade(rules, config)
    if config.localhost_node_ports:
        _protect_localnet(rules)
    for service in sorted(services, key=lambda one: one.name):
        part = _render_one(config, service, choose(service, endpoints.get(service.name, ())))
        rules.nat_chains += part.nat_chains
        rules.nat_rules += part.nat_rules
        rules.filter_rules += part.filter_rules
    _node_port_jump(rules, config)
    _forward(rules, config)
    return rules


def _masquerade(rules: RuleSet, config: RuleConfig) -> None:
    fully = " --random-fully" if config.random_fully else ""
    rules.nat_rules += [
        f"-A {POSTROUTING} -m mark ! --mark {config.mark}/{config.mark} -j RETURN",
        # the mark goes, lest a packet that passes the stack again be masqueraded twice
        f"-A {POSTROUTING} -j MARK --xor-mark {config.mark}",
        f'-A {POSTROUTING} -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE{fully}',
        f"-A {MARK_MASQ} -j MARK --or-mark {config.mark}",
    ]


def _protect_localnet(rules: RuleSet) -> None:
    """route_localnet, which NodePorts on 127.0.0.1 need, must not open that network to neighbours (CVE-2020-8558)."""
    rules.filter_chains.append(FIREWALL)
    rules.jumps = JUMPS + LOCALNET_JUMPS
    rules.filter_rules.append(
        f'-A {FIREWALL} -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 '
        "! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )


def _node_port_jump(rules: RuleSet, config: RuleConfig) -> None:
    comment = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
    if config.node_port_addresses is None:
        loopback = "" if config.localhost_node_ports else " ! -d 127.0.0.0/8"
        rules.nat_rules.append(f"-A {SERVICES} {comment} -m addrtype --dst-type LOCAL{loopback} -j {NODE_PORTS}")
        return
    for address in config.node_port_addresses:
        if config.localhost_node_ports or not ip_address(address).is_loopback:
            rules.nat_rules.append(f"-A {SERVICES} {comment} -d {address} -j {NODE_PORTS}")


def _forward(rules: RuleSet, config: RuleConfig) -> None:
    if not config.tcp_be_liberal:  # else a late packet that conntrack does not know would reset a good connection
        rules.filter_rules.append(f"-A {FORWARD} -m conntrack --ctstate INVALID -j DROP")
    rules.filter_rules += [
        f'-A {FORWARD} -m comment --comment "kubernetes forwarding rules" '
        f"-m mark --mark {config.mark}/{config.mark} -j ACCEPT",
        f'-A {FORWARD} -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]


@lru_cache(maxsize=65_536)
def _render_one(config: RuleConfig, service: ServicePort, choice: Choice) -> "_Writer":
    """The part of one service port; remembered, since most of them stay as they are from one time to the next."""
    writer = _Writer(config, service, choice)
    writer.write()
    return writer


class _Writer:
    """Writes the rules of one service port."""

    def __init__(self, config: RuleConfig, service: ServicePort, choice: Choice) -> None:
        self.nat_chains: list[str] = []
        self.nat_rules: list[str] = []
        self.filter_rules: list[str] = []
        self._config, self._service, self._choice = config, service, choice
        self._name = str(service.name)
        own = chain_hash(self._name, service.protocol)
        self._svc, self._svl = f"KUBE-SVC-{own}", f"KUBE-SVL-{own}"
        self._ext, self._fw = f"KUBE-EXT-{own}", f"KUBE-FW-{own}"
        self._has_internal = choice.any_anywhere and (not service.internal_local or bool(choice.local))
        self._has_external = choice.any_anywhere and (not service.external_local or bool(choice.local))
        self._uses_fw = bool(choice.any_anywhere and service.load_balancer_ips and service.source_ranges)

    def write(self) -> None:
        """All of it, into the three lists."""
        self._cluster_ip()
        self._external_addresses()
        self._node_port()
        self._external_chain()
        self._firewall_chain()
        if self._choice.cluster and self._service.uses_cluster_endpoints:
            self._balance(self._svc, self._choice.cluster)
        if self._choice.local and self._service.uses_local_endpoints:
            self._balance(self._svl, self._choice.local)
        for endpoint in self._choice.reachable:
            self._endpoint(endpoint)

    def _nat(self, rule: str) -> None:
        self.nat_rules.append(f"-A {rule}")

    def _filter(self, rule: str) -> None:
        self.filter_rules.append(f"-A {rule}")

    def _chain(self, name: str) -> None:
        self.nat_chains.append(name)

    def _to(self, address: str, port: int = 0) -> str:
        protocol = self._service.protocol
        destination = f" -d {address}" if address else ""
        return f"-m {protocol} -p {protocol}{destination} --dport {port or self._service.port}"

    def _refuse(self, chain: str, to: str) -> None:
        """No endpoints anywhere: say so at once. None on this node: leave it to whoever balances the load."""
        why, target = ("local endpoints", "DROP") if self._choice.any_anywhere else ("endpoints", "REJECT")
        self._filter(f"{chain} {_comment(f'{self._name} has no {why}')} {to} -j {target}")

    def _cluster_ip(self) -> None:
        to = self._to(self._service.cluster_ip)
        if not self._has_internal:
            self._refuse(SERVICES, to)
            return
        chain = self._svl if self._service.internal_local else self._svc
        rule = f"{_comment(f'{self._name} cluster IP')} {to}"
        self._nat(f"{SERVICES} {rule} -j {chain}")
        if self._config.masquerade_all:
            self._nat(f"{chain} {rule} -j {MARK_MASQ}")
        elif self._config.cluster_cidr:
            self._nat(f"{chain} {rule} ! -s {self._config.cluster_cidr} -j {MARK_MASQ}")

    def _external_addresses(self) -> None:
        service = self._service
        for address in service.external_ips:
            self._capture(address, "external IP", self._ext)
        for address in service.load_balancer_ips:
            self._capture(address, "loadbalancer IP", self._fw if self._uses_fw else self._ext)
            if self._uses_fw:
                comment = _comment(f"{self._name} traffic not accepted by {self._fw}")
                self._filter(f"{PROXY_FIREWALL} {comment} {self._to(address)} -j DROP")

    def _capture(self, address: str, what: str, chain: str) -> None:
        if self._choice.any_anywhere:
            self._nat(f"{SERVICES} {_comment(f'{self._name} {what}')} {self._to(address)} -j {chain}")
        if not self._has_external:
            self._refuse(EXTERNAL_SERVICES, self._to(address))

    def _node_port(self) -> None:
        service = self._service
        if service.node_port:
            to = self._to("", service.node_port)
            if self._choice.any_anywhere:
                self._nat(f"{NODE_PORTS} {_comment(self._name)} {to} -j {self._ext}")
            if not self._has_external:
                self._refuse(EXTERNAL_SERVICES, f"-m addrtype --dst-type LOCAL {to}")
        if service.health_check_port:
            comment = _comment(f"{self._name} health check node port")
            self._filter(f"{NODE_PORTS} {comment} -m tcp -p tcp --dport {service.health_check_port} -j ACCEPT")

    def _external_chain(self) -> None:
        """From any endpoint on any node the answer must come back here; from one on this node it does anyway."""
        if not (self._choice.any_anywhere and self._service.is_external):
            return
        self._chain(self._ext)
        if not self._service.external_local:
            comment = _comment(f"masquerade traffic for {self._name} external destinations")
            self._nat(f"{self._ext} {comment} -j {MARK_MASQ}")
        else:
            self._short_circuit()
        if self._has_external:
            self._nat(f"{self._ext} -j {self._svl if self._service.external_local else self._svc}")

    def _short_circuit(self) -> None:
        """What starts in the cluster is subject to no external policy, as if it had gone out and come in again."""
        what = f"{self._name} external destinations"
        if self._config.cluster_cidr:
            source = f"-s {self._config.cluster_cidr}"
            self._nat(f"{self._ext} {_comment(f'pod traffic for {what}')} {source} -j {self._svc}")
        local = "-m addrtype --src-type LOCAL"
        self._nat(f"{self._ext} {_comment(f'masquerade LOCAL traffic for {what}')} {local} -j {MARK_MASQ}")
        self._nat(f"{self._ext} {_comment(f'route LOCAL traffic for {what}')} {local} -j {self._svc}")

    def _firewall_chain(self) -> None:
        if not self._uses_fw:
            return
        self._chain(self._fw)
        comment = _comment(f"{self._name} loadbalancer IP")
        for cidr in self._service.source_ranges:
            self._nat(f"{self._fw} {comment} -s {cidr} -j {self._ext}")
        if any(_contains(cidr, self._config.node_ip) for cidr in self._service.source_ranges):
            for address in self._service.load_balancer_ips:  # the node reaches a local VIP with the VIP as its source
                self._nat(f"{self._fw} {comment} -s {address} -j {self._ext}")
        self._nat(f"{self._fw} {_comment(f'other traffic to {self._name} will be dropped by {PROXY_FIREWALL}')}")

    def _balance(self, chain: str, endpoints: tuple[Endpoint, ...]) -> None:
        self._chain(chain)
        targets = [(_comment(f"{self._name} -> {one}"), self._sep(one)) for one in endpoints]
        if self._service.affinity_seconds:
            for comment, sep in targets:
                recent = f"-m recent --name {sep} --rcheck --seconds {self._service.affinity_seconds} --reap"
                self._nat(f"{chain} {comment} {recent} -j {sep}")
        for left, (comment, sep) in zip(range(len(targets), 0, -1), targets, strict=True):
            share = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
            self._nat(f"{chain} {comment}{share} -j {sep}")

    def _endpoint(self, endpoint: Endpoint) -> None:
        sep = self._sep(endpoint)
        self._chain(sep)
        rule = f"{sep} {_comment(self._name)}"
        self._nat(f"{rule} -s {endpoint.address} -j {MARK_MASQ}")
        remember = f" -m recent --name {sep} --set" if self._service.affinity_seconds else ""
        protocol = self._service.protocol
        self._nat(f"{rule}{remember} -m {protocol} -p {protocol} -j DNAT --to-destination {endpoint}")

    def _sep(self, endpoint: Endpoint) -> str:
        return f"KUBE-SEP-{chain_hash(self._name, self._service.protocol, str(endpoint))}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"' if " " in text else f"-m comment --comment {text}"


def _contains(cidr: str, address: str) -> bool:
    try:
        return ip_address(address) in ip_network(cidr, strict=False)
    except ValueError:
        return False


def _table(name: str, chains: Iterable[str], rules: Iterable[str]) -> str:
    lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""]
    return "\n".join(lines)
