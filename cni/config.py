"""What the agent is told. Nothing runs here."""

import socket

from pydantic import BaseModel, Field


class Flags(BaseModel):
    """The command line."""

    kubeconfig: str = Field("", description="Path to the kubeconfig with the API server's address and our identity.")
    master: str = Field("", description="Address of the API server; overrides the kubeconfig's.")
    hostname_override: str = Field("", description="Name of this node (default: the host's name).")
    cni_conf_dir: str = Field("/etc/cni/net.d", description="Where the container runtime looks for CNI configurations.")
    cni_data_dir: str = Field("/var/lib/cni/networks", description="Where host-local remembers addresses it gave out.")
    cluster_cidr: str = Field("", description="Where all pods are; traffic that leaves it is masqueraded.")
    bridge: str = Field("cni0", description="Name of the bridge that this node's pods are on.")
    mtu: int = Field(0, description="MTU of the pods' interfaces; 0: the bridge plugin's choice.")
    sync_period: str = Field("30s", description="How often everything is looked at anew at the latest.")
    healthz_bind_address: str = Field("", description="Address and port of /healthz and /metrics; empty: none.")
    cleanup: bool = Field(False, description="Take configuration, routes, rules and the bridge away and exit.")
    v: int = Field(0, description="Verbosity of the log.")


def node_name(flags: Flags) -> str:
    """Which node this is."""
    return (flags.hostname_override or socket.gethostname()).strip().lower()
