"""One server for all tests of this folder that do not stop or break it."""

from collections.abc import Iterator

import pytest

from tests.integration.apiserver_process import ApiserverProcess, start_apiserver


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """etcd and an API server, shared."""
    with start_apiserver(tmp_path_factory.mktemp("apiserver")) as running:
        service_account(running, "default")
        yield running


def service_account(server: ApiserverProcess, namespace: str) -> None:
    """The account pods need, which a controller would make."""
    with server.client() as client:
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        answer = client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json=body)
        assert answer.status_code in (201, 409), answer.text
