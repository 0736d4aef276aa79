"""One containerd for all kubelet tests; every test in the node's network namespace."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.kubelet.machine import Machine, network_namespace
from tests.integration.kubelet.node import Node, running_node


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
