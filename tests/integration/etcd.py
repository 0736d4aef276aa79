"""A real etcd for tests: on a free port, in a directory of its own, stopped, killed and started again at will."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EtcdProcess:
    """One etcd member. `url` stays the same over restarts, and so do the data."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        binary = shutil.which("etcd")
        assert binary, "etcd is not installed: apt-get install etcd-server"
        self._binary = binary
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._peer = f"http://127.0.0.1:{free_port()}"

    def start(self) -> None:
        """Start and wait until the client port answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=_environment())
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

    def restart(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop and start on the same data."""
        self.stop(how)
        self.start()

    def _command(self) -> list[str]:
        return [
            self._binary,
            *("--name", "test", "--data-dir", str(self.directory / "data"), "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer),
            *("--initial-cluster", f"test={self._peer}", "--logger", "zap"),
        ]


def start_etcd(directory: Path, port: int = 0) -> EtcdProcess:
    """A running etcd with its data under `directory`; the caller stops it."""
    etcd = EtcdProcess(directory / "etcd", port)
    etcd.start()
    return etcd


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
