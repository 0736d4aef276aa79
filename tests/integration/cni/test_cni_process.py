"""`python -m cni` on two nodes against a real API server: what it sets up carries packets between pods of both."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.apiserver_process import ROOT, ApiserverProcess, start_apiserver
from tests.integration.proxy.netns import CLIENT, RELAY, SERVER, eventually, inside, run

PLUGINS = Path("/usr/lib/cni")
CLUSTER_CIDR = "10.211.0.0/16"
USER = "system:network-agent"
ROLES = "/apis/rbac.authorization.k8s.io/v1"
NODES = {"n1": ("10.211.1.0/24", "172.31.97.11"), "n2": ("10.211.2.0/24", "172.31.97.12")}


@dataclass
class Machines:
    """Namespaces skpc-n1 and skpc-n2 on one switch, skpc-out beside them, and a pod's namespace on each node."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]

    def up(self) -> None:
        """Make them; the FORWARD policy is DROP, as Docker leaves it."""
        self.down()
        for name in self.names():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", "skpc-sw", "link", "add", "br0", "type", "bridge")
        run("ip", "-n", "skpc-sw", "link", "set", "br0", "up")
        addresses = {f"skpc-{name}": address for name, (_, address) in NODES.items()} | {"skpc-out": "172.31.97.1"}
        for number, (name, address) in enumerate(addresses.items()):
            port = f"p{number}"
            run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", "skpc-sw")
            run("ip", "-n", "skpc-sw", "link", "set", port, "master", "br0", "up")
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        run(*inside("skpc-sw"), "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
        for name in NODES:
            run(*inside(f"skpc-{name}"), "iptables", "-P", "FORWARD", "DROP")
            run("ip", "-n", f"skpc-{name}", "route", "add", "default", "via", "172.31.97.1")

    def down(self) -> None:
        """Take everything away."""
        for process in self.processes:
            process.kill()
            process.communicate(timeout=5)
        self.processes.clear()
        for name in self.names():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def names(self) -> list[str]:
        """All namespaces."""
        return ["skpc-sw", "skpc-out", *(f"skpc-{kind}{number}" for kind in "np" for number in (1, 2))]

    def start(self, *command: str) -> None:
        """A helper process that says when it is ready."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def conflist(self, node: str) -> Path:
        """Where the agent of a node writes."""
        return self.folder / node / "net.d" / "10-skiff.conflist"

    def add_pod(self, number: int) -> str:
        """What a container runtime does with the configuration: run its first plugin for the pod's namespace."""
        found = json.loads(self.conflist(f"n{number}").read_text())
        plugin = found["plugins"][0] | {"name": found["name"], "cniVersion": found["cniVersion"]}
        environment = {
            **os.environ,
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": f"pod{number}",
            "CNI_NETNS": f"/run/netns/skpc-p{number}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(PLUGINS),
        }
        command = [*inside(f"skpc-n{number}"), str(PLUGINS / plugin["type"])]
        done = subprocess.run(
            command, input=json.dumps(plugin), env=environment, capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        address: str = json.loads(done.stdout)["ips"][0]["address"].split("/")[0]
        return address


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """One API server for the module, with two Nodes that have no pod network yet."""
    with start_apiserver(tmp_path_factory.mktemp("api")) as server:
        with server.client() as client:
            for name, (_, address) in NODES.items():
                status = {"addresses": [{"type": "InternalIP", "address": address}]}
                answer = client.post("/api/v1/nodes", json={"metadata": {"name": name}, "status": status})
                assert answer.status_code == 201, answer.text
            _allow(client)
        yield server


def _allow(client: httpx.Client) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    role = {"metadata": {"name": "network-agent"}, "rules": rules}
    assert client.post(f"{ROLES}/clusterroles", json=role).status_code == 201
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "network-agent"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "network-agent"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }
    assert client.post(f"{ROLES}/clusterrolebindings", json=binding).status_code == 201


@pytest.fixture(scope="module")
def machines(server: ApiserverProcess) -> Iterator[Machines]:
    """The nodes' namespaces, from which the API server can be reached."""
    assert (PLUGINS / "bridge").exists(), "CNI plugins are not installed: apt-get install containernetworking-plugins"
    machines = Machines(server.directory, [])
    machines.up()
    try:
        for name in NODES:
            socket = str(server.directory / f"{name}.sock")
            machines.start(sys.executable, str(RELAY), socket, str(server.port))
            machines.start(*inside(f"skpc-{name}"), sys.executable, str(RELAY), str(server.port), socket)
        yield machines
    finally:
        machines.down()


@contextmanager
def agent(server: ApiserverProcess, name: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """The agent of a node, as a user who may read Nodes and write their status, and no more."""
    kubeconfig = server.kubeconfig_for(USER)
    folders = ["--cni-conf-dir", f"{server.directory}/{name}/net.d", "--cni-data-dir", f"{server.directory}/{name}/cni"]
    command = [*inside(f"skpc-{name}"), sys.executable, "-m", "cni", "--kubeconfig", str(kubeconfig), *folders, *flags]
    with open(server.directory / "cni.log", "ab") as log:
        process = subprocess.Popen(
            [*command, "--hostname-override", name, "--cluster-cidr", CLUSTER_CIDR], stdout=log, stderr=log, cwd=ROOT
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def routes(name: str) -> str:
    """A node's routes that the agent made."""
    return run("ip", "-n", f"skpc-{name}", "route", "show", "proto", "73")


def ask(namespace: str, address: str) -> str:
    """What a server on port 8080 answers."""
    answers = json.loads(run(*inside(namespace), sys.executable, str(CLIENT), "tcp", address, "8080", "1"))
    return str(answers[0])


def test_from_waiting_for_a_pod_network_to_pods_that_reach_each_other(
    server: ApiserverProcess, machines: Machines
) -> None:
    with ExitStack() as stack, server.client() as client:
        for name in NODES:
            stack.enter_context(agent(server, name))
        eventually("waiting", lambda: "waiting for node n1" in (server.directory / "cni.log").read_text())
        assert not machines.conflist("n1").exists()
        for name, (cidr, _) in NODES.items():
            spec = {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
            headers = {"content-type": "application/merge-patch+json"}
            assert client.patch(f"/api/v1/nodes/{name}", json=spec, headers=headers).status_code == 200
        eventually("configurations", lambda: all(machines.conflist(name).exists() for name in NODES))
        eventually("routes", lambda: "10.211.2.0/24 via 172.31.97.12" in routes("n1") and routes("n2"))

        def condition() -> tuple[str, str]:
            conditions = client.get("/api/v1/nodes/n1").json()["status"].get("conditions", [])
            found = [one for one in conditions if one["type"] == "NetworkUnavailable"]
            return (found[0]["status"], found[0]["reason"]) if found else ("", "")

        eventually("condition", lambda: condition() == ("False", "RouteCreated"))
        _packets_flow(machines)
        _routes_follow_nodes(server, machines)


def _packets_flow(machines: Machines) -> None:
    addresses = {number: machines.add_pod(number) for number in (1, 2)}
    assert addresses[1].startswith("10.211.1.")
    for namespace in ("skpc-p1", "skpc-p2", "skpc-out"):
        machines.start(*inside(namespace), sys.executable, str(SERVER), "tcp", "8080", namespace)
    assert ask("skpc-p1", addresses[2]) == f"skpc-p2 {addresses[1]}", "pods see each other's own addresses"
    assert ask("skpc-p2", addresses[1]) == f"skpc-p1 {addresses[2]}"
    assert ask("skpc-p1", "172.31.97.1") == "skpc-out 172.31.97.11", "outside, the node speaks for its pods"
    assert ask("skpc-n2", addresses[1]).startswith("skpc-p1")


def _routes_follow_nodes(server: ApiserverProcess, machines: Machines) -> None:
    run("ip", "-n", "skpc-n1", "route", "add", "198.51.100.0/24", "via", "172.31.97.12")
    with server.client() as client:
        client.delete("/api/v1/nodes/n2")
    eventually("no route", lambda: not routes("n1"))
    assert "198.51.100.0/24" in run("ip", "-n", "skpc-n1", "route"), "routes of others are left alone"


def test_clean_up_leaves_nothing(server: ApiserverProcess, machines: Machines) -> None:
    with agent(server, "n1", "--cleanup") as process:
        assert process.wait(20) == 0
    saved = "".join(run(*inside("skpc-n1"), "iptables-save", "-t", table) for table in ("nat", "filter"))
    assert "SKIFF" not in saved
    assert not machines.conflist("n1").exists()
    assert "cni0" not in run("ip", "-n", "skpc-n1", "link")
    with agent(server, "n1", "--cleanup") as process:
        assert process.wait(20) == 0
