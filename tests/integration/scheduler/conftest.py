"""One API server for each module of this folder, emptied after each test."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.apiserver_process import ApiserverProcess, start_apiserver
from tests.integration.scheduler.cluster import Cluster, scheduler


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """One API server for the module; each test cleans up after itself."""
    with start_apiserver(tmp_path_factory.mktemp("api")) as server:
        with server.client() as client:
            account = {"metadata": {"name": "default", "namespace": "default"}}
            client.post("/api/v1/namespaces/default/serviceaccounts", json=account)
        yield server


@pytest.fixture
def cluster(server: ApiserverProcess) -> Iterator[Cluster]:
    """An empty cluster."""
    with server.client() as client:
        cluster = Cluster(client)
        yield cluster
        cluster.clear()


@pytest.fixture
def running(server: ApiserverProcess) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler without leader election."""
    with scheduler(server, "--leader-elect=false") as process:
        yield process
