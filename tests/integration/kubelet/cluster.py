"""A real API server and a real kubelet process beside the tests' containerd, all in the node's network namespace."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from machinery.component import tls
from tests.integration.kubelet.machine import Machine
from tests.kubectls import newest_kubectl

API_PORT, ETCD_PORT, ETCD_PEER_PORT, KUBELET_PORT, HEALTH_PORT = 24002, 24001, 24003, 24010, 24011
NODE = "n1"
NODE_IP = "127.0.0.1"
TOKEN = "tests-admin"


class Cluster:
    """etcd, apiserver and kubelet as processes; kubectl to look at them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.folder = machine.folder / "cluster"
        self.folder.mkdir(exist_ok=True)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def up(self) -> None:
        """Keys, etcd, API server, kubelet."""
        self.write_keys()
        self.start_etcd()
        self.start_api()
        self.start_kubelet()

    def apply_defaults(self) -> None:
        """What the controller manager would make in a namespace."""
        where = {"namespace": "default"}
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", **where}})
        root = {"name": "kube-root-ca.crt", **where}
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": root, "data": {"ca.crt": "x"}})

    def down(self) -> None:
        """End all of them, the kubelet first."""
        for name in ("kubelet", "apiserver", "etcd"):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_etcd(self) -> None:
        url, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
        flags = ["--data-dir", f"{self.folder}/etcd", "--listen-client-urls", url, "--advertise-client-urls", url]
        flags += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        self._start("etcd", ["etcd", *flags, "--initial-cluster", f"default={peer}"])

    def start_api(self) -> None:
        flags = {
            "etcd-servers": f"http://127.0.0.1:{ETCD_PORT}",
            "secure-port": API_PORT,
            "bind-address": "127.0.0.1",
            "tls-cert-file": self.folder / "server.crt",
            "tls-private-key-file": self.folder / "server.key",
            "client-ca-file": self.folder / "ca.crt",
            "token-auth-file": self.folder / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-signing-key-file": self.folder / "sa.key",
            "service-account-key-file": self.folder / "sa.pub",
            "authorization-mode": "Node,RBAC",
            "service-cluster-ip-range": "10.96.0.0/16",
            "kubelet-client-certificate": self.folder / "kubelet-client.crt",
            "kubelet-client-key": self.folder / "kubelet-client.key",
            "kubelet-certificate-authority": self.folder / "ca.crt",
            "kubelet-preferred-address-types": "InternalIP",
        }
        self._start("apiserver", [sys.executable, "-m", "apiserver", *_flags(flags)])
        self.until(lambda: self.kubectl("get", "namespace", "default", check=False).returncode == 0, 30)

    def start_kubelet(self, **more: Any) -> None:
        flags = {
            "kubeconfig": self.folder / "node.kubeconfig",
            "hostname-override": NODE,
            "node-ip": NODE_IP,
            "address": "127.0.0.1",
            "port": KUBELET_PORT,
            "healthz-port": HEALTH_PORT,
            "root-dir": self.machine.folder / "kubelet",
            "cgroup-root": self.machine.cgroup_root,
            "container-runtime-endpoint": self.machine.endpoint,
            "client-ca-file": self.folder / "ca.crt",
            "tls-cert-file": self.folder / "server.crt",
            "tls-private-key-file": self.folder / "server.key",
            "v": 4,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        self._start("kubelet", [sys.executable, "-m", "kubelet", *_flags(flags)])

    def stop(self, name: str) -> None:
        """SIGTERM, and wait."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.folder / f"{name}.log").read_text()

    def kubectl(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The real kubectl."""
        command = [newest_kubectl(), "--kubeconfig", str(self.folder / "admin.kubeconfig"), *arguments]
        done = subprocess.run(
            self.machine.in_namespace(*command), capture_output=True, text=True, input=stdin, timeout=60
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}\n{self.log('kubelet')[-3000:]}"
        return done

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """kubectl, left running."""
        command = [newest_kubectl(), "--kubeconfig", str(self.folder / "admin.kubeconfig"), *arguments]
        return subprocess.Popen(
            self.machine.in_namespace(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, empty when there is none."""
        done = self.kubectl("get", *arguments, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def apply(self, obj: Any) -> None:
        """Apply an object from a dict."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(obj))

    def until(self, what: Callable[[], Any], seconds: float = 30.0) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"not in {seconds} s\n{self._tails()}")
            time.sleep(0.2)

    def _tails(self) -> str:
        return "\n".join(f"--- {file.name}\n{file.read_text()[-2500:]}" for file in self.folder.glob("*.log"))

    def _start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self.machine.in_namespace(*command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parents[3],
            )

    def write_keys(self) -> None:
        """A CA and what it signs, tokens, kubeconfigs."""
        ca = tls.create_ca("skiff-test")
        (self.folder / "ca.crt").write_bytes(ca.cert_pem())
        server = tls.CertRequest("server", hosts=("127.0.0.1", "localhost", NODE), server=True)
        tls.issue(ca, server).write(self.folder, "server")
        masters = tls.CertRequest("kube-apiserver-kubelet-client", ("system:masters",), client=True)
        tls.issue(ca, masters).write(self.folder, "kubelet-client")
        node = tls.CertRequest(f"system:node:{NODE}", ("system:nodes",), client=True)
        tls.issue(ca, node).write(self.folder, "node")
        key = ec.generate_private_key(ec.SECP256R1())
        (self.folder / "sa.key").write_bytes(tls.private_pem(key))
        (self.folder / "sa.pub").write_bytes(tls.public_pem(key))
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self._write_kubeconfig("admin", {"token": TOKEN})
        self._write_kubeconfig("node", {"client-certificate": "node.crt", "client-key": "node.key"})

    def _write_kubeconfig(self, name: str, user: dict[str, str]) -> None:
        server = {"server": f"https://127.0.0.1:{API_PORT}", "certificate-authority": "ca.crt"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (self.folder / f"{name}.kubeconfig").write_text(json.dumps(document))


def _flags(flags: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
