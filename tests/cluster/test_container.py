"""What the containers of docker-compose.yml are given."""

from pathlib import Path

import pytest
import yaml

from cluster import config as config_module
from cluster import container
from cluster.config import Layout
from cluster.plan import Planner, Programs

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    container.write_certs(container.configuration(["172.30.98.11", "172.30.98.12"], "apiserver"), tmp_path)
    return tmp_path


def test_a_node_is_given_its_own_keys_and_nobody_elses(output: Path) -> None:
    names = {path.name for path in (output / "node-a" / "pki").iterdir()}
    assert names == {"ca.crt", "kubelet-a.crt", "kubelet-a.key", "kubelet-server-a.crt", "kubelet-server-a.key"}
    kubeconfigs = {path.name for path in (output / "node-a" / "kubeconfigs").iterdir()}
    assert kubeconfigs == {"kubelet-a.conf", "proxy.conf", "cni.conf"}


def test_everything_a_nodes_processes_are_pointed_at_is_there(output: Path) -> None:
    layout = Layout(output / "node-b", Path("/run/skiff/main"))
    config = config_module.load(layout)
    assert config is not None
    specs = Planner(config, layout, Programs(nsenter="")).node(config.nodes[1])
    files = [
        flag.partition("=")[2] for spec in specs for flag in spec.argv if "/pki/" in flag or "/kubeconfigs/" in flag
    ]
    assert files and all(Path(file).exists() for file in files)
    assert not any(spec.netns for spec in specs)


def test_users_reach_the_published_port_and_containers_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIFF_PORT", "7443")
    container.write_certs(container.configuration(["172.30.98.11"], "apiserver"), tmp_path)
    assert "server: https://127.0.0.1:7443" in (tmp_path / "admin.conf").read_text()
    assert "server: https://apiserver:6443" in (tmp_path / "kubeconfigs" / "scheduler.conf").read_text()


def test_the_compose_file_gives_nodes_the_addresses_their_certificates_are_for() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    fixed = [services[name]["networks"]["cluster"]["ipv4_address"] for name in ("node-a", "node-b")]
    assert services["certs"]["command"][-2:] == fixed


def test_a_cgroup_tree_of_version_2_is_made_ready_for_limited_children(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "cgroup.subtree_control").write_text("")
    container.enable_controllers(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (tmp_path / "init").is_dir()
