"""One cluster for all end-to-end tests: two nodes with containerd, made by `skiff up`, gone afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster import config as config_module
from cluster.config import ClusterConfig, Layout, netns
from machinery.api import meta, nodes
from machinery.api.codec import Json
from tests.e2e.clients import CommandLine, skiff_argv
from tests.e2e.web import EXAMPLE
from tests.kubectls import kubectls, newest_kubectl

ROOT = EXAMPLE.parents[1]


@dataclass
class Cluster:
    """A running cluster and the commands about it."""

    home: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.home / "admin.conf"

    def skiff(self, *arguments: str, timeout: float = 180) -> str:
        """Run `skiff` for this cluster."""
        done = subprocess.run(
            [*skiff_argv(), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            env=os.environ | {"SKIFF_HOME": str(self.home)},
        )
        assert done.returncode == 0, f"skiff {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def client(self, name: str) -> CommandLine:
        """`skiff`, or the kubectl of a version."""
        argv = skiff_argv() if name == "skiff" else (kubectls()[name],)
        return CommandLine(argv, self.kubeconfig)

    @property
    def kubectl(self) -> CommandLine:
        """The newest kubectl."""
        return CommandLine((newest_kubectl(),), self.kubeconfig)

    @property
    def _config(self) -> ClusterConfig:
        config = config_module.load(self._layout)
        assert config is not None
        return config

    @property
    def _layout(self) -> Layout:
        return Layout.of(self.home)

    def nodes(self) -> list[Json]:
        """The Node objects."""
        found: list[Json] = self.kubectl.json("get", "nodes")["items"]
        return found

    def is_ready(self, name: str) -> bool:
        """Whether a node is Ready."""
        return any(meta.name_of(node) == name and nodes.is_ready(node) for node in self.nodes())

    def node_addresses(self) -> dict[str, str]:
        """Node name → its address."""
        return {node.name: node.address for node in self._config.nodes}

    def containerds(self) -> dict[str, Path]:
        """Node name → its containerd's socket."""
        return {node.name: self._layout.containerd_socket(node) for node in self._config.nodes}

    def process(self, component: str, node: str) -> str:
        """The name `skiff status` has for a node's component."""
        found = self._config.node(node)
        assert found is not None
        return f"{component}-{found.short}"

    def rules_with(self, text: str) -> list[str]:
        """The iptables rules of all nodes that contain a text."""
        rules: list[str] = []
        for node in self._config.nodes:
            inside = ["nsenter", f"--net=/run/netns/{netns(self._config, node.short)}", "iptables-save"]
            saved = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
            rules += [line for line in saved.splitlines() if text in line]
        return rules

    def etcd_keys(self, prefix: str) -> list[str]:
        """What lies in etcd under a prefix."""
        pki = self.home / "pki"
        command = [
            *("etcdctl", "--endpoints", f"https://127.0.0.1:{self._config.ports.etcd}"),
            *("--cacert", str(pki / "etcd-ca.crt")),
            *("--cert", str(pki / "apiserver-etcd-client.crt"), "--key", str(pki / "apiserver-etcd-client.key")),
            *("get", "--prefix", "--keys-only", prefix),
        ]
        env = os.environ | {"ETCDCTL_API": "3"}
        out = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
        return [line for line in out.splitlines() if line]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two nodes; its logs are printed when it does not come up."""
    assert os.geteuid() == 0, "end-to-end tests run containers: run them as root"
    for tool in ("etcd", "etcdctl", "containerd", "runc", "iptables"):
        assert shutil.which(tool), f"{tool} is not installed: run `make setup`"
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.skiff("up", "--nodes", "2")
        made.skiff("image", "build", "busybox:1.36", "--packages", "busybox-static", "--cmd", "sh")
        made.skiff("image", "load", "busybox:1.36")
        yield made
    finally:
        made.skiff("down", "--purge")
