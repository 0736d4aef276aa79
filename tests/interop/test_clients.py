"""Client libraries from PyPI and npm, unchanged, against a real server: each in a process of its own (see clients)."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import eventually
from tests.integration.apiserver_process import ROOT, ApiserverProcess

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture
def namespace(server: ApiserverProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of the test's own, with a service account for its pods."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name)[-60:].strip("-")
    server.kubectl("create", "namespace", name).ok()
    server.kubectl("create", "serviceaccount", "default", "-n", name).ok()
    yield name
    server.kubectl("delete", "namespace", name, "--wait=false").ok()


@pytest.mark.parametrize("program", ["official", "asynchronous", "with_kr8s", "with_lightkube"])
def test_a_client_library_finds_everything_as_it_expects(
    server: ApiserverProcess, namespace: str, program: str
) -> None:
    command = [sys.executable, str(CLIENTS / f"{program}.py"), str(server.kubeconfig), namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, env=_environment(server))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_javascript_client_finds_everything_as_it_expects(server: ApiserverProcess, namespace: str) -> None:
    folder = _node_packages()
    command = ["node", str(folder / "client.mjs"), str(server.kubeconfig), namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=_environment(server))
    assert done.returncode == 0, done.stdout + done.stderr


def _node_packages() -> Path:
    """A folder with the program and what it imports, kept beside Python's packages."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    assert not missing, f"{' and '.join(missing)} missing: apt-get install nodejs npm"
    folder = Path(sys.prefix) / "node-client"
    shutil.copytree(CLIENTS / "node", folder, dirs_exist_ok=True)
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=folder)
    assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
    return folder


def test_an_operator_made_with_kopf_reconciles(server: ApiserverProcess, namespace: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kopf", "run", str(CLIENTS / "operator.py"), "--standalone", "-n", namespace]
    with open(tmp_path / "log", "wb") as log:
        operator = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=_environment(server))
    try:
        _kubectl(server, namespace, "create", "cm", "one", "--from-literal=color=red")
        _kubectl(server, namespace, "label", "cm", "one", "copies=2")
        copies = (
            "get",
            "cm",
            "-l",
            "copy-of=one",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}={.data.color} {end}",
        )

        def shown() -> str:
            return _kubectl(server, namespace, *copies).strip()

        eventually(lambda: shown() == "one-0=red one-1=red", "two copies")
        _kubectl(server, namespace, "patch", "cm", "one", "-p", '{"data":{"color":"blue"}}')
        eventually(lambda: shown() == "one-0=blue one-1=blue", "two changed copies")
        finalizers = _kubectl(server, namespace, "get", "cm", "one", "-o", "jsonpath={.metadata.finalizers}")
        assert "kopf" in finalizers
        _kubectl(server, namespace, "delete", "cm", "one", "--timeout=30s")
        assert shown() == ""
    finally:
        operator.send_signal(signal.SIGTERM)
        try:
            operator.wait(20)
        except subprocess.TimeoutExpired:
            operator.kill()
            operator.wait()


def _kubectl(server: ApiserverProcess, namespace: str, *arguments: str) -> str:
    return server.kubectl(*arguments, "-n", namespace).ok()


def _environment(server: ApiserverProcess) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HOME": str(server.directory), "NO_PROXY": "*"}
