"""A real cluster for each test that asks for one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.homes import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Real nodes; nothing of it may stay."""
    assert os.geteuid() == 0, "real nodes need root"
    made = Cluster(tmp_path / "home")
    yield made
    made.skiff("down", "--purge")
    assert made.left_behind() == {}
