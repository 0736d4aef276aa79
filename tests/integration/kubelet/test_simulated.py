"""Simulated nodes and static pods: the kubelet process under a real API server."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.kubelet.cluster import NODE, Cluster
from tests.integration.kubelet.machine import BUSYBOX_IMAGE, Machine
from tests.integration.kubelet.test_cluster import LOOP, pod, ready_condition


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Iterator[Cluster]:
    cluster = Cluster(machine)
    try:
        cluster.write_keys()
        cluster.start_etcd()
        cluster.start_api()
        cluster.apply_defaults()
        yield cluster
    finally:
        cluster.down()


def test_many_nodes_live_in_one_process(cluster: Cluster) -> None:
    cluster.start_kubelet(
        fake_runtime="true",
        simulated_nodes=5,
        kubeconfig=cluster.folder / "admin.kubeconfig",
        root_dir=cluster.folder / "s",
    )
    cluster.until(lambda: sum(ready_condition(n).get("status") == "True" for n in cluster.get("nodes")["items"]) == 5)
    for number in range(5):
        one = pod(f"p{number}")
        one["spec"]["nodeName"] = f"sim-{number}"
        cluster.apply(one)
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=30s")
    addresses = {one["status"]["podIP"] for one in cluster.get("pods")["items"]}
    assert len(addresses) == 5
    cluster.kubectl("delete", "pods", "--all", "--wait", "--timeout=20s")
    cluster.stop("kubelet")
    cluster.kubectl("delete", "nodes", "--all")


def test_a_static_pod_runs_with_a_mirror_and_follows_its_file(cluster: Cluster) -> None:
    manifests = cluster.folder / "manifests"
    manifests.mkdir()
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "static", "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", LOOP]}]},
    }
    (manifests / "static.json").write_text(json.dumps(manifest))
    cluster.start_kubelet(pod_manifest_path=manifests, file_check_frequency="1s")
    name = f"static-{NODE}"
    cluster.until(lambda: ready_condition(cluster.get("pod", name)).get("status") == "True", 40)
    first = cluster.get("pod", name)
    cluster.kubectl("delete", "pod", name, "--wait=false")
    cluster.until(
        lambda: cluster.get("pod", name).get("metadata", {}).get("uid") not in (None, first["metadata"]["uid"])
    )
    cluster.until(lambda: ready_condition(cluster.get("pod", name)).get("status") == "True")
    again = cluster.get("pod", name)["status"]["containerStatuses"]
    assert again == first["status"]["containerStatuses"]
    (manifests / "static.json").unlink()
    cluster.until(lambda: not cluster.get("pod", name), 40)
