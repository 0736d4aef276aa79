"""A real API server for tests: etcd, `python -m apiserver` with its own PKI, kubeconfigs and tokens of its users."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from machinery.component import tls
from machinery.component.tls import CertRequest, KeyPair
from tests.integration.etcd import EtcdProcess, start_etcd
from tests.kubectls import kubectl_of
from tests.ports import free_port

ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.96.0.0/16"
ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "admin-token"


@dataclass(slots=True)
class ApiserverProcess:
    """A running server and what is needed to talk to it."""

    directory: Path
    etcd: EtcdProcess
    port: int
    ca: KeyPair
    extra: list[str] = field(default_factory=list)
    modes: str = "Node,RBAC"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`https://127.0.0.1:PORT`."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The CA of the server and of all clients."""
        return self.directory / "pki" / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """Of an admin (group system:masters), by certificate."""
        return self.kubeconfig_for("kubernetes-admin", "system:masters")

    @property
    def token(self) -> str:
        """A static token of a member of system:masters."""
        return ADMIN_TOKEN

    def kubeconfig_for(self, user: str, *groups: str) -> Path:
        """A kubeconfig with a certificate for a user."""
        name = user.replace(":", "-")
        path = self.directory / f"{name}.kubeconfig"
        if not path.exists():
            pair = tls.issue(self.ca, CertRequest(user, organizations=groups, client=True))
            files = pair.write(self.directory / "pki", name)
            user_entry = {"client-certificate": str(files.cert), "client-key": str(files.key)}
            path.write_text(yaml.safe_dump(self._kubeconfig(user_entry)))
        return path

    def kubeconfig_with_token(self, token: str, name: str) -> Path:
        """A kubeconfig with a bearer token."""
        path = self.directory / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(self._kubeconfig({"token": token})))
        return path

    def client(self, token: str = ADMIN_TOKEN, **options: Any) -> httpx.Client:
        """A plain HTTP client with a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.url, headers=headers, verify=tls_context(self.ca_file), trust_env=False, **options
        )

    def kubectl(self, *arguments: str, version: str = "1.33", stdin: str = "", kubeconfig: Path | None = None) -> "Run":
        """Run a real kubectl and wait for it."""
        command = [kubectl_of(version), "--kubeconfig", str(kubeconfig or self.kubeconfig), *arguments]
        environment = {**os.environ, "HOME": str(self.directory / f"home-{version}"), "KUBECONFIG": ""}
        found = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        return Run(found.returncode, found.stdout, found.stderr)

    def start(self) -> None:
        """Start and wait until /readyz is ok."""
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=ROOT)
        deadline = time.monotonic() + 30
        while not self._ready():
            assert self._process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < deadline, f"the API server is not ready: {self.log()[-3000:]}"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(20)

    def log(self) -> str:
        """What it said so far."""
        return (self.directory / "log").read_text()

    def _ready(self) -> bool:
        try:
            with self.client("") as client:
                status: int = client.get("/readyz", timeout=5).status_code
                return status == 200
        except httpx.TransportError:
            return False

    def _command(self) -> list[str]:
        pki = self.directory / "pki"
        return [
            *(sys.executable, "-m", "apiserver", "--etcd-servers", self.etcd.url),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self.port)),
            *("--tls-cert-file", f"{pki}/apiserver.crt", "--tls-private-key-file", f"{pki}/apiserver.key"),
            *("--client-ca-file", f"{pki}/ca.crt", "--token-auth-file", str(self.directory / "tokens.csv")),
            *("--service-account-issuer", ISSUER, "--service-account-signing-key-file", f"{pki}/sa.key"),
            *("--service-account-key-file", f"{pki}/sa.pub", "--authorization-mode", self.modes),
            *("--service-cluster-ip-range", SERVICE_RANGE),
            *("--kubelet-client-certificate", f"{pki}/kubelet-client.crt"),
            *("--kubelet-client-key", f"{pki}/kubelet-client.key"),
            *("--kubelet-preferred-address-types", "InternalIP"),
            *self.extra,
        ]

    def _kubeconfig(self, user: dict[str, str]) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        }


@dataclass(frozen=True, slots=True)
class Run:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def ok(self) -> str:
        """Its output; it must have succeeded."""
        assert self.code == 0, f"exit {self.code}: {self.out}{self.err}"
        return self.out


def tls_context(ca_file: Path) -> ssl.SSLContext:
    """A client context that believes one CA."""
    return ssl.create_default_context(cafile=str(ca_file))


@contextmanager
def start_apiserver(directory: Path, *extra: str, modes: str = "Node,RBAC") -> Iterator[ApiserverProcess]:
    """etcd and an API server with its PKI under `directory`, ready; stopped at the end of the context."""
    directory.mkdir(parents=True, exist_ok=True)
    ca = write_pki(directory)
    etcd = start_etcd(directory)
    server = ApiserverProcess(directory, etcd, free_port(), ca, list(extra), modes)
    try:
        server.start()
        yield server
    finally:
        if server._process is not None and server._process.poll() is None:
            server.stop()
        etcd.stop()


def write_pki(directory: Path) -> KeyPair:
    """CA, serving certificate, kubelet client certificate, service-account keys, static tokens."""
    pki = directory / "pki"
    ca = tls.create_ca("test-ca")
    ca.write(pki, "ca")
    hosts = ("127.0.0.1", "localhost", "kubernetes.default.svc")
    tls.issue(ca, CertRequest("kube-apiserver", hosts=hosts, server=True)).write(pki, "apiserver")
    request = CertRequest("kube-apiserver-kubelet-client", organizations=("system:masters",), client=True)
    tls.issue(ca, request).write(pki, "kubelet-client")
    account_key = tls.create_ca("service accounts").key
    (pki / "sa.key").write_bytes(tls.private_pem(account_key))
    (pki / "sa.pub").write_bytes(tls.public_pem(account_key))
    lines = [f'{ADMIN_TOKEN},admin,1,"system:masters"', "jane-token,jane,2", 'dev-token,dev,3,"developers,testers"']
    (directory / "tokens.csv").write_text("\n".join(lines) + "\n")
    return ca
