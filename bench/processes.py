"""The processes that are measured: what they cost, and etcd with Skiff's API server started for it."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.client import Address
from machinery.component import tls
from machinery.component.tls import CertRequest

_ROOT: Final = Path(__file__).parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_READY_SECONDS: Final = 60.0
_ADMIN: Final = "bench-admin-token"
_USER: Final = "bench-user-token"
_OTHER_USER: Final = "bench-other-token"
_SCHEDULER: Final = "bench-scheduler-token"
#: what scheduler_perf of upstream turns off, too: nodes are ready at once, and pods need neither account nor class
_LENIENT: Final = ("--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition,Priority")


@dataclass(frozen=True, slots=True)
class Target:
    """A server under measurement, and the processes whose work, with their children's, counts as its own."""

    address: Address
    pids: tuple[int, ...] = ()
    start_seconds: float | None = None  # from the process's start to /readyz, where we started it
    other: Address | None = None  # another user of the same server, where we know one

    def cpu(self) -> float:
        """CPU seconds its processes have used so far, in user and kernel mode."""
        return sum(_cpu(pid) for pid in _with_children(self.pids))

    def memory(self) -> int:
        """Bytes resident."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _with_children(self.pids))
        return sum(pages) * _PAGE


def _with_children(pids: Sequence[int]) -> list[int]:
    found = list(pids)
    for pid in found:  # grows while we walk it
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [child for child in map(int, listing.read_text().split()) if child not in found]
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def skiff(folder: Path, *, lenient: bool = False) -> Iterator[Target]:
    """etcd and an API server with TLS, RBAC and the default admission, data under `folder`; ended with the context.

    The load comes from a user whose rights are a ClusterRoleBinding's, so that RBAC is asked. `lenient` leaves out the
    admission that needs other controllers.
    """
    _compile()
    port, pki = _free_port(), _write_files(folder)
    with _process(_etcd(folder, etcd := _free_port()), folder / "etcd.log"):
        started = time.monotonic()
        command = [*_apiserver(folder, etcd, port), *(_LENIENT if lenient else ())]
        with _process(command, folder / "apiserver.log") as pid:
            admin = Address(f"https://127.0.0.1:{port}", _ADMIN, pki / "ca.crt")
            _wait(admin, pid, folder / "apiserver.log")
            seconds = time.monotonic() - started
            _bind(admin)
            address = Address(admin.url, _USER, admin.ca)
            yield Target(address, (pid,), seconds, Address(admin.url, _OTHER_USER, admin.ca))


def _compile() -> None:
    """As after the first start: else the first one's time is mostly the compiler's."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", "apiserver", "machinery"], cwd=_ROOT, check=True)


def _etcd(folder: Path, port: int) -> list[str]:
    peer = f"http://127.0.0.1:{_free_port()}"
    return [
        *("etcd", "--data-dir", str(folder / "etcd"), "--log-level", "error", "--logger", "zap"),
        *("--listen-client-urls", f"http://127.0.0.1:{port}", "--advertise-client-urls", f"http://127.0.0.1:{port}"),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
    ]


def _apiserver(folder: Path, etcd: int, port: int) -> list[str]:
    pki = folder / "pki"
    return [
        *(sys.executable, "-m", "apiserver", "--etcd-servers", f"http://127.0.0.1:{etcd}"),
        *("--bind-address", "127.0.0.1", "--secure-port", str(port), "--authorization-mode", "Node,RBAC"),
        *("--tls-cert-file", f"{pki}/apiserver.crt", "--tls-private-key-file", f"{pki}/apiserver.key"),
        *("--client-ca-file", f"{pki}/ca.crt", "--token-auth-file", str(folder / "tokens.csv")),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-signing-key-file", f"{pki}/sa.key", "--service-account-key-file", f"{pki}/sa.pub"),
        *("--service-cluster-ip-range", "10.96.0.0/16"),
    ]


def _write_files(folder: Path) -> Path:
    pki = folder / "pki"
    authority = tls.create_ca("bench-ca")
    authority.write(pki, "ca")
    tls.issue(authority, CertRequest("kube-apiserver", hosts=("127.0.0.1",), server=True)).write(pki, "apiserver")
    key = tls.create_ca("service accounts").key
    (pki / "sa.key").write_bytes(tls.private_pem(key))
    (pki / "sa.pub").write_bytes(tls.public_pem(key))
    tokens = (
        f"{_ADMIN},admin,1,system:masters",
        f"{_USER},bench,2,benchmarks",
        f"{_OTHER_USER},noise,3,benchmarks",
        f"{_SCHEDULER},system:kube-scheduler,4",
    )
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    return pki


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[int]:
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{command[0]} is not installed: apt-get install {command[0]}-server")
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=_ROOT)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def scheduler(folder: Path, server: Address, command: Sequence[str]) -> Iterator[Target]:
    """A scheduler as system:kube-scheduler, alone: Skiff's, or what else the command starts."""
    cluster = f"{{server: '{server.url}', certificate-authority: '{server.ca}'}}"
    kubeconfig = folder / "scheduler.conf"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: b\n"
        f"clusters: [{{name: b, cluster: {cluster}}}]\nusers: [{{name: b, user: {{token: {_SCHEDULER}}}}}]\n"
        "contexts: [{name: b, context: {cluster: b, user: b}}]\n"
    )
    own = command or (sys.executable, "-m", "scheduler")
    flags = ("--kubeconfig", str(kubeconfig), "--leader-elect=false", "--secure-port=0")
    with _process([*own, *flags], folder / "scheduler.log") as pid:
        yield Target(server, (pid,))


def _wait(address: Address, pid: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if call(address, "GET", "/readyz") == b"ok":
                return
        except (urllib.error.URLError, ConnectionError, ssl.SSLError) as problem:
            if time.monotonic() > deadline or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise SystemExit(f"the API server is not ready: {problem}\n{log.read_text()[-2000:]}") from problem
        time.sleep(0.01)


def _bind(admin: Address) -> None:
    binding = (
        b'{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"benchmarks"},'
        b'"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},'
        b'"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"benchmarks"}]}'
    )
    call(admin, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)


def call(address: Address, method: str, path: str, body: bytes = b"") -> bytes:
    """One request outside the measurement; raises urllib.error.HTTPError."""
    headers = {"Authorization": f"Bearer {address.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(address.url + path, body or None, headers, method=method)
    with urllib.request.urlopen(request, timeout=30, context=address.context()) as answer:
        found: bytes = answer.read()
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
