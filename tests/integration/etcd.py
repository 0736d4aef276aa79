"""A real etcd for tests: on a free port, in a directory of its own, stopped, killed and started again at will."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.ports import free_port


class EtcdProcess:
    """One etcd member. `url` stays the same over restarts, and so do the data."""

    def __init__(self, directory: Path, port: int = 0, *, name: str = "test", tls: Sequence[str] = ()) -> None:
        """`tls` are etcd's own flags for it; the URL is https then."""
        binary = shutil.which("etcd")
        assert binary, "etcd is not installed: apt-get install etcd-server"
        self._binary = binary
        self.directory = directory
        self.port = port or free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.name = name
        self.peer = f"http://127.0.0.1:{free_port()}"
        self.members = f"{name}={self.peer}"
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the client port answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start and do not wait."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=_environment())

    def wait(self) -> None:
        """Until the client port answers: a member opens it when it knows the leader."""
        assert self._process is not None
        deadline = time.monotonic() + 20
        while not _answers(self.port):
            assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "etcd did not come up"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process: SIGTERM in order, SIGKILL as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, nothing answers. Returns when it has really stopped."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self._process.pid}/stat")
        deadline = time.monotonic() + 10
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "etcd does not stop"
            time.sleep(0.01)

    def resume(self) -> None:
        """End the pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop and start on the same data."""
        self.stop(how)
        self.start()

    def _command(self) -> list[str]:
        return [
            self._binary,
            *("--name", self.name, "--data-dir", str(self.directory / "data"), "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer),
            *("--initial-cluster", self.members, "--logger", "zap"),
            *self._tls,
        ]


def start_etcd(directory: Path, port: int = 0) -> EtcdProcess:
    """A running etcd with its data under `directory`; the caller stops it."""
    etcd = EtcdProcess(directory / "etcd", port)
    etcd.start()
    return etcd


def start_members(directory: Path, count: int = 3) -> list[EtcdProcess]:
    """One etcd of several members; the caller stops them."""
    members = [EtcdProcess(directory / f"etcd-{number}", name=f"m{number}") for number in range(count)]
    for member in members:
        member.members = ",".join(f"{other.name}={other.peer}" for other in members)
        member.launch()
    for member in members:
        member.wait()
    return members


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
