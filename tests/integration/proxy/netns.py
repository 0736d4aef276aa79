"""A node with pods and a neighbour, made of network namespaces: for tests of what moves packets."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SERVER = Path(__file__).with_name("netns_server.py")
CLIENT = Path(__file__).with_name("netns_client.py")
RELAY = Path(__file__).with_name("netns_relay.py")


def run(*command: str) -> str:
    """Standard output; raises AssertionError with what the program said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def inside(namespace: str) -> list[str]:
    """The words that put a command into a namespace."""
    return ["nsenter", f"--net=/run/netns/{namespace}"]


@dataclass
class Node:
    """Namespace PREFIX-n with a bridge, pods PREFIX-p1 … on it, and a neighbour PREFIX-o on its outer link.

    The node is 172.31.98.2 towards the neighbour's 172.31.98.1; pods are 10.211.1.11 … behind the bridge's 10.211.1.1;
    the neighbour sends 10.211.0.0/16 and the services' 10.212.0.0/24 and 10.96.0.0/16 to the node.
    """

    prefix: str
    pods: int = 3
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    address = "172.31.98.2"
    neighbour_address = "172.31.98.1"
    cluster_cidr = "10.211.0.0/16"
    pod_cidr = "10.211.1.0/24"

    @property
    def name(self) -> str:
        """The node's namespace."""
        return f"{self.prefix}-n"

    @property
    def neighbour(self) -> str:
        """The namespace outside the cluster."""
        return f"{self.prefix}-o"

    def pod(self, number: int) -> str:
        """A pod's namespace."""
        return f"{self.prefix}-p{number}"

    def pod_ip(self, number: int) -> str:
        """A pod's address."""
        return f"10.211.1.{10 + number}"

    def up(self) -> None:
        """Make it all."""
        assert shutil.which("iptables"), "iptables is not installed: apt-get install iptables"
        self.down()
        for namespace in self._namespaces():
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._link_neighbour()
        run("ip", "-n", self.name, "link", "add", "cni0", "type", "bridge")
        run("ip", "-n", self.name, "addr", "add", "10.211.1.1/24", "dev", "cni0")
        run("ip", "-n", self.name, "link", "set", "cni0", "up")
        # any route will do: without one the node cannot even emit a packet to a service, and nothing could translate it
        for services in ("10.212.0.0/24", "10.96.0.0/16"):
            run("ip", "-n", self.name, "route", "add", services, "dev", "cni0")
        for number in range(1, self.pods + 1):
            self._link_pod(number)
        # a packet that leaves where it came in makes the kernel send a redirect, which uses up the rate of a REJECT
        self.sysctl("net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.cni0.send_redirects=0")
        self.sysctl(
            "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1", "net.ipv4.conf.all.route_localnet=1"
        )

    def down(self) -> None:
        """Take it all away."""
        for process in self.processes:
            process.kill()
            process.communicate(timeout=5)
        self.processes.clear()
        for namespace in self._namespaces():
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    def sysctl(self, *settings: str) -> None:
        """Set sysctls of the node."""
        run(*inside(self.name), "sysctl", "-qw", *settings)

    def serve(self, number: int, port: int, kind: str = "tcp") -> None:
        """A server in a pod that answers with the pod's number and the client's address."""
        self._start([*inside(self.pod(number)), sys.executable, str(SERVER), kind, str(port), f"p{number}"])

    def bring_in(self, port: int, folder: Path) -> None:
        """Make a port of the machine's loopback reachable at the same port of the node's."""
        socket = folder / f"{self.name}.sock"
        socket.unlink(missing_ok=True)
        self._start([sys.executable, str(RELAY), str(socket), str(port)])
        self._start([*inside(self.name), sys.executable, str(RELAY), str(port), str(socket)])

    def ask(self, namespace: str, address: str, port: int, count: int = 1, kind: str = "tcp") -> list[str]:
        """What `count` new connections from a namespace are answered; an error's name where there is no answer."""
        arguments = [sys.executable, str(CLIENT), kind, address, str(port), str(count)]
        answers: list[str] = json.loads(run(*inside(namespace), *arguments))
        return answers

    def saved_rules(self) -> str:
        """All rules of the node's nat and filter tables."""
        return "".join(run(*inside(self.name), "iptables-save", "-t", table) for table in ("nat", "filter"))

    def _start(self, command: list[str]) -> None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def _namespaces(self) -> list[str]:
        return [self.name, self.neighbour, *(self.pod(number) for number in range(1, self.pods + 1))]

    def _link_neighbour(self) -> None:
        link = ["ip", "-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0"]
        run(*link, "netns", self.neighbour)
        for namespace, address in ((self.name, self.address), (self.neighbour, self.neighbour_address)):
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", namespace, "link", "set", "eth0", "up")
        for network in ("10.211.0.0/16", "10.212.0.0/24", "10.96.0.0/16"):
            run("ip", "-n", self.neighbour, "route", "add", network, "via", self.address)

    def _link_pod(self, number: int) -> None:
        pod, host_side = self.pod(number), f"veth{number}"
        run("ip", "-n", self.name, "link", "add", host_side, "type", "veth", "peer", "name", "eth0", "netns", pod)
        run("ip", "-n", self.name, "link", "set", host_side, "master", "cni0", "up")
        run("ip", "-n", self.name, "link", "set", host_side, "type", "bridge_slave", "hairpin", "on")
        run("ip", "-n", pod, "addr", "add", f"{self.pod_ip(number)}/24", "dev", "eth0")
        run("ip", "-n", pod, "link", "set", "eth0", "up")
        run("ip", "-n", pod, "route", "add", "default", "via", "10.211.1.1")


def names(answers: Sequence[str]) -> set[str]:
    """Which pods answered."""
    return {answer.split()[0] for answer in answers}


def eventually(what: str, condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Poll until the condition is true; raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
