"""Volumes end to end as far as the scheduler goes. There is no volume controller yet: the tests play its part."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.scheduler.cluster import Cluster, eventually
from tests.scheduler.volume_objects import on_node

CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


@pytest.fixture
def disks(cluster: Cluster) -> Iterator[Cluster]:
    """Two nodes with a local volume each, and two classes."""
    for name, provisioner, mode in (
        ("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        ("made", "maker.example.com", "WaitForFirstConsumer"),
        ("at-once", "maker.example.com", "Immediate"),
    ):
        cluster.create(CLASSES, {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode})
    for name in ("n1", "n2"):
        cluster.node(name)
        _volume(cluster, f"disk-{name}", name)
    yield cluster
    for path in (CLAIMS, VOLUMES, CLASSES):
        for obj in cluster.get(path)["items"]:
            one = f"{path}/{obj['metadata']['name']}"
            cluster.patch(one, {"metadata": {"finalizers": None}})
            cluster.client.delete(one)


def _volume(cluster: Cluster, name: str, where: str, **facts: Any) -> None:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "local": {"path": "/disk"},
        "nodeAffinity": {"required": on_node(where)},
        **facts,
    }
    made = cluster.create(VOLUMES, {"metadata": {"name": name}, "spec": spec})
    answer = cluster.client.put(f"{VOLUMES}/{name}/status", json={**made, "status": {"phase": "Available"}})
    assert answer.status_code == 200, answer.text


def _claim(cluster: Cluster, name: str, storage_class: str, mode: str = "ReadWriteOnce") -> None:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": storage_class}
    cluster.create(CLAIMS, {"metadata": {"name": name}, "spec": spec})


def _mounting(cluster: Cluster, name: str, claim: str, **spec: Any) -> None:
    mounts = [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]
    cluster.pod(name, volumes=mounts, **spec)


def _bind(cluster: Cluster, claim: str, volume: str) -> None:
    """What the volume controller does."""
    patch: Json = {
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": volume},
    }
    cluster.patch(f"{CLAIMS}/{claim}", patch)


def _owner(cluster: Cluster, volume: str) -> str:
    reference = cluster.get(f"{VOLUMES}/{volume}")["spec"].get("claimRef") or {}
    return str(reference.get("name") or "")


def test_pods_get_the_volumes_of_their_nodes_and_are_bound_when_their_claims_are(
    disks: Cluster, running: subprocess.Popen[bytes]
) -> None:
    for name in ("one", "two", "three"):
        _claim(disks, name, "local")
        _mounting(disks, f"pod-{name}", name)
    eventually("both volumes given", lambda: _owner(disks, "disk-n1") and _owner(disks, "disk-n2"))
    owners = {f"disk-{node}": _owner(disks, f"disk-{node}") for node in ("n1", "n2")}
    assert len(set(owners.values())) == 2
    assert not any(disks.node_of(f"pod-{claim}") for claim in owners.values())
    for volume, claim in owners.items():
        _bind(disks, claim, volume)
    eventually("both pods placed", lambda: all(disks.node_of(f"pod-{claim}") for claim in owners.values()))
    for volume, claim in owners.items():
        assert volume == f"disk-{disks.node_of(f'pod-{claim}')}"
    [left] = {"one", "two", "three"} - set(owners.values())
    text = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    eventually("the reason", lambda: disks.condition(f"pod-{left}").get("message", "").startswith(text))
    _volume(disks, "disk-more", "n2")
    eventually("the new volume given", lambda: _owner(disks, "disk-more") == left)


def test_a_volume_is_had_made_where_the_pod_goes(disks: Cluster, running: subprocess.Popen[bytes]) -> None:
    _claim(disks, "c", "made")
    _mounting(disks, "p", "c", nodeSelector={"kubernetes.io/hostname": "n2"})

    def chosen() -> str:
        annotations = disks.get(f"{CLAIMS}/c")["metadata"].get("annotations") or {}
        return str(annotations.get("volume.kubernetes.io/selected-node") or "")

    eventually("a node chosen", lambda: chosen() == "n2")
    _volume(disks, "made-one", "n2", storageClassName="made")
    _bind(disks, "c", "made-one")
    eventually("the pod placed", lambda: disks.node_of("p") == "n2")


def test_a_claim_that_should_be_bound_already_is_waited_for(disks: Cluster, running: subprocess.Popen[bytes]) -> None:
    _claim(disks, "c", "at-once")
    _mounting(disks, "p", "c")
    text = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    eventually("the reason", lambda: disks.condition("p").get("message", "").startswith(text))
    _bind(disks, "c", "disk-n1")
    eventually("the pod placed", lambda: disks.node_of("p") == "n1")


def test_a_claim_for_one_pod_is_for_one_pod(
    disks: Cluster, server: ApiserverProcess, running: subprocess.Popen[bytes]
) -> None:
    _volume(disks, "alone", "n1", accessModes=["ReadWriteOncePod"], storageClassName="at-once")
    _claim(disks, "alone", "at-once", "ReadWriteOncePod")
    _bind(disks, "alone", "alone")
    _mounting(disks, "first", "alone")
    eventually("the first placed", lambda: disks.node_of("first") == "n1")
    _mounting(disks, "second", "alone")
    text = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    eventually("the reason", lambda: text in disks.condition("second").get("message", ""))
    assert text in server.kubectl("describe", "pod", "second").ok()
    disks.client.request("DELETE", "/api/v1/namespaces/default/pods/first", json={"gracePeriodSeconds": 0})
    eventually("the second placed", lambda: disks.node_of("second") == "n1")
