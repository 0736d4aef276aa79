"""One containerd for all kubelet tests; every test in the node's network namespace."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.kubelet.machine import Machine, network_namespace
from tests.integration.kubelet.node import Node, running_node

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests come last: gRPC's threads, born in the node's network namespace, stay in it and outlive the test, and
    whatever else used gRPC afterwards would look for its server there."""
    items.sort(key=lambda item: item.path.is_relative_to(_HERE))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    machine = Machine()
    try:
        machine.up()
        yield machine
    finally:
        machine.down()


@pytest.fixture
async def node(machine: Machine) -> AsyncIterator[Node]:
    with network_namespace(machine.name):
        async with running_node(machine) as node:
            yield node
