"""What the proxy is told: flags and a KubeProxyConfiguration file. Nothing runs here."""

import socket
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, Field, ValidationError

NO_EFFECT: Final = frozenset(
    {
        "boot-id-file",
        "conntrack-tcp-be-liberal",
        "config-sync-period",
        "detect-local-mode",
        "feature-gates",
        "init-only",
        "ipvs-exclude-cidrs",
        "ipvs-min-sync-period",
        "ipvs-scheduler",
        "ipvs-strict-arp",
        "ipvs-sync-period",
        "ipvs-tcp-timeout",
        "ipvs-tcpfin-timeout",
        "ipvs-udp-timeout",
        "kube-api-burst",
        "kube-api-content-type",
        "kube-api-qps",
        "machine-id-file",
        "nftables-min-sync-period",
        "nftables-sync-period",
        "oom-score-adj",
        "pod-bridge-interface",
        "pod-interface-name-prefix",
        "profiling",
        "proxy-port-range",
        "show-hidden-metrics-for-version",
    }
)


class ConfigError(Exception):
    """The configuration cannot be used; the text says why."""


class Flags(BaseModel):
    """The command line: upstream's names. The same model holds what a configuration file says."""

    kubeconfig: str = Field("", description="Path to the kubeconfig with the API server's address and our identity.")
    master: str = Field("", description="Address of the API server; overrides the kubeconfig's.")
    config: str = Field("", description="Path to a KubeProxyConfiguration; it wins over the flags.")
    hostname_override: str = Field("", description="Name of this node (default: the host's name).")
    proxy_mode: str = Field("iptables", description="Only iptables, so far.")
    cluster_cidr: str = Field("", description="Where pods are: what comes from elsewhere is masqueraded.")
    nodeport_addresses: list[str] = Field([], description="CIDRs of node addresses that answer NodePorts; default all.")
    bind_address: str = Field("0.0.0.0", description="This node's address, if it is not 0.0.0.0.")
    healthz_bind_address: str = Field("0.0.0.0:10256", description="Address and port of /healthz; empty: none.")
    metrics_bind_address: str = Field("127.0.0.1:10249", description="Address and port of /metrics; empty: none.")
    iptables_sync_period: str = Field("30s", description="How often everything is written anew at the latest.")
    iptables_min_sync_period: str = Field("1s", description="Shortest time between two writes.")
    iptables_masquerade_bit: int = Field(14, ge=0, le=31, description="Bit of the mark for masqueraded packets.")
    iptables_localhost_nodeports: bool = Field(True, description="Answer NodePorts on 127.0.0.1 too.")
    masquerade_all: bool = Field(False, description="Masquerade all traffic to cluster IPs.")
    conntrack_max_per_core: int = Field(32768, description="Entries of the connection table per core; 0: leave it.")
    conntrack_min: int = Field(131072, description="Smallest size of the connection table.")
    conntrack_tcp_timeout_established: str = Field("24h0m0s", description="Idle time of TCP connections; 0: leave it.")
    conntrack_tcp_timeout_close_wait: str = Field("1h0m0s", description="The same in CLOSE_WAIT; 0: leave it.")
    conntrack_udp_timeout: str = Field("0s", description="Idle time of UDP flows; 0: leave it.")
    conntrack_udp_timeout_stream: str = Field("0s", description="The same for flows with answers; 0: leave it.")
    cleanup: bool = Field(False, description="Take all rules out and exit.")
    v: int = Field(0, description="Verbosity of the log.")


#: where a KubeProxyConfiguration says what a flag says
_FILE_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "kubeconfig": ("clientConnection", "kubeconfig"),
    "hostname_override": ("hostnameOverride",),
    "proxy_mode": ("mode",),
    "cluster_cidr": ("clusterCIDR",),
    "nodeport_addresses": ("nodePortAddresses",),
    "bind_address": ("bindAddress",),
    "healthz_bind_address": ("healthzBindAddress",),
    "metrics_bind_address": ("metricsBindAddress",),
    "iptables_sync_period": ("iptables", "syncPeriod"),
    "iptables_min_sync_period": ("iptables", "minSyncPeriod"),
    "iptables_masquerade_bit": ("iptables", "masqueradeBit"),
    "iptables_localhost_nodeports": ("iptables", "localhostNodePorts"),
    "masquerade_all": ("iptables", "masqueradeAll"),
    "conntrack_max_per_core": ("conntrack", "maxPerCore"),
    "conntrack_min": ("conntrack", "min"),
    "conntrack_tcp_timeout_established": ("conntrack", "tcpEstablishedTimeout"),
    "conntrack_tcp_timeout_close_wait": ("conntrack", "tcpCloseWaitTimeout"),
    "conntrack_udp_timeout": ("conntrack", "udpTimeout"),
    "conntrack_udp_timeout_stream": ("conntrack", "udpStreamTimeout"),
}


def complete(flags: Flags) -> Flags:
    """The flags with what --config says over them, checked; raises ConfigError.

    --hostname-override wins over the file, as upstream has it: one file serves all nodes.
    """
    if flags.config:
        values = {**flags.model_dump(), **_read(flags.config)}
        values["hostname_override"] = flags.hostname_override or values["hostname_override"]
        try:
            flags = Flags.model_validate(values)
        except ValidationError as problem:
            raise ConfigError(f"{flags.config}: {problem}") from problem
    if flags.proxy_mode not in ("", "iptables"):
        raise ConfigError(f'proxy mode "{flags.proxy_mode}" is not there yet: only iptables is')
    return flags


def node_name(flags: Flags) -> str:
    """Which node this is."""
    return (flags.hostname_override or socket.gethostname()).strip().lower()


def endpoint(address: str) -> tuple[str, int] | None:
    """Host and port of an address flag, None when it says to serve nothing; raises ConfigError."""
    if not address:
        return None
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f'"{address}" is not an address with a port')
    return (host.strip("[]") or "0.0.0.0", int(port)) if int(port) else None


def _read(path: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as problem:
        raise ConfigError(f"failed to load config {path}: {problem}") from problem
    if document.get("kind") != "KubeProxyConfiguration":
        raise ConfigError(f"{path}: want kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration")
    found: dict[str, Any] = {}
    for field, where in _FILE_FIELDS.items():
        value: Any = document
        for part in where:
            value = (value or {}).get(part)
        if value not in (None, ""):
            found[field] = value
    return found
