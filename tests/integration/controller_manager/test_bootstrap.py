"""A kubelet that starts with a token: it gets a certificate, renews it, and goes on when it is started again."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from cluster import addons
from cluster.config import ClusterConfig
from cluster.tokens import create
from tests.integration.apiserver_process import ROOT, ApiserverProcess, start_apiserver
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.ports import free_port


@pytest.fixture(scope="module")
def joinable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """A server that takes tokens, and a controller manager whose certificates are over soon."""
    with start_apiserver(tmp_path_factory.mktemp("join"), "--enable-bootstrap-token-auth") as server:
        manager = ControllerManagerProcess(server, "--cluster-signing-duration=30s")
        manager.start()
        try:
            yield server
        finally:
            manager.stop()


def _start(server: ApiserverProcess, root: Path, bootstrap: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "kubelet", "--fake-runtime", "--hostname-override=new"),
        *("--kubeconfig", str(root / "kubelet.conf"), "--bootstrap-kubeconfig", str(bootstrap)),
        *("--rotate-certificates", "--node-ip=127.0.0.1", "--address=127.0.0.1", f"--port={free_port()}"),
        *("--healthz-port=0", "--root-dir", str(root)),
    ]
    with (root / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)


def _until(holds: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.timeout(180)
def test_a_token_becomes_a_certificate_that_is_renewed(joinable: ApiserverProcess, tmp_path: Path) -> None:
    config = ClusterConfig(
        id="x",
        nodes=(),
        api_address="127.0.0.1",
        bind_address="",
        node_subnet="127.0.0.0/8",
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/16",
    )
    with joinable.client() as http:
        addons.ensure(http, config, joinable.ca_file.read_bytes())
        token = create(http, hours=1)
    bootstrap = joinable.kubeconfig_with_token(token, "bootstrap")
    current = tmp_path / "pki" / "kubelet-client-current.pem"
    kubelet = _start(joinable, tmp_path, bootstrap)
    try:

        def is_ready() -> bool:
            with joinable.client() as http:
                node = http.get("/api/v1/nodes/new").json()
            status = node.get("status")
            conditions = (status.get("conditions") if isinstance(status, dict) else None) or []
            return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)

        _until(is_ready, (tmp_path / "log").read_text())
        written = yaml.safe_load((tmp_path / "kubelet.conf").read_text())
        assert written["users"][0]["user"] == {"client-certificate": str(current), "client-key": str(current)}
        first = current.resolve()
        _until(lambda: current.resolve() != first, "it was not renewed")
    finally:
        kubelet.terminate()
        kubelet.wait(20)
    bootstrap.write_text("nonsense")  # it is not looked at any more
    log = (tmp_path / "log").stat().st_size
    kubelet = _start(joinable, tmp_path, bootstrap)
    try:
        _until(lambda: "registered" in (tmp_path / "log").read_text()[log:] or is_ready(), "it did not come back")
        assert kubelet.poll() is None
    finally:
        kubelet.terminate()
        kubelet.wait(20)
    with joinable.client() as http:
        requests = http.get("/apis/certificates.k8s.io/v1/certificatesigningrequests").json()["items"]
    authors = {request["spec"]["username"] for request in requests}
    assert {f"system:bootstrap:{token[:6]}", "system:node:new"} <= authors
