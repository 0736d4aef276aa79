"""A real controller manager for tests: `python -m controller_manager` as its own user, under the bootstrap roles."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.integration.apiserver_process import ROOT, ApiserverProcess
from tests.ports import free_port


class ControllerManagerProcess:
    """One process; short times, so that tests of silent nodes need not wait."""

    def __init__(self, server: ApiserverProcess, *extra: str) -> None:
        self._server = server
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Start and wait until /healthz is ok."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=ROOT)
        deadline = time.monotonic() + 30
        while not self._healthy():
            assert self._process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.05)

    def revive(self) -> None:
        """Start again if it ends by itself, as a supervisor would: it gives up when it cannot renew its Lease."""
        try:
            if self._process is not None:
                self._process.wait(5)  # it may have given up and be on its way out
        except subprocess.TimeoutExpired:
            return
        self.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(20)
        self._process = None
        return code

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return self._server.directory / f"controller-manager-{self.port}.log"

    def _healthy(self) -> bool:
        try:
            answer = httpx.get(f"https://127.0.0.1:{self.port}/healthz", verify=False, timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def _command(self) -> list[str]:
        kubeconfig = self._server.kubeconfig_for("system:kube-controller-manager")
        return [
            *(sys.executable, "-m", "controller_manager", "--kubeconfig", str(kubeconfig)),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self.port)),
            *("--use-service-account-credentials=true", "--root-ca-file", str(self._server.ca_file)),
            *("--service-account-private-key-file", str(self._server.directory / "pki" / "sa.key")),
            *("--cluster-signing-cert-file", str(self._server.ca_file)),
            *("--cluster-signing-key-file", str(self._server.ca_file.with_suffix(".key"))),
            *("--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/16"),
            *("--node-monitor-period=500ms", "--node-monitor-grace-period=4s", "--node-eviction-rate=10"),
            *("--leader-elect-lease-duration=8s", "--leader-elect-renew-deadline=6s"),
            *("--leader-elect-retry-period=200ms", "--v=4"),
            *self._extra,
        ]
