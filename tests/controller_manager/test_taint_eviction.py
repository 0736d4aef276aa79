"""How long pods stay on a tainted node."""

import pytest

from controller_manager.taint_eviction import seconds_tolerated
from machinery.api.codec import Json

NOT_READY: Json = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
UNREACHABLE: Json = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def _tolerates(taint: Json, seconds: int | None = None) -> Json:
    limited = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": taint["key"], "operator": "Exists", "effect": "NoExecute"} | limited


@pytest.mark.parametrize(
    ("taints", "tolerations", "expected"),
    [
        pytest.param([], [], None, id="no-taint"),
        pytest.param([NOT_READY], [], 0.0, id="not-tolerated"),
        pytest.param([NOT_READY], [_tolerates(NOT_READY, 300)], 300.0, id="for-a-while"),
        pytest.param([NOT_READY], [_tolerates(NOT_READY)], None, id="for-ever"),
        pytest.param([NOT_READY], [{"operator": "Exists"}], None, id="everything-for-ever"),
        pytest.param([NOT_READY], [_tolerates(NOT_READY, -5)], 0.0, id="negative-is-not-at-all"),
        pytest.param([NOT_READY, UNREACHABLE], [_tolerates(NOT_READY, 300)], 0.0, id="one-of-two"),
        pytest.param(
            [NOT_READY, UNREACHABLE], [_tolerates(NOT_READY, 300), _tolerates(UNREACHABLE, 20)], 20.0, id="the-shorter"
        ),
    ],
)
def test_the_time_tolerated(taints: list[Json], tolerations: list[Json], expected: float | None) -> None:
    assert seconds_tolerated(taints, tolerations) == expected
