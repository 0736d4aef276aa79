"""`python -m proxy` in a node's namespace against a real API server: rules follow Services and EndpointSlices."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver_process import ROOT, ApiserverProcess, start_apiserver
from tests.integration.proxy.netns import Node, eventually, inside, names, run

SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
PORT = 8080


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """One API server for the module."""
    with start_apiserver(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture(scope="module")
def node(server: ApiserverProcess) -> Iterator[Node]:
    """A node with two pods that serve, from which the API server can be reached."""
    node = Node("skpp", pods=2)
    node.up()
    try:
        node.bring_in(server.port, server.directory)
        for number in (1, 2):
            node.serve(number, PORT)
        yield node
    finally:
        node.down()


@contextmanager
def proxy(server: ApiserverProcess, node: Node, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running proxy, as its own user under RBAC."""
    kubeconfig = server.kubeconfig_for("system:kube-proxy")
    command = [*inside(node.name), sys.executable, "-m", "proxy", "--kubeconfig", str(kubeconfig), *flags]
    settings = ["--hostname-override", "n1", "--cluster-cidr", node.cluster_cidr, "--conntrack-max-per-core", "0"]
    with open(server.directory / "proxy.log", "ab") as log:
        process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


class Cluster:
    """Services and their endpoints, written by hand."""

    def __init__(self, server: ApiserverProcess, node: Node) -> None:
        self.client = server.client()
        self.node = node

    def service(self, name: str, **spec: Any) -> Json:
        ports = [{"name": "http", "port": 80}]
        body = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports, **spec}}
        answer = self.client.post(SERVICES, json=body)
        assert answer.status_code == 201, answer.text
        created: Json = answer.json()
        return created

    def endpoints(self, name: str, *pods: int) -> None:
        """Make or replace the Service's slice: these pods are ready."""
        body = {
            "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [self.node.pod_ip(pod)], "conditions": {"ready": True}} for pod in pods],
        }
        answer = self.client.put(f"{SLICES}/{name}-1", json=body)
        if answer.status_code == 404:
            answer = self.client.post(SLICES, json=body)
        assert answer.status_code < 300, answer.text

    def remove(self, name: str) -> None:
        self.client.delete(f"{SERVICES}/{name}")
        self.client.delete(f"{SLICES}/{name}-1")

    def answers(self, address: str, port: int = 80, count: int = 10) -> set[str]:
        return names(self.node.ask(self.node.neighbour, address, port, count))


@pytest.fixture
def cluster(server: ApiserverProcess, node: Node) -> Iterator[Cluster]:
    """Without Services of its own at the start and the end."""
    cluster = Cluster(server, node)
    try:
        yield cluster
    finally:
        for service in cluster.client.get(SERVICES).json()["items"]:
            if service["metadata"]["name"] != "kubernetes":
                cluster.remove(service["metadata"]["name"])
        cluster.client.close()


def test_rules_follow_endpoints_and_go_with_the_service(server: ApiserverProcess, node: Node, cluster: Cluster) -> None:
    with proxy(server, node):
        web = cluster.service("web", type="NodePort")
        vip, node_port = web["spec"]["clusterIP"], web["spec"]["ports"][0]["nodePort"]
        eventually("refused", lambda: cluster.answers(vip, count=1) == {"ConnectionRefusedError"})
        cluster.endpoints("web", 1, 2)
        eventually("both", lambda: cluster.answers(vip) == {"p1", "p2"})
        assert cluster.answers(node.address, node_port) == {"p1", "p2"}
        cluster.endpoints("web", 2)
        eventually("only the second", lambda: cluster.answers(vip) == {"p2"})
        cluster.remove("web")
        eventually("no rule", lambda: vip not in node.saved_rules())
        assert "default/web" not in node.saved_rules()


def test_a_headless_service_gets_no_rules(server: ApiserverProcess, node: Node, cluster: Cluster) -> None:
    with proxy(server, node):
        cluster.service("headless", clusterIP="None")
        cluster.endpoints("headless", 1)
        other = cluster.service("other")
        eventually("the other's", lambda: other["spec"]["clusterIP"] in node.saved_rules())
        assert "headless" not in node.saved_rules()


def test_rules_that_somebody_flushed_come_back(server: ApiserverProcess, node: Node, cluster: Cluster) -> None:
    web = cluster.service("web")
    vip = web["spec"]["clusterIP"]
    cluster.endpoints("web", 1)
    with proxy(server, node, "--iptables-sync-period", "2s"):
        eventually("rules", lambda: cluster.answers(vip, count=1) == {"p1"})
        for table in ("nat", "filter"):
            run(*inside(node.name), "iptables", "-t", table, "-F")
        eventually("rules again", lambda: cluster.answers(vip, count=1) == {"p1"})


def test_rules_stay_while_no_proxy_runs_and_the_next_one_takes_what_is_stale_away(
    server: ApiserverProcess, node: Node, cluster: Cluster
) -> None:
    kept, gone = (cluster.service(name)["spec"]["clusterIP"] for name in ("kept", "gone"))
    for name in ("kept", "gone"):
        cluster.endpoints(name, 1)
    with proxy(server, node):
        eventually("rules", lambda: cluster.answers(gone, count=1) == {"p1"})
    cluster.remove("gone")
    assert cluster.answers(kept, count=2) == cluster.answers(gone, count=2) == {"p1"}
    with proxy(server, node):
        eventually("no rule", lambda: gone not in node.saved_rules())
        assert cluster.answers(kept, count=2) == {"p1"}
        assert "default/gone" not in node.saved_rules()


def test_it_tells_its_health_and_its_mode(server: ApiserverProcess, node: Node) -> None:
    with proxy(server, node):
        eventually("healthy", lambda: "lastUpdated" in _fetch(node, "127.0.0.1:10256/healthz"))
        report = json.loads(_fetch(node, "127.0.0.1:10256/healthz"))
        assert set(report) == {"lastUpdated", "currentTime", "nodeEligible"}
        assert _fetch(node, "127.0.0.1:10249/proxyMode") == "iptables"


def test_clean_up_leaves_nothing(server: ApiserverProcess, node: Node, cluster: Cluster) -> None:
    vip = cluster.service("web")["spec"]["clusterIP"]
    cluster.endpoints("web", 1)
    with proxy(server, node):
        eventually("rules", lambda: vip in node.saved_rules())
    run(*inside(node.name), sys.executable, "-m", "proxy", "--cleanup")
    assert "KUBE" not in node.saved_rules()


def _fetch(node: Node, url: str) -> str:
    code = f"import urllib.request as u; print(u.urlopen('http://{url}', timeout=2).read().decode(), end='')"
    command = [*inside(node.name), sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
