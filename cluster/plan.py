"""Which processes a cluster consists of: configuration in, list of `ProcessSpec` out. Pure; nothing is started here.

The flags are upstream's, so each line could start upstream's binary instead.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster.config import ClusterConfig, Layout, Node, cgroup, netns
from cluster.containerd import paths as containerd_paths
from cluster.network import NETNS
from cluster.processes import ProcessSpec, Ready

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
LOOPBACK: Final = "127.0.0.1"
SEPARATE_SIMULATED_NODES: Final = 5  # that many kubelets get a process each, which can be stopped one by one


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are and what environment ours need."""

    etcd: str = "etcd"
    containerd: str = "containerd"
    nsenter: str = "nsenter"  # empty: we are in the node's namespace already, as in a node container
    python: str = sys.executable
    cni_bin: Path = Path("/usr/lib/cni")
    python_env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planner:
    """Says how each process of one cluster is started."""

    config: ClusterConfig
    layout: Layout
    programs: Programs

    def processes(self) -> list[ProcessSpec]:
        """All of them, in the order a person would start them."""
        if self.config.joined:
            node = self.config.nodes[0]
            return [self._simulated(node, node.short, {})] if self.config.simulated else self.joined(node)
        control_plane = [self.etcd(), self.api_server(), self.controller_manager(), self.scheduler()]
        if self.config.simulated:
            return control_plane + self.simulated_kubelets()
        return [*control_plane, self.egress(), *(spec for node in self.config.nodes for spec in self.node(node))]

    def node(self, node: Node) -> list[ProcessSpec]:
        """A real node's four processes."""
        return [self.containerd(node), self.cni(node), self.kubelet(node), self.proxy(node)]

    def joined(self, node: Node) -> list[ProcessSpec]:
        """The same of a machine that joins: the others speak as the node, and so wait for its certificate."""
        kubelet = self.kubelet(node)
        others = (self.cni(node), self.proxy(node))
        after = (kubelet.name,)
        return [self.containerd(node), kubelet, *(spec.model_copy(update={"depends_on": after}) for spec in others)]

    def etcd(self) -> ProcessSpec:
        ports = self.config.ports
        client, peer = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peer}"
        flags = {
            "name": "skiff",
            "data-dir": self.layout.etcd_data,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"skiff={peer}",
            "client-cert-auth": "true",
            "trusted-ca-file": self._pki("etcd-ca.crt"),
            "cert-file": self._pki("etcd.crt"),
            "key-file": self._pki("etcd.key"),
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": self._pki("etcd-ca.crt"),
            "peer-cert-file": self._pki("etcd.crt"),
            "peer-key-file": self._pki("etcd.key"),
            "logger": "zap",
        }
        return ProcessSpec(
            name="etcd",
            argv=(self.programs.etcd, *_flags(flags)),
            log=str(self.layout.log("etcd")),
            ports=(ports.etcd, ports.etcd_peer),
            ready=Ready(tcp=f"{LOOPBACK}:{ports.etcd}"),
        )

    def api_server(self) -> ProcessSpec:
        config = self.config
        flags = {
            "etcd-servers": f"https://{LOOPBACK}:{config.ports.etcd}",
            "etcd-cafile": self._pki("etcd-ca.crt"),
            "etcd-certfile": self._pki("apiserver-etcd-client.crt"),
            "etcd-keyfile": self._pki("apiserver-etcd-client.key"),
            "bind-address": config.bind_address,
            "advertise-address": config.api_address,
            "secure-port": config.ports.api,
            "tls-cert-file": self._pki("apiserver.crt"),
            "tls-private-key-file": self._pki("apiserver.key"),
            "client-ca-file": self._pki("ca.crt"),
            "kubelet-client-certificate": self._pki("apiserver-kubelet-client.crt"),
            "kubelet-client-key": self._pki("apiserver-kubelet-client.key"),
            "kubelet-certificate-authority": self._pki("ca.crt"),
            "kubelet-preferred-address-types": "InternalIP,Hostname",
            "service-account-issuer": ISSUER,
            "service-account-signing-key-file": self._pki("sa.key"),
            "service-account-key-file": self._pki("sa.pub"),
            "service-cluster-ip-range": config.service_cidr,
            "enable-bootstrap-token-auth": "true",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
        }
        ready = self._https_ready(config.api_address, config.ports.api, "/readyz")
        return self._ours("apiserver", "apiserver", flags, ports=(config.ports.api,), after=("etcd",), ready=ready)

    def controller_manager(self) -> ProcessSpec:
        port = self.config.ports.controller_manager
        flags = {
            "kubeconfig": self.layout.kubeconfig("controller-manager"),
            "bind-address": LOOPBACK,
            "secure-port": port,
            "tls-cert-file": self._pki("controller-manager.crt"),
            "tls-private-key-file": self._pki("controller-manager.key"),
            "client-ca-file": self._pki("ca.crt"),
            "allocate-node-cidrs": "true",
            "cluster-cidr": self.config.pod_cidr,
            "service-cluster-ip-range": self.config.service_cidr,
            "root-ca-file": self._pki("ca.crt"),
            "service-account-private-key-file": self._pki("sa.key"),
            "cluster-signing-cert-file": self._pki("ca.crt"),
            "cluster-signing-key-file": self._pki("ca.key"),
            "use-service-account-credentials": "true",
            "controllers": "*,bootstrap-signer-controller,token-cleaner-controller",
            "leader-elect": "true",
        }
        name, ready = "controller-manager", self._https_ready(LOOPBACK, port, "/healthz")
        return self._ours(name, "controller_manager", flags, ports=(port,), after=("apiserver",), ready=ready)

    def scheduler(self) -> ProcessSpec:
        port = self.config.ports.scheduler
        flags = {
            "kubeconfig": self.layout.kubeconfig("scheduler"),
            "bind-address": LOOPBACK,
            "secure-port": port,
            "tls-cert-file": self._pki("scheduler.crt"),
            "tls-private-key-file": self._pki("scheduler.key"),
            "client-ca-file": self._pki("ca.crt"),
            "leader-elect": "true",
        }
        ready = self._https_ready(LOOPBACK, port, "/healthz")
        return self._ours("scheduler", "scheduler", flags, ports=(port,), after=("apiserver",), ready=ready)

    def egress(self) -> ProcessSpec:
        """The way by which the nodes' containerds pull images."""
        address, port = self.config.host_address, self.config.ports.egress
        flags = {"listen": f"{address}:{port}"}
        if forwarded := self.config.forwarded_mirror:
            flags["forward"] = f"{self.config.ports.mirror}={forwarded}"
        return self._ours("egress", "cluster.egress", flags, ports=(port,), ready=Ready(tcp=f"{address}:{port}"))

    def _pull_env(self) -> dict[str, str]:
        if not self.programs.nsenter:  # a node container has a network of its own
            return {}
        proxy = f"http://{self.config.host_address}:{self.config.ports.egress}"
        direct = f"localhost,127.0.0.0/8,{self.config.node_subnet},{self.config.service_cidr}"
        return {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": direct}

    def containerd(self, node: Node) -> ProcessSpec:
        """A node's own containerd. `nsenter --net`, not `ip netns exec`, which would hide /sys/fs/cgroup from it."""
        where = containerd_paths(self.layout, node)
        return ProcessSpec(
            name=f"containerd-{node.short}",
            argv=(*self._enter(node), self.programs.containerd, "--config", str(where.config)),
            env=self._pull_env(),
            log=str(self.layout.log(f"containerd-{node.short}")),
            node=node.name,
            netns=self._netns(node),
            ready=Ready(unix=str(where.socket)),
        )

    def kubelet(self, node: Node) -> ProcessSpec:
        flags = self._kubelet_flags(node, node.short) | {
            "hostname-override": node.name,
            "container-runtime-endpoint": f"unix://{containerd_paths(self.layout, node).socket}",
            "cgroup-root": cgroup(self.config, node),
        }
        ready = Ready(tcp=f"{node.address}:{node.kubelet_port}")
        after = (f"containerd-{node.short}", "apiserver")
        return self._on_node("kubelet", node, flags, after=after, ready=ready, ports=(node.kubelet_port,))

    def simulated_kubelets(self) -> list[ProcessSpec]:
        """Kubelets without containers: a process each while they are few, one for all when they are many."""
        nodes = self.config.nodes
        if len(nodes) <= SEPARATE_SIMULATED_NODES:
            return [self._simulated(node, node.short, {"hostname-override": node.name}) for node in nodes]
        prefix = nodes[0].name.rstrip("0123456789")
        return [self._simulated(nodes[0], "sim", {"simulated-nodes": len(nodes), "simulated-name-prefix": prefix})]

    def _simulated(self, node: Node, suffix: str, who: Mapping[str, object]) -> ProcessSpec:
        flags = {**self._kubelet_flags(node, "sim"), "fake-runtime": "true", **who}
        ready = Ready(tcp=f"{node.address}:{node.kubelet_port}")
        ports, after = (node.kubelet_port,), ("apiserver",)
        spec = self._ours(f"kubelet-{suffix}", "kubelet", flags, ports=ports, after=after, ready=ready)
        return spec.model_copy(update={"node": node.name if suffix == node.short else "all"})

    def _kubelet_flags(self, node: Node, keys: str) -> dict[str, object]:
        return {
            "kubeconfig": self.layout.kubeconfig(f"kubelet-{keys}"),
            **self._kubelet_certificates(node, keys),
            "node-ip": node.address,
            "address": node.address,
            "port": node.kubelet_port,
            "healthz-bind-address": LOOPBACK,
            "healthz-port": node.health_ports[0],
            "root-dir": self.layout.node_home(node) / "kubelet",
            "client-ca-file": self._pki("ca.crt"),
        }

    def _kubelet_certificates(self, node: Node, keys: str) -> dict[str, object]:
        if not self.config.joined:
            return {
                "tls-cert-file": self._pki(f"kubelet-server-{keys}.crt"),
                "tls-private-key-file": self._pki(f"kubelet-server-{keys}.key"),
            }
        return {
            "kubeconfig": self._node_kubeconfig(node, ""),
            "hostname-override": node.name,
            "bootstrap-kubeconfig": self.layout.kubeconfig("bootstrap"),
            "rotate-certificates": "true",
            "rotate-server-certificates": "true",
        }

    def _node_kubeconfig(self, node: Node, user: str) -> Path:
        """A component's kubeconfig; on a machine that joined it is the kubelet's."""
        return self.layout.kubeconfig(f"kubelet-{node.short}" if self.config.joined else user)

    def proxy(self, node: Node) -> ProcessSpec:
        flags = {
            "kubeconfig": self._node_kubeconfig(node, "proxy"),
            "hostname-override": node.name,
            "cluster-cidr": self.config.pod_cidr,
            "healthz-bind-address": f"{node.address}:{node.health_ports[1]}",
            "conntrack-max-per-core": 0,  # the table is the whole machine's, not a namespace's
        }
        ready = Ready(tcp=f"{node.address}:{node.health_ports[1]}")
        return self._on_node("proxy", node, flags, after=("apiserver",), ready=ready, ports=(node.health_ports[1],))

    def cni(self, node: Node) -> ProcessSpec:
        where = containerd_paths(self.layout, node)
        flags = {
            "kubeconfig": self._node_kubeconfig(node, "cni"),
            "hostname-override": node.name,
            "cluster-cidr": self.config.pod_cidr,
            "cni-conf-dir": where.cni_config,
            "cni-data-dir": where.keep / "cni-addresses",
        }
        return self._on_node("cni", node, flags, after=("apiserver",))

    def _ours(
        self,
        name: str,
        module: str,
        flags: Mapping[str, object],
        *,
        ports: tuple[int, ...] = (),
        after: tuple[str, ...] = (),
        ready: Ready | None = None,
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            argv=(self.programs.python, "-m", module, *_flags(flags)),
            env=dict(self.programs.python_env),
            log=str(self.layout.log(name)),
            ports=ports,
            depends_on=after,
            ready=ready,
        )

    def _on_node(
        self,
        module: str,
        node: Node,
        flags: Mapping[str, object],
        *,
        after: tuple[str, ...],
        ready: Ready | None = None,
        ports: tuple[int, ...] = (),
    ) -> ProcessSpec:
        spec = self._ours(f"{module}-{node.short}", module, flags, after=after, ready=ready, ports=ports)
        inside = {"argv": (*self._enter(node), *spec.argv), "node": node.name, "netns": self._netns(node)}
        return spec.model_copy(update=inside)

    def _enter(self, node: Node) -> tuple[str, ...]:
        if not self.programs.nsenter:
            return ()
        return (self.programs.nsenter, f"--net={NETNS / self._netns(node)}", "--")

    def _netns(self, node: Node) -> str:
        return netns(self.config, node.short) if self.programs.nsenter else ""

    def _pki(self, file: str) -> Path:
        return self.layout.pki / file

    def _https_ready(self, address: str, port: int, path: str) -> Ready:
        return Ready(
            url=f"https://{address}:{port}{path}",
            ca=str(self._pki("ca.crt")),
            client_certificate=str(self._pki("admin.crt")),
            client_key=str(self._pki("admin.key")),
        )


def _flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
