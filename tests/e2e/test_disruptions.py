"""What happens when things break: probes, processes, pods, nodes, components, etcd. With the newest kubectl."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery.api import meta, nodes, pods
from machinery.api.codec import Json
from tests.e2e.clients import eventually
from tests.e2e.conftest import Cluster
from tests.e2e.web import Visitor, Web, answers, container_ids, process_of

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def web(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The example, running, with pods that leave a broken node after two seconds."""
    installed = Web(cluster.kubectl, "breaking", 30200, toleration_seconds=2)
    installed.install(tmp_path_factory.mktemp("web"))
    installed.wait_until_available()
    yield installed
    cluster.kubectl("delete", "namespace", "breaking", timeout=150)


@pytest.fixture(scope="module")
def bystander(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A second installation that nobody touches: its containers must never change."""
    installed = Web(cluster.kubectl, "bystander", 30201)
    installed.install(tmp_path_factory.mktemp("bystander"))
    installed.wait_until_available()
    yield installed
    cluster.kubectl("delete", "namespace", "bystander", timeout=150)


@pytest.fixture
def address(cluster: Cluster) -> str:
    """One node's address."""
    return min(cluster.node_addresses().values())


def test_a_pod_that_fails_its_readiness_probe_leaves_the_rotation_and_comes_back(web: Web, address: str) -> None:
    names = {meta.name_of(pod) for pod in web.wait_for_pods(3)}
    one = min(names)
    web("exec", one, "--", "touch", "/tmp/unready")
    eventually(lambda: len(web.ready_pods()) == 2, "the pod to turn unready")
    eventually(lambda: set(answers(address, web.node_port, 20)) == names - {one}, "the pod to leave the rotation", 15)
    assert "Readiness probe failed" in web("describe", "pod", one)
    web("exec", one, "--", "rm", "/tmp/unready")
    eventually(lambda: set(answers(address, web.node_port, 30)) == names, "the pod to come back", 30)


def test_a_rolling_update_loses_no_request(web: Web, address: str) -> None:
    before = {meta.uid_of(pod) for pod in web.wait_for_pods(3)}
    with Visitor(address, web.node_port) as visitor:
        web("rollout", "restart", "deployment/web")
        web.wait_until_available()
        web.wait_for_pods(3)
        eventually(lambda: web.pods_and_those_that_end() == 3, "the old pods to be gone")
    assert not web.uids() & before
    assert visitor.failures == []
    assert visitor.successes > 50


def test_a_killed_process_is_restarted_with_back_off(cluster: Cluster, web: Web) -> None:
    pod = web.wait_for_pods(3)[0]
    name, containerd = meta.name_of(pod), cluster.containerds()[pods.node_of(pod)]

    def status() -> Json:
        found: Json = web.client.json("-n", web.namespace, "get", "pod", name)["status"]["containerStatuses"][0]
        return found

    for count in (1, 2):
        os.kill(process_of(containerd, status()["containerID"]), signal.SIGKILL)
        eventually(lambda: status()["restartCount"] == count and status()["ready"], f"restart {count}", 60)  # noqa: B023
    assert status()["lastState"]["terminated"]["exitCode"] == 137
    assert "Back-off restarting failed container" in web("describe", "pod", name)


def test_a_deleted_pod_is_replaced(web: Web) -> None:
    before = {meta.uid_of(pod) for pod in web.wait_for_pods(3)}
    web("delete", "pod", meta.name_of(web.pods()[0]))
    after = {meta.uid_of(pod) for pod in web.wait_for_pods(3)}
    assert len(before & after) == 2


def test_containers_outlive_a_restart_of_the_kubelet(cluster: Cluster, bystander: Web) -> None:
    before = container_ids(bystander.wait_for_pods(3))
    for node in cluster.node_addresses():
        cluster.skiff("restart", cluster.process("kubelet", node))
    eventually(lambda: all(nodes.is_ready(node) for node in cluster.nodes()), "the nodes to be ready")
    assert container_ids(bystander.wait_for_pods(3)) == before


def test_pods_leave_a_node_whose_kubelet_stopped_and_it_takes_part_again_later(cluster: Cluster, web: Web) -> None:
    web.wait_for_pods(3)
    lost = max(cluster.node_addresses())
    cluster.skiff("stop", cluster.process("kubelet", lost))
    try:
        eventually(lambda: not cluster.is_ready(lost), "the node to turn NotReady", 90)
        found = web.wait_for_pods(3, timeout=90)
        assert {pods.node_of(pod) for pod in found} == set(cluster.node_addresses()) - {lost}
    finally:
        cluster.skiff("start", cluster.process("kubelet", lost))
    eventually(lambda: cluster.is_ready(lost), "the node to be ready again", 60)
    web("rollout", "restart", "deployment/web")
    web.wait_until_available()
    found = web.wait_for_pods(3)
    assert {pods.node_of(pod) for pod in found} == set(cluster.node_addresses())


@pytest.mark.parametrize("component", ["apiserver", "controller-manager", "scheduler", "etcd"])
def test_a_rollout_survives_the_restart_of(cluster: Cluster, web: Web, bystander: Web, component: str) -> None:
    before = {meta.uid_of(pod) for pod in web.wait_for_pods(3)}
    untouched = container_ids(bystander.wait_for_pods(3))
    web("rollout", "restart", "deployment/web")
    cluster.skiff("restart", component)
    eventually(lambda: not web.uids() & before, "the new pods to replace the old ones", 120, pause=1)
    web.wait_for_pods(3, timeout=120)
    assert container_ids(bystander.wait_for_pods(3)) == untouched


def test_apply_reports_mistakes_and_writes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: default}\n"
        "spec: {replicas: -1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: c}}, "
        "spec: {containers: [{name: c, image: busybox:1.36}]}}}\n"
    )
    done = cluster.kubectl.run("apply", "-f", str(bad))
    assert done.returncode == 1
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in done.stderr
    assert "`selector` does not match template `labels`" in done.stderr
    assert "NotFound" in cluster.kubectl.run("get", "deployment", "bad").stderr
