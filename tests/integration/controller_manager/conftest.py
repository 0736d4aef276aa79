"""One API server and one controller manager for all tests of this folder, two living nodes and a namespace per test."""

import zlib
from collections.abc import AsyncIterator, Iterator

import pytest

from machinery.client.config import load_kubeconfig
from machinery.client.rest import Client
from tests.integration.apiserver_process import ApiserverProcess, start_apiserver
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.integration.controller_manager.world import World


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """etcd and an API server."""
    with start_apiserver(tmp_path_factory.mktemp("cm")) as running:
        yield running


@pytest.fixture(scope="package")
def manager(server: ApiserverProcess) -> Iterator[ControllerManagerProcess]:
    """A controller manager; a test that stops it starts it again."""
    process = ControllerManagerProcess(server)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log(), process.log()[-5000:]


@pytest.fixture
async def world(
    server: ApiserverProcess, manager: ControllerManagerProcess, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """A namespace of its own, two nodes of its own, and ways to look at them."""
    name = f"t{zlib.crc32(request.node.name.encode()):x}"
    async with Client(load_kubeconfig(server.kubeconfig)) as client, World(client, name) as made:
        yield made
