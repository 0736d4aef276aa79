"""Which tests need root: they make containers, network namespaces or mounts. `-m "not root"` leaves them out."""

from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_ROOT: Final = (
    "e2e",
    "integration/cluster/test_compose.py",
    "integration/cluster/test_up_and_down.py",
    "integration/cni",
    "integration/kubelet",
    "integration/proxy",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by place, so that no test has to remember it."""
    for item in items:
        place = item.path.relative_to(_HERE).as_posix()
        if place.startswith(_ROOT):
            item.add_marker(pytest.mark.root)
