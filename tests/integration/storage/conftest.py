"""Fixtures: a real etcd and our storage connected to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from apiserver.storage import etcd as module
from apiserver.storage.channels import Endpoints
from apiserver.storage.etcd import Etcd, connected
from tests.integration.etcd import EtcdProcess, start_etcd


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine busy with other tests takes its time to bring etcd back."""
    monkeypatch.setattr(module, "OPERATION_SECONDS", 60.0)


@pytest.fixture
def etcd_process(tmp_path: Path) -> Iterator[EtcdProcess]:
    """A running etcd with no data."""
    process = start_etcd(tmp_path)
    yield process
    process.stop()


@pytest_asyncio.fixture
async def etcd(etcd_process: EtcdProcess) -> AsyncIterator[Etcd]:
    """Our storage over it."""
    async with connected(Endpoints((etcd_process.url,))) as storage:
        yield storage
