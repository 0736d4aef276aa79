"""One API server for this folder, objects to look at, and `skiff` run in this process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubectl import __main__ as main
from tests.integration.apiserver_process import ApiserverProcess, Run, start_apiserver

MANIFESTS = Path(__file__).with_name("manifests")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """etcd and an API server with the objects of `manifests/`."""
    with start_apiserver(tmp_path_factory.mktemp("kubectl")) as running:
        for _ in range(2):  # the second time takes back the taint that new nodes get
            running.kubectl("apply", "-f", str(MANIFESTS / "objects.yaml")).ok()
        for name in ("pod", "node"):
            status = (MANIFESTS / f"{name}-status.json").read_text()
            patch = ("--subresource=status", "--type=merge", "-p", status)
            running.kubectl("patch", name, f"{name}-1", *patch).ok()
        used = '{"status": {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "3"}}}'
        patch = ("--subresource=status", "--type=merge", "-p", used)
        running.kubectl("patch", "quota", "few", "-n", "limited", *patch).ok()
        uid = running.kubectl("get", "pod", "pod-1", "-o", "jsonpath={.metadata.uid}").ok()
        events = (MANIFESTS / "events.yaml").read_text().replace("UID", uid)
        running.kubectl("create", "-f", "-", stdin=events).ok()
        yield running


@dataclass(frozen=True)
class Skiff:
    """`skiff` for one kubeconfig; in this process, since starting one would cost most of a test's time."""

    kubeconfig: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *argv: str) -> Run:
        """Run a command line."""
        self.capture.readouterr()
        code = main.run(["--kubeconfig", str(self.kubeconfig), *argv])
        said = self.capture.readouterr()
        return Run(code, said.out, said.err)


@pytest.fixture
def skiff(server: ApiserverProcess, capsys: pytest.CaptureFixture[str]) -> Skiff:
    """`skiff` as the administrator."""
    return Skiff(server.kubeconfig, capsys)


@pytest.fixture(autouse=True)
def among_the_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    """File names on command lines are those of `manifests/`."""
    monkeypatch.chdir(MANIFESTS)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert os.getcwd() == str(MANIFESTS)
