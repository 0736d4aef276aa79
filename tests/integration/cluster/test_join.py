"""`skiff join` for real: a machine becomes a node by a token, and leaves without a trace."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import network
from cluster.config import Node
from tests.integration.cluster.homes import Cluster
from tests.kubectls import newest_kubectl

POD = """
apiVersion: v1
kind: Pod
metadata: {name: joined-pod}
spec:
  nodeName: node-x
  containers:
    - {name: main, image: "skiff.local/busybox:1", command: [sh, -c, "echo hello; sleep 1000"]}
"""


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without containers."""
    made = Cluster(tmp_path / "home")
    made.skiff("up", "--simulated", "1")
    yield made
    made.skiff("down", "--purge")


def kubectl(cluster: Cluster, *arguments: str) -> str:
    """A real kubectl, as the administrator."""
    argv = [newest_kubectl(), "--kubeconfig", str(cluster.layout.admin_kubeconfig), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def join_words(cluster: Cluster) -> list[str]:
    """The words of the command that `token create` prints, without the program's name."""
    words = cluster.skiff("token", "create", "--description", "test").split()
    assert words[:2] == ["skiff", "join"]
    deadline = time.monotonic() + 20  # until the signer has seen it
    while f"jws-kubeconfig-{words[4][:6]}" not in kubectl(cluster, "get", "cm", "-n", "kube-public", "-o", "yaml"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return words[1:]


def refused(cluster: Cluster, *arguments: str) -> str:
    """What a command says that fails."""
    argv = [sys.executable, "-m", "kubectl", *arguments]
    done = subprocess.run(argv, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout
    return done.stderr


@pytest.mark.timeout(240)
def test_a_simulated_machine_joins_by_a_token_and_leaves(simulated: Cluster, tmp_path: Path) -> None:
    words = join_words(simulated)
    other = Cluster(tmp_path / "other")
    try:
        said = other.skiff(*words, "--simulated", "--node-name", "joined")
        assert "This machine is node joined" in said
        nodes = kubectl(simulated, "get", "nodes", "--no-headers")
        assert [line.split()[:2] for line in nodes.splitlines()] == [["joined", "Ready"], ["sim-0", "Ready"]]
        assert "kubelet-self" in other.skiff("status")
        requests = kubectl(simulated, "get", "csr", "--no-headers").splitlines()
        shown = {(line.split()[2], line.split()[-1]) for line in requests}
        assert shown == {
            ("kubernetes.io/kube-apiserver-client-kubelet", "Approved,Issued"),
            ("kubernetes.io/kubelet-serving", "Pending"),
        }
        other.skiff("restart", "kubelet-self")  # which needs no token any more
    finally:
        other.skiff("down", "--purge")
    assert other.left_behind() == {}
    token = words[3]
    assert token in simulated.skiff("token", "list")
    simulated.skiff("token", "delete", token)
    assert token not in simulated.skiff("token", "list")


@pytest.mark.timeout(240)
def test_what_cannot_be_trusted_is_not_joined(simulated: Cluster, tmp_path: Path) -> None:
    words = join_words(simulated)
    server, token, pin = words[1], words[3], words[5]
    rest = ["--simulated", "--home", str(tmp_path / "other")]
    id_ = token.partition(".")[0]
    wrong = f"{id_}.0123456789abcdef"
    for arguments, text in (
        ((server, "--token", "x.y", *rest), 'the bootstrap token "x.y" is not of the form ID.SECRET'),
        ((server, "--token", token, *rest), "say which CA to trust by --discovery-token-ca-cert-hash"),
        (
            (server, "--token", wrong, "--discovery-token-ca-cert-hash", pin, *rest),
            "the signature of the cluster-info ConfigMap is not this token's",
        ),
        (
            (server, "--token", "zzzzzz.0123456789abcdef", "--discovery-token-ca-cert-hash", pin, *rest),
            'could not find a JWS signature in the cluster-info ConfigMap for token ID "zzzzzz"',
        ),
        (
            (server, "--token", token, "--discovery-token-ca-cert-hash", "sha256:00", *rest),
            "cluster CA found in cluster-info ConfigMap is invalid",
        ),
        (
            ("127.0.0.1:9", "--token", token, "--discovery-token-ca-cert-hash", pin, *rest),
            "Connection refused",
        ),
    ):
        assert text in refused(simulated, "join", *arguments)
    assert not (tmp_path / "other").exists()


@pytest.mark.root
@pytest.mark.timeout(300)
def test_a_machine_of_its_own_joins_and_runs_pods(cluster: Cluster, tmp_path: Path) -> None:
    cluster.skiff("up", "--nodes", "1")
    config = cluster.config
    machine = Node(name="node-x", short="x", address=network.node_address(config.node_subnet, 7))
    network.add_node(config, machine, "p9")
    words = join_words(cluster)
    home = tmp_path / "joined"
    inside = ["nsenter", f"--net=/run/netns/sk-{config.id}-x", "--", sys.executable, "-m", "kubectl"]
    env = os.environ | {"SKIFF_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}

    def skiff(*arguments: str) -> str:
        done = subprocess.run([*inside, *arguments], env=env, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    try:
        assert "This machine is node node-x" in skiff(*words, "--node-name", "node-x", "--node-ip", machine.address)
        cluster.skiff("apply", "-f", "-", stdin=POD)
        cluster.skiff("wait", "--for=condition=Ready", "pod/joined-pod", "--timeout=60s")
        requests = kubectl(cluster, "get", "csr", "--no-headers").splitlines()
        pending = [line.split()[0] for line in requests if line.endswith("Pending")]
        kubectl(cluster, "certificate", "approve", *pending)
        deadline = time.monotonic() + 30
        while True:
            argv = [newest_kubectl(), "--kubeconfig", str(cluster.layout.admin_kubeconfig), "logs", "joined-pod"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            if done.stdout == "hello\n":
                break
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)
        assert kubectl(cluster, "exec", "joined-pod", "--", "echo", "inside") == "inside\n"
    finally:
        skiff("down", "--purge")
    assert not home.exists()
