"""When the proxy says it is well."""

import json

from machinery.aio.clock import FakeClock
from proxy.health_check import Health


async def test_it_is_well_until_a_change_waits_for_too_long() -> None:
    clock = FakeClock()
    health = Health(clock, timeout=60)
    await clock.advance(1000)
    assert health.report(with_eligibility=True)[0] == 200
    health.queued()
    await clock.advance(59)
    health.queued()
    assert health.report(with_eligibility=True)[0] == 200
    await clock.advance(2)
    assert health.report(with_eligibility=True)[0] == 503
    health.updated()
    assert health.report(with_eligibility=True)[0] == 200


def test_a_node_that_leaves_fails_healthz_and_not_livez() -> None:
    health = Health(FakeClock(), timeout=60)
    health.eligible = False
    code, body = health.report(with_eligibility=True)
    assert code == 503
    assert json.loads(body) == {
        "lastUpdated": "2026-01-01 00:00:00.000000 +0000 UTC",
        "currentTime": "2026-01-01 00:00:00.000000 +0000 UTC",
        "nodeEligible": False,
    }
    assert health.report(with_eligibility=False)[0] == 200
