"""Names and paths of a cluster."""

from itertools import islice
from pathlib import Path

import pytest

from cluster import config
from cluster.config import ClusterConfig, Layout
from tests.cluster.clusters import LAYOUT, REAL


def test_node_names_go_on_after_z_with_two_letters() -> None:
    names = list(islice(config.short_names(), 28))
    assert names[:2] + names[25:] == ["a", "b", "z", "aa", "ab"]


def test_clusters_in_different_homes_have_different_ids() -> None:
    assert config.cluster_id(Path("/a")) != config.cluster_id(Path("/b"))
    assert config.cluster_id(config.SYSTEM_HOME) == "main"


def test_interface_names_fit_into_what_linux_allows() -> None:
    assert len(config.host_interface(REAL)) <= 15


def test_sockets_stay_within_the_length_that_grpc_takes_however_deep_the_home() -> None:
    layout = Layout.of(Path("/" + "deep/" * 50))
    assert len(str(layout.containerd_socket(REAL.nodes[0]))) < 107


def test_a_home_named_by_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKIFF_HOME", str(tmp_path))
    assert config.default_home() == tmp_path
    assert config.default_kubeconfig() is None
    (tmp_path / "admin.conf").touch()
    assert config.default_kubeconfig() == tmp_path / "admin.conf"


def test_a_saved_configuration_reads_back_the_same(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home", tmp_path / "run")
    assert config.load(layout) is None
    config.save(REAL, layout)
    assert config.load(layout) == REAL
    assert layout.home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wanted", ["node-b", "b"])
def test_a_node_is_found_by_its_name_and_by_its_letter(wanted: str) -> None:
    assert REAL.node(wanted) == REAL.nodes[1]


def test_each_node_has_a_cgroup_below_the_clusters(configured: ClusterConfig = REAL) -> None:
    assert config.cgroup(configured, configured.nodes[0]) == "/skiff-abc123/a"
    assert config.cgroup(configured) == "/skiff-abc123"
    assert LAYOUT.node_run(configured.nodes[0]) == Path("/run/skiff/abc123/a")
