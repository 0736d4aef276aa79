"""What a cluster on this machine is called and where its things lie. Nothing here starts or writes a process.

`ClusterConfig` is made once, by `skiff up`, and saved; every later command reads it. `Layout` knows the paths.
"""

import hashlib
import ipaddress
import os
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

SYSTEM_HOME: Final = Path("/var/lib/skiff")
MAIN: Final = "main"


class Node(BaseModel):
    """One node: a network namespace with a containerd, or (simulated) only a kubelet process."""

    model_config = ConfigDict(frozen=True)
    name: str
    short: str  # "a": what its processes, directories and namespace are called after
    address: str
    kubelet_port: int = 10250
    health_ports: tuple[int, int] = (10248, 10256)  # kubelet's and proxy's


class Ports(BaseModel):
    """TCP ports of the control plane, all on this machine's own addresses."""

    model_config = ConfigDict(frozen=True)
    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    egress: int = 3128
    mirror: int = 5000


class ClusterConfig(BaseModel):
    """Everything that was decided when the cluster was made; saved as `cluster.json` in its home."""

    model_config = ConfigDict(frozen=True)
    id: str
    name: str = "skiff"
    simulated: bool = False
    #: this home is one node of a cluster whose control plane is elsewhere (`skiff join`)
    joined: bool = False
    nodes: tuple[Node, ...]
    ports: Ports = Ports()
    api_address: str  # where nodes and users reach the API server
    bind_address: str  # what it listens on
    node_subnet: str
    pod_cidr: str
    service_cidr: str
    registry_mirror: str = ""

    @property
    def api_url(self) -> str:
        """Where every component finds the API server."""
        return f"https://{self.api_address}:{self.ports.api}"

    @property
    def host_address(self) -> str:
        """This machine's own address among its nodes: the first of their subnet."""
        return str(next(ipaddress.ip_network(self.node_subnet).hosts()))

    @property
    def forwarded_mirror(self) -> str:
        """HOST:PORT of a registry mirror that listens on this machine's loopback only; else empty."""
        url = urlsplit(self.registry_mirror)
        own = url.hostname in ("localhost", "127.0.0.1", "::1") and not self.simulated
        return f"{url.hostname}:{url.port or 80}" if own else ""

    @property
    def mirror_url(self) -> str:
        """The registry mirror as nodes reach it."""
        return f"http://{self.host_address}:{self.ports.mirror}" if self.forwarded_mirror else self.registry_mirror

    def node(self, name_or_short: str) -> Node | None:
        """The node of that name ("node-a") or short name ("a")."""
        return next((n for n in self.nodes if name_or_short in (n.name, n.short)), None)


def default_home() -> Path:
    """$SKIFF_HOME, else /var/lib/skiff for root and ~/.local/state/skiff for everybody else."""
    if chosen := os.environ.get("SKIFF_HOME"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return SYSTEM_HOME
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "skiff"


def default_kubeconfig() -> Path | None:
    """The administrator's kubeconfig of the cluster in the default home, when there is one."""
    path = default_home() / "admin.conf"
    return path if path.exists() else None


def cluster_id(home: Path) -> str:
    """A short word for interface and namespace names (15 characters are all Linux gives): "main", or six hex digits."""
    if home == SYSTEM_HOME:
        return MAIN
    return hashlib.sha256(str(home).encode()).hexdigest()[:6]


def short_names() -> Iterator[str]:
    """a, b … z, aa, ab …"""
    letters = string.ascii_lowercase
    yield from letters
    for first in letters:
        for second in letters:
            yield first + second


def runtime_dir(home: Path) -> Path:
    """A short directory for sockets: grpc refuses socket paths over 107 characters, and homes may be anywhere."""
    if os.geteuid() == 0:
        base = Path("/run/skiff")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        base = Path(runtime) / "skiff"
    else:
        base = Path(f"/tmp/skiff-{os.geteuid()}")
    return base / cluster_id(home)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one cluster: `home` is what a restart of the machine keeps, `run` is what it may lose."""

    home: Path
    run: Path

    @classmethod
    def of(cls, home: Path | None = None) -> "Layout":
        """The layout for a home, or for the default one."""
        chosen = (home or default_home()).absolute()
        return cls(chosen, runtime_dir(chosen))

    @property
    def config(self) -> Path:
        return self.home / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def etcd_data(self) -> Path:
        return self.home / "etcd"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.home / "admin.conf"

    @property
    def control_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisor.pid"

    @property
    def processes(self) -> Path:
        return self.run / "processes.json"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a component, such as `scheduler` or `kubelet-a`."""
        return self.home / "kubeconfigs" / f"{user}.conf"

    def log(self, process: str) -> Path:
        """The log file of a process."""
        return self.logs / f"{process}.log"

    def node_home(self, node: Node) -> Path:
        """What a node keeps: containerd's images, the kubelet's directory."""
        return self.home / "nodes" / node.short

    def node_run(self, node: Node) -> Path:
        """What a node has while it runs: sockets and containerd's state."""
        return self.run / node.short

    def node_certificate(self, node: Node) -> Path:
        """The certificate and key that the kubelet of a machine that joined has got."""
        return self.node_home(node) / "kubelet" / "pki" / "kubelet-client-current.pem"

    def containerd_socket(self, node: Node) -> Path:
        """Where a node's containerd answers."""
        return self.node_run(node) / "containerd.sock"


def load(layout: Layout) -> ClusterConfig | None:
    """The saved configuration, or None where no cluster was made."""
    try:
        return ClusterConfig.model_validate_json(layout.config.read_bytes())
    except FileNotFoundError:
        return None


def save(config: ClusterConfig, layout: Layout) -> None:
    """Write the configuration; the home is the owner's alone, for it holds keys."""
    layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.config.write_text(config.model_dump_json(indent=2) + "\n")


def netns(config: ClusterConfig, short: str) -> str:
    """The name of a node's network namespace; `sw` is the switch that joins them."""
    return f"sk-{config.id}-{short}"


def host_interface(config: ClusterConfig) -> str:
    """The interface by which this machine reaches the nodes."""
    return f"sk-{config.id}"


def cgroup(config: ClusterConfig, node: Node | None = None) -> str:
    """The cgroup under which a node's pods (or all of the cluster's) live, as a path below each hierarchy's root."""
    return f"/skiff-{config.id}" + (f"/{node.short}" if node else "")
