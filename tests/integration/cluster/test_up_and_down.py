"""`skiff up` and `skiff down` for real: nodes come up, a second run changes nothing, nothing is left behind."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import api, control, images, processes
from cluster.images import BUSYBOX, Image
from tests.integration.cluster.homes import Cluster
from tests.integration.cluster.machine_state import difference, look
from tests.integration.cluster.registry import Registry

ROOT = Path(__file__).parents[3]
MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  containers:
    - {name: sleeper, image: "skiff.local/busybox:1", command: [sleep, "1000"]}
"""


def pids(cluster: Cluster) -> dict[str, int]:
    """Process names and pids."""
    return {state.name: state.pid for state in control.states(cluster.layout)}


@pytest.mark.timeout(300)
def test_a_cluster_comes_up_twice_the_same_and_goes_without_a_trace(cluster: Cluster) -> None:
    assert "Ready after" in cluster.skiff("up")
    before = pids(cluster)
    assert all(before.values())
    nodes = api.nodes(cluster.config, cluster.layout)
    assert nodes is not None and [api.name_of(node) for node in nodes if api.is_ready(node)] == ["node-a", "node-b"]
    again = cluster.skiff("up")
    assert pids(cluster) == before
    assert "made" not in again and "started" not in again
    cluster.skiff("apply", "-f", "-", stdin=MANIFEST)
    cluster.skiff("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    status = cluster.skiff("status")
    pods = cluster.config.pod_cidr.removesuffix("0.0/16")
    assert all(name in status for name in before) and pods in status
    cluster.skiff("down")
    assert cluster.left_behind() == {}


@pytest.mark.timeout(300)
def test_down_cleans_up_after_a_killed_supervisor_and_up_finds_what_was_stored(cluster: Cluster) -> None:
    cluster.skiff("up", "--nodes", "1")
    cluster.skiff("apply", "-f", "-", stdin=MANIFEST)
    cluster.skiff("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    supervisor = control.supervisor_process(cluster.layout)
    assert supervisor is not None
    processes.send(supervisor, signal.SIGKILL)
    assert processes.wait_until_gone(supervisor, 10)
    cluster.skiff("down")
    assert cluster.left_behind() == {}
    cluster.skiff("up", "--nodes", "1")
    cluster.skiff("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")


@pytest.mark.timeout(300)
def test_two_clusters_live_side_by_side_and_one_goes_without_the_other(cluster: Cluster, tmp_path: Path) -> None:
    other = Cluster(tmp_path / "other")
    cluster.skiff("up", "--nodes", "1")
    try:
        other.skiff("up", "--nodes", "1")
        assert cluster.config.pod_cidr != other.config.pod_cidr
        assert cluster.config.node_subnet != other.config.node_subnet
    finally:
        other.skiff("down", "--purge")
    assert all(state.state == "ready" for state in control.states(cluster.layout))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry")
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(300)
def test_nodes_pull_from_a_mirror_on_this_machines_loopback(
    cluster: Cluster, registry: Registry, tmp_path: Path
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "word").write_text("pulled\n")
    image = Image("pushed", directories=(content,), packages=BUSYBOX, command=("sleep", "1000"))
    images.build(image, tmp_path / "pushed.tar")
    registry.push(tmp_path / "pushed.tar", "team/app", "1.0")
    cluster.skiff("up", "--nodes", "1", "--registry-mirror", registry.url)
    pod = MANIFEST.replace("skiff.local/busybox:1", "registry.example/team/app:1.0")
    cluster.skiff("apply", "-f", "-", stdin=pod)
    cluster.skiff("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    assert cluster.skiff("exec", "sleeper", "--", "cat", "/word") == "pulled\n"
    assert "/v2/team/app/manifests/1.0" in registry.requests()


@pytest.mark.timeout(300)
def test_simulated_nodes_need_nothing_of_the_machine(tmp_path: Path) -> None:
    made = Cluster(tmp_path / "home")
    try:
        made.skiff("up", "--simulated", "2")
        assert difference(made.before, look(made.layout)).keys() <= {"processes", "files"}
        nodes = api.nodes(made.config, made.layout)
        assert nodes is not None and sum(api.is_ready(node) for node in nodes) == 2
    finally:
        made.skiff("down", "--purge")
    assert made.left_behind() == {}
