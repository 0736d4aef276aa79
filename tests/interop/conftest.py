"""One API server for all of other people's clients; tests that stop or break one start their own."""

from collections.abc import Iterator

import pytest

from tests.integration.apiserver_process import ApiserverProcess, start_apiserver


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """etcd and an API server, shared."""
    with start_apiserver(tmp_path_factory.mktemp("interop")) as running:
        yield running
